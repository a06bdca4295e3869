package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/migrate"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
	"communewatch/collector/store/portion"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is every store's clock.
var now = time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)

func clock() time.Time { return now }

const retention = 40 * 24 * time.Hour

var keep = map[rollup.Level]time.Duration{
	rollup.Raw: retention, rollup.FiveMinutes: 100 * 24 * time.Hour, rollup.Hour: 400 * 24 * time.Hour,
	rollup.Day: 400 * 24 * time.Hour, rollup.Month: 400 * 24 * time.Hour,
}

var zone = time.FixedZone("ICT", 7*3600)

// openEmbedded opens a store for a migration.
func openEmbedded(t *testing.T, dir string) migrate.Side {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Dir: dir, Retention: retention, LateWindow: retention, Keep: keep, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return migrate.Side{Name: "embedded", Place: dir, Store: s, Keep: keep}
}

// fill puts days of two sites and of a foreign writer into a store, with the windows made of them and older ones.
func fill(t *testing.T, s store.Store, days int) {
	t.Helper()
	var points []probes.Point
	begin := now.Add(-time.Duration(days) * 24 * time.Hour).Truncate(time.Hour)
	for i := range days * 24 * 6 {
		at := begin.Add(time.Duration(i)*10*time.Minute + 137*time.Millisecond)
		for _, site := range []string{"s1", "s2"} {
			tags := probes.Tags{{Key: "agent", Value: "a"}, {Key: "path", Value: "broadband"}, {Key: "site", Value: site}, {Key: "target", Value: "anchor"}}
			points = append(points,
				probes.Point{Measurement: "icmp", Tags: tags, Time: at, Fields: []probes.Field{
					probes.Int("sent", 20), probes.Int("lost", int64(i%3)), probes.Float("rtt_median_seconds", 0.01+math.Sqrt(float64(i))/1000), probes.Bool("df_ok", i%2 == 0)}},
				probes.Point{Measurement: "check", Tags: tags.With("kind", "icmp").With("layer", "internet"), Time: at, Fields: []probes.Field{
					probes.String("outcome", []string{"ok", "timeout"}[i%2]), probes.String("error", fmt.Sprintf("không trả lời, lần %d \"x\"", i%5))}})
		}
		if i%12 == 0 {
			points = append(points, probes.Point{Measurement: "đo nhiệt, độ", Tags: probes.Tags{{Key: "nơi=", Value: "phòng máy, 1"}}, Time: at,
				Fields: []probes.Field{probes.Float("độ C", -0.1*float64(i)), probes.String("ghi chú", `a\b"c`)}})
		}
	}
	for part := range slices.Chunk(points, 2000) {
		if err := s.Append(t.Context(), storetest.Rows(t, part...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, level := range rollup.Levels() {
		fold := rollup.NewFold(level, zone)
		for _, m := range []string{"icmp", "check"} {
			err := s.Select(t.Context(), store.Query{Measurement: m, From: begin, To: now}, func(s store.Series) error {
				fold.Add(s.Measurement, s.Field, s.Tags, s.Times, s.Values, s.Texts)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		rows := fold.Rows()
		old := slices.Clone(rows[:1]) // rows are kept for days, windows for longer
		old[0].Start = level.Start(now.Add(-keep[level]*9/10), zone).UnixMilli()
		if err := s.PutRollups(t.Context(), level, append(rows, old...)); err != nil {
			t.Fatal(err)
		}
	}
}

// content is everything in a store, as text.
func content(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	r := portion.Range{From: now.Add(-500 * 24 * time.Hour), To: now.Add(time.Hour)}
	err := portion.Rows(t.Context(), s, r, func(m string, rows []portion.Row) error {
		for _, r := range rows {
			text := ""
			for _, f := range r.Fields {
				text += fmt.Sprintf("%s=%x %q;", f.Key, math.Float64bits(f.Num), f.Str)
			}
			all[fmt.Sprintf("%s %v %d", m, r.Series.Tags, r.Time)] = text
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range rollup.Levels() {
		err := portion.Windows(t.Context(), s, level, r, func(rows []rollup.Row) error {
			for _, r := range rows {
				text := ""
				for _, f := range r.Fields {
					a := f.Value
					text += fmt.Sprintf("%s=%v %d %x %x %x", f.Key, a.Total, a.Count, math.Float64bits(a.Sum), math.Float64bits(a.Min), math.Float64bits(a.Max))
					if a.Sketch != nil {
						text += " " + a.Sketch.Text()
					}
					text += ";"
				}
				all[fmt.Sprintf("%s %s %v %d", level, r.Measurement, r.Tags, r.Start)] = text
			}
			return nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func sameContent(t *testing.T, got, want map[string]string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	n := 0
	for k, v := range want {
		if got[k] != v && n < 5 {
			t.Errorf("%s:\n got %s\nwant %s", k, got[k], v)
			n++
		}
	}
	t.Fatalf("%d rows and windows, want %d", len(got), len(want))
}

func options(t *testing.T, from, to migrate.Side) migrate.Options {
	return migrate.Options{From: from, To: to, File: filepath.Join(t.TempDir(), "migration"), Keep: keep, Now: clock}
}

func run(t *testing.T, o migrate.Options) migrate.Result {
	t.Helper()
	result, err := migrate.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%+v", err, result)
	}
	return result
}

func TestEverythingIsCopied(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	fill(t, from.Store, 3)
	want := content(t, from.Store)
	o := options(t, from, to)
	var last migrate.Progress
	o.Progress = func(p migrate.Progress) {
		if p.Share < 0 || p.Share > 1 || p.Level == last.Level && p.Comparing == last.Comparing && p.Share < last.Share {
			t.Errorf("progress went from %+v to %+v", last, p)
		}
		last = p
	}
	result := run(t, o)
	if result.Copied != int64(len(want)) || result.Refused+result.Expired+result.Old != 0 {
		t.Errorf("result %+v, want %d copied and nothing else", result, len(want))
	}
	if !last.Comparing || last.Share != 1 || last.Level != rollup.Month {
		t.Errorf("the last progress is %+v", last)
	}
	sameContent(t, content(t, to.Store), want)

	// The collector opens it with a short window for late rows, and finds all the same.
	if err := to.Store.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := embedded.Open(embedded.Options{Dir: to.Place, Retention: retention, LateWindow: 24 * time.Hour, Keep: keep, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	sameContent(t, content(t, again), want)
}

// TestKilledAnywhere cancels a migration after each of its steps in turn, and lets the next run go on.
func TestKilledAnywhere(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	fill(t, from.Store, 1)
	want := content(t, from.Store)
	o := options(t, from, to)
	runs := 0
	for steps := 1; ; steps += 23 {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		o.Progress = func(migrate.Progress) {
			if n++; n == steps {
				cancel()
			}
		}
		_, err := migrate.Run(ctx, o)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		state, err := migrate.ReadState(o.File)
		if err != nil || state.Finished {
			t.Fatalf("state after a kill: %+v, %v", state, err)
		}
		runs++
	}
	if runs < 5 {
		t.Errorf("only %d kills: the test kills too late", runs)
	}
	state, err := migrate.ReadState(o.File)
	if err != nil || !state.Finished {
		t.Errorf("state at the end: %+v, %v", state, err)
	}
	sameContent(t, content(t, to.Store), want)
}

func TestWhatCameBetweenTwoRunsIsCopied(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	fill(t, from.Store, 1)
	o := options(t, from, to)
	run(t, o)
	late := probes.Point{Measurement: "icmp", Tags: probes.Tags{{Key: "site", Value: "s9"}}, Time: now.Add(-20 * time.Hour), Fields: []probes.Field{probes.Int("sent", 5)}}
	if err := from.Store.Append(t.Context(), storetest.Rows(t, late)); err != nil {
		t.Fatal(err)
	}
	run(t, o)
	sameContent(t, content(t, to.Store), content(t, from.Store))
}

// losing is a store that forgets part of what it is given, or makes something else of it.
type losing struct {
	store.Store
	windows func(rollup.Level, []rollup.Row) []rollup.Row
}

func (l *losing) PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error {
	return l.Store.PutRollups(ctx, level, l.windows(level, rows))
}

func TestDifferencesAreFound(t *testing.T) {
	from := openEmbedded(t, t.TempDir())
	fill(t, from.Store, 1)
	for name, c := range map[string]struct {
		windows func(rollup.Level, []rollup.Row) []rollup.Row
		want    string
	}{
		"lost": {func(level rollup.Level, rows []rollup.Row) []rollup.Row {
			if level != rollup.Hour {
				return rows
			}
			return slices.DeleteFunc(slices.Clone(rows), func(r rollup.Row) bool { return r.Measurement == "icmp" && r.Tags.Get("site") == "s1" })
		}, "1h windows of icmp, 2026-11-01 to 2026-11-30: "},
		"changed": {func(level rollup.Level, rows []rollup.Row) []rollup.Row {
			rows = slices.Clone(rows)
			for i := range rows {
				if level == rollup.Day && rows[i].Measurement == "check" {
					rows[i].Fields = slices.Clone(rows[i].Fields)
					rows[i].Fields[0].Value.Sum++
				}
			}
			return rows
		}, "but not the same"},
	} {
		t.Run(name, func(t *testing.T) {
			to := openEmbedded(t, t.TempDir())
			to.Store = &losing{to.Store, c.windows}
			o := options(t, from, to)
			result, err := migrate.Run(t.Context(), o)
			if !errors.Is(err, migrate.ErrDiffer) || len(result.Differences) == 0 || !strings.Contains(result.Differences[len(result.Differences)-1].String(), c.want) {
				t.Errorf("%v, differences %v, want %q", err, result.Differences, c.want)
			}
			if state, err := migrate.ReadState(o.File); err != nil || state.Finished {
				t.Errorf("state %+v, %v", state, err)
			}
			verified, err := migrate.Verify(t.Context(), o)
			if !errors.Is(err, migrate.ErrDiffer) || len(verified.Differences) != len(result.Differences) {
				t.Errorf("verify alone: %v, %v", err, verified.Differences)
			}
		})
	}
}

func TestATargetWithDataIsRefused(t *testing.T) {
	from := openEmbedded(t, t.TempDir())
	fill(t, from.Store, 1)
	foreign := probes.Point{Measurement: "cpu", Tags: probes.Tags{{Key: "host", Value: "h"}}, Time: now.Add(-time.Hour), Fields: []probes.Field{probes.Float("usage", 5)}}
	to := openEmbedded(t, t.TempDir())
	if err := to.Store.Append(t.Context(), storetest.Rows(t, foreign)); err != nil {
		t.Fatal(err)
	}
	o := options(t, from, to)
	if _, err := migrate.Run(t.Context(), o); !errors.Is(err, migrate.ErrNotEmpty) || !strings.Contains(err.Error(), "rows of cpu") {
		t.Fatalf("got %v", err)
	}
	if _, err := migrate.ReadState(o.File); !errors.Is(err, migrate.ErrNoState) {
		t.Errorf("a refused migration left a state: %v", err)
	}
	o.IntoExisting = true
	run(t, o)
	if got, want := len(content(t, to.Store)), len(content(t, from.Store))+1; got != want {
		t.Errorf("%d rows and windows, want %d", got, want)
	}

	windows := openEmbedded(t, t.TempDir())
	if err := windows.Store.PutRollups(t.Context(), rollup.Day, []rollup.Row{{Measurement: "icmp", Start: rollup.Day.Start(now, zone).UnixMilli(),
		Fields: []rollup.Field{{Key: "sent", Value: rollup.Aggregate{Count: 1}}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := migrate.Run(t.Context(), options(t, from, windows)); !errors.Is(err, migrate.ErrNotEmpty) || !strings.Contains(err.Error(), "1d windows") {
		t.Errorf("got %v", err)
	}
}

func TestWhatTheTargetDoesNotKeepIsCounted(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	fill(t, from.Store, 8)
	to.Keep = maps.Clone(keep)
	to.Keep[rollup.Raw] = 7 * 24 * time.Hour
	o := options(t, from, to)
	_, err := migrate.Run(t.Context(), o)
	if !errors.Is(err, migrate.ErrOld) || !strings.Contains(err.Error(), "rows older than 2026-11-19 09:30") || !strings.Contains(err.Error(), "--drop-old") {
		t.Fatalf("got %v", err)
	}
	o.DropOld = true
	result := run(t, o)
	if result.Old == 0 || result.Copied+result.Old != int64(len(content(t, from.Store))) {
		t.Errorf("result %+v of %d", result, len(content(t, from.Store)))
	}
}

func TestStatesThatAreNoneAreRefused(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	o := options(t, from, to)
	run(t, o)
	good, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, data, want string }{
		{"flipped", strings.Replace(string(good), "2026", "2025", 1), "checksum"},
		{"cut", string(good[:len(good)-5]), "checksum"},
		{"empty", "", "newer version"},
		{"other", "hello\nworld", "newer version"},
	} {
		if err := os.WriteFile(o.File, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := migrate.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--into-existing") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := os.WriteFile(o.File, good, 0o600); err != nil {
		t.Fatal(err)
	}
	o.To.Place = "elsewhere"
	if _, err := migrate.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is of a migration from") {
		t.Errorf("another target: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		finished bool
		store    string
		want     string
		fatal    bool
	}{
		{false, "embedded", "Nothing is lost", false},
		{false, "influx", "only part of the past", true},
		{true, "embedded", "Set store: influx", false},
		{true, "influx", "", false},
	} {
		s := migrate.State{From: "embedded (a)", To: "influx (b)", FromName: "embedded", ToName: "influx", Finished: c.finished}
		text, fatal := s.Warning(c.store, "FILE")
		if fatal != c.fatal || !strings.Contains(text, c.want) || (c.want == "") != (text == "") {
			t.Errorf("%+v: %q, %v", c, text, fatal)
		}
	}
}

// FuzzReadState reads states whose checksum is right, and whatever else they say.
func FuzzReadState(f *testing.F) {
	f.Add([]byte(`{"From":"a","To":"b","Reach":{"0":"2026-11-01T00:00:00Z"},"Sums":[{"level":"raw","measurement":"m","start":0,"rows":1,"digest":"5"}]}`))
	f.Add([]byte(`{"From":"a","To":"b","Sums":[{"level":"7m","measurement":"m","start":1,"rows":-1,"digest":"x"}]}`))
	f.Add([]byte("{}"))
	file := filepath.Join(f.TempDir(), "state")
	table := crc32.MakeTable(crc32.Castagnoli)
	f.Fuzz(func(t *testing.T, body []byte) {
		data := fmt.Appendf(nil, "communewatch migration 1 crc32c %08x\n%s", crc32.Checksum(body, table), body)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := migrate.ReadState(file)
		if err == nil && (s.From == "" || s.To == "" || s.Sums == nil || s.Reach == nil) {
			t.Errorf("took %q", body)
		}
		if err == nil {
			s.Warning("influx", file)
		}
	})
}
