package ship

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/probes/wire"
)

func TestBatchArrivesWithItsIdentityAndLeavesTheSpool(t *testing.T) {
	c := newCollector(take)
	sp := openSpool(t, t.TempDir(), "b1")
	put(t, sp, 1, "m,site=s1 f=1 1700000000000000000\n", "m,site=s1 f=2 1700000001000000000\n")
	sh, _ := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	eventually(t, "the batch leaves the spool", func() bool { return sp.Stats().Batches == 0 && sh.Stats().Sent == 1 })
	p := c.seen()[0]
	if p.path != "/api/v2/write" || p.query != "bucket=probes&org=province&precision=ns" {
		t.Errorf("asked for %s?%s", p.path, p.query)
	}
	if want := "m,site=s1 f=1 1700000000000000000\nm,site=s1 f=2 1700000001000000000\n"; p.lines != want {
		t.Errorf("body %q", p.lines)
	}
	for name, want := range map[string]string{
		wire.HeaderAgent: "a1", wire.HeaderBoot: "b1", wire.HeaderSeq: "1", wire.HeaderClock: "1",
		"Authorization": "Token secret", "Content-Encoding": "gzip", "Idempotency-Key": "",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	ms, err := strconv.ParseInt(p.header.Get(wire.HeaderSentAt), 10, 64)
	if d := time.Since(time.UnixMilli(ms)); err != nil || d < -time.Second || d > time.Minute {
		t.Errorf("sent at %q", p.header.Get(wire.HeaderSentAt))
	}
	st := sh.Stats()
	if st.Failures != 0 || st.LastSuccess.IsZero() || st.SentBytes == 0 {
		t.Errorf("%+v", st)
	}
}

func TestSentAtIsOnlyThatOfTheClockThatStamped(t *testing.T) {
	dir := t.TempDir()
	old := openSpool(t, dir, "b0")
	put(t, old, 1, "a f=1 1\n")
	_ = old.Close()
	sp := openSpool(t, dir, "b1")
	put(t, sp, 0, "b f=1 1\n")
	put(t, sp, 1, "c f=1 1\n")
	c := newCollector(take)
	start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	eventually(t, "three batches", func() bool { return len(c.seen()) == 3 })
	for _, p := range c.seen() {
		got := p.header.Get(wire.HeaderSentAt) != ""
		if want := strings.HasPrefix(p.lines, "c"); got != want {
			t.Errorf("%q: sent-at there: %v, want %v", p.lines, got, want)
		}
	}
}

func TestClockOffsetIsMeasured(t *testing.T) {
	c := newCollector(func(w http.ResponseWriter, p post) bool {
		w.Header().Set(wire.HeaderReceivedAt, strconv.FormatInt(time.Now().Add(-90*time.Second).UnixMilli(), 10))
		return take(w, p)
	})
	sp := openSpool(t, t.TempDir(), "b1")
	put(t, sp, 1, "a f=1 1\n")
	sh, _ := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	eventually(t, "an offset", func() bool { return sh.Stats().ClockOffsetKnown })
	if off := sh.Stats().ClockOffset; (off + 90*time.Second).Abs() > time.Second {
		t.Errorf("offset %v, want -90s", off)
	}
}

// TestAnswers walks the table of the package's documentation.
func bare204(w http.ResponseWriter, _ post) bool {
	w.WriteHeader(http.StatusNoContent)
	return false
}

func TestAnswers(t *testing.T) {
	html := func(status int) func(http.ResponseWriter, post) bool {
		return func(w http.ResponseWriter, _ post) bool {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "http://login.example/")
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				fmt.Fprint(w, "<html>please log in", strings.Repeat(" ", 1<<20))
			}
			return false
		}
	}
	marked := func(status int) func(http.ResponseWriter, post) bool {
		return func(w http.ResponseWriter, _ post) bool {
			w.Header().Set("X-Influxdb-Version", "2.7.1")
			w.WriteHeader(status)
			return false
		}
	}
	for name, tc := range map[string]struct {
		reply  func(http.ResponseWriter, post) bool
		want   string // kept, gone, aside
		denied bool   // slow retry
	}{
		"204 of InfluxDB":          {take, "gone", false},
		"204 of anybody":           {bare204, "kept", false},
		"200 of InfluxDB":          {marked(200), "gone", false},
		"200 of a portal":          {html(200), "kept", false},
		"302 of a portal":          {html(302), "kept", false},
		"307 of a portal":          {html(307), "kept", false},
		"400 of a portal":          {html(400), "kept", false},
		"400 partial write":        {apiError(400, "partial write: line 2: no fields"), "aside", false},
		"400 of InfluxDB 1":        {marked(400), "aside", false},
		"422":                      {apiError(422, "outside retention"), "aside", false},
		"401":                      {apiError(401, "unauthorized"), "kept", true},
		"403":                      {html(403), "kept", true},
		"404":                      {apiError(404, "bucket not found"), "kept", true},
		"405":                      {html(405), "kept", false},
		"413 of one line":          {apiError(413, "too large"), "aside", false},
		"413 of one line, a proxy": {html(413), "kept", false},
		"429":                      {answerWith(429), "kept", false},
		"500":                      {html(500), "kept", false},
		"503":                      {answerWith(503), "kept", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := newCollector(tc.reply)
			sp := openSpool(t, dir, "b1")
			put(t, sp, 1, "a f=1 1\n")
			sh, stop := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
			eventually(t, "an answer", func() bool {
				st := sh.Stats()
				return st.Failures+st.Sent+st.Refused > 0
			})
			stop()
			got := "gone"
			aside, _ := filepath.Glob(filepath.Join(dir, "quarantine", "*.lp.gz"))
			switch {
			case sp.Stats().Batches == 1:
				got = "kept"
			case len(aside) == 1:
				got = "aside"
			}
			if got != tc.want {
				t.Errorf("the batch is %s, want %s", got, tc.want)
			}
			pause := time.Until(sh.peers[0].notUntil)
			switch {
			case tc.want != "kept":
			case tc.denied && pause < 4*time.Minute:
				t.Errorf("asks again in %v", pause)
			case !tc.denied && pause > 5*time.Second: // the last attempt when stopping was a second failure
				t.Errorf("retry only after %v", pause)
			}
		})
	}
}

