// Package migrate copies everything that one store holds into another: rows of all measurements, foreign ones too, and
// windows of all levels. What is copied is read back and compared, to the last bit, before the copy counts as complete.
//
// A migration may be killed at any moment. A state file says how far it is; the next run goes on from there. Copying
// again is harmless, because a row or window of the same series and time is the same.
//
// The source must not be in use. Should it have been used between two runs after all, the last comparison reads it
// again and copies what differs.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/portion"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// Side is one of the two stores.
type Side struct {
	Name  string // as settings call it: embedded or influx
	Place string // its folder, or its address and database: two stores of one name are told apart by it
	Store store.Store
	// Keep is how long it keeps rows (rollup.Raw) and windows; 0 or missing: for ever.
	Keep map[rollup.Level]time.Duration
}

func (s *Side) String() string { return s.Name + " (" + s.Place + ")" }

// Options of a migration.
type Options struct {
	From, To Side
	File     string                         // the state file
	Keep     map[rollup.Level]time.Duration // how long the settings want rows and windows kept

	IntoExisting bool // take a target that holds something already
	DropOld      bool // leave behind what the target does not keep

	// Done is called once the target holds everything, before the migration counts as finished; if it fails, the next run
	// calls it again. mixed says that the target held something before. May be nil.
	Done func(ctx context.Context, mixed bool) error

	Now      func() time.Time
	Progress func(Progress) // called often; nil: nobody watches
}

// Progress is how far a migration is.
type Progress struct {
	Level     rollup.Level // what is copied or compared: rows, or windows of a level
	Comparing bool
	Side      string        // whose part is read, as settings call it
	Share     float64       // of this level, 0..1, by time
	Rows      int64         // of this level in this run
	PerSecond float64       // rows
	Left      time.Duration // for this level, at the rate so far; 0: not known yet
}

// Result is what a migration came to.
type Result struct {
	Copied      int64 // rows and windows that the target holds for certain, unless Differences says otherwise
	Expired     int64 // rows that grew too old for the target under way
	Old         int64 // rows and windows that were left behind because the target does not keep them
	Kept        int64 // windows that the target had already and that rest on more rows than the source's
	Refused     int64 // rows that the target would not take
	Reasons     []string
	Differences []Difference
}

// Difference is a stretch in which the two stores don't hold the same.
type Difference struct {
	Level       rollup.Level
	Measurement string
	Start, End  time.Time
	From, To    Sum
	Lacks       int64 // rows or windows that the target has not; counted only where it held something before
	better      int64 // windows of the target that rest on more rows; counted like Lacks
}

func (d *Difference) String() string {
	stretch := d.Start.Format("2006-01-02")
	if d.End.Sub(d.Start) > 24*time.Hour {
		stretch += " to " + d.End.AddDate(0, 0, -1).Format("2006-01-02")
	}
	if d.Lacks > 0 {
		return fmt.Sprintf("%s of %s, %s: the target lacks %d of %d", what(d.Level), d.Measurement, stretch, d.Lacks, d.From.Rows)
	}
	text := fmt.Sprintf("%s of %s, %s: %d with %d values in the source, %d with %d in the target",
		what(d.Level), d.Measurement, stretch, d.From.Rows, d.From.Values, d.To.Rows, d.To.Values)
	if d.From.Rows == d.To.Rows && d.From.Values == d.To.Values {
		text += ", but not the same"
	}
	return text
}

// what is copied, in words.
func what(level rollup.Level) string {
	if level == rollup.Raw {
		return "rows"
	}
	return level.String() + " windows"
}

// Errors that say what a user has to decide.
var (
	ErrNotEmpty = errors.New("the target holds data already")
	ErrOld      = errors.New("the target does not keep all that there is")
	ErrDiffer   = errors.New("the two stores don't hold the same")
)

const (
	// batchRows is how many rows are written in one call.
	batchRows = 10_000
	// saveEvery is how much work a kill may cost.
	saveEvery = 5 * time.Second
	// ahead is how far in the future a row may be: stores take no more.
	ahead = time.Hour
	// grace is how long stores may take to drop what is too old: blocks and shards go as a whole. What is still there is
	// nothing that anybody counts on.
	grace = 8 * 24 * time.Hour
	// longest is how far back windows and rows are looked for.
	longest = 10 * 366 * 24 * time.Hour
	// maxReasons is how many different reasons for refusals are told.
	maxReasons = 5
)

