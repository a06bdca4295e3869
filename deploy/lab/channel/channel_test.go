// Package channel_test holds the two ends of the order channel against each other: real agents, the real hub of
// orders, and for a call a real reflector, all on loopback.
package channel_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/agent"
	ends "communewatch/agent/orders"
	"communewatch/agent/ship"
	"communewatch/collector/orders"
	"communewatch/probes"
	said "communewatch/probes/orders"
	"communewatch/probes/webrtc/reflector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 60 * time.Second
	token    = "a-token-of-the-tests"
)

// journal is a log that is kept with what the test says, where it is searched for secrets.
func journal(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// hub starts a hub behind a server; a token is the name of its site. more, if not nil, serves what is not the hub's.
func hub(t *testing.T, more http.Handler) (*orders.Hub, string) {
	t.Helper()
	h := orders.New(orders.Options{Log: journal(t), Who: func(r *http.Request) (orders.Identity, error) {
		return orders.Identity{Site: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}, nil
	}})
	mux := http.NewServeMux()
	mux.Handle(said.Path, h.Handler())
	mux.Handle(said.ReportPath, h.Handler())
	if more != nil {
		mux.Handle("/", more)
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.ConnContext = orders.WithConn
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		server.Close()
	})
	return h, server.URL
}

// connected waits for so many agents.
func connected(t *testing.T, h *orders.Hub, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); len(h.Connected()) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d agents are connected, want %d", len(h.Connected()), n)
		}
	}
}

func call(id string, in, length time.Duration) said.Order {
	return said.Order{ID: id, Kind: said.KindCall, Expires: said.Seconds(in + 30*time.Second), Call: &said.Call{StartIn: said.Seconds(in),
		Duration: said.Seconds(length), Profile: said.Profile{Name: "low", AudioBPS: 25_600, VideoBPS: 96_000, FPS: 10}}}
}

