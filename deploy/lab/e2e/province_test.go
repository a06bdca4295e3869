// Package e2e holds tests of the whole path, from a check that runs to the map that shows it, over real sockets, spool
// and stores. Each test runs a small province of its own; they run beside each other, since they mostly wait.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector"
	"communewatch/collector/api"
	"communewatch/collector/api/condition"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/deploy/lab"
	"communewatch/deploy/lab/audit"
	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/gear"
	"communewatch/deploy/lab/scenario"
)

// partOf tells a copy of the test program that it is one process of a lab, to be killed.
const partOf = "COMMUNEWATCH_E2E_PART"

func TestMain(m *testing.M) {
	if dir := os.Getenv(partOf); dir != "" {
		if err := runPart(dir, os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Labs mostly wait, so there is no need to run only as many at once as there are processors. A few more would save no
	// time and cost patience: those with an InfluxDB take a process more.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func runPart(dir, what, agents string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p, err := lab.Open(dir, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	parts := lab.Parts{Collector: what == "collector"}
	if agents != "" {
		parts.Agents = strings.Split(agents, ",")
	}
	l, err := lab.Start(ctx, p, parts)
	if err != nil {
		return err
	}
	defer l.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.Failed():
		return err
	}
}

// Labs of this package have blocks and ports of their own, away from those of demos and of other packages' tests.
var (
	nextBlock atomic.Int32 // from firstBlock
	nextPort  atomic.Int32 // from firstPort
)

const (
	firstBlock = 141
	firstPort  = 21100 // below the range from which systems take ports of outgoing connections
)

// province is one lab under test.
type province struct {
	t      *testing.T
	dir    string
	listen string
	p      *lab.Province
	lab    *lab.Lab // nil until start
	sites  []string
	begun  time.Time
}

// calm lifts the limits that a machine busy with tests would cross. Silence shows soon, since checks run often.
const calm = `health:
  overrides:
    - {field: icmp.loss_ratio, degraded: 0.9}
    - {field: icmp.rtt_p95_seconds, degraded: 5}
    - {field: icmp.jitter_seconds, degraded: 5}
    - {field: tcp.connect_seconds, degraded: 5}
    - {field: dns.query_seconds, degraded: 5}
  silence: {intervals: 2.5, grace: %s, interval: 60s, forget: 24h}
`

// onBothStores runs a test on the embedded store and on a real InfluxDB, beside each other and beside other tests.
func onBothStores(t *testing.T, test func(t *testing.T, store string)) {
	t.Parallel()
	for _, store := range []string{collector.StoreEmbedded, collector.StoreInflux} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			test(t, store)
		})
	}
}

// prepare makes the files of a lab with n sites whose checks run every two seconds.
func prepare(t *testing.T, store string, n int, grace time.Duration) *province {
	t.Helper()
	block := gear.Block(firstBlock + nextBlock.Add(1) - 1)
	pv := &province{t: t, dir: shortDir(t), listen: freeAddress(t), begun: time.Now()}
	cfg := lab.Config{Dir: pv.dir, Listen: pv.listen, Sites: n, Block: block, Interval: 15 * time.Second, Store: store, Log: slog.New(slog.DiscardHandler)}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	var err error
	if pv.p, err = lab.Prepare(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	pv.sites = pv.p.Sites()
	appendFile(t, filepath.Join(pv.dir, "collector", "collector.yaml"), fmt.Sprintf(calm, grace))
	for i, site := range pv.sites {
		pv.writeAgent(site, pv.listen, hurried(block, i))
	}
	return pv
}

// shortDir is a temporary folder without the test's name in it: the path of a socket has room for some hundred bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cw-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// freeAddress is found by asking, not by listening for a moment: a process that another test is just starting would
// hold a copy of that socket a little longer, and whoever listens next would find the address in use.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 200 {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)-1)
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return address
		}
		if err == nil {
			conn.Close()
		}
	}
	t.Fatal("no free port")
	return ""
}

// writeAgent writes an agent's settings, as an operator does, and keeps its token.
func (pv *province) writeAgent(site, address, checks string) {
	pv.t.Helper()
	dir := filepath.Join(pv.dir, "agents", site)
	text := fmt.Sprintf(`site: %s
agent: pc-1
state_dir: %q
collectors: [{url: "http://%s", token_file: token}]
spool: {seal_after: 500ms, min_free: 0}
self_interval: 3s
defaults: {interval: 2s}
`, site, filepath.Join(dir, "state"), address) + checks
	if err := os.WriteFile(filepath.Join(dir, "agent.yaml"), []byte(text), 0o600); err != nil {
		pv.t.Fatal(err)
	}
}

