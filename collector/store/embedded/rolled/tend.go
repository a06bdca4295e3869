package rolled

import (
	"context"
	"errors"
	"fmt"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/embedded/rolled/block"
)

const (
	// tendFirst and tendEvery are when the file is tended after opening, and how often.
	tendFirst = time.Minute
	tendEvery = time.Hour
	// tendSeries is how many series one transaction is about, and tendBlocks how many blocks of each it removes at
	// most: writers wait for it, for some 30 ms.
	tendSeries = 16
	tendBlocks = 64
)

// seriesShift is where the number of a series begins in an id.
const seriesShift = blockBits + pieceBits

// tendAll tends the file from time to time until ctx ends.
func (r *Rolled) tendAll(ctx context.Context) {
	timer := time.NewTimer(tendFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := r.tend(ctx); err != nil && ctx.Err() == nil {
			r.o.Log.Warn("can't tend the rollups; it is tried again in an hour", "file", r.path, "err", err)
		}
		timer.Reset(tendEvery)
	}
}

// tend removes windows that are too old, then series that have none, and joins what has settled.
func (r *Rolled) tend(ctx context.Context) error {
	err := r.prune(ctx)
	if err == nil {
		err = r.o.Room()
	}
	for _, level := range rollup.Levels() {
		if err == nil {
			err = r.joinSettled(ctx, level)
		}
	}
	return err
}

func (r *Rolled) prune(ctx context.Context) error {
	for level := range r.o.Keep {
		l, ok := layouts[level]
		if !ok {
			continue
		}
		end := l.clamped(r.oldest(level)) // the first block that is not all too old
		if end == 0 {
			continue
		}
		first, last := idOf(level, 0, 0, 0), idOf(level, 0, end-1, maxPiece)
		for after := int64(0); ; { // the series before are done
			ids, err := r.ids(ctx, `SELECT id FROM series s WHERE s.id >= ? AND EXISTS (SELECT 1 FROM blocks b
				WHERE b.id BETWEEN ? + (s.id << ?) AND ? + (s.id << ?)) ORDER BY s.id LIMIT ?`, after, first, seriesShift, last, seriesShift, tendSeries)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				break
			}
			after = ids[0]
			if err := r.write(ctx, func(ctx context.Context, w *writing) error {
				for _, id := range ids {
					if _, err := w.prune.ExecContext(ctx, first+id<<seriesShift, last+id<<seriesShift, tendBlocks); err != nil {
						return err
					}
				}
				_, err := w.unnoteOld.ExecContext(ctx, int64(level), end)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return r.pruneSeries(ctx)
}

// withoutWindows is the condition that a series s has no windows of any level.
var withoutWindows = func() string {
	text := "1"
	for _, level := range rollup.Levels() {
		text += fmt.Sprintf(" AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.id BETWEEN %d + (s.id << %d) AND %d + (s.id << %d))",
			idOf(level, 0, 0, 0), seriesShift, idOf(level, 0, maxBlock, maxPiece), seriesShift)
	}
	return text
}()

func (r *Rolled) pruneSeries(ctx context.Context) error {
	for {
		ids, err := r.ids(ctx, "SELECT id FROM series s WHERE "+withoutWindows+" LIMIT ?", tendSeries)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := r.write(ctx, func(ctx context.Context, w *writing) error {
			w.Forget()
			for _, id := range ids {
				if _, err := w.dropSeries.ExecContext(ctx, id); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}

// ids runs a query for numbers.
func (r *Rolled) ids(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := r.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, r.explain(ctx, err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, r.explain(ctx, err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, r.explain(ctx, err)
	}
	return ids, nil
}

// joinSettled joins the pieces of blocks that have been over for a while.
func (r *Rolled) joinSettled(ctx context.Context, level rollup.Level) error {
	end := layouts[level].clamped(r.o.Now().UnixMilli() - settled)
	for {
		oldest, err := r.ids(ctx, "SELECT min(block) FROM pieces WHERE level = ? AND block < ? HAVING min(block) IS NOT NULL", int64(level), end)
		if err != nil || len(oldest) == 0 {
			return err
		}
		series, err := r.ids(ctx, "SELECT series FROM pieces WHERE level = ? AND block = ? LIMIT ?", int64(level), oldest[0], tendSeries)
		if err != nil {
			return err
		}
		if err := r.write(ctx, func(ctx context.Context, w *writing) error {
			for _, s := range series {
				if err := r.join(ctx, w, level, s, oldest[0]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}

// join makes one of the pieces of a block.
func (r *Rolled) join(ctx context.Context, w *writing, level rollup.Level, series, number int64) error {
	first, last := idOf(level, series, number, 0), idOf(level, series, number, maxPiece)
	var all []rollup.Row
	pieces, err := w.pieces(ctx, first, last)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		rows, err := block.Decode(p.data, w.name(ctx))
		if errors.Is(err, block.ErrDamaged) {
			r.noteDamage(level, fmt.Sprintf("number %d", series), p.id, err)
			if _, err := w.aside.ExecContext(ctx, r.o.Now().UnixMilli(), p.id); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		all = lay(rows, all)
	}
	if _, err := w.drop.ExecContext(ctx, first, last); err != nil {
		return err
	}
	if len(all) > 0 {
		data, err := w.encode(ctx, all)
		if err != nil {
			return err
		}
		if _, err := w.put.ExecContext(ctx, first, data); err != nil {
			return err
		}
	}
	delete(w.noted, [2]int64{int64(level), series})
	_, err = w.unnote.ExecContext(ctx, int64(level), number, series)
	return err
}

// stored is a row of blocks.
type stored struct {
	id   int64
	data []byte
}

func (w *writing) pieces(ctx context.Context, first, last int64) ([]stored, error) {
	rows, err := w.rest.QueryContext(ctx, first, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []stored
	for rows.Next() {
		var s stored
		if err := rows.Scan(&s.id, &s.data); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
