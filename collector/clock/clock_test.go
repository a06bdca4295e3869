package clock

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/collector/audit"
)

const day = 24 * time.Hour

// machine is a computer whose clock can be set. The processor's count is the bubble's.
type machine struct {
	file  string
	sites int
	log   bytes.Buffer

	off atomic.Int64 // of its clock
}

func (m *machine) now() time.Time { return time.Now().Add(time.Duration(m.off.Load())) }

func (m *machine) set(off time.Duration) { m.off.Store(int64(off)) }

func (m *machine) open() *Clock {
	return Open(Options{File: m.file, Now: m.now, Log: slog.New(slog.NewTextHandler(&m.log, nil)),
		Sites: func(context.Context) (int, error) { return m.sites, nil }})
}

// run runs a clock until the end of the test, or until it is called.
func run(t *testing.T, c *Clock) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func bubble(t *testing.T, do func(t *testing.T, m *machine)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		do(t, &machine{file: filepath.Join(dir, "clock"), sites: 136})
	})
}

func TestClockThatIsFarFromTheLastRunIsInDoubt(t *testing.T) {
	for _, c := range []struct {
		name     string
		off      time.Duration // the machine's clock at the next start, beside the time that has passed
		away     time.Duration // the machine was off
		believed bool
	}{
		{"right", 0, time.Minute, true},
		{"off over the holidays", 0, 12 * day, true},
		{"off for a summer", 0, 60 * day, false},
		{"five years ahead", 5 * 365 * day, time.Minute, false},
		{"a dead battery", -6 * 365 * day, time.Hour, false},
		{"set back by an hour", -time.Hour, time.Minute, true},
		{"set back by two days", -2 * day, time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, m *machine) {
				run(t, m.open())() // the run before
				last := time.Now()
				time.Sleep(c.away)
				m.set(c.off)
				next := m.open()
				time.Sleep(3 * time.Hour)
				if next.Believed() != c.believed || (next.Doubt() == nil) != c.believed {
					t.Fatalf("believed %v", next.Believed())
				}
				if c.believed {
					if got := next.Now(); !got.Equal(m.now()) {
						t.Errorf("now is %v, not what the machine says, %v", got, m.now())
					}
					return
				}
				// What has passed since the start is known; how long the machine was off is not.
				if got := next.Now(); got.After(time.Now()) || got.Before(last.Add(3*time.Hour).Truncate(time.Second)) {
					t.Errorf("now is %v; the last run was at %v, and this one is three hours old", got, last)
				}
				if !strings.Contains(m.log.String(), "clock confirm") {
					t.Errorf("the log does not say what to do: %s", m.log.String())
				}
			})
		})
	}
}

func TestClockThatJumpsWhileItRunsIsInDoubtUntilItIsSetRight(t *testing.T) {
	bubble(t, func(t *testing.T, m *machine) {
		c := m.open()
		stop := run(t, c)
		time.Sleep(time.Hour + 500*time.Millisecond)
		m.set(3 * 365 * day)
		if c.Believed() {
			t.Fatal("a jump of three years is believed")
		}
		time.Sleep(time.Hour)
		if got := c.Now(); !got.Equal(time.Now()) {
			t.Errorf("now is %v, and truly %v", got, time.Now())
		}
		stop()
		if kept, _ := os.ReadFile(m.file); !strings.HasPrefix(string(kept), "2000-01-01T01:00:0") {
			t.Errorf("kept %s", kept)
		}
		m.set(0)
		if !c.Believed() || c.Doubt() != nil {
			t.Error("the clock is right again and is not believed")
		}
	})
}

// A machine without a battery begins in 1970: what is made at the first start, such as an authority for twenty years, must
// not be of that time.
func TestAClockFromLongAgoIsInDoubtAtTheFirstStart(t *testing.T) {
	bubble(t, func(t *testing.T, m *machine) {
		earliest := time.Now().Add(-400 * day)
		m.set(-30 * 365 * day)
		c := Open(Options{File: m.file, Earliest: earliest, Now: m.now, Log: slog.New(slog.NewTextHandler(&m.log, nil))})
		stop := run(t, c)
		time.Sleep(time.Hour)
		if got := c.Now(); c.Believed() || !got.Equal(earliest.Add(time.Hour)) {
			t.Errorf("believed %v; now is %v, and not from %v on", c.Believed(), got, earliest)
		}
		m.set(0) // a time server answers
		if got := c.Now(); !c.Believed() || !got.Equal(m.now()) {
			t.Errorf("believed %v; now is %v, not what the machine says, %v", c.Believed(), got, m.now())
		}
		stop()
		if again := m.open(); !again.Believed() {
			t.Error("not believed after another start")
		}
	})
}

