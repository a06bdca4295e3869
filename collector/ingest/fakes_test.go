package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// memory is a store that keeps rows as text: "key field=value... @milliseconds".
type memory struct {
	store.Store // the methods that ingest does not call
	mu          sync.Mutex
	rows        []string
	fail        error
	reject      string // rows whose key holds it
	syncs       int
	nothing     bool   // keep no rows
	appended    func() // called after rows were taken; nil: nothing
}

func (m *memory) Append(_ context.Context, rows []wire.Row) error {
	if m.nothing {
		return nil
	}
	if m.appended != nil {
		defer m.appended()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	var partial store.PartialError
	for i, r := range rows {
		if m.reject != "" && strings.Contains(string(r.Key), m.reject) {
			partial.Rejected = append(partial.Rejected, store.Rejected{Index: i, Reason: "out of order"})
			continue
		}
		s := string(r.Key)
		for _, f := range r.Fields {
			if f.Type == probes.TypeString {
				s += fmt.Sprintf(" %s=%q", f.Key, f.Str)
			} else {
				s += fmt.Sprintf(" %s=%v", f.Key, f.Num)
			}
		}
		m.rows = append(m.rows, fmt.Sprintf("%s @%d", s, r.Time/1e6))
	}
	if partial.Rejected != nil {
		return &partial
	}
	return nil
}

func (m *memory) Sync(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.syncs++
	return m.fail
}

func (m *memory) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) stored() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.rows...)
}

// clerk is a registry in memory.
type clerk struct {
	mu       sync.Mutex
	tokens   map[string]registry.Identity
	revoked  map[string]bool
	receipts []registry.Receipt
	shifts   map[registry.ClockID]time.Duration
	fail     error
	syncFail error
}

func newClerk() *clerk {
	return &clerk{shifts: map[registry.ClockID]time.Duration{}, revoked: map[string]bool{}, tokens: map[string]registry.Identity{
		"secret":    {Token: "t1", Kind: registry.KindAgent, Site: "s1"},
		"secret-a1": {Token: "t2", Kind: registry.KindAgent, Site: "s1", Agent: "a1"},
		"secret-s2": {Token: "t3", Kind: registry.KindAgent, Site: "s2"},
		"operator":  {Token: "o1", Kind: registry.KindOperator},
		"telegraf":  {Token: "w1", Kind: registry.KindWriter, Site: "s1"},
	}}
}

func (c *clerk) Authenticate(_ context.Context, secret string) (registry.Identity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.tokens[secret]
	switch {
	case !ok:
		return id, registry.ErrUnknownToken
	case c.revoked[secret]:
		return id, registry.ErrRevoked
	}
	return id, nil
}

func (c *clerk) Take(_ context.Context, r registry.Receipt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	c.receipts = append(c.receipts, r)
	return nil
}

func (c *clerk) ClockShift(_ context.Context, id registry.ClockID) (time.Duration, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.shifts[id]
	return d, ok, nil
}

func (c *clerk) SetClockShift(_ context.Context, id registry.ClockID, d time.Duration) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.shifts[id]; ok {
		return known, nil
	}
	c.shifts[id] = d
	return d, nil
}

func (c *clerk) Sync(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.syncFail
}

func (c *clerk) setSyncFail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.syncFail = err
}

// listener is a judge that writes down what it hears.
type listener struct {
	mu     sync.Mutex
	obs    []health.Observation
	agents []string
}

func (l *listener) Observe(obs []health.Observation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range obs {
		o.Facts = slices.Clone(o.Facts)
		l.obs = append(l.obs, o)
	}
}

func (l *listener) ObserveAgent(site, agent string, at time.Time, version string, facts map[string]float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.agents = append(l.agents, fmt.Sprintf("%s/%s %s %d %v", site, agent, version, at.UnixMilli(), facts))
}

// house is an ingest with its surroundings, at a time that stands still.
type house struct {
	t      testing.TB
	in     *ingest.Ingest
	store  *memory
	clerk  *clerk
	judge  *listener
	server *httptest.Server
	log    *bytes.Buffer
}

var now = time.UnixMilli(1_795_000_000_000)

func open(t testing.TB, limits ingest.Limits) *house {
	h := &house{t: t, store: &memory{}, clerk: newClerk(), judge: &listener{}, log: &bytes.Buffer{}}
	h.in = ingest.New(ingest.Options{Store: h.store, Registry: h.clerk, Judge: h.judge, Rules: health.DefaultRules(), Version: "1.2.3",
		Limits: limits, Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&lockedWriter{w: h.log}, nil))})
	h.server = httptest.NewServer(h.in.Handler())
	t.Cleanup(h.server.Close)
	return h
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// answer is what came back.
type answer struct {
	status        int
	code, message string
	header        http.Header
}

func (h *house) send(secret string, body []byte, change ...func(*http.Request)) answer {
	h.t.Helper()
	req, err := http.NewRequest("POST", h.server.URL+"/api/v2/write?org=x&bucket=communewatch&precision=ms", bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+secret)
	for _, c := range change {
		c(req)
	}
	res, err := h.server.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if text, _ := io.ReadAll(res.Body); len(text) > 0 {
		var said struct{ Code, Message string }
		if err := json.Unmarshal(text, &said); err != nil {
			h.t.Fatalf("status %d with a body that is no JSON: %q", a.status, text)
		}
		a.code, a.message = said.Code, said.Message
	}
	return a
}

func (h *house) lines(secret string, lines ...string) answer {
	h.t.Helper()
	return h.send(secret, []byte(strings.Join(lines, "\n")))
}

func header(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Set(pairs[i], pairs[i+1])
		}
	}
}

func query(q string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = q } }

func zip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

var errDisk = errors.New("no space left on device")

const (
	ms    = "1795000000000"
	good  = "icmp,agent=a1,path=lan,site=s1,target=gw sent=10i,lost=1i,loss_ratio=0.1 " + ms
	check = `check,agent=a1,kind=icmp,layer=lan,path=lan,site=s1,target=gw outcome="ok",up=true,took_seconds=1,interval_seconds=30,path_proof="bound" ` + ms
)
