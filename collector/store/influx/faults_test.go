package influx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"communewatch/collector/store"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influxd"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
)

// fake answers like a 1.8 that is asked nothing difficult, until a test takes over.
type fake struct {
	*httptest.Server
	write, query atomic.Pointer[http.HandlerFunc]

	mu   sync.Mutex
	rows map[string]int // stored lines, and how often
}

const noPolicies = `{"results":[{"statement_id":0,"series":[{"columns":["name","duration","shardGroupDuration","replicaN","default"],"values":[["autogen","0s","168h0m0s",1,true]]}]}]}`

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{rows: map[string]int{}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/ping":
			genuine(w)
			w.WriteHeader(http.StatusNoContent)
		case r.URL.Path == "/query" && strings.HasPrefix(r.FormValue("q"), "SHOW RETENTION"):
			io.WriteString(w, noPolicies)
		case r.URL.Path == "/query":
			if h := f.query.Load(); h != nil {
				(*h)(w, r)
				return
			}
			io.WriteString(w, `{"results":[{"statement_id":0}]}`)
		case r.URL.Path == "/api/v2/write":
			if h := f.write.Load(); h != nil {
				(*h)(w, r)
				return
			}
			f.store(body(r))
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func genuine(w http.ResponseWriter) {
	w.Header().Set("X-Influxdb-Version", "1.8.10")
	w.Header().Set("X-Influxdb-Build", "OSS")
}

func (f *fake) store(lines []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range lines {
		f.rows[l]++
	}
}

func (f *fake) onWrite(h http.HandlerFunc) { f.write.Store(&h) }
func (f *fake) onQuery(h http.HandlerFunc) { f.query.Store(&h) }

func body(r *http.Request) []string {
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(z)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func answer(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		genuine(w)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, `{"error":"what the server says"}`)
	}
}

func one(n int) []probes.Point {
	return []probes.Point{{Measurement: "m", Tags: probes.Tags{{Key: "site", Value: "s1"}}, Time: testNow.Add(-time.Duration(n) * time.Second),
		Fields: []probes.Field{probes.Int("v", int64(n))}}}
}

// until waits for something that happens by itself.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Whatever the server says instead of 204, rows are not taken for stored; screens say so, callers are told at once; and
// when it stores again that is noticed.
func TestAnswersThatStoreNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		reason string
		fix    string
	}{
		{"wrong token", answer(401), "401: what the server says", "token"},
		{"not allowed", answer(403), "403", "token"},
		{"no database", answer(404), "404", "influx setup"},
		{"busy", answer(429), "429", ""},
		{"away", answer(503, "Retry-After", "0"), "503", ""},
		{"full", answer(500), "500", "disk"},
		{"captive portal", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>Welcome! Please log in.</html>")
		}, "not InfluxDB", "influx.url"},
		{"other web server", http.NotFound, "not InfluxDB", "influx.url"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "302", "influx.url"},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "InfluxDB: ", "influx.url"},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, "in time", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			o := options(f.URL, "db")
			if c.name == "slow" {
				o.Timeout = 300 * time.Millisecond
			}
			s := open(t, o)
			f.onWrite(c.answer)
			err := s.Append(t.Context(), storetest.Rows(t, one(1)...))
			var partial *store.PartialError
			if err == nil || errors.As(err, &partial) {
				t.Fatalf("append: %v, want an error that assumes nothing", err)
			}
			got := s.Condition()
			if !got.Away || !got.Since.Equal(testNow) || !strings.Contains(got.Reason, c.reason) || !strings.Contains(got.Fix, c.fix) {
				t.Errorf("condition %+v, want away with reason %q and fix %q", got, c.reason, c.fix)
			}
			f.onWrite(func(w http.ResponseWriter, r *http.Request) { f.store(body(r)); w.WriteHeader(http.StatusNoContent) })
			until(t, "the way back", func() bool { return s.Append(t.Context(), storetest.Rows(t, one(2)...)) == nil })
			until(t, "a good condition", func() bool { return !s.Condition().Away })
			f.mu.Lock() // an attempt that took too long may be about to store its row still
			defer f.mu.Unlock()
			if len(f.rows) != 1 {
				t.Errorf("stored %v, want the second row alone", f.rows)
			}
		})
	}
}

