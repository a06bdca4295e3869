// Package agents keeps, in the registry's file, the fleet (collector/fleet): agents with an identity of their own, their
// join codes, and what they last said of themselves.
//
// # Secrets
//
// A join code's secret is 80 random bits, good once and for a day or so, and whoever tries secrets has to ask the
// collector, which counts. Who steals the file finds its plain SHA-256, which takes 2^79 guesses on average: some 800,000
// years of a large graphics card (2*10^10 a second) for a code that is good for a day. A slow hash, which is for secrets
// that people choose, would only make an agent's request expensive. The certificates' keys never come here; there are
// hashes of the public ones.
//
// # Who may report
//
// A certificate proves a name and a key; whether that key may still use the name is here. Standing answers from memory.
// What this process changes counts when the call that changed it returns; what the command line's process changes is
// found by a version number in the file, several times per second. OnRevoked is called in both cases, so that open
// connections can be closed.
//
// # Two machines, one identity
//
// A copied disk brings a second machine with a valid key. It is not refused, since nobody here knows which of the two is
// the right one, but noticed, from what agents say of themselves: the same two starts of the agent, or two names of the
// machine, report in turn (a restart never brings the former one back), or a certificate is used that its owner has
// replaced already.
package agents

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/collector/sqlite"
	"communewatch/probes/presence"
)

// Options of a Store. Now and Fail are required.
type Options struct {
	Log  *slog.Logger // nil: slog.Default
	Now  func() time.Time
	Fail func(doing string, err error) error // words an error, and notes that the file is in trouble

	// Audit takes down what is changed; nil: nobody does.
	Audit audit.Recorder
}

// Store is that part of the registry. Get it from the registry. All methods may be called concurrently.
type Store struct {
	o    Options
	db   *sqlite.DB
	read *sql.DB

	standing standing
}

// New returns the store of a database that has its tables. Open it before the first question.
func New(db *sqlite.DB, o Options) *Store {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Store{o: o, db: db, read: db.Read()}
}

// write runs do in a transaction that is on disk when write returns. Refusals and the errors of package fleet that do
// returns come back as they are.
func (s *Store) write(ctx context.Context, doing string, do func(ctx context.Context, c *sql.Conn) error) error {
	err := s.db.WriteDurable(ctx, do)
	var refused *Refused
	var invalid *fleet.Invalid
	if err == nil || ctx.Err() != nil || errors.As(err, &refused) || errors.As(err, &invalid) {
		return err
	}
	for _, known := range []error{fleet.ErrUnknownAgent, fleet.ErrUnknownCode, fleet.ErrUnknownSite, fleet.ErrState, fleet.ErrOtherKey} {
		if errors.Is(err, known) {
			return err
		}
	}
	return s.o.Fail(doing, err)
}

// record takes down what happened by itself; people's changes are recorded by the Desk, which tells when that fails.
func (s *Store) record(ctx context.Context, e audit.Entry) {
	if s.o.Audit == nil {
		return
	}
	e.At = s.o.Now()
	if err := s.o.Audit.Record(context.WithoutCancel(ctx), e); err != nil {
		s.o.Log.Error("what happened can't be recorded", "act", e.Act, "what", e.What, "err", err)
	}
}

// querier is a connection, a transaction or all connections.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func each(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// optional is a time that may be NULL, which is zero.
type optional struct{ time.Time }

// Scan reads a column.
func (o *optional) Scan(v any) error {
	var n sql.NullInt64
	if err := n.Scan(v); err != nil {
		return err
	}
	if o.Time = (time.Time{}); n.Valid {
		o.Time = time.UnixMilli(n.Int64).UTC()
	}
	return nil
}

