package poll

import (
	"cmp"
	"slices"
	"strconv"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
)

// endpoint reads a conference endpoint as far as its MIB is known: Poly's with POLYCOM-ENDPOINT-MIB, Cisco's with
// CISCO-TELEPRESENCE-MIB. Others (Huawei TE, Yealink, Cisco's newer codecs) tell nothing of calls over SNMP.
func (r *reader) endpoint() []probes.Point {
	p := probes.Point{Measurement: "snmp_endpoint"}
	switch {
	case r.of("13885"), r.of("2684"):
		r.poly(&p)
	case r.of("9"), r.of("5596"):
		r.telepresence(&p)
	}
	if len(p.Fields) == 0 {
		return nil
	}
	return []probes.Point{p}
}

// worst keeps the largest of some values.
type worst struct {
	value float64
	known bool
}

func (w *worst) add(v ask.Value, scale float64, most uint64) {
	if n, ok := v.Uint(); ok && n <= most {
		w.value, w.known = max(w.value, float64(n)*scale), true
	}
}

// media is what streams of a call suffer.
type media struct{ inLoss, outLoss, jitter, latency worst }

func (m media) into(p *probes.Point) {
	add(p, m.inLoss.known, probes.Float("in_loss_ratio", m.inLoss.value))
	add(p, m.outLoss.known, probes.Float("out_loss_ratio", m.outLoss.value))
	add(p, m.jitter.known, probes.Float("jitter_seconds", m.jitter.value))
	add(p, m.latency.known, probes.Float("latency_seconds", m.latency.value))
}

// maxCalls bounds the calls at once that are looked into; an endpoint with a bridge of its own has a few.
const maxCalls = 8

// passing reads a column of what comes and goes. That calls are not there now says nothing about later.
func (r *reader) passing(name string, root ask.OID) table {
	t := r.column(name, root)
	delete(r.state.missing, root)
	delete(r.state.has, root)
	return t
}

// poly reads POLYCOM-ENDPOINT-MIB. All its states are 1 disabled, 2 ok, 3 failed. Its jitter and latency have no unit, so
// they are left alone.
func (r *reader) poly(p *probes.Point) {
	const (
		mib                         = ask.OID("1.3.6.1.4.1.13885.101.1.")
		h323, h323Registration, sip = mib + "2.7.1.0", mib + "2.7.2.0", mib + "2.8.1.0"
		sipRegistration             = mib + "2.8.3.1.2" // serviceSipRegistrationStatus
		microphone, camera          = mib + "3.5.1.0", mib + "3.6.1.0"
		conferences                 = mib + "5.1.0"   // conferenceNumberActiveConferences
		callID                      = mib + "4.1.1.2" // callActiveCallsCallID
		lostIn, lostOut             = mib + "4.1.1.16", mib + "4.1.1.17"

		disabled, fine, failed = 1, 2, 3
	)
	got := r.scalars(h323, h323Registration, sip, microphone, camera, conferences)
	if len(got) == 0 {
		return
	}
	state := func(v ask.Value) uint64 { n, _ := v.Uint(); return n }
	registration := func(key string, service uint64, registrations ...uint64) {
		names := map[uint64]string{disabled: "disabled", fine: "registered", failed: "failed"}
		if service != fine {
			add(p, names[service] != "", probes.String(key, names[service]))
			return
		}
		for _, n := range []uint64{fine, failed, disabled} { // of several lines the best; disabled: meant to do without
			if slices.Contains(registrations, n) {
				p.Fields = append(p.Fields, probes.String(key, names[n]))
				return
			}
		}
	}
	registration("h323", state(got[h323]), state(got[h323Registration]))
	var lines []uint64
	if state(got[sip]) == fine {
		for _, v := range r.column("serviceSipRegistrationTable", sipRegistration).cells[""] {
			lines = append(lines, state(v))
		}
	}
	registration("sip", state(got[sip]), lines...)

	calls := r.passing("callActiveCallsTable", callID).indexes
	running, told := got.uint(conferences)
	add(p, len(calls) > 0 || told, probes.Bool("in_call", len(calls) > 0 || running > 0))
	var m media
	for _, call := range calls[:min(len(calls), maxCalls)] {
		index := "." + ask.OID(call)
		lost := r.scalars(lostIn+index, lostOut+index)
		m.inLoss.add(lost[lostIn+index], 0.01, 100) // percent
		m.outLoss.add(lost[lostOut+index], 0.01, 100)
	}
	m.into(p)
	for _, part := range []struct {
		key string
		oid ask.OID
	}{{"camera", camera}, {"microphone", microphone}} {
		switch state(got[part.oid]) {
		case fine:
			p.Fields = append(p.Fields, probes.String(part.key, "ok"))
		case failed:
			p.Fields = append(p.Fields, probes.String(part.key, "failed"))
		}
	}
}

