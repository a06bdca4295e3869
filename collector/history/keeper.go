package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/rollup/due"
	"communewatch/collector/store"
	"communewatch/probes"
)

// Keeper works rollups out. Make one with New.
type Keeper struct {
	o        Options
	log      *slog.Logger
	contract map[string]bool // measurements whose rows are folded
	metrics  *metrics
	wake     chan struct{} // holds one: a mark was made
	loaded   chan struct{} // closed once marks are known

	// Used by Work alone.
	working sync.Mutex
	begun   bool
	swept   map[string]bool // sites of the hour at done that are worked out
	shrunk  map[string]bool // sites that this was logged of
	retries int             // failures one after the other
	unsure  int             // how often the store could not tell how old its rows are

	mu       sync.Mutex // guards the fields below
	before   int64      // rows before it must be marked, Unix milliseconds; never below done
	done     int64      // hours before it were worked out; 0: not known
	sites    map[string]bool
	marks    map[siteHour]*mark
	oldest   int64      // the first hour that is marked, unless stale; MaxInt64: none is
	stale    bool       // the mark that oldest is of was taken away
	queue    []siteHour // what was due when it was looked at last, less what was tried since
	drawn    int64      // the last generation
	progress Progress
}

type siteHour struct {
	site  string
	start int64
}

// mark is an hour to be worked out anew.
type mark struct {
	generation  int64
	durable     bool // it is in the registry
	taken       bool // the Keeper has noted the generation: what comes now needs a new one
	first, last time.Time
}

// New returns a Keeper that does nothing until Run. Touch waits for that.
func New(o Options) *Keeper {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	k := &Keeper{
		o: o, log: o.Log, contract: map[string]bool{}, wake: make(chan struct{}, 1), loaded: make(chan struct{}),
		swept: map[string]bool{}, shrunk: map[string]bool{},
		before: math.MaxInt64, sites: map[string]bool{}, marks: map[siteHour]*mark{}, oldest: math.MaxInt64,
	}
	for _, m := range probes.Schema() {
		k.contract[m.Name] = true
	}
	k.metrics = newMetrics(o.Metrics, k)
	return k
}

// Run works until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := k.Work(ctx)
		wake := k.wake
		if k.Progress().Failed != "" {
			wake = nil // rows that come don't make a database answer sooner
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// Work does what is due by the clock, one hour of all sites and a round of marks at most, and returns how long there is
// nothing to do if no rows come. It is what Run does again and again. A failure is in Progress, and makes it wait.
func (k *Keeper) Work(ctx context.Context) time.Duration {
	k.working.Lock()
	defer k.working.Unlock()
	wait, err := k.work(ctx)
	if ctx.Err() != nil {
		return 0
	}
	now := k.o.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		if k.progress.Failed != "" {
			k.log.Info("rollups are worked out again")
		}
		k.retries, k.progress.Failed, k.progress.Since = 0, "", time.Time{}
		return wait
	}
	if k.progress.Failed == "" {
		k.log.Error("rollups can't be worked out; they are tried again, and nothing is lost", "error", err)
		k.progress.Since = now
	}
	k.progress.Failed = err.Error()
	wait = min(firstRetry<<min(k.retries, 10), lastRetry)
	k.retries++
	return wait
}

func (k *Keeper) work(ctx context.Context) (time.Duration, error) {
	if err := k.load(ctx); err != nil {
		return 0, err
	}
	if !k.begun {
		if err := k.begin(ctx); err != nil {
			return 0, err
		}
		k.begun = true
	}
	now := k.o.Now()
	var failed error
	if k.nextSweep().After(now) {
		failed = k.redo(ctx, now)
	} else {
		failed = errors.Join(k.sweep(ctx, k.done), k.redo(ctx, now))
	}
	return k.until(k.o.Now()), failed
}

// nextSweep is when the hour at the frontier is to be worked out.
func (k *Keeper) nextSweep() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.UnixMilli(k.done + hourMillis).Add(grace)
}

// until is how long nothing is due.
func (k *Keeper) until(now time.Time) time.Duration {
	wait := min(k.nextSweep().Sub(now), idle)
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.queue) > 0 {
		return 0
	}
	for id, m := range k.marks {
		if id.start < k.before {
			wait = min(wait, m.due().Sub(now))
		}
	}
	return max(wait, 0)
}

