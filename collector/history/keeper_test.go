package history

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"communewatch/collector/rollup"
	"communewatch/probes"
)

func touch(t testing.TB, k *Keeper, site string, at ...time.Time) {
	t.Helper()
	times := make([]int64, len(at))
	for i := range at {
		times[i] = at[i].UnixMilli()
	}
	if err := k.Touch(t.Context(), site, times); err != nil {
		t.Fatal(err)
	}
}

// Hours are worked out as they end, and days and months with the last of their hours.
func TestHoursDaysAndMonthsEnd(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight}
	k := keeperOf(m, c)
	settled(t, k)
	for at := midnight; at.Before(midnight.AddDate(0, 1, 0)); at = at.Add(20 * time.Minute) {
		c.set(at)
		m.run("s1", at, 0.010)
		touch(t, k, "s1", at)
		settled(t, k)
		if p := k.Progress(); p.Pending > 0 {
			t.Fatalf("%v: live rows are to be worked out anew: %+v", at, p)
		}
	}
	c.set(midnight.AddDate(0, 1, 0).Add(time.Minute))
	settled(t, k)
	if n := len(m.rolls[rollup.Month]); n != 0 {
		t.Errorf("%d months before the last hour was given its time", n)
	}
	c.set(midnight.AddDate(0, 1, 0).Add(3 * time.Minute))
	settled(t, k)
	for _, w := range []struct {
		level rollup.Level
		start time.Time
		count int64
	}{{rollup.FiveMinutes, midnight.Add(40 * time.Minute), 1}, {rollup.Hour, midnight.Add(5 * time.Hour), 3}, {rollup.Day, midnight.AddDate(0, 0, 30), 72}, {rollup.Month, midnight, 31 * 72}} {
		a := m.window(t, w.level, "s1", w.start, "rtt_median_seconds")
		if p95, _ := a.Quantile(0.95); a.Count != w.count || p95 != 0.010 {
			t.Errorf("%v: %+v, p95 %v; want %d", w.level, a, p95, w.count)
		}
	}
	if p := k.Progress(); !p.To.Equal(midnight.AddDate(0, 1, 0)) || p.Failed != "" {
		t.Errorf("%+v", p)
	}
	if m.puts[rollup.Day] != 31*2 || m.puts[rollup.Month] != 2 { // icmp and check
		t.Errorf("windows were stored again and again: %v", m.puts)
	}
}

// An agent that was cut off for a week brings all of it at once: every hour changes, each day and the month once.
func TestAWeekThatComesLateIsWorkedInOnce(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.AddDate(0, 1, 2)}
	m.frontier = midnight.AddDate(0, 1, 2)
	k := keeperOf(m, c)
	settled(t, k)
	for _, site := range []string{"s1", "s2"} {
		for at := midnight.AddDate(0, 0, 27); at.Before(midnight.AddDate(0, 1, 2)); at = at.Add(30 * time.Minute) {
			m.run(site, at, 0.020)
			touch(t, k, site, at)
		}
	}
	if p := k.Progress(); p.Pending != 2*6*24 || !p.Oldest.Equal(midnight.AddDate(0, 0, 27)) {
		t.Errorf("%+v", p)
	}
	settled(t, k)
	if len(m.rolls) != 0 {
		t.Error("windows were worked out while rows still came")
	}
	c.set(c.Now().Add(10 * time.Second))
	settled(t, k)
	if p := k.Progress(); p.Pending != 0 || len(m.due) != 0 {
		t.Errorf("%+v, %v", p, m.due)
	}
	if n := m.window(t, rollup.Month, "s2", midnight, "sent").Count; n != 4*48 {
		t.Errorf("the month counts %d", n)
	}
	if m.puts[rollup.Hour] != 2*2*6*24 || m.puts[rollup.Day] != 2*2*6 || m.puts[rollup.Month] != 2*2 {
		t.Errorf("stored %v windows", m.puts)
	}
}

