package influx_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/storetest"
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

// While nobody could count what is in the database, the first row that came since is not taken for the oldest.
func TestOldestIsUnknownUntilCounted(t *testing.T) {
	f := newFake(t)
	f.onQuery(answer(http.StatusInternalServerError))
	s := open(t, options(f.URL, "db"))
	if st := s.Stats(); !st.Unknown || !st.Oldest.IsZero() {
		t.Errorf("stats that nobody could count: %+v", st)
	}
	f.onQuery(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.FormValue("q"), "SHOW FIELD KEYS") {
			io.WriteString(w, `{"results":[{"statement_id":0}]}`)
			return
		}
		answer(http.StatusInternalServerError)(w, r)
	})
	until(t, "a row to be stored", func() bool { return s.Append(t.Context(), storetest.Rows(t, one(1)...)) == nil })
	if st := s.Stats(); !st.Unknown || !st.Oldest.IsZero() {
		t.Errorf("stats with a row and without a count: %+v", st)
	}

	counted := open(t, options(newFake(t).URL, "db"))
	if st := counted.Stats(); st.Unknown || !st.Oldest.IsZero() {
		t.Errorf("stats of an empty database: %+v", st)
	}
	if err := counted.Append(t.Context(), storetest.Rows(t, one(1)...)); err != nil {
		t.Fatal(err)
	}
	if st := counted.Stats(); st.Unknown || !st.Oldest.Equal(testNow.Add(-time.Second)) {
		t.Errorf("stats of a database that was empty, with a row: %+v", st)
	}
}
