// Package people keeps, in the registry's file, accounts, sessions, API keys, links that work once, and the record of
// who changed what.
//
// Nothing that opens a door is kept as it is: of passwords there is an argon2id hash (collector/people/password), of
// sessions, keys and links the SHA-256 of a secret. Those have at least 160 random bits, too many to guess, so that a
// plain hash is enough.
//
// Every change writes its line of the record in the same transaction: there is none without the other. Who is behind it
// is told by the context (collector/people). Nothing is kept in memory, so that a change by the command line acts on the
// next request to the collector that runs.
package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/audit"
	roles "communewatch/collector/people"
	"communewatch/collector/registry/record"
	"communewatch/collector/sqlite"
)

// Store is that part of the registry. Get it from the registry.
type Store struct {
	db   *sqlite.DB
	now  func() time.Time
	fail func(doing string, err error) error // words an error, and notes that the file is in trouble
}

// New returns the store of an open registry.
func New(db *sqlite.DB, now func() time.Time, fail func(doing string, err error) error) *Store {
	return &Store{db: db, now: now, fail: fail}
}

// Errors of a Store; compare with errors.Is. Their texts are for people.
var (
	ErrUnknown   = errors.New("no such account; `communewatch-collector user list` shows those there are")
	ErrTaken     = errors.New("there is an account of that name already")
	ErrLastAdmin = errors.New("this is the last administrator who can sign in; make another one first")
	ErrNoSession = errors.New("the session has ended; sign in again")
	ErrNoKey     = errors.New("the API key is not known, has expired or was revoked")
	ErrNoLink    = errors.New("the link is not known, has expired or was used already; `communewatch-collector user link` makes another")
)

// refused is an error that is for whoever asked, not one of the file.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

func refuse(format string, args ...any) error { return refused{fmt.Errorf(format, args...)} }

// told words an error, unless it is for whoever asked or they gave up.
func (s *Store) told(ctx context.Context, doing string, err error) error {
	var r refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r):
		return r.error
	case ctx.Err() != nil:
		return err
	}
	return s.fail(doing, err)
}

// change runs do in a transaction that is on disk when it returns, with a line of the record that do fills in.
func (s *Store) change(ctx context.Context, doing string, do func(ctx context.Context, c *sql.Conn, e *audit.Entry) error) error {
	by := record.Behind(ctx)
	said := by.Fill(audit.Entry{OK: true})
	return s.told(ctx, doing, s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		if err := do(ctx, c, &said); err != nil {
			return err
		}
		return by.Add(ctx, c, s.now(), said)
	}))
}

// Secrets: what a browser, a program or a person shows. The mark lets scanners for leaked secrets know a key.
const (
	keyMark     = "cw1k_"
	idBytes     = 5
	secretBytes = 32
	linkBytes   = 20
)

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return lower.EncodeToString(b)
}

func hashOf(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// maxSecret bounds what is looked at of a secret that somebody shows.
const maxSecret = 200

func timeOf(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}

func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// Bounds of what people say.
const (
	maxName      = 64
	maxText      = 200
	maxDistricts = 200
	maxPeople    = 10_000
)

// CheckName says what is wrong with an account's name.
func CheckName(name string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@", r))
	}
	switch {
	case len(name) < 2 || len(name) > maxName || strings.ContainsFunc(name, bad) || !(name[0] >= 'a' && name[0] <= 'z'):
		return fmt.Errorf("%.80q: the name of an account has 2 to %d of a-z, 0-9, dot, hyphen, underscore and @, and begins with a letter", name, maxName)
	case slices.Contains([]string{"system", roles.Anonymous, "command"}, name):
		return fmt.Errorf("%q: the record of changes calls the collector itself so; choose another name", name)
	}
	return nil
}

func checkText(what, text string) error {
	if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%s: use at most %d bytes of plain text in one line", what, maxText)
	}
	return nil
}

func checkDistricts(list []string) error {
	if list != nil && len(list) == 0 || len(list) > maxDistricts {
		return fmt.Errorf("districts: name 1 to %d, or none for all", maxDistricts)
	}
	for _, d := range list {
		if d == "" {
			return errors.New("districts: one of them is empty")
		}
		if err := checkText("districts", d); err != nil {
			return err
		}
	}
	return nil
}

// districts as they are kept: NULL for all.
func kept(list []string) (any, error) {
	if list == nil {
		return nil, nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}

func districtsOf(text sql.NullString) ([]string, error) {
	if !text.Valid {
		return nil, nil
	}
	list := []string{}
	if err := json.Unmarshal([]byte(text.String), &list); err != nil {
		return nil, fmt.Errorf("districts of an account are damaged: %w", err)
	}
	return list, nil
}
