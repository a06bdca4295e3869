// Package work keeps, in the registry's file, the fleet's plan: every version of what agents are to do, and the sealed
// secrets that checks need. It knows nothing of what they say: collector/assign reads plans, collector/seal opens secrets.
//
// A version is the plan as people wrote it and what sites have, together: to go back to one gives every agent the very
// bytes that it had then. All of it is said by people, so it is on disk before a call returns.
package work

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"communewatch/collector/sqlite"
	"communewatch/probes"
)

// Store is that part of the registry. Get it from the registry. All methods may be called concurrently.
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

// Version is one version of the plan.
type Version struct {
	ID       int // from 1; 0: there is none yet
	At       time.Time
	By, Note string
	Plan     string // YAML
	Values   string // what sites have; "" for nothing
	Hash     string // of both, in hexadecimal digits
	Restores int    // the version that it goes back to; 0: none
}

// Bounds. Beyond keepVersions the oldest are forgotten.
const (
	maxPlan      = 1 << 20 // bytes
	maxValues    = 4 << 20
	maxText      = 500
	keepVersions = 500
	maxSecrets   = 2000
)

// Errors; compare with errors.Is.
var (
	ErrNobody         = errors.New("say who does this")
	ErrUnknownVersion = errors.New("there is no such version of the plan; `work versions` lists those there are")
	ErrUnknownSecret  = errors.New("there is no such secret; `work secret list` shows those there are")
	// ErrOvertaken says that somebody else changed the plan meanwhile.
	ErrOvertaken = errors.New("the plan was changed meanwhile; look at the newest version and make your change again")
)

func (s *Store) wrote(ctx context.Context, doing string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return s.fail(doing, err)
}

// Add keeps a new version, which is the current one from then on. base is the version that it was made from, or -1 for
// whichever is current; ErrOvertaken if another one is. ID, At and Hash are set here. A version whose texts are those of
// the current one is not kept: the current one is returned, and false.
func (s *Store) Add(ctx context.Context, v Version, base int) (Version, bool, error) {
	switch {
	case v.By == "" || len(v.By) > maxText || !utf8.ValidString(v.By):
		return Version{}, false, ErrNobody
	case len(v.Note) > 4*maxText || !utf8.ValidString(v.Note):
		return Version{}, false, fmt.Errorf("note: use at most %d bytes of text", 4*maxText)
	case len(v.Plan) > maxPlan || len(v.Values) > maxValues || !utf8.ValidString(v.Plan) || !utf8.ValidString(v.Values):
		return Version{}, false, errors.New("the plan, or what sites have, is too large or not UTF-8")
	}
	v.Hash = hashOf(v.Plan, v.Values)
	v.At = time.UnixMilli(s.now().UnixMilli()).UTC()
	var refused error
	var same *Version
	var id int
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		refused, same = nil, nil
		current, err := one(ctx, c, "ORDER BY id DESC LIMIT 1")
		if err != nil && !errors.Is(err, ErrUnknownVersion) {
			return err
		}
		if base >= 0 && base != current.ID {
			refused = fmt.Errorf("%w (it is version %d now, and was %d)", ErrOvertaken, current.ID, base)
			return nil
		}
		if current.ID > 0 && current.Plan == v.Plan && current.Values == v.Values {
			same = &current
			return nil
		}
		restores := sql.NullInt64{Int64: int64(v.Restores), Valid: v.Restores > 0}
		if err := c.QueryRowContext(ctx, `INSERT INTO plan_versions (at_ms, said_by, note, plan, site_values, hash, restores)
			VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id`, v.At.UnixMilli(), v.By, v.Note, v.Plan, v.Values, v.Hash, restores).Scan(&id); err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, "DELETE FROM plan_versions WHERE id <= ?", id-keepVersions)
		return err
	})
	switch {
	case err != nil:
		return Version{}, false, s.wrote(ctx, "keep a version of the plan", err)
	case refused != nil:
		return Version{}, false, refused
	case same != nil:
		return *same, false, nil
	}
	v.ID = id
	return v, true, nil
}

func hashOf(plan, values string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s%s", len(plan), plan, values)
	return hex.EncodeToString(h.Sum(nil))
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const columns = "id, at_ms, said_by, note, plan, site_values, hash, restores"

func scan(row interface{ Scan(...any) error }) (v Version, err error) {
	var at int64
	var restores sql.NullInt64
	err = row.Scan(&v.ID, &at, &v.By, &v.Note, &v.Plan, &v.Values, &v.Hash, &restores)
	v.At, v.Restores = time.UnixMilli(at).UTC(), int(restores.Int64)
	return v, err
}

func one(ctx context.Context, q querier, where string, args ...any) (Version, error) {
	v, err := scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM plan_versions "+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Version{}, ErrUnknownVersion
	}
	return v, err
}

// Current returns the newest version; the zero Version where there is none yet.
func (s *Store) Current(ctx context.Context) (Version, error) {
	v, err := one(ctx, s.read, "ORDER BY id DESC LIMIT 1")
	if errors.Is(err, ErrUnknownVersion) {
		return Version{}, nil
	}
	if err != nil {
		return Version{}, s.fail("read the plan", err)
	}
	return v, nil
}

