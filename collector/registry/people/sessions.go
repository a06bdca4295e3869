package people

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"communewatch/collector/audit"
	roles "communewatch/collector/people"
)

// Session is somebody who is signed in.
type Session struct {
	Person  string
	Created time.Time
	Seen    time.Time // up to a minute behind
	Address string
	Agent   string // the browser, as it says itself
	Ended   time.Time
	SSO     bool // begun by the province's own sign-on

	hash []byte
}

// Is reports whether a secret is that of the session.
func (s *Session) Is(secret string) bool {
	return subtle.ConstantTimeCompare(s.hash, hashOf(secret)) == 1
}

const (
	// seenEvery is how exactly it is known when a session was last used: each use would be a write otherwise.
	seenEvery = time.Minute
	// sessionsOfOne is how many of a person's sessions are kept open: a few browsers, and those that were forgotten.
	sessionsOfOne = 20
)

// Begin signs somebody in: it returns the secret of a new session. How is written into the record, such as "with a password".
func (s *Store) Begin(ctx context.Context, in Session, how string) (secret string, err error) {
	secret = random(secretBytes)
	agent := plain(in.Agent)
	err = s.change(ctx, "sign in", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.Act, e.What, e.Detail, e.Who, e.Via, e.Address = "sign_in", in.Person, how, in.Person, "screen", in.Address
		now := s.now().UnixMilli()
		result, err := c.ExecContext(ctx, "UPDATE people SET signed_in_ms = ? WHERE name = ? AND disabled_ms IS NULL", now, in.Person)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return refused{ErrUnknown}
		}
		if _, err := c.ExecContext(ctx, `UPDATE people_sessions SET ended_ms = ?1 WHERE ended_ms IS NULL AND hash IN
			(SELECT hash FROM people_sessions WHERE person = ?2 AND ended_ms IS NULL ORDER BY seen_ms DESC LIMIT -1 OFFSET ?3)`, now, in.Person, sessionsOfOne-1); err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, "INSERT INTO people_sessions (hash, person, created_ms, seen_ms, address, agent, sso) VALUES (?, ?, ?, ?, ?, ?, ?)",
			hashOf(secret), in.Person, now, now, in.Address, agent, in.SSO)
		return err
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// plain is what a stranger wrote, bounded and in one line.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), maxText)], " "))
	return text
}

// Lives is how long sessions last: without a request, from their beginning on, and from there where they were begun by the
// province's own sign-on.
type Lives struct{ Idle, Absolute, SSO time.Duration }

// Open returns the session of a secret and whose it is, if it is open still; else ErrNoSession. That it was used is noted.
func (s *Store) Open(ctx context.Context, secret string, lives Lives) (Session, Person, error) {
	if secret == "" || len(secret) > maxSecret {
		return Session{}, Person{}, ErrNoSession
	}
	now := s.now()
	var in Session
	var created, seen int64
	hash := hashOf(secret)
	p, err := scanPerson(s.db.Read().QueryRowContext(ctx, "SELECT "+prefixed("p.")+`, s.created_ms, s.seen_ms, s.address, s.agent, s.sso
		FROM people_sessions s JOIN people p ON p.name = s.person
		WHERE s.hash = ? AND s.ended_ms IS NULL AND p.disabled_ms IS NULL AND s.seen_ms > ? AND s.created_ms > CASE WHEN s.sso THEN ? ELSE ? END`,
		hash, now.Add(-lives.Idle).UnixMilli(), now.Add(-lives.SSO).UnixMilli(), now.Add(-lives.Absolute).UnixMilli()).Scan, &created, &seen, &in.Address, &in.Agent, &in.SSO)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, Person{}, ErrNoSession
	}
	if err != nil {
		return Session{}, Person{}, s.told(ctx, "read a session", err)
	}
	in.Person, in.Created, in.Seen, in.hash = p.Name, time.UnixMilli(created).UTC(), time.UnixMilli(seen).UTC(), hash
	if now.Sub(in.Seen).Abs() >= seenEvery {
		err = s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
			_, err := c.ExecContext(ctx, "UPDATE people_sessions SET seen_ms = ? WHERE hash = ? AND ended_ms IS NULL", now.UnixMilli(), hash)
			return err
		})
	}
	_ = s.told(ctx, "note the use of a session", err) // a full disk keeps nobody from looking
	return in, p, nil
}

func prefixed(with string) string {
	return with + strings.ReplaceAll(personColumns, ", ", ", "+with)
}

// End signs out.
func (s *Store) End(ctx context.Context, secret string) error {
	return s.change(ctx, "sign out", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		err := c.QueryRowContext(ctx, "UPDATE people_sessions SET ended_ms = ? WHERE hash = ? AND ended_ms IS NULL RETURNING person",
			s.now().UnixMilli(), hashOf(secret)).Scan(&e.What)
		if errors.Is(err, sql.ErrNoRows) {
			return refused{ErrNoSession}
		}
		e.Act, e.Who = "sign_out", e.What
		return err
	})
}

