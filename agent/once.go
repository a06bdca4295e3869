package agent

import (
	"context"

	"communewatch/agent/schedule"

	"golang.org/x/sync/errgroup"
)

// onceLimit is how many checks Once runs at the same time: enough that a person need not wait long, few enough that
// the checks don't measure each other.
const onceLimit = 8

// Once runs every check of a config once, now and without spool or collector, and returns the results in the config's
// order. Where the agent has work, as it was kept on disk, it is the checks of that.
func Once(ctx context.Context, cfg Config, o Options) ([]schedule.Result, error) {
	a, err := New(cfg, o)
	if err != nil {
		return nil, err
	}
	if a.given != nil {
		a.given.Restore()
	}
	checks := a.current().Checks
	results := make([]schedule.Result, len(checks))
	var runs errgroup.Group
	runs.SetLimit(onceLimit)
	for i, c := range checks {
		runs.Go(func() error {
			results[i] = a.maker.Runner.Run(ctx, c)
			return nil
		})
	}
	_ = runs.Wait()
	return results, nil
}
