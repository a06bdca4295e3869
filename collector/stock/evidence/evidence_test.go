package evidence

import (
	"strings"
	"testing"
	"time"

	"communewatch/collector/registry/devices"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/purchases"
	"communewatch/probes"
)

var t0 = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func fact(name probes.FactName, value, source string, confidence float64, daysAgo int) devices.Fact {
	at := t0.AddDate(0, 0, -daysAgo)
	return devices.Fact{Name: name, Value: value, Source: source, Confidence: confidence, From: at, To: at, Sighting: 1}
}

func said(name, value string, daysAgo int) devices.Statement {
	return devices.Statement{Name: name, Value: value, Source: "biên bản 7", By: "Lan", At: t0.AddDate(0, 0, -daysAgo)}
}

func TestWhichValueIsUsed(t *testing.T) {
	for name, c := range map[string]struct {
		facts     []devices.Fact
		said      []devices.Statement
		want      string
		conflicts int
	}{
		"the surest":              {facts: []devices.Fact{fact("vendor", "Cisco", "snmp", 0.9, 0), fact("vendor", "Acme", "mac", 0.5, 0)}, want: "Cisco"},
		"alike and different":     {facts: []devices.Fact{fact("vendor", "Cisco", "snmp", 0.9, 0), fact("vendor", "Linksys", "http", 0.8, 0)}, want: "Cisco", conflicts: 2},
		"the same, other letters": {facts: []devices.Fact{fact("vendor", "TP-Link", "snmp", 0.9, 0), fact("vendor", "TP LINK", "http", 0.85, 0)}, want: "TP-Link"},
		"not confirmed for long":  {facts: []devices.Fact{fact("version", "1.0", "snmp", 0.95, 60), fact("version", "2.0", "http", 0.8, 0)}, want: "2.0"},
		"a guess beside what is old": {facts: []devices.Fact{fact("model", "X-9000", "snmp", 0.95, 60), fact("model", "Y", "http", 0.3, 0)},
			want: "X-9000"},
		"the more exact":           {facts: []devices.Fact{fact("model", "WS-C2960", "snmp", 0.9, 0), fact("model", "WS-C2960-24TT-L", "http", 0.85, 0)}, want: "WS-C2960-24TT-L"},
		"the more exact is unsure": {facts: []devices.Fact{fact("model", "WS-C2960", "snmp", 0.9, 0), fact("model", "WS-C2960-24TT-L", "http", 0.5, 0)}, want: "WS-C2960"},
		"a person":                 {facts: []devices.Fact{fact("model", "X-9000", "snmp", 0.95, 0)}, said: []devices.Statement{said("model", "X-9001", 30)}, want: "X-9001", conflicts: 2},
		"a person's newest":        {said: []devices.Statement{said("model", "B", 1), said("model", "A", 30)}, want: "B"},
		"a version read since":     {facts: []devices.Fact{fact("version", "2.0", "snmp", 0.9, 0)}, said: []devices.Statement{said("version", "1.0", 30)}, want: "2.0"},
		"a version said since":     {facts: []devices.Fact{fact("version", "2.0", "snmp", 0.9, 1)}, said: []devices.Statement{said("version", "3.0", 0)}, want: "3.0", conflicts: 2},
		"a version guessed since":  {facts: []devices.Fact{fact("version", "2.0", "http", 0.6, 0)}, said: []devices.Statement{said("version", "1.0", 30)}, want: "1.0", conflicts: 2},
	} {
		t.Run(name, func(t *testing.T) {
			readings := Readings(&devices.Device{Last: t0, Facts: c.facts, Statements: c.said})
			used, conflicts := 0, 0
			for i, r := range readings {
				if r.Used {
					used++
					if i != 0 || r.Value.Text != c.want {
						t.Errorf("%q is used, want %q", r.Value.Text, c.want)
					}
				}
				if r.Conflict {
					conflicts++
				}
			}
			if used != 1 || conflicts != c.conflicts || len(readings) != len(c.facts)+len(c.said) {
				t.Errorf("%d used, %d in conflict (want %d): %+v", used, conflicts, c.conflicts, readings)
			}
		})
	}
}

