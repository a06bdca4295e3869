package schedule

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// begin runs a schedule until the test ends.
func begin(t *testing.T, s *Schedule) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

func TestRunOutOfTurnWaitsForTheRunUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var events []string
		note := func(e string) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		}
		missed := 0
		s := New([]Job{{Name: "slow", Interval: time.Minute, Timeout: 50 * time.Second, Missed: func() { missed++ },
			Run: func(context.Context) { note("scheduled begins"); time.Sleep(20 * time.Second); note("scheduled ends") }}},
			Options{Owner: "x", Log: quiet()})
		stop := begin(t, s)
		defer stop()
		for { // into the midst of a run
			synctest.Wait()
			mu.Lock()
			under := len(events) > 0
			mu.Unlock()
			if under {
				break
			}
			time.Sleep(time.Second)
		}
		start := time.Now()
		err := s.RunNow(t.Context(), "slow", func(context.Context) { note("ordered begins"); time.Sleep(55 * time.Second); note("ordered ends") })
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 70*time.Second {
			t.Errorf("it took %v: it did not wait", took)
		}
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"scheduled begins", "scheduled ends", "ordered begins", "ordered ends"}; !slices.Equal(events, want) {
			t.Errorf("events %v, want %v", events, want)
		}
		if missed > 0 || s.Overruns() > 0 {
			t.Errorf("%d slots are said to be missed; what was run by order stood for them", missed)
		}
	})
}

func TestRunOutOfTurnBeginsAtOnceAndKeepsTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New([]Job{{Name: "c", Interval: time.Hour, Timeout: 3 * time.Second, Run: func(context.Context) {}}}, Options{Owner: "x", Log: quiet()})
		stop := begin(t, s)
		defer stop()
		start := time.Now()
		err := s.RunNow(t.Context(), "c", func(ctx context.Context) { <-ctx.Done() })
		if took := time.Since(start); err != nil || took != 3*time.Second {
			t.Errorf("%v after %v, want the job's timeout", err, took)
		}
		if err := s.RunNow(t.Context(), "d", func(context.Context) { t.Error("ran") }); !errors.Is(err, ErrNoJob) {
			t.Errorf("a check that is not there: %v", err)
		}
		panics := s.RunNow(t.Context(), "c", func(context.Context) { panic("in a probe") })
		if panics != nil {
			t.Error(panics)
		}
		if err := s.RunNow(t.Context(), "c", func(context.Context) {}); err != nil {
			t.Errorf("after a panic: %v", err)
		}
	})
}

func TestWaitForARunOutOfTurnCanBeGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New([]Job{{Name: "c", Interval: time.Hour, Timeout: time.Minute, Run: func(context.Context) {}}}, Options{Owner: "x", Log: quiet()})
		stop := begin(t, s)
		release := make(chan struct{})
		first := make(chan error, 1)
		go func() { first <- s.RunNow(t.Context(), "c", func(context.Context) { <-release }) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := s.RunNow(ctx, "c", func(context.Context) { t.Error("ran all the same") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(release)
		if err := <-first; err != nil {
			t.Error(err)
		}
		// The end of the schedule ends what runs and what waits.
		ended := make(chan error, 2)
		go func() { ended <- s.RunNow(t.Context(), "c", func(ctx context.Context) { <-ctx.Done() }) }()
		synctest.Wait()
		go func() { ended <- s.RunNow(t.Context(), "c", func(ctx context.Context) {}) }()
		synctest.Wait()
		stop()
		a, b := <-ended, <-ended
		if (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), ErrOver) {
			t.Errorf("got %v and %v, want nil and %v", a, b, ErrOver)
		}
		if err := s.RunNow(t.Context(), "c", func(context.Context) { t.Error("ran after the end") }); !errors.Is(err, ErrOver) {
			t.Errorf("got %v", err)
		}
	})
}

func TestJobsAreReplacedUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		count, active := map[string]int{}, 0
		job := func(what, name string, interval time.Duration) Job {
			return Job{Name: name, Interval: interval, Timeout: 40 * time.Second, Run: func(context.Context) {
				mu.Lock()
				count[what]++
				active++
				if name == "kept" && active > 1 {
					t.Error("what it was runs beside what it has become")
				}
				mu.Unlock()
				if name == "kept" {
					time.Sleep(25 * time.Second)
				}
				mu.Lock()
				active--
				mu.Unlock()
			}}
		}
		got := func() map[string]int {
			mu.Lock()
			defer mu.Unlock()
			was := count
			count = map[string]int{}
			return was
		}
		s := New(nil, Options{Owner: "x", Log: quiet()})
		stop := begin(t, s)
		defer stop()
		time.Sleep(time.Minute)
		s.Replace([]Job{job("old", "kept", 30*time.Second)})
		time.Sleep(10 * time.Minute)
		if n := got(); n["old"] < 19 || n["old"] > 20 {
			t.Errorf("of jobs given while it ran: %v", n)
		}
		// Away and back again while it runs, again and again.
		for range 20 {
			s.Replace(nil)
			synctest.Wait()
			s.Replace([]Job{job("new", "kept", 30*time.Second)})
			time.Sleep(7 * time.Second)
		}
		got()
		time.Sleep(10 * time.Minute)
		if n := got(); n["old"] > 0 || n["new"] < 19 || n["new"] > 20 {
			t.Errorf("after they were replaced: %v", n)
		}
		s.Replace([]Job{job("other", "other", time.Second)})
		time.Sleep(time.Minute)
		if n := got(); n["new"] > 0 || n["other"] < 59 {
			t.Errorf("after they were replaced by others: %v", n)
		}
		s.Replace(nil)
		time.Sleep(time.Minute)
		got()
		time.Sleep(time.Minute)
		if n := got(); len(n) > 0 {
			t.Errorf("of no jobs: %v", n)
		}
	})
}

func TestRunThatWaitsForAJobThatGoesIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New([]Job{{Name: "c", Interval: time.Hour, Timeout: time.Minute, Run: func(context.Context) {}}}, Options{Owner: "x", Log: quiet()})
		stop := begin(t, s)
		defer stop()
		errs := make(chan error, 2)
		go func() { errs <- s.RunNow(t.Context(), "c", func(context.Context) { time.Sleep(10 * time.Second) }) }()
		synctest.Wait()
		go func() { errs <- s.RunNow(t.Context(), "c", func(context.Context) { t.Error("ran") }) }()
		synctest.Wait()
		s.Replace(nil)
		if err := <-errs; !errors.Is(err, ErrNoJob) {
			t.Errorf("the one that waits: %v", err)
		}
		if err := <-errs; err != nil {
			t.Errorf("the one under way: %v", err)
		}
	})
}
