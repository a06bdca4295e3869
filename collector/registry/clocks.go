package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ClockID names one stretch of an agent's clock without a jump.
type ClockID struct {
	Site, Agent, Boot string
	Clock             int
}

// ClockShift returns by how much the times of a clock are to be shifted, and false when that is not known yet.
func (r *Registry) ClockShift(ctx context.Context, id ClockID) (time.Duration, bool, error) {
	if shift, ok := r.clocks.get(id); ok {
		return shift, true, nil
	}
	var ns int64
	err := r.read.QueryRowContext(ctx, "SELECT shift_ns FROM clock_shifts WHERE site = ? AND agent = ? AND boot = ? AND clock = ?",
		id.Site, id.Agent, id.Boot, id.Clock).Scan(&ns)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, r.fail("read a clock's shift", err)
	}
	r.clocks.put(id, time.Duration(ns))
	return time.Duration(ns), true, nil
}

// SetClockShift writes down the shift of a clock, unless one is written down already: the first one wins for ever,
// so that a batch gets the same times whenever it comes. It returns the shift in force once that is on disk.
func (r *Registry) SetClockShift(ctx context.Context, id ClockID, shift time.Duration) (time.Duration, error) {
	if known, ok := r.clocks.get(id); ok {
		return known, nil
	}
	if err := id.check(); err != nil {
		return 0, err
	}
	at := r.now().UnixMilli()
	var ns int64
	err := r.write(ctx, "write down a clock's shift", func(ctx context.Context, c *sql.Conn) error {
		// The update that changes nothing is there for RETURNING, which is silent on DO NOTHING.
		return c.QueryRowContext(ctx, `INSERT INTO clock_shifts (site, agent, boot, clock, shift_ns, set_ms) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET shift_ns = shift_ns RETURNING shift_ns`,
			id.Site, id.Agent, id.Boot, id.Clock, int64(shift), at).Scan(&ns)
	})
	if err != nil {
		return 0, err
	}
	r.clocks.put(id, time.Duration(ns))
	return time.Duration(ns), nil
}

func (id ClockID) check() error {
	rc := Receipt{Site: id.Site, Agent: id.Agent, Boot: id.Boot, Seq: 1}
	if err := rc.check(); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return nil
}

// clocksMax bounds the shifts kept in memory, at some 200 bytes each.
const clocksMax = 100_000

// clockCache keeps shifts in memory. They never change, so what is in it is true.
type clockCache struct {
	mu   sync.RWMutex // guards byID
	byID map[ClockID]time.Duration
}

func (cc *clockCache) get(id ClockID) (time.Duration, bool) {
	cc.mu.RLock()
	defer cc.mu.RUnlock()
	shift, ok := cc.byID[id]
	return shift, ok
}

func (cc *clockCache) put(id ClockID, shift time.Duration) {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if cc.byID == nil || len(cc.byID) >= clocksMax {
		cc.byID = map[ClockID]time.Duration{}
	}
	cc.byID[id] = shift
}