func date(t testing.TB, s string) inventory.Date {
	d, err := inventory.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestItem(t *testing.T) {
	d := &devices.Device{ID: 17, Site: "s1", Last: t0, Facts: []devices.Fact{
		fact("class", "videoconference", "snmp 1.2", 0.9, 0), fact("made", "2015-03-17", "machine bios", 0.9, 0), fact("model", "HDX 7000", "http title", 0.4, 0),
		{Name: "protocols", Value: "snmpv1 telnet", Source: "snmp", Confidence: 0.9, To: t0, Sighting: 1},
		{Name: "protocols", Value: "http telnet", Source: "http", Confidence: 0.9, To: t0.AddDate(0, 0, -1), Sighting: 2},
		{Name: "protocols", Value: "ftp", Source: "http", Confidence: 0.9, To: t0.AddDate(0, -3, 0), Sighting: 3}},
		Statements: []devices.Statement{said(SaysReachable, "yes", 1), said(SaysIsolated, "no", 1), said(SaysFlag, "model_in_eol=true", 1)},
		Tickets: []devices.Ticket{{ID: 4, Day: date(t, "2026-11-01"), Kind: "quote", Cost: 9_000_000, By: "Lan"}, {ID: 3, Day: date(t, "2026-10-01"), Kind: "failure"},
			{ID: 2, Day: date(t, "2026-02-01"), Kind: "failure"}, {ID: 1, Day: date(t, "2024-02-01"), Kind: "failure"}}}
	asOf := date(t, "2026-11-23")
	it := Item(d, Readings(d), nil, asOf)
	if it.ID != "d17" || it.Class.Text != "videoconference" || it.Model.Known() || it.Reachable != lifecycle.Yes || it.Service != lifecycle.Yes || it.OnlyUplink != lifecycle.Unknown {
		t.Errorf("%+v", it)
	}
	if it.Protocols.Text != "http snmpv1 telnet" {
		t.Error(it.Protocols)
	}
	if it.Isolated.Known() || len(it.Flags) != 1 || it.Flags[0].By != "Lan" {
		t.Error(it.Isolated, it.Flags)
	}
	if it.Failures != 2 || it.Repair != 9_000_000 || it.RepairFrom.By != "Lan" || it.InService != date(t, "2015-03-17") || it.InServiceFrom.Method != lifecycle.MethodMachine {
		t.Errorf("%d %d %+v %v %+v", it.Failures, it.Repair, it.RepairFrom, it.InService, it.InServiceFrom)
	}
	// On an earlier day less had happened.
	if it := Item(d, Readings(d), nil, date(t, "2026-09-01")); it.Failures != 1 || it.Repair != 0 {
		t.Error(it.Failures, it.Repair)
	}
	// The list of its purchase says more than its BIOS, and a person more than the list.
	bought := &purchases.Purchase{Phase: "Đợt 1", Model: "HDX 7000", Vendor: "Polycom", Received: date(t, "2016-06-01"), Price: 100_000_000, LifeYears: 5}
	it = Item(d, Readings(d), bought, asOf)
	if it.InService != bought.Received || it.InServiceFrom.Method != lifecycle.MethodLedger || it.Price != bought.Price || it.Life != 5 ||
		it.Model.Text != "HDX 7000" || it.Model.Method != lifecycle.MethodLedger {
		t.Errorf("%+v", it)
	}
	d.Statements = append(d.Statements, said(SaysInService, "2017-01-02", 1), said(SaysPrice, "90000000", 1))
	if it = Item(d, Readings(d), bought, asOf); it.InService != date(t, "2017-01-02") || it.Price != 90_000_000 || it.PriceFrom.By != "Lan" {
		t.Errorf("%+v", it)
	}
}

func TestWhatMayBeSaid(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"model", "  WS-C2960   24 "}: "WS-C2960 24", {"class", "switch"}: "switch", {"price", "12.500.000"}: "12500000",
		{"in_service", "01/07/2016"}: "2016-07-01", {"reachable", "yes"}: "yes", {"life_years", "7"}: "7",
	} {
		if got, err := Normal(in[0], in[1]); err != nil || got != want {
			t.Errorf("%v: %q %v", in, got, err)
		}
	}
	for _, bad := range [][2]string{{"model", " "}, {"class", "thing"}, {"price", "-5"}, {"price", "many"}, {"in_service", "soon"}, {"reachable", "maybe"},
		{"life_years", "0"}, {"colour", "grey"}, {"model", strings.Repeat("x", probes.MaxText+1)},
		{"serial", "0123456789"}, {"serial", "To be filled by O.E.M."}, {"serial", "None"}, {"serial", "0000000"}, {"model", "System Product Name"}, {"vendor", "N/A"},
		{"price", "15000"}, {"price", "9000000000000"}, {"replace_price", "1"}, {"in_service", "0016-01-01"}, {"made", "long ago"}, {"warranty_until", "1900-01-01"}} {
		if got, err := Normal(bad[0], bad[1]); err == nil {
			t.Errorf("%v was taken as %q", bad, got)
		}
	}
	today := date(t, "2026-11-26")
	for _, later := range [][2]string{{"in_service", "2099-01-01"}, {"in_service", "27/11/2026"}, {"made", "2027-01-01"}} {
		if got, err := NormalOn(later[0], later[1], today); err == nil || !strings.Contains(err.Error(), "today is 2026-11-26") {
			t.Errorf("%v was taken as %q: %v", later, got, err)
		}
	}
	for _, fine := range [][2]string{{"in_service", "26/11/2026"}, {"warranty_until", "2029-01-01"}, {"serial", "FOC1932X0AB"}, {"made", "2015-03-17"}} {
		if _, err := NormalOn(fine[0], fine[1], today); err != nil {
			t.Error(err)
		}
	}
}
