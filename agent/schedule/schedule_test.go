package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNextSlot(t *testing.T) {
	const s = time.Second
	for _, c := range []struct{ now, phase, interval, want time.Duration }{
		{0, 0, 30 * s, 30 * s},
		{0, 5 * s, 30 * s, 5 * s},
		{5 * s, 5 * s, 30 * s, 35 * s}, // a slot that is now is over
		{5*s - 1, 5 * s, 30 * s, 5 * s},
		{100 * s, 29 * s, 30 * s, 119 * s},
		{1_000_000 * s, 7 * s, 60 * s, 1_000_027 * s},
		{-10 * s, 5 * s, 30 * s, 5 * s}, // a clock before 1970
	} {
		if got := nextSlot(c.now, c.phase, c.interval); got != c.want {
			t.Errorf("nextSlot(%v, %v, %v) = %v, want %v", c.now, c.phase, c.interval, got, c.want)
		}
	}
}

// Agents with the same checks must not fire at the hub together, and an agent's own checks must not either.
func TestPhaseSpreads(t *testing.T) {
	const interval, slices = 30 * time.Second, 10
	var byAgent, byCheck [slices]int
	for i := range 1360 {
		byAgent[Phase(fmt.Sprintf("s%05d/main", 8700+i), "hub", interval)*slices/interval]++
		byCheck[Phase("s08707/main", fmt.Sprintf("check-%d", i), interval)*slices/interval]++
	}
	for i := range slices {
		for _, n := range []int{byAgent[i], byCheck[i]} {
			if n < 136*3/4 || n > 136*5/4 {
				t.Errorf("tenth %d of the interval has %d of 1360 runs, want about 136 (by agent %v, by check %v)", i, n, byAgent, byCheck)
			}
		}
	}
	if a, b := Phase("s1/a", "hub", interval), Phase("s1/a", "hub", interval); a != b {
		t.Errorf("phase differs from call to call: %v, %v", a, b)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestRunsAtItsPhaseOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 30 * time.Second
		var at []time.Time
		s := New([]Job{{Name: "hub", Interval: interval, Timeout: time.Second, Run: func(context.Context) { at = append(at, time.Now()) }}},
			Options{Owner: "s1/main", Log: quiet()})
		ctx, cancel := context.WithTimeout(t.Context(), 10*interval+time.Second)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(at) != 10 && len(at) != 11 {
			t.Fatalf("ran %d times in 10 intervals", len(at))
		}
		want := Phase("s1/main", "hub", interval)
		for _, a := range at {
			if got := time.Duration(a.UnixNano()) % interval; got != want {
				t.Errorf("ran %v into the interval, want %v", got, want)
			}
		}
	})
}

func TestNeverOverlapsAndSaysWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var active, runs, missed atomic.Int32
		s := New([]Job{{
			Name: "slow", Interval: 10 * time.Second, Timeout: time.Hour,
			Run: func(ctx context.Context) {
				if active.Add(1) > 1 {
					t.Error("two runs at once")
				}
				defer active.Add(-1)
				runs.Add(1)
				select {
				case <-time.After(25 * time.Second):
				case <-ctx.Done():
				}
			},
			Missed: func() { missed.Add(1) },
		}}, Options{Owner: "x", Log: quiet()})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		_ = s.Run(ctx)
		// Each run takes its own slot and makes the two after it missed.
		if r, m := runs.Load(), missed.Load(); r < 3 || r > 4 || m < 6 || m > 7 || s.Overruns() != uint64(m) {
			t.Errorf("%d runs, %d missed, %d overruns; want a third of ten slots run and the others missed", r, m, s.Overruns())
		}
	})
}

func TestTimeoutEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		s := New([]Job{{Name: "hangs", Interval: time.Minute, Timeout: 3 * time.Second, Run: func(ctx context.Context) {
			begin := time.Now()
			<-ctx.Done()
			took = time.Since(begin)
		}}}, Options{Owner: "x", Log: quiet()})
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Second)
		defer cancel()
		_ = s.Run(ctx)
		if took != 3*time.Second {
			t.Errorf("the run's context ended after %v, want 3s", took)
		}
	})
}

func TestPanicIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var runs, others int
		s := New([]Job{
			{Name: "bad", Interval: 10 * time.Second, Timeout: time.Second, Run: func(context.Context) { runs++; panic("out of cheese") }},
			{Name: "good", Interval: 10 * time.Second, Timeout: time.Second, Run: func(context.Context) { others++ }},
		}, Options{Owner: "x", Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		_ = s.Run(ctx)
		if runs < 3 || others < 3 {
			t.Errorf("after a panic: %d runs of the bad job, %d of the good one; want 3 or more of each", runs, others)
		}
		if !strings.Contains(log.String(), "out of cheese") || !strings.Contains(log.String(), "schedule_test.go") {
			t.Errorf("log lacks the panic or its stack: %s", log.String())
		}
	})
}

func TestLimitQueuesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var active, most, runs atomic.Int32
		var jobs []Job
		for i := range 20 {
			jobs = append(jobs, Job{Name: fmt.Sprint(i), Interval: time.Minute, Timeout: time.Minute, Run: func(context.Context) {
				most.Store(max(most.Load(), active.Add(1)))
				time.Sleep(5 * time.Second)
				active.Add(-1)
				runs.Add(1)
			}})
		}
		s := New(jobs, Options{Owner: "x", Limit: 2, Log: quiet()})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		_ = s.Run(ctx)
		if most.Load() != 2 {
			t.Errorf("%d runs at once, want at most 2 and both used", most.Load())
		}
		if runs.Load() < 20 {
			t.Errorf("only %d of 20 jobs ran within two intervals", runs.Load())
		}
	})
}

func TestStopCancelsAndJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var over atomic.Bool
		s := New([]Job{{Name: "long", Interval: time.Second, Timeout: time.Hour, Run: func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond) // cleaning up
			over.Store(true)
		}}}, Options{Owner: "x", Log: quiet()})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_ = s.Run(ctx)
		if !over.Load() {
			t.Error("Run returned before its run was over")
		}
	})
}

// A machine that was asleep must not fire everything it missed at once.
func TestSleepIsNotCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs int
		s := New([]Job{{Name: "a", Interval: 10 * time.Second, Timeout: 5 * time.Second, Run: func(context.Context) { runs++ }}},
			Options{Owner: "x", Log: quiet()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		// The goroutine of Run is kept from running by a job's Missed callback, as a sleeping machine would.
		s.jobs = append(s.jobs, Job{Name: "sleeper", Interval: time.Hour, Timeout: 3 * time.Hour,
			Run: func(ctx context.Context) { <-ctx.Done() }, Missed: func() { time.Sleep(10 * time.Minute) }})
		go func() { defer close(done); _ = s.Run(ctx) }()
		time.Sleep(2*time.Hour + time.Minute)
		cancel()
		<-done
		full := int((2*time.Hour + time.Minute) / (10 * time.Second))
		if runs > full-50 || runs < full-130 {
			t.Errorf("%d runs; want the %d of the whole time less the 60 of each sleep", runs, full)
		}
		if s.Overruns() != 1 && s.Overruns() != 2 {
			t.Errorf("%d overruns, want only the sleeper's own", s.Overruns())
		}
	})
}