func TestRefusedBatchKeepsTheReasonAndTheNextGoesOn(t *testing.T) {
	dir := t.TempDir()
	c := newCollector(func(w http.ResponseWriter, p post) bool {
		if p.seq == 1 {
			return apiError(400, "partial write: line 2: \x1b[31mno fields")(w, p)
		}
		return take(w, p)
	})
	sp := openSpool(t, dir, "b1")
	for range 3 {
		put(t, sp, 1, "a f=1 1\n")
	}
	sh, _ := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	eventually(t, "all settled", func() bool { return sh.Stats().Sent == 2 && sh.Stats().Refused == 1 })
	why, _ := filepath.Glob(filepath.Join(dir, "quarantine", "*.txt"))
	if len(why) != 1 {
		t.Fatalf("reasons: %v", why)
	}
	if text, _ := os.ReadFile(why[0]); !strings.Contains(string(text), "no fields") || bytes.ContainsRune(text, 0x1b) {
		t.Errorf("reason %q", text)
	}
}

func TestTooLargeIsHalvedUntilItFits(t *testing.T) {
	c := newCollector(func(w http.ResponseWriter, p post) bool {
		if len(p.lines) > 100 {
			return answerWith(http.StatusRequestEntityTooLarge)(w, p)
		}
		return take(w, p)
	})
	sp := openSpool(t, t.TempDir(), "b1")
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("m n=%d 1\n", i))
	}
	put(t, sp, 1, lines...)
	sh, _ := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	eventually(t, "the batch is taken", func() bool { return sh.Stats().Sent == 1 })
	for _, l := range lines {
		if c.rows[l] != 1 {
			t.Errorf("%q arrived %d times", l, c.rows[l])
		}
	}
	if sp.Stats().Batches != 0 {
		t.Error("the batch is still in the spool")
	}
}

func TestStoreOpenedAnewBetweenTheHalvesOfABatch(t *testing.T) {
	commit, store := 0, "store1"
	c := newCollector(func(w http.ResponseWriter, p post) bool {
		if len(p.lines) > 20 {
			return answerWith(http.StatusRequestEntityTooLarge)(w, p)
		}
		commit++
		w.Header().Set(wire.HeaderStore, store)
		w.Header().Set(wire.HeaderCommit, strconv.Itoa(commit))
		w.Header().Set(wire.HeaderDurable, "0")
		store = "store2" // from the second half on
		return take(w, p)
	})
	sp := openSpool(t, t.TempDir(), "b1")
	put(t, sp, 1, "first half f=1\n", "second half f=1\n")
	sh, _ := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	eventually(t, "the batch is taken", func() bool { return sh.Stats().Sent == 1 })
	if n := c.rows["first half f=1\n"]; n != 2 {
		t.Errorf("the half that the lost store took was sent %d times, want 2", n)
	}
	if st := sp.Stats(); st.Unsynced != 1 {
		t.Errorf("%+v", st)
	}
}

