package rolled

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded/rolled/block"
	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testNow = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func open(t testing.TB, o Options) *Rolled {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "rollups.db"), o)
}

func openAt(t testing.TB, path string, o Options) *Rolled {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return testNow }
	}
	r, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() }) // a second time where the test closed it
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func window(at time.Time, site string, v float64) rollup.Row {
	r := rollup.Row{Measurement: "m", Tags: probes.Tags{{Key: "site", Value: site}}, Start: at.UnixMilli()}
	a := rollup.Aggregate{Sketch: new(rollup.Sketch)}
	a.Add(v)
	r.Fields = []rollup.Field{{Key: "ok", Value: rollup.Aggregate{Total: true, Sum: 1}}, {Key: "v", Value: a}}
	return r
}

func put(t testing.TB, r *Rolled, level rollup.Level, rows ...rollup.Row) {
	t.Helper()
	must(t, r.PutRollups(t.Context(), level, rows))
}

// values reads the sums of v by site and start.
func values(t testing.TB, r *Rolled, level rollup.Level) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	q := store.RollupQuery{Level: level, From: time.UnixMilli(-1 << 44), To: time.UnixMilli(1 << 44)}
	must(t, r.Rollups(t.Context(), q, func(s store.RollupSeries) error {
		last := int64(-1 << 62)
		for _, row := range s.Rows {
			if row.Start <= last {
				t.Errorf("windows of %v don't rise", s.Tags)
			}
			last = row.Start
			a, ok := row.Field("v")
			if !ok {
				t.Errorf("window of %v without v", s.Tags)
			}
			got[fmt.Sprint(s.Tags.Get("site"), " ", row.Start)] = a.Sum
		}
		return nil
	}))
	return got
}

func compare(t testing.TB, what string, got, want map[string]float64) {
	t.Helper()
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Errorf("%s: window %s: got %v (%v), want %v", what, k, g, ok, v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d windows, want %d", what, len(got), len(want))
	}
}

