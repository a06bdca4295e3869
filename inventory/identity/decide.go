package identity

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/inventory"
)

// recently is how long a device that fell silent is taken to be still where it was, when another one shows one of its
// identifiers: a device that is carried to another commune is away for longer than a night.
const recently = 24 * time.Hour

// Index finds known devices by what identifies them. It is not safe for concurrent use.
type Index struct {
	devices map[string]Device
	keys    map[string][]string // "serial X", "hardware aa:..", "place ..." -> ids, sorted
}

// NewIndex returns an index of devices.
func NewIndex(devices []Device) *Index {
	x := &Index{devices: map[string]Device{}, keys: map[string][]string{}}
	for _, d := range devices {
		x.Put(d)
	}
	return x
}

// Put adds a device, or replaces the one with its ID.
func (x *Index) Put(d Device) {
	x.Remove(d.ID)
	x.devices[d.ID] = d
	for _, key := range keysOf(d) {
		ids := x.keys[key]
		if at, found := slices.BinarySearch(ids, d.ID); !found {
			x.keys[key] = slices.Insert(ids, at, d.ID)
		}
	}
}

// Remove takes a device out, as after it was joined to another.
func (x *Index) Remove(id string) {
	d, ok := x.devices[id]
	if !ok {
		return
	}
	delete(x.devices, id)
	for _, key := range keysOf(d) {
		ids := slices.DeleteFunc(x.keys[key], func(other string) bool { return other == id })
		if x.keys[key] = ids; len(ids) == 0 {
			delete(x.keys, key)
		}
	}
}

// Device returns a known device.
func (x *Index) Device(id string) (Device, bool) { d, ok := x.devices[id]; return d, ok }

// keysOf lists what a device may be found by.
func keysOf(d Device) []string {
	var keys []string
	add := func(kind string, values ...string) {
		for _, v := range values {
			keys = append(keys, kind+" "+v)
		}
	}
	add("serial", d.Serials...)
	add("hardware", d.ChassisIDs...)
	add("hardware", d.MACs...)
	add("engine", d.EngineIDs...)
	if d.Check != "" {
		add("place", strings.Join([]string{d.Site, d.Agent, d.Check, d.Tag}, "\x00"))
	}
	if d.Address != "" {
		add("address", d.Site+"\x00"+d.Address)
	}
	return keys
}

// seen is a sighting as a device, so that the two can be compared.
func seen(s Sighting) Device {
	d := Device{Site: s.Site, Agent: s.Agent, Check: s.Check, Tag: s.Device, Address: normalAddress(s.Address), LastSeen: s.At}
	best := map[string]Fact{}
	for _, f := range s.Facts {
		b, ok := best[f.Name]
		if f.Confidence < MinConfidence || f.Value == "" || ok && f.Confidence < b.Confidence {
			continue
		}
		if !ok || f.Confidence > b.Confidence || f.Value < b.Value { // whatever order they come in
			best[f.Name] = f
		}
	}
	d.Vendor, d.Model, d.Class, d.SysName = best["vendor"].Value, best["model"].Value, best["class"].Value, best["name"].Value
	if d.Address == "" {
		d.Address = normalAddress(best["address"].Value)
	}
	model := ModelKey(d.Vendor, d.Model)
	for _, f := range s.Facts {
		if f.Confidence < MinConfidence {
			continue
		}
		switch f.Name {
		case "serial":
			for _, one := range strings.FieldsFunc(f.Value, func(r rune) bool { return r == ',' || r == ';' || r == '\n' }) {
				if n := NormalSerial(one); TrustedSerial(n) && n != model {
					d.Serials = with(d.Serials, n)
				}
			}
		case "mac":
			if n := NormalMAC(f.Value); TrustedMAC(n) {
				d.MACs = with(d.MACs, n)
			}
		case "chassis_id":
			if n := NormalMAC(f.Value); TrustedMAC(n) {
				d.ChassisIDs = with(d.ChassisIDs, n)
			}
		case "engine_id":
			if n := NormalEngineID(f.Value); TrustedEngineID(n) {
				d.EngineIDs = with(d.EngineIDs, n)
			}
		}
	}
	return d
}

