package agents

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"slices"
	"sync"
	"sync/atomic"

	"communewatch/collector/fleet"
)

// name is who an agent is.
type name struct{ site, agent string }

// entry is one machine under a name: the keys that it has certificates for, and whether they count.
type entry struct {
	id    int64
	state fleet.State
	keys  [][sha256.Size]byte
}

// standing is all agents in memory, some 200 bytes each.
type standing struct {
	byName atomic.Pointer[map[name][]entry] // replaced as a whole

	mu        sync.Mutex // held while loading; guards the fields below
	conn      *sql.Conn  // of its own, so that no queue of slow readers delays a revocation
	version   int64
	onRevoked []func(site, agent string)
}

// OnRevoked has call called whenever an agent may not report any more under its name, in whatever process that was
// decided. It is called while nobody else is told, so it must not wait for long or ask the Store.
func (s *Store) OnRevoked(call func(site, agent string)) {
	s.standing.mu.Lock()
	defer s.standing.mu.Unlock()
	s.standing.onRevoked = append(s.standing.onRevoked, call)
}

// Standing says whether an agent may report with a key, by its SHA-256: the key of its present certificate, or of a
// former one that has not expired. Whoever has no standing gets fleet.ErrUnknownAgent: the name or the key is not in this
// registry, which may have been put back from a backup. It costs a look into a map.
func (s *Store) Standing(site, agent string, key [sha256.Size]byte) (fleet.State, error) {
	all := s.standing.byName.Load()
	if all == nil {
		return "", fleet.ErrUnknownAgent
	}
	for _, e := range (*all)[name{site, agent}] { // the one in force first
		for _, k := range e.keys {
			if k == key {
				return e.state, nil
			}
		}
	}
	return "", fleet.ErrUnknownAgent
}

// Enrolled reports whether an agent of that name has, or had, an identity of its own. It costs a look into a map.
func (s *Store) Enrolled(site, agent string) bool {
	all := s.standing.byName.Load()
	return all != nil && slices.ContainsFunc((*all)[name{site, agent}], func(e entry) bool { return e.state != fleet.StatePending })
}

// Open reads who may report for the first time.
func (s *Store) Open(ctx context.Context) (err error) {
	s.standing.mu.Lock()
	s.standing.conn, err = s.read.Conn(ctx)
	s.standing.mu.Unlock()
	if err != nil {
		return s.o.Fail("read who may report", err)
	}
	return s.Load(ctx)
}

// Close gives the database's connection back. Call it if Open was called, whatever came of that.
func (s *Store) Close() error {
	s.standing.mu.Lock()
	defer s.standing.mu.Unlock()
	if s.standing.conn == nil {
		return nil
	}
	return s.standing.conn.Close()
}

// Load reads who may report if that changed since it was read last, and calls OnRevoked's functions for those who may
// not any more.
func (s *Store) Load(ctx context.Context) error {
	st := &s.standing
	st.mu.Lock()
	defer st.mu.Unlock()
	tx, err := st.conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // version and agents of the same moment
	if err != nil {
		return s.o.Fail("read who may report", err)
	}
	defer tx.Rollback()
	var version int64
	if err := tx.QueryRowContext(ctx, "SELECT version FROM agent_version").Scan(&version); err != nil {
		return s.o.Fail("read who may report", err)
	}
	if version == st.version {
		return nil
	}
	after := map[name][]entry{}
	where := map[int64]*entry{}
	var ids []int64
	names := map[int64]name{}
	err = each(ctx, tx, func(r *sql.Rows) error {
		var e entry
		var n name
		var key []byte
		if err := r.Scan(&e.id, &n.site, &n.agent, &e.state, &key); err != nil {
			return err
		}
		e.keys = append(e.keys, [sha256.Size]byte(key))
		where[e.id], names[e.id] = &e, n
		ids = append(ids, e.id)
		return nil
	}, "SELECT id, site, agent, state, key FROM agents ORDER BY state <> 'active', id DESC")
	if err == nil {
		err = each(ctx, tx, func(r *sql.Rows) error {
			var id int64
			var key []byte
			if err := r.Scan(&id, &key); err != nil {
				return err
			}
			if e := where[id]; e != nil && e.keys[len(e.keys)-1] != [sha256.Size]byte(key) {
				e.keys = append(e.keys, [sha256.Size]byte(key))
			}
			return nil
		}, "SELECT agent, key FROM agent_certificates ORDER BY agent, number DESC")
	}
	if err != nil {
		return s.o.Fail("read who may report", err)
	}
	for _, id := range ids {
		after[names[id]] = append(after[names[id]], *where[id])
	}
	before := st.byName.Swap(&after)
	st.version = version
	if before == nil {
		return nil
	}
	for n, was := range *before {
		if was[0].state != fleet.StateActive {
			continue
		}
		if now := after[n]; len(now) == 0 || now[0].state != fleet.StateActive || now[0].id != was[0].id {
			for _, call := range st.onRevoked {
				call(n.site, n.agent)
			}
		}
	}
	return nil
}
