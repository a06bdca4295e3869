package history_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/api"
	"communewatch/collector/health"
	"communewatch/collector/history"
	"communewatch/collector/ingest"
	"communewatch/collector/registry"
	"communewatch/collector/reports/account"
	"communewatch/collector/reports/figures"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influxd"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/wire"
)

var ict = time.FixedZone("ICT", 7*3600)

// The story that batches tell begins on the last day of a month and ends after midnight.
var (
	storyFrom = time.Date(2026, 3, 31, 13, 0, 0, 0, ict)
	storyTo   = time.Date(2026, 4, 1, 2, 0, 0, 0, ict)
)

// world is the path of results without processes: the agents' door, a store, the Keeper, and the API.
type world struct {
	t      testing.TB
	store  store.Store
	reg    *registry.Registry
	keeper *history.Keeper
	reader *history.Reader
	door   http.Handler
	people http.Handler
	tokens map[string]string
	seq    map[string]int

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) set(t time.Time) {
	w.mu.Lock()
	w.now = t
	w.mu.Unlock()
}

var sites = []string{"s1", "s2"}

var keep = map[rollup.Level]time.Duration{
	rollup.FiveMinutes: 366 * 24 * time.Hour, rollup.Hour: 5 * 366 * 24 * time.Hour, rollup.Day: 5 * 366 * 24 * time.Hour, rollup.Month: 5 * 366 * 24 * time.Hour,
}

// newWorld makes a world. open opens its store, by the world's clock.
func newWorld(t testing.TB, open func(now func() time.Time) (store.Store, error)) *world {
	w := &world{t: t, tokens: map[string]string{}, seq: map[string]int{}, now: storyFrom}
	quiet := slog.New(slog.DiscardHandler)
	ctx := context.Background()
	var err error
	if w.reg, err = registry.Open(ctx, filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: quiet, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.reg.Close() })
	var list []inventory.Site
	for i, id := range sites {
		list = append(list, inventory.Site{ID: id, Name: "Tích Sơn", Code: fmt.Sprintf("%05d", 8707+i), Parent: "Vĩnh Yên"})
	}
	if _, err := w.reg.ImportSites(ctx, list, false); err != nil {
		t.Fatal(err)
	}
	for _, id := range sites {
		if w.tokens[id], _, err = w.reg.CreateToken(ctx, registry.Token{Kind: registry.KindAgent, Site: id}); err != nil {
			t.Fatal(err)
		}
	}
	if w.store, err = open(w.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	rules := health.DefaultRules()
	w.keeper = history.New(history.Options{Store: w.store, Marks: w.reg.Rollups().Of("test"), Zone: ict, Now: w.clock, Log: quiet,
		Accountant: account.New(account.Options{Store: w.store, Rules: rules, Absences: w.reg.Lines()})})
	w.reader = history.NewReader(history.ReaderOptions{Store: w.store, Progress: w.keeper.Progress, Zone: ict, Keep: keep, Now: w.clock})
	judge := health.New(rules, storyFrom)
	judge.SetSites(sites)
	in := ingest.New(ingest.Options{Store: w.store, Registry: w.reg, Judge: judge, Devices: w.reg.Devices(), Rollups: w.keeper, Rules: rules, Now: w.clock, Log: quiet})
	w.door = in.Handler()
	w.people = api.New(api.Options{Judge: judge, Store: w.reader, Registry: w.reg, Zone: ict, Now: w.clock, Log: quiet,
		Reports: figures.New(figures.Options{Windows: w.store, Progress: w.keeper.Progress, Sites: w.reg, Lines: w.reg.Lines(), Rules: rules, Zone: ict, Now: w.clock}),
	}).Handler()
	w.work() // marks are known from here on
	return w
}

// work lets the Keeper do all that is due by the clock.
func (w *world) work() {
	w.t.Helper()
	for w.keeper.Work(w.t.Context()) == 0 {
	}
	if failed := w.keeper.Progress().Failed; failed != "" {
		w.t.Fatal(failed)
	}
}

// batch is what an agent sends at once.
type batch struct {
	site string
	end  time.Time // of its newest row
	text string
}