// EndAll ends all sessions of a person but the one of the secret ("": none).
func (s *Store) EndAll(ctx context.Context, name, but string) error {
	return s.change(ctx, "end sessions", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.Act, e.What = "person.sign_out", name
		var kept []byte
		if but != "" {
			kept = hashOf(but)
		}
		return s.endAll(ctx, c, name, kept)
	})
}

func (s *Store) endAll(ctx context.Context, c *sql.Conn, name string, but []byte) error {
	_, err := c.ExecContext(ctx, "UPDATE people_sessions SET ended_ms = ? WHERE person = ? AND ended_ms IS NULL AND hash IS NOT ?", s.now().UnixMilli(), name, but)
	return err
}

// Sessions lists a person's open sessions, the newest first. Some may be too old to be of use.
func (s *Store) Sessions(ctx context.Context, name string) ([]Session, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT hash, created_ms, seen_ms, address, agent FROM people_sessions
		WHERE person = ? AND ended_ms IS NULL ORDER BY created_ms DESC LIMIT ?`, name, sessionsOfOne)
	if err != nil {
		return nil, s.told(ctx, "read sessions", err)
	}
	defer rows.Close()
	var out []Session
	for rows.Next() {
		in := Session{Person: name}
		var created, seen int64
		if err := rows.Scan(&in.hash, &created, &seen, &in.Address, &in.Agent); err != nil {
			return nil, s.told(ctx, "read sessions", err)
		}
		in.Created, in.Seen = time.UnixMilli(created).UTC(), time.UnixMilli(seen).UTC()
		out = append(out, in)
	}
	return out, s.told(ctx, "read sessions", rows.Err())
}

// Came reports whether somebody has signed in from an address before.
func (s *Store) Came(ctx context.Context, name, address string) (came bool, err error) {
	err = s.db.Read().QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM people_sessions WHERE person = ? AND address = ?)", name, address).Scan(&came)
	return came, s.told(ctx, "read sessions", err)
}

// Key is what is known of an API key: everything but its secret.
type Key struct {
	ID        string
	Person    string // whose it is; it may never do more than they may
	Role      roles.Role
	Districts []string // nil: all that the person sees
	Note      string
	Created   time.Time
	CreatedBy string
	Expires   time.Time
	Revoked   time.Time // zero: in force
	LastUsed  time.Time // zero: never; up to a minute behind
}

// LongestKey is how long an API key is good for at most.
const LongestKey = 2 * 366 * 24 * time.Hour

// keysOfOne bounds the keys of a person.
const keysOfOne = 50

// CreateKey makes an API key. The secret is returned this once and kept nowhere. Person, Role, Districts, Note and
// Expires are the caller's.
func (s *Store) CreateKey(ctx context.Context, k Key) (secret string, made Key, err error) {
	now := s.now().UTC().Truncate(time.Millisecond)
	if err := errors.Join(checkText("note", k.Note), checkDistricts(k.Districts)); err != nil {
		return "", Key{}, err
	}
	switch {
	case !k.Role.Valid():
		return "", Key{}, fmt.Errorf("role %.40q: use viewer, operator, procurement or admin", string(k.Role))
	case !k.Expires.After(now) || k.Expires.Sub(now) > LongestKey:
		return "", Key{}, errors.New("an API key is good for some time from now on, at most two years")
	}
	k.ID, k.Created, k.Revoked, k.LastUsed = random(idBytes), now, time.Time{}, time.Time{}
	secret = keyMark + k.ID + "_" + random(secretBytes)
	districts, err := kept(k.Districts)
	if err != nil {
		return "", Key{}, err
	}
	err = s.change(ctx, "make an API key", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		k.CreatedBy = e.Who
		e.Act, e.What = "key.create", k.Person+"/"+k.ID
		e.Detail = fmt.Sprintf("role %s, districts %s, until %s", k.Role, said(k.Districts), k.Expires.UTC().Format(time.DateOnly))
		p, err := scanPerson(c.QueryRowContext(ctx, "SELECT "+personColumns+" FROM people WHERE name = ?", k.Person).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return refused{ErrUnknown}
		} else if err != nil {
			return err
		}
		if !k.Role.Within(p.Role) {
			return refuse("an API key of %s (%s) can't have the role %s, which may do more", p.Name, p.Role, k.Role)
		}
		for _, d := range k.Districts {
			if p.Districts != nil && !slices.Contains(p.Districts, d) {
				return refuse("%s does not see %q", p.Name, d)
			}
		}
		var n int
		if err := c.QueryRowContext(ctx, "SELECT count(*) FROM people_keys WHERE person = ? AND revoked_ms IS NULL AND expires_ms > ?", k.Person, now.UnixMilli()).Scan(&n); err != nil {
			return err
		}
		if n >= keysOfOne {
			return refuse("%s has %d API keys; revoke some", k.Person, n)
		}
		_, err = c.ExecContext(ctx, "INSERT INTO people_keys (id, hash, person, role, districts, note, created_ms, created_by, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			k.ID, hashOf(secret), k.Person, string(k.Role), districts, k.Note, now.UnixMilli(), k.CreatedBy, k.Expires.UnixMilli())
		return err
	})
	if err != nil {
		return "", Key{}, err
	}
	return secret, k, nil
}

// IsKey reports whether a secret looks like an API key.
func IsKey(secret string) bool { return strings.HasPrefix(secret, keyMark) }

const keyColumns = "k.id, k.hash, k.person, k.role, k.districts, k.note, k.created_ms, k.created_by, k.expires_ms, k.revoked_ms, k.last_used_ms"

func scanKey(into *Key, hash *[]byte) (columns []any, finish func() error) {
	var districts sql.NullString
	var created, expires int64
	var revoked, used sql.NullInt64
	return []any{&into.ID, hash, &into.Person, &into.Role, &districts, &into.Note, &created, &into.CreatedBy, &expires, &revoked, &used}, func() (err error) {
		into.Created, into.Expires = time.UnixMilli(created).UTC(), time.UnixMilli(expires).UTC()
		into.Revoked, into.LastUsed = timeOf(revoked), timeOf(used)
		into.Districts, err = districtsOf(districts)
		return err
	}
}

// Key returns the key of a secret and whose it is, or ErrNoKey. It is the caller's to see that the person still may do
// what the key says.
func (s *Store) Key(ctx context.Context, secret string) (Key, Person, error) {
	id, _, found := strings.Cut(strings.TrimPrefix(secret, keyMark), "_")
	if !found || !IsKey(secret) || len(secret) > maxSecret {
		return Key{}, Person{}, ErrNoKey
	}
	now := s.now()
	var k Key
	var hash []byte
	columns, finish := scanKey(&k, &hash)
	p, err := scanPerson(s.db.Read().QueryRowContext(ctx, "SELECT "+prefixed("p.")+", "+keyColumns+` FROM people_keys k JOIN people p ON p.name = k.person
		WHERE k.id = ? AND k.revoked_ms IS NULL AND k.expires_ms > ? AND p.disabled_ms IS NULL`, id, now.UnixMilli()).Scan, columns...)
	if errors.Is(err, sql.ErrNoRows) || err == nil && subtle.ConstantTimeCompare(hash, hashOf(secret)) != 1 {
		return Key{}, Person{}, ErrNoKey
	}
	if err == nil {
		err = finish()
	}
	if err != nil {
		return Key{}, Person{}, s.told(ctx, "read an API key", err)
	}
	if now.Sub(k.LastUsed).Abs() >= seenEvery {
		err = s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
			_, err := c.ExecContext(ctx, "UPDATE people_keys SET last_used_ms = ? WHERE id = ?", now.UnixMilli(), id)
			return err
		})
	}
	_ = s.told(ctx, "note the use of an API key", err) // as in Open
	return k, p, nil
}

// Keys lists API keys, revoked ones included, by person and age; of "" those of all.
func (s *Store) Keys(ctx context.Context, person string) ([]Key, error) {
	rows, err := s.db.Read().QueryContext(ctx, "SELECT "+keyColumns+" FROM people_keys k WHERE ?1 = '' OR k.person = ?1 ORDER BY k.person, k.created_ms, k.id", person)
	if err != nil {
		return nil, s.told(ctx, "read API keys", err)
	}
	defer rows.Close()
	out := []Key{}
	for rows.Next() {
		var k Key
		var hash []byte
		columns, finish := scanKey(&k, &hash)
		if err := errors.Join(rows.Scan(columns...), finish()); err != nil {
			return nil, s.told(ctx, "read API keys", err)
		}
		out = append(out, k)
	}
	return out, s.told(ctx, "read API keys", rows.Err())
}

// RevokeKey ends an API key for good; of a person ("": of anybody). Revoking twice is harmless.
func (s *Store) RevokeKey(ctx context.Context, id, person string) error {
	return s.change(ctx, "revoke an API key", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		var of string
		err := c.QueryRowContext(ctx, "UPDATE people_keys SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ? AND (?3 = '' OR person = ?3) RETURNING person",
			s.now().UnixMilli(), id, person).Scan(&of)
		if errors.Is(err, sql.ErrNoRows) {
			return refused{ErrNoKey}
		}
		e.Act, e.What = "key.revoke", of+"/"+id
		return err
	})
}
