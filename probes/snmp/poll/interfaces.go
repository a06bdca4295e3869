package poll

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/poll/counter"
)

// iface is what a poll saw of an interface.
type iface struct {
	index         string
	oper          uint64
	lastChange    uint64
	discontinuity uint64
	inOctets      counter.Reading
	outOctets     counter.Reading
	inPackets     [3]counter.Reading // unicast, multicast, broadcast; with 32 bits unicast and the rest
	outPackets    [3]counter.Reading
	errors        [4]counter.Reading // in and out errors, in and out discards
}

// Columns of ifTable (IF-MIB, RFC 2863) and of its extension ifXTable.
const (
	ifTable  ask.OID = "1.3.6.1.2.1.2.2.1"
	ifXTable ask.OID = "1.3.6.1.2.1.31.1.1.1"
	duplexes ask.OID = "1.3.6.1.2.1.10.7.2.1.19" // dot3StatsDuplexStatus (RFC 3635)

	ifColumns, ifXColumns = 22, 19

	typeOther, typeLoopback = 1, 24 // IANAifType
)

// interfaces reads the interfaces' rows and puts what is counted over them into device.
func (r *reader) interfaces(device *probes.Point, o Options, sys values, prev *State, restarted bool) []probes.Point {
	t := r.walk("ifTable", ifTable, ifColumns)
	x := r.walk("ifXTable", ifXTable, ifXColumns)
	if len(t.indexes) == 0 {
		return nil
	}
	duplex := r.column("dot3StatsTable", duplexes)
	slices.SortFunc(t.indexes, byIndex)
	r.agree(t, sys)
	if len(t.indexes) > r.rows { // the bound of a walk is one of cells, and a column without an end has as many rows
		t.indexes = t.indexes[:r.rows]
	}

	var last time.Duration
	if prev != nil {
		last = window(prev, r.state)
	}
	tags := names(t, x)
	var points []probes.Point
	total, up := 0, 0
	for _, index := range t.indexes {
		kind, kindKnown := t.at("3", index).Uint()
		connector, _ := x.at("17", index).Uint() // ifConnectorPresent; 1 is true
		if kind == typeLoopback || kind == typeOther && connector != 1 {
			continue
		}
		oper, operKnown := t.at("8", index).Uint()
		admin, adminKnown := t.at("7", index).Uint()
		if !kindKnown && !operKnown && !adminKnown && nameOf(t, x, index).Text() == "" {
			continue // a number and nothing else: a column that goes on where the table has ended
		}
		total++
		if oper == 1 {
			up++
		}
		tag := tags[index]
		is := reading(t, x, index)
		r.state.ifs[tag] = is
		if o.UpOnly && oper != 1 || o.Wanted != nil && !o.Wanted(tag) {
			continue
		}
		p := probes.Point{Measurement: "snmp_if", Tags: probes.Tags{{Key: "interface", Value: tag}}}
		addText(&p, "name", nameOf(t, x, index))
		addText(&p, "alias", x.at("18", index))
		add(&p, adminKnown, probes.Bool("admin_up", admin == 1))
		add(&p, operKnown, probes.Bool("oper_up", oper == 1))
		bps := speed(t, x, index)
		add(&p, bps > 0, probes.Float("speed_bps", bps))
		if d, ok := duplex.at("", index).Uint(); ok {
			switch d {
			case 1:
				p.Fields = append(p.Fields, probes.String("duplex", "unknown"))
			case 2:
				p.Fields = append(p.Fields, probes.String("duplex", "half"))
			case 3:
				p.Fields = append(p.Fields, probes.String("duplex", "full"))
			}
		}
		if prev != nil {
			if was, ok := prev.ifs[tag]; ok {
				changes(&p, was, is, bps, last, restarted)
			}
		}
		points = append(points, p)
	}
	device.Fields = append(device.Fields, probes.Int("interfaces", int64(total)), probes.Int("interfaces_up", int64(up)))
	return points
}

// agree notes a table that ended well and yet is incomplete: the device says that it has more interfaces, or a column
// that every interface has is shorter than another.
func (r *reader) agree(t table, sys values) {
	short := false
	if n, ok := sys.uint(oidIfNumber); ok && n <= uint64(r.rows) && uint64(len(t.indexes)) < n {
		short = true
	}
	for _, c := range []string{"2", "3", "7", "8"} {
		if n := len(t.cells[c]); n > 0 && n < len(t.indexes) {
			short = true
		}
	}
	if short && !t.partial {
		r.partial = append(r.partial, "ifTable")
	}
}

