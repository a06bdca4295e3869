package agents

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/probes/enroll"
)

// Asking is an agent's request for its first certificate. Its sender has proven to have the key.
type Asking struct {
	Secret  [enroll.SecretBytes]byte // of the join code
	Key     [sha256.Size]byte        // SHA-256 of the SubjectPublicKeyInfo
	Agent   string                   // the name that it would have
	Machine enroll.Machine
	Approve bool   // somebody has to approve every agent, whatever its code says
	Address string // that it comes from, for the record
}

// Admitted says what became of an Asking: whose certificate it may have, or that somebody has to approve it.
type Admitted struct {
	Site, Agent string
	State       fleet.State // StateActive or StatePending
}

// Refused says why an agent gets no certificate.
type Refused struct {
	Code    string // one of package enroll's
	Message string // for the person at the machine
}

func (r *Refused) Error() string { return r.Message }

func refuse(code, format string, args ...any) error {
	return &Refused{Code: code, Message: fmt.Sprintf(format, args...)}
}

// askAgain is how long after it was let in an agent may ask for its first certificate once more: the answer was lost, or
// it did not look for the approval earlier. Afterwards it has one, and renews that.
const askAgain = 7 * 24 * time.Hour

// clockWrong is how far the clock by which a code was made may have been ahead: beyond it the code would be good for years.
const clockWrong = 24 * time.Hour

// secretHash is what is kept of a join code's secret.
func secretHash(secret [enroll.SecretBytes]byte) []byte {
	sum := sha256.Sum256(secret[:])
	return sum[:]
}

// Knows reports whether there is a join code with that secret, good or not. The secrets are compared by the look-up of
// their hashes, whose time says nothing of how much of a secret was right.
func (s *Store) Knows(ctx context.Context, secret [enroll.SecretBytes]byte) (bool, error) {
	var known bool
	err := s.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM join_codes WHERE hash = ?)", secretHash(secret)).Scan(&known)
	if err != nil {
		return false, s.o.Fail("look a join code up", err)
	}
	return known, nil
}

// boundCode is a join code as an Asking finds it.
type boundCode struct {
	id, site, agent, usedBy  string
	replaces, approve        bool
	expires, used, cancelled optional
	key                      []byte // nil: of nobody yet
}

// present is an agent that may report or waits to.
type present struct {
	id       int64
	state    fleet.State
	code     string
	key      []byte
	approved optional
}

// Ask lets the agent in that a join code is for, or says with a Refused why not. The code is bound to the first key that
// is let in, or waits; the same may be asked again with the same key.
func (s *Store) Ask(ctx context.Context, a Asking) (Admitted, error) {
	machine, err := json.Marshal(a.Machine)
	if err != nil {
		return Admitted{}, err
	}
	var out Admitted
	var news bool // something changed
	err = s.write(ctx, "let an agent in", func(ctx context.Context, c *sql.Conn) error {
		out, news = Admitted{}, false
		var code boundCode
		err := c.QueryRowContext(ctx, `SELECT id, site, agent, used_by, replaces, approve, expires_ms, used_ms, cancelled_ms, key FROM join_codes WHERE hash = ?`,
			secretHash(a.Secret)).Scan(&code.id, &code.site, &code.agent, &code.usedBy, &code.replaces, &code.approve, &code.expires, &code.used, &code.cancelled, &code.key)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return refuse(enroll.RefusedCode, "the collector does not know this join code; ask for a new one")
		case err != nil:
			return err
		case !code.cancelled.IsZero():
			return refuse(enroll.RefusedCode, "the join code was cancelled; ask for a new one")
		case code.key != nil && string(code.key) != string(a.Key[:]):
			return refuse(enroll.RefusedUsed, "the join code was used by another machine; each machine needs a code of its own")
		case code.key != nil:
			out, err = s.askedAgain(ctx, c, &code)
			return err
		case !s.o.Now().Before(code.expires.Time):
			return refuse(enroll.RefusedExpired, "the join code was good until %s; ask for a new one", code.expires.Format("2006-01-02 15:04 UTC"))
		}
		if code.expires.Sub(s.o.Now()) > maxValid+clockWrong {
			return refuse(enroll.RefusedExpired, "the join code was made while the clock of the collector's machine was ahead; ask for a new one")
		}
		news = true
		out, err = s.admit(ctx, c, &code, a, machine)
		return err
	})
	if err == nil && news {
		err = s.Load(ctx) // who was replaced is refused from now on
		s.record(ctx, audit.Entry{Who: out.Site + "/" + out.Agent, Via: "agent", Address: a.Address, Act: "agent.enrolled", What: out.Site + "/" + out.Agent,
			Detail: fmt.Sprintf("%s; host %s", out.State, a.Machine.Host), OK: true})
	}
	return out, err
}