// levels lists rows and windows in the order in which they are copied.
func levels() []rollup.Level { return append([]rollup.Level{rollup.Raw}, rollup.Levels()...) }

// Run copies, compares, copies again what differs, and compares that. Its error is ErrDiffer where something differs
// still; the result says what.
func Run(ctx context.Context, o Options) (Result, error) {
	m := &migration{o: o, begun: o.Now()}
	if err := m.begin(ctx); err != nil {
		return m.result, err
	}
	if err := m.checkOld(ctx); err != nil {
		return m.result, err
	}
	for _, level := range levels() {
		if err := m.copyLevel(ctx, level); err != nil {
			return m.result, errors.Join(err, m.state.save(o.File, o.Now()))
		}
	}
	if err := o.To.Store.Sync(ctx); err != nil {
		return m.result, err
	}
	if err := m.compare(ctx); err != nil {
		return m.result, errors.Join(err, m.state.save(o.File, o.Now()))
	}
	m.result.Refused, m.result.Reasons = m.state.Refused, m.state.Reasons
	for _, sum := range m.state.Sums {
		m.result.Copied += sum.Rows
	}
	if len(m.result.Differences) > 0 {
		return m.result, errors.Join(ErrDiffer, m.state.save(o.File, o.Now()))
	}
	if o.Done != nil {
		if err := o.Done(ctx, m.state.IntoExisting); err != nil {
			return m.result, errors.Join(err, m.state.save(o.File, o.Now()))
		}
	}
	m.state.Finished = true
	return m.result, m.state.save(o.File, o.Now())
}

// Verify compares the two stores and changes nothing. Its error is ErrDiffer where something differs.
func Verify(ctx context.Context, o Options) (Result, error) {
	m := &migration{o: o, begun: o.Now()}
	m.state = newState(o)
	m.state.IntoExisting = o.IntoExisting
	if old, err := ReadState(o.File); err == nil {
		m.state.IntoExisting = m.state.IntoExisting || old.IntoExisting
	}
	m.resumed = true
	differences, err := m.differences(ctx)
	if err == nil {
		m.result.Differences, err = m.again(ctx, differences, false)
	}
	for _, sum := range m.state.Sums {
		m.result.Copied += sum.Rows
	}
	if err == nil && len(m.result.Differences) > 0 {
		err = ErrDiffer
	}
	return m.result, err
}

// migration is a run.
type migration struct {
	o     Options
	begun time.Time
	state *State
	// resumed says that the source may have changed since parts of it were copied.
	resumed bool
	// careful says that somebody may have worked windows out in the target, which rest on more rows than the source's.
	careful bool
	saved   time.Time
	result  Result
}

// begin reads the state of an earlier run, or makes sure that the target is fit for a new one.
func (m *migration) begin(ctx context.Context) error {
	state, err := ReadState(m.o.File)
	switch {
	case errors.Is(err, ErrNoState):
	case err != nil:
		return err
	case !state.of(m.o):
		return fmt.Errorf("%s is of a migration from %s to %s, %s; finish that one, or remove the file to forget it",
			m.o.File, state.From, state.To, state.stage())
	default:
		m.state, m.resumed, m.careful = state, true, state.IntoExisting || state.Finished
		m.state.Finished = false // should the source have been used since
		return m.state.save(m.o.File, m.begun)
	}
	m.state = newState(m.o)
	if found, err := holds(ctx, &m.o.To, m.begun); err != nil {
		return fmt.Errorf("%s can't be read: %w", &m.o.To, err)
	} else if found != "" && !m.o.IntoExisting {
		return fmt.Errorf("%w: %s has %s. If that is another province's, or another program writes there, name another database; "+
			"if it may be mixed with what comes, give --into-existing", ErrNotEmpty, &m.o.To, found)
	} else {
		m.state.IntoExisting, m.careful = found != "", found != ""
	}
	return m.state.save(m.o.File, m.begun)
}

