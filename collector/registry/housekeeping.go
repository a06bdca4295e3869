package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	// pollTokens is how often another process's changes of tokens and agents are looked for. A revocation is to act within a second.
	pollTokens = 400 * time.Millisecond
	// flushUses is how often the times of last use are written down; they are shown in minutes.
	flushUses = time.Minute
	// pruneEvery is how often old rows are removed, and pruneFirst when for the first time.
	pruneEvery = time.Hour
	pruneFirst = time.Minute
	// pruneRows bounds one removal, so that those who write meanwhile wait for milliseconds only.
	pruneRows = 2000
)

// keep runs do after first and then again and again until ctx ends. It logs when do begins to fail, not each time.
func (r *Registry) keep(ctx context.Context, doing string, first, every time.Duration, do func(context.Context) error) {
	timer := time.NewTimer(first)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := do(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			r.log.Error("registry housekeeping fails", "doing", doing, "file", r.path, "err", r.db.Explain(err))
		} else if err == nil && failing {
			r.log.Info("registry housekeeping works again", "doing", doing, "file", r.path)
		}
		failing = err != nil
		timer.Reset(every)
	}
}

// prune removes what is older than it is kept, and more than a site may have. The newest change of everything is
// kept for ever.
func (r *Registry) prune(ctx context.Context) error {
	if err := errors.Join(r.devices.Prune(ctx), r.rehearsals.Prune(ctx), r.lines.Prune(ctx), r.agents.Prune(ctx)); err != nil {
		return err
	}
	for _, t := range []struct {
		table, key, time string
		keep             time.Duration
		perSite          int
	}{
		{"changes", "site, at_ms, layer, check_name", "at_ms", keepChanges, changesPerSite},
		{"accounts", "site, agent, boot", "last_ms", keepAccounts, accountsPerSite},
		{"clock_shifts", "site, agent, boot, clock", "set_ms", keepClocks, clocksPerSite},
	} {
		remove := func(where string, args ...any) error {
			return r.remove(ctx, fmt.Sprintf("DELETE FROM %s WHERE (%s) IN (SELECT %s FROM %s WHERE %s LIMIT %d)",
				t.table, t.key, t.key, t.table, where, pruneRows), args...)
		}
		if err := remove(t.time+" < ?", r.now().Add(-t.keep).UnixMilli()); err != nil {
			return err
		}
		crowded, err := r.crowded(ctx, t.table, t.perSite)
		if err != nil {
			return err
		}
		for _, site := range crowded {
			err := remove(fmt.Sprintf("site = ?1 AND %s < (SELECT %s FROM %s WHERE site = ?1 ORDER BY %s DESC LIMIT 1 OFFSET ?2)",
				t.time, t.time, t.table, t.time), site, t.perSite-1)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// crowded returns the sites that have more rows in a table than they may. It reads beside the writer.
func (r *Registry) crowded(ctx context.Context, table string, perSite int) ([]string, error) {
	rows, err := r.read.QueryContext(ctx, "SELECT site FROM "+table+" GROUP BY site HAVING count(*) > ?", perSite)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var sites []string
	for rows.Next() {
		var site string
		if err := rows.Scan(&site); err != nil {
			return nil, err
		}
		sites = append(sites, site)
	}
	return sites, rows.Err()
}

// remove runs a bounded DELETE until there is nothing left to remove, each time in a transaction of its own.
func (r *Registry) remove(ctx context.Context, query string, args ...any) error {
	for {
		var removed int64
		err := r.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
			result, err := c.ExecContext(ctx, query, args...)
			if err != nil {
				return err
			}
			r.accounts.Forget() // some of them may be gone
			removed, err = result.RowsAffected()
			return err
		})
		if err != nil || removed < pruneRows {
			return err
		}
	}
}