// Agents returns all agents by site and name: of each name the one that may report and the one that waits, or else the
// one that was thrown out last.
func (s *Store) Agents(ctx context.Context) ([]fleet.Agent, error) {
	out := []fleet.Agent{}
	err := each(ctx, s.read, func(r *sql.Rows) error {
		var a fleet.Agent
		var key []byte
		var machine string
		var asked, approved, revoked, clone, issued, expires, heard, stopped optional
		var serial, said sql.NullString
		if err := r.Scan(&a.Site, &a.Agent, &a.State, &a.Code, &key, &machine, &asked, &approved, &revoked, &a.By, &a.Why, &clone, &a.CloneWhy,
			&serial, &issued, &expires, &heard, &stopped, &said); err != nil {
			return err
		}
		copy(a.Key[:], key)
		if err := json.Unmarshal([]byte(machine), &a.Machine); err != nil {
			return err
		}
		a.Asked, a.Approved, a.Revoked, a.Clone = asked.Time, approved.Time, revoked.Time, clone.Time
		a.Serial, a.Issued, a.Expires = serial.String, issued.Time, expires.Time
		if said.Valid && a.State != fleet.StatePending { // who waits has said nothing yet; its name's last owner has
			a.Presence = new(presence.Presence)
			if err := json.Unmarshal([]byte(said.String), a.Presence); err != nil {
				return err
			}
			a.Heard, a.Stopped = heard.Time, stopped.Time
		}
		out = append(out, a)
		return nil
	}, `SELECT a.site, a.agent, a.state, a.code, a.key, a.machine, a.asked_ms, a.approved_ms, a.revoked_ms, a.said_by, a.why, a.clone_ms, a.clone_why,
			c.serial, c.issued_ms, c.expires_ms, p.heard_ms, p.stopped_ms, p.presence
		FROM agents a
		LEFT JOIN agent_certificates c ON c.agent = a.id AND c.number = (SELECT max(number) FROM agent_certificates WHERE agent = a.id)
		LEFT JOIN agent_presence p ON p.site = a.site AND p.agent = a.agent
		WHERE a.state <> 'revoked' OR a.id = (SELECT max(id) FROM agents o WHERE o.site = a.site AND o.agent = a.agent)
			AND NOT EXISTS (SELECT 1 FROM agents o WHERE o.site = a.site AND o.agent = a.agent AND o.state = 'active')
		ORDER BY a.site, a.agent, a.id`)
	if err != nil {
		return nil, s.o.Fail("read the agents", err)
	}
	return out, nil
}

// How long things are kept.
const (
	keepCodes    = 400 * 24 * time.Hour // that are used, cancelled or expired
	keepRevoked  = 400 * 24 * time.Hour // longer than any certificate of theirs can be renewed
	keepPresence = 400 * 24 * time.Hour
	// certificatesPerAgent is how many are remembered: two years of renewals.
	certificatesPerAgent = 12
	pruneRows            = 2000
)

// Prune removes what is older than it is kept.
func (s *Store) Prune(ctx context.Context) error {
	now := s.o.Now()
	return s.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error {
		for _, q := range []struct {
			text string
			args []any
		}{
			{`DELETE FROM join_codes WHERE id IN (SELECT id FROM join_codes WHERE created_ms < ?1 AND expires_ms < ?1
				AND NOT EXISTS (SELECT 1 FROM agents WHERE code = join_codes.id AND state = 'pending') LIMIT ?2)`, []any{now.Add(-keepCodes).UnixMilli(), pruneRows}},
			{"DELETE FROM agents WHERE id IN (SELECT id FROM agents WHERE state = 'revoked' AND revoked_ms < ? LIMIT ?)", []any{now.Add(-keepRevoked).UnixMilli(), pruneRows}},
			{"DELETE FROM agent_presence WHERE (site, agent) IN (SELECT site, agent FROM agent_presence WHERE heard_ms < ? LIMIT ?)", []any{now.Add(-keepPresence).UnixMilli(), pruneRows}},
			{`DELETE FROM agent_certificates WHERE number <= (SELECT max(number) FROM agent_certificates o WHERE o.agent = agent_certificates.agent) - ?`, []any{certificatesPerAgent}},
		} {
			if _, err := c.ExecContext(ctx, q.text, q.args...); err != nil {
				return err
			}
		}
		return nil
	})
}
