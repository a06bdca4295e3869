// Package rehearsals keeps rehearsals of meetings in the registry's database: their plans, how they went, what each
// site's calls came to, and the times in which the line belongs to a meeting. Whoever started one can't start it again
// with the same outcome, so plans and ends are on disk before the call returns; results survive a kill of the process.
//
// Verdicts are not kept: package judge works them out from what is here.
package rehearsals

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/collector/sqlite"
)

// Bounds of what is kept. The newest are kept whatever their age, up to maxKept.
const (
	keepFor   = 5 * 366 * 24 * time.Hour // lines are compared over contracts
	maxKept   = 2000                     // two a day for three years; 136 sites and four steps are about a megabyte each
	keepHolds = 400 * 24 * time.Hour
	maxHolds  = 10_000
	pruneRows = 20 // rehearsals of one transaction, so that others wait for milliseconds only
)

// Store is the tables of rehearsals. All methods may be called concurrently.
type Store struct {
	db   *sqlite.DB
	read *sql.DB
	now  func() time.Time
	fail func(doing string, err error) error
}

// New returns the rehearsals of a database that has their tables. fail wraps an error of the database with what was
// being done.
func New(db *sqlite.DB, now func() time.Time, fail func(doing string, err error) error) *Store {
	return &Store{db: db, read: db.Read(), now: now, fail: fail}
}

// text is a value as it is kept.
func text(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func millis(t *time.Time) any {
	if t == nil || t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func timeOf(ms sql.NullInt64) *time.Time {
	if !ms.Valid {
		return nil
	}
	t := time.UnixMilli(ms.Int64).UTC()
	return &t
}

// row is the columns of a record that hold JSON.
type row struct{ plan, why, runs, evidence string }

func rowOf(r *rehearsal.Record) (out row, err error) {
	for _, c := range []struct {
		into *string
		v    any
	}{{&out.plan, r.Plan}, {&out.why, r.Why}, {&out.runs, r.Runs}, {&out.evidence, r.Evidence}} {
		if *c.into, err = text(c.v); err != nil {
			return row{}, fmt.Errorf("rehearsal: %w", err)
		}
	}
	return out, nil
}

// Create keeps a new rehearsal and gives it its ID. Its results are not written.
func (s *Store) Create(ctx context.Context, r *rehearsal.Record) error {
	out, err := rowOf(r)
	if err != nil {
		return err
	}
	var id int64
	err = s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		return c.QueryRowContext(ctx, `INSERT INTO rehearsals (state, schedule, created_ms, at_ms, began_ms, ended_ms, plan, why, runs, evidence)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`, string(r.State), r.Plan.Schedule, r.Created.UnixMilli(), millis(r.Plan.At),
			millis(r.Began), millis(r.Ended), out.plan, out.why, out.runs, out.evidence).Scan(&id)
	})
	if err != nil {
		return s.wrote(ctx, "keep a rehearsal", err)
	}
	r.ID = rehearsal.ID(id)
	return nil
}

// Update writes a rehearsal's state, plan and course. Its results are not written.
func (s *Store) Update(ctx context.Context, r *rehearsal.Record) error {
	out, err := rowOf(r)
	if err != nil {
		return err
	}
	err = s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		result, err := c.ExecContext(ctx, `UPDATE rehearsals SET state = ?, at_ms = ?, began_ms = ?, ended_ms = ?, plan = ?, why = ?, runs = ?, evidence = ?
			WHERE id = ?`, string(r.State), millis(r.Plan.At), millis(r.Began), millis(r.Ended), out.plan, out.why, out.runs, out.evidence, int64(r.ID))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, rehearsal.ErrUnknown)
		}
		return nil
	})
	return s.wrote(ctx, "keep a rehearsal's course", err)
}

