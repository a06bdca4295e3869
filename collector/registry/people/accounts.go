package people

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"communewatch/collector/audit"
	roles "communewatch/collector/people"
)

// Person is an account. Its password is not in it.
type Person struct {
	Name       string
	Display    string
	Role       roles.Role
	Districts  []string // nil: all
	Password   bool     // has one
	MustChange bool     // the password was chosen by somebody else
	SSO        bool     // signs in with the province's own sign-on
	Disabled   time.Time
	Created    time.Time
	CreatedBy  string
	SignedIn   time.Time // zero: never
}

// Check says what is wrong with an account.
func (p *Person) Check() error {
	if err := CheckName(p.Name); err != nil {
		return err
	}
	if !p.Role.Valid() {
		return fmt.Errorf("role %.40q: use viewer, operator, procurement or admin", string(p.Role))
	}
	return errors.Join(checkText("display", p.Display), checkDistricts(p.Districts))
}

const personColumns = `name, display, role, districts, hash <> '', must_change, sso, disabled_ms, created_ms, created_by, signed_in_ms`

func scanPerson(scan func(...any) error, more ...any) (Person, error) {
	var p Person
	var districts sql.NullString
	var disabled, signedIn sql.NullInt64
	var created int64
	err := scan(append([]any{&p.Name, &p.Display, &p.Role, &districts, &p.Password, &p.MustChange, &p.SSO, &disabled, &created, &p.CreatedBy, &signedIn}, more...)...)
	if err != nil {
		return Person{}, err
	}
	p.Disabled, p.Created, p.SignedIn = timeOf(disabled), time.UnixMilli(created).UTC(), timeOf(signedIn)
	p.Districts, err = districtsOf(districts)
	return p, err
}

// All lists the accounts by name.
func (s *Store) All(ctx context.Context) ([]Person, error) {
	rows, err := s.db.Read().QueryContext(ctx, "SELECT "+personColumns+" FROM people ORDER BY name")
	if err != nil {
		return nil, s.told(ctx, "read accounts", err)
	}
	defer rows.Close()
	out := []Person{}
	for rows.Next() {
		p, err := scanPerson(rows.Scan)
		if err != nil {
			return nil, s.told(ctx, "read accounts", err)
		}
		out = append(out, p)
	}
	return out, s.told(ctx, "read accounts", rows.Err())
}

// Person returns an account, or ErrUnknown.
func (s *Store) Person(ctx context.Context, name string) (Person, error) {
	p, _, err := s.Secret(ctx, name)
	return p, err
}

// Secret returns an account with the hash of its password, "" for none; or ErrUnknown.
func (s *Store) Secret(ctx context.Context, name string) (p Person, hash string, err error) {
	if len(name) > maxName {
		return Person{}, "", ErrUnknown
	}
	p, err = scanPerson(s.db.Read().QueryRowContext(ctx, "SELECT "+personColumns+", hash FROM people WHERE name = ?", name).Scan, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return Person{}, "", ErrUnknown
	}
	return p, hash, s.told(ctx, "read an account", err)
}

// AnyAdmin reports whether somebody can administrate: an administrator of some districts can't.
func (s *Store) AnyAdmin(ctx context.Context) (any bool, err error) {
	err = s.db.Read().QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM people WHERE role = 'admin' AND districts IS NULL AND disabled_ms IS NULL)").Scan(&any)
	return any, s.told(ctx, "read accounts", err)
}

// Add makes an account. Hash is of its password, "" for none.
func (s *Store) Add(ctx context.Context, p Person, hash string) error {
	if err := p.Check(); err != nil {
		return err
	}
	return s.change(ctx, "add an account", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.Act, e.What = "person.add", p.Name
		e.Detail = fmt.Sprintf("role %s, districts %s", p.Role, said(p.Districts))
		return s.insert(ctx, c, &p, hash, e.Who)
	})
}

// said is a list of districts for the record.
func said(list []string) string {
	if list == nil {
		return "all"
	}
	return strings.Join(list, ", ")
}

