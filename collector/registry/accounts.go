package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"communewatch/collector/registry/seqset"
	"communewatch/probes"
)

// Receipt says that a batch arrived and is in the store. A writer that doesn't number its batches leaves Boot and
// Seq empty.
type Receipt struct {
	Site, Agent, Boot string
	Seq               uint64 // from 1
	Clock             int
	Points, Rejected  int
	ReceivedAt        time.Time
}

// Account is what arrived of one start of an agent. For a writer without numbers (Boot "") only Received counts.
type Account struct {
	Site, Agent, Boot string
	Highest           uint64 // highest number that arrived
	Received          uint64 // batches that arrived, each counted once
	Missing           uint64 // numbers below Highest that did not arrive (yet)
	Replays           uint64 // arrivals of a number that had arrived before
	Points, Rejected  uint64 // of the batches in Received
	First, Last       time.Time
}

// Bounds of what a receipt may say. An agent that seals a batch every second reaches maxSeq in 35 million years; the
// bound keeps the arithmetic, and JavaScript's, exact.
const (
	maxSeq  = seqset.Max
	maxBoot = 64
)

// Take writes down that a batch arrived and returns when that is committed: it survives a kill of the process, and a
// power cut after a later Sync. Taking the same batch again changes nothing but Replays and Last. Concurrent calls
// share one transaction. When ctx ends before the commit, the receipt may still be committed.
func (r *Registry) Take(ctx context.Context, receipt Receipt) error {
	if err := receipt.check(); err != nil {
		return err
	}
	err := r.db.Gather(ctx, func(ctx context.Context) error { return r.accounts.take(ctx, &receipt) })
	return r.wrote(ctx, "take a receipt", err)
}

func (rc *Receipt) check() error {
	if err := probes.CheckName(rc.Site); err != nil {
		return fmt.Errorf("receipt: site: %w", err)
	}
	if rc.Agent != "" || rc.Boot != "" {
		if err := probes.CheckName(rc.Agent); err != nil {
			return fmt.Errorf("receipt: agent: %w", err)
		}
	}
	switch {
	case (rc.Boot == "") != (rc.Seq == 0):
		return errors.New("receipt: a batch has both a boot and a number above 0, or neither")
	case len(rc.Boot) > maxBoot:
		return fmt.Errorf("receipt: boot identity is longer than %d", maxBoot)
	case rc.Seq > maxSeq:
		return fmt.Errorf("receipt: batch number %d is above %d; agents count from 1", rc.Seq, uint64(maxSeq))
	case rc.Points < 0 || rc.Rejected < 0:
		return errors.New("receipt: negative number of points")
	}
	for _, c := range []byte(rc.Boot) {
		if c <= ' ' || c > '~' {
			return errors.New("receipt: boot identity must be plain ASCII without spaces")
		}
	}
	return nil
}

// Accounts lists what arrived, of one site or of all ("").
func (r *Registry) Accounts(ctx context.Context, site string) ([]Account, error) {
	rows, err := r.read.QueryContext(ctx, `SELECT site, agent, boot, through, skipped, above, unnumbered, replays,
		points, rejected, first_ms, last_ms FROM accounts WHERE ?1 = '' OR site = ?1 ORDER BY site, agent, first_ms`, site)
	if err != nil {
		return nil, r.fail("read accounts", err)
	}
	defer rows.Close()
	var out []Account
	for rows.Next() {
		var a Account
		var s stored
		if err := rows.Scan(&a.Site, &a.Agent, &a.Boot, &s.seqs.Through, &s.seqs.Skipped, &s.above, &s.unnumbered,
			&a.Replays, &a.Points, &a.Rejected, &s.first, &s.last); err != nil {
			return nil, r.fail("read accounts", err)
		}
		if err := s.seqs.Decode(s.above); err != nil {
			return nil, r.fail("read accounts", err)
		}
		a.Highest, a.Missing = s.seqs.Highest(), s.seqs.Missing()
		a.Received = s.seqs.Received() + s.unnumbered
		a.First, a.Last = time.UnixMilli(s.first).UTC(), time.UnixMilli(s.last).UTC()
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, r.fail("read accounts", err)
	}
	return out, nil
}

type accountKey struct{ site, agent, boot string }