// askedAgain says what has become of the agent that a code is bound to.
func (s *Store) askedAgain(ctx context.Context, c *sql.Conn, code *boundCode) (Admitted, error) {
	out := Admitted{Site: code.site, Agent: code.usedBy}
	var approved optional
	var why string
	err := c.QueryRowContext(ctx, "SELECT state, approved_ms, why FROM agents WHERE code = ? ORDER BY id DESC LIMIT 1", code.id).Scan(&out.State, &approved, &why)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		// The same machine came with a newer code since.
		return Admitted{}, refuse(enroll.RefusedUsed, "the join code was used already; ask for a new one")
	case err != nil:
		return Admitted{}, err
	case out.State == fleet.StateRevoked && approved.IsZero():
		return Admitted{}, refuse(enroll.RefusedRejected, "the agent was not approved%s", because(why))
	case out.State == fleet.StateRevoked:
		return Admitted{}, refuse(enroll.RefusedRevoked, "the agent was thrown out%s; ask for a new join code", because(why))
	case out.State == fleet.StateActive && s.o.Now().Sub(approved.Time) > askAgain:
		return Admitted{}, refuse(enroll.RefusedExpired, "the join code was used on %s and is of no more use; ask for a new one", approved.Format("2006-01-02"))
	}
	return out, nil
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// admit writes down an agent that comes with a code that nobody has used.
func (s *Store) admit(ctx context.Context, c *sql.Conn, code *boundCode, a Asking, machine []byte) (Admitted, error) {
	name := code.agent
	if name == "" {
		name = a.Agent
	}
	// A key that was thrown out would bring its old certificates back with it.
	if out, err := thrownOut(ctx, c, a.Key); err != nil {
		return Admitted{}, err
	} else if out {
		return Admitted{}, refuse(enroll.RefusedRevoked, "the key of this machine was thrown out; let the agent make a new one, with: communewatch-agent enroll --again CODE")
	}
	var there []present
	err := each(ctx, c, func(r *sql.Rows) error {
		var p present
		err := r.Scan(&p.id, &p.state, &p.code, &p.key, &p.approved)
		there = append(there, p)
		return err
	}, "SELECT id, state, code, key, approved_ms FROM agents WHERE site = ? AND agent = ? AND state <> 'revoked'", code.site, name)
	if err != nil {
		return Admitted{}, err
	}
	now := s.o.Now().UnixMilli()
	out := Admitted{Site: code.site, Agent: name, State: fleet.StateActive}
	if code.approve || a.Approve {
		out.State = fleet.StatePending
	}
	for _, p := range there {
		mine := string(p.key) == string(a.Key[:])
		switch {
		case mine && p.state == fleet.StateActive:
			// The same machine, once more: it was approved, and goes by the newer code from now on.
			if _, err := c.ExecContext(ctx, "UPDATE agents SET code = ?, machine = ?, asked_ms = ?, approved_ms = ? WHERE id = ?", code.id, machine, now, now, p.id); err != nil {
				return Admitted{}, err
			}
			out.State = fleet.StateActive
			return out, bind(ctx, c, code, a.Key, name, now)
		case !mine && !code.replaces:
			return Admitted{}, refuse(enroll.RefusedTaken, "site %s has an agent %s already; give this one another name (--name), or ask for a join code that replaces it", code.site, name)
		case p.state == fleet.StatePending:
			if err := throwOut(ctx, c, p.id, code.id, "another machine came in its place", now); err != nil {
				return Admitted{}, err
			}
		case out.State == fleet.StateActive:
			// Where somebody has to approve the new one, the old one stays until then.
			if err := s.replaced(ctx, c, code.site, name, p.id, now); err != nil {
				return Admitted{}, err
			}
		}
	}
	approved := sql.NullInt64{Int64: now, Valid: out.State == fleet.StateActive}
	if _, err := c.ExecContext(ctx, `INSERT INTO agents (site, agent, state, code, key, machine, asked_ms, approved_ms, said_by, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '')`,
		code.site, name, string(out.State), code.id, a.Key[:], string(machine), now, approved); err != nil {
		return Admitted{}, err
	}
	return out, bind(ctx, c, code, a.Key, name, now)
}

