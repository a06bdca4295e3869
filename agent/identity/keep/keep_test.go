package keep

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	"communewatch/agent/identity/join"
	"communewatch/agent/ship"
	"communewatch/agent/spool"
	"communewatch/agent/spool/disk"
	"communewatch/agent/spool/pack"
	"communewatch/probes/enroll"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

// clock is a clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Duration // against the true time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.at)
}

func (c *clock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = d
}

// lines are those of a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// enrolled is an agent of a collector, and the agent's clock, which begins with the collector's.
type enrolled struct {
	c            *identitytest.Collector
	world, clock clock // the collector's clock, and the agent's
	id           *identity.Identity
	dir          string
	to           ship.Collector
	log          lines
	keeper       *Keeper
	changed      int
}

func enrol(t *testing.T) *enrolled {
	t.Helper()
	e := &enrolled{}
	e.c = identitytest.NewCollector(t, e.world.now)
	e.dir = identity.Folder(t.TempDir())
	set, err := join.Enroll(t.Context(), join.Options{Dir: e.dir, Code: e.c.Code(), Agent: "pc", Now: e.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	e.start(set)
	return e
}

// start is what a start of the agent does.
func (e *enrolled) start(set *identity.Set) { e.startOn(set, nil) }

func (e *enrolled) startOn(set *identity.Set, d *disk.Disk) {
	log := slog.New(slog.NewTextHandler(&e.log, nil))
	e.id = identity.New(e.dir, set, identity.Options{Now: e.clock.now, Build: time.Now().AddDate(-1, 0, 0), Log: log, Disk: d})
	e.to = ship.Collector{URL: e.c.URL(), Renewed: e.id.Renewed}
	e.to.TLS = e.id.TLS(e.to.Host())
	e.keeper = New(Options{Identity: e.id, Collectors: []ship.Collector{e.to}, Changed: func() { e.changed++ }, Log: log})
}

// pass lets time pass for both.
func (e *enrolled) pass(d time.Duration) {
	e.world.set(d)
	e.clock.set(d)
}

// works tries a connection as all others of the agent are made.
func (e *enrolled) works(t *testing.T) error {
	t.Helper()
	client, err := e.to.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	req, err := e.to.Request(t.Context(), "pc", http.MethodGet, enroll.TrustPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}

func TestRenewsAtTwoThirdsOfItsLife(t *testing.T) {
	e := enrol(t)
	first := e.id.Set().Certificate
	e.keeper.trustAt = time.Now().Add(time.Hour)
	for _, d := range []time.Duration{0, 30 * day, 55 * day} {
		e.pass(d)
		if wait := e.keeper.step(t.Context()); wait <= 0 || wait > lookEvery {
			t.Errorf("after %v it waits %v", d, wait)
		}
	}
	if n := e.c.Get().Renewed; n != 0 {
		t.Fatalf("renewed %d times in the first 55 of 90 days", n)
	}
	e.pass(61 * day)
	e.keeper.step(t.Context())
	e.keeper.step(t.Context())
	next := e.id.Set()
	if n := e.c.Get().Renewed; n != 1 || next.Certificate.Equal(first) || !next.Certificate.NotAfter.After(e.clock.now().Add(80*day)) {
		t.Fatalf("renewed %d times in 61 of 90 days; lasts until %v", n, next.Certificate.NotAfter)
	}
	if kept, err := identity.Read(e.dir); err != nil || !kept.Certificate.Equal(next.Certificate) || !kept.Key.Equal(next.Key) {
		t.Errorf("not kept: %v", err)
	}
	if e.changed == 0 {
		t.Error("nobody is told")
	}
	if err := e.works(t); err != nil {
		t.Error(err)
	}
}

// An agent that was off until after its certificate's end asks all the same; whether it may come back is the
// collector's to say.
func TestExpiredCertificateIsRenewed(t *testing.T) {
	e := enrol(t)
	e.pass(150 * day)
	e.keeper.step(t.Context())
	if n := e.c.Get().Renewed; n != 1 {
		t.Fatalf("renewed %d times", n)
	}
}

func TestWhatTheCollectorRefusesIsSaidOnceAndTriedOn(t *testing.T) {
	e := enrol(t)
	first := e.id.Set().Certificate
	e.pass(70 * day)
	e.c.Set(func(s *identitytest.State) {
		s.Refuse = &enroll.Refusal{Code: enroll.RefusedRevoked, Message: "stolen"}
	})
	last := time.Duration(0)
	for i := range 10 {
		e.keeper.retryAt, e.keeper.trustAt = time.Time{}, time.Now().Add(time.Hour)
		e.keeper.step(t.Context())
		wait := time.Until(e.keeper.retryAt)
		if i == 0 && (wait < 50*time.Second || wait > 2*time.Minute) || wait > retryMax+retryMax/5 {
			t.Errorf("failure %d: again in %v, want a minute at first and an hour at most", i, wait)
		}
		last = wait
	}
	if last < 50*time.Minute {
		t.Errorf("after ten failures it tries again in %v", last)
	}
	if n := e.log.count("thrown out"); n != 1 {
		t.Errorf("said %d times in the log", n)
	}
	if p := e.keeper.Certificate().Problem; !strings.Contains(p, "thrown out") {
		t.Errorf("the problem told is %q", p)
	}
	if !e.id.Set().Certificate.Equal(first) {
		t.Error("the certificate was lost")
	}
	e.c.Set(func(s *identitytest.State) { s.Refuse = nil })
	e.keeper.retryAt = time.Time{}
	e.keeper.step(t.Context())
	if p := e.keeper.Certificate().Problem; p != "" || e.id.Set().Certificate.Equal(first) {
		t.Errorf("after it was taken back: %q", p)
	}
}

func TestAgentOfAnotherFleetIsToldSo(t *testing.T) {
	e := enrol(t)
	e.c.Set(func(s *identitytest.State) { s.Fleet = strings.Repeat("b", 32) })
	e.keeper.trustAt = time.Time{}
	e.keeper.step(t.Context())
	if p := e.keeper.Certificate().Problem; !strings.Contains(p, "no certificate of this fleet") || !strings.Contains(p, "enroll CODE --again") {
		t.Errorf("the problem told is %q", p)
	}
}

// The collector changes its authority: first it tells of the next one, then it shows it, then it drops the old one.
func TestCollectorChangesItsAuthority(t *testing.T) {
	e := enrol(t)
	old := e.c.Get().Authority
	next := identitytest.NewAuthority(t, time.Now().Add(-time.Hour))
	look := func() {
		t.Helper()
		_ = e.keeper.Look(t.Context())
		<-e.keeper.look
		e.keeper.trustAt, e.keeper.retryAt = time.Time{}, time.Time{}
		e.keeper.step(t.Context())
	}
	look()
	if n := len(e.id.Pins()); n != 1 {
		t.Fatalf("%d authorities at first", n)
	}
	e.c.Set(func(s *identitytest.State) { s.Roots = append(s.Roots, old.Cert, next.Cert) })
	look()
	if n := len(e.id.Pins()); n != 2 {
		t.Fatalf("%d authorities after one was announced", n)
	}
	e.c.Set(func(s *identitytest.State) { s.Authority = next })
	if err := e.works(t); err != nil {
		t.Fatalf("after the change: %v", err)
	}
	e.c.Set(func(s *identitytest.State) { s.Roots = nil }) // next alone
	look()
	if pins := e.id.Pins(); len(pins) != 1 || pins[0] != enroll.PinOf(next.Cert).String() {
		t.Errorf("authorities %v after the old one was retired, want the next alone", pins)
	}
	if err := e.works(t); err != nil {
		t.Error(err)
	}
	asked := e.c.Get().Trusted
	look()
	if e.c.Get().Trusted != asked+1 || e.keeper.Certificate().Problem != "" {
		t.Errorf("what has not changed is trouble: %q", e.keeper.Certificate().Problem)
	}
	// One that was never announced.
	e.c.Set(func(s *identitytest.State) { s.Authority = identitytest.NewAuthority(t, time.Now().Add(-time.Hour)) })
	if err := e.works(t); err == nil {
		t.Error("an authority that was never announced is believed")
	}
	look()
	if pins := e.id.Pins(); len(pins) != 1 || pins[0] != enroll.PinOf(next.Cert).String() {
		t.Errorf("authorities %v: one was learned from a server that nobody vouches for", pins)
	}
}

// The machine's clock fails after it was enrolled: the battery is empty, somebody sets it to another year.
func TestClockThatGoesWrongLater(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong time.Duration
		off   time.Duration // for how long the agent was off before
	}{
		{"20 years behind", -20 * 365 * day, 0},
		{"20 years behind after a year in a cupboard", -20 * 365 * day, 400 * day},
		{"20 years ahead", 20 * 365 * day, 0},
		{"20 years ahead after a year in a cupboard", 20 * 365 * day, 400 * day},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := enrol(t)
			e.world.set(c.off)
			e.clock.set(c.off + c.wrong)
			set, err := identity.Read(e.dir)
			if err != nil {
				t.Fatal(err)
			}
			e.start(set)
			if err := e.works(t); err != nil {
				select {
				case <-e.id.Doubt():
					e.keeper.doubt = true
				default:
					t.Fatalf("does not doubt its clock: %v", err)
				}
				e.keeper.trustAt = time.Now().Add(time.Hour)
				e.keeper.step(t.Context())
			}
			if err := e.works(t); err != nil {
				t.Fatal(err)
			}
			if d := e.id.Now().Sub(e.world.now()); c.wrong > 0 && d.Abs() > time.Minute {
				t.Errorf("believes a time that is %v off", d)
			}
			// Set right again, by people or by NTP.
			e.clock.set(c.off)
			if err := e.works(t); err != nil {
				<-e.id.Doubt()
				e.keeper.doubt, e.keeper.clockAt = true, time.Time{}
				e.keeper.step(t.Context())
			}
			if err := e.works(t); err != nil {
				t.Errorf("after the clock was set right: %v", err)
			}
		})
	}
}

