package update_test

import (
	"context"
	"testing"

	"communewatch/agent/update"
	"communewatch/agent/update/course"
	"communewatch/agent/update/launch"
	"communewatch/probes/release"
)

// TestAnAgentThatFailsDoesNotTakeItsStartBack: or a release whose delivery fails at once would be started for ever.
func TestAnAgentThatFailsDoesNotTakeItsStartBack(t *testing.T) {
	for name, c := range map[string]struct {
		why  error
		left int // starts that count
	}{"fails": {update.ErrFailing, 1}, "is stopped": {nil, 0}} {
		dir := t.TempDir()
		file := course.File{Dir: dir}
		v := release.Version{Major: 1, Minor: 1}
		if _, err := file.Change(func(s course.State) (course.State, error) {
			s.Trial = &course.Trial{Release: course.Release{Version: v}, Starts: 1}
			return s, nil
		}); err != nil {
			t.Fatal(err)
		}
		u := update.New(update.Options{Dir: dir, Launched: launch.Launched{Release: "1.1.0"}, Healthy: func() bool { return false }})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(c.why)
		if err := u.Run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s, err := file.Load(); err != nil || s.Trial == nil || s.Trial.Starts != c.left {
			t.Errorf("%s: %+v, %v", name, s.Trial, err)
		}
	}
}
