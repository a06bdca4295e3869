// Package rollups keeps in the registry's database how far rollups were worked out, and which hours are to be worked
// out anew because rows came late. It is kept for each store by itself, so that a collector that is pointed at another
// database skips nothing there, and finds its place again when it is pointed back.
//
// What is written survives a kill of the process when a call returns, and a power cut after the registry's Sync, like
// the accounts of batches that lead to it.
package rollups

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"communewatch/collector/rollup/due"
	"communewatch/collector/sqlite"
)

// Store is the tables of all stores.
type Store struct {
	db   *sqlite.DB
	fail func(doing string, err error) error
}

// New returns the tables of a database that has them. fail wraps an error of the database with what was being done.
func New(db *sqlite.DB, fail func(doing string, err error) error) *Store { return &Store{db, fail} }

// Of returns what is kept for the store called name.
func (s *Store) Of(name string) *Marks { return &Marks{s, name} }

// Marks is what is kept for one store. All methods may be called concurrently.
type Marks struct {
	s    *Store
	name string
}

// portion bounds a transaction, so that those who write meanwhile wait for milliseconds only.
const portion = 2000

func (m *Marks) write(ctx context.Context, doing string, do func(ctx context.Context, c *sql.Conn) error) error {
	err := m.s.db.Write(ctx, do)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return m.s.fail(doing, err)
}

// Frontier is the time before which every hour was worked out once; zero when none was.
func (m *Marks) Frontier(ctx context.Context) (time.Time, error) {
	var ms int64
	err := m.s.db.Read().QueryRowContext(ctx, "SELECT frontier_ms FROM rollup_frontiers WHERE store = ?", m.name).Scan(&ms)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, m.s.fail("read how far rollups are", err)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// SetFrontier says that every hour before t was worked out. The zero time says that none was.
func (m *Marks) SetFrontier(ctx context.Context, t time.Time) error {
	return m.write(ctx, "write down how far rollups are", func(ctx context.Context, c *sql.Conn) (err error) {
		if t.IsZero() {
			_, err = c.ExecContext(ctx, "DELETE FROM rollup_frontiers WHERE store = ?", m.name)
		} else {
			_, err = c.ExecContext(ctx, `INSERT INTO rollup_frontiers (store, frontier_ms) VALUES (?, ?)
				ON CONFLICT DO UPDATE SET frontier_ms = excluded.frontier_ms`, m.name, t.UnixMilli())
		}
		return err
	})
}

// Sites lists the sites that rows came from.
func (m *Marks) Sites(ctx context.Context) ([]string, error) {
	rows, err := m.s.db.Read().QueryContext(ctx, "SELECT site FROM rollup_sites WHERE store = ? ORDER BY site", m.name)
	if err != nil {
		return nil, m.s.fail("read the sites of rollups", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var site string
		if err := rows.Scan(&site); err != nil {
			return nil, m.s.fail("read the sites of rollups", err)
		}
		out = append(out, site)
	}
	if err := rows.Err(); err != nil {
		return nil, m.s.fail("read the sites of rollups", err)
	}
	return out, nil
}

// AddSites adds to what Sites lists.
func (m *Marks) AddSites(ctx context.Context, sites ...string) error {
	if len(sites) == 0 {
		return nil
	}
	return m.write(ctx, "add to the sites of rollups", func(ctx context.Context, c *sql.Conn) error {
		for _, site := range sites {
			if _, err := c.ExecContext(ctx, "INSERT INTO rollup_sites (store, site) VALUES (?, ?) ON CONFLICT DO NOTHING", m.name, site); err != nil {
				return err
			}
		}
		return nil
	})
}

// Due lists the hours to be worked out anew, the oldest first.
func (m *Marks) Due(ctx context.Context) ([]due.Hour, error) {
	rows, err := m.s.db.Read().QueryContext(ctx, "SELECT site, hour_ms, generation FROM rollup_due WHERE store = ? ORDER BY hour_ms, site", m.name)
	if err != nil {
		return nil, m.s.fail("read the hours that are due", err)
	}
	defer rows.Close()
	var out []due.Hour
	for rows.Next() {
		var h due.Hour
		if err := rows.Scan(&h.Site, &h.Start, &h.Generation); err != nil {
			return nil, m.s.fail("read the hours that are due", err)
		}
		out = append(out, h)
	}
	if err := rows.Err(); err != nil {
		return nil, m.s.fail("read the hours that are due", err)
	}
	return out, nil
}

// Mark adds hours to what Due lists. The higher generation stays.
func (m *Marks) Mark(ctx context.Context, hours []due.Hour) error {
	return m.each(ctx, "mark hours as due", hours, `INSERT INTO rollup_due (store, site, hour_ms, generation) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT DO UPDATE SET generation = max(generation, excluded.generation)`)
}

// Unmark takes hours off what Due lists, except those that have got another generation since.
func (m *Marks) Unmark(ctx context.Context, hours []due.Hour) error {
	return m.each(ctx, "mark hours as done", hours, "DELETE FROM rollup_due WHERE store = ?1 AND site = ?2 AND hour_ms = ?3 AND generation = ?4")
}

func (m *Marks) each(ctx context.Context, doing string, hours []due.Hour, query string) error {
	for len(hours) > 0 {
		n := min(len(hours), portion)
		now := hours[:n]
		hours = hours[n:]
		err := m.write(ctx, doing, func(ctx context.Context, c *sql.Conn) error {
			stmt, err := c.PrepareContext(ctx, query)
			if err != nil {
				return err
			}
			defer stmt.Close()
			for _, h := range now {
				if _, err := stmt.ExecContext(ctx, m.name, h.Site, h.Start, h.Generation); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
