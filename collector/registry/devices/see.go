package devices

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"sync"
	"time"

	"communewatch/probes"
)

// Sighting is what one check read of one device at one moment.
type Sighting struct {
	Site, Agent, Target, Path string
	Key                       string // tells apart what one check sees
	Kind                      string // of the check; empty when not known
	At                        time.Time
	Facts                     []probes.Fact
}

// See writes sightings down and returns when that is committed: it survives a kill of the process, and a power cut
// after a later Sync of the registry. Seeing the same again changes nothing. The rows must have been held against the
// contract. What is more than a site may have is left out, and said once in the log.
func (s *Store) See(ctx context.Context, list []Sighting) error {
	if len(list) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
		w := &seer{s: s, c: c, stmts: map[string]*sql.Stmt{}, touched: map[ID]bool{}}
		defer w.close()
		if err := w.refresh(ctx); err != nil {
			return err
		}
		for i := range list {
			if err := w.see(ctx, &list[i]); err != nil {
				return err
			}
		}
		if err := touch(ctx, c, w.changed()...); err != nil {
			return err
		}
		return w.keep(ctx)
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return s.fail("write devices down", err)
}

// seer takes sightings in one transaction.
type seer struct {
	s       *Store
	c       *sql.Conn
	stmts   map[string]*sql.Stmt
	touched map[ID]bool
	known   *known
	joined  bool // two devices became one since it was looked at last
}

func (w *seer) close() {
	for _, st := range w.stmts {
		_ = st.Close()
	}
}

