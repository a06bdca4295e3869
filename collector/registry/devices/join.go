package devices

import (
	"context"
	"database/sql"
	"slices"

	"communewatch/inventory/identity"
)

// join makes one device of two that turned out to be the same, and returns it: the older one, whose number has been
// in people's hands for longer. Everything that is known of the younger goes over to it.
func (w *seer) join(ctx context.Context, a, b ID, at int64) (ID, error) {
	into, from := min(a, b), max(a, b)
	w.joined = true
	if err := w.joinSightings(ctx, into, from); err != nil {
		return 0, err
	}
	for _, move := range []string{
		"UPDATE device_statements SET device = ?1 WHERE device = ?2",
		"UPDATE device_tickets SET device = ?1 WHERE device = ?2",
		"UPDATE OR IGNORE purchase_links SET device = ?1 WHERE device = ?2",
		"UPDATE device_aliases SET became = ?1 WHERE became = ?2",
		`UPDATE devices SET last_ms = max(devices.last_ms, f.last_ms), first_ms = CASE
			WHEN devices.first_ms = 0 THEN f.first_ms WHEN f.first_ms = 0 THEN devices.first_ms
			ELSE min(devices.first_ms, f.first_ms) END FROM devices f WHERE devices.id = ?1 AND f.id = ?2`,
	} {
		if _, err := w.exec(ctx, move, int64(into), int64(from)); err != nil {
			return 0, err
		}
	}
	if _, err := w.exec(ctx, "UPDATE device_revision SET revision = revision + 1, others = others + 1"); err != nil {
		return 0, err
	}
	// Whoever was a duplicate of the one may be one of the other.
	type pair struct {
		other ID
		why   string
		at    int64
	}
	var pairs []pair
	if err := w.query(ctx, `SELECT CASE device WHEN ?1 THEN other ELSE device END, why, at_ms FROM device_duplicates
		WHERE device = ?1 OR other = ?1`, func(r *sql.Rows) error {
		var p pair
		err := r.Scan(&p.other, &p.why, &p.at)
		pairs = append(pairs, p)
		return err
	}, int64(from)); err != nil {
		return 0, err
	}
	if _, err := w.exec(ctx, "DELETE FROM devices WHERE id = ?", int64(from)); err != nil { // and what refers to it
		return 0, err
	}
	if _, err := w.exec(ctx, `INSERT INTO device_aliases (device, became, at_ms, revision)
		SELECT ?, ?, ?, revision FROM device_revision`, int64(from), int64(into), at); err != nil {
		return 0, err
	}
	joined := union(w.known.devices[into], w.known.devices[from])
	w.known.index.Remove(from.String())
	delete(w.known.devices, from)
	delete(w.touched, from)
	for _, p := range pairs {
		if err := w.noteDuplicate(ctx, into, p.other.String(), p.why, p.at); err != nil {
			return 0, err
		}
	}
	joined.ID = into.String()
	w.touched[into] = true
	return into, w.know(ctx, into, joined)
}

// union is what two devices that are one are known by. Where it was last is said by the newer.
func union(a, b identity.Device) identity.Device {
	if b.LastSeen.After(a.LastSeen) {
		a, b = b, a
	}
	both := func(x, y []string) []string {
		all := slices.Concat(x, y)
		slices.Sort(all)
		return slices.Compact(all)
	}
	a.Serials, a.ChassisIDs = both(a.Serials, b.Serials), both(a.ChassisIDs, b.ChassisIDs)
	a.MACs, a.EngineIDs = both(a.MACs, b.MACs), both(a.EngineIDs, b.EngineIDs)
	for _, t := range []struct{ have, other *string }{{&a.Vendor, &b.Vendor}, {&a.Model, &b.Model}, {&a.Class, &b.Class}, {&a.SysName, &b.SysName}, {&a.Address, &b.Address}} {
		if *t.have == "" {
			*t.have = *t.other
		}
	}
	return a
}

// joinSightings moves sightings with their facts. Where the same check under the same key saw both, the runs of the
// one are placed among those of the other.
func (w *seer) joinSightings(ctx context.Context, into, from ID) error {
	type move struct {
		sighting, same int64
		first, last    int64
	}
	var moves []move
	if err := w.query(ctx, `SELECT f.id, coalesce(i.id, 0), f.first_ms, f.last_ms FROM device_sightings f LEFT JOIN device_sightings i
		ON i.device = ?1 AND i.site = f.site AND i.agent = f.agent AND i.target = f.target AND i.path = f.path AND i.device_key = f.device_key
		WHERE f.device = ?2`, func(r *sql.Rows) error {
		var m move
		err := r.Scan(&m.sighting, &m.same, &m.first, &m.last)
		moves = append(moves, m)
		return err
	}, int64(into), int64(from)); err != nil {
		return err
	}
	for _, m := range moves {
		if m.same == 0 {
			if _, err := w.exec(ctx, "UPDATE device_sightings SET device = ? WHERE id = ?", int64(into), m.sighting); err != nil {
				return err
			}
			if _, err := w.exec(ctx, "UPDATE device_facts SET device = ? WHERE device = ? AND sighting = ?", int64(into), int64(from), m.sighting); err != nil {
				return err
			}
			continue
		}
		if _, err := w.exec(ctx, "UPDATE device_sightings SET first_ms = min(first_ms, ?), last_ms = max(last_ms, ?) WHERE id = ?", m.first, m.last, m.same); err != nil {
			return err
		}
		mine, err := w.runsOf(ctx, into, m.same)
		if err != nil {
			return err
		}
		theirs, err := w.runsOf(ctx, from, m.sighting)
		if err != nil {
			return err
		}
		for fact, runs := range theirs {
			after := slices.Clone(mine[fact])
			for _, r := range runs {
				after, _ = place(after, r.from, r)
				after, _ = place(after, r.to, r)
			}
			if err := w.replaceRuns(ctx, into, fact, m.same, mine[fact], trim(after)); err != nil {
				return err
			}
		}
	}
	return nil
}
