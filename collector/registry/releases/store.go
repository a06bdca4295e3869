// Package releases keeps, in the registry's file, which releases agents may take and how far each has gone out. What a
// person said is on disk before the call returns. The binaries are no part of it: they are files, and the manifest kept
// here says which.
package releases

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"communewatch/collector/releases/stages"
	"communewatch/collector/sqlite"
	"communewatch/probes/release"
)

// Errors of a store; compare with errors.Is. Their texts are for people.
var (
	ErrUnknown   = errors.New("no such release; communewatch-collector release list shows what there is")
	ErrKnown     = errors.New("there is another release of that version already; versions are given once")
	ErrWithdrawn = errors.New("the release was withdrawn")
	ErrNone      = errors.New("no release is going out; begin with: communewatch-collector release start VERSION --first SITE")
	ErrBusy      = errors.New("a release is going out; wait until all have it, or halt it and start it again with other sites, or withdraw it for good")
	ErrMany      = errors.New("there are as many releases as may be; withdraw those that no agent is to take any more")
)

const (
	maxReleases = 200 // that were not withdrawn
	keepRollout = 100 // roll-outs that are shown
)

// Store is that part of the registry. Get it from the registry.
type Store struct {
	db   *sqlite.DB
	read *sql.DB
	now  func() time.Time
	fail func(doing string, err error) error // words an error, and notes that the file is in trouble
}

// New returns the store of an open registry.
func New(db *sqlite.DB, now func() time.Time, fail func(doing string, err error) error) *Store {
	return &Store{db: db, read: db.Read(), now: now, fail: fail}
}

// Release is one release.
type Release struct {
	Version     release.Version
	Manifest    []byte // as it was signed
	Signature   []byte
	Added       time.Time
	By          string
	Withdrawn   time.Time // zero: not
	WithdrawnBy string
}

// wrote words an error of a write, unless it is one for people or the caller gave up.
func (s *Store) wrote(ctx context.Context, doing string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	for _, e := range []error{ErrUnknown, ErrKnown, ErrWithdrawn, ErrNone, ErrBusy, ErrMany} {
		if errors.Is(err, e) {
			return err
		}
	}
	return s.fail(doing, err)
}

// Put keeps a release. The same one may be put again.
func (s *Store) Put(ctx context.Context, r Release) error {
	return s.wrote(ctx, "keep a release", s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		var manifest []byte
		err := c.QueryRowContext(ctx, "SELECT manifest FROM releases WHERE version = ?", r.Version.String()).Scan(&manifest)
		switch {
		case err == nil && string(manifest) == string(r.Manifest):
			return nil
		case err == nil:
			return fmt.Errorf("%v: %w", r.Version, ErrKnown)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		var n int
		if err := c.QueryRowContext(ctx, "SELECT count(*) FROM releases WHERE withdrawn_ms IS NULL").Scan(&n); err != nil {
			return err
		}
		if n >= maxReleases {
			return ErrMany
		}
		_, err = c.ExecContext(ctx, "INSERT INTO releases (version, manifest, signature, added_ms, added_by) VALUES (?, ?, ?, ?, ?)",
			r.Version.String(), r.Manifest, r.Signature, s.now().UnixMilli(), r.By)
		return err
	}))
}

// List returns all releases, the newest first.
func (s *Store) List(ctx context.Context) ([]Release, error) {
	list, err := s.releases(ctx, "")
	if err != nil {
		return nil, s.fail("read releases", err)
	}
	return list, nil
}

// Get returns one release, withdrawn or not; ErrUnknown for one that is not there.
func (s *Store) Get(ctx context.Context, v release.Version) (Release, error) {
	list, err := s.releases(ctx, v.String())
	if err != nil {
		return Release{}, s.fail("read a release", err)
	}
	if len(list) == 0 {
		return Release{}, fmt.Errorf("%v: %w", v, ErrUnknown)
	}
	return list[0], nil
}

