package lines_test

import (
	"fmt"
	"testing"
	"time"
)

// verdict collects what is wrong with one attempt at a test.
type verdict struct{ problems []string }

func (v *verdict) Errorf(format string, args ...any) {
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

const (
	// calmLateness is how late a program that wants to run every 10 ms may be before the machine is too busy to be
	// measured on.
	calmLateness = 60 * time.Millisecond
	calmTries    = 5
)

// onCalmMachine runs an attempt at a test, and another one if it fails while the machine stood still: these tests
// compare with clocks and paces that no program keeps on a machine that does not let it run. That it stood still is
// measured beside the test, so what fails on a calm machine fails at once.
func onCalmMachine(t *testing.T, attempt func(v *verdict)) {
	t.Helper()
	for try := 1; ; try++ {
		var v verdict
		late := lateness()
		attempt(&v)
		worst := late()
		if len(v.problems) == 0 {
			return
		}
		if worst < calmLateness || try == calmTries {
			for _, p := range v.problems {
				t.Error(p)
			}
			t.Logf("attempt %d; the machine was late by up to %v", try, worst)
			return
		}
		t.Logf("attempt %d does not count, the machine was late by up to %v: %q", try, worst, v.problems)
	}
}

// lateness begins to watch how late a goroutine gets to run; the function returned ends it and says how late it was
// at worst.
func lateness() (stop func() time.Duration) {
	quit, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		const pace = 10 * time.Millisecond
		var most time.Duration
		last := time.Now()
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				worst <- max(most, time.Since(last)-pace)
				return
			case <-ticker.C:
				most = max(most, time.Since(last)-pace)
				last = time.Now()
			}
		}
	}()
	return func() time.Duration {
		close(quit)
		return <-worst
	}
}
