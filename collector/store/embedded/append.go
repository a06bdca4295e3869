package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"communewatch/collector/store"
	"communewatch/collector/store/embedded/texts"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// batch is the scratch space of one Append.
type batch struct {
	entries []*entry
	at      []int     // per field of the present row: its place in the entry
	values  []float64 // per field of the present row: what is stored
	fresh   map[string]*entry
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// maxPooledRows keeps one giant batch from pinning its scratch space for ever.
const maxPooledRows = 1 << 16

func (b *batch) release() {
	if cap(b.entries) > maxPooledRows {
		return
	}
	clear(b.entries)
	b.entries, b.fresh = b.entries[:0], nil
	batches.Put(b)
}

// Append stores rows; see store.Store.
//
// How two Appends may overlap is decided by what a replay of the write-ahead log can bear. The engine writes a
// batch's log records first and changes its memory after that; it registers a new series in memory as soon as
// anybody asks for it; and it decides by the state at a batch's beginning whether a row is late. A replay has only
// the log, takes rows in its order, and drops one that is older than its series' newest unless the log of late rows
// has it too. So three things must not happen:
//
//   - Two commits log samples of a series in the other order than they enter the series. Hence commits take turns.
//   - A batch logs samples of a series whose own record is still unwritten in another batch. Hence a batch that meets
//     an unknown series holds its turn from there through its commit, and others learn its references only then.
//   - A row was late by one batch's reckoning, and an older one of the same series is not by another's, which began
//     earlier and committed later. Hence a batch with rows on the edge of lateness begins in its turn as well.
//
// What is left to run in parallel is the common case: known series, checked and converted side by side.
func (s *Store) Append(ctx context.Context, rows []wire.Row) error {
	if len(rows) == 0 {
		return s.check(ctx)
	}
	if err := s.enterWriter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()

	b := batches.Get().(*batch)
	defer b.release()
	b.entries = s.cache.lookup(rows, b.entries[:0])

	w := writer{s: s, b: b, first: int64(math.MaxInt64)}
	for i := range rows {
		w.first = min(w.first, floorMillis(rows[i].Time))
	}
	if w.isLate() {
		w.takeTurn()
	}
	rejected, taken, err := w.rows(ctx, rows)
	if errors.Is(err, errOvertaken) {
		w.takeTurn()
		rejected, taken, err = w.rows(ctx, rows)
	}
	if w.turn {
		s.turn.Unlock()
	}
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	s.appended.Add(taken)
	if taken > 0 {
		s.reaches(max(w.first, s.now().UnixMilli()-s.lateWindow.Milliseconds()))
	}
	s.mapChunks()
	if len(rejected) > 0 {
		s.rejected.Add(uint64(len(rejected)))
		return &store.PartialError{Rejected: rejected}
	}
	return nil
}

// mapEvery is how far the newest sample's time may move on before full chunks move to disk.
const mapEvery = 2 * time.Hour

// mapChunks moves full chunks of rows in order to disk if many may have become full.
//
// The engine does so once a minute, which is plenty when time passes as it does. But when hours of data arrive in
// seconds each series keeps a chain of chunks in memory, and the engine walks along the chain for each chunk it reads:
// the square of their number. A month of 60 series was read in 10 s that way, in half a second now.
func (s *Store) mapChunks() {
	newest := s.db.Head().MaxTime()
	if newest-s.mappedTo.Load() < mapEvery.Milliseconds() || !s.mapping.TryLock() {
		return
	}
	defer s.mapping.Unlock()
	s.mappedTo.Store(newest)
	s.db.ForceHeadMMap()
}

// writer is one Append under way.
type writer struct {
	s     *Store
	b     *batch
	first int64 // the oldest time of all rows, Unix milliseconds

	app  storage.Appender
	turn bool // s.turn is held
}

func (w *writer) takeTurn() {
	if !w.turn {
		w.s.turn.Lock()
		w.turn = true
	}
}

// isLate reports whether the batch has rows that the engine may take for late: older than an hour before its newest.
func (w *writer) isLate() bool {
	limit, ok := w.s.db.Head().AppendableMinValidTime()
	return !ok || w.first < limit
}

// errOvertaken says that others moved the engine's idea of lateness past a row of the batch while it was made.
var errOvertaken = errors.New("rows became late")

// rows makes and commits the batch.
func (w *writer) rows(ctx context.Context, rows []wire.Row) (rejected []store.Rejected, taken uint64, err error) {
	inTurn := w.turn
	w.app = w.s.db.Appender(ctx)
	oldest, newest := w.s.bounds()
	for i := range rows {
		reason, err := w.row(&rows[i], w.b.entries[i], oldest, newest)
		if err != nil {
			return nil, 0, errors.Join(err, w.rollback())
		}
		if reason != "" {
			rejected = append(rejected, store.Rejected{Index: i, Reason: reason})
			continue
		}
		taken += uint64(len(rows[i].Fields))
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, errors.Join(err, w.rollback())
	}
	w.takeTurn()
	if !inTurn && w.isLate() {
		if err := w.rollback(); err != nil {
			return nil, 0, err
		}
		return nil, 0, errOvertaken
	}
	return rejected, taken, w.commit()
}

// commit makes the batch durable against a kill, and known.
func (w *writer) commit() error {
	if cause := w.s.broken.Load(); cause != nil { // a batch before us could not write the log
		return errors.Join(*cause, w.app.Rollback())
	}
	err := w.app.Commit()
	if err == nil {
		err = w.s.metrics.lateLogFailed()
	}
	if err != nil {
		w.s.broken.Store(&err)
		return err
	}
	w.s.commits.Add(1)
	if len(w.b.fresh) > 0 {
		w.s.cache.publish(w.b.fresh)
	}
	return nil
}

// rollback drops the batch. The engine still logs the series it created, so their references are good.
func (w *writer) rollback() error {
	w.takeTurn()
	err := w.app.Rollback()
	if err != nil {
		w.s.broken.Store(&err)
	}
	w.s.commits.Add(1) // new series were logged
	return err
}

// row adds one row to the batch. A reason says that it can't be stored now or later.
func (w *writer) row(r *wire.Row, e *entry, oldest, newest int64) (reason string, err error) {
	t := floorMillis(r.Time)
	switch {
	case t < oldest:
		return w.s.tooOld, nil
	case t > newest:
		return reasonFuture, nil
	case len(r.Fields) == 0:
		return "no fields", nil
	}
	if e == nil && w.b.fresh != nil {
		e = w.b.fresh[string(r.Key)]
	}
	if e != nil {
		known, reason := e.plan(r, w.b)
		if reason != "" {
			return reason, nil
		}
		if known {
			if reason, err = w.convert(r); reason != "" || err != nil {
				return reason, err
			}
			stale := false
			for i, at := range w.b.at {
				// No labels: for a reference that is still good they are not looked at.
				_, err := w.app.Append(e.refs[at], labels.EmptyLabels(), t, w.b.values[i])
				if err == nil || errors.Is(err, storage.ErrDuplicateSampleForTimestamp) {
					continue
				}
				if errors.Is(err, tsdb.ErrInvalidSample) {
					stale = true // the series left memory for want of samples
					break
				}
				return w.refusal(err)
			}
			if !stale {
				return "", nil
			}
		}
	}
	return w.newSeries(r, t)
}

// refusal sorts an error of the engine's Append into rows that can never be stored and trouble.
func (w *writer) refusal(err error) (string, error) {
	if errors.Is(err, storage.ErrTooOldSample) || errors.Is(err, storage.ErrOutOfBounds) {
		return w.s.tooOld, nil
	}
	return "", err
}

// convert fills b.values with what is stored for the fields of r.
func (w *writer) convert(r *wire.Row) (reason string, err error) {
	b := w.b
	b.values = b.values[:0]
	for i := range r.Fields {
		f := &r.Fields[i]
		v := f.Num
		if f.Type == probes.TypeString {
			id, err := w.s.dict.ID(f.Str)
			if err != nil {
				return "", err
			}
			v = float64(id)
		} else if v-v != 0 { // NaN or infinite
			return fmt.Sprintf("field %q is not a finite number", f.Key), nil
		}
		b.values = append(b.values, v)
	}
	return "", nil
}

// newSeries stores a row of which at least one field's series is not in the cache.
func (w *writer) newSeries(r *wire.Row, t int64) (reason string, err error) {
	w.takeTurn()
	series, err := wire.ParseKey(r.Key)
	if err != nil {
		return "series key: " + err.Error(), nil
	}
	if reason := checkSeries(series); reason != "" {
		return reason, nil
	}
	e := &entry{layout: layout{}, refs: make([]storage.SeriesRef, 0, len(r.Fields))}
	for i := range r.Fields {
		f := &r.Fields[i]
		want := classOf(f.Type)
		have, err := w.s.dict.Class(series.Measurement, string(f.Key), want)
		if errors.Is(err, texts.ErrTooManyFields) {
			return err.Error(), nil
		}
		if err != nil {
			return "", err
		}
		if have != want {
			return conflict(f.Key, want, have), nil
		}
	}
	if reason, err := w.convert(r); reason != "" || err != nil {
		return reason, err
	}
	// What is known of the key stays: rows of one series may carry fields in turns.
	old := w.b.fresh[string(r.Key)]
	if old == nil {
		old = w.s.cache.get(r.Key)
	}
	full := w.s.db.Head().NumSeries() >= uint64(w.s.maxSeries)
	getRef, _ := w.app.(storage.GetRef)
	for i := range r.Fields {
		f := &r.Fields[i]
		c := classOf(f.Type)
		lset := seriesLabels(series, f.Key, c)
		if full {
			if ref, _ := getRef.GetRef(lset, lset.Hash()); ref == 0 {
				return fmt.Sprintf("too many series: this store keeps at most %d live ones", w.s.maxSeries), nil
			}
		}
		ref, err := w.app.Append(0, lset, t, w.b.values[i])
		switch {
		case err == nil:
			e.layout = append(e.layout, slot{key: string(f.Key), class: c})
			e.refs = append(e.refs, ref)
		case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
			// The point is there already; the next row will find the reference.
		default:
			return w.refusal(err)
		}
	}
	if w.b.fresh == nil {
		w.b.fresh = make(map[string]*entry)
	}
	w.b.fresh[string(r.Key)] = w.s.cache.merge(series.Measurement, e, old)
	return "", nil
}

func classOf(t probes.FieldType) texts.Class {
	if t == probes.TypeString {
		return texts.Text
	}
	return texts.Number
}

func conflict(field []byte, got, have texts.Class) string {
	return fmt.Sprintf("field type conflict: field %q is a %s here but was a %s before", field, got, have)
}

// floorMillis cuts Unix nanoseconds to milliseconds, downwards for times before 1970 too.
func floorMillis(ns int64) int64 {
	ms := ns / 1e6
	if ns%1e6 < 0 {
		ms--
	}
	return ms
}

// bounds returns the oldest and the newest time that a row may have now.
func (s *Store) bounds() (oldest, newest int64) {
	now := s.now().UnixMilli()
	return now - s.lateWindow.Milliseconds(), min(now, math.MaxInt64/2) + maxAhead.Milliseconds()
}
