package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector"
	"communewatch/collector/registry"
	"communewatch/deploy/lab/relay"
	"communewatch/deploy/lab/scenario"
	"communewatch/probes"
)

func config(t *testing.T, sites int) Config {
	t.Helper()
	// The path of a socket has room for some hundred bytes, and a TempDir bears the test's whole name.
	dir, err := os.MkdirTemp("", "cw-lab-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Config{Dir: dir, Listen: "127.0.0.1:21081", Sites: sites, Block: 157, Interval: 15 * time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// TestPreparedFilesAreValid reads all that a lab writes with the programs' own readers, also for a lab larger than the
// province.
func TestPreparedFilesAreValid(t *testing.T) {
	cfg := config(t, 140)
	cfg.Devices, cfg.Calls = true, true
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := collector.ReadConfig(p.collectorFile()); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, site := range p.Sites() {
		if seen[site] {
			t.Errorf("site %s twice", site)
		}
		seen[site] = true
		if _, err := p.agentConfig(site); err != nil {
			t.Errorf("site %s: %v", site, err)
		}
	}
	if len(seen) != 140 {
		t.Errorf("%d sites", len(seen))
	}
	again, err := Open(cfg.Dir, cfg.Log)
	if err != nil || fmt.Sprint(again.Sites()) != fmt.Sprint(p.Sites()) || again.Reachable() != "127.0.0.1:21081" {
		t.Errorf("opened again: %v, %v", again.Sites(), err)
	}
}

// TestFewerSitesThanAFolderHasAreRefused: the collector would wait for the others for ever.
func TestFewerSitesThanAFolderHasAreRefused(t *testing.T) {
	cfg := config(t, 3)
	if _, err := Prepare(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Sites = 2
	if _, err := Prepare(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "is a lab of 3 sites, and 2 were asked for") {
		t.Errorf("got %v", err)
	}
}

// TestPreparingAgainKeepsTokens: a lab's folder can be used again, and with more sites.
func TestPreparingAgainKeepsTokens(t *testing.T) {
	cfg := config(t, 2)
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	read := func(site string) string {
		t.Helper()
		secret, err := os.ReadFile(filepath.Join(p.agentDir(site), "token"))
		if err != nil {
			t.Fatal(err)
		}
		return string(secret)
	}
	first, second := p.Sites()[0], p.Sites()[1]
	kept, old := read(first), read(second)
	reg, err := registry.Open(t.Context(), filepath.Join(CollectorDir(cfg.Dir), "registry.db"), registry.Options{Log: cfg.Log})
	if err != nil {
		t.Fatal(err)
	}
	id, err := reg.Authenticate(t.Context(), strings.TrimSpace(old))
	if err == nil {
		err = reg.RevokeToken(t.Context(), id.Token)
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg.Sites = 3
	if p, err = Prepare(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if read(first) != kept {
		t.Error("a token in force was replaced")
	}
	if read(second) == old {
		t.Error("a revoked token was not replaced")
	}
	if read(p.Sites()[2]) == "" {
		t.Error("the new site has no token")
	}
}

func TestBadLabsAreRefused(t *testing.T) {
	for _, n := range []int{0, -1, 1 << 20} {
		if _, err := Prepare(t.Context(), config(t, n)); err == nil || !strings.Contains(err.Error(), "choose 1 to") {
			t.Errorf("%d sites: %v", n, err)
		}
	}
	if _, err := Open(t.TempDir(), slog.Default()); err == nil || !strings.Contains(err.Error(), "not the folder of a lab") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestALedgerThatCantBeWrittenStopsItsAgent: an audit by a ledger with a hole would find everything in order.
func TestALedgerThatCantBeWrittenStopsItsAgent(t *testing.T) {
	const full = "/dev/full" // takes no byte, like a full disk
	if _, err := os.Stat(full); err != nil {
		t.Skip(err)
	}
	defer goleak.VerifyNone(t)
	cfg := config(t, 1)
	cfg.Listen, cfg.Block = "127.0.0.1:8972", 192
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	site := p.Sites()[0]
	if err := os.Symlink(full, p.ledgerFile(site)); err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), p, Parts{Agents: []string{site}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	select {
	case err := <-l.Failed():
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "agent of "+site+": ledger") {
			t.Errorf("it failed with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the agent goes on")
	}
	if _, err := os.Lstat(p.ledgerFile(site) + BrokenLedger); err != nil {
		t.Errorf("the ledger is not set aside: %v", err)
	}
	if _, err := os.Lstat(p.ledgerFile(site)); !os.IsNotExist(err) {
		t.Errorf("the ledger is still there: %v", err)
	}
}

// TestOrdersOverTheSocket gives a running lab orders as the command line does.
func TestOrdersOverTheSocket(t *testing.T) {
	defer goleak.VerifyNone(t)
	cfg := config(t, 1)
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), p, Parts{Gear: true, Collector: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Control(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answers := func(url string) bool {
		resp, err := client.Get(url)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	eventually := func(what string, good func() bool) {
		t.Helper()
		for begin := time.Now(); !good(); time.Sleep(20 * time.Millisecond) {
			if time.Since(begin) > 15*time.Second {
				t.Fatalf("not: %s", what)
			}
		}
	}
	site := p.Sites()[0]
	portal := fmt.Sprintf("http://%s:10080/", cfg.Block.Addr(0, 2))
	down := scenario.Order{Do: scenario.DoService, Sites: []string{site}, Service: "broadband-portal", Mode: "down", For: 500 * time.Millisecond}
	eventually("the lab takes orders", func() bool { return Send(t.Context(), cfg.Dir, down) == nil })
	if answers(portal) {
		t.Error("the portal is down and answers")
	}
	eventually("the fault is over", func() bool { return answers(portal) })

	door := "http://" + cfg.Listen + "/api/v1/sites"
	for _, mode := range []string{"stop", "start"} {
		if err := Send(t.Context(), cfg.Dir, scenario.Order{Do: scenario.DoCollector, Mode: mode}); err != nil {
			t.Fatal(err)
		}
		eventually("collector: "+mode, func() bool { return answers(door) == (mode == "start") })
	}

	for _, o := range []scenario.Order{
		{Do: scenario.DoService, Sites: []string{"s99999"}, Service: "router-web", Mode: "down"},
		{Do: scenario.DoService, Sites: []string{site}, Service: "coffee", Mode: "down"},
		{Do: scenario.DoAgent, Sites: []string{site}, Mode: "stop"}, // runs elsewhere
		{Do: "flood"},
	} {
		if err := Send(t.Context(), cfg.Dir, o); err == nil {
			t.Errorf("%v was carried out", o)
		}
	}
	if err := Send(t.Context(), t.TempDir(), down); err == nil || !strings.Contains(err.Error(), "no lab is running") {
		t.Errorf("a folder without a lab: %v", err)
	}
}

// TestTheDocumentedScenarioPlays reads the example of docs/lab.md as a demo of the province would.
func TestTheDocumentedScenarioPlays(t *testing.T) {
	const file = "../../docs/lab.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```yaml\n")
	example, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatalf("%s has no example", file)
	}
	sites, err := provinceSites(136)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse(file, []byte(example), (&Province{sites: sites}).Sites())
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []string{scenario.DoService, scenario.DoAgent, scenario.DoClock, scenario.DoCollector, scenario.DoMedia} {
		if !slices.ContainsFunc(s.Steps, func(st scenario.Step) bool { return st.Do == do }) {
			t.Errorf("the example shows no order %q", do)
		}
	}
}

// TestOrdersReachTheLinesOfCalls: of a site and of the hub, each direction apart, and back.
func TestOrdersReachTheLinesOfCalls(t *testing.T) {
	defer goleak.VerifyNone(t)
	cfg := config(t, 2)
	cfg.Block, cfg.Calls = 193, true
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), p, Parts{Gear: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	media := func(o scenario.Order) {
		t.Helper()
		o.Do = scenario.DoMedia
		if err := l.Do(o); err != nil {
			t.Fatal(err)
		}
	}
	first := []string{p.Sites()[0]}
	media(scenario.Order{Sites: first, Media: scenario.Media{Direction: probes.DirectionUp, Loss: 0.08, Burst: 3}})
	media(scenario.Order{Sites: first, Delay: 40 * time.Millisecond, Media: scenario.Media{Direction: probes.DirectionDown, Rate: 2e6}})
	want := relay.Line{Up: relay.Way{Loss: 0.08, Burst: 3}, Down: relay.Way{BPS: 2e6, Delay: 40 * time.Millisecond}}
	if got := l.Gear().Line(0).Line(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the line is %+v", got)
	}
	media(scenario.Order{Sites: first, Mode: "up", Media: scenario.Media{Direction: probes.DirectionUp}})
	if got := l.Gear().Line(0).Line(); got.Up.Loss != 0 || got.Down.BPS != 2e6 {
		t.Errorf("the line is %+v", got)
	}
	media(scenario.Order{Mode: "cut", Media: scenario.Media{Hub: true}})
	if got := l.Gear().Line(1).Line(); got.Up.Cut {
		t.Errorf("the hub's fault is at a site: %+v", got)
	}
	// Without calls there is nothing to make bad.
	bare := &Lab{province: p, log: cfg.Log, index: map[string]int{}}
	if err := bare.Do(scenario.Order{Do: scenario.DoMedia, Mode: "cut", Media: scenario.Media{Hub: true}}); err == nil {
		t.Error("an order for equipment that does not run was carried out")
	}
}