func count(t testing.TB, r *Rolled, query string) (n int) {
	t.Helper()
	must(t, r.db.Read().QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// TestPlaces: every window has a block and a piece, in order of time, and none share an id that differ in either.
func TestPlaces(t *testing.T) {
	for level, l := range layouts {
		if l.block/l.piece > maxPiece || l.block%l.piece != 0 {
			t.Errorf("%v: blocks of %d and pieces of %d", level, l.block, l.piece)
		}
		for _, at := range []string{"1900-01-01T00:00:00Z", "1969-12-31T17:00:00Z", "1970-01-01T00:00:00Z", "2026-11-23T08:00:00Z", "2200-01-01T00:00:00Z"} {
			start, err := time.Parse(time.RFC3339, at)
			must(t, err)
			last := int64(-1)
			for range 500 {
				number, part, err := l.place(start.UnixMilli())
				must(t, err)
				id := idOf(level, 77, number, part)
				if id < last {
					t.Fatalf("%v: id of %v is below that of the window before", level, start)
				}
				if b, p := blockOf(id); b != number || p != part || part < 1 || part > l.block/l.piece {
					t.Fatalf("%v: id of %v holds block %d piece %d, want %d and %d", level, start, b, p, number, part)
				}
				if begin := l.begin(number); start.UnixMilli() < begin || start.UnixMilli() >= begin+l.block || l.clamped(start.UnixMilli()) != number {
					t.Fatalf("%v: %v is not in block %d", level, start, number)
				}
				last = id
				start = start.Add(time.Duration(l.piece) * time.Millisecond / 3)
			}
		}
		if _, _, err := l.place(-1 << 62); err == nil {
			t.Errorf("%v: a window before all time has a place", level)
		}
	}
}

// TestPiecesAreJoined: what is read stays the same when blocks have settled, also with late windows over joined ones.
func TestPiecesAreJoined(t *testing.T) {
	now := testNow
	r := open(t, Options{Now: func() time.Time { return now }})
	rng := rand.New(rand.NewPCG(1, 1))
	want := map[rollup.Level]map[string]float64{}
	steps := map[rollup.Level]time.Duration{rollup.FiveMinutes: 5 * time.Minute, rollup.Hour: time.Hour, rollup.Day: 24 * time.Hour, rollup.Month: 31 * 24 * time.Hour}
	for round := range 6 {
		for level, step := range steps {
			if want[level] == nil {
				want[level] = map[string]float64{}
			}
			var rows []rollup.Row
			for range 150 {
				site := fmt.Sprint("s", rng.IntN(3))
				row := window(testNow.Add(-time.Duration(rng.IntN(700))*step), site, float64(rng.IntN(1000)))
				rows = append(rows, row)
				want[level][fmt.Sprint(site, " ", row.Start)] = row.Fields[1].Value.Sum
			}
			put(t, r, level, rows...)
		}
		pieces := count(t, r, "SELECT count(*) FROM pieces")
		if round%2 == 1 {
			must(t, r.tend(t.Context()))
			if left := count(t, r, "SELECT count(*) FROM pieces"); left >= pieces {
				t.Errorf("round %d: %d of %d blocks have pieces after joining", round, left, pieces)
			}
		}
		for level := range steps {
			compare(t, fmt.Sprintf("%v, round %d", level, round), values(t, r, level), want[level])
		}
	}
	now = now.Add(12 * 365 * 24 * time.Hour) // all is settled
	must(t, r.tend(t.Context()))
	if n := count(t, r, "SELECT count(*) FROM pieces") + count(t, r, fmt.Sprintf("SELECT count(*) FROM blocks WHERE id & %d <> 0", maxPiece)); n != 0 {
		t.Errorf("%d pieces are left when all is settled", n)
	}
	for level := range steps {
		compare(t, fmt.Sprint("settled ", level), values(t, r, level), want[level])
	}
}

func TestPruning(t *testing.T) {
	now := testNow
	const year = 365 * 24 * time.Hour
	o := Options{Keep: map[rollup.Level]time.Duration{rollup.FiveMinutes: 30 * 24 * time.Hour, rollup.Hour: year}, Now: func() time.Time { return now }}
	r := open(t, o)
	for n := range 100 {
		at := testNow.Add(-time.Duration(n) * 6 * time.Hour)
		put(t, r, rollup.FiveMinutes, window(at, "both", 1), window(at, "short", 2))
		put(t, r, rollup.Hour, window(at, "both", 3))
		put(t, r, rollup.Month, window(at, "long", 4))
	}
	must(t, r.tend(t.Context()))
	if got := len(values(t, r, rollup.FiveMinutes)); got != 200 {
		t.Errorf("%d windows of five minutes, want 200: nothing is too old", got)
	}
	now = testNow.Add(15 * 24 * time.Hour)
	must(t, r.tend(t.Context()))
	oldest := now.Add(-30 * 24 * time.Hour)
	for k := range values(t, r, rollup.FiveMinutes) {
		var site string
		var start int64
		fmt.Sscan(k, &site, &start)
		if start < oldest.UnixMilli() {
			t.Errorf("window %s is kept for too long", k)
		}
	}
	if got := len(values(t, r, rollup.Hour)); got != 100 {
		t.Errorf("%d windows of hours, want 100", got)
	}
	now = testNow.Add(year / 2)
	must(t, r.tend(t.Context()))
	if n := count(t, r, "SELECT count(*) FROM series"); n != 2 {
		t.Errorf("%d series are left, want 2: one has no windows any more", n)
	}
	now = testNow.Add(3 * year)
	must(t, r.tend(t.Context()))
	if n := count(t, r, "SELECT count(*) FROM series"); n != 1 {
		t.Errorf("%d series are left, want that of months", n)
	}
	if got := len(values(t, r, rollup.Month)); got != 100 {
		t.Errorf("%d windows of months, want 100: they are kept for ever", got)
	}
	if n := count(t, r, "SELECT count(*) FROM pieces WHERE level <> 4"); n != 0 {
		t.Errorf("%d notes of pieces that were removed", n)
	}
	put(t, r, rollup.FiveMinutes, window(now, "short", 5)) // its old number was forgotten
	compare(t, "a series that came back", values(t, r, rollup.FiveMinutes), map[string]float64{fmt.Sprint("short ", now.UnixMilli()): 5})
}

// TestRoomOfTheDisk: nothing is joined while the disk is almost full, but room is made.
func TestRoomOfTheDisk(t *testing.T) {
	full := errors.New("full")
	now := testNow
	r := open(t, Options{Keep: map[rollup.Level]time.Duration{rollup.FiveMinutes: 10 * 24 * time.Hour}, Room: func() error { return full }, Now: func() time.Time { return now }})
	put(t, r, rollup.FiveMinutes, window(testNow, "s", 1))
	now = now.Add(5 * 24 * time.Hour)
	if err := r.tend(t.Context()); !errors.Is(err, full) || count(t, r, "SELECT count(*) FROM pieces") != 1 {
		t.Errorf("tending without room: %v", err)
	}
	now = now.Add(20 * 24 * time.Hour)
	if err := r.tend(t.Context()); !errors.Is(err, full) || count(t, r, "SELECT count(*) FROM blocks") != 0 {
		t.Errorf("pruning without room: %v", err)
	}
}

// TestRoomIsUsedAgain: a file whose windows come and go does not grow for ever.
func TestRoomIsUsedAgain(t *testing.T) {
	now := testNow
	r := open(t, Options{Keep: map[rollup.Level]time.Duration{rollup.FiveMinutes: 2 * 24 * time.Hour}, Now: func() time.Time { return now }})
	var early int
	for day := range 10 {
		for h := range 8 {
			var rows []rollup.Row
			for site := range 20 {
				rows = append(rows, window(now.Add(time.Duration(3*h)*time.Hour), fmt.Sprint("s", site), float64(h)))
			}
			put(t, r, rollup.FiveMinutes, rows...)
		}
		now = now.Add(24 * time.Hour)
		must(t, r.tend(t.Context()))
		if day == 5 {
			early = count(t, r, "PRAGMA page_count")
		}
	}
	if late := count(t, r, "PRAGMA page_count"); late > early+early/4 {
		t.Errorf("the file grew from %d to %d pages while it holds the same number of windows", early, late)
	}
}

// spoil changes the bytes of all blocks of a site behind the store's back.
func spoil(t *testing.T, r *Rolled, site string, change string) {
	t.Helper()
	must(t, r.db.Write(t.Context(), func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, "UPDATE blocks SET data = CAST("+change+" AS BLOB) WHERE id >> ? & ? = (SELECT id FROM series WHERE site = ?)", seriesShift, maxSeries, site)
		return err
	}))
}