func bind(ctx context.Context, c *sql.Conn, code *boundCode, key [sha256.Size]byte, name string, now int64) error {
	_, err := c.ExecContext(ctx, "UPDATE join_codes SET used_ms = ?, used_by = ?, key = ? WHERE id = ?", now, name, key[:], code.id)
	return err
}

// thrownOut reports whether a key was of an agent that was thrown out.
func thrownOut(ctx context.Context, c *sql.Conn, key [sha256.Size]byte) (out bool, err error) {
	err = c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM agents WHERE state = 'revoked' AND approved_ms IS NOT NULL AND
		(key = ?1 OR EXISTS (SELECT 1 FROM agent_certificates c WHERE c.agent = agents.id AND c.key = ?1)))`, key[:]).Scan(&out)
	return out, err
}

func throwOut(ctx context.Context, c *sql.Conn, id int64, by, why string, now int64) error {
	_, err := c.ExecContext(ctx, "UPDATE agents SET state = 'revoked', revoked_ms = ?, said_by = ?, why = ? WHERE id = ?", now, by, why, id)
	return err
}

// replaced throws an agent out whose name goes to another machine, and forgets what it said under that name.
func (s *Store) replaced(ctx context.Context, c *sql.Conn, site, agent string, id, now int64) error {
	if err := throwOut(ctx, c, id, "", "another machine took its place", now); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, "DELETE FROM agent_presence WHERE site = ? AND agent = ?", site, agent)
	return err
}

// Certificate is one that was signed for an agent.
type Certificate struct {
	Site, Agent     string
	Serial          string            // hexadecimal digits
	Key             [sha256.Size]byte // that it is for, as in Asking
	By              [sha256.Size]byte // that the agent proved to have when it asked; zero: Key
	Issued, Expires time.Time
	Machine         enroll.Machine
}

// Issued takes in a certificate before it is handed out. An agent that may not report any more gets a Refused.
func (s *Store) Issued(ctx context.Context, cert Certificate) error {
	machine, err := json.Marshal(cert.Machine)
	if err != nil {
		return err
	}
	err = s.write(ctx, "keep an agent's certificate", func(ctx context.Context, c *sql.Conn) error {
		by := cert.By
		if by == [sha256.Size]byte{} {
			by = cert.Key
		}
		// By key, not by name alone: another machine may have taken the place since the request was looked at.
		var id int64
		err := c.QueryRowContext(ctx, `SELECT id FROM agents WHERE site = ?1 AND agent = ?2 AND state = 'active' AND
			(key = ?3 OR EXISTS (SELECT 1 FROM agent_certificates c WHERE c.agent = agents.id AND c.key = ?3))`, cert.Site, cert.Agent, by[:]).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return refuse(enroll.RefusedRevoked, "the agent was thrown out; ask for a new join code")
		}
		if err != nil {
			return err
		}
		if out, err := thrownOut(ctx, c, cert.Key); err != nil {
			return err
		} else if out {
			return refuse(enroll.RefusedRevoked, "the key of this machine was thrown out; let the agent make a new one")
		}
		if _, err := c.ExecContext(ctx, `INSERT INTO agent_certificates (agent, number, serial, key, issued_ms, expires_ms)
			VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM agent_certificates WHERE agent = ?1), ?2, ?3, ?4, ?5)`,
			id, cert.Serial, cert.Key[:], cert.Issued.UnixMilli(), cert.Expires.UnixMilli()); err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, "UPDATE agents SET key = ?, machine = ? WHERE id = ?", cert.Key[:], string(machine), id)
		return err
	})
	if err != nil {
		return err
	}
	return s.Load(ctx) // a new key counts from now on
}
