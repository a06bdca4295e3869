package poll

import (
	"math"
	"slices"
	"strings"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/poll/gauges"
)

// Objects of HOST-RESOURCES-MIB (RFC 2790), UCD-SNMP-MIB and ENTITY-SENSOR-MIB (RFC 3433).
const (
	hrProcessorLoad ask.OID = "1.3.6.1.2.1.25.3.3.1.2"
	hrStorageTable  ask.OID = "1.3.6.1.2.1.25.2.3.1"
	entSensorTable  ask.OID = "1.3.6.1.2.1.99.1.1.1"

	storageRAM   = "1.3.6.1.2.1.25.2.1.2"
	storageFixed = "1.3.6.1.2.1.25.2.1.4"
	storageFlash = "1.3.6.1.2.1.25.2.1.9"

	ucdTotal  ask.OID = "1.3.6.1.4.1.2021.4.5.0"
	ucdAvail  ask.OID = "1.3.6.1.4.1.2021.4.6.0"
	ucdBuffer ask.OID = "1.3.6.1.4.1.2021.4.14.0"
	ucdCached ask.OID = "1.3.6.1.4.1.2021.4.15.0"
	ucdIdle   ask.OID = "1.3.6.1.4.1.2021.11.11.0" // ssCpuIdle, percent of the last minute

	// airOS of Ubiquiti keeps its memory in FROGFOOT-RESOURCES-MIB, in KB.
	frogTotal  ask.OID = "1.3.6.1.4.1.10002.1.1.1.1.1.0"
	frogFree   ask.OID = "1.3.6.1.4.1.10002.1.1.1.1.2.0"
	frogBuffer ask.OID = "1.3.6.1.4.1.10002.1.1.1.1.3.0"

	coldest, hottest = -40, 150 // degrees Celsius in which electronics may be
)

// health is what is known of the device's parts; not-a-number where nothing is.
type health struct {
	cpu, memory, memoryBytes, celsius, storage float64
	storageName                                string
}

// health reads processor, memory, temperature and storage: the maker's own objects first, since they were made for the
// device, then the standard ones.
func (r *reader) health(p *probes.Point) {
	nan := math.NaN()
	h := health{nan, nan, nan, nan, nan, ""}
	r.own(&h)
	r.processor(&h)
	r.storage(&h)
	r.memory(&h)
	r.sensors(&h)
	for _, f := range []probes.Field{
		probes.Float("cpu_ratio", h.cpu), probes.Float("memory_used_ratio", h.memory), probes.Float("memory_bytes", h.memoryBytes),
		probes.Float("temperature_celsius", h.celsius), probes.Float("storage_used_ratio", h.storage),
	} {
		add(p, !math.IsNaN(f.Num), f)
	}
	add(p, h.storageName != "", probes.String("storage_name", h.storageName))
}

// hotter keeps the larger of two temperatures, of those that can be true.
func (h *health) hotter(celsius float64) {
	if celsius >= coldest && celsius <= hottest && (math.IsNaN(h.celsius) || celsius > h.celsius) {
		h.celsius = celsius
	}
}

// own reads the gauges of the device's maker.
func (r *reader) own(h *health) {
	all := gauges.Of(r.vendor)
	var scalars []ask.OID
	for _, g := range all {
		if g.Scalar() {
			scalars = append(scalars, g.OID)
		}
	}
	var got values
	if len(scalars) > 0 {
		got = r.scalars(scalars...)
	}
	var used, free map[string]float64
	for _, g := range all {
		rows := map[string]float64{}
		if g.Scalar() {
			if n, ok := g.Value(got[g.OID]); ok {
				rows[""] = n
			}
		} else {
			for index, v := range r.column(string(g.OID), g.OID).cells[""] {
				if n, ok := g.Value(v); ok {
					rows[index] = n
				}
			}
		}
		top := math.NaN()
		for _, n := range rows {
			if math.IsNaN(top) || n > top {
				top = n
			}
		}
		switch g.What {
		case gauges.CPU:
			if math.IsNaN(h.cpu) {
				h.cpu = top
			}
		case gauges.MemoryUsed:
			if math.IsNaN(h.memory) {
				h.memory = top
			}
		case gauges.MemoryTotal:
			h.memoryBytes = top
		case gauges.Temperature:
			h.hotter(top)
		case gauges.UsedBytes:
			used = rows
		case gauges.FreeBytes:
			free = rows
		}
	}
	if len(used) > 0 && math.IsNaN(h.memory) {
		first := slices.MinFunc(keys(used), byIndex) // the processor's pool
		if f, ok := free[first]; ok && used[first]+f > 0 {
			h.memory = used[first] / (used[first] + f)
		}
	}
}

