package people

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"communewatch/collector/audit"
	roles "communewatch/collector/people"
)

// Link is a link that works once.
type Link struct {
	Person  string // whose password it sets; "": it makes an administrator
	Expires time.Time
}

// LinkValid is how long a link works.
const LinkValid = 24 * time.Hour

// CreateLink returns the secret of a new link for a person to set a password with; for "" one that makes an
// administrator. Older links of the same kind work no more.
func (s *Store) CreateLink(ctx context.Context, person string) (secret string, err error) {
	secret = random(linkBytes)
	err = s.change(ctx, "make a link", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		e.Act, e.What = "link.create", person
		if person != "" {
			var known bool
			if err := c.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM people WHERE name = ?)", person).Scan(&known); err != nil {
				return err
			}
			if !known {
				return refused{ErrUnknown}
			}
		} else {
			e.What = "an administrator"
		}
		if _, err := c.ExecContext(ctx, "DELETE FROM people_links WHERE person IS nullif(?, '') AND used_ms IS NULL", person); err != nil {
			return err
		}
		now := s.now()
		_, err := c.ExecContext(ctx, "INSERT INTO people_links (hash, person, created_ms, created_by, expires_ms) VALUES (?, nullif(?, ''), ?, ?, ?)",
			hashOf(secret), person, now.UnixMilli(), e.Who, now.Add(LinkValid).UnixMilli())
		return err
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Store) link(ctx context.Context, from queryer, secret string) (l Link, err error) {
	if secret == "" || len(secret) > maxSecret {
		return Link{}, refused{ErrNoLink}
	}
	var expires int64
	err = from.QueryRowContext(ctx, "SELECT coalesce(person, ''), expires_ms FROM people_links WHERE hash = ? AND used_ms IS NULL AND expires_ms > ?",
		hashOf(secret), s.now().UnixMilli()).Scan(&l.Person, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return Link{}, refused{ErrNoLink}
	}
	l.Expires = time.UnixMilli(expires).UTC()
	return l, err
}

// Link returns a link without using it, or ErrNoLink.
func (s *Store) Link(ctx context.Context, secret string) (Link, error) {
	l, err := s.link(ctx, s.db.Read(), secret)
	return l, s.told(ctx, "read a link", err)
}

// UseLink uses a link up: it sets the password of the person that it is for, or makes the administrator called name.
// It returns whose it was.
func (s *Store) UseLink(ctx context.Context, secret, name, display, hash string) (person string, err error) {
	err = s.change(ctx, "use a link", func(ctx context.Context, c *sql.Conn, e *audit.Entry) error {
		l, err := s.link(ctx, c, secret)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, "UPDATE people_links SET used_ms = ? WHERE hash = ?", s.now().UnixMilli(), hashOf(secret)); err != nil {
			return err
		}
		if person = l.Person; person != "" {
			e.Act, e.What, e.Who, e.Via = "person.password", person, person, "screen"
			e.Detail = "with a link"
			return s.setPassword(ctx, c, person, hash, false, "")
		}
		p := Person{Name: name, Display: display, Role: roles.RoleAdmin}
		if err := p.Check(); err != nil {
			return refused{err}
		}
		person = name
		e.Act, e.What, e.Who, e.Via, e.Detail = "person.add", name, name, "screen", "role admin, with a link"
		return s.insert(ctx, c, &p, hash, "link")
	})
	if err != nil {
		return "", err
	}
	return person, nil
}
