package lines

import (
	"context"
	"database/sql"
	"time"

	"communewatch/collector/reports"
)

const (
	// keepAbsences is as long as reports reach back.
	keepAbsences = 5*366*24*time.Hour + 31*24*time.Hour
	// absencesPerAgent bounds what somebody who makes up starts can fill the disk with: ten a day for five years.
	absencesPerAgent = 20_000
	// agentsPerSite is how many agents of a site are remembered.
	agentsPerSite = 200
	pruneRows     = 2000
)

// Ran takes in that an agent ran from from to to but for the gaps in between, which are in order of time. What was kept
// of that stretch before is replaced.
func (s *Store) Ran(ctx context.Context, site, agent string, from, to time.Time, gaps []reports.Span) error {
	begin, end := from.UnixMilli(), to.UnixMilli()
	if end < begin {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
		if known, err := known(ctx, c, site, agent, begin, end); err != nil || !known {
			return err
		}
		var kept [][2]int64
		err := each(ctx, c, func(r *sql.Rows) error {
			var a [2]int64
			err := r.Scan(&a[0], &a[1])
			kept = append(kept, a)
			return err
		}, "SELECT from_ms, to_ms FROM agent_absences WHERE site = ? AND agent = ? AND from_ms < ? AND to_ms > ?", site, agent, end, begin)
		if err != nil {
			return err
		}
		var write [][2]int64
		for _, a := range kept {
			if _, err := c.ExecContext(ctx, "DELETE FROM agent_absences WHERE site = ? AND agent = ? AND from_ms = ?", site, agent, a[0]); err != nil {
				return err
			}
			if a[0] < begin {
				write = append(write, [2]int64{a[0], begin})
			}
			if a[1] > end {
				write = append(write, [2]int64{end, a[1]})
			}
		}
		for _, g := range gaps {
			write = append(write, [2]int64{g.From.UnixMilli(), g.To.UnixMilli()})
		}
		for _, a := range write {
			if _, err := c.ExecContext(ctx, `INSERT INTO agent_absences (site, agent, from_ms, to_ms) VALUES (?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET to_ms = excluded.to_ms`, site, agent, a[0], a[1]); err != nil {
				return err
			}
		}
		return nil
	})
	return s.wrote(ctx, "keep when an agent ran", err)
}

// known remembers that an agent was there, and reports whether it is remembered: names can be made up.
func known(ctx context.Context, c *sql.Conn, site, agent string, begin, end int64) (bool, error) {
	var others int
	if err := c.QueryRowContext(ctx, "SELECT count(*) FROM agent_lives WHERE site = ? AND agent <> ?", site, agent).Scan(&others); err != nil || others >= agentsPerSite {
		return false, err
	}
	_, err := c.ExecContext(ctx, `INSERT INTO agent_lives (site, agent, first_ms, last_ms) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)
		WHERE excluded.first_ms < first_ms OR excluded.last_ms > last_ms`, site, agent, begin, end)
	return err == nil, err
}

// Off returns when no agent of a site was running, by site, in order of time: all its agents that are known to have
// existed at the time were absent. Sites that always ran are left out.
func (s *Store) Off(ctx context.Context, from, to time.Time) (map[string][]reports.Span, error) {
	type life struct {
		first, last int64
		absent      []reports.Span
	}
	sites := map[string]map[string]*life{}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // of the same moment
	if err != nil {
		return nil, s.fail("read when agents ran", err)
	}
	defer tx.Rollback()
	err = each(ctx, tx, func(r *sql.Rows) error {
		var site, agent string
		var l life
		if err := r.Scan(&site, &agent, &l.first, &l.last); err != nil {
			return err
		}
		if sites[site] == nil {
			sites[site] = map[string]*life{}
		}
		sites[site][agent] = &l
		return nil
	}, "SELECT site, agent, first_ms, last_ms FROM agent_lives")
	if err == nil {
		err = each(ctx, tx, func(r *sql.Rows) error {
			var site, agent string
			var begin, end int64
			if err := r.Scan(&site, &agent, &begin, &end); err != nil {
				return err
			}
			if l := sites[site][agent]; l != nil {
				l.absent = append(l.absent, reports.Span{From: time.UnixMilli(begin).UTC(), To: time.UnixMilli(end).UTC()})
			}
			return nil
		}, "SELECT site, agent, from_ms, to_ms FROM agent_absences WHERE to_ms > ? AND from_ms < ? ORDER BY site, agent, from_ms", from.UnixMilli(), to.UnixMilli())
	}
	if err != nil {
		return nil, s.fail("read when agents ran", err)
	}
	out := map[string][]reports.Span{}
	for site, agents := range sites {
		off, anybody := []reports.Span{{From: from, To: to}}, false
		for _, l := range agents {
			first, last := time.UnixMilli(l.first).UTC(), time.UnixMilli(l.last).UTC()
			anybody = anybody || len(l.absent) > 0
			// Before its first report and after its last one an agent says nothing of whether others were off.
			free := append(append([]reports.Span{{From: from, To: first}}, l.absent...), reports.Span{From: last, To: to})
			off = reports.Common(off, reports.Union(free))
		}
		if !anybody {
			continue
		}
		// Where no agent existed nobody was off.
		var lived []reports.Span
		for _, l := range agents {
			lived = append(lived, reports.Span{From: time.UnixMilli(l.first).UTC(), To: time.UnixMilli(l.last).UTC()})
		}
		if off = reports.Common(off, reports.Union(lived)); len(off) > 0 {
			out[site] = off
		}
	}
	return out, nil
}

// Prune removes absences that are older than reports reach, and those of an agent that has too many.
func (s *Store) Prune(ctx context.Context) error {
	oldest := s.now().Add(-keepAbsences).UnixMilli()
	return s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
		for _, q := range []struct {
			text string
			args []any
		}{
			{"DELETE FROM agent_absences WHERE (site, agent, from_ms) IN (SELECT site, agent, from_ms FROM agent_absences WHERE to_ms < ? LIMIT ?)", []any{oldest, pruneRows}},
			{"DELETE FROM agent_lives WHERE last_ms < ?", []any{oldest}},
			{`DELETE FROM agent_absences WHERE (site, agent, from_ms) IN (SELECT a.site, a.agent, a.from_ms FROM agent_absences a JOIN
				(SELECT site, agent, from_ms, row_number() OVER (PARTITION BY site, agent ORDER BY from_ms DESC) AS n FROM agent_absences) o
				USING (site, agent, from_ms) WHERE o.n > ? LIMIT ?)`, []any{absencesPerAgent, pruneRows}},
		} {
			if _, err := c.ExecContext(ctx, q.text, q.args...); err != nil {
				return err
			}
		}
		return nil
	})
}
