package channel_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/agent"
	"communewatch/collector/dispatch"
	"communewatch/collector/registry"
	"communewatch/collector/runs"
	"communewatch/probes"
	said "communewatch/probes/orders"
	"communewatch/probes/work"
)

// planted is looked for in the agent's log.
const planted = "planted-s3cret-e2e"

// plan gives one agent its work.
type plan struct {
	mu  sync.Mutex
	now *work.Work
}

func (p *plan) set(document string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	version := 1
	if p.now != nil {
		version = p.now.Version + 1
	}
	p.now = &work.Work{Version: version, Document: document, Secrets: map[string]string{"pass": planted}}
}

func (p *plan) work(_ context.Context, site, agent, _ string) (*work.Work, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil || site != "s1" || agent != "pc" {
		return nil, "", nil
	}
	return p.now, fmt.Sprintf("\"%d\"", p.now.Version), nil
}

// An agent as it is installed, without any check of its own, is given work by the real doors and runs it when somebody
// asks.
func TestAgentIsGivenWorkAndRunsItByOrder(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	var given plan
	door := dispatch.New(dispatch.Options{Work: given.work, Log: journal(t), Agent: func(r *http.Request) (registry.Identity, error) {
		return registry.Identity{Site: "s1", Agent: "pc"}, nil
	}})
	mux := http.NewServeMux()
	mux.Handle(work.Path, door)
	mux.HandleFunc("/api/v2/write", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Influxdb-Version", "test")
		w.WriteHeader(http.StatusNoContent)
	})
	h, url := hub(t, mux)
	service := runs.New(runs.Options{Tell: h.TellAgent, Connected: h.Connected})
	h.OnReport(service.Hear)
	looked := make(chan said.Report, 100)
	h.OnReport(func(_, _ string, r said.Report) {
		if strings.HasPrefix(r.Order, "look-") && r.Phase.Final() {
			looked <- r
		}
	})

	cfg, err := agent.ParseConfig("agent.yaml", fmt.Appendf(nil, "site: s1\nagent: pc\nstate_dir: %s\nspool: {min_free: 0}\ncollectors: [{url: '%s', token: s1}]\n", t.TempDir(), url))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	a, err := agent.New(cfg, agent.Options{Log: slog.New(slog.NewTextHandler(io.MultiWriter(&log, t.Output()), nil)), Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	defer end()
	connected(t, h, 1)

	look := func(document string) said.Report {
		t.Helper()
		given.set(document)
		if err := h.Look("s1", "", said.LookWork); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-looked:
			return r
		case <-time.After(patience):
			t.Fatal("the agent did not look")
			return said.Report{}
		}
	}
	good := fmt.Sprintf("checks:\n- {name: portal, kind: tcp, address: '%s', path: lan, interval: 1h, options: {timeout: 1s}}\n"+
		"- {name: device, kind: snmp, address: '127.0.0.1:1', path: lan, interval: 1h, options: {community: '${secret:pass}', timeout: 200ms, retries: 0}}\n", target.Addr())
	if r := look(good); r.Outcome != "ok" {
		t.Fatalf("good work: %+v", r)
	}
	if r := look(good + "- {name: far, kind: icmp, address: 8.8.8.8, path: lan}\n"); r.Outcome != "failed" || !strings.Contains(r.Reason, "8.8.8.8") {
		t.Errorf("forbidden work: %+v", r)
	}

	clicked := time.Now()
	r, err := service.Start(t.Context(), "s1", "", []string{"portal", "device", "far"})
	if err != nil {
		t.Fatal(err)
	}
	first := time.Duration(0)
	for !r.Over {
		if r, err = service.Next(t.Context(), r.ID, r); err != nil {
			t.Fatal(err)
		}
		if first == 0 && r.Checks[0].Phase == said.PhaseDone {
			first = time.Since(clicked)
		}
	}
	t.Logf("the first result came after %v, the last after %v", first, time.Since(clicked))
	if first > 2*time.Second {
		t.Errorf("the result of a quick check came after %v", first)
	}
	if c := r.Checks; c[0].Outcome != "ok" || c[0].Path != probes.PathLAN || c[1].Phase != said.PhaseDone || c[1].Outcome == "ok" || c[1].Outcome == "bad_config" || c[2].Phase != said.PhaseRefused {
		t.Errorf("got %+v", r)
	}
	end()
	if strings.Contains(log.String(), planted) {
		t.Error("a secret is in the log")
	}
}
