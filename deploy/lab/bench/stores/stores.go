// Package stores measures the collector's two stores beside each other, and the way into an InfluxDB through the collector
// beside the straight one: with the real programs, fresh folders and the same data in the same run.
package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"communewatch/collector"
	"communewatch/collector/health/rules"
	"communewatch/collector/registry"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influxd"
	"communewatch/deploy/lab/bench/station"
	"communewatch/deploy/lab/past"
	"communewatch/deploy/lab/usage"
	"communewatch/probes/wire"
)

// Table is a section's result.
type Table struct {
	Title, About string
	Columns      []string
	Rows         [][]string
}

// Bench measures. Make it with New; what it fills is kept for the sections that follow.
type Bench struct {
	bin, dir string
	out      io.Writer
	small    bool // small numbers, to try the machinery
	seeded   map[string]*seed
}

// New returns a Bench of the programs in bin that keeps its files in dir and tells what it does to out.
func New(bin, dir string, out io.Writer, small bool) *Bench {
	return &Bench{bin: bin, dir: filepath.Join(dir, "stores"), out: out, small: small, seeded: map[string]*seed{}}
}

// Close ends what still runs.
func (b *Bench) Close() {
	for _, s := range b.seeded {
		s.stop()
	}
}

func (b *Bench) say(format string, args ...any) { fmt.Fprintf(b.out, "   "+format+"\n", args...) }

// seed is a collector whose store was given a past. Nothing of it runs until start.
type seed struct {
	kind     string
	sites    int
	from, to time.Time
	station  *station.Station
	db       *influxd.Server // nil: embedded
	filled   timed
	raw      int64 // bytes of rows on disk
	windows  int64 // of windows
}

// timed is a store that notes how long writing took.
type timed struct {
	store.Store
	rows, values, windows int64
	appending, putting    time.Duration
}

func (t *timed) Append(ctx context.Context, rows []wire.Row) error {
	begin := time.Now()
	err := t.Store.Append(ctx, rows)
	t.appending += time.Since(begin)
	t.rows += int64(len(rows))
	for i := range rows {
		t.values += int64(len(rows[i].Fields))
	}
	return err
}

func (t *timed) PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error {
	begin := time.Now()
	err := t.Store.PutRollups(ctx, level, rows)
	t.putting += time.Since(begin)
	t.windows += int64(len(rows))
	return err
}

// Sizes of a past. Days of lines reach back a year for all sites, days of checks for those that are asked about: what
// lies between is ballast, and its size is told.
const (
	pastDays   = 370
	rawHours   = 25
	fineSites  = 10
	hourlyDays = 32
)

// seedOf returns the collector with n sites whose store of that kind was filled, filling it first.
func (b *Bench) seedOf(ctx context.Context, kind string, n int) (*seed, error) {
	name := kind + "-" + strconv.Itoa(n)
	if s := b.seeded[name]; s != nil {
		return s, nil
	}
	s := &seed{kind: kind, sites: n}
	dir := filepath.Join(b.dir, name)
	settings := "health:\n  office_hours: [{days: [mon, tue, wed, thu, fri], from: \"07:00\", to: \"17:00\", holidays: [vn]}]\n"
	if kind == collector.StoreInflux {
		var err error
		// It compacts what has not been written to for a moment, so that sizes are those of data at rest.
		extra := []string{"INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION=2s", "INFLUXDB_DATA_COMPACT_FULL_WRITE_COLD_DURATION=3s"}
		if s.db, err = influxd.New(influxd.Options{Dir: filepath.Join(dir, "influxdb"), Extra: extra}); err != nil {
			return nil, err
		}
		settings += fmt.Sprintf("store: influx\ninflux: {url: %q}\n", s.db.URL())
	}
	var err error
	if s.station, err = station.Prepare(ctx, dir, n, settings); err != nil {
		return nil, err
	}
	b.seeded[name] = s
	b.say("filling %s for %d sites", kind, n)
	if err := s.fill(ctx, b.small); err != nil {
		return nil, fmt.Errorf("fill %s: %w", kind, err)
	}
	b.say("%d rows in %v, %d windows in %v", s.filled.rows, s.filled.appending.Round(time.Second/10), s.filled.windows, s.filled.putting.Round(time.Second/10))
	return s, nil
}

