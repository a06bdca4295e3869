package orders_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	hub "communewatch/collector/orders"
	"communewatch/probes/orders"
	"communewatch/probes/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// tokens are secrets of the form site or site/agent; "telegraf" is a writer's, and some are revoked.
type tokens struct {
	mu      sync.Mutex
	revoked map[string]bool
	fails   bool
}

func (k *tokens) who(r *http.Request) (hub.Identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	site, agent, _ := strings.Cut(secret, "/")
	switch {
	case k.fails:
		return hub.Identity{}, errors.New("disk on fire")
	case secret == "telegraf":
		return hub.Identity{}, fmt.Errorf("a writer's: %w", hub.ErrForbidden)
	case k.revoked[secret] || !strings.HasPrefix(secret, "s"):
		return hub.Identity{}, fmt.Errorf("%w: revoked or unknown", hub.ErrUnauthorized)
	}
	return hub.Identity{Site: site, Agent: agent}, nil
}

// centre is a Hub behind a real server.
type centre struct {
	t       *testing.T
	hub     *hub.Hub
	url     string
	client  *http.Client
	tokens  *tokens
	metrics *prometheus.Registry
	stop    func() // ends the hub's Run; returns when every stream is over
}

func newCentre(t *testing.T, o hub.Options) *centre {
	t.Helper()
	c := &centre{t: t, tokens: &tokens{revoked: map[string]bool{}}, metrics: prometheus.NewRegistry()}
	o.Who, o.Metrics, o.Log = c.tokens.who, c.metrics, slog.New(slog.DiscardHandler)
	c.hub = hub.New(o)
	server := httptest.NewUnstartedServer(c.hub.Handler())
	server.Config.ConnContext = hub.WithConn
	server.Config.ReadHeaderTimeout = 10 * time.Second
	server.Start()
	c.url, c.client = server.URL, &http.Client{Transport: &http.Transport{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.hub.Run(ctx) }()
	c.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the hub does not end")
		}
	})
	t.Cleanup(func() {
		c.stop()
		c.client.CloseIdleConnections()
		server.Close()
	})
	return c
}

// channel is an agent's end.
type channel struct {
	*orders.Reader
	io.Closer
}