func (s *Store) releases(ctx context.Context, version string) ([]Release, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT version, manifest, signature, added_ms, added_by, withdrawn_ms, withdrawn_by
		FROM releases WHERE ?1 = '' OR version = ?1 ORDER BY added_ms DESC, version DESC`, version)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Release
	for rows.Next() {
		var r Release
		var text string
		var added int64
		var withdrawn sql.NullInt64
		if err := rows.Scan(&text, &r.Manifest, &r.Signature, &added, &r.By, &withdrawn, &r.WithdrawnBy); err != nil {
			return nil, err
		}
		if r.Version, err = release.ParseVersion(text); err != nil {
			return nil, err
		}
		r.Added = time.UnixMilli(added).UTC()
		if withdrawn.Valid {
			r.Withdrawn = time.UnixMilli(withdrawn.Int64).UTC()
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Start begins a roll-out, unless another one is under way. One that was halted may be begun anew: those who failed in it
// are asked once more.
func (s *Store) Start(ctx context.Context, v release.Version, plan stages.Plan, by string) (stages.Rollout, error) {
	out := stages.Rollout{Version: v, Plan: plan, State: stages.StateRunning, By: by}
	if err := plan.Validate(); err != nil {
		return out, err
	}
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		var withdrawn sql.NullInt64
		err := c.QueryRowContext(ctx, "SELECT withdrawn_ms FROM releases WHERE version = ?", v.String()).Scan(&withdrawn)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("%v: %w", v, ErrUnknown)
		case err != nil:
			return err
		case withdrawn.Valid:
			return fmt.Errorf("%v: %w", v, ErrWithdrawn)
		}
		if last, err := newest(ctx, c); err != nil && !errors.Is(err, ErrNone) {
			return err
		} else if again := last.State == stages.StateHalted && last.Version == v; err == nil && !again && last.State != stages.StateComplete && last.State != stages.StateWithdrawn {
			return fmt.Errorf("%v is %s: %w", last.Version, last.State, ErrBusy)
		}
		out.Started = time.UnixMilli(s.now().UnixMilli()).UTC()
		out.Since = out.Started
		cols, err := columnsOf(&out)
		if err != nil {
			return err
		}
		return c.QueryRowContext(ctx, `INSERT INTO rollouts (version, plan, state, stage, since_ms, settled_ms, why, excused, started_ms, started_by)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`, append([]any{v.String()}, cols...)...).Scan(&out.ID)
	})
	return out, s.wrote(ctx, "begin a roll-out", err)
}

// Current returns the newest roll-out; ErrNone where there never was one.
func (s *Store) Current(ctx context.Context) (stages.Rollout, error) {
	r, err := newest(ctx, s.read)
	if err != nil && !errors.Is(err, ErrNone) && ctx.Err() == nil {
		err = s.fail("read the roll-out", err)
	}
	return r, err
}

// Change puts what do makes of the newest roll-out in its place, in one transaction: nobody else's change is lost.
func (s *Store) Change(ctx context.Context, do func(stages.Rollout) (stages.Rollout, error)) (was, is stages.Rollout, err error) {
	err = s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		if was, err = newest(ctx, c); err != nil {
			return err
		}
		if is, err = do(was); err != nil {
			return err
		}
		cols, err := columnsOf(&is)
		if err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, `UPDATE rollouts SET plan = ?, state = ?, stage = ?, since_ms = ?, settled_ms = ?, why = ?, excused = ?, started_ms = ?, started_by = ?
			WHERE id = ?`, append(cols, was.ID)...)
		return err
	})
	return was, is, s.wrote(ctx, "change the roll-out", err)
}

// Withdraw takes a release back for good, and ends its roll-out.
func (s *Store) Withdraw(ctx context.Context, v release.Version, by, why string) error {
	return s.wrote(ctx, "withdraw a release", s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		result, err := c.ExecContext(ctx, "UPDATE releases SET withdrawn_ms = ?, withdrawn_by = ? WHERE version = ? AND withdrawn_ms IS NULL", s.now().UnixMilli(), by, v.String())
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fmt.Errorf("%v: %w, or withdrawn already", v, ErrUnknown))
		}
		_, err = c.ExecContext(ctx, "UPDATE rollouts SET state = ?, why = ?, settled_ms = NULL WHERE version = ?", string(stages.StateWithdrawn), why, v.String())
		return err
	}))
}

// Rollouts lists roll-outs, the newest first.
func (s *Store) Rollouts(ctx context.Context) ([]stages.Rollout, error) {
	list, err := rollouts(ctx, s.read, keepRollout)
	if err != nil {
		return nil, s.fail("read roll-outs", err)
	}
	return list, nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func newest(ctx context.Context, q querier) (stages.Rollout, error) {
	list, err := rollouts(ctx, q, 1)
	if err != nil {
		return stages.Rollout{}, err
	}
	if len(list) == 0 {
		return stages.Rollout{}, ErrNone
	}
	return list[0], nil
}

func rollouts(ctx context.Context, q querier, limit int) ([]stages.Rollout, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, version, plan, state, stage, since_ms, settled_ms, why, excused, started_ms, started_by
		FROM rollouts ORDER BY id DESC LIMIT ?`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []stages.Rollout
	for rows.Next() {
		var r stages.Rollout
		var version, plan, excused string
		var since, started int64
		var settled sql.NullInt64
		if err := rows.Scan(&r.ID, &version, &plan, &r.State, &r.Stage, &since, &settled, &r.Why, &excused, &started, &r.By); err != nil {
			return nil, err
		}
		r.Version, err = release.ParseVersion(version)
		if err := errors.Join(err, json.Unmarshal([]byte(plan), &r.Plan), json.Unmarshal([]byte(excused), &r.Excused)); err != nil {
			return nil, fmt.Errorf("roll-out %d: %w", r.ID, err)
		}
		r.Since, r.Started = time.UnixMilli(since).UTC(), time.UnixMilli(started).UTC()
		if settled.Valid {
			r.Settled = time.UnixMilli(settled.Int64).UTC()
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// columnsOf are a roll-out's columns from plan to started_by.
func columnsOf(r *stages.Rollout) ([]any, error) {
	plan, err := json.Marshal(r.Plan)
	if err != nil {
		return nil, err
	}
	excused, err := json.Marshal(append([]stages.Name{}, r.Excused...))
	if err != nil {
		return nil, err
	}
	var settled any
	if !r.Settled.IsZero() {
		settled = r.Settled.UnixMilli()
	}
	return []any{string(plan), string(r.State), r.Stage, r.Since.UnixMilli(), settled, r.Why, string(excused), r.Started.UnixMilli(), r.By}, nil
}