func TestOneLineThatIsTooLargeDoesNotHoldUpTheOthers(t *testing.T) {
	commit := 0
	c := newCollector(func(w http.ResponseWriter, p post) bool {
		if len(p.lines) > 200 {
			return apiError(http.StatusRequestEntityTooLarge, "the body is larger than 200 bytes")(w, p)
		}
		commit++
		w.Header().Set(wire.HeaderStore, "store1")
		w.Header().Set(wire.HeaderCommit, strconv.Itoa(commit))
		w.Header().Set(wire.HeaderDurable, strconv.Itoa(commit))
		return take(w, p)
	})
	dir := t.TempDir()
	sp := openSpool(t, dir, "b1")
	giant := "m s=\"" + strings.Repeat("x", 500) + "\" 1\n"
	put(t, sp, 1, giant, "a f=1 1\n", "b f=1 1\n", "c f=1 1\n", giant)
	sh, _ := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	eventually(t, "settled", func() bool { return sh.Stats().Refused == 1 && sp.Stats().Unsynced == 0 })
	for _, l := range []string{"a f=1 1\n", "b f=1 1\n", "c f=1 1\n"} {
		if !c.has(l) {
			t.Errorf("%q did not arrive", l)
		}
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, "quarantine", "*.gz")); len(aside) != 1 || sp.Stats().Batches != 0 {
		t.Errorf("aside %v, %+v", aside, sp.Stats())
	}
}

func TestHalve(t *testing.T) {
	for _, in := range []string{"a\nb\n", "aaaaaaaaaaaa\nb\n", "a\nbbbbbbbbbbbbb\n", "a\nb\nc\n", "\n\n"} {
		a, b, ok := halve([]byte(in))
		if !ok || string(a)+string(b) != in || len(a) == 0 || len(b) == 0 || a[len(a)-1] != '\n' {
			t.Errorf("halve %q: %q %q %v", in, a, b, ok)
		}
	}
	if _, _, ok := halve([]byte("one line\n")); ok {
		t.Error("one line was halved")
	}
}

func TestTLSIsVerified(t *testing.T) {
	c := newCollector(take)
	srv := httptest.NewUnstartedServer(c)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	sp := openSpool(t, t.TempDir(), "b1")
	put(t, sp, 1, "a f=1 1\n")
	sh, stop := start(t, Options{Collectors: []Collector{{URL: srv.URL}}}, sp)
	eventually(t, "a refusal", func() bool { return sh.Stats().Failures > 0 })
	stop()
	if len(c.seen()) > 0 {
		t.Fatal("a batch went to somebody with an unknown certificate")
	}
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	sh, _ = start(t, Options{Collectors: []Collector{{URL: srv.URL, TLS: &tls.Config{RootCAs: pool}}}}, sp)
	eventually(t, "the batch is taken", func() bool { return sh.Stats().Sent == 1 })
}

func TestEndlessAnswerIsCutOff(t *testing.T) {
	var written atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for page := make([]byte, 64<<10); ; {
			n, err := w.Write(page)
			if err != nil {
				return
			}
			written.Add(int64(n))
		}
	}))
	t.Cleanup(srv.Close)
	sp := openSpool(t, t.TempDir(), "b1")
	put(t, sp, 1, "a f=1 1\n")
	sh, stop := start(t, Options{Collectors: []Collector{{URL: srv.URL}}}, sp)
	eventually(t, "given up", func() bool { return sh.Stats().Failures > 0 })
	stop()
	if n := written.Load(); n > 64<<20 { // what sockets buffer, with room to spare
		t.Errorf("%d bytes were read", n)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	other := newCollector(take)
	to := serve(t, other)
	c := newCollector(func(w http.ResponseWriter, _ post) bool {
		w.Header().Set("Location", to.URL+"/api/v2/write")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return false
	})
	sp := openSpool(t, t.TempDir(), "b1")
	put(t, sp, 1, "a f=1 1\n")
	sh, _ := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	eventually(t, "a failure", func() bool { return sh.Stats().Failures > 0 })
	if len(other.seen()) > 0 {
		t.Error("the token went to another host")
	}
}