func (s *seed) fill(ctx context.Context, small bool) (err error) {
	cfg, err := collector.ReadConfig(s.station.Config)
	if err != nil {
		return err
	}
	if s.db != nil {
		if err := startDatabase(ctx, s.db, cfg); err != nil {
			return err
		}
	}
	zone := cfg.Location()
	s.to = time.Now().Truncate(time.Hour)
	days := pastDays
	if small {
		days = 70
	}
	s.from = rollup.Day.Start(s.to.AddDate(0, 0, -days), zone)
	o := past.Options{
		Sites: s.station.Sites, From: s.from, To: s.to, Zone: zone, Seed: 1, LineHours: 48 * time.Hour, Hours: hourlyDays * 24 * time.Hour,
		FiveMinutes: 48 * time.Hour, FineSites: fineSites, CheckSites: 136, Raw: rawHours * time.Hour, RawSites: 40, Calendar: rules.Compile(cfg.Health).Calendar,
	}
	if s.sites > 136 {
		o.CheckSites = 40
	}
	if small {
		o.FineSites, o.RawSites, o.CheckSites = 2, 2, 5
	}
	st, err := collector.OpenStore(ctx, cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	s.filled.Store = st
	told, err := past.Fill(ctx, o, &s.filled)
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()
	for site, spans := range told.Off {
		if err := reg.Lines().Ran(ctx, site, "pc-1", o.From, o.To, spans); err != nil {
			return err
		}
	}
	marks := reg.Rollups().Of(cfg.StoreName())
	if err := errors.Join(marks.AddSites(ctx, o.Sites...), marks.SetFrontier(ctx, o.To)); err != nil {
		return err
	}
	if s.db == nil {
		if s.raw, err = size(filepath.Join(cfg.StoreDir(), "series")); err != nil {
			return err
		}
		s.windows, err = size(cfg.StoreDir())
		s.windows -= s.raw
		return err
	}
	return s.atRest(ctx)
}

// startDatabase starts a server and makes its databases, as an operator does.
func startDatabase(ctx context.Context, db *influxd.Server, cfg collector.Config) error {
	if err := db.Start(ctx); err != nil {
		return err
	}
	keep := cfg.Rollups.Keep()
	keep[rollup.Raw] = cfg.Retention
	_, err := setup.Setup(ctx, setup.Options{Config: cfg.Influx, Keep: keep})
	return err
}

// atRest waits until the database's files have not changed for a while, and measures them.
func (s *seed) atRest(ctx context.Context) error {
	const calm = 8 * time.Second
	deadline := time.Now().Add(2 * time.Minute)
	last, since := int64(-1), time.Now()
	for time.Since(since) < calm && time.Now().Before(deadline) {
		now, err := size(s.db.Dir())
		if err != nil {
			return err
		}
		if now != last {
			last, since = now, time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	s.raw, s.windows = 0, 0
	for _, part := range []string{"data", "wal"} {
		for _, level := range append([]rollup.Level{rollup.Raw}, rollup.Levels()...) {
			cfg, err := collector.ReadConfig(s.station.Config)
			if err != nil {
				return err
			}
			n, err := size(filepath.Join(s.db.Dir(), part, cfg.Influx.DatabaseOf(level)))
			if err != nil {
				return err
			}
			if level == rollup.Raw {
				s.raw += n
			} else {
				s.windows += n
			}
		}
	}
	return nil
}

// size is what the files of a folder take of the disk. InfluxDB makes some larger than what is in them.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // compacted away while we look
			}
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	return n, err
}

// start starts the database and the collector.
func (s *seed) start(ctx context.Context, bin string) error {
	if s.db != nil && s.db.PID() == 0 {
		if err := s.db.Start(ctx); err != nil {
			return err
		}
	}
	return s.station.Start(ctx, bin)
}

// stop ends both in good order.
func (s *seed) stop() {
	if s.station.Program != nil {
		s.station.Stop()
		s.station.Program = nil
	}
	if s.db != nil {
		s.db.Stop()
	}
}

// memory is what collector and database have in memory.
func (s *seed) memory() (ours, database float64, err error) {
	if ours, _, err = s.station.Memory(); err == nil && s.db != nil {
		database, _, err = usage.Memory(s.db.PID())
	}
	return ours, database, err
}

// ask gets a document of the collector, as a browser does, and returns how long that took and its size.
func (s *seed) ask(ctx context.Context, path string) (time.Duration, int64, error) {
	begin := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.station.URL+path, nil)
	if err != nil {
		return 0, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return 0, 0, fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	return time.Since(begin), n, err
}

// warm is the median of several.
func (s *seed) warm(ctx context.Context, path string, times int) (time.Duration, int64, error) {
	var all []time.Duration
	var bytes int64
	for range times {
		d, n, err := s.ask(ctx, path)
		if err != nil {
			return 0, 0, err
		}
		all, bytes = append(all, d), n
	}
	slices.Sort(all)
	return all[len(all)/2], bytes, nil
}

func (b *Bench) fleets() []int {
	if b.small {
		return []int{20}
	}
	return []int{136, 1360}
}

func kinds() []string { return []string{collector.StoreEmbedded, collector.StoreInflux} }

// Stores compares the stores: how fast they are filled, what they take, how fast they answer.
func (b *Bench) Stores(ctx context.Context) (Table, error) {
	t := Table{
		Title: "The embedded store and InfluxDB",
		About: fmt.Sprintf("The same made-up past in both stores, written by one process straight through the store's interface and then asked for through the "+
			"collector's HTTP API, median of seven. InfluxDB %s is on the same machine, its files measured after compaction. Rows are of %d hours of 40 sites, a run of "+
			"11 checks each minute; windows are days and months of a year of all lines and of the checks of 136 sites (of 1360: of 40), hours of %d days and five "+
			"minutes of two days of %d sites, and hours of two days of all lines. One check is the pings of one line: median and percentile of the round trip; one "+
			"site is the same of all its pings. RSS is after the questions; for InfluxDB the collector's and the database's.",
			influxd.Version, rawHours, hourlyDays, fineSites),
		Columns: []string{"sites", "store", "rows/s", "windows/s", "rows", "windows", "bytes per value of a row", "bytes per window", "RSS",
			"24 h: check, site", "30 d: check, site", "1 y: check, site"},
	}
	for _, n := range b.fleets() {
		for _, kind := range kinds() {
			s, err := b.seedOf(ctx, kind, n)
			if err != nil {
				return t, err
			}
			row, err := s.measure(ctx, b.bin)
			s.stop()
			if err != nil {
				return t, fmt.Errorf("%s, %d sites: %w", kind, n, err)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t, nil
}

func (s *seed) measure(ctx context.Context, bin string) ([]string, error) {
	if err := s.start(ctx, bin); err != nil {
		return nil, err
	}
	row := []string{strconv.Itoa(s.sites), s.kind,
		count(float64(s.filled.rows) / s.filled.appending.Seconds()), count(float64(s.filled.windows) / s.filled.putting.Seconds()),
		count(float64(s.filled.rows)), count(float64(s.filled.windows)),
		fmt.Sprintf("%.2f", float64(s.raw)/float64(s.filled.values)), fmt.Sprintf("%.1f", float64(s.windows)/float64(s.filled.windows)), ""}
	site := s.station.Sites[0]
	for _, days := range []int{1, 30, 365} {
		from := s.to.AddDate(0, 0, -days)
		if from.Before(s.from) {
			from = s.from
		}
		q := url.Values{"measurement": {"icmp"}, "field": {"rtt_median_seconds"}, "agg": {"mean,p95"}, "site": {site},
			"from": {strconv.FormatInt(from.Unix(), 10)}, "to": {strconv.FormatInt(s.to.Unix(), 10)}}
		all, _, err := s.warm(ctx, "/api/v1/series?"+q.Encode(), 7)
		if err != nil {
			return nil, err
		}
		q.Set("target", "broadband-anchor")
		one, _, err := s.warm(ctx, "/api/v1/series?"+q.Encode(), 7)
		if err != nil {
			return nil, err
		}
		row = append(row, fmt.Sprintf("%s, %s", short(one), short(all)))
	}
	ours, database, err := s.memory()
	if err != nil {
		return nil, err
	}
	row[8] = mib(ours)
	if s.db != nil {
		row[8] += " + " + mib(database)
	}
	return row, nil
}

// Reports measures the report of a year, on both stores.
func (b *Bench) Reports(ctx context.Context) (Table, error) {
	t := Table{
		Title: "A year's report on all lines",
		About: "A report of the last whole days of a made-up year on all lines of all sites in office hours, as JSON over HTTP. Cold is the first question after collector " +
			"and database were started; warm the median of five that follow. The aim is below two seconds.",
		Columns: []string{"sites", "store", "cold", "warm", "size"},
	}
	for _, n := range b.fleets() {
		for _, kind := range kinds() {
			s, err := b.seedOf(ctx, kind, n)
			if err != nil {
				return t, err
			}
			s.stop()
			if err := s.start(ctx, b.bin); err != nil {
				return t, err
			}
			first, last := s.from.Format(time.DateOnly), s.to.AddDate(0, 0, -1).Format(time.DateOnly)
			if y := s.to.AddDate(0, 0, -365); y.After(s.from) {
				first = y.Format(time.DateOnly)
			}
			path := "/api/v1/reports/lines?hours=office&from=" + first + "&to=" + last
			cold, _, err := s.ask(ctx, path)
			if err != nil {
				return t, err
			}
			warm, bytes, err := s.warm(ctx, path, 5)
			s.stop()
			if err != nil {
				return t, err
			}
			t.Rows = append(t.Rows, []string{strconv.Itoa(n), kind, short(cold), short(warm), fmt.Sprintf("%.0f KiB", float64(bytes)/1024)})
		}
	}
	return t, nil
}

func short(d time.Duration) string {
	if d > time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func mib(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }

// count writes large numbers with their magnitude.
func count(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}
