package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/rollup/due"
	"communewatch/collector/store"
	"communewatch/probes"
)

// memory is a store and a registry's marks in memory. Every call asks before first, which may fail it.
type memory struct {
	mu       sync.Mutex
	series   map[string]*store.Series
	rolls    map[rollup.Level]map[rowID]rollup.Row
	puts     map[rollup.Level]int // windows stored, by level
	frontier time.Time
	sites    map[string]bool
	due      map[siteHour]int64
	oldest   time.Time
	calls    int
	before   func(call string) error // nil: nothing
}

func newMemory() *memory {
	return &memory{series: map[string]*store.Series{}, rolls: map[rollup.Level]map[rowID]rollup.Row{}, puts: map[rollup.Level]int{},
		sites: map[string]bool{}, due: map[siteHour]int64{}}
}

func (m *memory) enter(call string) error {
	m.mu.Lock()
	m.calls++
	before := m.before
	m.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(call)
}

// add stores a value, as an agent's row would.
func (m *memory) add(measurement, field string, tags probes.Tags, at time.Time, v float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := rollup.SeriesKey(measurement+"\x01"+field, tags)
	s := m.series[key]
	if s == nil {
		s = &store.Series{Measurement: measurement, Field: field, Tags: tags}
		m.series[key] = s
	}
	i, found := slices.BinarySearch(s.Times, at.UnixMilli())
	if !found {
		s.Times = slices.Insert(s.Times, i, at.UnixMilli())
		s.Values = slices.Insert(s.Values, i, v)
	}
	if m.oldest.IsZero() || at.Before(m.oldest) {
		m.oldest = at
	}
}

func tagsOf(site, target string) probes.Tags {
	return probes.Tags{{Key: "agent", Value: "pc"}, {Key: "path", Value: "broadband"}, {Key: "site", Value: site}, {Key: "target", Value: target}}
}

// run stores a run of a ping check.
func (m *memory) run(site string, at time.Time, rtt float64) {
	tags := tagsOf(site, "gw")
	m.add("icmp", "rtt_median_seconds", tags, at, rtt)
	m.add("icmp", "sent", tags, at, 10)
	m.add("check", "interval_seconds", tags, at, 60)
}

