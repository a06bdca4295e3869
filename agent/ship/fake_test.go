package ship

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/agent/spool"
	"communewatch/probes/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testClock is an agent's clock with a fixed skew.
type testClock struct {
	boot  string
	clock int
	skew  time.Duration
}

func (c *testClock) Now() (time.Time, int) { return time.Now().Add(c.skew), c.clock }
func (c *testClock) Boot() string          { return c.boot }

// post is one request as a collector saw it.
type post struct {
	seq    uint64
	lines  string
	header http.Header
	query  string
	path   string
}

// collector is a collector that a test scripts: reply decides about each request, and what it takes is kept.
type collector struct {
	mu    sync.Mutex
	posts []post // all requests
	rows  map[string]int
	reply func(w http.ResponseWriter, p post) bool // false: not taken
}

func take(w http.ResponseWriter, _ post) bool {
	w.Header().Set("X-Influxdb-Version", "test") // a bare 204 could be anybody's
	w.WriteHeader(http.StatusNoContent)
	return true
}

func answerWith(status int) func(http.ResponseWriter, post) bool {
	return func(w http.ResponseWriter, _ post) bool {
		w.WriteHeader(status)
		return false
	}
}

// apiError answers as InfluxDB does.
func apiError(status int, message string) func(http.ResponseWriter, post) bool {
	return func(w http.ResponseWriter, _ post) bool {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": "invalid", "message": message})
		return false
	}
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	lines, err := io.ReadAll(body)
	if err != nil {
		return
	}
	seq, _ := strconv.ParseUint(r.Header.Get(wire.HeaderSeq), 10, 64)
	p := post{seq, string(lines), r.Header.Clone(), r.URL.RawQuery, r.URL.Path}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posts = append(c.posts, p)
	if c.reply(w, p) {
		for line := range bytes.Lines(lines) {
			c.rows[string(line)]++
		}
	}
}

func (c *collector) set(reply func(http.ResponseWriter, post) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = reply
}

func (c *collector) seen() []post {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.posts)
}

func (c *collector) has(line string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rows[line] > 0
}

func newCollector(reply func(http.ResponseWriter, post) bool) *collector {
	return &collector{reply: reply, rows: map[string]int{}}
}

// serve puts a collector on a real loopback socket.
func serve(t *testing.T, c http.Handler) Collector {
	t.Helper()
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	return Collector{URL: srv.URL, Token: "secret"}
}

// handlers is a transport without sockets, for synctest: it asks the handler of a collector's host. A nil handler
// hangs.
type handlers map[string]http.Handler

func (h handlers) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	handler, known := h[r.URL.Host]
	if known && handler == nil { // takes the request and never answers
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if !known {
		return nil, fmt.Errorf("dial %s: connection refused", r.URL.Host)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func openSpool(t *testing.T, dir, boot string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir, Boot: boot, MinFree: -1, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t *testing.T, s *spool.Spool, clock int, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if err := s.Append(clock, []byte(l)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Seal(true); err != nil {
		t.Fatal(err)
	}
}

// start runs a shipper until the test ends or the returned function is called.
func start(t *testing.T, o Options, s *spool.Spool) (*Shipper, func()) {
	t.Helper()
	return startAs(t, "b1", o, s)
}

func startAs(t *testing.T, boot string, o Options, s *spool.Spool) (*Shipper, func()) {
	t.Helper()
	return startWith(t, &testClock{boot: boot, clock: 1}, o, s)
}

func startWith(t *testing.T, clock Clock, o Options, s *spool.Spool) (*Shipper, func()) {
	t.Helper()
	if o.Log == nil {
		o.Log = quiet()
	}
	o.Org, o.Bucket, o.Agent = "province", "probes", "a1"
	sh := New(o, s, clock)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sh.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return sh, stop
}

// eventually polls for something that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func seqs(posts []post) string {
	var list []string
	for _, p := range posts {
		list = append(list, strconv.FormatUint(p.seq, 10))
	}
	return strings.Join(list, " ")
}

// logLines keeps what was logged.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logLines) count(text string) int { return strings.Count(l.String(), text) }

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
