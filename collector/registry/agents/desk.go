package agents

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/collector/people"
	"communewatch/probes"
	"communewatch/probes/enroll"

	"golang.org/x/sync/errgroup"
)

// Desk is the fleet as screens and the command line see it: it implements fleet.Service, and records each change before
// it is answered.
type Desk struct {
	store *Store
	carry func() (enroll.Pin, []string, error)
}

// NewDesk returns a Desk. carry is what join codes carry beside their secret: the pin of the authority behind the
// collector's certificate, and the collector's addresses for agents.
func (s *Store) NewDesk(carry func() (enroll.Pin, []string, error)) *Desk {
	return &Desk{store: s, carry: carry}
}

var _ fleet.Service = (*Desk)(nil)

// Bounds of join codes.
const (
	defaultValid = 24 * time.Hour
	maxValid     = 30 * 24 * time.Hour
	minValid     = time.Minute
	maxCodes     = 1000 // made at once
	maxText      = 200  // bytes of a note or a name
	idBytes      = 5
)

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Agents implements fleet.Service.
func (d *Desk) Agents(ctx context.Context) ([]fleet.Agent, error) { return d.store.Agents(ctx) }

// Codes implements fleet.Service: all join codes, the newest first.
func (d *Desk) Codes(ctx context.Context) ([]fleet.Code, error) {
	out := []fleet.Code{}
	err := each(ctx, d.store.read, func(r *sql.Rows) error {
		var c fleet.Code
		var created, expires, used, cancelled optional
		if err := r.Scan(&c.ID, &c.Site, &c.Agent, &c.Replace, &c.Approve, &c.Note, &created, &c.By, &expires, &used, &c.UsedBy, &cancelled); err != nil {
			return err
		}
		c.Created, c.Expires, c.Used, c.Cancelled = created.Time, expires.Time, used.Time, cancelled.Time
		out = append(out, c)
		return nil
	}, `SELECT id, site, agent, replaces, approve, note, created_ms, said_by, expires_ms, used_ms, used_by, cancelled_ms
		FROM join_codes ORDER BY created_ms DESC, site, id`)
	if err != nil {
		return nil, d.store.o.Fail("read the join codes", err)
	}
	return out, nil
}

func invalid(format string, args ...any) error {
	return &fleet.Invalid{Message: fmt.Sprintf(format, args...)}
}

func checkText(what, text string) error {
	if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return invalid("%s: use at most %d bytes of plain text in one line", what, maxText)
	}
	return nil
}

// check completes what is asked of a join code, and says what is wrong with it.
func check(w *fleet.NewCode) error {
	w.Valid = cmp.Or(w.Valid, defaultValid)
	if w.Valid < minValid || w.Valid > maxValid {
		return invalid("a join code is good for %v to %d days (found %v)", minValid, maxValid/(24*time.Hour), w.Valid)
	}
	if err := probes.CheckName(w.Site); err != nil {
		return invalid("site: %v", err)
	}
	if w.Agent != "" {
		if err := probes.CheckName(w.Agent); err != nil {
			return invalid("agent: %v", err)
		}
	}
	return errors.Join(checkText("note", w.Note), checkText("who makes it", w.By))
}

