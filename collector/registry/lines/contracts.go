package lines

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"communewatch/collector/audit"
	"communewatch/collector/registry/record"
	"communewatch/collector/reports"
	"communewatch/probes"
)

// Contract is what was agreed of a line, with who said so.
type Contract struct {
	reports.Agreement
	File, By string
	At       time.Time
	// Withdrawn is when it was taken back or replaced; zero while it is in force.
	Withdrawn   time.Time
	WithdrawnBy string
}

// Imported says what an import did, or would do.
type Imported struct {
	Added     []reports.Agreement
	Changed   []reports.Agreement // as they are now
	Unchanged int
}

// Bounds of what people say.
const (
	maxContracts = 50_000
	maxText      = 500
)

// Errors of contracts; compare with errors.Is.
var (
	ErrNobody  = errors.New("say who enters this, with --by NAME")
	ErrUnknown = errors.New("there is no such contract; `lines list` shows those that are in force")
)

// Import adds contracts and changes those that are known, by site, layer and first day, all or nothing. None is removed.
// With dryRun it only says what it would do.
func (s *Store) Import(ctx context.Context, list []reports.Agreement, file, by string, dryRun bool) (Imported, error) {
	if by == "" || len(by) > maxText || !utf8.ValidString(by) {
		return Imported{}, ErrNobody
	}
	for i := range list {
		if err := check(&list[i]); err != nil {
			return Imported{}, err
		}
	}
	if dryRun {
		known, err := contracts(ctx, s.read, false)
		if err != nil {
			return Imported{}, s.fail("read contracts of lines", err)
		}
		return compare(known, list)
	}
	var done Imported
	var refused error
	behind := record.Behind(ctx)
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error {
		known, err := contracts(ctx, c, false)
		if err != nil {
			return err
		}
		if done, refused = compare(known, list); refused != nil {
			return nil
		}
		now := s.now().UnixMilli()
		for _, a := range done.Changed {
			if _, err := withdraw(ctx, c, a.Site, a.Layer, a.Contract.From, by, now); err != nil {
				return err
			}
		}
		for i, a := range slices.Concat(done.Changed, done.Added) {
			act := "contract.add"
			if i < len(done.Changed) {
				act = "contract.change"
			}
			if err := note(ctx, c, behind, s.now(), act, a.Site, a.Layer, fmt.Sprintf("from %s: %s, by %s (%s)", cmp.Or(a.Contract.From, "ever"), a.Contract.Provider, by, file)); err != nil {
				return err
			}
			if _, err := c.ExecContext(ctx, `INSERT INTO line_contracts (site, layer, from_day, to_day, provider, number, down_mbps, up_mbps, profile, monthly_vnd, file, said_by, at_ms)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, a.Site, string(a.Layer), a.Contract.From, a.Contract.To, a.Contract.Provider, a.Contract.Number,
				a.Contract.DownMbps, a.Contract.UpMbps, a.Contract.Profile, a.Contract.Monthly, file, by, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Imported{}, s.wrote(ctx, "import contracts of lines", err) // done may still be written to where ctx has ended
	}
	return done, refused
}

// check is the last look at what others have read with care.
func check(a *reports.Agreement) error {
	if err := probes.CheckName(a.Site); err != nil {
		return fmt.Errorf("contract of a line: site: %w", err)
	}
	if !a.Layer.Valid() {
		return fmt.Errorf("contract of a line of %s: %.40q is not a layer", a.Site, string(a.Layer))
	}
	for _, day := range []string{a.Contract.From, a.Contract.To} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return fmt.Errorf("contract of a line of %s: %.40q is not a day such as 2026-01-31", a.Site, day)
		}
	}
	for _, text := range []string{a.Contract.Provider, a.Contract.Number, a.Contract.Profile} {
		if len(text) > maxText || !utf8.ValidString(text) {
			return fmt.Errorf("contract of a line of %s: %.40q is too long or not UTF-8", a.Site, text)
		}
	}
	return nil
}

type lineOf struct {
	site  string
	layer probes.Layer
}

// compare says what importing list would do.
func compare(known []Contract, list []reports.Agreement) (Imported, error) {
	var done Imported
	all := map[lineOf][]reports.Contract{}
	before := map[lineOf]map[string]reports.Contract{}
	for _, k := range known {
		id := lineOf{k.Site, k.Layer}
		if before[id] == nil {
			before[id] = map[string]reports.Contract{}
		}
		before[id][k.Contract.From] = k.Contract
	}
	for _, a := range list {
		id := lineOf{a.Site, a.Layer}
		switch old, ok := before[id][a.Contract.From]; {
		case !ok:
			done.Added = append(done.Added, a)
		case old != a.Contract:
			done.Changed = append(done.Changed, a)
		default:
			done.Unchanged++
		}
		delete(before[id], a.Contract.From)
		all[id] = append(all[id], a.Contract)
	}
	if len(known)+len(done.Added) > maxContracts {
		return Imported{}, fmt.Errorf("there would be more than %d contracts of lines", maxContracts)
	}
	for id, mine := range all {
		for _, c := range before[id] {
			mine = append(mine, c)
		}
		slices.SortFunc(mine, func(a, b reports.Contract) int { return cmp.Compare(a.From, b.From) })
		for i := 1; i < len(mine); i++ {
			if reports.Overlap(mine[i-1], mine[i]) {
				return Imported{}, fmt.Errorf("two contracts of the %s line of %s are in force on %s; let one end on the day before the other begins", id.layer, id.site, mine[i].From)
			}
		}
	}
	return done, nil
}

// note writes into the record what is done to the contract of a line.
func note(ctx context.Context, c *sql.Conn, behind record.By, at time.Time, act, site string, layer probes.Layer, detail string) error {
	return behind.Add(ctx, c, at, audit.Entry{Act: act, What: site + "/" + string(layer), Detail: detail, OK: true})
}

func withdraw(ctx context.Context, c *sql.Conn, site string, layer probes.Layer, from, by string, now int64) (bool, error) {
	result, err := c.ExecContext(ctx, `UPDATE line_contracts SET withdrawn_ms = ?, withdrawn_by = ?
		WHERE site = ? AND layer = ? AND from_day = ? AND withdrawn_ms IS NULL`, now, by, site, string(layer), from)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Withdraw takes a contract back that was entered by mistake. It stays in the history.
func (s *Store) Withdraw(ctx context.Context, site string, layer probes.Layer, from, by string) error {
	if by == "" || len(by) > maxText || !utf8.ValidString(by) {
		return ErrNobody
	}
	found, behind := false, record.Behind(ctx)
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) (err error) {
		if found, err = withdraw(ctx, c, site, layer, from, by, s.now().UnixMilli()); err != nil || !found {
			return err
		}
		return note(ctx, c, behind, s.now(), "contract.withdraw", site, layer, fmt.Sprintf("from %s, by %s", cmp.Or(from, "ever"), by))
	})
	if err == nil && !found {
		return ErrUnknown
	}
	return s.wrote(ctx, "take a contract of a line back", err)
}

// Contracts returns the contracts by site, layer and first day: those in force, or with all also those that were taken
// back or replaced, which come before the one that replaced them.
func (s *Store) Contracts(ctx context.Context, all bool) ([]Contract, error) {
	out, err := contracts(ctx, s.read, all)
	if err != nil {
		return nil, s.fail("read contracts of lines", err)
	}
	return out, nil
}

// Agreements returns the contracts in force by site, layer and first day.
func (s *Store) Agreements(ctx context.Context) ([]reports.Agreement, error) {
	list, err := s.Contracts(ctx, false)
	if err != nil {
		return nil, err
	}
	out := make([]reports.Agreement, len(list))
	for i := range list {
		out[i] = list[i].Agreement
	}
	return out, nil
}

func contracts(ctx context.Context, q querier, all bool) ([]Contract, error) {
	out := []Contract{}
	err := each(ctx, q, func(r *sql.Rows) error {
		var c Contract
		var at int64
		var withdrawn sql.NullInt64
		a := &c.Contract
		if err := r.Scan(&c.Site, &c.Layer, &a.From, &a.To, &a.Provider, &a.Number, &a.DownMbps, &a.UpMbps, &a.Profile, &a.Monthly,
			&c.File, &c.By, &at, &withdrawn, &c.WithdrawnBy); err != nil {
			return err
		}
		c.At = time.UnixMilli(at).UTC()
		if withdrawn.Valid {
			c.Withdrawn = time.UnixMilli(withdrawn.Int64).UTC()
		}
		out = append(out, c)
		return nil
	}, `SELECT site, layer, from_day, to_day, provider, number, down_mbps, up_mbps, profile, monthly_vnd, file, said_by, at_ms, withdrawn_ms, withdrawn_by
		FROM line_contracts WHERE ?1 OR withdrawn_ms IS NULL ORDER BY site, layer, from_day, id`, all)
	return out, err
}