// CurrentID returns the number of the newest version; 0 where there is none yet.
func (s *Store) CurrentID(ctx context.Context) (id int, err error) {
	if err = s.read.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM plan_versions").Scan(&id); err != nil {
		return 0, s.fail("read the plan", err)
	}
	return id, nil
}

// Marks returns numbers that rise with every version of the plan and with every secret that is set.
func (s *Store) Marks(ctx context.Context) (plan, secrets int64, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT (SELECT coalesce(max(id), 0) FROM plan_versions), (SELECT coalesce(max(id), 0) FROM work_secrets)").Scan(&plan, &secrets)
	if err != nil {
		return 0, 0, s.fail("look for a newer plan", err)
	}
	return plan, secrets, nil
}

// Version returns one version; ErrUnknownVersion where there is none of that number.
func (s *Store) Version(ctx context.Context, id int) (Version, error) {
	v, err := one(ctx, s.read, "WHERE id = ?", id)
	if err != nil && !errors.Is(err, ErrUnknownVersion) {
		return Version{}, s.fail("read a version of the plan", err)
	}
	return v, err
}

// Versions lists the newest versions, newest first, without their texts.
func (s *Store) Versions(ctx context.Context, limit int) ([]Version, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, at_ms, said_by, note, '', '', hash, restores FROM plan_versions ORDER BY id DESC LIMIT ?", limit)
	if err != nil {
		return nil, s.fail("list versions of the plan", err)
	}
	defer rows.Close()
	var out []Version
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, s.fail("list versions of the plan", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, s.fail("list versions of the plan", err)
	}
	return out, nil
}

// Secret is a secret as it is kept.
type Secret struct {
	ID     int64 // another one each time that it is set
	Name   string
	Sealed string
	At     time.Time
	By     string
}

// SetSecret keeps a sealed secret in the place of what had its name.
func (s *Store) SetSecret(ctx context.Context, name, sealed, by string) error {
	if err := probes.CheckName(name); err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	if by == "" || len(by) > maxText || !utf8.ValidString(by) {
		return ErrNobody
	}
	var refused error
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		refused = nil
		var n int
		if err := c.QueryRowContext(ctx, "SELECT count(*) FROM work_secrets WHERE name <> ?", name).Scan(&n); err != nil {
			return err
		}
		if n >= maxSecrets {
			refused = fmt.Errorf("there are %d secrets, which is the most; remove some that nothing needs", n)
			return nil
		}
		_, err := c.ExecContext(ctx, "INSERT OR REPLACE INTO work_secrets (name, sealed, at_ms, said_by) VALUES (?, ?, ?, ?)", name, sealed, s.now().UnixMilli(), by)
		return err
	})
	if err != nil {
		return s.wrote(ctx, "keep a secret", err)
	}
	return refused
}

// RemoveSecret forgets a secret.
func (s *Store) RemoveSecret(ctx context.Context, name string) error {
	var found bool
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		result, err := c.ExecContext(ctx, "DELETE FROM work_secrets WHERE name = ?", name)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		found = n > 0
		return err
	})
	if err == nil && !found {
		return ErrUnknownSecret
	}
	return s.wrote(ctx, "remove a secret", err)
}

// Secrets lists the secrets by name, sealed as they are.
func (s *Store) Secrets(ctx context.Context) ([]Secret, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, name, sealed, at_ms, said_by FROM work_secrets ORDER BY name")
	if err != nil {
		return nil, s.fail("read secrets", err)
	}
	defer rows.Close()
	var out []Secret
	for rows.Next() {
		var c Secret
		var at int64
		if err := rows.Scan(&c.ID, &c.Name, &c.Sealed, &at, &c.By); err != nil {
			return nil, s.fail("read secrets", err)
		}
		c.At = time.UnixMilli(at).UTC()
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, s.fail("read secrets", err)
	}
	return out, nil
}

// Reseal has every secret sealed anew, all or nothing, and returns how many there are. What they are does not change, so
// their IDs don't either. change is called while nobody else writes, in this process or another; it calls what it is given
// with how to seal anew.
func (s *Store) Reseal(ctx context.Context, change func(reseal func(anew func(name, sealed string) (string, error)) error) error) (int, error) {
	var n int
	var wrong error
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		n = 0
		wrong = change(func(anew func(name, sealed string) (string, error)) error {
			all, err := sealed(ctx, c)
			if err != nil {
				return err
			}
			for i := range all {
				if all[i].Sealed, err = anew(all[i].Name, all[i].Sealed); err != nil {
					return err
				}
			}
			for _, one := range all {
				if _, err := c.ExecContext(ctx, "UPDATE work_secrets SET sealed = ? WHERE name = ?", one.Sealed, one.Name); err != nil {
					return err
				}
			}
			n = len(all)
			return nil
		})
		return wrong
	})
	if wrong != nil {
		return 0, wrong
	}
	return n, s.wrote(ctx, "seal secrets anew", err)
}

// sealed reads the names of secrets and what is kept of them.
func sealed(ctx context.Context, c *sql.Conn) ([]Secret, error) {
	rows, err := c.QueryContext(ctx, "SELECT name, sealed FROM work_secrets")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Secret
	for rows.Next() {
		var one Secret
		if err := rows.Scan(&one.Name, &one.Sealed); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