func TestAgentsConfirmAClock(t *testing.T) {
	type word struct {
		site string
		off  time.Duration // of its clock against the machine's
	}
	right := func(sites ...string) (out []word) {
		for _, s := range sites {
			out = append(out, word{s, 3 * time.Minute})
		}
		return out
	}
	wrong := func(sites ...string) (out []word) {
		for _, s := range sites {
			out = append(out, word{s, -5 * 365 * day})
		}
		return out
	}
	for _, c := range []struct {
		name     string
		sites    int
		words    []word
		believed bool
		leap     time.Duration // 0: 60 days
	}{
		{name: "three sites, and a time server that is wrong for all", sites: 136, words: right("a", "b", "c"), leap: 5 * 365 * day},
		{name: "three sites, and a dead battery everywhere", sites: 136, words: right("a", "b", "c"), leap: -10 * 365 * day},
		{name: "three sites", sites: 136, words: right("a", "b", "c"), believed: true},
		{name: "two are too few", sites: 136, words: right("a", "b"), believed: false},
		{name: "one site many times", sites: 136, words: right("a", "a", "a", "a"), believed: false},
		{name: "most differ", sites: 136, words: append(right("a", "b", "c"), wrong("d", "e", "f")...), believed: false},
		{name: "a few differ", sites: 136, words: append(right("a", "b", "c", "d"), wrong("e")...), believed: true},
		{name: "a pilot of one site", sites: 1, words: right("a"), believed: true},
		{name: "the only site differs", sites: 1, words: wrong("a"), believed: false},
		{name: "nobody", sites: 136, words: nil, believed: false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, m *machine) {
				run(t, m.open())()
				m.sites = c.sites
				m.set(cmp.Or(c.leap, 60*day))
				next := m.open()
				stop := run(t, next)
				for _, w := range c.words {
					next.Heard(w.site, m.now().Add(w.off))
				}
				time.Sleep(settle / 2)
				if next.Believed() {
					t.Error("believed before others could be heard")
				}
				time.Sleep(settle)
				if next.Believed() != c.believed {
					t.Fatalf("believed %v; %+v", next.Believed(), next.Doubt())
				}
				stop()
				if again := m.open(); again.Believed() != c.believed {
					t.Errorf("after another start: believed %v", again.Believed())
				}
			})
		})
	}
}

func TestAgentsSayWhatTimeItIs(t *testing.T) {
	bubble(t, func(t *testing.T, m *machine) {
		run(t, m.open())()
		m.set(5 * 365 * day)
		c := m.open()
		for _, s := range []string{"a", "b", "c"} {
			c.Heard(s, time.Now())
		}
		time.Sleep(time.Minute)
		if d := c.Doubt(); d == nil || d.Differ != 3 || d.Agree != 0 || d.Agents.Sub(time.Now()).Abs() > time.Second {
			t.Errorf("%+v", d)
		}
	})
}

func TestTimeThatCannotBeReadOrKept(t *testing.T) {
	bubble(t, func(t *testing.T, m *machine) {
		if err := os.WriteFile(m.file, []byte("yesterday"), 0o600); err != nil {
			t.Fatal(err)
		}
		if c := m.open(); !c.Believed() || !strings.Contains(m.log.String(), "can't be read") {
			t.Errorf("believed %v; log %s", c.Believed(), m.log.String())
		}
		// A folder from before the time was kept.
		if c := Open(Options{File: m.file, Passed: time.Now().Add(-400 * day), Now: m.now, Log: slog.New(slog.DiscardHandler)}); c.Believed() {
			t.Error("400 days after the last sign of life the clock is believed")
		}
		m.file = filepath.Join(m.file, "no folder", "clock")
		stop := run(t, m.open())
		time.Sleep(5 * keepEvery)
		stop()
		if n := strings.Count(m.log.String(), "can't be kept"); n != 1 {
			t.Errorf("said %d times that the time can't be kept: %s", n, m.log.String())
		}
	})
}

// record is what was recorded.
type record struct {
	entries []audit.Entry
	fail    error
}

func (r *record) Record(_ context.Context, e audit.Entry) error {
	r.entries = append(r.entries, e)
	return r.fail
}

// direct brings requests to a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestAPersonConfirmsAClock(t *testing.T) {
	bubble(t, func(t *testing.T, m *machine) {
		run(t, m.open())()
		m.set(60 * day)
		c := m.open()
		rec := &record{}
		client := &http.Client{Transport: direct{Handler(c, rec)}}
		if d, err := Status(t.Context(), client); err != nil || d == nil || !d.Machine.Equal(m.now()) {
			t.Fatalf("status %+v, %v", d, err)
		}
		if d, err := Confirm(t.Context(), client, "lan"); err != nil || d == nil {
			t.Fatalf("confirm %+v, %v", d, err)
		}
		if !c.Believed() || !m.open().Believed() {
			t.Error("not believed now, or not after another start")
		}
		if len(rec.entries) != 1 || rec.entries[0].Who != "lan" || rec.entries[0].Act != "clock.confirm" || !rec.entries[0].At.Equal(m.now()) {
			t.Errorf("recorded %+v", rec.entries)
		}
		if d, err := Confirm(t.Context(), client, "lan"); err != nil || d != nil || len(rec.entries) != 1 {
			t.Errorf("confirmed what is not in doubt: %+v, %v, %d entries", d, err, len(rec.entries))
		}
		m.set(120 * day)
		rec.fail = errors.New("the disk is full")
		if _, err := Confirm(t.Context(), client, "lan"); err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("what can't be recorded: %v", err)
		}
		for _, body := range []string{"", "{", `{}`, `{"by":"` + strings.Repeat("x", maxName+1) + `"}`} {
			w := httptest.NewRecorder()
			Handler(c, rec).ServeHTTP(w, httptest.NewRequest(http.MethodPost, Prefix+"confirm", strings.NewReader(body)))
			if w.Code != http.StatusBadRequest {
				t.Errorf("%.20q: %d", body, w.Code)
			}
		}
	})
}