func TestConnectionThatDiedWhileIdleIsNoFailure(t *testing.T) {
	c := newCollector(take)
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n%2 == 0 { // a server or a firewall that gave up the connection between two batches
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		c.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	sp := openSpool(t, t.TempDir(), "b1")
	sh, _ := start(t, Options{Collectors: []Collector{{URL: srv.URL}}}, sp)
	for i := range uint64(5) {
		put(t, sp, 1, "a f=1 1\n")
		eventually(t, "sent", func() bool { return sh.Stats().Sent == i+1 })
	}
	if f := sh.Stats().Failures; f > 0 {
		t.Errorf("%d failures", f)
	}
}

func TestStoppingSendsWhatIsLeftAndDoesNotHang(t *testing.T) {
	c := newCollector(take)
	sp := openSpool(t, t.TempDir(), "b1")
	_, stop := start(t, Options{Collectors: []Collector{serve(t, c)}}, sp)
	if err := sp.Append(1, []byte("last f=1 1\n")); err != nil {
		t.Fatal(err)
	}
	stop()
	if !c.has("last f=1 1\n") {
		t.Error("the open batch was not sent at the end")
	}

	hang := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(func() { close(hang); stuck.Close() })
	put(t, sp, 1, "stuck f=1 1\n")
	_, stop = start(t, Options{Collectors: []Collector{{URL: stuck.URL}}}, sp)
	began := time.Now()
	stop()
	if took := time.Since(began); took > 2*lastAttempt {
		t.Errorf("stopping took %v", took)
	}
	if sp.Stats().Batches != 1 {
		t.Error("the batch is gone though nobody took it")
	}
}

func TestRunRefusesWhatCannotWork(t *testing.T) {
	sp := openSpool(t, t.TempDir(), "b1")
	for _, url := range []string{"", "monitor:8443", "ftp://x", "http://", "https://user:pw@host", "https://host/?token=x", "http://[::1"} {
		err := New(Options{Collectors: []Collector{{URL: url}}, Log: quiet()}, sp, &testClock{boot: "b1"}).Run(context.Background())
		if err == nil {
			t.Errorf("URL %q was taken", url)
		} else if strings.Contains(err.Error(), "pw") {
			t.Errorf("secret in the error: %v", err)
		}
	}
	if err := New(Options{}, sp, &testClock{}).Run(context.Background()); err == nil {
		t.Error("no collector at all was taken")
	}
}

// durableCollector acknowledges, writes to its disk only when told, and loses the rest in a power cut.
type durableCollector struct {
	*collector
	store   string
	commit  uint64
	durable uint64
	memory  []post
	disk    map[string]bool
}

func (d *durableCollector) reply(w http.ResponseWriter, p post) bool {
	d.commit++
	d.memory = append(d.memory, p)
	d.headers(w)
	return take(w, p)
}

func (d *durableCollector) headers(w http.ResponseWriter) {
	w.Header().Set(wire.HeaderStore, d.store)
	w.Header().Set(wire.HeaderCommit, strconv.FormatUint(d.commit, 10))
	w.Header().Set(wire.HeaderDurable, strconv.FormatUint(d.durable, 10))
}

func (d *durableCollector) sync() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.memory {
		for line := range strings.Lines(p.lines) {
			d.disk[line] = true
		}
	}
	d.memory, d.durable = nil, d.commit
}

func (d *durableCollector) powerCut(store string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.memory, d.store, d.commit, d.durable = nil, store, 0, 0
}

func TestPowerCutOfTheCollectorLosesNothing(t *testing.T) {
	d := &durableCollector{collector: newCollector(nil), store: "store1", disk: map[string]bool{}}
	d.set(d.reply)
	sp := openSpool(t, t.TempDir(), "b1")
	start(t, Options{Collectors: []Collector{serve(t, d)}, BacklogBytesPerSecond: -1}, sp)
	var lines []string
	send := func(n int) {
		for range n {
			line := fmt.Sprintf("m n=%d 1\n", len(lines))
			lines = append(lines, line)
			put(t, sp, 1, line)
			eventually(t, "sent", func() bool { return d.has(line) && sp.Stats().Batches == 0 })
		}
	}
	send(5)
	d.sync()
	send(1) // its answer says that the five are durable
	eventually(t, "five forgotten", func() bool { return sp.Stats().Unsynced == 1 })
	send(4)
	if got := sp.Stats().Unsynced; got != 5 {
		t.Fatalf("%d unsynced, want 5", got)
	}
	posted := len(d.seen())
	if posted != 10 {
		t.Errorf("%d posts for 10 batches: an acknowledged batch was sent again while its store lives", posted)
	}
	d.powerCut("store2")
	send(1)
	eventually(t, "the lost ones are sent again", func() bool { return len(d.seen()) >= posted+6 })
	d.sync()
	send(1)
	d.sync()
	for _, l := range lines {
		if !d.disk[l] {
			t.Errorf("lost: %q", l)
		}
	}
	eventually(t, "one unsynced", func() bool { return sp.Stats().Unsynced == 1 && sp.Stats().Batches == 0 })
}
