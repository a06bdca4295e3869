package poll

import (
	"math"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
)

// power is what is known of a UPS; not-a-number and zero where nothing is.
type power struct {
	onBattery, onBatteryKnown        bool
	status                           string
	replace, replaceKnown            bool
	onSeconds, charge, runtime, load float64
	input, output, celsius, alarms   float64
}

var batteryStatus = [...]string{1: "unknown", 2: "normal", 3: "low", 4: "depleted"}

func newPower() power {
	nan := math.NaN()
	return power{onSeconds: nan, charge: nan, runtime: nan, load: nan, input: nan, output: nan, celsius: nan, alarms: nan}
}

// ups reads a UPS: by the maker's own MIB where the device is one of a maker that has one, since it says more, else by
// UPS-MIB (RFC 1628).
func (r *reader) ups() []probes.Point {
	u := newPower()
	ok := false
	switch {
	case r.of("318"):
		ok = r.apc(&u)
	case r.of("3808"):
		ok = r.cyberPower(&u)
	case r.of("534"), r.of("705"):
		ok = r.eaton(&u)
	}
	if !ok {
		u = newPower()
		ok = r.standardUPS(&u)
	}
	if !ok {
		return nil
	}
	p := probes.Point{Measurement: "snmp_ups"}
	add(&p, u.onBatteryKnown, probes.Bool("on_battery", u.onBattery))
	add(&p, u.status != "", probes.String("battery_status", u.status))
	add(&p, u.replaceKnown, probes.Bool("battery_replace", u.replace))
	for _, f := range []probes.Field{
		probes.Float("on_battery_seconds", u.onSeconds), probes.Float("charge_ratio", u.charge), probes.Float("runtime_seconds", u.runtime),
		probes.Float("load_ratio", u.load), probes.Float("input_volts", u.input), probes.Float("output_volts", u.output),
		probes.Float("battery_celsius", u.celsius),
	} {
		add(&p, !math.IsNaN(f.Num), f)
	}
	add(&p, !math.IsNaN(u.alarms), probes.Int("alarms", int64(u.alarms)))
	if len(p.Fields) == 0 {
		return nil
	}
	return []probes.Point{p}
}

// set writes a scaled value that is at most limit, before scaling.
func (v values) set(to *float64, oid ask.OID, scale float64, limit uint64) {
	if n, ok := v.number(oid, limit); ok {
		*to = n * scale
	}
}

// state writes one of a list of names.
func (v values) battery(to *string, oid ask.OID) {
	if n, ok := v.uint(oid); ok && n > 0 && n < uint64(len(batteryStatus)) {
		*to = batteryStatus[n]
	}
}

// lines reads a column of voltages or loads, and keeps what best says of two.
func (r *reader) lines(name string, oid ask.OID, scale float64, limit uint64, best func(a, b float64) float64) float64 {
	out := math.NaN()
	for _, v := range r.column(name, oid).cells[""] {
		if n, ok := v.Uint(); ok && n <= limit {
			if f := float64(n) * scale; math.IsNaN(out) {
				out = f
			} else {
				out = best(out, f)
			}
		}
	}
	return out
}

const (
	maxVolts   = 1000
	maxLoad    = 300 // percent; an overloaded UPS is above 100
	maxDegrees = 150
	maxMinutes = 7 * 24 * 60
)

// standardUPS reads UPS-MIB.
func (r *reader) standardUPS(u *power) bool {
	const mib = "1.3.6.1.2.1.33.1."
	if _, missing := r.state.missing[mib+"2"]; missing {
		return false
	}
	got := r.scalars(mib+"2.1.0", mib+"2.2.0", mib+"2.3.0", mib+"2.4.0", mib+"2.7.0", mib+"4.1.0", mib+"6.1.0")
	if len(got) == 0 {
		if r.lost == nil {
			r.state.missing[mib+"2"] = r.now.Add(missingFor)
		}
		return false
	}
	got.battery(&u.status, mib+"2.1.0")
	got.set(&u.onSeconds, mib+"2.2.0", 1, 1<<31)
	got.set(&u.runtime, mib+"2.3.0", 60, maxMinutes)
	got.set(&u.charge, mib+"2.4.0", 0.01, 100)
	got.set(&u.celsius, mib+"2.7.0", 1, maxDegrees)
	got.set(&u.alarms, mib+"6.1.0", 1, 1000)
	const otherSource, battery = 1, 5
	if source, ok := got.uint(mib + "4.1.0"); ok && source > otherSource { // upsOutputSource
		u.onBattery, u.onBatteryKnown = source == battery, true
	} else if !math.IsNaN(u.onSeconds) {
		u.onBattery, u.onBatteryKnown = u.onSeconds > 0, true
	}
	u.input = r.lines("upsInputTable", mib+"3.3.1.3", 1, maxVolts, math.Min)
	u.output = r.lines("upsOutputTable", mib+"4.4.1.2", 1, maxVolts, math.Min)
	u.load = r.lines("upsOutputTable", mib+"4.4.1.5", 0.01, maxLoad, math.Max)
	return u.status != "" || u.onBatteryKnown
}