// telepresence reads CISCO-TELEPRESENCE-MIB and CISCO-TELEPRESENCE-CALL-MIB.
func (r *reader) telepresence(p *probes.Point) {
	const (
		peripherals = ask.OID("1.3.6.1.4.1.9.9.643.1.2.1.1") // ctpPeripheralStatusTable: status 3, category 4
		mib         = ask.OID("1.3.6.1.4.1.9.9.644.1.")
		activeIndex = mib + "2.5.0"     // ctpcActiveMgmtSysIndex
		connection  = mib + "2.6.1.4"   // ctpcMgmtSysConnStatus
		totalCalls  = mib + "4.3.0"     // ctpcStatTotalCalls
		callState   = mib + "4.8.1.11"  // ctpcState
		latency     = mib + "4.9.1.2"   // ctpcAvgPeriodLatency, by call and medium, milliseconds there and back
		txLost      = mib + "4.10.1.6"  // ctpcTxPeriodLostPackets, by call, medium and source; millionths of a percent
		rxLost      = mib + "4.10.1.14" // ctpcRxPeriodLostPackets
		jitter      = mib + "4.10.1.22" // ctpcAvgPeriodJitter, milliseconds
	)
	parts := r.walk("ctpPeripheralStatusTable", peripherals, 5)
	if len(parts.indexes) == 0 && !r.state.has[peripherals] { // most of what Cisco makes is no endpoint
		return
	}
	got := r.scalars(activeIndex, totalCalls)
	managers := r.column("ctpcMgmtSysTable", connection)
	states := managers.cells[""]
	if active, ok := got.uint(activeIndex); ok && active > 0 { // of several call managers the one in use
		if v, ok := states[strconv.FormatUint(active, 10)]; ok {
			states = map[string]ask.Value{"": v}
		}
	}
	const unregistered, registered, failed = 4, 5, 6
	best := ""
	for _, v := range states {
		switch n, _ := v.Uint(); {
		case n == registered:
			best = "registered"
		case n == failed && best != "registered":
			best = "failed"
		case n == unregistered && best == "":
			best = "unregistered"
		}
	}
	add(p, best != "", probes.String("sip", best))

	calls := r.passing("ctpcTable", callState)
	var on []string
	sure := !calls.partial && r.lost == nil
	for _, index := range calls.indexes {
		switch n, _ := calls.at("", index).Uint(); n {
		case 8, 9, 11, 13, 20: // in progress, on hold by either, in a local conference, being recorded
			on = append(on, index)
		case 3, 4, 5, 6, 7, 10, 12, 14, 17: // not begun, or over; the table remembers past calls
		default:
			sure = false
		}
	}
	_, counts := got.uint(totalCalls)
	add(p, len(on) > 0 || sure && (counts || len(calls.indexes) > 0), probes.Bool("in_call", len(on) > 0))
	var m media
	for _, call := range on[max(0, len(on)-maxCalls):] {
		index := "." + ask.OID(call)
		for _, c := range []struct {
			name  string
			oid   ask.OID
			into  *worst
			scale float64
			most  uint64
		}{
			{"ctpcStatStreamTypeTable", latency, &m.latency, 0.001, 60_000},
			{"ctpcStatStreamSourceTable", txLost, &m.outLoss, 1e-8, 1e8},
			{"ctpcStatStreamSourceTable", rxLost, &m.inLoss, 1e-8, 1e8},
			{"ctpcStatStreamSourceTable", jitter, &m.jitter, 0.001, 60_000},
		} {
			for _, v := range r.passing(c.name, c.oid+index).cells[""] {
				c.into.add(v, c.scale, c.most)
			}
		}
	}
	m.into(p)

	for _, part := range []struct {
		key        string
		categories []uint64 // CtpPeripheralDeviceCategoryCode
	}{{"camera", []uint64{4}}, {"microphone", []uint64{13, 15}}, {"display", []uint64{5}}} {
		add(p, peripheral(parts, part.categories) != "", probes.String(part.key, peripheral(parts, part.categories)))
	}
}

// peripheral is the state of all peripherals of some categories together; "" where there is none. One that was expected
// and is not there, has no power or does not answer is a failed one.
func peripheral(t table, categories []uint64) string {
	state := ""
	for _, index := range t.indexes {
		category, ok := t.at("4", index).Uint()
		if !ok || !slices.Contains(categories, category) {
			continue
		}
		switch n, ok := t.at("3", index).Uint(); {
		case ok && n == 0:
			if state != "failed" {
				state = "ok"
			}
		case n == 2, n == 3, n == 4, n == 6, n == 7, n == 8: // cable, power, configuration, device, link, communication
			state = "failed"
		default: // detection is off, or the system itself is in trouble
			state = cmp.Or(state, "unknown")
		}
	}
	return state
}