// hurried is the checks of the lab's site number i with timeouts that let them run every two seconds, every five for
// pings.
func hurried(block gear.Block, i int) string {
	at := func(host byte) netip.Addr { return block.Addr(i, host) }
	var b strings.Builder
	b.WriteString("paths: {lan: {device: lo}, broadband: {device: lo}, dedicated: {device: lo}}\nchecks:\n")
	for path, host := range map[string]byte{"lan": gear.HostRouter, "broadband": gear.HostBroadband, "dedicated": gear.HostDedicated} {
		fmt.Fprintf(&b, "  - {name: %s-ping, kind: icmp, path: %s, interval: 5s, address: %s, options: {count: 3, interval: 20ms, wait: 400ms}}\n", path, path, at(host))
		fmt.Fprintf(&b, "  - {name: %s-web, kind: http, path: %s, address: \"http://%s:%d/\", options: {timeout: 900ms, body_contains: communewatch}}\n", path, path, at(host), gear.PortHTTP)
	}
	fmt.Fprintf(&b, "  - {name: lan-dns, kind: dns, path: lan, address: portal.lab, options: {timeout: 300ms, expect: [%s], resolvers: [{name: router, address: \"%s:%d\"}]}}\n", at(gear.HostRouter), at(gear.HostRouter), gear.PortDNS)
	for name, port := range map[string]int{"h323": gear.PortH323, "sip": gear.PortSIP} {
		fmt.Fprintf(&b, "  - {name: endpoint-%s, kind: tcp, path: lan, layer: conference, address: \"%s:%d\", options: {timeout: 900ms}}\n", name, at(gear.HostEndpoint), port)
	}
	return b.String()
}

// conference is the services that make up that layer of the checks above.
var conference = []string{"endpoint-h323", "endpoint-sip"}

// start brings up parts of the lab in this process. The test's end stops them.
func (pv *province) start(parts lab.Parts) {
	pv.t.Helper()
	l, err := lab.Start(pv.t.Context(), pv.p, parts)
	if err != nil {
		pv.t.Fatal(err)
	}
	pv.lab = l
	pv.t.Cleanup(func() {
		select {
		case err := <-l.Failed():
			pv.t.Errorf("a part of the lab ended by itself: %v", err)
		default:
		}
		l.Stop()
	})
}

func (pv *province) do(orders ...scenario.Order) {
	pv.t.Helper()
	for _, o := range orders {
		if err := pv.lab.Do(o); err != nil {
			pv.t.Fatalf("%v: %v", o, err)
		}
	}
}

func service(site, mode string, names ...string) (orders []scenario.Order) {
	for _, name := range names {
		orders = append(orders, scenario.Order{Do: scenario.DoService, Sites: []string{site}, Service: name, Mode: mode})
	}
	return orders
}

func agentOrder(site, mode string) scenario.Order {
	return scenario.Order{Do: scenario.DoAgent, Sites: []string{site}, Mode: mode}
}

// client opens a connection per request, so that none is left over when a collector goes away.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask gets a document of the API.
func ask[T any](pv *province, path string) (T, error) {
	var v T
	resp, err := client.Get("http://" + pv.listen + path)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(body, &v)
}

// must is ask for what has to work.
func must[T any](pv *province, path string) T {
	pv.t.Helper()
	v, err := ask[T](pv, path)
	if err != nil {
		pv.t.Fatal(err)
	}
	return v
}

// states is the list of sites by id.
func (pv *province) states() (map[string]api.Site, error) {
	list, err := ask[[]api.Site](pv, "/api/v1/sites?lang=en")
	sites := map[string]api.Site{}
	for _, s := range list {
		sites[s.ID] = s
	}
	return sites, err
}

// replayed reports whether the collector has read the recent past: until then it answers and knows no states.
func (pv *province) replayed() bool {
	status, err := ask[condition.Answer](pv, "/api/v1/status?lang=en")
	return err == nil && status.Store.Replayed
}

// until polls until the sites are as they should be.
func (pv *province) until(within time.Duration, what string, good func(map[string]api.Site) bool) {
	pv.t.Helper()
	var last map[string]api.Site
	eventually(pv.t, within, what, func() bool {
		sites, err := pv.states()
		if err != nil {
			return false
		}
		last = sites
		return good(sites)
	}, func() string {
		var b strings.Builder
		for _, id := range pv.sites {
			s := last[id]
			fmt.Fprintf(&b, "\n%s %s (%s: %s) %v, agent trouble %q", id, s.State, s.ReasonCode, s.Reason, s.Layers, s.AgentTrouble)
		}
		return b.String()
	})
}

