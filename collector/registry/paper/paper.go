package paper

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"communewatch/collector/registry/devices"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/purchases"
)

// Store is the tables of documents. All methods may be called concurrently.
type Store struct{ d *devices.Store }

// New returns the documents beside devices.
func New(d *devices.Store) *Store { return &Store{d} }

// Phase is a purchase phase as it was imported.
type Phase struct {
	Name     string
	File     string
	Imported time.Time
	By       string
}

// Link is what a person said of a piece and a device.
type Link struct {
	Unit   string // purchases.Purchase.ID
	Device devices.ID
	Not    bool // they are not the same
	Source string
	By     string
	At     time.Time
}

// Paper is what is known from documents rather than from the network.
type Paper struct {
	Others    int64 // rises with every change of it
	Phases    []Phase
	Units     []purchases.Purchase // by phase, then id
	Links     []Link
	Catalogue []lifecycle.Row // local rows in force; ID "local-7", By and the rest as entered
	Offices   []Office        // what is said of offices and in force, by site and name
}

// Read returns what is known from documents.
func (s *Store) Read(ctx context.Context) (Paper, error) {
	var p Paper
	err := s.d.Snapshot(ctx, "read purchases", func(tx devices.Querier) (err error) {
		if err = devices.Each(ctx, tx, "SELECT others FROM device_revision", func(r *sql.Rows) error { return r.Scan(&p.Others) }); err != nil {
			return err
		}
		if err = devices.Each(ctx, tx, "SELECT name, file, imported_ms, imported_by FROM purchase_phases ORDER BY name", func(r *sql.Rows) error {
			var ph Phase
			var at int64
			err := r.Scan(&ph.Name, &ph.File, &at, &ph.By)
			ph.Imported = devices.Time(at)
			p.Phases = append(p.Phases, ph)
			return err
		}); err != nil {
			return err
		}
		if p.Units, err = units(ctx, tx, ""); err != nil {
			return err
		}
		if err = devices.Each(ctx, tx, "SELECT unit, device, denied, source, said_by, at_ms FROM purchase_links ORDER BY unit, device", func(r *sql.Rows) error {
			var l Link
			var at int64
			err := r.Scan(&l.Unit, &l.Device, &l.Not, &l.Source, &l.By, &at)
			l.At = devices.Time(at)
			p.Links = append(p.Links, l)
			return err
		}); err != nil {
			return err
		}
		if p.Catalogue, err = localRows(ctx, tx); err != nil {
			return err
		}
		p.Offices, err = offices(ctx, tx)
		return err
	})
	if err != nil {
		return Paper{}, err
	}
	return p, nil
}

// units reads the pieces of a phase, or of all (""), by phase and id.
func units(ctx context.Context, q devices.Querier, phase string) ([]purchases.Purchase, error) {
	var out []purchases.Purchase
	err := devices.Each(ctx, q, "SELECT id, unit FROM purchase_units WHERE ?1 = '' OR phase = ?1 ORDER BY phase, id", func(r *sql.Rows) error {
		var id, text string
		if err := r.Scan(&id, &text); err != nil {
			return err
		}
		var u purchases.Purchase
		if err := json.Unmarshal([]byte(text), &u); err != nil {
			return fmt.Errorf("piece %s: %w", id, err)
		}
		out = append(out, u)
		return nil
	}, phase)
	return out, err
}

// text is a value as it is kept.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs always marshal
	}
	return string(b)
}

// SetLink says that a bought piece is a device, or with Not that it is not. Unit, Device, Not, Source and By are the
// caller's. A piece is one device at most and the other way round, so a new device replaces the one that was said of
// the piece before, and a device that is another piece already is a mistake.
func (s *Store) SetLink(ctx context.Context, l Link) error {
	if err := errors.Join(devices.CheckText("the source document", l.Source, false), devices.CheckText("who says it", l.By, false)); err != nil {
		return err
	}
	now := s.d.Now()
	return s.d.Change(ctx, "link a purchase", func(ctx context.Context, c *devices.Tx) error {
		if err := hasUnit(ctx, c, l.Unit); err != nil {
			return err
		}
		device, err := c.Existing(ctx, l.Device)
		if err != nil {
			return err
		}
		before, err := linkText(ctx, c, l.Unit)
		if err != nil {
			return err
		}
		after := device.String()
		if l.Not {
			after = "not " + after
		} else {
			taken := ""
			if err := devices.Each(ctx, c, "SELECT unit FROM purchase_links WHERE device = ? AND unit <> ? AND denied = 0", func(r *sql.Rows) error { return r.Scan(&taken) }, int64(device), l.Unit); err != nil {
				return err
			}
			if taken != "" {
				return devices.Mistakef("%v is the piece %s already; take that back first with: communewatch-collector inventory unlink --purchase %s --by NAME", device, taken, taken)
			}
			if _, err := c.ExecContext(ctx, "DELETE FROM purchase_links WHERE unit = ? AND denied = 0", l.Unit); err != nil {
				return err
			}
		}
		if _, err := c.ExecContext(ctx, `INSERT INTO purchase_links (unit, device, denied, source, said_by, at_ms) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET denied = excluded.denied, source = excluded.source, said_by = excluded.said_by, at_ms = excluded.at_ms`,
			l.Unit, int64(device), l.Not, l.Source, l.By, devices.Millis(now)); err != nil {
			return err
		}
		if err := c.Audit(ctx, devices.Audit{At: now, By: l.By, Action: "link purchase", Object: l.Unit, Before: before, After: after + " (" + l.Source + ")"}); err != nil {
			return err
		}
		return c.PaperChanged(ctx)
	})
}

