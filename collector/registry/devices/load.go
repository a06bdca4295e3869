package devices

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"communewatch/probes"
)

// News is what changed since a revision.
type News struct {
	All      bool  // Devices are all there are: forget the others
	Revision int64 // to ask from the next time
	Others   int64 // rises when purchases, links or catalogue rows change
	Devices  []Device
	Became   map[ID]ID // devices that turned out to be another one
}

// Since returns the devices that changed after a revision, by id; 0 is all of them. What it returns is of one moment.
func (s *Store) Since(ctx context.Context, revision int64) (News, error) {
	n := News{Became: map[ID]ID{}}
	var removed int64
	err := s.Snapshot(ctx, "read devices", func(tx Querier) (err error) {
		if err = Each(ctx, tx, "SELECT revision, removed, others FROM device_revision", func(r *sql.Rows) error { return r.Scan(&n.Revision, &removed, &n.Others) }); err != nil {
			return err
		}
		if revision < removed || revision > n.Revision { // or the file is another one
			revision = 0
		}
		n.All = revision == 0
		if n.Revision == revision && !n.All {
			return nil
		}
		if err = Each(ctx, tx, "SELECT device, became FROM device_aliases WHERE revision > ?", func(rows *sql.Rows) error {
			var a, b ID
			err := rows.Scan(&a, &b)
			n.Became[a] = b
			return err
		}, revision); err != nil {
			return err
		}
		n.Devices, err = load(ctx, tx, "devices.revision > ?", revision)
		return err
	})
	if err != nil {
		return News{}, err
	}
	return n, nil
}

// Device returns one device, following aliases, or ErrUnknown.
func (s *Store) Device(ctx context.Context, id ID) (Device, error) {
	var list []Device
	err := s.Snapshot(ctx, "read a device", func(tx Querier) (err error) {
		if id, err = follow(ctx, tx, id); err == nil {
			list, err = load(ctx, tx, "devices.id = ?", int64(id))
		}
		return err
	})
	switch {
	case err != nil:
		return Device{}, err
	case len(list) == 0:
		return Device{}, ErrUnknown
	}
	return list[0], nil
}

// History returns all runs of a device's facts, by fact, sighting and time.
func (s *Store) History(ctx context.Context, id ID) ([]Fact, error) {
	var out []Fact
	err := Each(ctx, s.read, `SELECT fact, sighting, from_ms, to_ms, value, source, confidence FROM device_facts
		WHERE device = ? ORDER BY fact, sighting, from_ms`, func(rows *sql.Rows) error {
		f, err := scanFact(rows)
		out = append(out, f)
		return err
	}, int64(id))
	if err != nil {
		return nil, s.fail("read the history of a device", err)
	}
	return out, nil
}

// Querier is what can be asked: a connection, a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Each calls do for every row of an answer.
func Each(ctx context.Context, q Querier, query string, do func(*sql.Rows) error, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Snapshot runs do over one moment of the database.
func (s *Store) Snapshot(ctx context.Context, doing string, do func(q Querier) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		err = errors.Join(do(tx), tx.Rollback())
	}
	if err != nil {
		return s.fail(doing, err)
	}
	return nil
}

// follow returns the device that id is by now.
func follow(ctx context.Context, q Querier, id ID) (ID, error) {
	for range 16 { // a merge never makes a ring; this is against a file that somebody edited
		next := ID(0)
		err := Each(ctx, q, "SELECT became FROM device_aliases WHERE device = ?", func(rows *sql.Rows) error { return rows.Scan(&next) }, int64(id))
		if err != nil || next == 0 {
			return id, err
		}
		id = next
	}
	return id, nil
}

func scanFact(rows *sql.Rows) (Fact, error) {
	var f Fact
	var name string
	var from, to int64
	err := rows.Scan(&name, &f.Sighting, &from, &to, &f.Value, &f.Source, &f.Confidence)
	f.Name, f.From, f.To = probes.FactName(name), Time(from), Time(to)
	return f, err
}