// Who has got hold of an old key of the collector's can't tell agents that it is the time of that key.
func TestTimeIsNotToldByAnOldCertificate(t *testing.T) {
	e := enrol(t)
	ca := e.c.Get().Authority
	stolen := ca.Server("127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(30*day))
	e.pass(60 * day)
	e.keeper.trustAt = time.Time{}
	e.keeper.step(t.Context()) // hears from its collector that two months are over
	e.c.Set(func(s *identitytest.State) {
		s.Shown, s.Now = &stolen, func() time.Time { return time.Now().Add(10 * day) }
	})
	if err := e.works(t); err == nil {
		t.Fatal("a certificate that has ended is believed")
	}
	<-e.id.Doubt()
	e.keeper.doubt = true
	e.keeper.step(t.Context())
	if err := e.works(t); err == nil {
		t.Error("it was talked into the time of an old certificate")
	}
}

// still is an agent's clock.
type still struct{}

func (still) Now() (time.Time, int) { return time.Now(), 1 }
func (still) Boot() string          { return "b1" }

// While results are delivered the certificate is renewed: what comes after is sent under the new one, and nothing is
// lost or sent twice.
func TestRenewalDuringDeliveryLosesNothing(t *testing.T) {
	e := enrol(t)
	var mu sync.Mutex
	got, serials := map[string]int{}, map[string]int{}
	e.c.Set(func(s *identitytest.State) {
		s.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				body, err = pack.Unpack(body, 1<<20)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(r.TLS.PeerCertificates) == 0 {
				t.Errorf("a batch that can't be read (%v), or of nobody", err)
			}
			for line := range strings.Lines(string(body)) {
				got[strings.TrimSpace(line)]++
			}
			serials[r.TLS.PeerCertificates[0].SerialNumber.Text(16)]++
			w.Header().Set("X-Influxdb-Version", "test")
			w.WriteHeader(http.StatusNoContent)
		})
	})
	sp, err := spool.Open(spool.Options{Dir: t.TempDir(), Boot: "b1", MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	sh := ship.New(ship.Options{Collectors: []ship.Collector{e.to}, Org: "o", Bucket: "b", Agent: "pc", BacklogBytesPerSecond: -1, Log: slog.New(slog.DiscardHandler)}, sp, still{})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sh.Run(ctx) }()
	const batches = 60
	first := e.id.Set().Certificate.SerialNumber.Text(16)
	deadline := time.Now().Add(20 * time.Second)
	for i := range batches {
		if err := sp.Append(1, fmt.Appendf(nil, "a n=%d 1\n", i)); err != nil {
			t.Fatal(err)
		}
		if err := sp.Seal(true); err != nil {
			t.Fatal(err)
		}
		if i == batches/2 {
			for sh.Stats().Sent < batches/2 && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			e.pass(70 * day)
			e.keeper.trustAt = time.Now().Add(time.Hour)
			e.keeper.step(t.Context())
		}
	}
	for sh.Stats().Sent < batches && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range batches {
		if n := got[fmt.Sprintf("a n=%d 1", i)]; n != 1 {
			t.Errorf("batch %d arrived %d times", i, n)
		}
	}
	second := e.id.Set().Certificate.SerialNumber.Text(16)
	if first == second || serials[first] == 0 || serials[second] < batches/2-5 {
		t.Errorf("batches by certificate: %v; renewed from %s to %s", serials, first, second)
	}
	if st := sh.Stats(); st.Failures != 0 {
		t.Errorf("%d failures", st.Failures)
	}
}

// Run is the whole of it: it looks when it is told to, and ends with its context.
func TestRunLooksWhenTold(t *testing.T) {
	e := enrol(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { e.keeper.Run(ctx); close(done) }()
	if err := e.keeper.Look(ctx); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); e.c.Get().Trusted == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not look")
		}
	}
	stop()
	<-done
}