// CreateCodes implements fleet.Service.
func (d *Desk) CreateCodes(ctx context.Context, want []fleet.NewCode) ([]fleet.Made, error) {
	if len(want) == 0 || len(want) > maxCodes {
		return nil, invalid("1 to %d join codes can be made at once (found %d)", maxCodes, len(want))
	}
	pin, addresses, err := d.carry()
	if err != nil {
		return nil, err
	}
	now := d.store.o.Now().UTC().Truncate(time.Millisecond)
	made := make([]fleet.Made, len(want))
	hashes := make([][]byte, len(want))
	for i, w := range want {
		w.By = d.who(ctx, w.By)
		if err := check(&w); err != nil {
			return nil, err
		}
		text := enroll.Code{Pin: pin, Addresses: addresses}
		if err := text.Validate(); err != nil {
			return nil, err
		}
		rand.Read(text.Secret[:]) // never fails
		var id [idBytes]byte
		rand.Read(id[:])
		hashes[i] = secretHash(text.Secret)
		made[i] = fleet.Made{Text: text.String(), Code: fleet.Code{ID: base32Lower.EncodeToString(id[:]), Site: w.Site, Agent: w.Agent, Replace: w.Replace,
			Approve: w.Approve, Note: w.Note, Created: now, By: w.By, Expires: now.Add(w.Valid)}}
	}
	err = d.store.write(ctx, "make join codes", func(ctx context.Context, c *sql.Conn) error {
		for i := range made {
			if err := insert(ctx, c, &made[i].Code, hashes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	entries := make([]audit.Entry, len(made))
	for i := range made {
		m := &made[i].Code
		entries[i] = audit.Entry{Who: m.By, Act: "code.create", What: m.Site, Detail: fmt.Sprintf("code %s; agent %s; replaces %t; approve %t; until %s",
			m.ID, cmp.Or(m.Agent, "any"), m.Replace, m.Approve, m.Expires.Format(time.RFC3339))}
	}
	if err := d.recorded(ctx, err, entries...); err != nil {
		return nil, err
	}
	return made, nil
}

func insert(ctx context.Context, c *sql.Conn, code *fleet.Code, hash []byte) error {
	var known, taken bool
	if err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sites WHERE id = ?1),
		EXISTS (SELECT 1 FROM agents WHERE site = ?1 AND agent = ?2 AND state <> 'revoked')`, code.Site, code.Agent).Scan(&known, &taken); err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("%w: %s; import it first with: communewatch-collector sites import", fleet.ErrUnknownSite, code.Site)
	}
	if taken && !code.Replace {
		return invalid("site %s has an agent %s already; say that the new one replaces it, or give it another name", code.Site, code.Agent)
	}
	_, err := c.ExecContext(ctx, `INSERT INTO join_codes (id, site, agent, replaces, approve, note, hash, created_ms, said_by, expires_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, code.ID, code.Site, code.Agent, code.Replace, code.Approve, code.Note, hash,
		code.Created.UnixMilli(), code.By, code.Expires.UnixMilli())
	return err
}

// CancelCode implements fleet.Service. A code that was used can't be cancelled any more: revoke the agent.
func (d *Desk) CancelCode(ctx context.Context, id, by string) error {
	var site string
	err := d.store.write(ctx, "cancel a join code", func(ctx context.Context, c *sql.Conn) error {
		var used, cancelled optional
		err := c.QueryRowContext(ctx, "SELECT site, used_ms, cancelled_ms FROM join_codes WHERE id = ?", id).Scan(&site, &used, &cancelled)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("%w: %.40q; list them with: communewatch-collector enroll list", fleet.ErrUnknownCode, id)
		case err != nil:
			return err
		case !used.IsZero():
			return invalid("join code %s was used already; revoke the agent that came with it", id)
		case !cancelled.IsZero():
			return nil
		}
		_, err = c.ExecContext(ctx, "UPDATE join_codes SET cancelled_ms = ? WHERE id = ?", d.store.o.Now().UnixMilli(), id)
		return err
	})
	return d.recorded(ctx, err, audit.Entry{Who: d.who(ctx, by), Act: "code.cancel", What: site, Detail: "code " + id})
}

// find returns the agent of a name that is in a state.
func find(ctx context.Context, c *sql.Conn, site, agent string, state fleet.State) (id int64, ok bool, err error) {
	err = c.QueryRowContext(ctx, "SELECT id FROM agents WHERE site = ? AND agent = ? AND state = ?", site, agent, string(state)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return id, err == nil, err
}

// absent says why there is no agent of a name in the state that is needed.
func absent(ctx context.Context, c *sql.Conn, site, agent, state string) error {
	var known bool
	if err := c.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM agents WHERE site = ? AND agent = ?)", site, agent).Scan(&known); err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("%w: %.63s of site %.63s; list them with: communewatch-collector agents list", fleet.ErrUnknownAgent, agent, site)
	}
	return fmt.Errorf("%w: %s of site %s is not %s", fleet.ErrState, agent, site, state)
}

// change runs a change of an agent in a transaction, makes it count in this process and records it.
func (d *Desk) change(ctx context.Context, act, site, agent, by, detail string, do func(ctx context.Context, c *sql.Conn, by string, now int64) error) error {
	by = d.who(ctx, by)
	err := errors.Join(checkText("who does it", by), checkText("why", detail))
	if err == nil {
		err = d.store.write(ctx, "change an agent", func(ctx context.Context, c *sql.Conn) error {
			return do(ctx, c, by, d.store.o.Now().UnixMilli())
		})
	}
	if err == nil {
		err = d.store.Load(context.WithoutCancel(ctx)) // what is done is done, also where nobody waits for the answer
	}
	return d.recorded(ctx, err, audit.Entry{Who: by, Act: act, What: site + "/" + agent, Detail: detail})
}

// Approve implements fleet.Service. Where the agent replaces another one, that one is thrown out now.
func (d *Desk) Approve(ctx context.Context, site, agent, by string) error {
	return d.approve(ctx, site, agent, by, nil)
}

// ApproveKey implements fleet.Service.
func (d *Desk) ApproveKey(ctx context.Context, site, agent, by string, key [32]byte) error {
	return d.approve(ctx, site, agent, by, &key)
}

// approve lets in who waits; where key is not nil, only the machine with that.
func (d *Desk) approve(ctx context.Context, site, agent, by string, key *[32]byte) error {
	return d.change(ctx, "agent.approve", site, agent, by, "", func(ctx context.Context, c *sql.Conn, by string, now int64) error {
		id, ok, err := find(ctx, c, site, agent, fleet.StatePending)
		if err != nil {
			return err
		}
		if !ok {
			return absent(ctx, c, site, agent, "waiting for approval")
		}
		if key != nil {
			var waits []byte
			if err := c.QueryRowContext(ctx, "SELECT key FROM agents WHERE id = ?", id).Scan(&waits); err != nil {
				return err
			}
			if !bytes.Equal(waits, key[:]) {
				return fmt.Errorf("%w: %s of site %s", fleet.ErrOtherKey, agent, site)
			}
		}
		if old, ok, err := find(ctx, c, site, agent, fleet.StateActive); err != nil {
			return err
		} else if ok {
			if err := d.store.replaced(ctx, c, site, agent, old, now); err != nil {
				return err
			}
		}
		_, err = c.ExecContext(ctx, "UPDATE agents SET state = 'active', approved_ms = ?, said_by = ? WHERE id = ?", now, by, id)
		return err
	})
}

// Reject refuses an agent that waits for approval, and leaves the one alone whose place it would have taken.
func (d *Desk) Reject(ctx context.Context, site, agent, by, why string) error {
	return d.change(ctx, "agent.reject", site, agent, by, why, func(ctx context.Context, c *sql.Conn, by string, now int64) error {
		id, ok, err := find(ctx, c, site, agent, fleet.StatePending)
		if err != nil {
			return err
		}
		if !ok {
			return absent(ctx, c, site, agent, "waiting for approval")
		}
		return throwOut(ctx, c, id, by, why, now)
	})
}

// Revoke implements fleet.Service. Where nobody of that name may report it refuses the one that waits to.
func (d *Desk) Revoke(ctx context.Context, site, agent, by, why string) error {
	return d.change(ctx, "agent.revoke", site, agent, by, why, func(ctx context.Context, c *sql.Conn, by string, now int64) error {
		for _, state := range []fleet.State{fleet.StateActive, fleet.StatePending} {
			if id, ok, err := find(ctx, c, site, agent, state); err != nil {
				return err
			} else if ok {
				return throwOut(ctx, c, id, by, why, now)
			}
		}
		return absent(ctx, c, site, agent, "in force")
	})
}

// Cleared implements fleet.Service. What was noticed so far is forgotten; if there are two machines still, they will be
// noticed again.
func (d *Desk) Cleared(ctx context.Context, site, agent, by string) error {
	return d.change(ctx, "agent.cleared", site, agent, by, "", func(ctx context.Context, c *sql.Conn, _ string, _ int64) error {
		id, ok, err := find(ctx, c, site, agent, fleet.StateActive)
		if err != nil {
			return err
		}
		if !ok {
			return absent(ctx, c, site, agent, "in force")
		}
		if _, err := c.ExecContext(ctx, "UPDATE agents SET clone_ms = NULL, clone_why = '' WHERE id = ?", id); err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, "UPDATE agent_presence SET trail = '[]' WHERE site = ? AND agent = ?", site, agent)
		return err
	})
}

// who is the name that a change is recorded under.
func (d *Desk) who(ctx context.Context, by string) string { return cmp.Or(by, people.From(ctx).Who()) }

// recorded takes entries down, as tried in vain if err is not nil, and returns err. A change that can't be recorded is an
// error though it was made.
func (d *Desk) recorded(ctx context.Context, err error, entries ...audit.Entry) error {
	if d.store.o.Audit == nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // what was done is recorded, also where nobody waits for the answer
	var all errgroup.Group           // the record writes many in the time of one
	for _, e := range entries {
		e.OK = err == nil
		all.Go(func() error { return d.store.o.Audit.Record(ctx, e) })
	}
	if failed := all.Wait(); failed != nil {
		return errors.Join(err, fmt.Errorf("what was done can't be recorded: %w", failed))
	}
	return err
}