// stored is a row of the table accounts.
type stored struct {
	id                  int64 // 0: not in the table yet
	seqs                seqset.Set
	above               []byte // seqs' ranges, encoded
	unnumbered, replays uint64
	points, rejected    uint64
	first, last         int64
	touched             bool // changed in the running transaction
}

// accountsMax bounds the accounts kept in memory, at some 300 bytes each. Beyond it all are read again when needed.
const accountsMax = 100_000

// accountant applies receipts within the writer's transactions, as their sqlite.Cache. It keeps the accounts it has
// seen, so that a receipt costs one update and no reading.
type accountant struct {
	known   map[accountKey]*stored
	touched map[accountKey]*stored

	find, insert, update *sql.Stmt
}

func newAccountant(ctx context.Context, c *sql.Conn) (*accountant, error) {
	a := &accountant{known: map[accountKey]*stored{}, touched: map[accountKey]*stored{}}
	for _, s := range []struct {
		into **sql.Stmt
		text string
	}{
		{&a.find, `SELECT id, through, skipped, above, unnumbered, replays, points, rejected, first_ms, last_ms
			FROM accounts WHERE site = ? AND agent = ? AND boot = ?`},
		{&a.insert, `INSERT INTO accounts (site, agent, boot, through, skipped, above, unnumbered, replays, points,
			rejected, first_ms, last_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`},
		{&a.update, `UPDATE accounts SET through = ?, skipped = ?, above = ?, unnumbered = ?, replays = ?, points = ?,
			rejected = ?, last_ms = ? WHERE id = ?`},
	} {
		stmt, err := c.PrepareContext(ctx, s.text)
		if err != nil {
			a.Close()
			return nil, err
		}
		*s.into = stmt
	}
	return a, nil
}

func (a *accountant) Close() {
	for _, s := range []*sql.Stmt{a.find, a.insert, a.update} {
		if s != nil {
			_ = s.Close()
		}
	}
}

// Forget drops what is kept in memory: the file is the truth.
func (a *accountant) Forget() {
	clear(a.known)
	clear(a.touched)
}

// take applies one receipt in memory; Store writes it down.
func (a *accountant) take(ctx context.Context, rc *Receipt) error {
	key := accountKey{rc.Site, rc.Agent, rc.Boot}
	s := a.known[key]
	if s == nil {
		if len(a.known) >= accountsMax && len(a.touched) == 0 {
			clear(a.known)
		}
		s = &stored{first: rc.ReceivedAt.UnixMilli(), above: []byte{}}
		err := a.find.QueryRowContext(ctx, rc.Site, rc.Agent, rc.Boot).Scan(&s.id, &s.seqs.Through, &s.seqs.Skipped,
			&s.above, &s.unnumbered, &s.replays, &s.points, &s.rejected, &s.first, &s.last)
		if err == nil {
			err = s.seqs.Decode(s.above)
		} else if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		if err != nil {
			return err
		}
		a.known[key] = s
	}
	a.touched[key] = s
	s.last = max(s.last, rc.ReceivedAt.UnixMilli())
	if rc.Seq == 0 {
		s.unnumbered++
	} else if !s.seqs.Add(rc.Seq) {
		s.replays++
		return nil
	}
	s.points += uint64(rc.Points)
	s.rejected += uint64(rc.Rejected)
	return nil
}

// Store writes the accounts that changed since the last Store, each once.
func (a *accountant) Store(ctx context.Context) error {
	for key, s := range a.touched {
		s.above = s.seqs.Encode(s.above[:0])
		if s.above == nil {
			s.above = []byte{} // an empty blob is read back as nil, and nil would be written as NULL
		}
		var err error
		if s.id == 0 {
			err = a.insert.QueryRowContext(ctx, key.site, key.agent, key.boot, s.seqs.Through, s.seqs.Skipped, s.above,
				s.unnumbered, s.replays, s.points, s.rejected, s.first, s.last).Scan(&s.id)
		} else {
			_, err = a.update.ExecContext(ctx, s.seqs.Through, s.seqs.Skipped, s.above, s.unnumbered, s.replays,
				s.points, s.rejected, s.last, s.id)
		}
		if err != nil {
			return err
		}
	}
	clear(a.touched)
	return nil
}
