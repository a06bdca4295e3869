//go:build !linux

package relay

import "time"

// alarm wakes a goroutine at a time, with the precision of the runtime's timers.
type alarm struct {
	timer *time.Timer
	done  chan struct{}
}

func newAlarm() (*alarm, error) {
	return &alarm{timer: time.NewTimer(time.Hour), done: make(chan struct{})}, nil
}

func (a *alarm) set(at time.Time) { a.timer.Reset(time.Until(at)) }

func (a *alarm) wait() bool {
	select {
	case <-a.timer.C:
		return true
	case <-a.done:
		return false
	}
}

func (a *alarm) close() {
	a.timer.Stop()
	close(a.done)
}