// apc reads PowerNet-MIB: upsBasicBattery, upsAdvBattery, upsAdvInput, upsBasicOutput, upsAdvOutput.
func (r *reader) apc(u *power) bool {
	const mib = "1.3.6.1.4.1.318.1.1.1."
	got := r.scalars(mib+"2.1.1.0", mib+"2.1.2.0", mib+"2.2.1.0", mib+"2.2.2.0", mib+"2.2.3.0", mib+"2.2.4.0",
		mib+"3.2.1.0", mib+"4.1.1.0", mib+"4.2.1.0", mib+"4.2.3.0")
	if n, ok := got.uint(mib + "2.1.1.0"); ok && n >= 1 && n <= 3 { // 4 is a fault of the battery, which is not its charge
		u.status = batteryStatus[n]
	}
	got.set(&u.onSeconds, mib+"2.1.2.0", 0.01, math.MaxUint32)
	got.set(&u.charge, mib+"2.2.1.0", 0.01, 100)
	got.set(&u.celsius, mib+"2.2.2.0", 1, maxDegrees)
	got.set(&u.runtime, mib+"2.2.3.0", 0.01, math.MaxUint32)
	got.set(&u.input, mib+"3.2.1.0", 1, maxVolts)
	got.set(&u.output, mib+"4.2.1.0", 1, maxVolts)
	got.set(&u.load, mib+"4.2.3.0", 0.01, maxLoad)
	return u.basic(got, mib+"4.1.1.0", mib+"2.2.4.0")
}

// cyberPower reads CPS-MIB, which follows APC's with tenths of volts.
func (r *reader) cyberPower(u *power) bool {
	const mib = "1.3.6.1.4.1.3808.1.1.1."
	got := r.scalars(mib+"2.1.1.0", mib+"2.1.2.0", mib+"2.2.1.0", mib+"2.2.3.0", mib+"2.2.4.0", mib+"2.2.5.0",
		mib+"3.2.1.0", mib+"4.1.1.0", mib+"4.2.1.0", mib+"4.2.3.0")
	if n, ok := got.uint(mib + "2.1.1.0"); ok && n >= 1 && n <= 3 {
		u.status = batteryStatus[n]
	}
	got.set(&u.onSeconds, mib+"2.1.2.0", 0.01, math.MaxUint32)
	got.set(&u.charge, mib+"2.2.1.0", 0.01, 100)
	got.set(&u.celsius, mib+"2.2.3.0", 1, maxDegrees)
	got.set(&u.runtime, mib+"2.2.4.0", 0.01, math.MaxUint32)
	got.set(&u.input, mib+"3.2.1.0", 0.1, 10*maxVolts)
	got.set(&u.output, mib+"4.2.1.0", 0.1, 10*maxVolts)
	got.set(&u.load, mib+"4.2.3.0", 0.01, maxLoad)
	return u.basic(got, mib+"4.1.1.0", mib+"2.2.5.0")
}

// basic reads what the MIBs of APC and CyberPower have in common: the state of the output (1 is unknown, 2 on line, 3
// on battery) and whether the battery is to be replaced (1 no, 2 yes).
func (u *power) basic(got values, output, replace ask.OID) bool {
	if n, ok := got.uint(output); ok && n > 1 {
		u.onBattery, u.onBatteryKnown = n == 3, true
	}
	if n, ok := got.uint(replace); ok && (n == 1 || n == 2) {
		u.replace, u.replaceKnown = n == 2, true
	}
	return u.status != "" || u.onBatteryKnown
}

// eaton reads XUPS-MIB.
func (r *reader) eaton(u *power) bool {
	const mib = "1.3.6.1.4.1.534.1."
	got := r.scalars(mib+"2.1.0", mib+"2.4.0", mib+"4.1.0", mib+"4.5.0", mib+"7.1.0")
	got.set(&u.runtime, mib+"2.1.0", 1, 60*maxMinutes)
	got.set(&u.charge, mib+"2.4.0", 0.01, 100)
	got.set(&u.load, mib+"4.1.0", 0.01, maxLoad)
	got.set(&u.alarms, mib+"7.1.0", 1, 1000)
	const battery = 5
	if source, ok := got.uint(mib + "4.5.0"); ok && source > 1 { // xupsOutputSource
		u.onBattery, u.onBatteryKnown = source == battery, true
	}
	if !u.onBatteryKnown {
		return false
	}
	u.input = r.lines("xupsInputTable", mib+"3.4.1.2", 1, maxVolts, math.Min)
	u.output = r.lines("xupsOutputTable", mib+"4.4.1.2", 1, maxVolts, math.Min)
	return true
}
