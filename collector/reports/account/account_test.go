package account_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/health/rules"
	"communewatch/collector/reports/account"
	"communewatch/collector/reports/reportstest/past"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"

	"github.com/google/go-cmp/cmp"
)

var t0 = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) // Monday, 07:00 in Vietnam

var broadband = past.Check{Site: "s1", Agent: "pc", Target: "ping", Path: probes.PathBroadband, Layer: probes.LayerBroadband, Interval: 30 * time.Second}

func officeRules() health.Rules {
	r := health.DefaultRules()
	r.OfficeHours = []rules.OfficeHours{{Days: []string{"mon"}, From: "07:30", To: "17:00"}}
	return r
}

func hour(t *testing.T, src account.Options, start time.Time) []rollup.Row {
	t.Helper()
	rows, err := account.New(src).Hour(t.Context(), "s1", start)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// text writes what matters of windows.
func text(rows []rollup.Row) string {
	var out []string
	for _, r := range rows {
		line := r.Tags.Get("hours") + " " + r.Tags.Get("layer")
		for _, f := range r.Fields {
			if v := f.Value; v.Total && v.Sum != 0 {
				line += fmt.Sprintf(" %s=%g", strings.TrimSuffix(f.Key, "_seconds"), v.Sum)
			} else if !v.Total {
				line += fmt.Sprintf(" %s:%d", f.Key, v.Count)
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func run(p *past.Past, c past.Check, from, to time.Duration, lost int) {
	for at := from; at < to; at += c.Interval {
		p.Run(c, t0.Add(at), lost, 20*time.Millisecond)
	}
}

func TestAnHourIsCutWhereTheOfficeOpens(t *testing.T) {
	p := &past.Past{}
	run(p, broadband, 0, 20*time.Minute, 0)
	run(p, broadband, 20*time.Minute, 40*time.Minute, 10)
	run(p, broadband, 40*time.Minute, time.Hour, 1)
	got := text(hour(t, account.Options{Store: p, Rules: officeRules()}, t0))
	// Down from 07:20:30, the second bad run, to 07:40:30; half a minute later two runs tell that it loses a tenth.
	want := "office broadband degraded=1140 down=630 jitter_seconds:40 loss_ratio:6 lost=240 ok=30 rtt_seconds:40 sent=600\n" +
		"other broadband down=570 jitter_seconds:40 loss_ratio:6 lost=200 ok=1230 outages=1 rtt_seconds:40 sent=600"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHoursThatSayNothing(t *testing.T) {
	p := &past.Past{}
	if rows := hour(t, account.Options{Store: p, Rules: officeRules()}, t0); rows != nil {
		t.Error("of nothing:", text(rows))
	}
	run(p, broadband, 0, time.Hour, 0)
	if rows := hour(t, account.Options{Store: p, Rules: officeRules()}, t0.Add(time.Hour)); rows != nil {
		t.Error("an hour without results:", text(rows))
	}
}

// An outage that goes on is not another one, and one that begins with the hour is.
func TestAnOutageIsCountedWhereItBegins(t *testing.T) {
	for name, c := range map[string]struct {
		from time.Duration // the first bad run
		want [2]string
	}{
		"before the hour":    {50 * time.Minute, [2]string{"outages=1", ""}},
		"just before it":     {time.Hour - time.Minute, [2]string{"outages=1", ""}},
		"with the hour":      {time.Hour - 30*time.Second, [2]string{"", "outages=1"}},
		"just after it":      {time.Hour, [2]string{"", "outages=1"}},
		"in its last minute": {2*time.Hour - 30*time.Second, [2]string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &past.Past{}
			run(p, broadband, 0, c.from, 0)
			run(p, broadband, c.from, 2*time.Hour, 10)
			for i, want := range c.want {
				got := text(hour(t, account.Options{Store: p, Rules: health.DefaultRules()}, t0.Add(time.Duration(i)*time.Hour)))
				if strings.Contains(got, "outages") != (want != "") || !strings.Contains(got, want) {
					t.Errorf("hour %d: %s, want %q", i, got, want)
				}
			}
		})
	}
}

// Each path is told by the layer of its checks, and what an agent measured badly or on another path is nobody's loss.
func TestPathsAndRunsThatDontCount(t *testing.T) {
	p := &past.Past{}
	dedicated := past.Check{Site: "s1", Agent: "pc", Target: "anchor", Path: probes.PathDedicated, Layer: probes.LayerDedicated, Interval: time.Minute}
	run(p, broadband, 0, time.Hour, 0)
	run(p, dedicated, 0, time.Hour, 2)
	other := broadband
	other.Site = "s2"
	run(p, other, 0, time.Hour, 10)
	got := text(hour(t, account.Options{Store: wrongPath{p, "anchor"}, Rules: health.DefaultRules()}, t0))
	if !strings.Contains(got, "office broadband jitter_seconds:120 loss_ratio:12 ok=3600 rtt_seconds:120 sent=1200") {
		t.Error(got)
	}
	if i := strings.Index(got, "dedicated"); i < 0 || strings.Contains(got[i:], "sent") || strings.Contains(got[i:], "rtt") {
		t.Error("runs on another path count:", got)
	}
}

// wrongPath tells of a check that all its runs left by another path.
type wrongPath struct {
	*past.Past
	target string
}

func (w wrongPath) Select(ctx context.Context, q store.Query, each func(store.Series) error) error {
	return w.Past.Select(ctx, q, func(s store.Series) error {
		if s.Field == "outcome" && s.Tags.Get("target") == w.target {
			texts := make([]string, len(s.Texts))
			for i := range texts {
				texts[i] = probes.OutcomeWrongPath.String()
			}
			s.Texts = texts
		}
		return each(s)
	})
}

// Rows come in whatever order a store has them; the same rows give the same windows to the last bit.
func TestTheSameRowsGiveTheSameWindows(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	p := &past.Past{}
	for i := range 5 {
		c := broadband
		c.Target, c.Interval = fmt.Sprint("ping", i), time.Duration(17+i)*time.Second
		for at := time.Duration(0); at < 2*time.Hour; at += c.Interval {
			p.Run(c, t0.Add(at), random.IntN(3), time.Duration(random.IntN(1e8)))
		}
	}
	o := account.Options{Store: p, Rules: officeRules()}
	first := hour(t, o, t0.Add(time.Hour))
	for range 5 {
		if diff := cmp.Diff(first, hour(t, o, t0.Add(time.Hour)), cmp.Comparer(func(a, b rollup.Sketch) bool { return a.Text() == b.Text() })); diff != "" {
			t.Fatal(diff)
		}
	}
}
