package devices

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/audit"
	"communewatch/collector/registry/record"
	"communewatch/inventory"
)

// Statement is something that a person said of a device, with the document it rests on.
type Statement struct {
	ID     int64
	Device ID
	Name   string // a fact (probes.FactName), or another name that package stock knows
	Value  string
	Source string // the document
	By     string
	At     time.Time
}

// Ticket is a failure, a repair, or a quote for one.
type Ticket struct {
	ID     int64
	Device ID
	Day    inventory.Date
	Kind   string // "failure", "repair", "quote"
	Cost   int64  // VND; 0: unknown
	Note   string
	By     string
	At     time.Time
}

// TicketKinds lists the kinds of ticket.
func TicketKinds() []string { return []string{"failure", "repair", "quote"} }

const (
	statementColumns = "p.id, name, value, source, said_by, at_ms, withdrawn_ms IS NULL"
	ticketColumns    = "p.id, day, kind, cost, note, said_by, at_ms"
)

func scanStatement(rows *sql.Rows) (st Statement, inForce bool, err error) {
	var at int64
	err = rows.Scan(&st.Device, &st.ID, &st.Name, &st.Value, &st.Source, &st.By, &at, &inForce)
	st.At = Time(at)
	return st, inForce, err
}

func scanTicket(rows *sql.Rows) (Ticket, error) {
	var t Ticket
	var day string
	var at int64
	if err := rows.Scan(&t.Device, &t.ID, &day, &t.Kind, &t.Cost, &t.Note, &t.By, &at); err != nil {
		return t, err
	}
	t.At = Time(at)
	var err error
	t.Day, err = inventory.ParseDate(day)
	return t, err
}

// CheckText says what is wrong with a text that a person gave.
func CheckText(what, s string, empty bool) error {
	switch {
	case strings.TrimSpace(s) == "" && !empty:
		return Mistakef("%s is empty; it is needed to know later what this rests on", what)
	case len(s) > maxText:
		return Mistakef("%s is longer than %d bytes", what, maxText)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return Mistakef("%s has unreadable characters; write plain text in one line", what)
	}
	return nil
}

// Say writes a statement down. Device, Name, Value, Source and By are the caller's. A device that became another one
// is followed.
func (s *Store) Say(ctx context.Context, st Statement) (Statement, error) {
	if err := errors.Join(CheckText("the name", st.Name, false), CheckText("the value", st.Value, false),
		CheckText("the source document", st.Source, false), CheckText("who says it", st.By, false)); err != nil {
		return Statement{}, err
	}
	st.At = s.now().UTC().Truncate(time.Millisecond)
	var made Statement
	err := s.Change(ctx, "write a statement down", func(ctx context.Context, c *Tx) error {
		made = st
		var err error
		if made.Device, err = c.Existing(ctx, st.Device); err != nil {
			return err
		}
		before, err := inForce(ctx, c, made.Device, st.Name)
		if err != nil {
			return err
		}
		result, err := c.ExecContext(ctx, `INSERT INTO device_statements (device, name, value, source, said_by, at_ms)
			VALUES (?, ?, ?, ?, ?, ?)`, int64(made.Device), st.Name, st.Value, st.Source, st.By, Millis(st.At))
		if err != nil {
			return err
		}
		if made.ID, err = result.LastInsertId(); err != nil {
			return err
		}
		if err := c.Audit(ctx, Audit{At: st.At, By: st.By, Action: "say " + st.Name, Object: made.Device.String(), Before: before, After: st.Value + " (" + st.Source + ")"}); err != nil {
			return err
		}
		return touch(ctx, c.c, made.Device)
	})
	if err != nil {
		return Statement{}, err
	}
	return made, nil
}

func inForce(ctx context.Context, c Querier, device ID, name string) (value string, err error) {
	err = Each(ctx, c, `SELECT value FROM device_statements WHERE device = ? AND name = ? AND withdrawn_ms IS NULL
		ORDER BY at_ms DESC, id DESC LIMIT 1`, func(rows *sql.Rows) error { return rows.Scan(&value) }, int64(device), name)
	return value, err
}

// Withdraw takes back all that is in force of a name; ErrUnknown when nothing is.
func (s *Store) Withdraw(ctx context.Context, device ID, name, by string) error {
	if err := CheckText("who withdraws it", by, false); err != nil {
		return err
	}
	now := s.now()
	return s.Change(ctx, "withdraw a statement", func(ctx context.Context, c *Tx) error {
		device, err := c.Existing(ctx, device)
		if err != nil {
			return err
		}
		before, err := inForce(ctx, c, device, name)
		if err != nil {
			return err
		}
		result, err := c.ExecContext(ctx, `UPDATE device_statements SET withdrawn_ms = ?, withdrawn_by = ?
			WHERE device = ? AND name = ? AND withdrawn_ms IS NULL`, Millis(now), by, int64(device), name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrUnknown)
		}
		if err := c.Audit(ctx, Audit{At: now, By: by, Action: "withdraw " + name, Object: device.String(), Before: before}); err != nil {
			return err
		}
		return touch(ctx, c.c, device)
	})
}

// Bounds of what a ticket says: less is a cost in thousands of VND, more that of a whole purchase. Where tickets are
// written it may be the next day already.
const (
	minCost, maxCost = 1000, 20_000_000_000
	dayAhead         = 14 * time.Hour
)