// story is the batches of all sites, by the hour or so. An agent is silent for two hours, and a line is down for one.
func story(from, to time.Time) (all []batch) {
	const every = 5 * time.Minute
	for i, site := range sites {
		var b batch
		n := 0
		for at := from.Add(time.Duration(i) * time.Second); at.Before(to); at = at.Add(every) {
			n++
			if gone := at.Sub(from); site == "s2" && gone > 5*time.Hour && gone < 7*time.Hour {
				continue
			}
			down := site == "s1" && at.Sub(from) > 8*time.Hour && at.Sub(from) < 9*time.Hour
			var text []byte
			for _, p := range runAt(site, at, n, down) {
				text = wire.Append(text, &p)
			}
			b.site, b.end, b.text = site, at, b.text+string(text)
			if n%12 == 0 {
				all = append(all, b)
				b = batch{}
			}
		}
		if b.text != "" {
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all, func(a, b batch) int { return a.end.Compare(b.end) })
	return all
}

func runAt(site string, at time.Time, n int, down bool) []probes.Point {
	tags := func(more ...string) probes.Tags {
		out := probes.Tags{}.With("site", site).With("agent", "pc").With("target", "gw").With("path", "lan")
		for i := 0; i < len(more); i += 2 {
			out = out.With(more[i], more[i+1])
		}
		return out
	}
	sent, lost, outcome := int64(10), int64(n%3/2), probes.OutcomeOK
	if down {
		lost, outcome = 10, probes.OutcomeTimeout
	}
	fields := []probes.Field{probes.Int("sent", sent), probes.Int("lost", lost), probes.Float("loss_ratio", float64(lost)/float64(sent))}
	if !down {
		fields = append(fields, probes.Float("rtt_median_seconds", 0.001*float64(1+n%17)/3), probes.Float("jitter_seconds", 0.0001*float64(1+n%7)))
	}
	self := probes.Tags{}.With("site", site).With("agent", "pc")
	return []probes.Point{
		{Measurement: "icmp", Tags: tags(), Time: at, Fields: fields},
		{Measurement: "check", Tags: tags("kind", "icmp", "layer", "lan"), Time: at, Fields: []probes.Field{
			probes.String("outcome", outcome.String()), probes.Bool("up", !down), probes.Float("interval_seconds", 300), probes.String("path_proof", "bound")}},
		{Measurement: "agent", Tags: self, Time: at, Fields: []probes.Field{probes.String("version", "test"), probes.Float("uptime_seconds", float64(n)*300)}},
	}
}

// send brings a batch to the agents' door.
func (w *world) send(b batch) {
	w.t.Helper()
	w.seq[b.site]++
	r := httptest.NewRequest(http.MethodPost, "/api/v2/write?bucket=communewatch&precision=ns", strings.NewReader(b.text))
	r.Header.Set("Authorization", "Token "+w.tokens[b.site])
	for name, value := range map[string]string{wire.HeaderAgent: "pc", wire.HeaderBoot: "b1", wire.HeaderSeq: strconv.Itoa(w.seq[b.site]), wire.HeaderClock: "1"} {
		r.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	w.door.ServeHTTP(answer, r)
	if answer.Code != http.StatusNoContent {
		w.t.Fatalf("batch of %s until %v: %d %s", b.site, b.end, answer.Code, answer.Body)
	}
}

// inOrder tells the whole story as it happened.
func (w *world) inOrder(all []batch) {
	w.t.Helper()
	for _, b := range all {
		w.set(b.end.Add(5 * time.Second))
		w.send(b)
		w.work()
	}
	w.end(all)
}

// end lets everything be worked out that the story leads to.
func (w *world) end(all []batch) {
	w.t.Helper()
	last := all[len(all)-1].end
	if at := last.Truncate(time.Hour).Add(2*time.Hour + 5*time.Minute); at.After(w.clock()) {
		w.set(at)
	}
	w.work()
	w.set(w.clock().Add(2 * time.Minute)) // whatever came last is to be worked out anew by then
	w.work()
	if p := w.keeper.Progress(); p.Pending != 0 || !p.To.After(last) {
		w.t.Fatalf("not at the end: %+v", p)
	}
}

// windows is all that is stored of all levels, to the last bit.
func (w *world) windows() string {
	w.t.Helper()
	var lines []string
	for _, level := range rollup.Levels() {
		q := store.RollupQuery{Level: level, From: storyFrom.AddDate(0, -2, 0), To: storyTo.AddDate(0, 1, 0)}
		if err := w.store.Rollups(w.t.Context(), q, func(s store.RollupSeries) error {
			for i := range s.Rows {
				lines = append(lines, rowText(level, &s.Rows[i]))
			}
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func rowText(level rollup.Level, r *rollup.Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", level, r.Measurement)
	for _, t := range r.Tags {
		fmt.Fprintf(&b, " %s=%s", t.Key, t.Value)
	}
	b.WriteString(" " + time.UnixMilli(r.Start).In(ict).Format(time.RFC3339))
	for _, f := range r.Fields {
		fmt.Fprintf(&b, " %s=%v/%d/%x/%x/%x", f.Key, f.Value.Total, f.Value.Count, f.Value.Sum, f.Value.Min, f.Value.Max)
		if f.Value.Sketch != nil {
			b.WriteString("/" + f.Value.Sketch.Text())
		}
	}
	return b.String()
}

// ask returns the API's answer.
func (w *world) ask(path string) string {
	w.t.Helper()
	answer := httptest.NewRecorder()
	w.people.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	if answer.Code != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// differ says where two texts differ first.
func differ(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return fmt.Sprintf("%d lines and %d; after the same ones:\n%s", len(x), len(y), strings.Join(slices.Concat(x, y)[min(len(x), len(y)):][:1], ""))
}

func openEmbedded(t testing.TB) func(func() time.Time) (store.Store, error) {
	return func(now func() time.Time) (store.Store, error) {
		return embedded.Open(embedded.Options{Dir: t.TempDir(), LateWindow: 31 * 24 * time.Hour, Keep: keep, Now: now})
	}
}

// database is the InfluxDB of this room's tests.
var database = sync.OnceValues(func() (*influxd.Server, error) {
	s, err := influxd.New(influxd.Options{Dir: databaseDir})
	if err != nil {
		return nil, err
	}
	stopDatabase = s.Stop
	return s, s.Start(context.Background())
})

func openInflux(t testing.TB, name string) func(func() time.Time) (store.Store, error) {
	t.Helper()
	s, err := database()
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range append([]rollup.Level{rollup.Raw}, rollup.Levels()...) {
		c := influx.Config{Database: name}
		statement(t, s, "", fmt.Sprintf("CREATE DATABASE %q", c.DatabaseOf(level)))
	}
	return func(now func() time.Time) (store.Store, error) {
		c := influx.DefaultConfig()
		c.URL, c.Database = s.URL(), name
		return influx.Open(t.Context(), influx.Options{Config: c, LateWindow: 31 * 24 * time.Hour, Keep: keep, Now: now})
	}
}

// statement says something to the database behind the collector's back.
func statement(t testing.TB, s *influxd.Server, database, text string) {
	t.Helper()
	resp, err := http.PostForm(s.URL()+"/query", url.Values{"q": {text}, "db": {database}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || strings.Contains(string(body), `"error"`) {
		t.Fatalf("%s: %s", text, body)
	}
}