// nameOf is the name of an interface as the device writes it.
func nameOf(t, x table, index string) ask.Value {
	if v := x.at("1", index); v.Text() != "" {
		return v
	}
	return t.at("2", index)
}

// names makes the tag of each interface from its name. Interfaces whose names would get the same tag have their index
// behind it, each of them, so that who comes first does not matter.
func names(t, x table) map[string]string {
	tags := make(map[string]string, len(t.indexes))
	count := map[string]int{}
	for _, index := range t.indexes {
		tag := Tag(nameOf(t, x, index).Text())
		if tag == "" {
			tag = "if-" + index
		}
		tags[index] = tag
		count[tag]++
	}
	taken := map[string]bool{}
	for _, index := range t.indexes {
		if count[tags[index]] > 1 {
			tags[index] = Tag(clip(tags[index], 50) + "-" + clip(index, 12))
		}
		if taken[tags[index]] { // two long names, or one that looks like another's replacement
			tags[index] = "if-" + clip(index, 12)
		}
		taken[tags[index]] = true
	}
	return tags
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// Tag makes a name that a tag can hold (probes.CheckName) of one that a device uses: GigabitEthernet1/0/1 becomes
// gigabitethernet1-0-1. It is "" where nothing is left.
func Tag(name string) string {
	var b strings.Builder
	gap := false
	for _, c := range strings.ToLower(name) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(c)
		case (c == '.' || c == '_') && b.Len() > 0 && !gap:
			b.WriteRune(c)
		default:
			gap = true
		}
		if b.Len() >= 63 {
			break
		}
	}
	return clip(b.String(), 63)
}

// speed is the nominal speed in bit/s; 0 where the device does not know. ifSpeed can't say more than 4.3 Gbit/s, so
// ifHighSpeed (in Mbit/s) comes first, but many give 0 there for what is slower than a megabit.
func speed(t, x table, index string) float64 {
	if n, ok := x.at("15", index).Uint(); ok && n > 0 && n < 10_000_000 {
		return float64(n) * 1e6
	}
	if n, ok := t.at("5", index).Uint(); ok && n < 1<<32-1 {
		return float64(n)
	}
	return 0
}

// reading collects the counters of an interface, those of 64 bits where they are.
func reading(t, x table, index string) iface {
	get := func(t table, column string, bits uint8) counter.Reading {
		v := t.at(column, index)
		n, ok := v.Uint()
		if !ok || bits == 64 && v.Type != ask.Counter64 {
			return counter.Reading{}
		}
		return counter.Reading{Bits: bits, Value: n}
	}
	either := func(wide, narrow string) counter.Reading {
		w, n := get(x, wide, 64), get(t, narrow, 32)
		if w.Bits == 0 || w.Value == 0 && n.Value > 0 { // some have the 64-bit counters and never count in them
			return n
		}
		return w
	}
	is := iface{index: index,
		inOctets:  either("6", "10"),
		outOctets: either("10", "16"),
		errors:    [4]counter.Reading{get(t, "14", 32), get(t, "20", 32), get(t, "13", 32), get(t, "19", 32)},
	}
	is.inPackets = [3]counter.Reading{get(x, "7", 64), get(x, "8", 64), get(x, "9", 64)}
	if is.inPackets[0].Bits == 0 {
		is.inPackets = [3]counter.Reading{get(t, "11", 32), get(t, "12", 32), {}}
	}
	is.outPackets = [3]counter.Reading{get(x, "11", 64), get(x, "12", 64), get(x, "13", 64)}
	if is.outPackets[0].Bits == 0 {
		is.outPackets = [3]counter.Reading{get(t, "17", 32), get(t, "18", 32), {}}
	}
	is.oper, _ = t.at("8", index).Uint()
	is.lastChange, _ = t.at("9", index).Uint()
	is.discontinuity, _ = x.at("19", index).Uint()
	return is
}