// due is when a mark is to be worked on.
func (m *mark) due() time.Time {
	at, latest := m.last.Add(settle), m.first.Add(patience)
	if latest.Before(at) {
		return latest
	}
	return at
}

// Load reads what the registry knows, once. Work does it too; who answers questions before Run calls it first, or would
// take an unread frontier for none.
func (k *Keeper) Load(ctx context.Context) error {
	k.working.Lock()
	defer k.working.Unlock()
	return k.load(ctx)
}

func (k *Keeper) load(ctx context.Context) error {
	select {
	case <-k.loaded:
		return nil
	default:
	}
	sites, err := k.o.Marks.Sites(ctx)
	if err != nil {
		return err
	}
	hours, err := k.o.Marks.Due(ctx)
	if err != nil {
		return err
	}
	frontier, err := k.o.Marks.Frontier(ctx)
	if err != nil {
		return err
	}
	now := k.o.Now()
	if frontier.After(now) {
		// The clock was ahead once. Rows that came since are marked, so this hour is early enough.
		k.log.Warn("rollups were worked out beyond the clock, which was ahead then; going on from this hour", "to", frontier, "now", now)
		frontier = now
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !frontier.IsZero() {
		k.done = floorHour(frontier.UnixMilli()) // what is stored can be read before the sweep goes on
	}
	for _, s := range sites {
		k.sites[s] = true
	}
	for _, h := range hours {
		k.note(siteHour{h.Site, h.Start}, &mark{generation: h.Generation, durable: true}) // due at once
		k.drawn = max(k.drawn, h.Generation)
	}
	close(k.loaded)
	return nil
}

// begin finds out where the sweep goes on, and which sites have rows that nobody called Touch for: those of before
// rollups were kept, or of an older program that ran in between.
func (k *Keeper) begin(ctx context.Context) error {
	now := k.o.Now()
	k.mu.Lock()
	from := k.done
	k.mu.Unlock()
	if from == 0 {
		first, err := k.firstRow(ctx, now)
		if err != nil {
			return err
		}
		from = floorHour(first.UnixMilli())
	}
	end := now.Add(time.Hour)
	for at := time.UnixMilli(from); at.Before(end); at = at.Add(24 * time.Hour) {
		to := at.Add(24 * time.Hour)
		if to.After(end) {
			to = end
		}
		if err := k.findSites(ctx, at, to); err != nil {
			return err
		}
	}
	// What the sweep will come to need not be worked out twice.
	var swept []due.Hour
	k.mu.Lock()
	k.done, k.before = from, from
	for id, m := range k.marks {
		if id.start >= from {
			swept = append(swept, due.Hour{Site: id.site, Start: id.start, Generation: m.generation})
			k.forget(id)
		}
	}
	k.mu.Unlock()
	return k.o.Marks.Unmark(ctx, swept)
}

// firstRow is where the sweep of a store begins that was never swept. Until it is found every row that comes is marked, so
// one that is older than what was found is not missed.
func (k *Keeper) firstRow(ctx context.Context, now time.Time) (time.Time, error) {
	names, err := k.measurements(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if len(names) == 0 {
		return now.Truncate(time.Hour), nil
	}
	if oldest := k.o.Store.Stats().Oldest; !oldest.IsZero() {
		if oldest.After(now) {
			oldest = now
		}
		k.log.Info("working rollups out for the first time", "from", oldest)
		return oldest, nil
	}
	// An InfluxDB takes a while to say. The guess costs a sweep of all that rows are kept for.
	if k.unsure++; k.unsure < unsureMost {
		return time.Time{}, errUnsure
	}
	from := now.Add(-k.o.Retention)
	k.log.Warn("the database does not say how old its rows are; rollups are worked out from where rows may begin", "from", from)
	return from, nil
}

var errUnsure = errors.New("the database has not said yet how old its rows are")

// note puts a mark in. mu is held.
func (k *Keeper) note(id siteHour, m *mark) {
	k.marks[id] = m
	k.oldest = min(k.oldest, id.start)
}

// forget takes a mark away. mu is held.
func (k *Keeper) forget(id siteHour) {
	delete(k.marks, id)
	k.stale = k.stale || id.start == k.oldest
}

// measurements lists those of the contract that have rows.
func (k *Keeper) measurements(ctx context.Context) ([]string, error) {
	names, err := k.o.Store.Measurements(ctx)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !k.contract[name] })
	slices.Sort(names)
	return names, nil
}

