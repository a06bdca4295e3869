package setup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influx/standin"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// everyRow is a row of each measurement of the contract with all of its fields.
func everyRow(at time.Time) []wire.Row {
	var rows []wire.Row
	for _, m := range probes.Schema() {
		key := m.Name
		for _, tag := range sortedTags(m) {
			value := "x"
			if len(tag.Enum) > 0 {
				value = tag.Enum[0]
			}
			key += "," + tag.Key + "=" + value
		}
		row := wire.Row{Key: []byte(key), Time: at.UnixNano()}
		for _, f := range m.Fields {
			field := wire.Field{Key: []byte(f.Key), Type: f.Type, Num: 1}
			if f.Type == probes.TypeString {
				field.Str = []byte("ổn")
			}
			row.Fields = append(row.Fields, field)
		}
		rows = append(rows, row)
	}
	return rows
}

func sortedTags(m probes.MeasurementSpec) []probes.TagSpec {
	return slices.SortedFunc(slices.Values(m.Tags), func(a, b probes.TagSpec) int { return strings.Compare(a.Key, b.Key) })
}

// What the collector itself stores, with the credentials that setup made, is nothing that check complains of: in every
// generation, all measurements with all their fields and windows of them.
func TestTheCollectorsOwnRowsAreFine(t *testing.T) {
	s := startGuarded(t)
	influxql(t, s.URL(), "", "", makeAdmin)
	real := options(t, s.URL())
	real.Admin, real.User, real.Config.TokenFile = adminUser, "engine", file(t, "token", "")
	_, two := startStandIn(t, standin.Options{Generation: standin.V2})
	_, core := startStandIn(t, standin.Options{Generation: standin.V3})
	for name, o := range map[string]setup.Options{"1.8": real, "2.x": two, "3 Core": core} {
		if name == "3 Core" {
			o.Config.Database = "core" // the two stand-ins share names in the server behind them
		}
		mustSetup(t, o)
		st, err := influx.Open(t.Context(), influx.Options{Config: o.Config, Retention: o.Keep[rollup.Raw], Keep: o.Keep})
		if err != nil {
			t.Fatal(name, err)
		}
		if c := st.Condition(); c.Away {
			t.Errorf("%s: %+v", name, c)
		}
		now := time.Now()
		if err := st.Append(t.Context(), everyRow(now.Add(-time.Minute))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var windows []rollup.Row
		for _, m := range probes.Schema() {
			row := rollup.Row{Measurement: m.Name, Start: now.Add(-3 * time.Hour).Truncate(time.Hour).UnixMilli()}
			for _, tag := range sortedTags(m) {
				row.Tags = append(row.Tags, probes.Tag{Key: tag.Key, Value: "x"})
			}
			for _, f := range m.Fields {
				row.Fields = append(row.Fields, rollup.Field{Key: f.Key, Value: rollup.Aggregate{Count: 2, Sum: 3, Min: 1, Max: 2}})
			}
			slices.SortFunc(row.Fields, func(a, b rollup.Field) int { return strings.Compare(a.Key, b.Key) })
			windows = append(windows, row)
		}
		windows = append(windows, rollup.Row{Measurement: "line", Start: windows[0].Start, Tags: probes.Tags{{Key: "hours", Value: "office"}, {Key: "layer", Value: "lan"}, {Key: "site", Value: "x"}},
			Fields: []rollup.Field{{Key: "ok_seconds", Value: rollup.Aggregate{Total: true, Sum: 3600}}}})
		if err := st.PutRollups(t.Context(), rollup.Hour, windows); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		read := 0
		err = st.Rollups(t.Context(), store.RollupQuery{Level: rollup.Hour, From: now.Add(-24 * time.Hour), To: now}, func(store.RollupSeries) error { read++; return nil })
		if err != nil || read != len(windows) {
			t.Errorf("%s: read %d of %d windows: %v", name, read, len(windows), err)
		}
		if err := st.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		v := setup.Check(t.Context(), o)
		if v.Wrong() {
			t.Errorf("%s: %+v", name, v.Findings)
		}
		for _, f := range v.Findings {
			if f.Part == "writers" && f.Severity == setup.Note {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}