// load reads the devices that a condition on their table holds for, by id.
func load(ctx context.Context, q Querier, where string, args ...any) ([]Device, error) {
	var list []Device
	at := map[ID]int{}
	err := Each(ctx, q, "SELECT id, site, first_ms, last_ms FROM devices WHERE "+where+" ORDER BY id", func(rows *sql.Rows) error {
		var d Device
		var first, last int64
		err := rows.Scan(&d.ID, &d.Site, &first, &last)
		d.First, d.Last = Time(first), Time(last)
		at[d.ID] = len(list)
		list = append(list, d)
		return err
	}, args...)
	if err != nil || len(list) == 0 {
		return list, err
	}
	// Every part is read by device, so that one query serves ten thousand of them. CROSS JOIN keeps SQLite from going
	// through a whole part to find the rows of one device.
	of := func(table, columns, order string) string {
		return "SELECT p.device, " + columns + " FROM devices CROSS JOIN " + table + " p ON p.device = devices.id WHERE " + where + " ORDER BY p.device" + order
	}
	part := func(query string, scan func(rows *sql.Rows, into func(ID) *Device) error) {
		if err == nil {
			err = Each(ctx, q, query, func(rows *sql.Rows) error {
				return scan(rows, func(id ID) *Device { return &list[at[id]] })
			}, args...)
		}
	}
	part(of("device_facts", "fact, sighting, from_ms, to_ms, value, source, confidence", ", fact, sighting, from_ms"), func(rows *sql.Rows, into func(ID) *Device) error {
		var id ID
		var f Fact
		var from, to int64
		if err := rows.Scan(&id, &f.Name, &f.Sighting, &from, &to, &f.Value, &f.Source, &f.Confidence); err != nil {
			return err
		}
		f.From, f.To = Time(from), Time(to)
		d := into(id)
		if n := len(d.Facts); n > 0 && d.Facts[n-1].Name == f.Name && d.Facts[n-1].Sighting == f.Sighting {
			d.Facts[n-1] = f // a newer run
		} else {
			d.Facts = append(d.Facts, f)
		}
		return nil
	})
	part(of("device_sightings", "p.id, p.site, agent, target, path, kind, device_key, p.first_ms, p.last_ms", ", p.last_ms DESC, p.id"), func(rows *sql.Rows, into func(ID) *Device) error {
		var id ID
		var v Seen
		var first, last int64
		if err := rows.Scan(&id, &v.ID, &v.Site, &v.Agent, &v.Target, &v.Path, &v.Kind, &v.Key, &first, &last); err != nil {
			return err
		}
		v.First, v.Last = Time(first), Time(last)
		d := into(id)
		d.Sightings = append(d.Sightings, v)
		return nil
	})
	part(of("device_statements", statementColumns, ", name, at_ms DESC, p.id DESC"), func(rows *sql.Rows, into func(ID) *Device) error {
		st, inForce, err := scanStatement(rows)
		if err == nil && inForce {
			d := into(st.Device)
			d.Statements = append(d.Statements, st)
		}
		return err
	})
	part(of("device_tickets", ticketColumns, ", day DESC, p.id DESC"),
		func(rows *sql.Rows, into func(ID) *Device) error {
			t, err := scanTicket(rows)
			if err == nil {
				d := into(t.Device)
				d.Tickets = append(d.Tickets, t)
			}
			return err
		})
	duplicate := func(rows *sql.Rows, into func(ID) *Device) error {
		var id ID
		var dup Duplicate
		var ms int64
		err := rows.Scan(&id, &dup.Other, &dup.Why, &ms)
		if err == nil {
			dup.At = Time(ms)
			d := into(id)
			d.Duplicates = append(d.Duplicates, dup)
		}
		return err
	}
	part(of("device_duplicates", "other, why, at_ms", ""), duplicate)
	part("SELECT p.other, p.device, why, at_ms FROM devices CROSS JOIN device_duplicates p ON p.other = devices.id WHERE "+where, duplicate)
	for i := range list {
		slices.SortFunc(list[i].Duplicates, func(a, b Duplicate) int { return int(a.Other - b.Other) })
	}
	return list, err
}