// Whoever brings rows all the time does not keep others' figures from changing.
func TestLateRowsWaitAMinuteAtMost(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.AddDate(0, 1, 0)}
	m.frontier = c.now
	k := keeperOf(m, c)
	settled(t, k)
	for i := range 70 {
		at := midnight.Add(time.Duration(i) * time.Second)
		m.run("s1", at, 0.010)
		touch(t, k, "s1", at)
		settled(t, k)
		c.set(c.Now().Add(time.Second))
	}
	if n := m.window(t, rollup.Hour, "s1", midnight, "sent").Count; n < 50 {
		t.Errorf("after a minute %d of 70 rows are in", n)
	}
	c.set(c.Now().Add(10 * time.Second))
	settled(t, k)
	if n := m.window(t, rollup.Day, "s1", midnight, "sent").Count; n != 70 {
		t.Errorf("in the end %d of 70 rows are in", n)
	}
}

// Rows that are stored while the Keeper reads their hour are either seen or marked, wherever it is just then.
func TestNoRowFallsBetweenTwoReads(t *testing.T) {
	at := midnight.Add(30 * time.Minute)
	for call := 1; ; call++ {
		m, c := newMemory(), &clock{now: midnight.Add(10 * time.Minute)}
		k := keeperOf(m, c)
		settled(t, k)
		m.run("s1", at, 0.010)
		touch(t, k, "s1", at)
		m.mu.Lock()
		m.calls = 0
		came := false
		m.before = func(string) error {
			m.mu.Lock()
			now := m.calls == call
			m.mu.Unlock()
			if now && !came {
				came = true
				// Stored and told in the middle of a call of the Keeper's.
				m.run("s1", at.Add(time.Minute), 0.030)
				m.run("s9", at, 0.030) // a site that nobody heard of
				touch(t, k, "s1", at.Add(time.Minute))
				touch(t, k, "s9", at)
			}
			return nil
		}
		m.mu.Unlock()
		c.set(midnight.Add(time.Hour + 3*time.Minute))
		settled(t, k)
		c.set(c.Now().Add(time.Minute))
		settled(t, k)
		if !came {
			if call < 10 {
				t.Fatalf("the keeper made %d calls only", call)
			}
			return
		}
		if n := m.window(t, rollup.Hour, "s1", midnight, "sent").Count; n != 2 {
			t.Fatalf("rows that came during call %d are missing: %d", call, n)
		}
		if n := m.window(t, rollup.Hour, "s9", midnight, "sent").Count; n != 1 {
			t.Fatalf("rows of a new site that came during call %d are missing", call)
		}
	}
}

