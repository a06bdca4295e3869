package presence

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/agent/ship"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/work"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ears are a collector that hears what agents say, without sockets.
type ears struct {
	t *testing.T

	mu     sync.Mutex
	heard  []*presence.Presence
	at     []time.Time
	status int  // of answers
	deaf   bool // no answer at all
}

func (e *ears) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	deaf, status := e.deaf, e.status
	e.mu.Unlock()
	if deaf {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	p, err := presence.Read(r.Body)
	if err != nil || r.URL.Path != presence.Path || r.Method != http.MethodPost {
		e.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard, e.at = append(e.heard, p), append(e.at, time.Now())
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

func (e *ears) set(status int) { e.mu.Lock(); defer e.mu.Unlock(); e.status = status }
func (e *ears) hang()          { e.mu.Lock(); defer e.mu.Unlock(); e.deaf = true }
func (e *ears) words() (list []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.heard {
		list = append(list, strings.TrimSpace(string(p.Phase)+" "+string(p.Reason)))
	}
	return list
}

func options(t *testing.T, dir, machine string, e *ears) Options {
	return Options{
		Collectors: []ship.Collector{{URL: "https://c.example", Token: "x"}}, Agent: "pc", Boot: "b1", Dir: dir, machine: machine,
		Machine: enroll.Machine{Host: "pc", System: "linux/amd64", Version: "1"}, Log: slog.New(slog.DiscardHandler),
		Stopped: func() presence.Reason { return presence.StopService },
		client:  func(ship.Collector) (*http.Client, error) { return &http.Client{Transport: e}, nil },
	}
}

// run begins a sender; what it returns ends it and waits.
func run(s *Sender) func() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() { stop(); <-done }
}

func TestTellsItsWholeLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ears{t: t, status: http.StatusNoContent}
		dir := t.TempDir()
		var mu sync.Mutex
		status := work.Status{State: work.StateNone}
		o := options(t, dir, "m1", e)
		o.Work = func() work.Status { mu.Lock(); defer mu.Unlock(); return status }
		o.Identity = func() (presence.Certificate, []string) {
			return presence.Certificate{Serial: "ab", Expires: time.Now().Truncate(24*time.Hour).AddDate(0, 0, 90)}, []string{strings.Repeat("0", 32)}
		}
		s := New(o)
		stop := run(s)
		synctest.Wait()
		time.Sleep(16 * time.Minute)
		if got := strings.Join(e.words(), ", "); got != "started unknown, running, running, running" {
			t.Errorf("in 16 minutes: %s", got)
		}
		mu.Lock()
		status = work.Status{State: work.StateActive, Version: 7, ETag: `"7"`}
		mu.Unlock()
		time.Sleep(lookEvery)
		synctest.Wait()
		if got := e.heard[len(e.heard)-1].Work.Version; got != 7 {
			t.Errorf("other work is told as version %d", got)
		}
		s.Changed() // nothing has
		synctest.Wait()
		n := len(e.words())
		stop()
		if got := e.words()[n:]; len(got) != 1 || got[0] != "stopping service" {
			t.Errorf("at the end: %v", got)
		}
		last := e.heard[len(e.heard)-1]
		if last.Boot != "b1" || last.Machine.Host != "pc" || last.Certificate.Serial != "ab" || len(last.Trust) != 1 || last.Up < 16*60 {
			t.Errorf("told %+v", last)
		}
	})
}

