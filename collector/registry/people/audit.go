package people

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"communewatch/collector/audit"
)

// Bounds of an entry's texts.
const (
	maxWho    = 200
	maxAct    = 64
	maxDetail = 4096
)

// write adds a line to the record.
func (s *Store) write(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
	if e.Act == "" {
		return errors.New("a line of the record of changes names no act")
	}
	cut := func(text string, most int) string { return strings.ToValidUTF8(text[:min(len(text), most)], "") }
	at := e.At
	if at.IsZero() {
		at = s.now()
	}
	_, err := c.ExecContext(ctx, "INSERT INTO audit (at_ms, who, via, address, act, what, detail, ok) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		at.UnixMilli(), cut(e.Who, maxWho), cut(e.Via, maxAct), cut(e.Address, maxAct), cut(e.Act, maxAct), cut(e.What, maxWho), cut(e.Detail, maxDetail), e.OK)
	return err
}

// Record adds a line to the record; it is on disk when Record returns. Who, Via and Address are those of the context's
// caller where they are empty, At is now where it is zero.
func (s *Store) Record(ctx context.Context, e audit.Entry) error {
	e = stamp(ctx, &e)
	return s.told(ctx, "record a change", s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error { return s.write(ctx, c, &e) }))
}

// Lengths of an answer.
const (
	standardEntries = 200
	mostEntries     = 10_000
)

// Entries reads the record, newest first.
func (s *Store) Entries(ctx context.Context, f audit.Filter) ([]audit.Entry, error) {
	where, args := "1", []any{}
	and := func(clause string, v any) { where, args = where+" AND "+clause, append(args, v) }
	if !f.From.IsZero() {
		and("at_ms >= ?", f.From.UnixMilli())
	}
	if !f.To.IsZero() {
		and("at_ms < ?", f.To.UnixMilli())
	}
	if f.Who != "" {
		and("who = ?", f.Who)
	}
	if n := len(f.Act); n > 0 && f.Act[n-1] == '.' {
		and("instr(act, ?) = 1", f.Act)
	} else if n > 0 {
		and("act = ?", f.Act)
	}
	if f.Before > 0 {
		and("id < ?", f.Before)
	}
	limit := f.Limit
	if limit <= 0 {
		limit = standardEntries
	}
	rows, err := s.db.Read().QueryContext(ctx, "SELECT id, at_ms, who, via, address, act, what, detail, ok FROM audit WHERE "+where+" ORDER BY id DESC LIMIT ?",
		append(args, min(limit, mostEntries))...)
	if err != nil {
		return nil, s.told(ctx, "read the record of changes", err)
	}
	defer rows.Close()
	out := []audit.Entry{}
	for rows.Next() {
		var e audit.Entry
		var at int64
		if err := rows.Scan(&e.ID, &at, &e.Who, &e.Via, &e.Address, &e.Act, &e.What, &e.Detail, &e.OK); err != nil {
			return nil, s.told(ctx, "read the record of changes", err)
		}
		e.At = time.UnixMilli(at).UTC()
		out = append(out, e)
	}
	return out, s.told(ctx, "read the record of changes", rows.Err())
}

// How long what has ended is kept: so long somebody may ask what it was.
const (
	keepSessions = 100 * 24 * time.Hour
	keepLinks    = 30 * 24 * time.Hour
	pruneRows    = 2000
)

// Prune removes what nobody needs any more: old sessions and links, and what of the record is older than keep.
func (s *Store) Prune(ctx context.Context, keep time.Duration) error {
	now := s.now()
	for {
		var removed int64
		err := s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
			removed = 0
			// The bound only rises: a clock that is set back, or a setting that was mistyped and mended, opens nothing.
			if _, err := c.ExecContext(ctx, "UPDATE audit_kept SET from_ms = max(from_ms, ?)", now.Add(-keep).UnixMilli()); err != nil {
				return err
			}
			for _, q := range []struct {
				query string
				until time.Time
			}{
				{"DELETE FROM people_sessions WHERE hash IN (SELECT hash FROM people_sessions WHERE seen_ms < ? LIMIT %d)", now.Add(-keepSessions)},
				{"DELETE FROM people_links WHERE hash IN (SELECT hash FROM people_links WHERE expires_ms < ? LIMIT %d)", now.Add(-keepLinks)},
				{"DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at_ms < ? LIMIT %d)", now.Add(-keep)},
			} {
				result, err := c.ExecContext(ctx, fmt.Sprintf(q.query, pruneRows), q.until.UnixMilli())
				if err != nil {
					return err
				}
				n, err := result.RowsAffected()
				if err != nil {
					return err
				}
				removed = max(removed, n)
			}
			return nil
		})
		if err != nil || removed < pruneRows {
			return s.told(ctx, "remove old sessions", err)
		}
	}
}
