package devices

import (
	"context"
	"database/sql"
	"time"
)

// How long things are kept that nobody spoke of. Devices with a serial number, a purchase or a word of a person stay
// for ever: a document may name them. The others are passing laptops and what a sweep saw of a neighbour.
const (
	keepNameless  = 400 * 24 * time.Hour
	keepSightings = 3 * 365 * 24 * time.Hour
	pruneRows     = 500 // of one transaction, so that others wait for milliseconds only
)

// Prune removes what is too old. It is to be called now and then.
func (s *Store) Prune(ctx context.Context) error {
	now := s.now()
	for _, old := range []struct {
		query  string
		before int64
	}{
		{`DELETE FROM devices WHERE id IN (SELECT id FROM devices WHERE last_ms > 0 AND last_ms < ?1
			AND NOT EXISTS (SELECT 1 FROM device_facts f WHERE f.device = devices.id AND f.fact = 'serial')
			AND NOT EXISTS (SELECT 1 FROM device_statements t WHERE t.device = devices.id)
			AND NOT EXISTS (SELECT 1 FROM device_tickets t WHERE t.device = devices.id)
			AND NOT EXISTS (SELECT 1 FROM purchase_links l WHERE l.device = devices.id)
			AND NOT EXISTS (SELECT 1 FROM device_aliases a WHERE a.became = devices.id) LIMIT ?2)`, now.Add(-keepNameless).UnixMilli()},
		// A check that sees a device no more, of a device that others see.
		{`DELETE FROM device_sightings WHERE id IN (SELECT id FROM device_sightings g WHERE last_ms < ?1
			AND EXISTS (SELECT 1 FROM device_sightings o WHERE o.device = g.device AND o.last_ms >= ?1) LIMIT ?2)`, now.Add(-keepSightings).UnixMilli()},
		{`DELETE FROM device_facts WHERE NOT EXISTS (SELECT 1 FROM device_sightings g WHERE g.id = device_facts.sighting)
			AND to_ms < ?1 AND ?2 > 0`, now.Add(-keepSightings).UnixMilli()},
	} {
		for more := true; more; {
			err := s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
				result, err := c.ExecContext(ctx, old.query, old.before, pruneRows)
				if err != nil {
					return err
				}
				n, err := result.RowsAffected()
				if err != nil || n == 0 {
					more = false
					return err
				}
				more = n == pruneRows
				return forget(ctx, c)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// forget makes everybody read all devices again: what was removed has no revision that would tell.
func forget(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, "UPDATE device_revision SET revision = revision + 1, removed = revision + 1, stamp = random()")
	return err
}