// The reason of a start is worked out from what the life before left behind.
func TestReasonOfAStart(t *testing.T) {
	live := func(dir, machine string, orderly bool, o ...func(*Options)) string {
		e := &ears{t: t, status: http.StatusNoContent}
		options := options(t, dir, machine, e)
		for _, f := range o {
			f(&options)
		}
		var marker []byte
		synctest.Test(t, func(t *testing.T) {
			stop := run(New(options))
			synctest.Wait()
			marker, _ = os.ReadFile(filepath.Join(dir, markerFile))
			stop()
		})
		if !orderly { // as a kill, or a power cut, would leave it
			if err := os.WriteFile(filepath.Join(dir, markerFile), marker, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return e.words()[0]
	}
	dir := t.TempDir()
	for i, c := range []struct {
		machine string
		orderly bool // the end of this life
		want    presence.Reason
	}{
		{"m1", true, presence.StartUnknown},
		{"m1", false, presence.StartService},
		{"m1", true, presence.StartCrash},
		{"m2", false, presence.StartBoot},
		{"m3", true, presence.StartPower},
		{"time:1790000000", true, presence.StartBoot},
		{"time:1790000100", false, presence.StartService}, // the clock was set a bit
		{"time:1790099999", true, presence.StartPower},
	} {
		if got := live(dir, c.machine, c.orderly); got != "started "+string(c.want) {
			t.Errorf("life %d: %s, want %s", i+1, got, c.want)
		}
	}
	if got := live(dir, "time:1790099999", true, func(o *Options) { o.Started = func() presence.Reason { return presence.StartUpdate } }); got != "started update" {
		t.Errorf("after an update: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, markerFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := live(dir, "m1", true); got != "started unknown" {
		t.Errorf("with a damaged marker: %s", got)
	}
}

func TestLastGaspIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ears{t: t, status: http.StatusNoContent}
		dir := t.TempDir()
		stop := run(New(options(t, dir, "m1", e)))
		synctest.Wait()
		e.hang()
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > gaspWithin {
			t.Errorf("it took %v to give up saying goodbye", took)
		}
		if m, ok := read(dir); !ok || m.Stopped != presence.StopService {
			t.Errorf("the stop is not noted: %+v", m)
		}
	})
}

// A start that could not be told is told once the collector is back, still as a start.
func TestStartIsToldLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ears{t: t}
		s := New(options(t, t.TempDir(), "m1", e))
		stop := run(s)
		time.Sleep(time.Hour)
		s.Changed() // no reason to try more often
		synctest.Wait()
		e.set(http.StatusNoContent)
		time.Sleep(retryMax + time.Second)
		synctest.Wait()
		if got := e.words(); len(got) == 0 || got[0] != "started unknown" {
			t.Errorf("heard %v", got)
		}
		stop()
	})
}

// An InfluxDB in the place of a collector is not bothered.
func TestCollectorThatKnowsNothingOfItIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ears{t: t, status: http.StatusNotFound}
		stop := run(New(options(t, t.TempDir(), "m1", e)))
		time.Sleep(10 * time.Hour)
		if n := len(e.words()); n < 8 || n > 11 {
			t.Errorf("asked %d times in 10 hours, want about once an hour", n)
		}
		stop()
	})
}

func TestThisMachinesStartIsKnown(t *testing.T) {
	if a, b := MachineStart(), MachineStart(); a == "" || !sameStart(a, b) {
		t.Errorf("%q and %q are not of one start", a, b)
	}
	if up := machineUp(t.Context()); up <= 0 {
		t.Errorf("the machine has been running for %v s", up)
	}
}

type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// An answer says by its status whether the collector has heard; no more of it is read than makes the connection useful again.
func FuzzAnswer(f *testing.F) {
	f.Add(204, []byte{})
	f.Add(204, []byte("more than nothing"))
	f.Add(200, []byte("<html>log in"))
	f.Add(404, make([]byte, 1<<20))
	f.Add(-1, []byte("{}"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		rest := bytes.NewReader(body)
		to := way{ship.Collector{URL: "https://collector.example", Token: "x"}, &http.Client{Transport: answers(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(rest)}, nil
		})}}
		err := to.post(t.Context(), "pc", []byte("{}"))
		if (err == nil) != (status == http.StatusNoContent) {
			t.Errorf("status %d: %v", status, err)
		}
		if read := len(body) - rest.Len(); read > maxAnswer {
			t.Errorf("%d bytes were read", read)
		}
	})
}
