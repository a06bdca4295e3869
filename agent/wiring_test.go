package agent

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"communewatch/agent/schedule"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// inbox is a collector that keeps how often each point came.
type inbox struct {
	mu     sync.Mutex
	points map[string]int // series and time
	bad    []wire.BadLine
	down   bool
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v2/write" {
		http.NotFound(w, r)
		return
	}
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	data, err := io.ReadAll(body)
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil || in.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	rows, bad := wire.NewParser(wire.DefaultLimits()).Parse(data, time.Nanosecond, 0)
	for _, row := range rows {
		in.points[fmt.Sprintf("%s %d", row.Key, row.Time)]++
	}
	in.bad = append(in.bad, bad...)
	w.Header().Set("X-Influxdb-Version", "test")
	w.WriteHeader(http.StatusNoContent)
}

func realConfig(t *testing.T, site, url, target string) Config {
	t.Helper()
	cfg, err := ParseConfig("test.yaml", fmt.Appendf(nil, `
site: %s
agent: a
state_dir: %s
self_interval: 1s
spool: {seal_after: 100ms, min_free: 0}
collectors: [{url: '%s', token: x}]
checks:
- {name: hub, kind: tcp, address: '%s', path: lan, interval: 1200ms, options: {timeout: 200ms}}
- {name: gone, kind: tcp, address: '127.0.0.1:1', path: lan, interval: 1200ms, options: {timeout: 200ms}}
`, site, t.TempDir(), url, target))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// ledger notes the points that an agent says are taken.
type ledger struct {
	mu     sync.Mutex
	points map[string]int
}

func (l *ledger) take(_ string, _ int, points []probes.Point) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range points {
		p := &points[i]
		line := wire.Append(nil, &probes.Point{Measurement: p.Measurement, Tags: p.Tags, Fields: []probes.Field{probes.Int("x", 1)}, Time: p.Time})
		rows, _ := wire.NewParser(wire.DefaultLimits()).Parse(line, time.Nanosecond, 0)
		l.points[fmt.Sprintf("%s %d", rows[0].Key, rows[0].Time)]++
	}
}

// grow waits for so many more points.
func (l *ledger) grow(t *testing.T, more int) {
	t.Helper()
	size := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.points)
	}
	want := size() + more
	for deadline := time.Now().Add(20 * time.Second); size() < want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %d points; there are %d", want, size())
		}
	}
}

// Everything that was taken arrives once, though the collector is away for a while, the wall clock jumps, and the agent
// is stopped and started in between.
func TestEverythingTakenArrivesOnce(t *testing.T) {
	in := &inbox{points: map[string]int{}, down: true}
	server := httptest.NewServer(in)
	defer server.Close()
	cfg := realConfig(t, "s1", server.URL, listen(t))
	taken := &ledger{points: map[string]int{}}
	var mu sync.Mutex
	var skew time.Duration
	life := func(middle func()) {
		t.Helper()
		a, err := New(cfg, Options{Log: quiet(), OnTaken: taken.take, Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(skew)
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		taken.grow(t, 4)
		middle()
		taken.grow(t, 4)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	life(func() {})
	if len(in.points) > 0 {
		t.Fatal("a collector that is away took something")
	}
	life(func() {
		in.mu.Lock()
		in.down = false
		in.mu.Unlock()
		mu.Lock()
		skew = -time.Hour
		mu.Unlock()
	})
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, b := range in.bad {
		t.Errorf("line that a collector refuses: %+v", b)
	}
	for p, n := range taken.points {
		if n != 1 || in.points[p] != 1 {
			t.Errorf("%s: taken %d times, arrived %d times", p, n, in.points[p])
		}
	}
	for p := range in.points {
		if taken.points[p] == 0 {
			t.Errorf("%s arrived without having been taken", p)
		}
	}
}

func TestManyAgentsInOneProcess(t *testing.T) {
	const agents = 40
	in := &inbox{points: map[string]int{}}
	server := httptest.NewServer(in)
	defer server.Close()
	target := listen(t)
	before := runtime.NumGoroutine()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	sites := map[string]bool{}
	var mu sync.Mutex
	for i := range agents {
		site := fmt.Sprintf("s%d", i)
		a, err := New(realConfig(t, site, server.URL, target), Options{Log: quiet(), OnTaken: func(string, int, []probes.Point) {
			mu.Lock()
			defer mu.Unlock()
			sites[site] = true
		}})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := a.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	deadline := time.Now().Add(20 * time.Second)
	for n := 0; n < agents && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		n = len(sites)
		mu.Unlock()
	}
	// This counts the server's goroutines for the agents' connections as well.
	if per := (runtime.NumGoroutine() - before) / agents; per > 15 {
		t.Errorf("%d goroutines per agent", per)
	}
	stop()
	running.Wait()
	if len(sites) != agents {
		t.Errorf("%d of %d agents measured something", len(sites), agents)
	}
}

// The hop behind the config's path is really asked: loopback answers for itself.
func TestWrongPathOnLoopback(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("hops are asked on Linux only")
	}
	target := listen(t)
	for _, c := range []struct {
		hop     string
		outcome probes.Outcome
		proof   probes.Proof
	}{
		{"{ttl: 1, expect: [127.0.0.0/8]}", probes.OutcomeOK, probes.ProofProved},
		{"{ttl: 1, expect: [10.0.0.0/8], refuse: [127.0.0.0/8]}", probes.OutcomeWrongPath, probes.ProofWrong},
		{"{ttl: 1, expect: [10.0.0.0/8]}", probes.OutcomeOK, probes.ProofUnproven},
	} {
		cfg, err := ParseCheck(fmt.Appendf(nil, "paths: {lan: {hop: %s}}\nchecks: [{name: hub, kind: tcp, address: '%s', path: lan}]", c.hop, target), nil)
		if err != nil {
			t.Fatal(err)
		}
		var results []schedule.Result
		if results, err = Once(t.Context(), cfg, Options{Log: quiet()}); err != nil {
			t.Fatal(err)
		}
		if r := results[0]; r.Outcome != c.outcome || r.Proof != c.proof {
			t.Errorf("hop %s: %v, %s (%s); want %v, %s", c.hop, r.Outcome, r.Proof, r.Error, c.outcome, c.proof)
		}
	}
}