// PutResults writes results of a rehearsal over those of the same step and site.
func (s *Store) PutResults(ctx context.Context, id rehearsal.ID, results ...rehearsal.Result) error {
	texts := make([]string, len(results))
	for i := range results {
		var err error
		if texts[i], err = text(&results[i]); err != nil {
			return fmt.Errorf("rehearsal: result of %s: %w", results[i].Site, err)
		}
	}
	err := s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
		for i := range results {
			if _, err := c.ExecContext(ctx, `INSERT INTO rehearsal_results (rehearsal, step, site, result) VALUES (?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET result = excluded.result`, int64(id), results[i].Step, results[i].Site, texts[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return s.wrote(ctx, "keep results of a rehearsal", err)
}

// wrote wraps an error of a write, unless the caller gave up or asked for what is not there.
func (s *Store) wrote(ctx context.Context, doing string, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, rehearsal.ErrUnknown) {
		return err
	}
	return s.fail(doing, err)
}

const columns = "id, state, created_ms, began_ms, ended_ms, plan, why, runs"

func scan(r *sql.Rows, more ...any) (rehearsal.Record, error) {
	var rec rehearsal.Record
	var created int64
	var began, ended sql.NullInt64
	var plan, why, runs string
	if err := r.Scan(append([]any{&rec.ID, &rec.State, &created, &began, &ended, &plan, &why, &runs}, more...)...); err != nil {
		return rec, err
	}
	rec.Created, rec.Began, rec.Ended = time.UnixMilli(created).UTC(), timeOf(began), timeOf(ended)
	for _, c := range []struct {
		text string
		into any
	}{{plan, &rec.Plan}, {why, &rec.Why}, {runs, &rec.Runs}} {
		if err := json.Unmarshal([]byte(c.text), c.into); err != nil {
			return rec, fmt.Errorf("rehearsal %v: %w", rec.ID, err)
		}
	}
	return rec, nil
}

// List returns rehearsals without evidence and results, the newest first: all, or those in one of the states.
func (s *Store) List(ctx context.Context, states ...rehearsal.State) ([]rehearsal.Record, error) {
	out := []rehearsal.Record{}
	wanted, err := text(states)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT "+columns+` FROM rehearsals
		WHERE ?1 = 0 OR state IN (SELECT value FROM json_each(?2)) ORDER BY id DESC LIMIT ?3`, len(states), wanted, maxKept)
	if err != nil {
		return nil, s.fail("read rehearsals", err)
	}
	defer rows.Close()
	for rows.Next() {
		rec, err := scan(rows)
		if err != nil {
			return nil, s.fail("read rehearsals", err)
		}
		out = append(out, rec)
	}
	if err := rows.Err(); err != nil {
		return nil, s.fail("read rehearsals", err)
	}
	return out, nil
}

// Get returns one rehearsal with all that is known of it; rehearsal.ErrUnknown for one that is not there.
func (s *Store) Get(ctx context.Context, id rehearsal.ID) (rehearsal.Record, error) {
	rec, err := s.get(ctx, id)
	if err != nil && !errors.Is(err, rehearsal.ErrUnknown) && ctx.Err() == nil {
		err = s.fail("read a rehearsal", err)
	}
	return rec, err
}

func (s *Store) get(ctx context.Context, id rehearsal.ID) (rec rehearsal.Record, err error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // results of the same moment
	if err != nil {
		return rec, err
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "SELECT "+columns+", evidence FROM rehearsals WHERE id = ?", int64(id))
	if err != nil {
		return rec, err
	}
	defer rows.Close()
	found := false
	for rows.Next() {
		var evidence string
		if rec, err = scan(rows, &evidence); err != nil {
			return rec, err
		}
		found = true
		if err := json.Unmarshal([]byte(evidence), &rec.Evidence); err != nil {
			return rec, fmt.Errorf("rehearsal %v: %w", id, err)
		}
	}
	if err := rows.Err(); err != nil {
		return rec, err
	}
	if !found {
		return rec, rehearsal.ErrUnknown
	}
	results, err := tx.QueryContext(ctx, "SELECT step, site, result FROM rehearsal_results WHERE rehearsal = ? ORDER BY step, site", int64(id))
	if err != nil {
		return rec, err
	}
	defer results.Close()
	for results.Next() {
		var r rehearsal.Result
		var step int
		var site, text string
		if err := results.Scan(&step, &site, &text); err != nil {
			return rec, err
		}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return rec, fmt.Errorf("rehearsal %v, step %d, %s: %w", id, step, site, err)
		}
		rec.Results = append(rec.Results, r)
	}
	return rec, results.Err()
}

// SetHold keeps a hold in the place of the one that is on, if any. One whose Until is its Began ends that and no more.
func (s *Store) SetHold(ctx context.Context, h rehearsal.Hold) error {
	began := h.Began.UnixMilli()
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, "UPDATE holds SET until_ms = ?1 WHERE until_ms > ?1", began); err != nil {
			return err
		}
		if !h.Until.After(h.Began) {
			return nil
		}
		_, err := c.ExecContext(ctx, "INSERT INTO holds (meeting, said_by, began_ms, until_ms) VALUES (?, ?, ?, ?)", h.Meeting, h.By, began, h.Until.UnixMilli())
		return err
	})
	return s.wrote(ctx, "keep a hold", err)
}

// Held returns the hold that is on at a time, ok false when none is.
func (s *Store) Held(ctx context.Context, at time.Time) (h rehearsal.Hold, ok bool, err error) {
	var began, until int64
	err = s.read.QueryRowContext(ctx, "SELECT meeting, said_by, began_ms, until_ms FROM holds WHERE until_ms > ? ORDER BY id DESC LIMIT 1",
		at.UnixMilli()).Scan(&h.Meeting, &h.By, &began, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return h, false, nil
	}
	if err != nil {
		return h, false, s.fail("read holds", err)
	}
	h.Began, h.Until = time.UnixMilli(began).UTC(), time.UnixMilli(until).UTC()
	return h, true, nil
}

// Prune removes what is too old, and of rehearsals what is beyond the newest ones. It is to be called now and then.
func (s *Store) Prune(ctx context.Context) error {
	now := s.now()
	for _, q := range []struct {
		query string
		args  []any
	}{
		{"DELETE FROM rehearsals WHERE id IN (SELECT id FROM rehearsals WHERE created_ms < ? AND state NOT IN ('planned', 'running') LIMIT ?)",
			[]any{now.Add(-keepFor).UnixMilli(), pruneRows}},
		{`DELETE FROM rehearsals WHERE id IN (SELECT id FROM rehearsals WHERE state NOT IN ('planned', 'running')
			AND id <= (SELECT id FROM rehearsals ORDER BY id DESC LIMIT 1 OFFSET ?) LIMIT ?)`, []any{maxKept, pruneRows}},
		{"DELETE FROM holds WHERE id IN (SELECT id FROM holds WHERE until_ms < ? LIMIT ?)", []any{now.Add(-keepHolds).UnixMilli(), pruneRows}},
		{"DELETE FROM holds WHERE id IN (SELECT id FROM holds WHERE id <= (SELECT id FROM holds ORDER BY id DESC LIMIT 1 OFFSET ?) LIMIT ?)", []any{maxHolds, pruneRows}},
	} {
		for more := true; more; {
			err := s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
				result, err := c.ExecContext(ctx, q.query, q.args...)
				if err != nil {
					return err
				}
				n, err := result.RowsAffected()
				more = n == pruneRows
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
