package people

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/registry/record"
)

// Record adds a line to the record; it is on disk when Record returns. Who, Via and Address are those of the context's
// caller where they are empty, At is now where it is zero.
func (s *Store) Record(ctx context.Context, e audit.Entry) error {
	by := record.Behind(ctx)
	return s.told(ctx, "record a change", s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error { return by.Add(ctx, c, s.now(), e) }))
}

// Entries reads the record, newest first.
func (s *Store) Entries(ctx context.Context, f audit.Filter) ([]audit.Entry, error) {
	out, err := record.Entries(ctx, s.db.Read(), f)
	return out, s.told(ctx, "read the record of changes", err)
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
