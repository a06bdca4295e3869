package agents

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"communewatch/collector/audit"
	"communewatch/probes/presence"
)

// Hearing is what an agent says of itself.
type Hearing struct {
	Site, Agent string
	Serial      string // of the certificate that it came with; "" for a token
	Presence    *presence.Presence
}

// ErrCrowded says that a site has too many agents for another one to be remembered; compare with errors.Is.
var ErrCrowded = errors.New("the site has too many agents")

const (
	// agentsPerSite is how many agents of a site are remembered: the names of those with a site's token can be made up.
	agentsPerSite = 200
	// trailLength is how many starts of an agent are remembered, to know one of them again.
	trailLength = 8
	// lingering is how long a certificate may be used after its successor was: on a connection that was open already.
	lingering = 10 * time.Minute
)

// start is one start of the agent on one machine.
type start struct {
	Boot string `json:"boot"`
	Host string `json:"host"`
}

// Heard keeps what an agent says of itself. That it stops is on disk when Heard returns.
func (s *Store) Heard(ctx context.Context, h Hearing) error {
	said, err := json.Marshal(h.Presence)
	if err != nil {
		return err
	}
	stopping := h.Presence.Phase == presence.PhaseStopping
	var clone string // why two machines are seen; "" for no news
	write := s.db.Write
	if stopping {
		write = s.db.WriteDurable
	}
	err = write(ctx, func(ctx context.Context, c *sql.Conn) error {
		clone = ""
		now := s.o.Now()
		var text string
		err := c.QueryRowContext(ctx, "SELECT trail FROM agent_presence WHERE site = ? AND agent = ?", h.Site, h.Agent).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			var others int
			if err := c.QueryRowContext(ctx, "SELECT count(*) FROM agent_presence WHERE site = ?", h.Site).Scan(&others); err != nil {
				return err
			}
			if others >= agentsPerSite {
				return ErrCrowded
			}
		} else if err != nil {
			return err
		}
		var trail []start
		if text != "" {
			if err := json.Unmarshal([]byte(text), &trail); err != nil {
				return err
			}
		}
		trail, why := follow(trail, start{h.Presence.Boot, h.Presence.Machine.Host}, stopping)
		if h.Serial != "" {
			replaced, err := usedAfterSuccessor(ctx, c, h, now)
			if err != nil {
				return err
			}
			if why == "" {
				why = replaced
			}
		}
		if why != "" {
			if news, err := markClone(ctx, c, h, why, now); err != nil {
				return err
			} else if news {
				clone = why
			}
		}
		keep, err := json.Marshal(trail)
		if err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, `INSERT INTO agent_presence (site, agent, heard_ms, stopped_ms, presence, trail) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET heard_ms = excluded.heard_ms, stopped_ms = excluded.stopped_ms, presence = excluded.presence, trail = excluded.trail`,
			h.Site, h.Agent, now.UnixMilli(), sql.NullInt64{Int64: now.UnixMilli(), Valid: stopping}, string(said), string(keep))
		return err
	})
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrCrowded) {
			return err
		}
		return s.o.Fail("keep what an agent says of itself", err)
	}
	if clone != "" {
		s.noteClone(ctx, h, clone)
	}
	return nil
}

// follow adds the newest start of an agent to those before it, and says why it can't be the same machine's: a start that
// was followed by another one is over. The last word of a start that is over may come late.
func follow(trail []start, now start, stopping bool) (_ []start, why string) {
	if n := len(trail); n > 0 && trail[n-1] == now {
		return trail, ""
	}
	for i := range trail {
		if trail[i] != now {
			continue
		}
		if stopping {
			return trail, ""
		}
		other := trail[len(trail)-1]
		why = fmt.Sprintf("two starts of the agent report in turn, both from a machine that calls itself %s", now.Host)
		if other.Host != now.Host {
			why = fmt.Sprintf("two machines report in turn: %s and %s", other.Host, now.Host)
		}
		break
	}
	trail = append(trail, now)
	return trail[max(0, len(trail)-trailLength):], why
}

