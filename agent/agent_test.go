package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/agent/ship"
	"communewatch/agent/spool"
	"communewatch/probes"
	"communewatch/probes/wire"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// memory is a spool and a sender without disk and network, which notes what happens in order.
type memory struct {
	mu     sync.Mutex
	events []string
	lines  strings.Builder
	clocks map[int]bool
	refuse error
	sent   bool
}

func (m *memory) note(e string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
}

func (m *memory) Append(clock int, lines []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return m.refuse
	}
	m.lines.Write(lines)
	m.clocks[clock] = true
	return nil
}

func (m *memory) Seal(bool) error { m.note("sealed"); return nil }

func (m *memory) Stats() spool.Stats { return spool.Stats{Batches: 3} }
func (m *memory) Close() error       { m.note("closed"); return nil }

type memorySender struct {
	*memory
	fails error
}

func (m memorySender) Run(ctx context.Context) error {
	if m.fails != nil {
		return m.fails
	}
	<-ctx.Done()
	m.note("sender stopped")
	return nil
}

func (m memorySender) Stats() ship.Stats { return ship.Stats{Failures: 2} }

func newAgent(t *testing.T, checks string, o Options, fails error) (*Agent, *memory) {
	t.Helper()
	cfg, err := ParseConfig("test.yaml", fmt.Appendf(nil, "site: s1\nagent: a\nstate_dir: '%s'\nself_interval: 1s\ncollectors: [{url: 'http://127.0.0.1:1', token: x}]\nchecks:\n%s", t.TempDir(), checks))
	if err != nil {
		t.Fatal(err)
	}
	o.Log, o.Version = quiet(), "1.2.3"
	a, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{clocks: map[int]bool{}}
	a.open = func(*Agent) (results, sender, error) { return m, memorySender{m, fails}, nil }
	return a, m
}

func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestResultsReachTheSpoolInTheContractsForm(t *testing.T) {
	addr := listen(t)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var mu sync.Mutex
	seen := map[string]int{}
	a, m := newAgent(t, fmt.Sprintf("- {name: hub, kind: tcp, address: '%s', path: lan, interval: 1500ms, options: {timeout: 500ms}}", addr), Options{
		OnTaken: func(_ string, _ int, points []probes.Point) {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range points {
				seen[p.Measurement]++
			}
			if seen["check"] >= 2 && seen["agent"] >= 2 {
				stop()
			}
		},
	}, nil)
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	rows, bad := wire.NewParser(wire.DefaultLimits()).Parse([]byte(m.lines.String()), time.Nanosecond, 0)
	if len(bad) > 0 {
		t.Fatalf("lines that no collector takes: %+v", bad)
	}
	contract := map[string]probes.MeasurementSpec{}
	for _, s := range probes.Schema() {
		contract[s.Name] = s
	}
	got := map[string]int{}
	for _, r := range rows {
		series, err := wire.ParseKey(r.Key)
		if err != nil {
			t.Fatal(err)
		}
		spec := contract[series.Measurement]
		got[series.Measurement]++
		for _, tag := range series.Tags {
			if _, ok := spec.Tag(tag.Key); !ok {
				t.Errorf("%s has the tag %s, which the contract does not know", series.Measurement, tag.Key)
			}
		}
		for _, f := range r.Fields {
			if s, ok := spec.Field(string(f.Key)); !ok || s.Type != f.Type {
				t.Errorf("%s.%s of type %v is not in the contract", series.Measurement, f.Key, f.Type)
			}
		}
		if r.Time%1e6 != 0 {
			t.Errorf("time %d is no whole millisecond", r.Time)
		}
	}
	if got["tcp"] < 2 || got["check"] != got["tcp"] || got["agent"] < 2 {
		t.Errorf("rows by measurement: %v", got)
	}
	for name, n := range got {
		if seen[name] != n {
			t.Errorf("OnTaken saw %d rows of %s, the spool %d", seen[name], name, n)
		}
	}
}

func TestSelfReportIsComplete(t *testing.T) {
	a, _ := newAgent(t, "", Options{}, nil)
	a.spool, a.ship, _ = a.open(a)
	p := a.self(t.Context(), time.Now())
	for _, s := range probes.Schema() {
		if s.Name != "agent" {
			continue
		}
		for _, f := range s.Fields {
			if _, ok := p.Field(f.Key); !ok && f.Key != "clock_offset_seconds" { // absent before the first answer
				t.Errorf("field %s is missing", f.Key)
			}
		}
	}
	if rss, _ := p.Field("rss_bytes"); rss.Num < 1<<20 {
		t.Errorf("rss_bytes %v", rss.Num)
	}
}

func TestStopsInOrderOfFlow(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	a, m := newAgent(t, "", Options{}, nil)
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.events, ", "); got != "sender stopped, closed" {
		t.Errorf("events in order: %s", got)
	}
}

func TestSenderThatFailsEndsTheAgent(t *testing.T) {
	a, m := newAgent(t, "", Options{}, errors.New("bad URL"))
	err := a.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "bad URL") {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(m.events, ", "); got != "closed" {
		t.Errorf("the spool was left open: %q", got)
	}
}

func TestRefusedResultsAreNotReportedAsTaken(t *testing.T) {
	taken := false
	a, m := newAgent(t, "", Options{OnTaken: func(string, int, []probes.Point) { taken = true }}, nil)
	m.refuse = errors.New("disk full")
	a.spool = m
	a.keep(1, []probes.Point{{Measurement: "x", Fields: []probes.Field{probes.Float("v", 1)}}})
	if taken {
		t.Error("OnTaken was told of points that the spool refused")
	}
}

// A jump of the wall clock must not put two clocks into one batch: the spool is told which is which.
func TestSkewBeginsANewClock(t *testing.T) {
	var mu sync.Mutex
	var skew time.Duration
	a, m := newAgent(t, "", Options{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(skew)
	}}, nil)
	a.spool, a.ship, _ = a.open(a)
	a.reportSelf(t.Context())
	mu.Lock()
	skew = time.Hour
	mu.Unlock()
	a.reportSelf(t.Context())
	if !m.clocks[1] || !m.clocks[2] {
		t.Errorf("clocks %v, want 1 and 2", m.clocks)
	}
}

func TestAgentsAreCheap(t *testing.T) {
	const agents = 136
	before := runtime.NumGoroutine()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	reported := make(chan struct{}, agents)
	for range agents {
		first := sync.OnceFunc(func() { reported <- struct{}{} })
		a, _ := newAgent(t, "- {name: hub, kind: tcp, address: '127.0.0.1:1', path: lan, interval: 24h}",
			Options{OnTaken: func(string, int, []probes.Point) { first() }}, nil)
		running.Go(func() {
			if err := a.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for range agents { // each has reported about itself, so all of it is running
		select {
		case <-reported:
		case <-time.After(20 * time.Second):
			t.Fatal("an agent does not run")
		}
	}
	if per := (runtime.NumGoroutine() - before) / agents; per > 8 {
		t.Errorf("%d goroutines per idle agent", per)
	}
	stop()
	running.Wait()
}