func (s *Store) insert(ctx context.Context, c *sql.Conn, p *Person, hash, by string) error {
	districts, err := kept(p.Districts)
	if err != nil {
		return err
	}
	var n int
	var taken bool
	if err := c.QueryRowContext(ctx, "SELECT count(*), coalesce(max(name = ?), 0) FROM people", p.Name).Scan(&n, &taken); err != nil {
		return err
	}
	if taken {
		return refused{ErrTaken}
	}
	if n >= maxPeople {
		return refuse("there are %d accounts; disable some that nobody uses", n)
	}
	_, err = c.ExecContext(ctx, `INSERT INTO people (name, display, role, districts, hash, must_change, sso, created_ms, created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		p.Name, p.Display, string(p.Role), districts, hash, p.MustChange, p.SSO, s.now().UnixMilli(), by)
	return err
}

// Change is what to change of an account; what is nil stays.
type Change struct {
	Display   *string
	Role      *roles.Role
	Districts *[]string // of nil: all
	Disabled  *bool
}

// Set changes an account. It acts on the next request; who is disabled is signed out.
func (s *Store) Set(ctx context.Context, name string, change Change) error {
	return s.change(ctx, "change an account", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.Act, e.What = "person.set", name
		p, err := scanPerson(c.QueryRowContext(ctx, "SELECT "+personColumns+" FROM people WHERE name = ?", name).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return refused{ErrUnknown}
		} else if err != nil {
			return err
		}
		var what []string
		if change.Display != nil && *change.Display != p.Display {
			p.Display = *change.Display
			what = append(what, "display")
		}
		if change.Role != nil && *change.Role != p.Role {
			what = append(what, fmt.Sprintf("role %s, was %s", *change.Role, p.Role))
			p.Role = *change.Role
		}
		if change.Districts != nil && (!slices.Equal(*change.Districts, p.Districts) || (*change.Districts == nil) != (p.Districts == nil)) {
			what = append(what, fmt.Sprintf("districts %s, were %s", said(*change.Districts), said(p.Districts)))
			p.Districts = *change.Districts
		}
		if change.Disabled != nil && *change.Disabled == p.Disabled.IsZero() {
			if *change.Disabled {
				p.Disabled = s.now()
				what = append(what, "disabled")
			} else {
				p.Disabled = time.Time{}
				what = append(what, "enabled")
			}
		}
		e.Detail = strings.Join(what, "; ")
		if err := p.Check(); err != nil {
			return refused{err}
		}
		districts, err := kept(p.Districts)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, "UPDATE people SET display = ?, role = ?, districts = ?, disabled_ms = ? WHERE name = ?",
			p.Display, string(p.Role), districts, millis(p.Disabled), name); err != nil {
			return err
		}
		if !p.Disabled.IsZero() {
			if err := s.endAll(ctx, c, name, nil); err != nil {
				return err
			}
		}
		if p.Role == roles.RoleAdmin && p.Districts == nil && p.Disabled.IsZero() {
			return nil
		}
		return lastAdmin(ctx, c, name)
	})
}

// lastAdmin refuses a change of an account after which nobody could administrate, although somebody could before.
func lastAdmin(ctx context.Context, c *sql.Conn, name string) error {
	var left, any bool
	err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM people WHERE role = 'admin' AND districts IS NULL AND disabled_ms IS NULL),
		EXISTS (SELECT 1 FROM people WHERE role = 'admin' OR name = ?)`, name).Scan(&left, &any)
	if err == nil && !left && any {
		return refused{ErrLastAdmin}
	}
	return err
}

// SetPassword sets the hash of an account's password, and ends its sessions but the one that is kept ("": none). With
// mustChange it is good for one sign-in, after which another has to be chosen.
func (s *Store) SetPassword(ctx context.Context, name, hash string, mustChange bool, keep string) error {
	return s.change(ctx, "set a password", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.Act, e.What = "person.password", name
		return s.setPassword(ctx, c, name, hash, mustChange, keep)
	})
}

func (s *Store) setPassword(ctx context.Context, c *sql.Conn, name, hash string, mustChange bool, keep string) error {
	result, err := c.ExecContext(ctx, "UPDATE people SET hash = ?, must_change = ? WHERE name = ?", hash, mustChange, name)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return refused{ErrUnknown}
	}
	var but []byte
	if keep != "" {
		but = hashOf(keep)
	}
	return s.endAll(ctx, c, name, but)
}

// Rehash replaces the hash of a password by another of the same password, if it is still the old one.
func (s *Store) Rehash(ctx context.Context, name, old, hash string) error {
	return s.told(ctx, "renew a hash", s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, "UPDATE people SET hash = ? WHERE name = ? AND hash = ?", hash, name, old)
		return err
	}))
}

