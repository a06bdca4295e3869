package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/collector/registry/scope"
)

// cachedToken is a token as Authenticate needs it; read-only but for its use.
type cachedToken struct {
	identity Identity
	hash     [sha256.Size]byte
	revoked  bool
	use      *tokenUse
}

// tokenUse is when a token was last used, in Unix milliseconds, and which of these times is in the file.
type tokenUse struct{ last, written atomic.Int64 }

// tokenCache is all tokens in memory: some 300 bytes each, and there is about one per agent.
type tokenCache struct {
	byID    atomic.Pointer[map[string]*cachedToken] // replaced as a whole
	changes atomic.Uint64                           // by this process
	seen    atomic.Uint64                           // how many of them are in byID

	mu      sync.Mutex // held while loading; guards the fields below
	conn    *sql.Conn  // of its own, so that no queue of slow readers delays a revocation
	version int64
	checked time.Time
}

// staleAfter bounds how often strangers with made-up tokens can make us look into the file.
const staleAfter = 100 * time.Millisecond

// find returns a token, nil for one that does not exist.
func (tc *tokenCache) find(ctx context.Context, id string) (*cachedToken, error) {
	if tc.changes.Load() != tc.seen.Load() {
		if err := tc.load(ctx, time.Now()); err != nil {
			return nil, err
		}
	}
	if t := (*tc.byID.Load())[id]; t != nil {
		return t, nil
	}
	// Another process may have made it a moment ago: an answer as of later than this call is needed. Whoever asks too
	// soon after the last look waits for the next, so that strangers get as little of us.
	asked := time.Now()
	for {
		tc.mu.Lock()
		checked := tc.checked
		tc.mu.Unlock()
		wait := staleAfter - time.Since(checked)
		if !checked.Before(asked) {
			return (*tc.byID.Load())[id], nil
		}
		if wait <= 0 {
			if err := tc.load(ctx, asked); err != nil {
				return nil, err
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

// load reads the tokens if they changed since they were read last, unless somebody else looked after asOf.
func (tc *tokenCache) load(ctx context.Context, asOf time.Time) (err error) {
	tc.mu.Lock()
	defer tc.mu.Unlock()
	if tc.checked.After(asOf) {
		return nil
	}
	begun := time.Now()
	changes := tc.changes.Load()
	defer func() {
		if err == nil {
			tc.seen.Store(changes)
		}
	}()
	tx, err := tc.conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // version and tokens of the same moment
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var version int64
	if err := tx.QueryRowContext(ctx, "SELECT version FROM token_version").Scan(&version); err != nil {
		return err
	}
	tc.checked = begun
	if version == tc.version {
		return nil
	}
	var before map[string]*cachedToken
	if p := tc.byID.Load(); p != nil {
		before = *p
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, kind, coalesce(site, ''), sites, measurements, agent, hash, revoked_ms IS NOT NULL FROM tokens`)
	if err != nil {
		return err
	}
	defer rows.Close()
	after := make(map[string]*cachedToken, len(before)+1)
	for rows.Next() {
		t := &cachedToken{use: new(tokenUse)}
		var hash []byte
		var sites, measurements string
		if err := rows.Scan(&t.identity.Token, &t.identity.Kind, &t.identity.Site, &sites, &measurements, &t.identity.Agent, &hash, &t.revoked); err != nil {
			return err
		}
		if t.identity.Scope, err = scope.Parse(sites, measurements); err != nil {
			return fmt.Errorf("token %s has a damaged scope; revoke it and make a new one: %w", t.identity.Token, err)
		}
		if copy(t.hash[:], hash) != len(t.hash) {
			return fmt.Errorf("token %s has a damaged hash; revoke it and make a new one", t.identity.Token)
		}
		if old := before[t.identity.Token]; old != nil {
			t.use = old.use
		}
		after[t.identity.Token] = t
	}
	if err := rows.Err(); err != nil {
		return err
	}
	tc.byID.Store(&after)
	tc.version = version
	return nil
}

// writeLastUsed writes down when tokens were used, those that were since the last time.
func (r *Registry) writeLastUsed(ctx context.Context) error {
	uses := map[string]int64{}
	for id, t := range *r.tokens.byID.Load() {
		if at := t.use.last.Load(); at > t.use.written.Load() {
			uses[id] = at
		}
	}
	if len(uses) == 0 {
		return nil
	}
	err := r.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
		for id, at := range uses {
			// A token can be gone only if somebody deleted it by hand.
			_, err := c.ExecContext(ctx, `INSERT INTO token_uses (token, last_used_ms)
				SELECT id, ?2 FROM tokens WHERE id = ?1
				ON CONFLICT (token) DO UPDATE SET last_used_ms = max(last_used_ms, excluded.last_used_ms)`, id, at)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	tokens := *r.tokens.byID.Load()
	for id, at := range uses {
		if t := tokens[id]; t != nil {
			t.use.written.Store(at)
		}
	}
	return nil
}