// A province is told at once: from the first order told to the last agent's word that it will be carried out.
func TestProvinceIsToldAtOnce(t *testing.T) {
	const n = 200
	h, url := hub(t, nil)
	type answer struct {
		site  string
		phase said.Phase
		at    time.Time
	}
	heard := make(chan answer, 10*n)
	h.OnReport(func(site, _ string, r said.Report) { heard <- answer{site, r.Phase, time.Now()} })
	ctx, cancel := context.WithCancel(context.Background())
	var agents sync.WaitGroup
	defer agents.Wait()
	defer cancel()
	for i := range n {
		client := ends.New(ends.Options{
			Collectors: []ship.Collector{{URL: url, Token: fmt.Sprintf("s%03d", i)}}, Agent: "pc", Gate: ends.NewGate(nil, time.Now), MaxBPS: 1e6, Log: journal(t),
			Callers: []ends.Caller{{Check: "hub", Path: probes.PathDedicated, Call: func(ctx context.Context, _ said.Call, started func()) ends.Result {
				started()
				<-ctx.Done()
				return ends.Result{Outcome: probes.OutcomeCanceled}
			}}},
		})
		agents.Go(func() { _ = client.Run(ctx) })
	}
	connected(t, h, n)
	begin := time.Now()
	told := map[string]time.Time{}
	for _, a := range h.Connected() {
		if err := h.Tell(a.Site, call("r1", 0, time.Minute)); err != nil {
			t.Fatalf("%s: %v", a.Site, err)
		}
		told[a.Site] = time.Now()
	}
	var took []time.Duration
	for seen := map[string]bool{}; len(seen) < n; {
		select {
		case a := <-heard:
			if !seen[a.site] {
				seen[a.site] = true
				took = append(took, a.at.Sub(told[a.site]))
			}
		case <-time.After(patience):
			t.Fatalf("%d of %d agents answered", len(seen), n)
		}
	}
	slices.Sort(took)
	t.Logf("%d agents: median %v, 99th percentile %v, worst %v; all within %v", n, took[n/2], took[n*99/100], took[n-1], time.Since(begin))

	// And it is stopped as fast.
	for site := range told {
		if err := h.Tell(site, said.Order{ID: "halt", Kind: said.KindStop, Expires: said.Seconds(time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	for ended := map[string]bool{}; len(ended) < 2*n; {
		select {
		case a := <-heard:
			if a.phase == said.PhaseDone { // of the call, and of the stop itself
				if key := a.site; ended[key] {
					ended[key+" twice"] = true
				} else {
					ended[key] = true
				}
			}
		case <-time.After(patience):
			t.Fatalf("%d of %d ends were reported", len(ended), 2*n)
		}
	}
}

// An agent as it is installed, with its settings file, makes a call to a reflector because it was told to.
func TestAgentMakesARealCallByOrder(t *testing.T) {
	far, err := reflector.Open(reflector.Options{Media: "127.0.0.1:0", Tokens: []string{token}, Limits: reflector.Limits{CPU: 10, Residence: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	running.Go(func() { _ = far.Run(ctx) })
	mux := http.NewServeMux()
	mux.Handle("/whip/", far.Handler())
	mux.HandleFunc("/api/v2/write", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Influxdb-Version", "test")
		w.WriteHeader(http.StatusNoContent)
	})
	h, url := hub(t, mux)
	reports := make(chan said.Report, 100)
	h.OnReport(func(_, _ string, r said.Report) { reports <- r })

	cfg, err := agent.ParseConfig("agent.yaml", fmt.Appendf(nil, `
site: s1
agent: pc
state_dir: %s
spool: {min_free: 0}
collectors: [{url: '%s', token: s1}]
checks:
- {name: meeting, kind: webrtc, address: '%s%s', path: dedicated, interval: 24h, options: {token: %s}}
`, t.TempDir(), url, url, reflector.EchoPath, token))
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan probes.Point, 1000)
	a, err := agent.New(cfg, agent.Options{Log: journal(t), OnTaken: func(_ string, _ int, points []probes.Point) {
		for _, p := range points {
			taken <- p
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	connected(t, h, 1)
	if got := h.Connected()[0]; got.Site != "s1" || got.Agent != "pc" || len(got.Checks) != 1 || got.Checks[0] != (orders.Check{Name: "meeting", Path: probes.PathDedicated}) {
		t.Errorf("connected: %+v", got)
	}
	if err := h.Tell("s1", call("r1", time.Second, 2*time.Second)); err != nil {
		t.Fatal(err)
	}
	var phases []string
	var last said.Report
	for !last.Phase.Final() {
		select {
		case last = <-reports:
			phases = append(phases, string(last.Phase))
		case <-time.After(patience):
			t.Fatalf("after %v nothing more was reported", phases)
		}
	}
	// A phase that is over before it could be sent is left out.
	if got := strings.Join(phases, " "); !strings.HasSuffix(got, "done") || strings.Contains(got, "refused") {
		t.Errorf("phases %q", got)
	}
	// On a machine that is busy with other tests the call may say that it was overloaded; that it was made, it must say.
	if last.Outcome != "ok" && last.Outcome != "overloaded" || last.Result == nil || !last.Result.Rehearsal || last.Result.Profile != "low" || len(last.Result.Flows) != 4 {
		t.Fatalf("got %+v with %+v", last, last.Result)
	}
	for _, f := range last.Result.Flows {
		if f.Sent == 0 || f.Received == 0 {
			t.Errorf("no media %s of %s: %+v", f.Direction, f.Media, f)
		}
	}
	// The row that would be judged is left out: a rehearsal is no verdict on a site.
	rows := map[string]int{}
	for late := time.After(patience); rows["webrtc"] < 1 || rows["webrtc_flow"] < 4; {
		select {
		case p := <-taken:
			if p.Tags.Get("target") == "meeting" {
				rows[p.Measurement]++
			}
			if made, _ := p.Field("rehearsal"); p.Measurement == "webrtc" && made.Num != 1 {
				t.Errorf("a row that is not of a rehearsal: %+v", p)
			}
		case <-late:
			t.Fatalf("rows %v", rows)
		}
	}
	if rows["webrtc"] != 1 || rows["webrtc_flow"] != 4 || rows["check"] != 0 {
		t.Errorf("rows %v", rows)
	}
}