// changes gives what happened on an interface since the poll before.
func changes(p *probes.Point, was, is iface, bps float64, d time.Duration, restarted bool) {
	moved := is.oper != was.oper
	if !restarted && is.lastChange != was.lastChange {
		moved = true
	}
	p.Fields = append(p.Fields, probes.Bool("changed", moved))

	anew := restarted || is.index != was.index || is.discontinuity != was.discontinuity
	if d < time.Second { // nothing can be divided by that
		if anew {
			p.Fields = append(p.Fields, probes.Bool("counters_reset", true))
		}
		return
	}
	var fields []probes.Field
	count := func(key string, was, is counter.Reading) {
		n, v := counter.Since(was, is, counter.Packets(bps, is.Bits, d))
		anew = anew || v == counter.Reset
		if v == counter.Counted {
			fields = append(fields, probes.Int(key, int64(n)))
		}
	}
	rate := func(key, use string, was, is counter.Reading) {
		n, v := counter.Since(was, is, counter.Octets(bps, is.Bits, d))
		anew = anew || v == counter.Reset
		if v != counter.Counted {
			return
		}
		r := float64(n) * 8 / d.Seconds()
		fields = append(fields, probes.Float(key, r))
		if bps > 0 {
			fields = append(fields, probes.Float(use, min(r/bps, 1)))
		}
	}
	sum := func(key string, was, is [3]counter.Reading) {
		total, ok := int64(0), false
		for i := range is {
			n, v := counter.Since(was[i], is[i], counter.Packets(bps, is[i].Bits, d))
			anew = anew || v == counter.Reset
			if v == counter.Unknown && (is[i].Bits != 0 || was[i].Bits != 0) {
				return
			}
			if v == counter.Counted {
				total, ok = total+int64(n), true
			}
		}
		if ok {
			fields = append(fields, probes.Int(key, total))
		}
	}
	rate("in_bps", "in_use_ratio", was.inOctets, is.inOctets)
	rate("out_bps", "out_use_ratio", was.outOctets, is.outOctets)
	rated := len(fields) > 0
	sum("in_packets", was.inPackets, is.inPackets)
	sum("out_packets", was.outPackets, is.outPackets)
	for i, key := range []string{"in_errors", "out_errors", "in_discards", "out_discards"} {
		count(key, was.errors[i], is.errors[i])
	}
	p.Fields = append(p.Fields, probes.Bool("counters_reset", anew))
	if anew {
		return
	}
	p.Fields = append(p.Fields, fields...)
	if rated {
		p.Fields = append(p.Fields, probes.Int("counter_bits", int64(max(is.inOctets.Bits, is.outOctets.Bits))))
	}
	if len(fields) > 0 {
		p.Fields = append(p.Fields, probes.Seconds("window_seconds", d))
	}
}

// Columns of the LLDP-MIB (IEEE 802.1AB): the neighbours, by time mark, local port and number, and the local ports.
const (
	lldpRemTable     ask.OID = "1.0.8802.1.1.2.1.4.1.1"
	lldpLocPortTable ask.OID = "1.0.8802.1.1.2.1.3.7.1"
	lldpRemColumns           = 12
	maxNeighbours            = 128 // rows given; an office has a dozen
)

// neighbours reads the LLDP neighbours.
func (r *reader) neighbours(device *probes.Point) []probes.Point {
	t := r.walk("lldpRemTable", lldpRemTable, lldpRemColumns)
	if len(t.indexes) == 0 {
		return nil
	}
	ports := r.walk("lldpLocPortTable", lldpLocPortTable, 4)
	device.Fields = append(device.Fields, probes.Int("neighbours", int64(len(t.indexes))))
	var points []probes.Point
	taken := map[string]bool{}
	for _, index := range t.indexes {
		if len(points) == maxNeighbours {
			break
		}
		arcs := strings.Split(index, ".") // time mark, local port number, number
		if len(arcs) != 3 {
			continue
		}
		local := Tag(ports.at("3", arcs[1]).Text()) // lldpLocPortId: mostly the interface's name
		if _, known := r.state.ifs[local]; !known {
			if tag := Tag(ports.at("4", arcs[1]).Text()); tag != "" { // lldpLocPortDesc
				if _, known := r.state.ifs[tag]; known || local == "" {
					local = tag
				}
			}
		}
		local = cmp.Or(local, "port-"+clip(arcs[1], 10))
		chassis, port := identifier(t.at("4", index), t.at("5", index), macChassis), identifier(t.at("6", index), t.at("7", index), macPort)
		p := probes.Point{Measurement: "snmp_neighbour", Tags: probes.Tags{
			{Key: "interface", Value: local}, {Key: "neighbour", Value: strconv.FormatUint(uint64(hash(chassis, port)), 16)}}}
		if key := local + " " + p.Tags[1].Value; taken[key] {
			continue
		} else {
			taken[key] = true
		}
		add(&p, chassis != "", probes.String("chassis_id", chassis))
		add(&p, port != "", probes.String("port_id", port))
		addText(&p, "port_descr", t.at("8", index))
		addText(&p, "sys_name", t.at("9", index))
		addText(&p, "sys_descr", t.at("10", index))
		if len(p.Fields) > 0 {
			points = append(points, p)
		}
	}
	return points
}