// with adds a value to a sorted list, within bounds.
func with(list []string, v string) []string {
	at, found := slices.BinarySearch(list, v)
	if found || len(list) >= maxPerKind {
		return list
	}
	return slices.Insert(slices.Clone(list), at, v)
}

// common returns a value that both sorted lists have, or "".
func common(a, b []string) string {
	for _, v := range a {
		if _, found := slices.BinarySearch(b, v); found {
			return v
		}
	}
	return ""
}

// Learn returns the device with what a sighting of it adds. For a new device, pass one with its ID alone.
func (d Device) Learn(s Sighting) Device {
	n := seen(s)
	for _, v := range n.Serials {
		d.Serials = with(d.Serials, v)
	}
	for _, v := range n.ChassisIDs {
		d.ChassisIDs = with(d.ChassisIDs, v)
	}
	for _, v := range n.MACs {
		d.MACs = with(d.MACs, v)
	}
	for _, v := range n.EngineIDs {
		d.EngineIDs = with(d.EngineIDs, v)
	}
	newer := !n.LastSeen.Before(d.LastSeen)
	for _, text := range []struct {
		known *string
		now   string
	}{{&d.Vendor, n.Vendor}, {&d.Model, n.Model}, {&d.Class, n.Class}, {&d.SysName, n.SysName}, {&d.Address, n.Address}} {
		if text.now != "" && (newer || *text.known == "") {
			*text.known = text.now
		}
	}
	if newer {
		d.Site, d.Agent, d.Check, d.Tag, d.LastSeen = n.Site, n.Agent, n.Check, n.Tag, n.LastSeen
	}
	return d
}

// Decide says which of the known devices a sighting is of.
func Decide(known []Device, s Sighting) Decision { return NewIndex(known).Decide(s) }

// Decide says which known device a sighting is of.
func (x *Index) Decide(s Sighting) Decision {
	now := seen(s)
	interval := s.Interval
	if interval <= 0 {
		interval = DefaultInterval
	}
	ids := map[string]bool{}
	for _, key := range keysOf(now) {
		for _, id := range x.keys[key] {
			ids[id] = true
		}
	}
	var fits []fit
	var decision Decision
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		f := compare(x.devices[id], now, interval)
		decision.Conflicts = append(decision.Conflicts, f.conflicts...)
		if f.rank > 0 {
			fits = append(fits, f)
		} else if f.replaced {
			decision.Replaces = id
		}
	}
	if len(fits) == 0 {
		decision.Kind, decision.Reason, decision.Confidence = KindNew, ReasonUnknown, 0.9
		switch {
		case len(decision.Conflicts) > 0:
			decision.Reason, decision.Confidence = ReasonApart, 0.6
		case decision.Replaces != "":
			decision.Reason = ReasonReplaced
		}
		return decision
	}
	slices.SortStableFunc(fits, func(a, b fit) int { return b.order() - a.order() })
	best := fits[0]
	if len(fits) > 1 && fits[1].order() == best.order() {
		decision.Kind, decision.Reason = KindAmbiguous, ReasonManyFit
		for _, f := range fits {
			if f.order() == best.order() {
				decision.Candidates = append(decision.Candidates, f.device.ID)
			}
		}
		slices.Sort(decision.Candidates)
		decision.Confidence = 1 / float64(len(decision.Candidates))
		return decision
	}
	decision.Kind, decision.Device, decision.Reason, decision.Confidence = KindSame, best.device.ID, best.reason, best.confidence
	if best.device.Site != now.Site {
		decision.MovedFrom = best.device.Site
	}
	if best.device.Address != "" && now.Address != "" && best.device.Address != now.Address {
		decision.AddressedBefore = best.device.Address
	}
	var joins []fit
	for _, f := range fits[1:] {
		if f.joins(best) {
			joins = append(joins, f)
		} else if c := f.conflict("other"); c != nil {
			decision.Conflicts = append(decision.Conflicts, *c)
		}
	}
	for _, f := range joins {
		// Two that can't be one another can't both be the third.
		if slices.ContainsFunc(joins, func(other fit) bool { return !sameSerials(f.device, other.device) }) {
			if c := f.conflict("other"); c != nil {
				decision.Conflicts = append(decision.Conflicts, *c)
			}
			continue
		}
		decision.Joins = append(decision.Joins, f.device.ID)
	}
	slices.Sort(decision.Joins)
	return decision
}

