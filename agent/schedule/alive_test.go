package schedule

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func going(t *testing.T, jobs ...Job) (*Schedule, func()) {
	t.Helper()
	s := New(jobs, Options{Owner: "a/b", Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx) // always nil
	}()
	return s, func() { stop(); <-done }
}

func quick(context.Context) {}

func TestAScheduleWithoutRunsThatEndIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hangs := Job{Name: "hangs", Interval: 10 * time.Second, Timeout: 5 * time.Second, Run: func(context.Context) { <-release }}
		s, stop := going(t, hangs)
		if !s.Alive() {
			t.Error("not alive at the start")
		}
		time.Sleep(60 * time.Second)
		if !s.Alive() {
			t.Error("given up within the patience")
		}
		time.Sleep(30 * time.Second)
		if s.Alive() {
			t.Error("alive although nothing has come to its end")
		}
		close(release)
		synctest.Wait()
		if !s.Alive() {
			t.Error("not alive after the run had ended")
		}
		stop()
	})
}

func TestOneCheckThatHangsIsNotTheDeathOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, stop := going(t,
			Job{Name: "hangs", Interval: 10 * time.Second, Timeout: 5 * time.Second, Run: func(context.Context) { <-release }},
			Job{Name: "well", Interval: time.Second, Timeout: time.Second, Run: quick})
		dead := 0
		for range 60 {
			time.Sleep(5*time.Second + time.Millisecond)
			if !s.Alive() {
				dead++
			}
		}
		if dead > 20 { // systemd would have to find it dead at every look for two minutes
			t.Errorf("dead at %d of 60 looks", dead)
		}
		close(release)
		stop()
	})
}

func TestAScheduleThatDoesNotLookAtSlotsIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, stop := going(t, Job{
			Name: "slow", Interval: 10 * time.Second, Timeout: 9 * time.Second,
			Run:    func(ctx context.Context) { time.Sleep(15 * time.Second) },
			Missed: func() { <-release }, // it should be quick
		})
		time.Sleep(3 * time.Minute)
		if s.Alive() {
			t.Error("alive although it stands still")
		}
		close(release)
		time.Sleep(10 * time.Second)
		if !s.Alive() {
			t.Error("not alive after it went on")
		}
		stop()
	})
}

func TestAScheduleWithoutJobsIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := going(t)
		time.Sleep(time.Hour)
		if !s.Alive() {
			t.Error("not alive for want of work")
		}
		stop()
	})
}