// While the database is away nobody waits for it: one asks, the others are told at once.
func TestAwayFailsAtOnce(t *testing.T) {
	f := newFake(t)
	o := options(f.URL, "db")
	o.Timeout = time.Hour
	s := open(t, o)
	f.onWrite(answer(503, "Retry-After", "3600"))
	if err := s.Append(t.Context(), storetest.Rows(t, one(1)...)); err == nil {
		t.Fatal("append: no error")
	}
	asked := make(chan struct{}, 1000)
	f.onWrite(func(_ http.ResponseWriter, r *http.Request) { asked <- struct{}{}; <-r.Context().Done() })
	for n := range 136 {
		err := s.Append(t.Context(), storetest.Rows(t, one(n)...))
		if !errors.Is(err, influx.ErrAway) {
			t.Fatalf("append %d: %v, want ErrAway", n, err)
		}
	}
	if len(asked) != 0 {
		t.Errorf("the server was asked %d times", len(asked))
	}
}

func TestOpenWithoutADatabase(t *testing.T) {
	f := newFake(t)
	f.Close()
	s := open(t, options(f.URL, "db"))
	if c := s.Condition(); !c.Away || c.Reason == "" || !strings.Contains(c.Fix, f.URL) {
		t.Errorf("condition %+v", c)
	}
	if err := s.Append(t.Context(), storetest.Rows(t, one(1)...)); !errors.Is(err, influx.ErrAway) {
		t.Errorf("append: %v", err)
	}
	if err := s.Select(t.Context(), store.Query{Measurement: "m", To: testNow}, nil); !errors.Is(err, influx.ErrAway) {
		t.Errorf("select: %v", err)
	}

	missing := open(t, options(real.URL(), "nobody_made_this"))
	if c := missing.Condition(); !c.Away || !strings.Contains(c.Fix, "nobody_made_this is not there") || !strings.Contains(c.Fix, "influx setup") {
		t.Errorf("condition without a database: %+v", c)
	}
	makeDatabases(t, real.URL(), "", "nobody_made_this")
	until(t, "the database", func() bool { return !missing.Condition().Away })
	if err := missing.Append(t.Context(), storetest.Rows(t, one(1)...)); err != nil {
		t.Errorf("append: %v", err)
	}
}

func TestOpenRefusesWhatCantWork(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*influx.Options){
		"token_file": func(o *influx.Options) { o.TokenFile = empty },
		"no such":    func(o *influx.Options) { o.TokenFile = empty + "2" },
		"ca_file":    func(o *influx.Options) { o.CAFile = empty },
		"influx.url": func(o *influx.Options) { o.URL = "ftp://x" },
	} {
		o := options(real.URL(), "db")
		change(&o)
		if s, err := influx.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
			if err == nil {
				s.Close()
			}
		}
	}
}

