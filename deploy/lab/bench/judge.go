package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"communewatch/deploy/lab/fleet"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
)

const judgeDevices = 10_000

// benchJudge judges ten thousand devices by the catalogue.
func benchJudge(context.Context, *env) (*table, error) {
	begin := time.Now()
	cat, err := catalogue.Load()
	if err != nil {
		return nil, err
	}
	loaded := time.Since(begin)
	items, err := judgeItems()
	if err != nil {
		return nil, err
	}
	var times []float64
	states := map[lifecycle.State]int{}
	for range 5 {
		clear(states)
		begin := time.Now()
		for _, item := range items {
			states[lifecycle.Judge(item, cat, inventory.DateOf(begin), lifecycle.Context{}).State]++
		}
		times = append(times, float64(time.Since(begin)))
	}
	slices.Sort(times)
	t := &table{
		title: "Judging equipment by the catalogue",
		about: fmt.Sprintf("%d items made of the lab's fleet, each judged by all rules on one date, in one goroutine; the median of %d rounds. Loading the %d rows of the catalogue took %v.",
			len(items), len(times), len(cat.Rows()), loaded.Round(100*time.Microsecond)),
		columns: []string{"", ""},
	}
	whole := time.Duration(times[len(times)/2])
	t.add("all items", whole.Round(time.Millisecond))
	t.add("one item", (whole / time.Duration(len(items))).Round(100*time.Nanosecond))
	var list []string
	for s, n := range states {
		list = append(list, fmt.Sprintf("%s %d", s, n))
	}
	slices.Sort(list)
	t.add("states", strings.Join(list, ", "))
	return t, nil
}

// judgeItems makes items of what the recordings of the lab are expected to be.
func judgeItems() ([]lifecycle.Item, error) {
	tables, err := fleet.Tables()
	if err != nil {
		return nil, err
	}
	var names []string
	for name, tab := range tables {
		if tab.Expect.Model != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	items := make([]lifecycle.Item, judgeDevices)
	now := time.Now()
	read := func(text string) lifecycle.Value {
		return lifecycle.Value{Text: text, Method: lifecycle.MethodSNMP, Source: "snmp", At: now, Confidence: 0.9}
	}
	for i := range items {
		e := tables[names[i%len(names)]].Expect
		items[i] = lifecycle.Item{
			ID: fmt.Sprintf("d%05d", i), Site: fmt.Sprintf("s%05d", i/8), Vendor: read(e.Vendor), Model: read(e.Model), Version: read(e.Version), Class: read(e.Class),
			Protocols: read("https snmpv2c ssh2"), InService: inventory.DateOf(now.AddDate(-1-i%12, 0, 0)), Price: int64(5+i%60) * 1_000_000,
		}
	}
	return items, nil
}