// fit is how well a known device fits a sighting.
type fit struct {
	device     Device
	rank       int // of reason, 0: it does not fit
	reason     Reason
	confidence float64
	replaced   bool // it stood at the place of the sighting, and is another device
	conflicts  []Conflict

	serial, chassis, hardware, engine string // identifiers that both have; "" for none
	samePlace, sameAddress            bool
}

// order sorts fits: by reason, and among equals by what else agrees.
func (f fit) order() int {
	n := f.rank * 100
	for i, agrees := range []bool{f.hardware != "", f.engine != "", f.samePlace, f.sameAddress} {
		if agrees {
			n += 16 >> i
		}
	}
	return n
}

// joins reports whether f is shown to be the same device as best by a sighting that fits both.
func (f fit) joins(best fit) bool {
	if f.rank < rankMAC && !(f.samePlace && f.serial != "") || f.rank == rankSerial {
		return false // two entries with one serial were kept apart for a reason
	}
	return sameSerials(f.device, best.device)
}

// sameSerials reports whether the serials of two devices allow them to be one.
func sameSerials(a, b Device) bool {
	return len(a.Serials) == 0 || len(b.Serials) == 0 || common(a.Serials, b.Serials) != ""
}

// conflict names the identifier that f shares with the sighting.
func (f fit) conflict(why string) *Conflict {
	switch {
	case f.serial != "":
		return &Conflict{ConflictSerial, f.device.ID, f.serial, why}
	case f.chassis != "":
		return &Conflict{ConflictChassis, f.device.ID, f.chassis, why}
	case f.hardware != "":
		return &Conflict{ConflictMAC, f.device.ID, f.hardware, why}
	case f.engine != "":
		return &Conflict{ConflictEngine, f.device.ID, f.engine, why}
	}
	return nil
}

const (
	rankAddress = iota + 1
	rankPlace
	rankEngine
	rankMAC
	rankChassis
	rankSerial
)