// refusing is a server that refuses rows with "bad" in them and stores the others, as 1.8 does.
func (f *fake) refusing(t *testing.T, most int) {
	f.onWrite(func(w http.ResponseWriter, r *http.Request) {
		genuine(w)
		lines := body(r)
		if len(lines) > most {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		bad := 0
		for _, l := range lines {
			if strings.Contains(l, "bad") {
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
		fmt.Fprintf(w, `{"error":"partial write: these are bad dropped=%d"}`, bad)
	})
}

func TestRefusedRowsAreFound(t *testing.T) {
	for _, most := range []int{1 << 20, 16} {
		f := newFake(t)
		f.refusing(t, most)
		s := open(t, options(f.URL, "db"))
		var wg sync.WaitGroup
		for caller := range 6 {
			wg.Go(func() {
				var points []probes.Point
				var want []int
				for i := range 100 {
					p := one(i)[0]
					p.Tags = p.Tags.With("caller", fmt.Sprint(caller))
					if caller%2 == 0 && i%31 == caller {
						p.Tags = p.Tags.With("kind", "bad")
						want = append(want, i)
					}
					points = append(points, p)
				}
				err := s.Append(context.Background(), storetest.Rows(t, points...))
				var partial *store.PartialError
				if want == nil && err == nil {
					return
				}
				if !errors.As(err, &partial) || len(partial.Rejected) != len(want) {
					t.Errorf("caller %d: %v, want rows %v rejected", caller, err, want)
					return
				}
				for i, r := range partial.Rejected {
					if r.Index != want[i] || !strings.Contains(r.Reason, "these are bad") {
						t.Errorf("caller %d: rejected %+v, want row %d in the server's words", caller, r, want[i])
					}
				}
			})
		}
		wg.Wait()
		if want := 6*100 - 4 - 4 - 4; len(f.rows) != want {
			t.Errorf("%d rows stored, want %d", len(f.rows), want)
		}
		if s.Condition().Away {
			t.Errorf("away because rows were refused: %+v", s.Condition())
		}
	}
}

// The real server's refusals: a field that is a number elsewhere, seen by another writer first; rows beyond retention.
func TestRealRefusals(t *testing.T) {
	name := database(t, real.URL(), "")
	s := open(t, options(real.URL(), name))
	rows := append(one(1), one(2)...)
	rows[0].Tags = rows[0].Tags.With("n", "1")
	if err := s.Append(t.Context(), storetest.Rows(t, rows...)); err != nil {
		t.Fatal(err)
	}
	// Somebody else's row, behind our back, in a measurement whose fields we asked for before.
	resp, err := http.Post(real.URL()+"/write?precision=ms&db="+name, "", strings.NewReader(fmt.Sprintf("m,site=x other=\"text\" %d\n", testNow.UnixMilli())))
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatal(err, resp)
	}
	resp.Body.Close()
	points := make([]probes.Point, 20)
	for i := range points {
		points[i] = one(i)[0]
	}
	points[7].Fields = append(points[7].Fields, probes.Int("other", 1))
	var partial *store.PartialError
	if err := s.Append(t.Context(), storetest.Rows(t, points...)); !errors.As(err, &partial) || len(partial.Rejected) != 1 || partial.Rejected[0].Index != 7 ||
		!strings.Contains(partial.Rejected[0].Reason, "conflict") {
		t.Fatalf("append: %v, want row 7 rejected for a conflict", err)
	}

	statement(t, real.URL(), "", fmt.Sprintf(`ALTER RETENTION POLICY autogen ON "%s" DURATION 2d SHARD DURATION 1d`, name))
	for i := range points {
		points[i] = one(i)[0]
	}
	points[3].Time, points[5].Time = testNow.Add(-20*24*time.Hour), testNow.Add(-19*24*time.Hour)
	if err := s.Append(t.Context(), storetest.Rows(t, points...)); !errors.As(err, &partial) || len(partial.Rejected) != 2 ||
		partial.Rejected[0].Index != 3 || partial.Rejected[1].Index != 5 || !strings.Contains(partial.Rejected[0].Reason, "retention policy") {
		t.Fatalf("append: %v, want rows 3 and 5 rejected for their age", err)
	}

	again := open(t, options(real.URL(), name))
	if w := again.Warnings(); len(w) != 1 || !strings.Contains(w[0], name) || !strings.Contains(w[0], "48h") || again.Condition().Away {
		t.Errorf("warnings %q, want one about the retention; condition %+v", w, again.Condition())
	}
	// A database dropped behind our back is an error, a measurement is just no data.
	statement(t, real.URL(), "", fmt.Sprintf(`DROP DATABASE "%s"`, name))
	if err := s.Select(t.Context(), store.Query{Measurement: "m", From: testNow.Add(-time.Hour), To: testNow}, func(store.Series) error { return nil }); err == nil {
		t.Error("select from a database that was dropped: no error")
	}
	if _, err := s.Measurements(t.Context()); err == nil {
		t.Error("measurements of a database that was dropped: no error")
	}
}

// Answers of a query that are none.
func TestBadAnswers(t *testing.T) {
	series := `{"name":"m","tags":{"site":"s1"},"columns":["time","v"],"values":[[%d,1]]}`
	good := fmt.Sprintf(`{"results":[{"statement_id":0,"series":[`+series+`]}]}`, testNow.Add(-time.Minute).UnixMilli())
	for _, c := range []struct{ name, body, want string }{
		{"error", `{"results":[{"statement_id":0,"error":"field exploded"}]}`, "field exploded"},
		{"no database", `{"results":[{"statement_id":0,"error":"database not found: db"}]}`, "database not found"},
		{"half", good[:len(good)-4], "broke off"},
		{"more to come", strings.Replace(good, `}]}]}`, `}],"partial":true}]}`, 1), "broke off"},
		{"nothing", "", "broke off"},
		{"html", "<html>hello</html>", "not an answer"},
		{"deep", `{"x":` + strings.Repeat("[", 100000), "levels"},
		{"long text", `{"error":"` + strings.Repeat("x", 2<<20), "text of more"},
		{"values before columns", `{"results":[{"series":[{"name":"m","values":[[1,2]]}]}]}`, "before their columns"},
		{"short row", `{"results":[{"series":[{"name":"m","columns":["time","v"],"values":[[1]]}]}]}`, "a row of 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			s := open(t, options(f.URL, "db"))
			f.onQuery(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.body) })
			q := store.Query{Measurement: "m", From: testNow.Add(-time.Hour), To: testNow}
			err := s.Select(t.Context(), q, func(store.Series) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 400 {
				t.Errorf("select: %v, want %q", err, c.want)
			}
			f.onQuery(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, good) })
			until(t, "a good answer", func() bool {
				n := 0
				return s.Select(t.Context(), q, func(store.Series) error { n++; return nil }) == nil && n == 1
			})
		})
	}
	t.Run("endless", func(t *testing.T) {
		f := newFake(t)
		s := open(t, options(f.URL, "db"))
		f.onQuery(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"results":[{"series":[{"name":"m","columns":["time","v"],"values":[[1,1]`)
			for at := testNow.Add(-time.Hour).UnixMilli(); r.Context().Err() == nil; at++ {
				if _, err := fmt.Fprintf(w, ",[%d,2]", at); err != nil {
					return
				}
			}
		})
		q := store.Query{Measurement: "m", From: testNow.Add(-time.Hour), To: testNow, MaxPoints: 200_000}
		if err := s.Select(t.Context(), q, func(store.Series) error { return nil }); !errors.Is(err, store.ErrTooMany) {
			t.Errorf("select: %v, want ErrTooMany", err)
		}
	})
	t.Run("stuck", func(t *testing.T) {
		f := newFake(t)
		o := options(f.URL, "db")
		o.Timeout = 200 * time.Millisecond
		s := open(t, o)
		f.onQuery(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"results":[{"series":[{"name":"m",`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		err := s.Select(t.Context(), store.Query{Measurement: "m", From: testNow.Add(-time.Hour), To: testNow}, func(store.Series) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "in time") {
			t.Errorf("select: %v", err)
		}
	})
}

// Rows of others in measurements of ours: other types, finer times, no site, a flood of series.
func TestForeignRows(t *testing.T) {
	name := database(t, real.URL(), "")
	s := open(t, options(real.URL(), name))
	if err := s.Append(t.Context(), storetest.Rows(t, one(5)...)); err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	at := testNow.UnixNano()
	fmt.Fprintf(&body, "m v=7 %d\nm v=8 %d\nm,site=s1 yes=true,i=3i %d\n", at-10, at-11, at-10)
	fmt.Fprintf(&body, "m,site=s1 v=\"text\" %d\n", testNow.Add(-8*24*time.Hour).UnixNano()) // another shard, where it conflicts with nothing
	for i := range 2000 {
		fmt.Fprintf(&body, "m,site=s1,flood=%d v=1 %d\n", i, at-20)
	}
	resp, err := http.Post(real.URL()+"/write?db="+name, "", strings.NewReader(body.String()))
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatal(err, resp)
	}
	resp.Body.Close()
	got := map[string]int{}
	err = s.Select(t.Context(), store.Query{Measurement: "m", From: testNow.Add(-9 * 24 * time.Hour), To: testNow}, func(p store.Series) error {
		if p.Tags.Get("flood") == "" {
			got[fmt.Sprintf("%s%v%d%v", p.Field, p.Tags, p.Times[len(p.Times)-1]-testNow.UnixMilli(), p.Values)]++
		} else {
			got["flood"]++
		}
		return nil
	})
	want := map[string]int{"v[{site s1}]-5000[5]": 1, "v[]-1[8]": 1, "yes[{site s1}]-1[1]": 1, "i[{site s1}]-1[3]": 1, "flood": 2000}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
}

func TestWrongToken(t *testing.T) {
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
	statement(t, server.URL(), "", "CREATE USER admin WITH PASSWORD 'secret1' WITH ALL PRIVILEGES")
	for _, suffix := range []string{"", "_5m", "_1h", "_1d", "_1mo"} {
		statement(t, server.URL(), "admin:secret1", `CREATE DATABASE "db`+suffix+`"`)
	}
	statement(t, server.URL(), "admin:secret1", "CREATE USER cw WITH PASSWORD 'secret2'")
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("cw:wrong-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(server.URL(), "db")
	o.TokenFile = token
	s := open(t, o)
	c := s.Condition()
	if !c.Away || !strings.Contains(c.Reason, "401") || !strings.Contains(c.Fix, "influx.token_file") || strings.Contains(fmt.Sprint(c), "secret") {
		t.Errorf("condition with a wrong token: %+v", c)
	}
	// The right one, but not allowed here yet; then it is.
	if err := os.WriteFile(token, []byte("cw:secret2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "another reason", func() bool { return s.Condition().Reason != c.Reason })
	if c := s.Condition(); !c.Away || !strings.Contains(c.Fix, "influx.token_file") {
		t.Errorf("condition with a token that may nothing: %+v", c)
	}
	for _, suffix := range []string{"", "_5m", "_1h", "_1d", "_1mo"} {
		statement(t, server.URL(), "admin:secret1", `GRANT ALL ON "db`+suffix+`" TO cw`)
	}
	until(t, "leave to write", func() bool { return s.Append(t.Context(), storetest.Rows(t, one(1)...)) == nil })
	if s.Condition().Away || len(s.Warnings()) > 0 {
		t.Errorf("condition %+v, warnings %q", s.Condition(), s.Warnings())
	}
}

// The server is killed in the middle of writing. Every row that was taken is there afterwards, once.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	server, err := influxd.New(influxd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	makeDatabasesFor(t, server.URL(), "db")
	s := open(t, options(server.URL(), "db"))
	const callers = 8
	var taken atomic.Int64
	var enough atomic.Bool
	defer enough.Store(true)
	var wg sync.WaitGroup
	stored := make([]map[int64]bool, callers)
	for caller := range callers {
		stored[caller] = map[int64]bool{}
		wg.Go(func() {
			for batch := 0; !enough.Load(); batch++ {
				var points []probes.Point
				for i := range 20 {
					p := one(batch*20 + i)[0]
					p.Tags = probes.Tags{{Key: "caller", Value: fmt.Sprint(caller)}}
					points = append(points, p)
				}
				if err := s.Append(context.Background(), storetest.Rows(t, points...)); err != nil {
					until(t, "the way back", func() bool {
						return !s.Condition().Away || s.Append(context.Background(), storetest.Rows(t, points...)) == nil
					})
					continue
				}
				taken.Add(1)
				for _, p := range points {
					stored[caller][p.Time.UnixMilli()] = true
				}
			}
		})
	}
	for range 3 {
		before := taken.Load()
		until(t, "rows to be taken", func() bool { return taken.Load() > before+30 })
		server.Kill()
		until(t, "a caller to be told", func() bool { return s.Condition().Away })
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	enough.Store(true)
	wg.Wait()
	last := one(1)
	last[0].Measurement = "another"
	until(t, "the way back", func() bool { return s.Append(t.Context(), storetest.Rows(t, last...)) == nil })
	got := make([]map[int64]bool, callers)
	err = s.Select(t.Context(), store.Query{Measurement: "m", From: testNow.Add(-30 * 24 * time.Hour), To: testNow.Add(time.Hour)}, func(p store.Series) error {
		var caller int
		fmt.Sscan(p.Tags.Get("caller"), &caller)
		if got[caller] != nil {
			t.Errorf("series of caller %d came twice", caller)
		}
		got[caller] = map[int64]bool{}
		for i, at := range p.Times {
			if got[caller][at] || p.Values[i] != float64(testNow.UnixMilli()-at)/1000 {
				t.Errorf("caller %d: row at %d is there twice or is another's", caller, at)
			}
			got[caller][at] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for caller := range callers {
		for at := range stored[caller] {
			if !got[caller][at] {
				t.Errorf("caller %d: the row at %d was taken and is not there", caller, at)
			}
		}
	}
}

func makeDatabasesFor(t *testing.T, base, name string) {
	t.Helper()
	for _, suffix := range []string{"", "_5m", "_1h", "_1d", "_1mo"} {
		statement(t, base, "", fmt.Sprintf(`CREATE DATABASE "%s%s"`, name, suffix))
	}
}

// Names made to be misread must not swallow the rows beside them, and come back as they were.
func TestNothingSwallowsItsNeighbours(t *testing.T) {
	var evil []string
	for _, a := range `\, ="x` {
		for _, b := range `\, ="x` {
			for _, c := range `\, ="x` {
				evil = append(evil, strings.TrimRight(string([]rune{'v', a, b, c}), `\`))
			}
		}
	}
	name := database(t, real.URL(), "")
	s := open(t, options(real.URL(), name))
	var points []probes.Point
	for i, e := range evil {
		at := testNow.Add(-time.Duration(i) * time.Second)
		points = append(points,
			probes.Point{Measurement: "evil", Time: at, Tags: probes.Tags{{Key: "n", Value: fmt.Sprint(i)}, {Key: "z" + e, Value: e}}, Fields: []probes.Field{probes.String(e, `"`+e+`\`), probes.Int("n", int64(i))}},
			probes.Point{Measurement: "good", Time: at, Tags: probes.Tags{{Key: "site", Value: "s1"}}, Fields: []probes.Field{probes.Int("v", int64(i)), probes.String("s", `fine "x"`)}})
	}
	if err := s.Append(t.Context(), storetest.Rows(t, points...)); err != nil {
		t.Fatal(err)
	}
	count := func(measurement, field string, tags map[string]string) (n int, texts []string) {
		q := store.Query{Measurement: measurement, Fields: []string{field}, Tags: tags, From: testNow.Add(-time.Hour), To: testNow.Add(time.Hour)}
		if err := s.Select(t.Context(), q, func(p store.Series) error { n += len(p.Times); texts = append(texts, p.Texts...); return nil }); err != nil {
			t.Fatal(err)
		}
		return n, texts
	}
	if n, _ := count("good", "v", nil); n != len(evil) {
		t.Errorf("%d neighbours, want %d", n, len(evil))
	}
	if n, _ := count("evil", "n", nil); n != len(evil) {
		t.Errorf("%d rows with odd names, want %d", n, len(evil))
	}
	for i, e := range evil {
		if i%5 != 0 { // each costs a query
			continue
		}
		if n, texts := count("evil", e, map[string]string{"n": fmt.Sprint(i), "z" + e: e}); n != 1 || texts[0] != `"`+e+`\` {
			t.Errorf("%q: %d rows, %q", e, n, texts)
		}
		if n, _ := count("evil", "n", map[string]string{"n": e + "' OR '1'='1"}); n != 0 {
			t.Errorf("%q: %d rows of a tag that no series has", e, n)
		}
	}
}
