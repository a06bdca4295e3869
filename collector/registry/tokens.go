package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/audit"
	"communewatch/collector/registry/record"
	"communewatch/collector/registry/scope"
	"communewatch/probes"
)

// TokenKind says what a token is for.
type TokenKind string

// The kinds of token.
const (
	KindAgent  TokenKind = "agent"  // an agent of ours: its rows are judged
	KindWriter TokenKind = "writer" // any InfluxDB client, such as Telegraf: its measurements are stored, not judged
	// KindOperator starts and stops rehearsals and holds; it writes nothing, and is of no site.
	KindOperator TokenKind = "operator"
)

// Token is what is known of a token: everything but its secret. A token with a site writes for that site only.
type Token struct {
	ID   string
	Kind TokenKind
	Site string // "": a writer that belongs to no site, such as the province's own Telegraf, or an operator
	// Sites and Measurements are what a writer is restricted to; see package scope. Site is empty where there are Sites.
	Sites        []string
	Measurements []string

	Agent    string // "": any agent of the site
	Note     string // for people
	Created  time.Time
	Revoked  time.Time // zero: in force
	LastUsed time.Time // zero: never; up to a minute behind
}

// Identity is who a secret or a certificate belongs to.
type Identity struct {
	Token string // the token's ID; of a certificate "cert:" and its serial number
	Kind  TokenKind
	Site  string       // "": a writer that belongs to no site, or an operator
	Agent string       // "": any agent of the site
	Scope *scope.Scope // of a writer; nil: no more than Site says
}

// A secret is cw1_<id>_<52 characters of base32>: a mark by which scanners for leaked secrets can know it, the
// token's ID, and 256 random bits. They are too many to guess, so their plain SHA-256 is enough to keep; slow password
// hashes are for secrets that people choose.
const (
	secretMark  = "cw1_"
	secretBytes = 32
	idBytes     = 5
)

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// CreateToken makes a token. The secret is returned this once and kept nowhere. Kind, Site, Sites,
// Measurements, Agent and Note are the caller's; sites must have been imported; a writer can do without one, and an operator has none.
func (r *Registry) CreateToken(ctx context.Context, t Token) (secret string, made Token, err error) {
	switch t.Kind {
	case KindAgent, KindWriter:
	case KindOperator:
		if t.Site != "" || t.Agent != "" {
			return "", Token{}, errors.New("token: an operator belongs to no site and no agent; leave them out")
		}
	default:
		return "", Token{}, fmt.Errorf("token kind %q: use %s, %s or %s", t.Kind, KindAgent, KindWriter, KindOperator)
	}
	if err := t.checkScope(); err != nil {
		return "", Token{}, fmt.Errorf("token: %w", err)
	}
	if t.Site != "" || t.Kind == KindAgent {
		if err := probes.CheckName(t.Site); err != nil {
			return "", Token{}, fmt.Errorf("token: site: %w", err)
		}
	}
	if t.Agent != "" {
		if err := probes.CheckName(t.Agent); err != nil {
			return "", Token{}, fmt.Errorf("token: agent: %w", err)
		}
	}
	if len(t.Note) > 200 || !utf8.ValidString(t.Note) || strings.ContainsFunc(t.Note, unicode.IsControl) {
		return "", Token{}, errors.New("token: note: use at most 200 bytes of plain text in one line")
	}
	random := make([]byte, idBytes+secretBytes)
	rand.Read(random) // never fails
	t.ID = base32Lower.EncodeToString(random[:idBytes])
	t.Created, t.Revoked, t.LastUsed = r.now().UTC().Truncate(time.Millisecond), time.Time{}, time.Time{}
	secret = secretMark + t.ID + "_" + base32Lower.EncodeToString(random[idBytes:])
	hash := sha256.Sum256([]byte(secret))

	by := record.Behind(ctx)
	err = r.write(ctx, "create token", func(ctx context.Context, c *sql.Conn) error {
		for _, site := range append(slices.Clone(t.Sites), t.Site) {
			if site == "" {
				continue
			}
			var known bool
			if err := c.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sites WHERE id = ?)", site).Scan(&known); err != nil {
				return err
			}
			if !known {
				return fmt.Errorf("site %s is not in the registry; import it first with: communewatch-collector sites import", site)
			}
		}
		err := by.Add(ctx, c, t.Created, audit.Entry{Act: "token.create", What: t.ID, OK: true,
			Detail: record.Detail("kind", string(t.Kind), "site", t.Site, "sites", scope.Text(t.Sites), "agent", t.Agent, "measurements", scope.Text(t.Measurements), "note", t.Note)})
		if err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, `INSERT INTO tokens (id, kind, site, sites, measurements, agent, note, hash, created_ms)
			VALUES (?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?)`, t.ID, string(t.Kind), t.Site, scope.Text(t.Sites), scope.Text(t.Measurements), t.Agent, t.Note, hash[:], t.Created.UnixMilli())
		return err
	})
	if err != nil {
		return "", Token{}, err
	}
	r.tokens.changes.Add(1)
	return secret, t, nil
}