// compare judges one known device.
func compare(known, now Device, interval time.Duration) fit {
	f := fit{device: known}
	hardware, hardwareNow := union(known.ChassisIDs, known.MACs), union(now.ChassisIDs, now.MACs)
	f.chassis = common(known.ChassisIDs, now.ChassisIDs)
	f.hardware = common(hardware, hardwareNow)
	f.engine = common(known.EngineIDs, now.EngineIDs)
	f.samePlace = now.Check != "" && known.Site == now.Site && known.Agent == now.Agent && known.Check == now.Check && known.Tag == now.Tag
	f.sameAddress = now.Address != "" && known.Site == now.Site && known.Address == now.Address
	vendor, vendorNow := VendorKey(known.Vendor), VendorKey(now.Vendor)
	sameVendor := vendor != "" && vendor == vendorNow
	otherVendor := vendor != "" && vendorNow != "" && vendor != vendorNow
	model, modelNow := ModelKey(known.Vendor, known.Model), ModelKey(now.Vendor, now.Model)
	sameModel := model != "" && modelNow != "" && (strings.Contains(model, modelNow) || strings.Contains(modelNow, model))
	otherModel := model != "" && modelNow != "" && !sameModel
	sameName := known.SysName != "" && inventory.Fold(known.SysName) == inventory.Fold(now.SysName)
	serial := common(known.Serials, now.Serials)
	otherSerial := serial == "" && len(known.Serials) > 0 && len(now.Serials) > 0
	otherHardware := f.hardware == "" && len(hardware) > 0 && len(hardwareNow) > 0 &&
		!(serial == "" && manyPorts(known.Class, now.Class) && near(hardware, hardwareNow))
	apart := now.LastSeen.Sub(known.LastSeen).Abs()
	elsewhere := !f.samePlace && (known.Site != now.Site || known.Address != now.Address)
	together := elsewhere && apart < interval
	if serial != "" && !otherVendor {
		f.serial = serial
	}
	is := func(rank int, reason Reason, confidence float64) fit {
		f.rank, f.reason, f.confidence = rank, reason, confidence
		return f
	}
	isNot := func(why string) fit {
		if c := f.conflict(why); c != nil {
			f.conflicts = []Conflict{*c}
		}
		f.replaced = f.samePlace || f.sameAddress && known.Agent == now.Agent && known.Check == now.Check && known.Class == now.Class
		return f
	}

	if serial != "" && sameVendor {
		switch {
		case f.samePlace || f.hardware != "" || f.engine != "" && !otherHardware && !together:
			return is(rankSerial, ReasonSerial, 0.99)
		case f.sameAddress:
			return is(rankSerial, ReasonSerial, 0.95)
		case otherHardware && apart < recently:
			return isNot("hardware")
		case otherModel && apart < recently:
			return isNot("model")
		case together && sameName && sameModel: // one device with two addresses; a copy has the name too, but rarely the serial
			return is(rankSerial, ReasonSerial, 0.8)
		case together:
			return isNot("together")
		case otherHardware || otherModel:
			return is(rankSerial, ReasonSerial, 0.85)
		}
		return is(rankSerial, ReasonSerial, 0.97)
	}
	if otherSerial {
		return isNot("serial")
	}
	if f.hardware != "" {
		if together && known.Site != now.Site { // one segment that reaches two offices, or a copied address
			return isNot("together")
		}
		if f.chassis != "" {
			return is(rankChassis, ReasonChassis, 0.95)
		}
		return is(rankMAC, ReasonMAC, 0.9)
	}
	if otherHardware && !(f.samePlace && serial != "") {
		return isNot("hardware")
	}
	if f.engine != "" && sameVendor && sameModel {
		switch {
		case f.samePlace || f.sameAddress:
			return is(rankEngine, ReasonEngine, 0.85)
		case together || known.Site != now.Site && apart < recently:
			return isNot("together")
		}
		return is(rankEngine, ReasonEngine, 0.8)
	}
	if otherVendor && serial == "" {
		return isNot("vendor")
	}
	if f.samePlace {
		if otherModel && !sameName && f.engine == "" && serial == "" {
			return isNot("model")
		}
		return is(rankPlace, ReasonPlace, 0.6)
	}
	// Another check of the same address at the same site. At the same time it can only be one device; later only if
	// it is also of the same make, since addresses are handed out anew.
	if f.sameAddress && !otherModel && (apart < interval || apart < recently && (sameVendor || sameModel)) {
		return is(rankAddress, ReasonAddress, 0.4)
	}
	return f
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// manyPorts reports whether a device is of a class that has a MAC address per port: what is seen of it is one of them,
// and what it tells of itself another.
func manyPorts(classes ...string) bool {
	return slices.ContainsFunc(classes, func(c string) bool {
		return slices.Contains([]string{"router", "switch", "firewall", "access_point", "wireless_controller", "nas", "server"}, c)
	})
}

// near reports whether some address of a is in the same block of 64 as one of b, as the ports of one device are.
func near(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x[:15] == y[:15] && hexByte(x[15:])/64 == hexByte(y[15:])/64 {
				return true
			}
		}
	}
	return false
}

// hexByte reads two hex digits; -1 for anything else.
func hexByte(s string) int {
	n, err := strconv.ParseUint(s, 16, 8)
	if err != nil {
		return -1
	}
	return int(n)
}

// Join returns d with what is known of another entry for the same device. Where both know something, the one seen last
// is right.
func (d Device) Join(other Device) Device {
	older, newer := other, d
	if d.LastSeen.Before(other.LastSeen) {
		older, newer = d, other
	}
	out := newer
	out.ID = d.ID
	for _, text := range []struct{ now, before *string }{{&out.Vendor, &older.Vendor}, {&out.Model, &older.Model},
		{&out.Class, &older.Class}, {&out.SysName, &older.SysName}, {&out.Address, &older.Address}} {
		if *text.now == "" {
			*text.now = *text.before
		}
	}
	for _, list := range []struct{ now, before *[]string }{{&out.Serials, &older.Serials}, {&out.ChassisIDs, &older.ChassisIDs},
		{&out.MACs, &older.MACs}, {&out.EngineIDs, &older.EngineIDs}} {
		for _, v := range *list.before {
			*list.now = with(*list.now, v)
		}
	}
	return out
}