// Subject is who somebody is at the province's own sign-on.
type Subject struct{ Issuer, ID string }

// ErrNotYours is returned for a name that belongs to somebody else.
var ErrNotYours = errors.New("there is a local account of that name, which is not of the province's own sign-on; an administrator can allow it with: communewatch-collector user set NAME --sso")

// Of returns the account of a subject. Where there is none, want is made (create), or an account of that name taken that
// signs in this way and belongs to no subject yet.
func (s *Store) Of(ctx context.Context, subject Subject, want Person, create bool) (Person, error) {
	var name string
	err := s.db.Read().QueryRowContext(ctx, "SELECT person FROM people_subjects WHERE issuer = ? AND subject = ?", subject.Issuer, subject.ID).Scan(&name)
	if err == nil {
		return s.Person(ctx, name)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return Person{}, s.told(ctx, "read accounts", err)
	}
	if len(subject.ID) > 255 || subject.ID == "" {
		return Person{}, errors.New("the sign-on names nobody")
	}
	if err := CheckName(want.Name); err != nil {
		return Person{}, err
	}
	err = s.change(ctx, "add an account", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.What, e.Detail = want.Name, "of the province's own sign-on"
		var sso, bound bool
		err := c.QueryRowContext(ctx, "SELECT sso, EXISTS (SELECT 1 FROM people_subjects WHERE person = name) FROM people WHERE name = ?", want.Name).Scan(&sso, &bound)
		switch {
		case err == nil && (!sso || bound):
			return refused{ErrNotYours}
		case err == nil:
			e.Act = "person.bind"
		case !errors.Is(err, sql.ErrNoRows):
			return err
		case !create:
			return refused{ErrUnknown}
		default:
			e.Act, want.SSO = "person.add", true
			e.Detail += fmt.Sprintf(", role %s, districts %s", want.Role, said(want.Districts))
			if err := want.Check(); err != nil {
				return refused{err}
			}
			if err := s.insert(ctx, c, &want, "", "system"); err != nil {
				return err
			}
		}
		_, err = c.ExecContext(ctx, "INSERT INTO people_subjects (issuer, subject, person) VALUES (?, ?, ?)", subject.Issuer, subject.ID, want.Name)
		return err
	})
	if err != nil {
		return Person{}, err
	}
	return s.Person(ctx, want.Name)
}

// AllowSSO says whether an account may be taken by whoever has its name at the province's own sign-on. Where it may not any
// more, sessions that were begun so end.
func (s *Store) AllowSSO(ctx context.Context, name string, allow bool) error {
	return s.change(ctx, "change an account", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.Act, e.What, e.Detail = "person.set", name, fmt.Sprintf("sign-on of the province: %t", allow)
		result, err := c.ExecContext(ctx, "UPDATE people SET sso = ? WHERE name = ?", allow, name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return refused{ErrUnknown}
		}
		if allow {
			return nil
		}
		if _, err := c.ExecContext(ctx, "DELETE FROM people_subjects WHERE person = ?", name); err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, "UPDATE people_sessions SET ended_ms = ? WHERE person = ? AND sso AND ended_ms IS NULL", s.now().UnixMilli(), name)
		return err
	})
}

// Shut ends the sessions and API keys of a subject's account, as when the sign-on names no role for them any more: keys
// live for years, and sessions outlast their reason. An account that has none of either, and a subject without an account,
// is left as it is.
func (s *Store) Shut(ctx context.Context, subject Subject, why string) error {
	var name string
	now := s.now().UnixMilli()
	err := s.db.Read().QueryRowContext(ctx, `SELECT person FROM people_subjects b WHERE issuer = ? AND subject = ? AND
		(EXISTS (SELECT 1 FROM people_sessions s WHERE s.person = b.person AND ended_ms IS NULL)
		OR EXISTS (SELECT 1 FROM people_keys k WHERE k.person = b.person AND revoked_ms IS NULL AND expires_ms > ?))`, subject.Issuer, subject.ID, now).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return s.told(ctx, "read accounts", err)
	}
	return s.change(ctx, "end sessions and keys", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.Act, e.What, e.Detail = "person.shut", name, "sessions and API keys ended: "+why
		if _, err := c.ExecContext(ctx, "UPDATE people_keys SET revoked_ms = ? WHERE person = ? AND revoked_ms IS NULL", now, name); err != nil {
			return err
		}
		return s.endAll(ctx, c, name, nil)
	})
}