// checkScope sorts a token's sites and measurements and says what is wrong with them. One site alone stands where it
// always stood.
func (t *Token) checkScope() error {
	in, err := scope.New(t.Sites, t.Measurements)
	if err != nil || in == nil {
		return err
	}
	t.Sites, t.Measurements = in.Sites, in.Measurements
	if len(t.Sites) == 1 && t.Site == "" {
		t.Site, t.Sites = t.Sites[0], nil
	}
	switch {
	case t.Kind != KindWriter && len(t.Sites)+len(t.Measurements) > 0:
		return fmt.Errorf("several sites, and measurements, are for tokens of kind %s", KindWriter)
	case t.Site != "" && len(t.Sites) > 0:
		return errors.New("give one site or several, not both")
	}
	return nil
}

// Tokens lists all tokens, revoked ones included, by site and age.
func (r *Registry) Tokens(ctx context.Context) ([]Token, error) {
	rows, err := r.read.QueryContext(ctx, `SELECT id, kind, coalesce(site, ''), sites, measurements, agent, note, created_ms, revoked_ms, last_used_ms
		FROM tokens LEFT JOIN token_uses ON token = id ORDER BY site, created_ms, id`)
	if err != nil {
		return nil, r.fail("read tokens", err)
	}
	defer rows.Close()
	var out []Token
	for rows.Next() {
		var t Token
		var created int64
		var revoked, used sql.NullInt64
		var sites, measurements string
		if err := rows.Scan(&t.ID, &t.Kind, &t.Site, &sites, &measurements, &t.Agent, &t.Note, &created, &revoked, &used); err != nil {
			return nil, r.fail("read tokens", err)
		}
		if in, err := scope.Parse(sites, measurements); err != nil {
			return nil, r.fail("read tokens", err)
		} else if in != nil {
			t.Sites, t.Measurements = in.Sites, in.Measurements
		}
		t.Created = time.UnixMilli(created).UTC()
		if revoked.Valid {
			t.Revoked = time.UnixMilli(revoked.Int64).UTC()
		}
		if used.Valid {
			t.LastUsed = time.UnixMilli(used.Int64).UTC()
		}
		out = append(out, t)
	}
	if err := rows.Err(); err != nil {
		return nil, r.fail("read tokens", err)
	}
	return out, nil
}

// RevokeToken ends a token for good. It acts here at once, and in other processes within a second. Revoking twice
// is harmless.
func (r *Registry) RevokeToken(ctx context.Context, id string) error {
	at, by := r.now(), record.Behind(ctx)
	err := r.write(ctx, "revoke token", func(ctx context.Context, c *sql.Conn) error {
		var found int
		err := c.QueryRowContext(ctx, `UPDATE tokens SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ? RETURNING 1`, at.UnixMilli(), id).Scan(&found)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("no token has the id %.40q; list them with: communewatch-collector token list", id)
		} else if err != nil {
			return err
		}
		return by.Add(ctx, c, at, audit.Entry{Act: "token.revoke", What: id, OK: true})
	})
	if err == nil {
		r.tokens.changes.Add(1)
	}
	return err
}

// Authenticate says who a secret belongs to, or returns ErrUnknownToken or ErrRevoked. It costs a hash and a look
// into a map.
func (r *Registry) Authenticate(ctx context.Context, secret string) (Identity, error) {
	id, ok := idOf(secret)
	if !ok {
		return Identity{}, ErrUnknownToken
	}
	t, err := r.tokens.find(ctx, id)
	if err != nil {
		return Identity{}, r.fail("read tokens", err)
	}
	if t == nil {
		return Identity{}, ErrUnknownToken
	}
	hash := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash[:], t.hash[:]) != 1 {
		return Identity{}, ErrUnknownToken // the id alone is no secret
	}
	if t.revoked {
		return Identity{}, ErrRevoked
	}
	t.use.last.Store(r.now().UnixMilli())
	return t.identity, nil
}

// idOf takes the token's ID out of a secret.
func idOf(secret string) (string, bool) {
	rest, ok := strings.CutPrefix(secret, secretMark)
	if !ok {
		return "", false
	}
	id, random, ok := strings.Cut(rest, "_")
	return id, ok && len(id) == base32Lower.EncodedLen(idBytes) && len(random) == base32Lower.EncodedLen(secretBytes)
}