// holds says in words what a store has, "" for nothing.
func holds(ctx context.Context, side *Side, now time.Time) (string, error) {
	names, err := side.Store.Measurements(ctx)
	if err != nil {
		return "", err
	}
	if len(names) > 0 {
		text := strings.Join(names[:min(len(names), 6)], ", ")
		if len(names) > 6 {
			text += fmt.Sprintf(" and %d more", len(names)-6)
		}
		return "rows of " + text, nil
	}
	stop := errors.New("found")
	for _, level := range rollup.Levels() {
		err := side.Store.Rollups(ctx, store.RollupQuery{Level: level, From: now.Add(-longest), To: now.Add(ahead), MaxRows: 1}, func(store.RollupSeries) error { return stop })
		if errors.Is(err, stop) || errors.Is(err, store.ErrTooMany) {
			return what(level), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// limit is the oldest that the target keeps of a level.
func (m *migration) limit(level rollup.Level) time.Time {
	keep := m.o.To.Keep[level]
	if keep == 0 || keep > longest {
		keep = longest
	}
	return m.begun.Add(-keep)
}

// oldest is where the source's part of a level may begin.
func (m *migration) oldest(level rollup.Level) time.Time {
	if at := m.o.From.Store.Stats().Oldest; level == rollup.Raw && !at.IsZero() {
		return at
	}
	return m.begun.Add(-longest)
}

// from is where copying a level begins.
func (m *migration) from(level rollup.Level) time.Time {
	from, limit := m.oldest(level), m.limit(level)
	if limit.After(from) {
		return limit
	}
	return from
}

// checkOld counts what the target would not keep.
func (m *migration) checkOld(ctx context.Context) error {
	if m.resumed && m.state.DroppedOld {
		m.result.Old = m.state.Old
		return nil
	}
	var said []string
	for _, level := range levels() {
		oldest, limit := m.oldest(level), m.limit(level)
		expired := limit // what the settings themselves let go
		if keep := m.o.Keep[level]; keep > 0 {
			expired = m.begun.Add(-keep)
		}
		var n int64
		for _, r := range []portion.Range{{From: oldest, To: earlier(limit, expired.Add(-grace))}, {From: later(oldest, expired), To: limit}} {
			err := read(ctx, m.o.From.Store, level, r, func(p *piece) error { n += int64(p.rows()); return nil }, nil)
			if err != nil {
				return err
			}
		}
		if n == 0 {
			continue
		}
		m.result.Old += n
		said = append(said, fmt.Sprintf("%d %s older than %s", n, what(level), limit.UTC().Format("2006-01-02 15:04")))
	}
	if len(said) == 0 {
		return nil
	}
	if !m.o.DropOld {
		return fmt.Errorf("%w: %s would be lost in %s. Let it keep more (retention and rollups in the settings, then `communewatch-collector influx setup`), or give --drop-old",
			ErrOld, strings.Join(said, ", "), &m.o.To)
	}
	m.state.DroppedOld, m.state.Old = true, m.result.Old
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// piece is what is read at once, of one level.
type piece struct {
	level       rollup.Level
	measurement string // of points
	points      []portion.Row
	windows     []rollup.Row
}

func (p *piece) rows() int { return len(p.points) + len(p.windows) }

// read reads rows or windows.
func read(ctx context.Context, src portion.Source, level rollup.Level, r portion.Range, each func(*piece) error, done func(time.Time) error) error {
	if !r.From.Before(r.To) {
		return nil
	}
	if level == rollup.Raw {
		return portion.Rows(ctx, src, r, func(m string, rows []portion.Row) error {
			return each(&piece{level: level, measurement: m, points: rows})
		}, done)
	}
	return portion.Windows(ctx, src, level, r, func(rows []rollup.Row) error {
		return each(&piece{level: level, windows: rows})
	}, done)
}

// copyLevel copies what is left of a level.
func (m *migration) copyLevel(ctx context.Context, level rollup.Level) error {
	from, to := m.from(level), m.begun.Add(ahead)
	r := portion.Range{From: later(from, m.state.Reach[level]), To: to}
	return m.copyRange(ctx, level, r, true, m.progress(Progress{Level: level, Side: m.o.From.Name}, from, r))
}

// progress makes the function that tells how far a level is, which began at from before r was begun with.
func (m *migration) progress(p Progress, from time.Time, r portion.Range) func(at time.Time, rows int) {
	begin := m.o.Now()
	return func(at time.Time, rows int) {
		p.Rows += int64(rows)
		if at.IsZero() || m.o.Progress == nil {
			return
		}
		p.Share = min(max(float64(at.Sub(from))/float64(r.To.Sub(from)), 0), 1)
		if took := m.o.Now().Sub(begin); took > 0 {
			p.PerSecond = float64(p.Rows) / took.Seconds()
			if done := at.Sub(r.From); done > 0 {
				p.Left = time.Duration(float64(took) * float64(r.To.Sub(at)) / float64(done))
			}
		}
		m.o.Progress(p)
	}
}

// copyRange copies a stretch of a level: one goroutine reads, the other writes. With account it moves the state on.
func (m *migration) copyRange(ctx context.Context, level rollup.Level, r portion.Range, account bool, progress func(time.Time, int)) error {
	type message struct {
		piece *piece
		sums  map[unit]Sum
		done  time.Time
	}
	messages := make(chan message, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(messages)
		send := func(msg message) error {
			select {
			case messages <- msg:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return read(ctx, m.o.From.Store, level, r, func(p *piece) error {
			msg := message{piece: p}
			if account {
				msg.sums = map[unit]Sum{}
				add(msg.sums, p)
			}
			return send(msg)
		}, func(to time.Time) error { return send(message{done: to}) })
	})
	group.Go(func() error {
		// Sums of a stretch count only once all of it is copied: a kill in the middle copies all of it again.
		pending, refused := map[unit]Sum{}, refusals{}
		for msg := range messages {
			if p := msg.piece; p != nil {
				if err := m.write(ctx, p, &refused); err != nil {
					return fmt.Errorf("write to %s: %w", &m.o.To, err)
				}
				merge(pending, msg.sums)
				progress(time.Time{}, p.rows())
				continue
			}
			progress(msg.done, 0)
			if !account {
				continue
			}
			merge(m.state.Sums, pending)
			clear(pending)
			m.state.Refused += refused.rows
			m.result.Expired += refused.expired
			refused = refusals{}
			m.state.Reach[level] = msg.done
			if now := m.o.Now(); now.Sub(m.saved) >= saveEvery {
				m.saved = now
				if err := m.o.To.Store.Sync(ctx); err != nil { // what the file calls copied must survive what it survives
					return err
				}
				if err := m.state.save(m.o.File, now); err != nil {
					return err
				}
			}
		}
		return ctx.Err()
	})
	return group.Wait()
}

// refusals counts rows that the target did not take.
type refusals struct {
	rows    int64
	expired int64 // grew too old since the beginning, which is nobody's fault
}

// write stores a piece in the target.
func (m *migration) write(ctx context.Context, p *piece, refused *refusals) error {
	if p.level != rollup.Raw {
		windows := p.windows
		if m.careful {
			var err error
			if windows, err = m.lighter(ctx, p); err != nil || len(windows) == 0 {
				return err
			}
		}
		return m.o.To.Store.PutRollups(ctx, p.level, windows)
	}
	rows := make([]wire.Row, 0, min(len(p.points), batchRows))
	keys := map[*portion.Series][]byte{}
	for chunk := range slices.Chunk(p.points, batchRows) {
		rows = rows[:0]
		for i := range chunk {
			r := &chunk[i]
			key := keys[r.Series]
			if key == nil {
				var err error
				if key, err = r.Series.Key(); err != nil {
					return err
				}
				keys[r.Series] = key
			}
			rows = append(rows, wire.Row{Key: key, Time: r.Time * int64(time.Millisecond), Fields: fields(r.Fields)})
		}
		err := m.o.To.Store.Append(ctx, rows)
		var partial *store.PartialError
		if errors.As(err, &partial) {
			m.refuse(refused, p.measurement, rows, partial)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func fields(in []probes.Field) []wire.Field {
	out := make([]wire.Field, len(in))
	for i, f := range in {
		out[i] = wire.Field{Key: []byte(f.Key), Type: f.Type, Num: f.Num}
		if f.Type == probes.TypeString {
			out[i].Str = []byte(f.Str)
		}
	}
	return out
}

// refuse notes rows that the target did not take.
func (m *migration) refuse(into *refusals, measurement string, rows []wire.Row, partial *store.PartialError) {
	limit := m.o.Now().Add(-m.o.To.Keep[rollup.Raw]).Add(time.Hour)
	for _, r := range partial.Rejected {
		if m.o.To.Keep[rollup.Raw] > 0 && time.Unix(0, rows[r.Index].Time).Before(limit) {
			into.expired++
			continue
		}
		into.rows++
		if reason := measurement + ": " + r.Reason; len(m.state.Reasons) < maxReasons && !slices.Contains(m.state.Reasons, reason) {
			m.state.Reasons = append(m.state.Reasons, reason)
		}
	}
}

// compare reads the target back, copies again what differs, and compares that once more.
func (m *migration) compare(ctx context.Context) error {
	differences, err := m.differences(ctx)
	if err != nil {
		return err
	}
	m.result.Differences, err = m.again(ctx, differences, true)
	return err
}

// again looks at differences once more, after copying them anew where that is asked for. What has become too old for
// the target since the beginning is left out.
func (m *migration) again(ctx context.Context, differences []Difference, copying bool) (left []Difference, err error) {
	for _, d := range differences {
		from := m.from(d.Level)
		if keep := m.o.To.Keep[d.Level]; keep > 0 {
			from = later(from, m.o.Now().Add(-keep).Add(ahead))
		}
		r := portion.Range{Measurements: []string{d.Measurement}, From: later(d.Start, from), To: earlier(d.End, m.begun.Add(ahead))}
		differs := m.sumsDiffer
		if m.state.IntoExisting {
			differs = m.targetLacks
		}
		differ, err := differs(ctx, &d, r)
		if err == nil && differ && copying {
			if err = m.copyRange(ctx, d.Level, r, false, func(time.Time, int) {}); err == nil {
				differ, err = differs(ctx, &d, r)
			}
		}
		if err != nil {
			return nil, err
		}
		m.result.Kept += d.better
		if differ {
			left = append(left, d)
		}
	}
	return left, nil
}

// sumsDiffer reads both stores' part of a unit anew, and reports whether they hold not the same.
func (m *migration) sumsDiffer(ctx context.Context, d *Difference, r portion.Range) (bool, error) {
	u := unitOf(d.Level, d.Measurement, d.Start.UnixMilli())
	for side, sum := range map[*Side]*Sum{&m.o.From: &d.From, &m.o.To: &d.To} {
		found := map[unit]Sum{}
		if err := read(ctx, side.Store, d.Level, r, func(p *piece) error { add(found, p); return nil }, nil); err != nil {
			return false, err
		}
		*sum = found[u]
	}
	m.state.Sums[u] = d.From
	return d.From != d.To, nil
}

// differences compares the two stores unit by unit. The source is read again only where it may have changed since.
func (m *migration) differences(ctx context.Context) ([]Difference, error) {
	sums := [2]map[unit]Sum{m.state.Sums, {}}
	sides := []*Side{&m.o.From, &m.o.To}
	if m.resumed {
		sums[0] = map[unit]Sum{}
	}
	for i, side := range sides {
		if i == 0 && !m.resumed {
			continue
		}
		for _, level := range levels() {
			r := portion.Range{From: m.from(level), To: m.begun.Add(ahead)}
			progress := m.progress(Progress{Level: level, Comparing: true, Side: side.Name}, r.From, r)
			err := read(ctx, side.Store, level, r, func(p *piece) error {
				add(sums[i], p)
				progress(time.Time{}, p.rows())
				return nil
			}, func(to time.Time) error { progress(to, 0); return nil })
			if err != nil {
				return nil, fmt.Errorf("compare: %s: %w", side, err)
			}
		}
	}
	m.state.Sums = sums[0]
	var found []Difference
	for _, u := range units(sums[0], sums[1]) {
		from, to := sums[0][u], sums[1][u]
		if from == to || m.state.IntoExisting && from.Rows == 0 {
			continue
		}
		found = append(found, Difference{Level: u.Level, Measurement: u.Measurement, Start: u.start(), End: u.end(), From: from, To: to})
	}
	return found, nil
}