// The process dies at each call in turn, before or after it took effect, and another one goes on from what was kept.
func TestADeathAtAnyCallLosesNothing(t *testing.T) {
	began := midnight.AddDate(0, 0, 30).Add(20 * time.Hour)
	story := func(m *memory, c *clock, die func() (*Keeper, bool)) {
		k, _ := die()
		for step := range 12 { // into the next month
			at := began.Add(time.Duration(step) * 30 * time.Minute)
			c.set(at)
			for _, row := range []time.Time{at, at.Add(-50 * time.Hour)} { // live, and late
				m.run("s1", row, 0.010)
				for k.Touch(t.Context(), "s1", []int64{row.UnixMilli()}) != nil { // the agent gets no answer and sends it again
					k, _ = die()
				}
			}
			for {
				wait := k.Work(t.Context())
				if again, died := die(); died {
					k = again
					continue
				}
				if wait > 0 {
					break
				}
			}
		}
		c.set(c.Now().Add(2 * time.Hour))
		for {
			wait := k.Work(t.Context())
			if again, died := die(); died {
				k = again
				continue
			}
			if wait > 0 && k.Progress().Pending == 0 {
				return
			}
			if wait > 0 {
				c.set(c.Now().Add(time.Minute))
			}
		}
	}
	want := newMemory()
	c := &clock{now: began}
	k := keeperOf(want, c)
	k.Work(t.Context())
	story(want, c, func() (*Keeper, bool) { return k, false })
	calls := want.calls
	stride := 2
	if testing.Short() {
		stride = 11
	}
	for nth := 1; nth < calls; nth += stride {
		m, c := newMemory(), &clock{now: began}
		dead := false
		m.before = func(string) error {
			if dead {
				return errMade // a dead process makes no calls; these go nowhere
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.calls == nth {
				dead = true
				return errMade
			}
			return nil
		}
		k := keeperOf(m, c)
		k.Work(t.Context())
		story(m, c, func() (*Keeper, bool) {
			if !dead {
				return k, false
			}
			dead = false
			m.mu.Lock()
			m.calls = calls // no second death
			m.mu.Unlock()
			k = keeperOf(m, c)
			k.Work(t.Context())
			return k, true
		})
		if len(m.due) > 0 || !m.frontier.Equal(want.frontier) {
			t.Fatalf("death at call %d: %d marks left, frontier %v", nth, len(m.due), m.frontier)
		}
		if got := m.text(); got != want.text() {
			t.Fatalf("death at call %d: windows differ:\n%s", nth, firstDifference(got, want.text()))
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return "one has more"
}

// A database that fails is tried again and again, less often as it goes on; people see since when, and marks stay.
func TestAFailureIsToldAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		hour := time.Now().Truncate(time.Hour)
		m.frontier = hour
		registry := prometheus.NewRegistry()
		k := New(Options{Store: m, Marks: m, Zone: ict, Log: slog.New(slog.DiscardHandler), Metrics: registry})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		at := hour.Add(-5 * time.Hour)
		m.run("s1", at, 0.010)
		touch(t, k, "s1", at)
		m.mu.Lock()
		tries := 0
		m.before = func(call string) error {
			if strings.HasPrefix(call, "put") {
				tries++
				return errMade
			}
			if call == "sync" {
				return errMade
			}
			return nil
		}
		m.mu.Unlock()
		time.Sleep(10 * time.Minute)
		p := k.Progress()
		if p.Failed == "" || p.Pending != 2 || time.Since(p.Since) < 9*time.Minute || len(m.due) != 2 {
			t.Errorf("while it fails: %+v, %v", p, m.due)
		}
		if tries < 5 || tries > 30 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP communewatch_rollup_failing Whether the last attempt to work rollups out failed.
# TYPE communewatch_rollup_failing gauge
communewatch_rollup_failing 1
# HELP communewatch_rollup_pending_hours Hours of a site that wait to be worked out anew because rows came late.
# TYPE communewatch_rollup_pending_hours gauge
communewatch_rollup_pending_hours 2
`), "communewatch_rollup_failing", "communewatch_rollup_pending_hours"); err != nil {
			t.Error(err)
		}
		m.mu.Lock()
		m.before = nil
		m.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if p := k.Progress(); p.Failed != "" || p.Pending != 0 || !p.Since.IsZero() || len(m.due) != 0 {
			t.Errorf("after it: %+v, %v", p, m.due)
		}
		m.window(t, rollup.Hour, "s1", at, "sent")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// One site whose rows can't be read does not hold the others up.
func TestABrokenSiteHoldsUpNobody(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.Add(10 * time.Minute)}
	broken := true
	k := keeperOf(m, c)
	k.o.Accountant = accountant(func(site string, start time.Time) ([]rollup.Row, error) {
		if site == "s2" && broken {
			return nil, errMade
		}
		return nil, nil
	})
	settled(t, k)
	for _, site := range []string{"s1", "s2", "s3"} {
		m.run(site, c.now, 0.010)
		touch(t, k, site, c.now)
	}
	c.set(midnight.Add(65 * time.Minute))
	k.Work(t.Context())
	if p := k.Progress(); !p.To.Equal(midnight.Add(time.Hour)) || p.Pending != 1 {
		t.Errorf("%+v", p)
	}
	m.window(t, rollup.Hour, "s3", midnight, "sent")
	broken = false
	c.set(c.Now().Add(5 * time.Minute))
	settled(t, k)
	if p := k.Progress(); p.Pending != 0 {
		t.Errorf("%+v", p)
	}
}

type accountant func(site string, start time.Time) ([]rollup.Row, error)

func (a accountant) Hour(_ context.Context, site string, start time.Time) ([]rollup.Row, error) {
	return a(site, start)
}

// Accounts are stored as they come, also when seconds become fewer, and summed into days. Late rows change the account of
// the hour after theirs too.
func TestAccountsAreWorkedOutAnew(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight}
	k := keeperOf(m, c)
	asked := map[time.Time]int{}
	down := 1800.0
	k.o.Accountant = accountant(func(site string, start time.Time) ([]rollup.Row, error) {
		asked[start]++
		return []rollup.Row{{Measurement: "line", Tags: probes.Tags{{Key: "site", Value: site}}, Start: start.UnixMilli(),
			Fields: []rollup.Field{{Key: "down_seconds", Value: rollup.Aggregate{Total: true, Sum: down}}}}}, nil
	})
	settled(t, k)
	for i := range 24 {
		at := midnight.Add(time.Duration(i) * time.Hour)
		m.run("s1", at, 0.01)
		touch(t, k, "s1", at)
	}
	c.set(midnight.Add(25 * time.Hour))
	settled(t, k)
	id := rowID{rollup.SeriesKey("line", probes.Tags{{Key: "site", Value: "s1"}}), midnight.UnixMilli()}
	sum := func(level rollup.Level) float64 {
		row := m.rolls[level][id]
		a, _ := row.Field("down_seconds")
		return a.Sum
	}
	if sum(rollup.Day) != 24*1800 {
		t.Errorf("a day of %v seconds", sum(rollup.Day))
	}
	down = 0
	clear(asked)
	touch(t, k, "s1", midnight)
	c.set(c.Now().Add(time.Minute))
	settled(t, k)
	if len(asked) != 2 || asked[midnight.UTC()] != 1 || asked[midnight.Add(time.Hour).UTC()] != 1 {
		t.Errorf("asked for %v", asked)
	}
	if sum(rollup.Hour) != 0 || sum(rollup.Day) != 22*1800 {
		t.Errorf("hour %v, day %v", sum(rollup.Hour), sum(rollup.Day))
	}
}

// Rows that vanish behind our back take no rollup with them.
func TestWindowsOutliveRowsThatVanish(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight}
	var said strings.Builder
	k := New(Options{Store: m, Marks: m, Zone: ict, Now: c.Now, Log: slog.New(slog.NewTextHandler(&said, nil))})
	settled(t, k)
	for i := range 48 {
		m.run("s1", midnight.Add(time.Duration(i)*30*time.Minute), 0.010)
	}
	touch(t, k, "s1", midnight)
	c.set(midnight.Add(25 * time.Hour))
	settled(t, k)
	want := m.text()
	clear(m.series) // DROP SERIES
	m.run("s1", midnight.Add(time.Minute), 0.5)
	touch(t, k, "s1", midnight, midnight.Add(3*time.Hour))
	c.set(c.Now().Add(time.Minute))
	settled(t, k)
	left := m.window(t, rollup.Hour, "s1", midnight, "sent")
	if left.Count != 2 || m.window(t, rollup.Day, "s1", midnight, "sent").Count != 48 {
		t.Errorf("windows shrank: %+v\n%s", left, firstDifference(m.text(), want))
	}
	if testutil.ToFloat64(k.metrics.shrunk) == 0 || strings.Count(said.String(), "are gone from the database") != 1 {
		t.Errorf("said %q", said.String())
	}
	if p := k.Progress(); p.Pending != 0 {
		t.Errorf("%+v", p)
	}
}

// A store that has rows of before rollups were kept is swept from its oldest row on, sites that are on no list included;
// and a restart knows them although they are silent.
func TestTheFirstTimeBeginsAtTheOldestRow(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.AddDate(0, 0, 3).Add(10 * time.Minute)}
	for at := midnight.Add(90 * time.Minute); at.Before(c.now); at = at.Add(time.Hour) {
		m.run("closed", at, 0.010)
	}
	k := keeperOf(m, c)
	settled(t, k)
	if p := k.Progress(); !p.To.Equal(midnight.AddDate(0, 0, 3)) {
		t.Errorf("%+v", p)
	}
	if n := m.window(t, rollup.Day, "closed", midnight, "sent").Count; n != 23 {
		t.Errorf("the first day counts %d", n)
	}
	k = keeperOf(m, c)
	settled(t, k)
	c.set(c.Now().Add(2 * time.Hour))
	settled(t, k)
	if n := m.window(t, rollup.Hour, "closed", midnight.AddDate(0, 0, 3).Add(-time.Hour), "sent").Count; n != 1 {
		t.Errorf("%d", n)
	}
	if !m.sites["closed"] {
		t.Error("a restart would not know the site")
	}
}

// Rebuild has hours worked out anew, those alone whose rows are still there.
func TestRebuild(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.AddDate(0, 0, 100)}
	m.frontier = c.now
	k := keeperOf(m, c)
	settled(t, k)
	old, young := midnight.AddDate(0, 0, 2), midnight.AddDate(0, 0, 50)
	for _, at := range []time.Time{old, young} {
		m.run("s1", at, 0.010) // nobody touched: an import behind our back
	}
	n, err := k.Rebuild(t.Context(), midnight, c.now, []string{"s1"})
	if err != nil {
		t.Fatal(err)
	}
	if want := 90*24 - 1; n != want {
		t.Errorf("%d hours, want %d", n, want)
	}
	if _, err := k.Rebuild(t.Context(), midnight, c.now, make([]string, 1000)); err == nil {
		t.Error("two million hours at once")
	}
	if p := k.Progress(); p.Pending == 0 || p.Oldest.Before(c.now.Add(-90*24*time.Hour)) {
		t.Errorf("%+v", p)
	}
	c.set(c.Now().Add(10 * time.Second))
	settled(t, k)
	if n := m.window(t, rollup.Day, "s1", young, "sent").Count; n != 1 {
		t.Errorf("%d", n)
	}
	if len(m.rolls[rollup.Hour]) != 2 {
		t.Errorf("%d windows", len(m.rolls[rollup.Hour]))
	}
}

// A site's first rows are not missed, even if the sweep of their hour comes and goes while the site is written down.
func TestANewSiteAndASweepAtOnce(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.Add(10 * time.Minute)}
	k := keeperOf(m, c)
	settled(t, k)
	m.run("s1", c.now, 0.01)
	touch(t, k, "s1", c.now)
	swept := false
	m.mu.Lock()
	m.before = func(call string) error {
		if call == "add sites" && !swept {
			swept = true
			c.set(midnight.Add(time.Hour + 3*time.Minute))
			settled(t, k)
		}
		return nil
	}
	m.mu.Unlock()
	at := midnight.Add(59 * time.Minute)
	m.run("s9", at, 0.01)
	touch(t, k, "s9", at)
	c.set(c.Now().Add(3 * time.Hour))
	settled(t, k)
	if n := m.window(t, rollup.Hour, "s9", midnight, "sent").Count; n != 1 || !swept {
		t.Errorf("%d rows, swept %v", n, swept)
	}
}

// Where the last hour of a day fails to end after a site was swept, late rows of that site still reach its day.
func TestADayThatEndsWhileTheSweepFails(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.Add(10 * time.Minute)}
	k := keeperOf(m, c)
	settled(t, k)
	for _, at := range []time.Time{midnight.Add(5 * time.Minute), midnight.Add(23*time.Hour + 50*time.Minute)} {
		m.run("s1", at, 0.01)
		touch(t, k, "s1", at)
	}
	c.set(midnight.Add(23*time.Hour + 10*time.Minute))
	settled(t, k)
	full := true // the registry's disk
	m.mu.Lock()
	m.before = func(call string) error {
		if full && call == "set frontier" {
			return errMade
		}
		return nil
	}
	m.mu.Unlock()
	c.set(midnight.Add(24*time.Hour + 3*time.Minute))
	k.Work(t.Context())
	late := midnight.Add(3*time.Hour + time.Minute)
	m.run("s1", late, 0.02)
	touch(t, k, "s1", late)
	c.set(c.Now().Add(10 * time.Second))
	k.Work(t.Context())
	full = false
	c.set(c.Now().Add(2 * time.Minute))
	settled(t, k)
	if n := m.window(t, rollup.Day, "s1", midnight, "sent").Count; n != 3 {
		t.Errorf("the day rests on %d rows, want 3", n)
	}
}

// Rows vanish from one window of five minutes and late ones come in another: the hour counts both, as its windows do.
func TestAnHourIsWhatItsWindowsAre(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.Add(10 * time.Minute)}
	k := keeperOf(m, c)
	settled(t, k)
	bring := func(n int, from time.Time) {
		for i := range n {
			at := from.Add(time.Duration(i) * 20 * time.Second)
			m.run("s1", at, 0.01)
			touch(t, k, "s1", at)
		}
	}
	bring(10, midnight)
	c.set(midnight.Add(65 * time.Minute))
	settled(t, k)
	clear(m.series) // DROP SERIES
	bring(12, midnight.Add(30*time.Minute))
	c.set(c.Now().Add(5 * time.Minute))
	settled(t, k)
	if n := m.window(t, rollup.Hour, "s1", midnight, "sent").Count; n != 22 {
		t.Errorf("the hour rests on %d rows, its windows on 22", n)
	}
}

// Hours that can't be worked out keep waiting; all others of their site are worked out, however many fail before them.
func TestAPoisonedHourHoldsUpNoOther(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.AddDate(0, 0, 2)}
	m.frontier = c.now
	k := keeperOf(m, c)
	poison := midnight.Add(time.Duration(inARow+1) * time.Hour) // hours before it fail
	k.o.Accountant = accountant(func(_ string, start time.Time) ([]rollup.Row, error) {
		if start.Before(poison) {
			return nil, errMade
		}
		return nil, nil
	})
	settled(t, k)
	for i := range 24 {
		at := midnight.Add(time.Duration(i) * time.Hour)
		m.run("s1", at, 0.01)
		touch(t, k, "s1", at)
	}
	for range 6 {
		c.set(c.Now().Add(time.Minute))
		k.Work(t.Context())
	}
	if p := k.Progress(); p.Pending != inARow+1 || !p.Oldest.Equal(midnight) || p.Failed == "" {
		t.Errorf("%+v", p)
	}
	if n := m.window(t, rollup.Day, "s1", midnight, "sent").Count; n < 24-inARow-1 {
		t.Errorf("the day rests on %d rows", n)
	}
	poison = midnight
	c.set(c.Now().Add(time.Minute))
	settled(t, k)
	if p := k.Progress(); p.Pending != 0 {
		t.Errorf("%+v", p)
	}
	if n := m.window(t, rollup.Day, "s1", midnight, "sent").Count; n != 24 {
		t.Errorf("in the end the day rests on %d rows", n)
	}
}

// A frontier of when the clock was ahead is not believed.
func TestAFrontierInTheFuture(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.Add(10 * time.Minute)}
	m.frontier = midnight.AddDate(1, 0, 0)
	k := keeperOf(m, c)
	settled(t, k)
	m.run("s1", c.now, 0.01)
	touch(t, k, "s1", c.now)
	c.set(midnight.Add(time.Hour + 3*time.Minute))
	settled(t, k)
	if p := k.Progress(); !p.To.Equal(midnight.Add(time.Hour)) || !m.frontier.Equal(p.To) {
		t.Errorf("%+v, %v in the registry", p, m.frontier)
	}
	m.window(t, rollup.Hour, "s1", midnight, "sent")
}

// A store that has rows and does not know how old they are is asked again, and swept from where rows may begin only if it
// never says.
func TestAStoreThatCannotTellYet(t *testing.T) {
	for _, tells := range []bool{true, false} {
		m, c := newMemory(), &clock{now: midnight.Add(10 * time.Minute)}
		first := midnight.Add(-20 * time.Hour)
		m.run("s1", first, 0.01)
		m.oldest = time.Time{}
		k := keeperOf(m, c)
		k.o.Retention = 48 * time.Hour
		k.Work(t.Context())
		if p := k.Progress(); p.Failed == "" || !p.To.IsZero() {
			t.Fatalf("%+v", p)
		}
		if tells {
			m.oldest = first
		}
		for range unsureMost {
			k.Work(t.Context())
		}
		settled(t, k)
		if p := k.Progress(); !p.To.Equal(midnight) {
			t.Errorf("%+v", p)
		}
		m.window(t, rollup.Hour, "s1", first, "sent")
	}
}

// What is in the registry can be read before the sweep goes on, while the database is away too.
func TestProgressIsKnownBeforeTheSweep(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.Add(10 * time.Minute)}
	m.frontier = midnight
	m.before = func(call string) error {
		if strings.HasPrefix(call, "select") {
			return errMade
		}
		return nil
	}
	k := keeperOf(m, c)
	k.Work(t.Context())
	if p := k.Progress(); !p.To.Equal(midnight) || p.Failed == "" {
		t.Errorf("%+v", p)
	}
}
