package rolled

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"communewatch/collector/rollup"
	"communewatch/collector/store/embedded/rolled/block"
)

// PutRollups stores windows; see store.Rolled. They are stored together or not at all.
func (r *Rolled) PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error {
	l, ok := layouts[level]
	if !ok {
		return fmt.Errorf("put windows: %v is no level of windows", level)
	}
	oldest := r.oldest(level)
	kept := make([]*rollup.Row, 0, len(rows))
	for i := range rows {
		if err := check(&rows[i]); err != nil {
			return fmt.Errorf("put windows of %v: %w", level, err)
		}
		if rows[i].Start >= oldest && len(rows[i].Fields) > 0 {
			kept = append(kept, &rows[i])
		}
	}
	if len(kept) == 0 {
		return ctx.Err()
	}
	return r.write(ctx, func(ctx context.Context, w *writing) error {
		pieces, err := w.sort(ctx, level, l, kept)
		if err != nil {
			return err
		}
		for _, p := range pieces {
			if err := r.putPiece(ctx, w, level, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// oldest is the time before which windows of a level are not kept, in Unix milliseconds.
func (r *Rolled) oldest(level rollup.Level) int64 {
	if keep, ok := r.o.Keep[level]; ok {
		return r.o.Now().Add(-keep).UnixMilli()
	}
	return math.MinInt64
}

// check returns what is wrong with a window that was put.
func check(row *rollup.Row) error {
	if row.Measurement == "" {
		return errors.New("a window without a measurement")
	}
	for i := range row.Fields {
		f := &row.Fields[i]
		if i > 0 && row.Fields[i-1].Key >= f.Key {
			return fmt.Errorf("a window of %s: field %q comes after %q", row.Measurement, f.Key, row.Fields[i-1].Key)
		}
		if a := &f.Value; a.Sum-a.Sum != 0 || a.Min-a.Min != 0 || a.Max-a.Max != 0 || a.Count < 0 {
			return fmt.Errorf("a window of %s: field %q is not finite", row.Measurement, f.Key)
		}
	}
	return nil
}

// piece is windows that go to one piece of a block, by rising start.
type piece struct {
	series, block, id int64
	rows              []*rollup.Row
}

// sort sorts windows into pieces. Of two windows of a series with the same start the later one stays.
func (w *writing) sort(ctx context.Context, level rollup.Level, l layout, rows []*rollup.Row) ([]*piece, error) {
	pieces := map[int64]*piece{}
	var ordered []*piece
	var series int64
	for i, row := range rows {
		if i == 0 || row.Measurement != rows[i-1].Measurement || !slices.Equal(row.Tags, rows[i-1].Tags) {
			var err error
			if series, err = w.seriesID(ctx, row.Measurement, row.Tags); err != nil {
				return nil, err
			}
		}
		number, part, err := l.place(row.Start)
		if err != nil {
			return nil, err
		}
		id := idOf(level, series, number, part)
		p := pieces[id]
		if p == nil {
			p = &piece{series: series, block: number, id: id}
			pieces[id] = p
			ordered = append(ordered, p)
		}
		p.rows = append(p.rows, row)
	}
	slices.SortFunc(ordered, func(a, b *piece) int { return cmp.Compare(a.id, b.id) })
	return ordered, nil
}

// putPiece writes windows over those that the piece has.
func (r *Rolled) putPiece(ctx context.Context, w *writing, level rollup.Level, p *piece) error {
	rows := make([]rollup.Row, 0, len(p.rows)+8)
	var data []byte
	err := w.get.QueryRowContext(ctx, p.id).Scan(&data)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	default:
		if rows, err = block.Decode(data, w.name(ctx)); errors.Is(err, block.ErrDamaged) {
			r.noteDamage(level, p.rows[0].Measurement+" "+tagText(p.rows[0].Tags), p.id, err)
			if _, err := w.aside.ExecContext(ctx, r.o.Now().UnixMilli(), p.id); err != nil {
				return err
			}
			rows = nil
		} else if err != nil {
			return err
		}
	}
	for _, row := range p.rows {
		rows = place(rows, *row)
	}
	if data, err = w.encode(ctx, rows); err != nil {
		return err
	}
	if _, err := w.put.ExecContext(ctx, p.id, data); err != nil {
		return err
	}
	if at := [2]int64{int64(level), p.series}; w.noted[at] != p.block {
		if _, err := w.note.ExecContext(ctx, int64(level), p.block, p.series); err != nil {
			return err
		}
		w.noted[at] = p.block
	}
	return nil
}

// place puts a window among others of the series, which are by rising start.
func place(rows []rollup.Row, row rollup.Row) []rollup.Row {
	i, there := slices.BinarySearchFunc(rows, row.Start, func(r rollup.Row, start int64) int { return cmp.Compare(r.Start, start) })
	if there {
		rows[i] = row
		return rows
	}
	return slices.Insert(rows, i, row)
}

// encode writes windows as a block.
func (w *writing) encode(ctx context.Context, rows []rollup.Row) ([]byte, error) {
	var failed error
	data, err := block.Append(nil, rows, func(key string) uint64 {
		id, err := w.nameID(ctx, key)
		failed = errors.Join(failed, err)
		return id
	})
	return data, errors.Join(err, failed)
}