// RemoveLinks takes back all that was said of which device a piece is; devices.ErrUnknown when nothing was.
func (s *Store) RemoveLinks(ctx context.Context, unit, by string) error {
	if err := devices.CheckText("who takes it back", by, false); err != nil {
		return err
	}
	now := s.d.Now()
	return s.d.Change(ctx, "unlink a purchase", func(ctx context.Context, c *devices.Tx) error {
		before, err := linkText(ctx, c, unit)
		if err != nil {
			return err
		}
		if before == "" {
			return devices.ErrUnknown
		}
		if _, err := c.ExecContext(ctx, "DELETE FROM purchase_links WHERE unit = ?", unit); err != nil {
			return err
		}
		if err := c.Audit(ctx, devices.Audit{At: now, By: by, Action: "unlink purchase", Object: unit, Before: before}); err != nil {
			return err
		}
		return c.PaperChanged(ctx)
	})
}

func hasUnit(ctx context.Context, c *devices.Tx, unit string) error {
	found := false
	err := devices.Each(ctx, c, "SELECT 1 FROM purchase_units WHERE id = ?", func(*sql.Rows) error { found = true; return nil }, unit)
	if err == nil && !found {
		err = devices.ErrUnknown
	}
	return err
}

// linkText is what is said of a piece, for the audit.
func linkText(ctx context.Context, c *devices.Tx, unit string) (string, error) {
	var said []string
	err := devices.Each(ctx, c, "SELECT device, denied, source FROM purchase_links WHERE unit = ? ORDER BY device", func(r *sql.Rows) error {
		var d devices.ID
		var not bool
		var source string
		err := r.Scan(&d, &not, &source)
		text := d.String() + " (" + source + ")"
		if not {
			text = "not " + text
		}
		said = append(said, text)
		return err
	}, unit)
	return strings.Join(said, ", "), err
}

func localRows(ctx context.Context, q devices.Querier) ([]lifecycle.Row, error) {
	var out []lifecycle.Row
	err := devices.Each(ctx, q, "SELECT id, row, said_by FROM catalogue_rows WHERE retired_ms IS NULL ORDER BY id", func(r *sql.Rows) error {
		var id int64
		var text, by string
		if err := r.Scan(&id, &text, &by); err != nil {
			return err
		}
		var row lifecycle.Row
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			return fmt.Errorf("local catalogue row %d: %w", id, err)
		}
		row.ID = fmt.Sprintf("local-%d", id)
		if row.By == "" {
			row.By = by
		}
		out = append(out, row)
		return nil
	})
	return out, err
}

// maxLocalRows bounds the local catalogue.
const maxLocalRows = 20_000

// AddCatalogueRows adds local rows, all or none, and returns the ids they get; a row that is in force already is left
// out. They must have been checked.
func (s *Store) AddCatalogueRows(ctx context.Context, rows []lifecycle.Row, by string) ([]string, error) {
	if err := devices.CheckText("who adds it", by, false); err != nil {
		return nil, err
	}
	now := s.d.Now()
	var ids []string
	err := s.d.Change(ctx, "add catalogue rows", func(ctx context.Context, c *devices.Tx) error {
		there, err := localRows(ctx, c)
		if err != nil {
			return err
		}
		if len(there)+len(rows) > maxLocalRows {
			return devices.Mistakef("there would be %d local rows, more than %d", len(there)+len(rows), maxLocalRows)
		}
		ids = nil
		inForce := map[string]bool{}
		content := func(row lifecycle.Row) string {
			row.ID, row.Line = "", 0
			return text(row)
		}
		for _, row := range there {
			inForce[content(row)] = true
		}
		for _, row := range rows {
			if row.By == "" {
				row.By = by
			}
			if inForce[content(row)] {
				continue
			}
			inForce[content(row)] = true
			result, err := c.ExecContext(ctx, "INSERT INTO catalogue_rows (row, said_by, at_ms) VALUES (?, ?, ?)", content(row), by, devices.Millis(now))
			if err != nil {
				return err
			}
			n, err := result.LastInsertId()
			if err != nil {
				return err
			}
			id := fmt.Sprintf("local-%d", n)
			ids = append(ids, id)
			if err := c.Audit(ctx, devices.Audit{At: now, By: by, Action: "add catalogue row", Object: id, After: row.Vendor + " " + row.Pattern + " (" + row.Source + ")"}); err != nil {
				return err
			}
		}
		return c.PaperChanged(ctx)
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// RetireCatalogueRow takes a local row ("local-7") out of force; devices.ErrUnknown when it is not in force.
func (s *Store) RetireCatalogueRow(ctx context.Context, id, by string) error {
	if err := devices.CheckText("who retires it", by, false); err != nil {
		return err
	}
	now := s.d.Now()
	return s.d.Change(ctx, "retire a catalogue row", func(ctx context.Context, c *devices.Tx) error {
		result, err := c.ExecContext(ctx, "UPDATE catalogue_rows SET retired_ms = ? WHERE 'local-' || id = ? AND retired_ms IS NULL", devices.Millis(now), id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, devices.ErrUnknown)
		}
		if err := c.Audit(ctx, devices.Audit{At: now, By: by, Action: "retire catalogue row", Object: id}); err != nil {
			return err
		}
		return c.PaperChanged(ctx)
	})
}
