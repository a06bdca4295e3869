package influx_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influxd"
	"communewatch/collector/store/storetest"
)

// real is the InfluxDB that all tests of this room share. Each has databases of its own in it.
var real *influxd.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "communewatch-influx-")
		if err == nil {
			defer os.RemoveAll(dir)
			real, err = influxd.New(influxd.Options{Dir: dir})
		}
		if err == nil {
			err = real.Start(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer real.Stop()
		code := m.Run()
		http.DefaultClient.CloseIdleConnections()
		if err := goleak.Find(goleak.IgnoreTopFunction("os/exec.(*Cmd).Wait"), goleak.IgnoreAnyFunction("communewatch/collector/store/influxd.(*Server).Start.func1")); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		return code
	}())
}

// testNow is when tests are: it must not lie before the real clock's retention, so it moves with it.
var testNow = time.Now().Truncate(24 * time.Hour).Add(8 * time.Hour).UTC()

var keep = map[rollup.Level]time.Duration{
	rollup.FiveMinutes: 366 * 24 * time.Hour, rollup.Hour: 5 * 366 * 24 * time.Hour,
	rollup.Day: 5 * 366 * 24 * time.Hour, rollup.Month: 5 * 366 * 24 * time.Hour,
}

func options(url, database string) influx.Options {
	o := influx.Options{Config: influx.DefaultConfig(), Keep: keep, Now: func() time.Time { return testNow }}
	o.URL, o.Database = url, database
	return o
}

// statement runs InfluxQL that changes something.
func statement(t testing.TB, base, token, q string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, base+"/query", strings.NewReader(url.Values{"q": {q}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil || resp.StatusCode != http.StatusOK || strings.Contains(body.String(), `"error"`) {
		t.Fatalf("%s: %d %s %v", q, resp.StatusCode, body.String(), err)
	}
}

var databases atomic.Int64

// database makes the databases of one store and returns the name of that of rows.
func database(t testing.TB, base, token string) string {
	t.Helper()
	name := fmt.Sprintf("communewatch_test_%d_%d", time.Now().UnixNano()%1e9, databases.Add(1))
	makeDatabases(t, base, token, name)
	return name
}

func makeDatabases(t testing.TB, base, token, name string) {
	t.Helper()
	for _, suffix := range []string{"", "_5m", "_1h", "_1d", "_1mo"} {
		statement(t, base, token, fmt.Sprintf(`CREATE DATABASE "%s%s"`, name, suffix))
		t.Cleanup(func() { statement(t, base, token, fmt.Sprintf(`DROP DATABASE "%s%s"`, name, suffix)) })
	}
}

func open(t testing.TB, o influx.Options) *influx.Store {
	t.Helper()
	s, err := influx.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // again, where the test closed it
	return s
}

// conformance runs the suite of all engines. Its folders are names here: each becomes databases.
func conformance(t *testing.T, base, token string, adapt func(*influx.Options)) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		var mu sync.Mutex
		made := map[string]bool{}
		return storetest.Harness{
			Open: func(dir string) (store.Store, error) {
				h := fnv.New64a()
				h.Write([]byte(dir))
				name := fmt.Sprintf("communewatch_test_%x", h.Sum64())
				mu.Lock()
				if !made[name] {
					makeDatabases(t, base, token, name)
					made[name] = true
				}
				mu.Unlock()
				o := options(base, name)
				if adapt != nil {
					adapt(&o)
				}
				s, err := influx.Open(t.Context(), o)
				if err != nil {
					return nil, err
				}
				if c := s.Condition(); c.Away {
					return nil, fmt.Errorf("the database is away: %s (%s)", c.Reason, c.Fix)
				}
				return s, nil
			},
			Now:        testNow,
			LateWindow: 30 * 24 * time.Hour,
			Keep:       keep,
			NoBackup:   true,
		}
	})
}

func TestConformance(t *testing.T) { conformance(t, real.URL(), "", nil) }

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{t}, nil))
}

type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}