func eventually(t *testing.T, within time.Duration, what string, good func() bool, state func() string) {
	t.Helper()
	begin := time.Now()
	for !good() {
		if time.Since(begin) > within {
			t.Fatalf("not within %v: %s%s", within, what, state())
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Logf("after %v: %s", time.Since(begin).Round(100*time.Millisecond), what)
}

// all reports whether all the sites with these ids are in a state.
func all(sites map[string]api.Site, state string, ids ...string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return sites[id].State != state })
}

// live is how long a lab may take from start to a full map: a slot of the slowest check, sealing, sending, judging,
// and patience with a busy machine.
const live = 40 * time.Second

// audited compares what was taken with what is stored, and expects nothing lost or doubled.
func (pv *province) audited() {
	pv.t.Helper()
	r, err := audit.Run(pv.t.Context(), pv.dir, 40*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		pv.t.Fatal(err)
	}
	if !r.OK() || r.Taken == 0 || r.Unlisted > 0 {
		pv.t.Errorf("want nothing lost, doubled or unlisted: %s", r.String())
	}
	pv.t.Log(r.String())
}

// stored opens the store of a lab that was stopped.
func (pv *province) stored() store.Store {
	pv.t.Helper()
	cfg, err := collector.ReadConfig(filepath.Join(pv.dir, "collector", "collector.yaml"))
	if err != nil {
		pv.t.Fatal(err)
	}
	cfg, release, err := database.Attend(pv.t.Context(), pv.dir, cfg)
	if err != nil {
		pv.t.Fatal(err)
	}
	pv.t.Cleanup(release)
	st, err := collector.OpenStore(pv.t.Context(), cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		pv.t.Fatal(err)
	}
	pv.t.Cleanup(func() {
		if err := st.Close(); err != nil {
			pv.t.Error(err)
		}
	})
	return st
}

// registry opens the collector's registry beside it, as the command line does.
func (pv *province) registry() *registry.Registry {
	pv.t.Helper()
	reg, err := registry.Open(pv.t.Context(), filepath.Join(lab.CollectorDir(pv.dir), "registry.db"), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		pv.t.Fatal(err)
	}
	pv.t.Cleanup(func() { reg.Close() })
	return reg
}

// events is what a browser with the map open is told.
type events struct {
	mu   sync.Mutex // guards seen
	seen []api.Site
}

// follow listens to live events until the test ends or the collector hangs up.
func (pv *province) follow() *events {
	pv.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pv.listen+"/api/v1/events?lang=en", nil)
	if err != nil {
		pv.t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: client.Transport}).Do(req)
	if err != nil {
		pv.t.Fatal(err)
	}
	ev, done := &events{}, make(chan struct{})
	go func() {
		defer close(done)
		defer resp.Body.Close()
		name := ""
		sc := bufio.NewScanner(resp.Body)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			if n, ok := strings.CutPrefix(sc.Text(), "event: "); ok {
				name = n
			}
			data, ok := strings.CutPrefix(sc.Text(), "data: ")
			var s api.Site
			if ok && name == "site" && json.Unmarshal([]byte(data), &s) == nil {
				ev.mu.Lock()
				ev.seen = append(ev.seen, s)
				ev.mu.Unlock()
			}
		}
	}()
	pv.t.Cleanup(func() { cancel(); <-done })
	return ev
}

// of lists the events about a site so far.
func (ev *events) of(site string) (out []api.Site) {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	for _, s := range ev.seen {
		if s.ID == site {
			out = append(out, s)
		}
	}
	return out
}

// never fails the test if a site was ever shown in one of the states.
func (ev *events) never(t *testing.T, site string, states ...string) {
	t.Helper()
	for _, s := range ev.of(site) {
		if slices.Contains(states, s.State) {
			t.Errorf("site %s was shown as %s (%s: %s)", site, s.State, s.ReasonCode, s.Reason)
		}
		for layer, state := range s.Layers {
			if slices.Contains(states, state) {
				t.Errorf("layer %s of site %s was shown as %s (%s)", layer, site, state, s.Reason)
			}
		}
	}
}

// process is a part of a lab that can be killed.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bytes.Buffer
}

// spawn runs the collector or agents of a lab in a process of their own. The test's end kills it.
func (pv *province) spawn(what string, agents ...string) *process {
	pv.t.Helper()
	p := &process{t: pv.t, cmd: exec.Command(os.Args[0], what, strings.Join(agents, ",")), out: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), partOf+"="+pv.dir)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		pv.t.Fatal(err)
	}
	pv.t.Cleanup(p.kill)
	return p
}

// kill ends the process as a power switch does.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if testing.Verbose() {
		p.t.Logf("%s", p.out) // to be searched for secrets
	}
	if !p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		p.t.Errorf("a process of the lab ended by itself: %v\n%s", p.cmd.ProcessState, p.out)
	}
}

func appendFile(t *testing.T, file, text string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(data, text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
