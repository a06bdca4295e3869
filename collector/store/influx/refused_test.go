package influx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influxd"
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

// Windows that come to a full index are no fault of theirs either.
func TestFullIndexOfWindows(t *testing.T) {
	f := newFake(t)
	s := open(t, options(f.URL, "db"))
	f.onWrite(func(w http.ResponseWriter, _ *http.Request) {
		genuine(w)
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"partial write: max-series-per-database limit exceeded: (50) dropped=1"}`)
	})
	row := rollup.Row{Measurement: "m", Tags: probes.Tags{{Key: "site", Value: "s1"}}, Start: testNow.Add(-time.Hour).UnixMilli(),
		Fields: []rollup.Field{{Key: "v", Value: rollup.Aggregate{Count: 1}}}}
	if err := s.PutRollups(t.Context(), rollup.Hour, []rollup.Row{row}); err == nil {
		t.Error("windows that were not stored: no error")
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "limit exceeded") || s.Condition().Away {
		t.Errorf("warnings %q, condition %+v", w, s.Condition())
	}
}

// A database that a foreign writer filled to its limits takes no new series. That is nobody's rows' fault: who brings one
// keeps it, the others' are stored, and it is said what is wrong.
func TestFullIndex(t *testing.T) {
	t.Parallel()
	server, err := influxd.New(influxd.Options{Dir: t.TempDir(), Extra: []string{
		"INFLUXDB_DATA_INDEX_VERSION=inmem", "INFLUXDB_DATA_MAX_SERIES_PER_DATABASE=50", "INFLUXDB_DATA_MAX_VALUES_PER_TAG=20"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	makeDatabasesFor(t, server.URL(), "series")
	makeDatabasesFor(t, server.URL(), "values")
	for name, flood := range map[string]func(i int) string{
		"series": func(i int) string { return fmt.Sprintf("flood%d,a=b", i) },
		"values": func(i int) string { return fmt.Sprintf("m,site=flood%d", i) },
	} {
		s := open(t, options(server.URL(), name))
		known := one(1)
		if err := s.Append(t.Context(), storetest.Rows(t, known...)); err != nil {
			t.Fatal(err)
		}
		for i := range 60 { // one by one: of those in one request the server counts the series that were there before
			line := fmt.Sprintf("%s v=1 %d\n", flood(i), testNow.UnixNano())
			resp, err := http.Post(server.URL()+"/write?db="+name, "", strings.NewReader(line))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}

		fresh := one(2)
		fresh[0].Tags = probes.Tags{{Key: "site", Value: "new"}}
		var partial *store.PartialError
		if err := s.Append(t.Context(), storetest.Rows(t, fresh...)); err == nil || errors.As(err, &partial) || !strings.Contains(err.Error(), "limit exceeded") {
			t.Errorf("%s: append of a series too many: %v, want an error that assumes nothing", name, err)
		}
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				points := one(10 + n)
				if n%4 == 0 {
					points = fresh
				}
				if err := s.Append(context.Background(), storetest.Rows(t, points...)); n%4 != 0 && err != nil {
					t.Errorf("%s: append of a known series: %v", name, err)
				}
			})
		}
		wg.Wait()
		if c := s.Condition(); c.Away {
			t.Errorf("%s: away for everybody: %+v", name, c)
		}
		if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "limit exceeded") || !strings.Contains(w[0], "influx check") {
			t.Errorf("%s: warnings %q", name, w)
		}
	}
}

// What stands in the way of writing alone (a proxy, a default retention policy that was dropped) makes one outage and
// not many: that the server answers questions does not end it. Questions go on.
func TestAwayUntilRowsAreStored(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{"foreign": http.NotFound, "missing": answer(http.StatusNotFound),
		"unreachable": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			o := options(f.URL, "db")
			var ticks atomic.Int64
			o.Now = func() time.Time { return testNow.Add(time.Duration(ticks.Add(1))) }
			s := open(t, o)
			var writes atomic.Int64
			f.onWrite(func(w http.ResponseWriter, r *http.Request) { writes.Add(1); refuse(w, r) })
			var since time.Time
			until(t, "a third trial", func() bool {
				if err := s.Append(t.Context(), storetest.Rows(t, one(1)...)); err == nil {
					t.Fatal("append: no error")
				}
				c := s.Condition()
				if since.IsZero() {
					since = c.Since
				}
				if !c.Away || !c.Since.Equal(since) {
					t.Fatalf("after %d requests, none of which stored a row: %+v, want away since %v", writes.Load(), c, since)
				}
				return writes.Load() >= 4
			})
			f.onWrite(func(w http.ResponseWriter, r *http.Request) { f.store(body(r)); w.WriteHeader(http.StatusNoContent) })
			until(t, "a question to be answered", func() bool {
				return s.Select(t.Context(), store.Query{Measurement: "m", From: testNow.Add(-time.Hour), To: testNow}, nil) == nil
			})
			if c := s.Condition(); !c.Away {
				t.Errorf("back before a row was stored: %+v", c)
			}
			until(t, "the way back", func() bool { return s.Append(t.Context(), storetest.Rows(t, one(2)...)) == nil })
			if c := s.Condition(); c.Away {
				t.Errorf("away after a row was stored: %+v", c)
			}
		})
	}
}

// A caller that sends nothing but rows the server refuses gets an answer in the end. Nothing is assumed of those that were
// not looked at one by one.
func TestRefusingIsBounded(t *testing.T) {
	f := newFake(t)
	var requests atomic.Int64
	f.onWrite(func(w http.ResponseWriter, r *http.Request) { requests.Add(1); answer(422)(w, r) })
	s := open(t, options(f.URL, "db"))
	var points []probes.Point
	for i := range 3000 {
		points = append(points, one(i)...)
	}
	var partial *store.PartialError
	if err := s.Append(t.Context(), storetest.Rows(t, points...)); err == nil || errors.As(err, &partial) {
		t.Errorf("append: %v, want an error that assumes nothing", err)
	}
	if n := requests.Load(); n > 1001 {
		t.Errorf("%d requests", n)
	}
}

// However many rows of one measurement are refused, those of others beside them are stored.
func TestRefusedRowsCostNoOthers(t *testing.T) {
	var points []probes.Point
	good := 0
	for i := range 3000 {
		p := one(i)[0]
		if i%3 == 0 {
			p.Measurement = fmt.Sprint("good", i%4)
			good++
		} else {
			p.Measurement = "bad"
		}
		points = append(points, p)
	}
	for counts, words := range map[bool]string{true: "partial write: field type conflict dropped=%d", false: "field type conflict"} {
		f := newFake(t)
		var requests atomic.Int64
		f.onWrite(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			genuine(w)
			bad := 0
			for _, l := range body(r) {
				if strings.HasPrefix(l, "bad") {
					bad++
				} else {
					f.store([]string{l})
				}
			}
			if bad == 0 {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			w.WriteHeader(http.StatusBadRequest)
			said := words
			if counts {
				said = fmt.Sprintf(words, bad)
			}
			fmt.Fprintf(w, `{"error":%q}`, said)
		})
		s := open(t, options(f.URL, "db"))
		err := s.Append(t.Context(), storetest.Rows(t, points...))
		var partial *store.PartialError
		switch {
		case !counts && (err == nil || errors.As(err, &partial)):
			t.Errorf("append to a server that does not count: %v, want an error that assumes nothing", err)
		case counts && (!errors.As(err, &partial) || len(partial.Rejected) != len(points)-good):
			t.Errorf("append to a server that counts: %v, want the %d bad ones rejected", err, len(points)-good)
		case counts && requests.Load() > 10:
			t.Errorf("%d requests to find out that a whole measurement is refused", requests.Load())
		}
		if partial != nil {
			for _, r := range partial.Rejected {
				if points[r.Index].Measurement != "bad" {
					t.Fatalf("row %d is good and was rejected: %s", r.Index, r.Reason)
				}
			}
		}
		f.mu.Lock()
		if len(f.rows) != good {
			t.Errorf("%d rows stored, want %d", len(f.rows), good)
		}
		f.mu.Unlock()
	}
}

// An error of what stands before the database says nothing of the rows, be it JSON.
func TestErrorsOfAProxyRefuseNoRows(t *testing.T) {
	for said, refused := range map[string]bool{
		`"proxy: bad upstream"`: false, `{}`: false, `null`: false, `[]`: false, `7`: false, ``: false, `Bad Request`: false,
		`{"error":{"code":400}}`: false, `{"error":7}`: false, `{"message":"no healthy upstream"}`: false, `{"code":400,"message":"bad"}`: false,
		`{"error":"partial write: this one dropped=1"}`: true, `{"code":"invalid","message":"unable to parse"}`: true,
	} {
		f := newFake(t)
		s := open(t, options(f.URL, "db"))
		f.onWrite(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, said)
		})
		err := s.Append(t.Context(), storetest.Rows(t, one(1)...))
		var partial *store.PartialError
		if err == nil || errors.As(err, &partial) != refused {
			t.Errorf("answer %s: %v, want a refusal: %v", said, err, refused)
		}
		if s.Condition().Away == refused {
			t.Errorf("answer %s: %+v", said, s.Condition())
		}
	}
}

// One of the databases is dropped behind our back: what needs it is away and a warning says which it is, while rows are
// taken as ever. 1.8 tells users another thing than administrators.
func TestADroppedDatabaseOfWindows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := influxd.New(influxd.Options{Dir: filepath.Join(dir, "influxd"), Auth: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	const admin = "admin:secret1"
	statement(t, server.URL(), "", "CREATE USER admin WITH PASSWORD 'secret1' WITH ALL PRIVILEGES")
	statement(t, server.URL(), admin, "CREATE USER cw WITH PASSWORD 'secret2'")
	for i, login := range []string{"cw:secret2", admin} {
		name := fmt.Sprintf("db%d", i)
		for _, suffix := range []string{"", "_5m", "_1h", "_1d", "_1mo"} {
			statement(t, server.URL(), admin, fmt.Sprintf(`CREATE DATABASE "%s%s"`, name, suffix))
			statement(t, server.URL(), admin, fmt.Sprintf(`GRANT ALL ON "%s%s" TO cw`, name, suffix))
		}
		o := options(server.URL(), name)
		o.TokenFile = filepath.Join(dir, name)
		if err := os.WriteFile(o.TokenFile, []byte(login), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, o)
		day := []rollup.Row{windowOf("m", testNow.Truncate(24*time.Hour))}
		if err := s.PutRollups(t.Context(), rollup.Day, day); err != nil {
			t.Fatal(err)
		}
		statement(t, server.URL(), admin, fmt.Sprintf(`DROP DATABASE "%s_1d"`, name))
		for _, measurement := range []string{"m", ""} {
			err := s.Rollups(t.Context(), store.RollupQuery{Level: rollup.Day, Measurement: measurement, To: testNow}, func(store.RollupSeries) error { return nil })
			if !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), name+"_1d is not there") {
				t.Errorf("%s: reading windows of %q: %v", name, measurement, err)
			}
		}
		until(t, "a warning", func() bool { return len(s.Warnings()) > 0 })
		if w := strings.Join(s.Warnings(), "\n"); !strings.Contains(w, name+"_1d is not there") || !strings.Contains(w, "communewatch-collector influx setup") || strings.Contains(w, "secret") {
			t.Errorf("%s: warnings %q", name, w)
		}
		if err := s.PutRollups(t.Context(), rollup.Day, day); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "influx setup") {
			t.Errorf("%s: storing windows: %v", name, err)
		}
		if err := s.Append(t.Context(), storetest.Rows(t, one(1)...)); err != nil || s.Condition().Away {
			t.Errorf("%s: rows are not taken: %v %+v", name, err, s.Condition())
		}
		statement(t, server.URL(), admin, fmt.Sprintf(`CREATE DATABASE "%s_1d"`, name))
		statement(t, server.URL(), admin, fmt.Sprintf(`GRANT ALL ON "%s_1d" TO cw`, name))
		if err := s.PutRollups(t.Context(), rollup.Day, day); err != nil {
			t.Errorf("%s: storing windows again: %v", name, err)
		}
	}
}

func windowOf(measurement string, at time.Time) rollup.Row {
	return rollup.Row{Measurement: measurement, Tags: probes.Tags{{Key: "site", Value: "s1"}}, Start: at.UnixMilli(),
		Fields: []rollup.Field{{Key: "lost", Value: rollup.Aggregate{Count: 1, Sum: 2, Min: 2, Max: 2}}}}
}

// A field that somebody else made an integer costs the windows of its measurement and no others, and is named.
func TestAForeignFieldInADatabaseOfWindows(t *testing.T) {
	t.Parallel()
	o := options(real.URL(), database(t, real.URL(), ""))
	o.BatchRows = 2
	s := open(t, o)
	at := testNow.Truncate(time.Hour).Add(-time.Hour)
	foreign := fmt.Sprintf("icmp,host=x lost_sum=5i %d", at.UnixNano())
	resp, err := http.Post(real.URL()+"/write?db="+o.Database+"_1h", "text/plain", strings.NewReader(foreign))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp.Status)
	}
	rows := []rollup.Row{windowOf("icmp", at), windowOf("dns", at), windowOf("http", at), windowOf("icmp", at.Add(-time.Minute)), windowOf("tcp", at)}
	if err := s.PutRollups(t.Context(), rollup.Hour, rows); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("windows that are refused: %v", err)
	}
	found := map[string]int{}
	for _, name := range []string{"icmp", "dns", "http", "tcp"} {
		q := store.RollupQuery{Level: rollup.Hour, Measurement: name, Tags: map[string]string{"site": "s1"}, From: at.Add(-time.Hour), To: testNow}
		if err := s.Rollups(t.Context(), q, func(r store.RollupSeries) error { found[name] += len(r.Rows); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if found["icmp"] != 0 || found["dns"] != 1 || found["http"] != 1 || found["tcp"] != 1 {
		t.Errorf("windows: %v", found)
	}
	w := strings.Join(s.Warnings(), "\n")
	for _, want := range []string{o.Database + "_1h", `"icmp"`, "lost_sum", "influx check"} {
		if !strings.Contains(w, want) {
			t.Errorf("warnings lack %s: %q", want, w)
		}
	}
	if s.Condition().Away {
		t.Errorf("%+v", s.Condition())
	}
}