// findSites learns the sites that rows of a stretch are of. Every run writes a row of measurement check.
func (k *Keeper) findSites(ctx context.Context, from, to time.Time) error {
	fresh := map[string]bool{}
	for measurement, field := range map[string]string{"check": "interval_seconds", "agent": "uptime_seconds"} {
		q := store.Query{Measurement: measurement, Fields: []string{field}, From: from, To: to}
		err := k.o.Store.Windows(ctx, q, to.Sub(from).Truncate(time.Millisecond), func(s store.WindowSeries) error {
			if site := s.Tags.Get("site"); site != "" {
				fresh[site] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	k.mu.Lock()
	maps.DeleteFunc(fresh, func(site string, _ bool) bool { return k.sites[site] })
	k.mu.Unlock()
	return k.addSites(ctx, slices.Sorted(maps.Keys(fresh))...)
}

func (k *Keeper) addSites(ctx context.Context, sites ...string) error {
	if len(sites) == 0 {
		return nil
	}
	if err := k.o.Marks.AddSites(ctx, sites...); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range sites {
		k.sites[s] = true
	}
	return nil
}

// Touch says that rows of a site were appended, of these times in Unix milliseconds. When it returns nil they will be
// in the rollups, whatever happens to the process. One time for each hour is enough.
func (k *Keeper) Touch(ctx context.Context, site string, times []int64) error {
	select {
	case <-k.loaded:
	case <-ctx.Done():
		return fmt.Errorf("note rows for rollups: %w", ctx.Err())
	}
	now := k.o.Now()
	k.mu.Lock()
	known := k.sites[site]
	k.mu.Unlock()
	if !known {
		// Before the frontier is looked at: a sweep that begins after this knows the site, and one that began sooner
		// is seen below.
		if err := k.addSites(ctx, site); err != nil {
			return err
		}
	}
	var write []due.Hour
	k.mu.Lock()
	began := k.drawn
	for _, t := range times {
		hour := floorHour(t)
		for _, start := range [...]int64{hour, hour + hourMillis} {
			if start >= k.before {
				continue
			}
			id := siteHour{site, start}
			m := k.marks[id]
			if m == nil {
				m = &mark{first: now}
				k.note(id, m)
			}
			m.last = now
			if m.durable && !m.taken || m.generation > began {
				continue
			}
			if m.taken {
				m.first = now
			}
			k.drawn++
			m.generation, m.durable, m.taken = k.drawn, false, false
			write = append(write, due.Hour{Site: site, Start: start, Generation: m.generation})
		}
	}
	k.mu.Unlock()
	return k.mark(ctx, write)
}

// mark writes marks down that are in k.marks already.
func (k *Keeper) mark(ctx context.Context, write []due.Hour) error {
	if len(write) == 0 {
		return nil
	}
	if err := k.o.Marks.Mark(ctx, write); err != nil {
		return err
	}
	k.mu.Lock()
	for _, h := range write {
		if m := k.marks[siteHour{h.Site, h.Start}]; m != nil && m.generation == h.Generation {
			m.durable = true
		}
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return nil
}

// Rebuild has the hours in [from, to) of some sites worked out anew, of all sites where none is named, and returns how
// many those are once they are marked. Hours whose rows are not kept any more are left as they are.
func (k *Keeper) Rebuild(ctx context.Context, from, to time.Time, sites []string) (int, error) {
	select {
	case <-k.loaded:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	now := k.o.Now()
	if oldest := now.Add(-k.o.Retention); from.Before(oldest) {
		from = oldest.Add(time.Hour) // the first hour may have lost some of its rows already
	}
	write, err := k.draw(now, from, to, sites)
	if err != nil {
		return 0, err
	}
	return len(write), k.mark(ctx, write)
}

// draw makes the marks of a Rebuild.
func (k *Keeper) draw(now, from, to time.Time, sites []string) (write []due.Hour, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(sites) == 0 {
		sites = slices.Sorted(maps.Keys(k.sites))
	}
	first, end := floorHour(from.UnixMilli()), min(to.UnixMilli(), floorHour(now.UnixMilli()), k.before)
	if n := max(end-first, 0) / hourMillis * int64(len(sites)); n > rebuildMost {
		return nil, fmt.Errorf("%d hours of sites are too many at once, at most %d; take fewer days or name sites", n, rebuildMost)
	}
	for start := first; start < end; start += hourMillis {
		for _, site := range sites {
			k.drawn++
			k.note(siteHour{site, start}, &mark{generation: k.drawn}) // due at once
			write = append(write, due.Hour{Site: site, Start: start, Generation: k.drawn})
		}
	}
	return write, nil
}

// Progress is how far the Keeper is.
func (k *Keeper) Progress() Progress {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.progress
	if k.done > 0 {
		p.To = time.UnixMilli(k.done).UTC()
	}
	if k.stale {
		k.oldest, k.stale = math.MaxInt64, false
		for id := range k.marks {
			k.oldest = min(k.oldest, id.start)
		}
	}
	if p.Pending = len(k.marks); p.Pending > 0 {
		p.Oldest = time.UnixMilli(k.oldest).UTC()
	}
	return p
}

// sweep works the hour at the frontier out for all sites, and what ends with it.
func (k *Keeper) sweep(ctx context.Context, start int64) error {
	next := start + hourMillis
	k.mu.Lock()
	k.before = max(k.before, next) // first of all; see the package comment
	sites := slices.Sorted(maps.Keys(k.sites))
	k.mu.Unlock()
	names, err := k.measurements(ctx)
	if err != nil {
		return err
	}
	failures := 0
	for _, site := range sites {
		if k.swept[site] {
			continue
		}
		if err := k.pass(ctx, site, start, names); err == nil {
			failures = 0
		} else {
			if failures++; ctx.Err() != nil || failures >= inARow || failures == len(sites) {
				return err
			}
			k.log.Warn("an hour of a site can't be worked out; it is tried again", "site", site, "hour", time.UnixMilli(start).UTC(), "error", err)
			if err := k.postpone(ctx, site, start); err != nil {
				return err
			}
		}
		k.swept[site] = true
	}
	// On disk before the registry says so: the two are flushed apart.
	if err := k.o.Store.Sync(ctx); err != nil {
		return err
	}
	if err := k.o.Marks.SetFrontier(ctx, time.UnixMilli(next)); err != nil {
		return err
	}
	clear(k.swept)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.done = next
	return nil
}

// pass works an hour of a site out, and the day and the month that end with it.
func (k *Keeper) pass(ctx context.Context, site string, start int64, names []string) error {
	if err := k.hour(ctx, site, start, names); err != nil {
		return err
	}
	for _, level := range []rollup.Level{rollup.Day, rollup.Month} {
		begin := level.Start(time.UnixMilli(start), k.o.Zone)
		if level.Next(begin, k.o.Zone).UnixMilli() != start+hourMillis {
			break
		}
		if err := k.coarser(ctx, site, level, begin); err != nil {
			return err
		}
	}
	return nil
}

// postpone marks an hour that could not be worked out.
func (k *Keeper) postpone(ctx context.Context, site string, start int64) error {
	now := k.o.Now()
	k.mu.Lock()
	k.drawn++
	generation := k.drawn
	k.note(siteHour{site, start}, &mark{generation: generation, first: now.Add(lastRetry), last: now.Add(lastRetry)})
	k.mu.Unlock()
	return k.mark(ctx, []due.Hour{{Site: site, Start: start, Generation: generation}})
}

// take notes the marks that are due, by site and time, a round of them. All marks are looked at once for as many rounds
// as it takes: there are a million when a province comes back after a month.
func (k *Keeper) take(now time.Time) (list []due.Hour) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ready := func(id siteHour, m *mark) bool { return m != nil && !m.due().After(now) && id.start < k.before }
	if len(k.queue) == 0 {
		for id, m := range k.marks {
			if ready(id, m) {
				k.queue = append(k.queue, id)
			}
		}
		slices.SortFunc(k.queue, func(a, b siteHour) int { return cmp.Or(cmp.Compare(a.site, b.site), cmp.Compare(a.start, b.start)) })
	}
	for len(list) < round && len(k.queue) > 0 {
		id := k.queue[0]
		k.queue = k.queue[1:]
		if m := k.marks[id]; ready(id, m) {
			m.taken = true
			list = append(list, due.Hour{Site: id.site, Start: id.start, Generation: m.generation})
		}
	}
	return list
}

// redo works out anew what is due. Days and months come once all of a site's hours are done, so that a week that comes
// late makes each of them once.
func (k *Keeper) redo(ctx context.Context, now time.Time) (failed error) {
	list := k.take(now)
	if len(list) == 0 {
		return nil
	}
	names, err := k.measurements(ctx)
	if err != nil {
		k.giveBack(list, now)
		return err
	}
	var done []due.Hour
	failures := 0
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].Site == list[0].Site {
			n++
		}
		hours := list[:n]
		list = list[n:]
		if failures >= inARow || ctx.Err() != nil {
			k.putOff(hours)
			continue
		}
		good, bad, left, err := k.again(ctx, hours, names)
		done = append(done, good...)
		k.giveBack(bad, now)
		k.putOff(left)
		if failures++; len(good) > 0 {
			failures = 0
		}
		failed = cmp.Or(err, failed)
	}
	if len(done) == 0 {
		return failed
	}
	err = k.o.Store.Sync(ctx)
	if err == nil {
		err = k.o.Marks.Unmark(ctx, done)
	}
	if err != nil {
		k.giveBack(done, now)
		return errors.Join(failed, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range done {
		id := siteHour{h.Site, h.Start}
		if m := k.marks[id]; m != nil && m.generation == h.Generation {
			k.forget(id)
		}
	}
	return failed
}

// giveBack lets marks that were taken be tried again, later.
func (k *Keeper) giveBack(list []due.Hour, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range list {
		if m := k.marks[siteHour{h.Site, h.Start}]; m != nil && m.generation == h.Generation {
			m.taken = false
			m.first, m.last = now, now
		}
	}
}

// putOff lets marks that were taken and not tried come before those that failed.
func (k *Keeper) putOff(list []due.Hour) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range list {
		id := siteHour{h.Site, h.Start}
		if m := k.marks[id]; m != nil && m.generation == h.Generation {
			m.taken = false
			k.queue = append(k.queue, id)
		}
	}
}

// again works hours of a site out anew, and the days and months that they are in, if those are over. An hour that fails
// does not hold up the others; after some in a row those that are left are not tried now.
func (k *Keeper) again(ctx context.Context, hours []due.Hour, names []string) (good, bad, left []due.Hour, err error) {
	failures := 0
	for i, h := range hours {
		if failures == inARow {
			left = hours[i:]
			break
		}
		if herr := k.hour(ctx, h.Site, h.Start, names); herr != nil {
			bad, err = append(bad, h), herr
			failures++
			continue
		}
		good, failures = append(good, h), 0
	}
	// Not done: where a sweep fails in between, this site may have been swept already, with the day that ends there. A
	// day that is made too early is made again by its own sweep.
	k.mu.Lock()
	before := k.before
	k.mu.Unlock()
	for _, level := range []rollup.Level{rollup.Day, rollup.Month} {
		over := map[int64][]due.Hour{}
		for _, h := range good {
			if begin := level.Start(time.UnixMilli(h.Start), k.o.Zone); level.Next(begin, k.o.Zone).UnixMilli() <= before {
				over[begin.UnixMilli()] = append(over[begin.UnixMilli()], h)
			}
		}
		for _, at := range slices.Sorted(maps.Keys(over)) {
			if cerr := k.coarser(ctx, hours[0].Site, level, time.UnixMilli(at)); cerr != nil {
				bad, err = append(bad, over[at]...), cerr
				good = slices.DeleteFunc(good, func(h due.Hour) bool { return slices.Contains(over[at], h) })
			}
		}
	}
	return good, bad, left, err
}