func keys(m map[string]float64) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

// processor is the mean of the processors' load (hrProcessorLoad), or what net-snmp says of all together.
func (r *reader) processor(h *health) {
	if !math.IsNaN(h.cpu) {
		return
	}
	t := r.column("hrProcessorTable", hrProcessorLoad)
	sum, n := 0.0, 0
	for _, v := range t.cells[""] {
		if p, ok := percent(v); ok {
			sum += p
			n++
		}
	}
	if n > 0 {
		h.cpu = sum / float64(n)
	}
}

// storage looks for the fullest disk or flash, and for the memory, in hrStorageTable.
func (r *reader) storage(h *health) {
	t := r.walk("hrStorageTable", hrStorageTable, 7)
	for _, index := range t.indexes {
		size, used := unsigned(t.at("5", index)), unsigned(t.at("6", index))
		unit, ok := t.at("4", index).Uint()
		if !ok || unit == 0 || size == 0 || used > size {
			continue
		}
		full := float64(used) / float64(size)
		name := t.at("3", index).Text()
		switch t.at("2", index).Text() {
		case storageFixed, storageFlash:
			if !virtual(name) && (math.IsNaN(h.storage) || full > h.storage) {
				h.storage, h.storageName = full, name
			}
		case storageRAM:
			// net-snmp gives kinds of use of the same memory rows of their own.
			if lower := strings.ToLower(name); math.IsNaN(h.memoryBytes) && !strings.Contains(lower, "buffer") && !strings.Contains(lower, "cache") && !strings.Contains(lower, "shared") {
				h.memoryBytes = float64(size) * float64(unit)
				if math.IsNaN(h.memory) {
					h.memory = full
				}
			}
		}
	}
}

// unsigned reads sizes above 2^31 units, which INTEGER has no room for and devices write below zero.
func unsigned(v ask.Value) uint64 {
	n, ok := v.Int()
	if !ok {
		return 0
	}
	return uint64(uint32(n))
}

// virtual reports whether a file system is none that anybody could fill: net-snmp calls them all fixed disks.
func virtual(name string) bool {
	for _, dir := range []string{"/dev", "/proc", "/run", "/sys", "/snap", "/var/run", "/var/lib/docker", "/rom", "/cdrom", "/media"} {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// memory asks net-snmp's own MIB: the standard one counts buffers and caches as used, so that every Linux machine is
// full.
func (r *reader) memory(h *health) {
	airOS := r.of("10002") || r.of("41112")
	got := values{}
	if math.IsNaN(h.cpu) || math.IsNaN(h.memory) || !math.IsNaN(h.memoryBytes) {
		got = r.scalars(ucdTotal, ucdAvail, ucdBuffer, ucdCached, ucdIdle)
	}
	if idle, ok := percent(got[ucdIdle]); ok && math.IsNaN(h.cpu) {
		h.cpu = 1 - idle
	}
	total, ok := got.number(ucdTotal, 1<<40)
	avail, ok2 := got.number(ucdAvail, 1<<40)
	buffer, _ := got.number(ucdBuffer, 1<<40)
	cached, _ := got.number(ucdCached, 1<<40)
	if airOS && !ok {
		got = r.scalars(frogTotal, frogFree, frogBuffer)
		total, ok = got.number(frogTotal, 1<<40)
		avail, ok2 = got.number(frogFree, 1<<40)
		buffer, _ = got.number(frogBuffer, 1<<40)
		cached = 0
	}
	if !ok || !ok2 || total <= 0 {
		return
	}
	if free := avail + buffer + cached; free <= total {
		h.memory = 1 - free/total
		h.memoryBytes = total * 1024
	}
}

// sensors looks for the hottest sensor. Values are decimals of precision digits, times a power of a thousand.
func (r *reader) sensors(h *health) {
	const isCelsius, units, isOK = 8, 9, 1
	t := r.walk("entPhySensorTable", entSensorTable, 8)
	for _, index := range t.indexes {
		kind, _ := t.at("1", index).Uint()
		scale, ok := t.at("2", index).Uint()
		precision, _ := t.at("3", index).Int()
		value, ok2 := t.at("4", index).Int()
		status, ok3 := t.at("5", index).Uint()
		if kind != isCelsius || !ok || !ok2 || scale > 17 || precision < -8 || precision > 9 || ok3 && status != isOK {
			continue
		}
		h.hotter(float64(value) * math.Pow(10, float64(3*(int(scale)-units))-float64(precision)))
	}
}
