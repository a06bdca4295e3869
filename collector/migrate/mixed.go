package migrate

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/portion"
)

// A target that held something before may rightly have more than the source. Its sums say nothing then: rows of another
// site hide those that are missing. There the target is asked for each row of the source.

// wanted is what the target should have of a row or window.
type wanted struct {
	measured int64
	values   []uint64
}

// targetLacks does for such a target what sumsDiffer does for others.
func (m *migration) targetLacks(ctx context.Context, d *Difference, r portion.Range) (bool, error) {
	var err error
	d.Lacks, d.better, err = m.lacks(ctx, d.Level, r)
	return d.Lacks > 0, err
}

// lacks counts the source's rows or windows of a stretch that the target has not, and those windows of the target that
// rest on more rows than the source's: they stand for both. Of the source it holds one portion at a time, of the target
// only what is asked for.
func (m *migration) lacks(ctx context.Context, level rollup.Level, r portion.Range) (missing, better int64, err error) {
	err = read(ctx, m.o.From.Store, level, r, func(p *piece) error {
		want := map[uint64]wanted{}
		hashes(p, func(h *hashed) { want[h.id] = wanted{h.measured, slices.Clone(h.values)} })
		err := m.beside(ctx, p, func(h *hashed) {
			w, ok := want[h.id]
			switch {
			case !ok:
				return
			case h.measured > w.measured:
				better++
				w.values = nil
			default:
				w.values = slices.DeleteFunc(w.values, func(v uint64) bool { return slices.Contains(h.values, v) })
			}
			if want[h.id] = w; len(w.values) == 0 {
				delete(want, h.id)
			}
		})
		missing += int64(len(want))
		return err
	}, nil)
	return missing, better, err
}

// lighter is the windows of a piece without those for which the target has one that rests on more rows: with it, rows
// that are gone for good would be gone from the windows too.
func (m *migration) lighter(ctx context.Context, p *piece) ([]rollup.Row, error) {
	held := map[uint64]int64{}
	if err := m.beside(ctx, p, func(h *hashed) { held[h.id] = h.measured }); err != nil {
		return nil, err
	}
	var out []rollup.Row
	i := 0
	hashes(p, func(h *hashed) {
		if h.measured >= held[h.id] {
			out = append(out, p.windows[i])
		}
		i++
	})
	return out, nil
}

// beside calls each for what the target has of a piece's measurements, from the piece's first time to its last.
func (m *migration) beside(ctx context.Context, p *piece, each func(*hashed)) error {
	first, last, names := int64(math.MaxInt64), int64(math.MinInt64), map[string]bool{}
	hashes(p, func(h *hashed) {
		first, last = min(first, h.at), max(last, h.at)
		names[h.measurement] = true
	})
	r := portion.Range{Measurements: slices.Sorted(maps.Keys(names)), From: time.UnixMilli(first), To: time.UnixMilli(last + 1)}
	return read(ctx, m.o.To.Store, p.level, r, func(p *piece) error { hashes(p, each); return nil }, nil)
}
