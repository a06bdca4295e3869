package influx_test

import (
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/probes"
)

// A server, or what stands before it, that takes one window at a time gets all of them, however their lengths differ.
func TestWindowsTooLargeAtOnce(t *testing.T) {
	for _, lengths := range [][]int{{1, 300}, {300, 1}, {1, 1, 900}, {900, 1, 1, 1, 1, 1, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		f := newFake(t)
		f.refusing(t, 1)
		s := open(t, options(f.URL, "db"))
		var rows []rollup.Row
		for i, n := range lengths {
			at := testNow.Add(-time.Duration(i) * time.Hour)
			rows = append(rows, rollup.Row{Measurement: "m", Tags: probes.Tags{{Key: "site", Value: strings.Repeat("s", n)}}, Start: at.UnixMilli(),
				Fields: []rollup.Field{{Key: "v", Value: rollup.Aggregate{Count: 1, Sum: 2, Min: 2, Max: 2}}}})
		}
		if err := s.PutRollups(t.Context(), rollup.Hour, rows); err != nil {
			t.Errorf("lengths %v: %v", lengths, err)
		}
		if len(f.rows) != len(lengths) {
			t.Errorf("lengths %v: %d windows stored", lengths, len(f.rows))
		}
	}
}