// AddTicket writes a failure, a repair or a quote down. Device, Day, Kind, Cost, Note and By are the caller's.
func (s *Store) AddTicket(ctx context.Context, t Ticket) (Ticket, error) {
	kind := Mistakef("%q is no kind of ticket; use %s", t.Kind, strings.Join(TicketKinds(), ", "))
	for _, k := range TicketKinds() {
		if t.Kind == k {
			kind = nil
		}
	}
	var day, cost error
	switch {
	case t.Day.IsZero():
		day = Mistakef("a ticket needs its day")
	case t.Day.After(s.now().Add(dayAhead)):
		day = Mistakef("%s is yet to come; write the day that it happened", t.Day)
	}
	if t.Cost != 0 && (t.Cost < minCost || t.Cost > maxCost) {
		cost = Mistakef("%d is no cost of a repair, which is from %d to %d; write whole VND, such as 2500000, or leave it out", t.Cost, minCost, maxCost)
	}
	if err := errors.Join(kind, day, cost, CheckText("the note", t.Note, true), CheckText("who says it", t.By, false)); err != nil {
		return Ticket{}, err
	}
	t.At = s.now().UTC().Truncate(time.Millisecond)
	var made Ticket
	err := s.Change(ctx, "write a ticket down", func(ctx context.Context, c *Tx) error {
		made = t
		var err error
		if made.Device, err = c.Existing(ctx, t.Device); err != nil {
			return err
		}
		result, err := c.ExecContext(ctx, `INSERT INTO device_tickets (device, day, kind, cost, note, said_by, at_ms)
			VALUES (?, ?, ?, ?, ?, ?, ?)`, int64(made.Device), t.Day.String(), t.Kind, t.Cost, t.Note, t.By, Millis(t.At))
		if err != nil {
			return err
		}
		if made.ID, err = result.LastInsertId(); err != nil {
			return err
		}
		if err := c.Audit(ctx, Audit{At: t.At, By: t.By, Action: "ticket " + t.Kind, Object: made.Device.String(), After: t.Day.String() + " " + t.Note}); err != nil {
			return err
		}
		return touch(ctx, c.c, made.Device)
	})
	if err != nil {
		return Ticket{}, err
	}
	return made, nil
}

// Add makes a device that no probe has seen, such as one on paper only. By says who and Source why.
func (s *Store) Add(ctx context.Context, site, source, by string) (ID, error) {
	if err := errors.Join(CheckText("the site", site, false), CheckText("the source document", source, false), CheckText("who says it", by, false)); err != nil {
		return 0, err
	}
	var id ID
	err := s.Change(ctx, "add a device", func(ctx context.Context, c *Tx) error {
		known := false
		if err := Each(ctx, c, "SELECT 1 FROM sites WHERE id = ?", func(*sql.Rows) error { known = true; return nil }, site); err != nil {
			return err
		}
		if !known {
			return Mistakef("site %s is not in the registry; import it first with: communewatch-collector sites import FILE", site)
		}
		result, err := c.ExecContext(ctx, "INSERT INTO devices (site, first_ms, last_ms, identity, revision) VALUES (?, 0, 0, '', 0)", site)
		if err != nil {
			return err
		}
		n, err := result.LastInsertId()
		if err != nil {
			return err
		}
		id = ID(n)
		if err := c.Audit(ctx, Audit{At: s.now(), By: by, Action: "add device", Object: id.String(), After: site + " (" + source + ")"}); err != nil {
			return err
		}
		return touch(ctx, c.c, id)
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// Existing follows aliases and makes sure that the device is there.
func (c *Tx) Existing(ctx context.Context, id ID) (ID, error) {
	id, err := follow(ctx, c, id)
	if err != nil {
		return 0, err
	}
	found := false
	err = Each(ctx, c, "SELECT 1 FROM devices WHERE id = ?", func(*sql.Rows) error { found = true; return nil }, int64(id))
	if err == nil && !found {
		err = ErrUnknown
	}
	return id, err
}

// Audit is one change that a person made.
type Audit struct {
	At             time.Time
	By             string
	Action, Object string
	Before, After  string
}

// Audit writes down what is changed: where people of the inventory look for it, and in the record of all changes, where By
// is what somebody said of himself and who is behind the change is known.
func (c *Tx) Audit(ctx context.Context, a Audit) error {
	verb, _, _ := strings.Cut(a.Action, " ")
	if err := c.by.Add(ctx, c, a.At, audit.Entry{Act: "inventory." + verb, What: a.Object, Detail: a.Action + " by " + a.By + ": " + record.Changed(a.Before, a.After), OK: true}); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, "INSERT INTO inventory_audit (at_ms, said_by, action, object, before, after) VALUES (?, ?, ?, ?, ?, ?)",
		Millis(a.At), a.By, a.Action, a.Object, a.Before, a.After)
	return err
}

// maxAudits bounds one answer of Audits.
const maxAudits = 10_000

// Audits returns the newest changes first, of one object or of all ("").
func (s *Store) Audits(ctx context.Context, object string, limit int) ([]Audit, error) {
	if limit <= 0 || limit > maxAudits {
		limit = maxAudits
	}
	var out []Audit
	err := Each(ctx, s.read, `SELECT at_ms, said_by, action, object, before, after FROM inventory_audit
		WHERE ?1 = '' OR object = ?1 ORDER BY id DESC LIMIT ?2`, func(rows *sql.Rows) error {
		var a Audit
		var at int64
		err := rows.Scan(&at, &a.By, &a.Action, &a.Object, &a.Before, &a.After)
		a.At = Time(at)
		out = append(out, a)
		return err
	}, object, limit)
	if err != nil {
		return nil, s.fail("read the audit", err)
	}
	return out, nil
}
