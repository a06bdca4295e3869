package icmp

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
)

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// play makes a ledger from two lines. The first has a character per request: "." sent, "x" refused by the system.
// The second lists answers in order of arrival as request:milliseconds.
func play(t *testing.T, requests, answers string) *ledger {
	t.Helper()
	l := new(ledger)
	for _, r := range requests {
		if r == 'x' {
			l.refuse(time.Unix(0, 0), errors.New("network is unreachable"))
		} else {
			l.send(time.Unix(0, 0))
		}
	}
	for a := range strings.FieldsSeq(answers) {
		request, ms, _ := strings.Cut(a, ":")
		i, err1 := strconv.Atoi(request)
		rtt, err2 := strconv.ParseFloat(ms, 64)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		l.answer(i, time.Duration(rtt*float64(time.Millisecond)), false)
	}
	return l
}

func TestLedgerFields(t *testing.T) {
	const all10 = "0:1 1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1 9:1"
	for _, tt := range []struct{ name, requests, answers, want string }{
		// s sent, e send errors, r received, l lost, d duplicates, o reordered, n loss runs, L longest of them
		{"all answered", "..........", all10, "s10 e0 r10 l0 d0 o0 n0 L0 min1 mean1 med1 p951 max1 j0"},
		{"none answered", "..........", "", "s10 e0 r0 l10 d0 o0 n1 L10"},
		{"none sent", "xxxxx", "", "s5 e5 r0 l5 d0 o0 n1 L5"},
		{"one of one", ".", "0:7", "s1 e0 r1 l0 d0 o0 n0 L0 min7 mean7 med7 p957 max7"},
		{"nothing attempted", "", "", "s0 e0 r0 l0 d0 o0 n0 L0"},
		{"down at the start, then back", "xxx..", "3:5 4:7", "s5 e3 r2 l3 d0 o0 n1 L3 min5 mean6 med5 p957 max7 j2"},
		{"outage in the middle", "...xx...", "0:1 1:1 2:1 6:1 7:1", "s8 e2 r5 l3 d0 o0 n1 L3 min1 mean1 med1 p951 max1 j0"},
		{"refused and lost side by side are one run", ".x.x.", "0:1 4:1", "s5 e2 r2 l3 d0 o0 n1 L3 min1 mean1 med1 p951 max1"},
		{"runs at both ends", "........", "2:1 3:1 5:1", "s8 e0 r3 l5 d0 o0 n3 L2 min1 mean1 med1 p951 max1 j0"},
		{"every other lost: no pair, no jitter", "......", "0:1 2:5 4:9", "s6 e0 r3 l3 d0 o0 n3 L1 min1 mean5 med5 p959 max9"},
		{"jitter skips the gap", ".....", "0:10 1:14 3:50 4:51", "s5 e0 r4 l1 d0 o0 n1 L1 min10 mean31.25 med14 p9551 max51 j2.5"},
		{"one late: one reordered", "....", "0:1 2:1 1:9 3:1", "s4 e0 r4 l0 d0 o1 n0 L0 min1 mean3 med1 p959 max9 j5.333"},
		{"two overtaken by one: two reordered", "....", "2:1 0:3 1:2 3:1", "s4 e0 r4 l0 d0 o2 n0 L0 min1 mean1.75 med1 p953 max3 j0.667"},
		{"all backwards", "....", "3:1 2:2 1:3 0:4", "s4 e0 r4 l0 d0 o3 n0 L0 min1 mean2.5 med2 p954 max4 j1"},
		{"duplicates are neither received nor reordered", "...", "0:1 0:2 1:1 2:1 0:9 2:3", "s3 e0 r3 l0 d3 o0 n0 L0 min1 mean1 med1 p951 max1 j0"},
		{"the first answer counts", "..", "0:4 0:1 1:4", "s2 e0 r2 l0 d1 o0 n0 L0 min4 mean4 med4 p954 max4 j0"},
		{"even count: lower median", "....", "0:1 1:2 2:3 3:4", "s4 e0 r4 l0 d0 o0 n0 L0 min1 mean2.5 med2 p954 max4 j1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := summary(play(t, tt.requests, tt.answers)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func summary(l *ledger) string {
	p := probes.Point{Fields: l.fields()}
	var b strings.Builder
	for _, s := range []struct {
		label, key string
		scale      float64
	}{
		{"s", "sent", 1}, {"e", "send_errors", 1}, {"r", "received", 1}, {"l", "lost", 1}, {"d", "duplicates", 1},
		{"o", "reordered", 1}, {"n", "loss_runs", 1}, {"L", "longest_loss_run", 1}, {"min", "rtt_min_seconds", 1e3},
		{"mean", "rtt_mean_seconds", 1e3}, {"med", "rtt_median_seconds", 1e3}, {"p95", "rtt_p95_seconds", 1e3},
		{"max", "rtt_max_seconds", 1e3}, {"j", "jitter_seconds", 1e3},
	} {
		if f, ok := p.Field(s.key); ok {
			b.WriteString(" " + s.label + strconv.FormatFloat(math.Round(f.Num*s.scale*1e3)/1e3, 'f', -1, 64))
		}
	}
	return strings.TrimSpace(b.String())
}

func TestLossRatio(t *testing.T) {
	for _, tt := range []struct {
		requests, answers string
		want              float64
	}{
		{"....", "0:1 1:1 2:1", 0.25}, {"xx..", "2:1 3:1", 0.5}, {"xx", "", 1}, {".", "0:1 0:1", 0},
	} {
		p := probes.Point{Fields: play(t, tt.requests, tt.answers).fields()}
		if f, _ := p.Field("loss_ratio"); f.Num != tt.want {
			t.Errorf("%s / %s: got %v, want %v", tt.requests, tt.answers, f.Num, tt.want)
		}
	}
	p := probes.Point{Fields: new(ledger).fields()}
	if f, ok := p.Field("loss_ratio"); ok {
		t.Errorf("a loss ratio of %v of nothing sent", f.Num)
	}
}

func TestNearestRank(t *testing.T) {
	upTo := func(n int) []time.Duration {
		d := make([]time.Duration, n)
		for i := range d {
			d[i] = time.Duration(i + 1)
		}
		return d
	}
	for _, tt := range []struct{ n, percent, want int }{
		{1, 50, 1}, {1, 95, 1}, {2, 50, 1}, {3, 50, 2}, {10, 50, 5}, {10, 95, 10}, {19, 95, 19}, {20, 95, 19},
		{21, 95, 20}, {60, 95, 57}, {100, 50, 50}, {100, 95, 95}, {1000, 95, 950}, {5, 0, 1}, {5, 100, 5},
	} {
		if got := nearestRank(upTo(tt.n), tt.percent); got != time.Duration(tt.want) {
			t.Errorf("%d %% of 1..%d: got %d, want %d", tt.percent, tt.n, got, tt.want)
		}
	}
}

func TestSettleKeepsOnlyWhatIsKnown(t *testing.T) {
	start := time.Unix(0, 0)
	l := new(ledger)
	l.send(start)                                         // old enough to be lost
	l.answer(l.send(start.Add(time.Second)), 1, true)     // answered
	l.refuse(start.Add(8*time.Second), errors.New("off")) // refused
	l.send(start.Add(8500 * time.Millisecond))            // still under way
	late := l.send(start.Add(9 * time.Second))            // answered quickly, by luck
	l.answer(late, 1, true)
	l.answer(late, 1, true)
	l.settle(start.Add(10*time.Second), 2*time.Second)
	if got, want := summary(l)[:20], "s3 e1 r1 l2 d0 o0 n2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p := probes.Point{Fields: l.fields()}
	if got := value(t, p, "clock_steps"); got != 1 {
		t.Errorf("%v clock steps, want the one of the request that is left", got)
	}
}

func TestGuardRTT(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name                 string
		wall, moved, elapsed time.Duration
		want                 time.Duration
		stepped              bool
	}{
		{"clocks agree", 20 * ms, 19 * ms, 19 * ms, 20 * ms, false},
		{"slewing", 20 * ms, 20*ms + 10*time.Microsecond, 20 * ms, 20 * ms, false},
		{"sending took a while", 30 * ms, 20 * ms, 20 * ms, 30 * ms, false},
		{"sending took long", 120 * ms, 20 * ms, 20 * ms, 20 * ms, false},
		{"forward", 3620 * ms, 3620 * ms, 20 * ms, 20 * ms, true},
		{"backward", -980 * ms, -980 * ms, 20 * ms, 20 * ms, true},
		{"a little", 30 * ms, 30 * ms, 20 * ms, 20 * ms, true},
		{"forward just before sending was over", 3600 * ms, 20 * ms, 20 * ms, 20 * ms, false},
		{"back just before sending was over", -1 * ms, 20 * ms, 20 * ms, 20 * ms, false},
		{"forged to look quick", 1 * ms, 200 * ms, 200 * ms, 200 * ms, false},
		{"forged to look slow", 1900 * ms, 20 * ms, 20 * ms, 20 * ms, false},
	} {
		if got, stepped := guardRTT(tt.wall, tt.moved, tt.elapsed); got != tt.want || stepped != tt.stepped {
			t.Errorf("%s: got %v, %v", tt.name, got, stepped)
		}
	}
}
