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

	mu       sync.Mutex // guards the fields below
	before   int64      // rows before it must be marked, Unix milliseconds; never below done
	done     int64      // hours before it were worked out; 0: not known
	sites    map[string]bool
	marks    map[siteHour]*mark
	drawn    int64 // the last generation
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
		before: math.MaxInt64, sites: map[string]bool{}, marks: map[siteHour]*mark{},
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

// load reads what the registry knows, once.
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
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range sites {
		k.sites[s] = true
	}
	for _, h := range hours {
		k.marks[siteHour{h.Site, h.Start}] = &mark{generation: h.Generation, durable: true} // due at once
		k.drawn = max(k.drawn, h.Generation)
	}
	close(k.loaded)
	return nil
}

// begin finds out where the sweep goes on, and which sites have rows that nobody called Touch for: those of before
// rollups were kept, or of an older program that ran in between.
func (k *Keeper) begin(ctx context.Context) error {
	frontier, err := k.o.Marks.Frontier(ctx)
	if err != nil {
		return err
	}
	now := k.o.Now()
	if frontier.IsZero() {
		if frontier, err = k.oldest(ctx, now); err != nil {
			return err
		}
	}
	from := floorHour(frontier.UnixMilli())
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
			delete(k.marks, id)
		}
	}
	k.mu.Unlock()
	return k.o.Marks.Unmark(ctx, swept)
}

// oldest is where the sweep of a store begins that was never swept. Until it is found every row that comes is marked, so
// one that is older than what was found is not missed.
func (k *Keeper) oldest(ctx context.Context, now time.Time) (time.Time, error) {
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
	return now.Add(-k.o.Retention), nil // the store can't tell
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
	var write []due.Hour
	k.mu.Lock()
	fresh, began := !k.sites[site], k.drawn
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
				k.marks[id] = m
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
	if fresh {
		if err := k.addSites(ctx, site); err != nil {
			return err
		}
	}
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

// Rebuild has the hours in [from, to) of some sites worked out anew, of all sites where none is named. It returns when
// they are marked. Hours whose rows are not kept any more are left as they are.
func (k *Keeper) Rebuild(ctx context.Context, from, to time.Time, sites []string) error {
	select {
	case <-k.loaded:
	case <-ctx.Done():
		return ctx.Err()
	}
	now := k.o.Now()
	if oldest := now.Add(-k.o.Retention); from.Before(oldest) {
		from = oldest.Add(time.Hour) // the first hour may have lost some of its rows already
	}
	k.mu.Lock()
	if len(sites) == 0 {
		sites = slices.Sorted(maps.Keys(k.sites))
	}
	var write []due.Hour
	for start := floorHour(from.UnixMilli()); start < min(to.UnixMilli(), k.before); start += hourMillis {
		for _, site := range sites {
			k.drawn++
			k.marks[siteHour{site, start}] = &mark{generation: k.drawn, first: now, last: now}
			write = append(write, due.Hour{Site: site, Start: start, Generation: k.drawn})
		}
	}
	k.mu.Unlock()
	return k.mark(ctx, write)
}

// Progress is how far the Keeper is.
func (k *Keeper) Progress() Progress {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.progress
	if k.done > 0 {
		p.To = time.UnixMilli(k.done).UTC()
	}
	p.Pending = len(k.marks)
	oldest := int64(math.MaxInt64)
	for id := range k.marks {
		oldest = min(oldest, id.start)
	}
	if p.Pending > 0 {
		p.Oldest = time.UnixMilli(oldest).UTC()
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
	k.marks[siteHour{site, start}] = &mark{generation: generation, first: now.Add(lastRetry), last: now.Add(lastRetry)}
	k.mu.Unlock()
	return k.mark(ctx, []due.Hour{{Site: site, Start: start, Generation: generation}})
}

// take notes the marks that are due, by site and time.
func (k *Keeper) take(now time.Time) (list []due.Hour) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, m := range k.marks {
		if m.due().After(now) || id.start >= k.before {
			continue
		}
		list = append(list, due.Hour{Site: id.site, Start: id.start, Generation: m.generation})
	}
	slices.SortFunc(list, func(a, b due.Hour) int { return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Start, b.Start)) })
	list = list[:min(len(list), round)]
	for _, h := range list {
		k.marks[siteHour{h.Site, h.Start}].taken = true
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
		if failures < inARow && ctx.Err() == nil {
			if err = k.again(ctx, hours, names); err == nil {
				done, failures = append(done, hours...), 0
				list = list[n:]
				continue
			}
			failed = err
			failures++
		}
		k.giveBack(hours, now)
		list = list[n:]
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
			delete(k.marks, id)
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

// again works hours of a site out anew, and the days and months that they are in, if those are over.
func (k *Keeper) again(ctx context.Context, hours []due.Hour, names []string) error {
	k.mu.Lock()
	done := k.done
	k.mu.Unlock()
	days, months := map[int64]time.Time{}, map[int64]time.Time{}
	for _, h := range hours {
		if err := k.hour(ctx, h.Site, h.Start, names); err != nil {
			return err
		}
		for level, into := range map[rollup.Level]map[int64]time.Time{rollup.Day: days, rollup.Month: months} {
			// What is not over yet is worked out when the frontier passes it.
			if begin := level.Start(time.UnixMilli(h.Start), k.o.Zone); level.Next(begin, k.o.Zone).UnixMilli() <= done {
				into[begin.UnixMilli()] = begin
			}
		}
	}
	for _, at := range slices.Sorted(maps.Keys(days)) {
		if err := k.coarser(ctx, hours[0].Site, rollup.Day, days[at]); err != nil {
			return err
		}
	}
	for _, at := range slices.Sorted(maps.Keys(months)) {
		if err := k.coarser(ctx, hours[0].Site, rollup.Month, months[at]); err != nil {
			return err
		}
	}
	return nil
}