func (w *seer) changed() []ID {
	var ids []ID
	for id := range w.touched {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// stmt prepares a query once per transaction.
func (w *seer) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := w.stmts[query]; st != nil {
		return st, nil
	}
	st, err := w.c.PrepareContext(ctx, query)
	if err == nil {
		w.stmts[query] = st
	}
	return st, err
}

func (w *seer) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	st, err := w.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

func (w *seer) query(ctx context.Context, query string, each func(*sql.Rows) error, args ...any) error {
	st, err := w.stmt(ctx, query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// past is a device that a key was seen as.
type past struct {
	id          int64 // of the sighting
	device      ID
	first, last int64
	kind        string
}

// pasts reads what a sighting's key was seen as.
func (w *seer) pasts(ctx context.Context, sg *Sighting) (pasts []past, err error) {
	err = w.query(ctx, `SELECT id, device, first_ms, last_ms, kind FROM device_sightings
		WHERE site = ? AND agent = ? AND target = ? AND path = ? AND device_key = ?`, func(rows *sql.Rows) error {
		var p past
		err := rows.Scan(&p.id, &p.device, &p.first, &p.last, &p.kind)
		pasts = append(pasts, p)
		return err
	}, sg.Site, sg.Agent, sg.Target, sg.Path, sg.Key)
	return pasts, err
}

func (w *seer) see(ctx context.Context, sg *Sighting) error {
	facts := sg.Facts
	if len(facts) > maxFacts {
		facts = facts[:maxFacts]
	}
	at := sg.At.UnixMilli()
	pasts, err := w.pasts(ctx, sg)
	if err != nil {
		return err
	}
	device, err := w.identify(ctx, sg, at, pasts)
	if err != nil || device == 0 {
		return err
	}
	if w.joined { // what was seen as the one is now of the other
		w.joined = false
		if pasts, err = w.pasts(ctx, sg); err != nil {
			return err
		}
	}
	sighting, err := w.noteSighting(ctx, sg, at, device, pasts)
	if err != nil || sighting == 0 {
		return err
	}
	if err := w.noteFacts(ctx, device, sighting, at, facts); err != nil {
		return err
	}
	_, err = w.exec(ctx, `UPDATE devices SET site = CASE WHEN last_ms <= ?2 THEN ?3 ELSE site END,
		first_ms = CASE WHEN first_ms = 0 THEN ?2 ELSE min(first_ms, ?2) END, last_ms = max(last_ms, ?2) WHERE id = ?1`,
		int64(device), at, sg.Site)
	w.touched[device] = true
	return err
}

// noteSighting widens or makes the row of a check that sees a device, and returns its id; 0: the site has too many.
func (w *seer) noteSighting(ctx context.Context, sg *Sighting, at int64, device ID, pasts []past) (int64, error) {
	for _, p := range pasts {
		if p.device == device {
			_, err := w.exec(ctx, `UPDATE device_sightings SET first_ms = min(first_ms, ?2), last_ms = max(last_ms, ?2),
				kind = CASE WHEN ?3 = '' THEN kind ELSE ?3 END WHERE id = ?1`, p.id, at, sg.Kind)
			return p.id, err
		}
	}
	n, err := w.count(ctx, "SELECT count(*) FROM device_sightings WHERE site = ?", sg.Site)
	if err != nil {
		return 0, err
	}
	if n >= maxSightings {
		w.s.full.tell(w.s, sg.Site, "sightings", maxSightings)
		return 0, nil
	}
	result, err := w.exec(ctx, `INSERT INTO device_sightings (site, agent, target, path, device_key, device, kind, first_ms, last_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, sg.Site, sg.Agent, sg.Target, sg.Path, sg.Key, int64(device), sg.Kind, at, at)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

func (w *seer) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = w.query(ctx, query, func(rows *sql.Rows) error { return rows.Scan(&n) }, args...)
	return n, err
}

// runsOf reads the runs of all facts of one sighting of a device.
func (w *seer) runsOf(ctx context.Context, device ID, sighting int64) (map[string][]run, error) {
	runs := map[string][]run{}
	err := w.query(ctx, `SELECT fact, from_ms, to_ms, value, source, confidence FROM device_facts
		WHERE device = ? AND sighting = ? ORDER BY fact, from_ms`, func(rows *sql.Rows) error {
		var fact string
		var r run
		err := rows.Scan(&fact, &r.from, &r.to, &r.value, &r.source, &r.confidence)
		runs[fact] = append(runs[fact], r)
		return err
	}, int64(device), sighting)
	return runs, err
}

// noteFacts puts the readings of one moment into the runs of their facts.
func (w *seer) noteFacts(ctx context.Context, device ID, sighting, at int64, facts []probes.Fact) error {
	known, err := w.runsOf(ctx, device, sighting)
	if err != nil {
		return err
	}
	for _, f := range facts {
		fact := string(f.Name)
		before := known[fact]
		after, changed := place(slices.Clone(before), at, run{value: f.Value, source: f.Source, confidence: f.Confidence})
		if !changed {
			continue
		}
		after = trim(after)
		if err := w.replaceRuns(ctx, device, fact, sighting, before, after); err != nil {
			return err
		}
		known[fact] = after
	}
	return nil
}

// trim forgets the oldest runs of too many; but the first stays: since when the fact is known.
func trim(runs []run) []run {
	if over := len(runs) - maxRuns; over > 0 {
		runs = slices.Delete(runs, 1, 1+over)
	}
	return runs
}

// replaceRuns writes the difference between two lists of runs.
func (w *seer) replaceRuns(ctx context.Context, device ID, fact string, sighting int64, before, after []run) error {
	left := make(map[int64]run, len(before))
	for _, b := range before {
		left[b.from] = b
	}
	for _, a := range after {
		b, known := left[a.from]
		delete(left, a.from)
		if known && a == b {
			continue
		}
		if _, err := w.exec(ctx, `INSERT INTO device_facts (device, fact, sighting, from_ms, to_ms, value, source, confidence)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET to_ms = excluded.to_ms, value = excluded.value,
			source = excluded.source, confidence = excluded.confidence`,
			int64(device), fact, sighting, a.from, a.to, a.value, a.source, a.confidence); err != nil {
			return err
		}
	}
	for from := range left {
		if _, err := w.exec(ctx, "DELETE FROM device_facts WHERE device = ? AND fact = ? AND sighting = ? AND from_ms = ?",
			int64(device), fact, sighting, from); err != nil {
			return err
		}
	}
	return nil
}

// create makes a device; 0: the site has as many as it may.
func (w *seer) create(ctx context.Context, site string, at int64) (ID, error) {
	n, err := w.count(ctx, "SELECT count(*) FROM devices WHERE site = ?", site)
	if err != nil {
		return 0, err
	}
	if n >= maxDevices {
		w.s.full.tell(w.s, site, "devices", maxDevices)
		return 0, nil
	}
	result, err := w.exec(ctx, "INSERT INTO devices (site, first_ms, last_ms, identity, revision) VALUES (?, ?, ?, '', 0)", site, at, at)
	if err != nil {
		return 0, err
	}
	id, err := result.LastInsertId()
	return ID(id), err
}

// covering returns the device that a key was last known as at a time: what was seen then, else just before, else next.
func covering(pasts []past, at int64) ID {
	if len(pasts) == 0 {
		return 0
	}
	distance := func(p past) int64 {
		switch {
		case at < p.first:
			return 2*(p.first-at) + 1 // what comes later says less of a moment than what was before
		case at > p.last:
			return at - p.last
		}
		return 0
	}
	return slices.MinFunc(pasts, func(a, b past) int {
		return cmp.Or(cmp.Compare(distance(a), distance(b)), cmp.Compare(b.last, a.last), cmp.Compare(a.id, b.id))
	}).device
}

// fullSites remembers what was said of sites that have as much as they may, so that it is said once.
type fullSites struct {
	mu   sync.Mutex // guards said
	said map[string]bool
}

func (f *fullSites) tell(s *Store, site, what string, most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.said == nil {
		f.said = map[string]bool{}
	}
	if key := site + " " + what; !f.said[key] {
		f.said[key] = true
		s.log.Warn("a site has as many as it may; further ones are not taken into the inventory", "site", site, "what", what, "most", most)
	}
}