// TestDamagedBlock: what can't be read is left out and named in the log, once; the rest stays readable; and the window
// can be put again.
func TestDamagedBlock(t *testing.T) {
	var log bytes.Buffer
	now := testNow
	r := open(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }})
	at := testNow.Add(-time.Hour)
	put(t, r, rollup.Hour, window(at, "good", 1), window(at, "bad", 2))
	spoil(t, r, "bad", "substr(data, 1, 9) || x'ff' || substr(data, 11)")
	good := map[string]float64{fmt.Sprint("good ", at.UnixMilli()): 1}
	for range 3 {
		compare(t, "with a damaged block", values(t, r, rollup.Hour), good)
	}
	if n := strings.Count(log.String(), "is damaged"); n != 1 || !strings.Contains(log.String(), "site=bad") {
		t.Errorf("logged %d times: %s", n, log.String())
	}
	put(t, r, rollup.Hour, window(at, "bad", 3))
	good[fmt.Sprint("bad ", at.UnixMilli())] = 3
	compare(t, "put again", values(t, r, rollup.Hour), good)
	if n := count(t, r, "SELECT count(*) FROM damaged"); n != 1 {
		t.Errorf("%d damaged blocks are set aside, want 1", n)
	}
	spoil(t, r, "bad", "x'01'")
	now = now.Add(60 * 24 * time.Hour)
	must(t, r.tend(t.Context())) // joins
	delete(good, fmt.Sprint("bad ", at.UnixMilli()))
	compare(t, "joined", values(t, r, rollup.Hour), good)
	if n := count(t, r, "SELECT count(*) FROM damaged"); n != 2 {
		t.Errorf("%d damaged blocks are set aside after joining, want 2", n)
	}
}

// TestNewerForm: a block of a newer program is an error that names the file, for readers and writers, and is left alone.
func TestNewerForm(t *testing.T) {
	r := open(t, Options{})
	put(t, r, rollup.Hour, window(testNow, "s", 1))
	spoil(t, r, "s", "x'02' || substr(data, 2)")
	q := store.RollupQuery{Level: rollup.Hour, From: testNow, To: testNow.Add(time.Hour)}
	for name, err := range map[string]error{
		"read": r.Rollups(t.Context(), q, func(store.RollupSeries) error { return nil }),
		"put":  r.PutRollups(t.Context(), rollup.Hour, []rollup.Row{window(testNow, "s", 2)}),
	} {
		if !errors.Is(err, block.ErrForm) || !strings.Contains(err.Error(), r.path) {
			t.Errorf("%s: %v; want one of a newer form that names %s", name, err, r.path)
		}
	}
	spoil(t, r, "s", "x'01' || substr(data, 2)")
	compare(t, "left alone", values(t, r, rollup.Hour), map[string]float64{fmt.Sprint("s ", testNow.UnixMilli()): 1})
}

// TestPutTogether: windows of one call are stored together or not at all.
func TestPutTogether(t *testing.T) {
	r := open(t, Options{})
	var rows []rollup.Row
	for n := range 30 {
		rows = append(rows, window(testNow.Add(-time.Duration(n)*time.Hour), fmt.Sprint("new", n), 1))
	}
	bad := window(testNow, "bad", 1)
	bad.Start = -1 << 62
	if err := r.PutRollups(t.Context(), rollup.Hour, append(rows, bad)); err == nil || !strings.Contains(err.Error(), "no window can begin") {
		t.Errorf("a window before all time: %v", err)
	}
	unsorted := window(testNow, "bad", 1)
	unsorted.Fields[0], unsorted.Fields[1] = unsorted.Fields[1], unsorted.Fields[0]
	if err := r.PutRollups(t.Context(), rollup.Hour, append(rows, unsorted)); err == nil || !strings.Contains(err.Error(), `"ok" comes after "v"`) {
		t.Errorf("fields in no order: %v", err)
	}
	compare(t, "after a put that failed", values(t, r, rollup.Hour), nil)
	put(t, r, rollup.Hour, rows...) // numbers of series made by the one that failed are not used
	if got := len(values(t, r, rollup.Hour)); got != 30 {
		t.Errorf("%d windows, want 30", got)
	}
}
