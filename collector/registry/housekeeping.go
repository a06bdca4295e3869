package registry

import (
	"context"
	"database/sql"
	"time"
)

// How long things are kept. A replayed batch that is older than its account or clock is taken like a new one; the
// agents' spools and the time-series store keep less than that.
const (
	keepChanges  = 400 * 24 * time.Hour // a year and a month, so that the same season of last year can be looked at
	keepAccounts = 100 * 24 * time.Hour
	keepClocks   = 400 * 24 * time.Hour
)

// How many of the newest are kept of each site, however young, so that neither a check that flaps nor somebody who
// makes up agents and boots with a stolen token can fill the disk.
const (
	changesPerSite  = 50_000
	accountsPerSite = 2_000 // 20 starts a day
	clocksPerSite   = 8_000
)

const (
	// pollTokens is how often another process's changes of tokens are looked for. A revocation is to act within a second.
	pollTokens = 400 * time.Millisecond
	// flushUses is how often the times of last use are written down; they are shown in minutes.
	flushUses = time.Minute
	// pruneEvery is how often old rows are removed, and pruneFirst when for the first time.
	pruneEvery = time.Hour
	pruneFirst = time.Minute
)

// keepHouse does what recurs: polling for changed tokens, writing down their use, removing what is too old.
func (r *Registry) keepHouse(ctx context.Context) {
	poll, flush, prune := time.NewTicker(pollTokens), time.NewTicker(flushUses), time.NewTimer(pruneFirst)
	defer poll.Stop()
	defer flush.Stop()
	defer prune.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			err = r.tokens.load(ctx, r.read)
		case <-flush.C:
			err = r.writeLastUsed(ctx)
		case <-prune.C:
			err = r.prune(ctx)
			prune.Reset(pruneEvery)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Error("registry housekeeping failed", "file", r.path, "err", explain(r.path, err))
		}
	}
}

// prune removes what is older than it is kept. The newest change of everything is kept for ever.
func (r *Registry) prune(ctx context.Context) error {
	before := func(keep time.Duration) int64 { return r.now().Add(-keep).UnixMilli() }
	for _, step := range []struct {
		query string
		args  []any
	}{
		{"DELETE FROM changes WHERE at_ms < ?", []any{before(keepChanges)}},
		{"DELETE FROM accounts WHERE last_ms < ?", []any{before(keepAccounts)}},
		{"DELETE FROM clock_shifts WHERE set_ms < ?", []any{before(keepClocks)}},
		{`DELETE FROM accounts WHERE id IN (SELECT id FROM (
			SELECT id, row_number() OVER (PARTITION BY site ORDER BY last_ms DESC) AS n FROM accounts) WHERE n > ?)`, []any{accountsPerSite}},
		{`DELETE FROM clock_shifts WHERE (site, agent, boot, clock) IN (SELECT site, agent, boot, clock FROM (
			SELECT site, agent, boot, clock, row_number() OVER (PARTITION BY site ORDER BY set_ms DESC) AS n FROM clock_shifts)
			WHERE n > ?)`, []any{clocksPerSite}},
		{`DELETE FROM changes WHERE (site, at_ms) IN (SELECT site, at_ms FROM (
			SELECT site, at_ms, row_number() OVER (PARTITION BY site ORDER BY at_ms DESC) AS n FROM changes
			WHERE site IN (SELECT site FROM changes GROUP BY site HAVING count(*) > ?1)) WHERE n > ?1)`, []any{changesPerSite}},
	} {
		err := r.writer.submit(ctx, job{do: func(ctx context.Context, c *sql.Conn) error {
			_, err := c.ExecContext(ctx, step.query, step.args...)
			return err
		}})
		if err != nil {
			return err
		}
	}
	return r.writer.submit(ctx, job{do: func(context.Context, *sql.Conn) error {
		r.writer.accounts.forget() // some may have been removed
		return nil
	}})
}