func (m *memory) Select(_ context.Context, q store.Query, each func(store.Series) error) error {
	if err := m.enter("select " + q.Measurement); err != nil {
		return err
	}
	m.mu.Lock()
	var found []store.Series
	for _, key := range slices.Sorted(maps.Keys(m.series)) {
		s := m.series[key]
		if s.Measurement != q.Measurement || len(q.Fields) > 0 && !slices.Contains(q.Fields, s.Field) || !matches(s.Tags, q.Tags) {
			continue
		}
		i, _ := slices.BinarySearch(s.Times, q.From.UnixMilli())
		j, _ := slices.BinarySearch(s.Times, q.To.UnixMilli())
		if i < j {
			found = append(found, store.Series{Measurement: s.Measurement, Field: s.Field, Tags: s.Tags, Times: slices.Clone(s.Times[i:j]), Values: slices.Clone(s.Values[i:j])})
		}
	}
	m.mu.Unlock()
	for _, s := range found {
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

func matches(tags probes.Tags, want map[string]string) bool {
	for k, v := range want {
		if tags.Get(k) != v {
			return false
		}
	}
	return true
}

func (m *memory) Windows(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) error {
	return m.Select(ctx, q, func(s store.Series) error {
		out := store.WindowSeries{Measurement: s.Measurement, Field: s.Field, Tags: s.Tags}
		var values []float64
		for i, t := range s.Times {
			start := q.From.UnixMilli() + (t-q.From.UnixMilli())/step.Milliseconds()*step.Milliseconds()
			if n := len(out.Windows); n == 0 || out.Windows[n-1].Start != start {
				out.Windows = append(out.Windows, store.Window{Start: start, Min: s.Values[i], Max: s.Values[i]})
				values = values[:0]
			}
			w := &out.Windows[len(out.Windows)-1]
			values = append(values, s.Values[i])
			w.Count, w.Sum, w.Last = w.Count+1, w.Sum+s.Values[i], s.Values[i]
			w.Min, w.Max = min(w.Min, s.Values[i]), max(w.Max, s.Values[i])
			if i+1 == len(s.Times) || s.Times[i+1] >= start+step.Milliseconds() {
				slices.Sort(values)
				w.P95 = values[max((len(values)*95+99)/100, 1)-1]
			}
		}
		return each(out)
	})
}

func (m *memory) Measurements(context.Context) ([]string, error) {
	if err := m.enter("measurements"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	names := map[string]bool{}
	for _, s := range m.series {
		names[s.Measurement] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func (m *memory) Stats() store.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return store.Stats{Oldest: m.oldest}
}

func (m *memory) Sync(context.Context) error { return m.enter("sync") }

func (m *memory) PutRollups(_ context.Context, level rollup.Level, rows []rollup.Row) error {
	if err := m.enter("put " + level.String()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rolls[level] == nil {
		m.rolls[level] = map[rowID]rollup.Row{}
	}
	for _, r := range rows {
		m.rolls[level][idOf(&r)] = r
		m.puts[level]++
	}
	return nil
}

func (m *memory) Rollups(_ context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error {
	if err := m.enter("rollups " + q.Level.String()); err != nil {
		return err
	}
	m.mu.Lock()
	found := map[string]*store.RollupSeries{}
	for id, r := range m.rolls[q.Level] {
		if r.Start < q.From.UnixMilli() || r.Start >= q.To.UnixMilli() {
			continue
		}
		if q.Measurement != "" && r.Measurement != q.Measurement || !matches(r.Tags, q.Tags) {
			continue
		}
		if found[id.series] == nil {
			found[id.series] = &store.RollupSeries{Measurement: r.Measurement, Tags: r.Tags}
		}
		found[id.series].Rows = append(found[id.series].Rows, r)
	}
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(found)) {
		slices.SortFunc(found[key].Rows, func(a, b rollup.Row) int { return cmp.Compare(a.Start, b.Start) })
		if err := each(*found[key]); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Frontier(context.Context) (time.Time, error) {
	err := m.enter("frontier")
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.frontier, err
}

func (m *memory) SetFrontier(_ context.Context, t time.Time) error {
	if err := m.enter("set frontier"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frontier = t
	return nil
}

func (m *memory) Sites(context.Context) ([]string, error) {
	err := m.enter("sites")
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.sites)), err
}

func (m *memory) AddSites(_ context.Context, sites ...string) error {
	if err := m.enter("add sites"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range sites {
		m.sites[s] = true
	}
	return nil
}

func (m *memory) Due(context.Context) (out []due.Hour, err error) {
	err = m.enter("due")
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, g := range m.due {
		out = append(out, due.Hour{Site: id.site, Start: id.start, Generation: g})
	}
	return out, err
}

func (m *memory) Mark(_ context.Context, hours []due.Hour) error {
	if err := m.enter("mark"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range hours {
		id := siteHour{h.Site, h.Start}
		m.due[id] = max(m.due[id], h.Generation)
	}
	return nil
}

func (m *memory) Unmark(_ context.Context, hours []due.Hour) error {
	if err := m.enter("unmark"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range hours {
		if id := (siteHour{h.Site, h.Start}); m.due[id] == h.Generation {
			delete(m.due, id)
		}
	}
	return nil
}

// text is all windows, to be compared.
func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []string
	for level, rows := range m.rolls {
		for _, r := range rows {
			lines = append(lines, textOf(level, &r))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func textOf(level rollup.Level, r *rollup.Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s %q %s", level, r.Measurement, r.Tags, time.UnixMilli(r.Start).UTC().Format(time.RFC3339))
	for _, f := range r.Fields {
		fmt.Fprintf(&b, " %s=%v/%d/%x/%x/%x", f.Key, f.Value.Total, f.Value.Count, f.Value.Sum, f.Value.Min, f.Value.Max)
		if f.Value.Sketch != nil {
			b.WriteString("/" + f.Value.Sketch.Text())
		}
	}
	return b.String()
}

// window returns a stored field of site's pings.
func (m *memory) window(t testing.TB, level rollup.Level, site string, start time.Time, field string) rollup.Aggregate {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rolls[level][rowID{rollup.SeriesKey("icmp", tagsOf(site, "gw")), start.UnixMilli()}]
	if !ok {
		t.Fatalf("no window of %v at %v", level, start)
	}
	a, _ := r.Field(field)
	return a
}

var (
	ict      = time.FixedZone("ICT", 7*3600)
	errMade  = errors.New("made to fail")
	midnight = time.Date(2026, 3, 1, 0, 0, 0, 0, ict) // of the first of a month
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func keeperOf(m *memory, c *clock) *Keeper {
	return New(Options{Store: m, Marks: m, Zone: ict, Now: c.Now, Log: slog.New(slog.DiscardHandler)})
}

// settled works until nothing is due at the time that the clock shows.
func settled(t testing.TB, k *Keeper) {
	t.Helper()
	for range 10_000 {
		wait := k.Work(t.Context())
		if failed := k.Progress().Failed; failed != "" {
			t.Fatal(failed)
		}
		if wait > 0 {
			return
		}
	}
	t.Fatal("the keeper never ends")
}
