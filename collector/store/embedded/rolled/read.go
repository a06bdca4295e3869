package rolled

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded/rolled/block"
	"communewatch/probes"
)

// series is one that a query is about.
type series struct {
	id          int64
	measurement string
	tags        probes.Tags
}

// Rollups reads windows; see store.Rolled.
func (r *Rolled) Rollups(ctx context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error {
	l, ok := layouts[q.Level]
	if !ok {
		return fmt.Errorf("query windows: %v is no level of windows", q.Level)
	}
	from, to := max(ceilMillis(q.From), r.oldest(q.Level)), ceilMillis(q.To)
	if from >= to {
		return ctx.Err()
	}
	// One transaction, so that what is joined under way is neither missed nor seen twice.
	tx, err := r.db.Read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return r.explain(ctx, err)
	}
	defer tx.Rollback()
	all, err := selectSeries(ctx, tx, q)
	if err != nil {
		return r.explain(ctx, err)
	}
	blocks, err := tx.PrepareContext(ctx, "SELECT id, data FROM blocks WHERE id BETWEEN ? AND ? ORDER BY id")
	if err != nil {
		return r.explain(ctx, err)
	}
	defer blocks.Close()
	var wanted map[string]bool
	if len(q.Fields) > 0 {
		wanted = map[string]bool{}
		for _, f := range q.Fields {
			wanted[f] = true
		}
	}
	name := r.name(ctx, tx, wanted)
	found := 0
	for _, s := range all {
		rows, err := r.windows(ctx, blocks, q.Level, s, idOf(q.Level, s.id, l.clamped(from), 0), idOf(q.Level, s.id, l.clamped(to-1), maxPiece), name)
		if err != nil {
			return r.explain(ctx, err)
		}
		rows = slices.DeleteFunc(rows, func(row rollup.Row) bool { return row.Start < from || row.Start >= to || !q.Takes(&row) })
		if len(rows) == 0 {
			continue
		}
		if found += len(rows); q.MaxRows > 0 && found > q.MaxRows {
			return store.ErrTooMany
		}
		for i := range rows {
			rows[i].Measurement, rows[i].Tags = s.measurement, s.tags
		}
		if err := each(store.RollupSeries{Measurement: s.measurement, Tags: s.tags, Rows: rows}); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// explain leaves alone what is not SQLite's.
func (r *Rolled) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.db.Explain(err)
}

func selectSeries(ctx context.Context, tx *sql.Tx, q store.RollupQuery) ([]series, error) {
	query, args := "SELECT id, measurement, tags FROM series WHERE 1", []any{}
	if q.Measurement != "" {
		query, args = query+" AND measurement = ?", append(args, q.Measurement)
	}
	if site := q.Tags["site"]; site != "" {
		query, args = query+" AND site = ?", append(args, site)
	}
	rows, err := tx.QueryContext(ctx, query+" ORDER BY id", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []series
	for rows.Next() {
		var s series
		var tags []byte
		if err := rows.Scan(&s.id, &s.measurement, &tags); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(tags, &s.tags); err != nil {
			return nil, fmt.Errorf("tags of series %d: %w", s.id, err)
		}
		if matches(s.tags, q.Tags) {
			all = append(all, s)
		}
	}
	return all, rows.Err()
}

func matches(tags probes.Tags, want map[string]string) bool {
	for k, v := range want {
		if tags.Get(k) != v {
			return false
		}
	}
	return true
}

// windows reads the blocks of a series with ids from first to last and lays pieces over the whole. A block that is
// damaged is left out.
func (r *Rolled) windows(ctx context.Context, blocks *sql.Stmt, level rollup.Level, s series, first, last int64, name func(uint64) (string, bool, error)) ([]rollup.Row, error) {
	found, err := blocks.QueryContext(ctx, first, last)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []rollup.Row
	whole := 0 // where the windows of the present block begin
	present := int64(-1)
	for found.Next() {
		var id int64
		var data sql.RawBytes
		if err := found.Scan(&id, &data); err != nil {
			return nil, err
		}
		rows, err := block.Decode(data, name)
		if errors.Is(err, block.ErrDamaged) {
			r.noteDamage(level, s.measurement+" "+tagText(s.tags), id, err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("windows of %v of %s %s: %w", level, s.measurement, tagText(s.tags), err)
		}
		if number, _ := blockOf(id); number != present {
			present, whole = number, len(all)
		}
		all = append(all[:whole], lay(rows, all[whole:])...)
	}
	return all, found.Err()
}

// lay merges windows with those that they stand over; both are by rising start.
func lay(over, under []rollup.Row) []rollup.Row {
	if len(under) == 0 || len(over) == 0 {
		return append(over, under...)
	}
	if under[len(under)-1].Start < over[0].Start {
		return append(under[:len(under):len(under)], over...)
	}
	merged := make([]rollup.Row, 0, len(over)+len(under))
	for len(over) > 0 && len(under) > 0 {
		switch {
		case under[0].Start < over[0].Start:
			merged, under = append(merged, under[0]), under[1:]
		case under[0].Start == over[0].Start:
			under = under[1:]
		default:
			merged, over = append(merged, over[0]), over[1:]
		}
	}
	return append(append(merged, over...), under...)
}

// name returns how a query looks fields up: those wanted, nil for all. Names that a block uses are as old as the block, so
// the query's own transaction knows them.
func (r *Rolled) name(ctx context.Context, tx *sql.Tx, wanted map[string]bool) func(number uint64) (string, bool, error) {
	return func(number uint64) (string, bool, error) {
		r.naming.RLock()
		name, ok := r.names[number]
		r.naming.RUnlock()
		if !ok {
			if err := scanName(tx.QueryRowContext(ctx, "SELECT name FROM names WHERE id = ?", int64(number)), number, &name); err != nil {
				return "", false, err
			}
			r.naming.Lock()
			r.names[number] = name
			r.naming.Unlock()
		}
		return name, wanted == nil || wanted[name], nil
	}
}

func tagText(tags probes.Tags) string {
	var b strings.Builder
	for i, t := range tags {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.Key + "=" + t.Value)
	}
	return b.String()
}

func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.Nanosecond()%1e6 != 0 {
		ms++
	}
	return ms
}
