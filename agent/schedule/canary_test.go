package schedule

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes"

	"github.com/shirou/gopsutil/v4/process"
	"go.uber.org/goleak"
)

// stall is a machine that withholds the processor: its clock goes on while nothing of the program does.
type stall struct {
	mu   sync.Mutex
	lost time.Duration
}

func (s *stall) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.lost)
}

func (s *stall) hold(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += d
}

func lateness(t *testing.T, r Result) time.Duration {
	t.Helper()
	v := verdict(t, r)
	f, ok := v.Field("late_seconds")
	if !ok {
		t.Fatal("the row does not say how late the agent was")
	}
	return time.Duration(f.Num * float64(time.Second)).Round(time.Millisecond)
}

func TestRunSaysHowLateTheAgentWas(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name  string
		probe func(s *stall) error
		want  time.Duration
	}{
		{"machine with time to spare", func(s *stall) error { time.Sleep(time.Second); return nil }, 0},
		{"shorter than a period", func(s *stall) error { time.Sleep(3 * ms); return nil }, 0},
		{"one stall", func(s *stall) error { s.hold(190 * ms); time.Sleep(50 * ms); return nil }, 190 * ms},
		{"the worst of several", func(s *stall) error {
			for _, d := range []time.Duration{20, 80, 40} {
				s.hold(d * ms)
				time.Sleep(60 * ms)
			}
			return nil
		}, 80 * ms},
		{"the run is over before the timer has its turn", func(s *stall) error { s.hold(90 * ms); return nil }, 65 * ms},
		{"a failed run too", func(s *stall) error { s.hold(60 * ms); time.Sleep(40 * ms); return errors.New("no") }, 60 * ms},
		{"and one that crashes", func(s *stall) error { s.hold(60 * ms); time.Sleep(40 * ms); panic("no") }, 60 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s stall
				r := newRunner()
				r.canary.now = s.now
				res := r.Run(t.Context(), newCheck(func(context.Context) ([]probes.Point, error) { return nil, tc.probe(&s) }))
				if got := lateness(t, res); got != tc.want || res.Late != tc.want {
					t.Errorf("late by %v and %v, want %v", got, res.Late, tc.want)
				}
			})
		})
	}
}

// TestLatenessIsOfTheRunItself: runs that go at once share the timer, but not each other's past.
func TestLatenessIsOfTheRunItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stall
		r := newRunner()
		r.canary.now = s.now
		var both sync.WaitGroup
		late := make([]time.Duration, 3)
		run := func(i int, body func()) {
			both.Go(func() {
				late[i] = r.Run(t.Context(), newCheck(func(context.Context) ([]probes.Point, error) { body(); return nil, nil })).Late
			})
		}
		run(0, func() { time.Sleep(95 * time.Millisecond); s.hold(100 * time.Millisecond); time.Sleep(time.Second) })
		time.Sleep(97 * time.Millisecond) // the stall is over, the timer has not had its turn yet
		run(1, func() { time.Sleep(500 * time.Millisecond) })
		time.Sleep(100 * time.Millisecond)
		run(2, func() { time.Sleep(500 * time.Millisecond) })
		both.Wait()
		if late[0] < 90*time.Millisecond || late[1] > 5*time.Millisecond || late[2] != 0 {
			t.Errorf("late by %v, want 100 ms of the first alone", late)
		}
	})
}

func TestRunThatDidNotHappenHasNoLateness(t *testing.T) {
	c := newCheck(nil)
	c.Ready = func() error { return probes.Errorf(probes.OutcomeUnbound, "no such device") }
	for _, res := range []Result{newRunner().Run(t.Context(), c), newRunner().Missed(c)} {
		v := verdict(t, res)
		if f, ok := v.Field("late_seconds"); ok {
			t.Errorf("%v: late by %v s, though nothing was measured", res.Outcome, f.Num)
		}
	}
}

// TestNoTimerIsLeft: between runs the agent does nothing at all.
func TestNoTimerIsLeft(t *testing.T) {
	defer goleak.VerifyNone(t)
	r := newRunner()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			c := newCheck(func(context.Context) ([]probes.Point, error) { time.Sleep(time.Millisecond); return nil, nil })
			for range 20 {
				r.Run(t.Context(), c)
			}
		})
	}
	all.Wait()
	if r.canary.timer.Stop() || len(r.canary.runs) != 0 {
		t.Errorf("%d runs watched, and the timer still set", len(r.canary.runs))
	}
}

// BenchmarkCanary is what watching costs while a run is under way; an agent with 20 targets has one some of the time.
// Run it for ten seconds: processor time is told in steps of 10 ms.
func BenchmarkCanary(b *testing.B) {
	me, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		b.Fatal(err)
	}
	spent := func() float64 {
		times, err := me.Times()
		if err != nil {
			b.Fatal(err)
		}
		return times.User + times.System
	}
	var c canary
	w := c.begin()
	begin, before := time.Now(), spent()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	b.ReportMetric((spent()-before)/time.Since(begin).Seconds()*100, "%-of-a-core")
	b.ReportMetric(float64(c.end(w))/1e6, "ms-late")
}
