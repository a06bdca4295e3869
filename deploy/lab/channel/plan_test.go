package channel_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/agent"
	"communewatch/collector/dispatch"
	"communewatch/collector/plans"
	"communewatch/collector/registry"
	"communewatch/collector/runs"
	"communewatch/inventory"
	said "communewatch/probes/orders"
	"communewatch/probes/work"

	"golang.org/x/sync/errgroup"
)

// applied waits until the agent has done what it was told to look for, and returns how it went.
func applied(t *testing.T, heard <-chan said.Report) said.Report {
	t.Helper()
	select {
	case r := <-heard:
		return r
	case <-time.After(patience):
		t.Fatal("the agent was not told that its work has changed")
		return said.Report{}
	}
}

// A plan that the command line applies beside the collector reaches the agents that it concerns, and is what they do; so is
// the one before it when somebody goes back.
func TestAPlanBecomesWhatAgentsDo(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "registry.db")
	var opened [2]*registry.Registry // the collector's, and that of the command line
	for i := range opened {
		if opened[i], err = registry.Open(t.Context(), file, registry.Options{Log: journal(t)}); err != nil {
			t.Fatal(err)
		}
		defer opened[i].Close()
	}
	if _, err := opened[0].ImportSites(t.Context(), []inventory.Site{{ID: "s1", Name: "Tam Sơn"}, {ID: "s2", Name: "Xuân Hoà"}}, false); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards told
	var told []string
	changed := make(chan []plans.Agent, 100)
	centre := plans.Of(opened[0], dir, plans.Options{Loopback: true, Log: journal(t), Changed: func(list []plans.Agent) { changed <- list }})
	desk := plans.Of(opened[1], dir, plans.Options{Loopback: true, Log: journal(t)})
	mux := http.NewServeMux()
	mux.Handle(work.Path, dispatch.New(dispatch.Options{Work: centre.Work, Log: journal(t), Agent: func(r *http.Request) (registry.Identity, error) {
		return registry.Identity{Site: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), Agent: "pc"}, nil
	}}))
	mux.HandleFunc("/api/v2/write", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Influxdb-Version", "test")
		w.WriteHeader(http.StatusNoContent)
	})
	h, url := hub(t, mux)
	service := runs.New(runs.Options{Tell: h.TellAgent, Connected: h.Connected})
	h.OnReport(service.Hear)
	looked := make(chan said.Report, 100)
	h.OnReport(func(site, _ string, r said.Report) {
		if strings.HasPrefix(r.Order, "look-") && r.Phase.Final() {
			mu.Lock()
			told = append(told, site)
			mu.Unlock()
			looked <- r
		}
	})

	ctx, cancel := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	defer func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	}()
	for _, site := range []string{"s1", "s2"} {
		cfg, err := agent.ParseConfig("agent.yaml", fmt.Appendf(nil, "site: %s\nagent: pc\nstate_dir: %s\nspool: {min_free: 0}\ncollectors: [{url: '%s', token: %s}]\n", site, t.TempDir(), url, site))
		if err != nil {
			t.Fatal(err)
		}
		a, err := agent.New(cfg, agent.Options{Log: journal(t), Loopback: true})
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() error { return a.Run(ctx) })
	}
	connected(t, h, 2)
	group.Go(func() error { return centre.Run(ctx) })
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case list := <-changed:
				for _, a := range list {
					if err := h.Look(a.Site, a.Name, said.LookWork); err != nil {
						return err
					}
				}
			}
		}
	})

	plan := func(name string) string { // two of a kind: agents run no check twice within seconds
		return fmt.Sprintf("values: {portal: {type: host_port}}\nsecrets: [pass]\ntemplates:\n  a:\n    checks:\n"+
			"    - {name: %[1]s, kind: tcp, address: '${portal}', path: lan, interval: 1h, options: {timeout: 1s}}\n"+
			"    - {name: %[1]s-again, kind: tcp, address: '${portal}', path: lan, interval: 1h, options: {timeout: 1s}}\n"+
			"    - {name: device, kind: snmp, address: '127.0.0.1:1', path: lan, interval: 1h, options: {community: '${secret:pass}', timeout: 200ms, retries: 0}}\n"+
			"groups: [{name: some, sites: [s1], templates: [a], values: {portal: '%[2]s'}}]\n", name, target.Addr())
	}
	apply := func(text string) int {
		t.Helper()
		v, done, err := desk.Apply(t.Context(), plans.Draft{Plan: &text, Base: -1})
		if err != nil || !done {
			t.Fatal(done, err)
		}
		return v.ID
	}
	outcome := func(check string) string {
		t.Helper()
		r, err := service.Start(t.Context(), "s1", "", []string{check})
		if err != nil {
			t.Fatal(err)
		}
		for !r.Over {
			if r, err = service.Next(t.Context(), r.ID, r); err != nil {
				t.Fatal(err)
			}
		}
		return string(r.Checks[0].Phase) + " " + r.Checks[0].Outcome
	}
	if err := desk.SetSecret(t.Context(), "pass", planted); err != nil {
		t.Fatal(err)
	}
	first := apply(plan("portal"))
	if r := applied(t, looked); r.Outcome != "ok" {
		t.Fatalf("%+v", r)
	}
	if got := outcome("portal"); got != "done ok" {
		t.Errorf("a check of the plan: %s", got)
	}
	apply(plan("gate"))
	if r := applied(t, looked); r.Outcome != "ok" {
		t.Fatalf("%+v", r)
	}
	if got := outcome("gate"); got != "done ok" {
		t.Errorf("a check of the next version: %s", got)
	}
	if got := outcome("portal"); !strings.HasPrefix(got, "refused") {
		t.Errorf("a check that is no more: %s", got)
	}
	if _, done, err := desk.Rollback(t.Context(), first, "the gate was it not"); err != nil || !done {
		t.Fatal(done, err)
	}
	if r := applied(t, looked); r.Outcome != "ok" {
		t.Fatalf("%+v", r)
	}
	if got := outcome("portal-again"); got != "done ok" {
		t.Errorf("after going back: %s", got)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, site := range told {
		if site != "s1" {
			t.Errorf("%s was told, whose work did not change", site)
		}
	}
}