// usedAfterSuccessor says why a certificate should not be used any more; "" if there is no reason. It notes the first use
// of one.
func usedAfterSuccessor(ctx context.Context, c *sql.Conn, h Hearing, now time.Time) (why string, err error) {
	var number int64
	var used sql.NullInt64
	err = c.QueryRowContext(ctx, `SELECT number, used_ms FROM agent_certificates WHERE serial = ?3
		AND agent = (SELECT id FROM agents WHERE site = ?1 AND agent = ?2 AND state = 'active')`, h.Site, h.Agent, h.Serial).Scan(&number, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var successor optional
	if err := c.QueryRowContext(ctx, `SELECT min(used_ms) FROM agent_certificates WHERE number > ?3
		AND agent = (SELECT id FROM agents WHERE site = ?1 AND agent = ?2 AND state = 'active')`, h.Site, h.Agent, number).Scan(&successor); err != nil {
		return "", err
	}
	if !used.Valid {
		if _, err := c.ExecContext(ctx, `UPDATE agent_certificates SET used_ms = ?4 WHERE number = ?3
			AND agent = (SELECT id FROM agents WHERE site = ?1 AND agent = ?2 AND state = 'active')`, h.Site, h.Agent, number, now.UnixMilli()); err != nil {
			return "", err
		}
	}
	if !successor.IsZero() && now.Sub(successor.Time) > lingering {
		return fmt.Sprintf("a machine called %s uses the certificate %s, which its owner replaced on %s", h.Presence.Machine.Host, h.Serial,
			successor.Format("2006-01-02 15:04 UTC")), nil
	}
	return "", nil
}

// Stop is when an agent said that it stops, and has not been heard of since.
type Stop struct {
	Site, Agent string
	At          time.Time
	Reason      presence.Reason
}

// Stops lists the agents that said they stop and have not been heard of since, for a judge that begins anew.
func (s *Store) Stops(ctx context.Context) ([]Stop, error) {
	var out []Stop
	err := each(ctx, s.read, func(r *sql.Rows) error {
		var one Stop
		var at optional
		var text string
		if err := r.Scan(&one.Site, &one.Agent, &at, &text); err != nil {
			return err
		}
		var said presence.Presence
		if err := json.Unmarshal([]byte(text), &said); err != nil {
			return err
		}
		one.At, one.Reason = at.Time, said.Reason
		out = append(out, one)
		return nil
	}, "SELECT site, agent, stopped_ms, presence FROM agent_presence WHERE stopped_ms IS NOT NULL ORDER BY site, agent")
	if err != nil {
		return nil, s.o.Fail("read which agents stopped", err)
	}
	return out, nil
}

// Said is what one agent last said of itself.
type Said struct {
	Site, Agent string
	Heard       time.Time
	Stopped     time.Time // zero: it did not say that it stops
	Presence    *presence.Presence
}

// Presences lists what agents last said of themselves by site and name, those with a token too.
func (s *Store) Presences(ctx context.Context) ([]Said, error) {
	out := []Said{}
	err := each(ctx, s.read, func(r *sql.Rows) error {
		one := Said{Presence: new(presence.Presence)}
		var heard, stopped optional
		var text string
		if err := r.Scan(&one.Site, &one.Agent, &heard, &stopped, &text); err != nil {
			return err
		}
		one.Heard, one.Stopped = heard.Time, stopped.Time
		out = append(out, one)
		return json.Unmarshal([]byte(text), one.Presence)
	}, "SELECT site, agent, heard_ms, stopped_ms, presence FROM agent_presence ORDER BY site, agent")
	if err != nil {
		return nil, s.o.Fail("read what agents said of themselves", err)
	}
	return out, nil
}

// markClone marks an agent, and reports whether it was not marked before.
func markClone(ctx context.Context, c *sql.Conn, h Hearing, why string, now time.Time) (news bool, err error) {
	var before sql.NullInt64
	err = c.QueryRowContext(ctx, "SELECT clone_ms FROM agents WHERE site = ? AND agent = ? AND state = 'active'", h.Site, h.Agent).Scan(&before)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil // it has a token, of which several machines may have copies
	}
	if err == nil {
		_, err = c.ExecContext(ctx, "UPDATE agents SET clone_ms = ?, clone_why = ? WHERE site = ? AND agent = ? AND state = 'active'", now.UnixMilli(), why, h.Site, h.Agent)
	}
	return err == nil && !before.Valid, err
}

// noteClone tells of a clone, when it is first seen.
func (s *Store) noteClone(ctx context.Context, h Hearing, why string) {
	s.o.Log.Warn("two machines have one identity", "site", h.Site, "agent", h.Agent, "why", why)
	s.record(ctx, audit.Entry{Who: "system", Via: "system", Act: "agent.clone", What: h.Site + "/" + h.Agent, Detail: why, OK: true})
}