func (c *centre) get(secret, agent, checks string) *http.Response {
	c.t.Helper()
	req, _ := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+orders.Path, nil)
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set(wire.HeaderAgent, agent)
	if checks != "" {
		req.Header.Set(orders.HeaderChecks, checks)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// connect opens a channel and reads the first heartbeat.
func (c *centre) connect(secret, agent, checks string) channel {
	c.t.Helper()
	resp := c.get(secret, agent, checks)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != orders.ContentType || resp.Header.Get("X-Accel-Buffering") != "no" {
		c.t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	ch := channel{orders.NewReader(resp.Body), resp.Body}
	c.t.Cleanup(func() { ch.Close() })
	if o, err := ch.Next(); o != nil || err != nil {
		c.t.Fatalf("got %v, %v", o, err)
	}
	return ch
}

// next returns the next order's id, or the error.
func (ch channel) next() string {
	for {
		switch o, err := ch.Next(); {
		case err != nil:
			return "end"
		case o != nil:
			return o.ID
		}
	}
}

func (c *centre) post(secret, agent string, body []byte) (int, string) {
	c.t.Helper()
	req, _ := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+orders.ReportPath, bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set(wire.HeaderAgent, agent)
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func reportOf(id string, p orders.Phase) []byte {
	r := orders.Report{Order: id, Phase: p}
	if p == orders.PhaseDone {
		r.Outcome = "ok"
	}
	text, _ := json.Marshal(r)
	return text
}

func call(id, check string) orders.Order {
	return orders.Order{ID: id, Kind: orders.KindCall, Expires: orders.Seconds(40 * time.Second), Call: &orders.Call{Check: check,
		StartIn: orders.Seconds(30 * time.Second), Duration: orders.Seconds(5 * time.Second), Profile: orders.Profile{Name: "audio", AudioBPS: 32000}}}
}

func stop(id string) orders.Order {
	return orders.Order{ID: id, Kind: orders.KindStop, Expires: orders.Seconds(30 * time.Second)}
}

// until waits for what others bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func TestOrderReachesItsSiteAndReportsComeBackOnce(t *testing.T) {
	c := newCentre(t, hub.Options{})
	heard := make(chan string, 100)
	c.hub.OnReport(func(site, agent string, r orders.Report) {
		heard <- site + "/" + agent + " " + r.Order + " " + string(r.Phase)
	})
	one, other := c.connect("s1", "pc", "hub/dedicated"), c.connect("s2", "pc", "")
	if err := c.hub.Tell("s1", call("r1", "")); err != nil {
		t.Fatal(err)
	}
	if err := c.hub.Tell("s2", stop("r2")); err != nil {
		t.Fatal(err)
	}
	if a, b := one.next(), other.next(); a != "r1" || b != "r2" {
		t.Errorf("the sites were told %q and %q", a, b)
	}
	for _, step := range []struct {
		name, secret, agent string
		body                []byte
		want                int
	}{
		{"another site's order", "s2", "pc", reportOf("r1", orders.PhaseAccepted), 404},
		{"another agent's order", "s1", "laptop", reportOf("r1", orders.PhaseAccepted), 404},
		{"an order never told", "s1", "pc", reportOf("r9", orders.PhaseDone), 404},
		{"accepted", "s1", "pc", reportOf("r1", orders.PhaseAccepted), 204},
		{"accepted again", "s1", "pc", reportOf("r1", orders.PhaseAccepted), 204},
		{"done", "s1", "pc", reportOf("r1", orders.PhaseDone), 204},
		{"started, late", "s1", "pc", reportOf("r1", orders.PhaseStarted), 204},
		{"refused after all", "s1", "pc", reportOf("r1", orders.PhaseRefused), 204},
		{"garbage", "s1", "pc", []byte("{"), 400},
		{"an impossible report", "s1", "pc", []byte(`{"order":"r1","phase":"done","outcome":"fine"}`), 400},
		{"a huge report", "s1", "pc", bytes.Repeat([]byte(" "), orders.MaxReport+1), 413},
		{"a wrong token", "x", "pc", reportOf("r1", orders.PhaseDone), 401},
		{"a writer's token", "telegraf", "pc", reportOf("r1", orders.PhaseDone), 403},
		{"no agent", "s1", "", reportOf("r1", orders.PhaseDone), 400},
	} {
		if status, answer := c.post(step.secret, step.agent, step.body); status != step.want {
			t.Errorf("%s: %d %s, want %d", step.name, status, answer, step.want)
		}
	}
	close(heard)
	var got []string
	for h := range heard {
		got = append(got, h)
	}
	if want := "s1/pc r1 accepted, s1/pc r1 done"; strings.Join(got, ", ") != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if err := testutil.GatherAndCompare(c.metrics, strings.NewReader("# HELP communewatch_orders_connected Agents whose order channel is open.\n"+
		"# TYPE communewatch_orders_connected gauge\ncommunewatch_orders_connected 2\n"), "communewatch_orders_connected"); err != nil {
		t.Error(err)
	}
}

func TestStrangersGetNoChannel(t *testing.T) {
	c := newCentre(t, hub.Options{MaxStreams: 3, MaxSiteStreams: 2})
	c.connect("s1", "a", "")
	for _, step := range []struct {
		name, secret, agent string
		want                int
	}{
		{"no token", "", "a", 401},
		{"wrong token", "x", "a", 401},
		{"a writer's token", "telegraf", "a", 403},
		{"another agent's token", "s1/b", "a", 403},
		{"a bad name", "s1", "A b", 400},
		{"its own token", "s1/b", "b", 200},
		{"a third agent of a site for two", "s1", "c", 503},
		{"another site", "s2", "a", 200},
		{"more than all", "s3", "a", 503},
		{"one that is there, anew", "s2", "a", 200},
	} {
		resp := c.get(step.secret, step.agent, "")
		if resp.StatusCode != step.want {
			t.Errorf("%s: %s, want %d", step.name, resp.Status, step.want)
		}
		if (resp.StatusCode == 503) != (resp.Header.Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After %q", step.name, resp.Header.Get("Retry-After"))
		}
		t.Cleanup(func() { resp.Body.Close() })
	}
	c.tokens.mu.Lock()
	c.tokens.fails = true
	c.tokens.mu.Unlock()
	if resp := c.get("s1", "a", ""); resp.StatusCode != 503 {
		t.Errorf("with the registry broken: %s", resp.Status)
	} else {
		resp.Body.Close()
	}
	resp, err := c.client.Post(c.url+orders.Path, "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET" {
		t.Errorf("POST to the channel: %s, Allow %q", resp.Status, resp.Header.Get("Allow"))
	}
}

// Of a site's agents the one that can make a call is told to, and a stop reaches all.
func TestTheRightAgentOfASiteIsTold(t *testing.T) {
	c := newCentre(t, hub.Options{})
	if err := c.hub.Tell("s1", call("r0", "")); !errors.Is(err, hub.ErrNotConnected) {
		t.Errorf("a site that is off: %v", err)
	}
	a := c.connect("s1", "a", "")
	b := c.connect("s1", "b", "hub/dedicated, nonsense, /, x/satellite,hub2/broadband")
	z := c.connect("s1", "z", "hub/lan")
	told := map[string]error{
		"r1":   c.hub.Tell("s1", call("r1", "")),
		"r2":   c.hub.Tell("s1", call("r2", "hub2")),
		"r3":   c.hub.Tell("s1", call("r3", "nowhere")), // refused by the first, which says why
		"r4":   c.hub.TellAgent("s1", "z", call("r4", "hub")),
		"halt": c.hub.Tell("s1", stop("halt")),
	}
	for id, err := range told {
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, step := range []struct {
		ch   channel
		want string
	}{{a, "r3"}, {a, "halt"}, {b, "r1"}, {b, "r2"}, {b, "halt"}, {z, "r4"}, {z, "halt"}} {
		if got := step.ch.next(); got != step.want {
			t.Errorf("told %q, want %q", got, step.want)
		}
	}
	if err := c.hub.TellAgent("s1", "y", call("r5", "")); !errors.Is(err, hub.ErrNotConnected) {
		t.Errorf("an agent that is off: %v", err)
	}
	bad := call("r6", "")
	bad.Call.Duration = 0
	if err := c.hub.Tell("s1", bad); err == nil || errors.Is(err, hub.ErrNotConnected) {
		t.Errorf("a call of no length: %v", err)
	}
	var got []string
	for _, agent := range c.hub.Connected() {
		got = append(got, fmt.Sprint(agent.Site, "/", agent.Agent, agent.Checks))
	}
	if want := "s1/a[] s1/b[{hub dedicated} {hub2 broadband}] s1/z[{hub lan}]"; strings.Join(got, " ") != want {
		t.Errorf("connected: %q, want %q", strings.Join(got, " "), want)
	}
	b.Close()
	until(t, "the agent that left to be missed", func() bool { return len(c.hub.Connected()) == 2 })
}

// An agent that comes again takes the place of its older self, and is told once more what it has not reported on.
func TestNewChannelReplacesTheOld(t *testing.T) {
	c := newCentre(t, hub.Options{})
	old := c.connect("s1", "pc", "hub/lan")
	late := call("late", "")
	late.Call.StartIn = 0
	for _, o := range []orders.Order{call("r1", ""), call("r2", ""), late, stop("halt")} {
		if err := c.hub.Tell("s1", o); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		old.next()
	}
	if status, _ := c.post("s1", "pc", reportOf("r1", orders.PhaseAccepted)); status != 204 {
		t.Fatal(status)
	}
	anew := c.connect("s1", "pc", "hub/lan")
	if got := old.next(); got != "end" {
		t.Errorf("the old channel still hears %q", got)
	}
	// r1 is known to be in hand, and late should have begun already.
	if a, b := anew.next(), anew.next(); a != "r2" || b != "halt" {
		t.Errorf("told again: %q, %q", a, b)
	}
	if err := c.hub.Tell("s1", stop("halt2")); err != nil {
		t.Fatal(err)
	}
	if got := anew.next(); got != "halt2" {
		t.Errorf("got %q", got)
	}
	if n := len(c.hub.Connected()); n != 1 {
		t.Errorf("%d agents are connected", n)
	}
}

// deaf opens a channel and reads nothing from it but the header.
func (c *centre) deaf(site string) net.Conn {
	c.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s: pc\r\n\r\n", orders.Path, site, wire.HeaderAgent)
	until(c.t, "the channel of "+site, func() bool {
		for _, a := range c.hub.Connected() {
			if a.Site == site {
				return true
			}
		}
		return false
	})
	return conn
}

// An agent that takes nothing costs the teller an error, the others nothing, and the end of the collector no time.
func TestDeafAgentHurtsNobody(t *testing.T) {
	c := newCentre(t, hub.Options{})
	c.deaf("s1")
	hears := c.connect("s2", "pc", "")
	big := orders.Order{ID: "h", Kind: orders.KindHold, Expires: orders.Seconds(time.Minute), Hold: &orders.Hold{For: 1, Note: strings.Repeat("x", orders.MaxNote)}}
	var err error
	for i := 0; err == nil; i++ {
		if i > 90_000 {
			t.Fatal("the queue has no end")
		}
		big.ID = fmt.Sprint("h", i)
		err = c.hub.Tell("s1", big)
		if i%8 == 0 {
			time.Sleep(50 * time.Microsecond) // lets the stream write, so that it is the peer's buffers that fill
		}
	}
	if !errors.Is(err, hub.ErrBusy) {
		t.Errorf("got %v", err)
	}
	if err := c.hub.Tell("s2", stop("halt")); err != nil {
		t.Error(err)
	}
	if got := hears.next(); got != "halt" {
		t.Errorf("got %q", got)
	}
	c.stop()
	if got := hears.next(); got != "end" {
		t.Errorf("after the end: %q", got)
	}
	if err := c.hub.Tell("s2", stop("halt2")); !errors.Is(err, hub.ErrNotConnected) {
		t.Errorf("after the end: %v", err)
	}
	if resp := c.get("s3", "pc", ""); resp.StatusCode != 503 {
		t.Errorf("after the end: %s", resp.Status)
	} else {
		resp.Body.Close()
	}
}

// Bodies that never end hold no more than their site's places, and the rest of the province reports on.
func TestSlowReportsAreBounded(t *testing.T) {
	c := newCentre(t, hub.Options{})
	c.connect("s2", "pc", "")
	if err := c.hub.Tell("s2", stop("halt")); err != nil {
		t.Fatal(err)
	}
	var slow sync.WaitGroup
	var ends []io.Closer
	defer func() {
		for _, w := range ends {
			w.Close()
		}
		slow.Wait()
	}()
	for range 4 {
		r, w := io.Pipe()
		ends = append(ends, w)
		slow.Go(func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+orders.ReportPath, r)
			req.Header.Set("Authorization", "Bearer s1")
			req.Header.Set(wire.HeaderAgent, "pc")
			if resp, err := c.client.Do(req); err == nil {
				resp.Body.Close()
			}
		})
		if _, err := w.Write([]byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the site's places to be taken", func() bool {
		status, _ := c.post("s1", "pc", reportOf("x", orders.PhaseDone))
		return status == 503
	})
	if status, answer := c.post("s2", "pc", reportOf("halt", orders.PhaseDone)); status != 204 {
		t.Errorf("another site: %d %s", status, answer)
	}
}

// An agent that is thrown out has no channel from that moment on, and what it was told is not told to the next of its name.
func TestDroppedAgentIsGoneAtOnce(t *testing.T) {
	c := newCentre(t, hub.Options{})
	out, stays := c.connect("s1", "a", ""), c.connect("s1", "b", "")
	if err := c.hub.TellAgent("s1", "a", orders.Order{ID: "r1", Expires: orders.Seconds(time.Minute), Kind: orders.KindStop}); err != nil {
		t.Fatal(err)
	}
	if got := out.next(); got != "r1" {
		t.Fatalf("got %s", got)
	}
	c.hub.Drop("s1", "a")
	c.hub.Drop("s1", "a") // again, and who never was there
	c.hub.Drop("s9", "x")
	if got := out.next(); got != "end" {
		t.Errorf("got %s, want the channel's end", got)
	}
	if list := c.hub.Connected(); len(list) != 1 || list[0].Agent != "b" {
		t.Errorf("connected are %v", list)
	}
	if status, _ := c.post("s1", "a", reportOf("r1", orders.PhaseDone)); status != http.StatusNotFound {
		t.Errorf("a report on what it was told: %d, want 404", status)
	}
	again := c.connect("s1", "a", "")
	for _, agent := range []string{"a", "b"} {
		if err := c.hub.TellAgent("s1", agent, orders.Order{ID: "r2", Expires: orders.Seconds(time.Minute), Kind: orders.KindStop}); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := again.next(), stays.next(); a != "r2" || b != "r2" {
		t.Errorf("got %s and %s, want r2 alone on both", a, b)
	}
}

// A token that is revoked ends its channel within some heartbeats; trouble of the registry does not.
func TestRevokedTokenEndsTheChannel(t *testing.T) {
	c := newCentre(t, hub.Options{Heartbeat: 2 * time.Millisecond})
	one, other := c.connect("s1", "pc", ""), c.connect("s2", "pc", "")
	c.tokens.mu.Lock()
	c.tokens.fails = true
	c.tokens.mu.Unlock()
	for range 20 { // several looks at the token
		if o, err := one.Next(); o != nil || err != nil {
			t.Fatalf("while the registry fails: %v, %v", o, err)
		}
	}
	c.tokens.mu.Lock()
	c.tokens.fails, c.tokens.revoked["s1"] = false, true
	c.tokens.mu.Unlock()
	if got := one.next(); got != "end" {
		t.Errorf("got %q", got)
	}
	if err := c.hub.Tell("s2", stop("halt")); err != nil {
		t.Error(err)
	}
	if got := other.next(); got != "halt" {
		t.Errorf("the other site: %q", got)
	}
	until(t, "the site to be missed", func() bool { return len(c.hub.Connected()) == 1 })
}
