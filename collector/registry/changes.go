package registry

import (
	"context"
	"database/sql"
	"fmt"
	"time"
	"unicode/utf8"

	"communewatch/probes"
)

// Change is one change of state. Layer and Check empty: of the site as a whole; Check empty: of a layer.
type Change struct {
	Site, Layer, Check string
	From, To           string
	At                 time.Time
	Reason             string
}

const (
	// maxReason bounds what is kept of a reason; the rest is cut.
	maxReason = 500
	// maxChangeName bounds layer, check and states.
	maxChangeName = 300
	// defaultLimit of Changes, and the most it returns.
	defaultLimit, maxLimit = 1000, 100_000
)

// AppendChanges writes changes down, all or none. The same change again replaces itself.
func (r *Registry) AppendChanges(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	for _, ch := range changes {
		if err := ch.check(); err != nil {
			return err
		}
	}
	err := r.db.Write(ctx, func(ctx context.Context, c *sql.Conn) error { return appendChanges(ctx, c, changes) })
	return r.wrote(ctx, "append changes", err)
}

func (ch *Change) check() error {
	if err := probes.CheckName(ch.Site); err != nil {
		return fmt.Errorf("change: site: %w", err)
	}
	for _, s := range []string{ch.Layer, ch.Check, ch.From, ch.To} {
		if len(s) > maxChangeName || !utf8.ValidString(s) {
			return fmt.Errorf("change of %s: %.40q is longer than %d bytes or not UTF-8", ch.Site, s, maxChangeName)
		}
	}
	return nil
}

func appendChanges(ctx context.Context, c *sql.Conn, changes []Change) error {
	all, err := c.PrepareContext(ctx, `INSERT OR REPLACE INTO changes
		(site, layer, check_name, at_ms, from_state, to_state, reason) VALUES (?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer all.Close()
	last, err := c.PrepareContext(ctx, `INSERT INTO last_changes
		(site, layer, check_name, at_ms, from_state, to_state, reason) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, from_state = excluded.from_state,
			to_state = excluded.to_state, reason = excluded.reason WHERE excluded.at_ms >= at_ms`)
	if err != nil {
		return err
	}
	defer last.Close()
	for _, ch := range changes {
		args := []any{ch.Site, ch.Layer, ch.Check, ch.At.UnixMilli(), ch.From, ch.To, cut(ch.Reason, maxReason)}
		if _, err := all.ExecContext(ctx, args...); err != nil {
			return err
		}
		if _, err := last.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// cut shortens s to at most n bytes without cutting a character in two.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// LastChanges returns the newest change of every site, layer and check.
func (r *Registry) LastChanges(ctx context.Context) ([]Change, error) {
	return r.readChanges(ctx, `SELECT site, layer, check_name, from_state, to_state, at_ms, reason FROM last_changes
		ORDER BY site, layer, check_name`)
}

// Changes returns the changes of a site in [from, to), newest first, at most limit of them (0: 1000). A zero from or
// to leaves that end open.
func (r *Registry) Changes(ctx context.Context, site string, from, to time.Time, limit int) ([]Change, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	start, end := int64(-1<<62), int64(1<<62)
	if !from.IsZero() {
		start = from.UnixMilli()
	}
	if !to.IsZero() {
		end = to.UnixMilli()
	}
	return r.readChanges(ctx, `SELECT site, layer, check_name, from_state, to_state, at_ms, reason FROM changes
		WHERE site = ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms DESC, layer, check_name LIMIT ?`,
		site, start, end, min(limit, maxLimit))
}

func (r *Registry) readChanges(ctx context.Context, query string, args ...any) ([]Change, error) {
	rows, err := r.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, r.fail("read changes", err)
	}
	defer rows.Close()
	var out []Change
	for rows.Next() {
		var ch Change
		var at int64
		if err := rows.Scan(&ch.Site, &ch.Layer, &ch.Check, &ch.From, &ch.To, &at, &ch.Reason); err != nil {
			return nil, r.fail("read changes", err)
		}
		ch.At = time.UnixMilli(at).UTC()
		out = append(out, ch)
	}
	if err := rows.Err(); err != nil {
		return nil, r.fail("read changes", err)
	}
	return out, nil
}
