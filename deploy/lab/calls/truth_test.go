package calls

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"communewatch/deploy/lab/relay"
	"communewatch/probes"
	"communewatch/probes/webrtc/call"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/report"
)

const (
	up    = probes.DirectionUp
	down  = probes.DirectionDown
	audio = probes.MediaAudio
	video = probes.MediaVideo
)

// spec is a call of a profile through a rig.
func (g *rig) spec(t *testing.T, profile string, length time.Duration) call.Spec {
	t.Helper()
	p, ok := media.Named(profile)
	if !ok {
		t.Fatalf("there is no profile %s", profile)
	}
	return call.Spec{
		Address: g.relay.URL("/whip/echo"), Service: call.Auto, Token: token, Path: probes.PathLAN, Source: netip.MustParseAddr("127.0.0.1"),
		Profile: p, Duration: length, Data: true, Timeout: 30 * time.Second,
	}
}

// flow returns what a call reports of a stream.
func flow(t *testing.T, c *report.Call, d probes.Direction, m probes.Media) report.Flow {
	t.Helper()
	for _, f := range c.Flows {
		if f.Direction == d && f.Media == m {
			return f
		}
	}
	t.Fatalf("the call says nothing of %s %s: %+v", m, d, c.Flows)
	return report.Flow{}
}

// lose makes rules that drop packets of a stream: single ones, or runs as {from, to}.
func lose(m probes.Media, runs ...[2]int) (rules []relay.Rule) {
	for _, r := range runs {
		rules = append(rules, relay.Rule{Media: m, From: r[0], To: r[1], Do: relay.Drop})
	}
	return rules
}

// agree compares the counts of a call with the relay's books.
func agree(t *testing.T, c *report.Call, books relay.Books) {
	t.Helper()
	if books.Unlogged > 0 {
		t.Fatalf("%d packets are not in the log", books.Unlogged)
	}
	for _, d := range []probes.Direction{up, down} {
		for _, m := range []probes.Media{audio, video} {
			f, s := flow(t, c, d, m), books.Of(d, m, 0)
			runs, longest := books.Runs(d, m, 0), 0
			for _, r := range runs {
				longest = max(longest, r)
			}
			if f.Sent != s.Packets || f.Received != s.Fates[relay.Passed] || f.Lost != s.Lost() || f.LossRuns != len(runs) || f.LongestLossRun != longest {
				t.Errorf("%s %s: sent %d, received %d, lost %d in %d runs, the longest %d; the line carried %d, passed %d, lost %d in runs of %v",
					m, d, f.Sent, f.Received, f.Lost, f.LossRuns, f.LongestLossRun, s.Packets, s.Fates[relay.Passed], s.Lost(), runs)
			}
			if f.Reordered != s.Late || f.Duplicates != s.Copies {
				t.Errorf("%s %s: %d overtaken, %d copies; the line let %d be overtaken and made %d copies", m, d, f.Reordered, f.Duplicates, s.Late, s.Copies)
			}
		}
	}
	if c.Foreign != 0 {
		t.Errorf("%d packets are said not to be the call's", c.Foreign)
	}
}

// attempts is how often times may disagree before they are wrong.
const attempts = 5

// timed calls over a line and compares counts, until judge finds nothing wrong with the times.
func timed(t *testing.T, line relay.Line, change func(*call.Spec), judge func(c *report.Call, books relay.Books) []string) {
	t.Helper()
	busy := 0
	var wrong []string
	for range attempts {
		g := newRig(t, line, nil)
		spec := g.spec(t, "low", 3*time.Second)
		if change != nil {
			change(&spec)
		}
		c, err := call.Run(t.Context(), spec, nil)
		if err != nil && probes.OutcomeOf(err) != probes.OutcomeOverloaded {
			t.Fatal(err)
		}
		books := g.books(t)
		g.close()
		if len(spec.Steps) == 0 {
			agree(t, c, books)
		}
		if wrong = judge(c, books); len(wrong) == 0 || t.Failed() {
			return
		}
		t.Logf("the relay was up to %v late, on average %v; limited by %s %v: %v", books.Lateness.Max, books.Lateness.Mean, c.LimitedBy, c.Limits, wrong)
		if books.Lateness.Max > 20*time.Millisecond || c.LimitedBy != "none" {
			busy++
		}
	}
	if busy == attempts {
		t.Skipf("this machine is too busy to measure times: %v", wrong)
	}
	t.Errorf("%v", wrong)
}

// TestAPerfectLineReadsAsOne: whatever is not zero here would be the measurement's own.
func TestAPerfectLineReadsAsOne(t *testing.T) {
	timed(t, relay.Line{}, nil, func(c *report.Call, _ relay.Books) (wrong []string) {
		for _, f := range c.Flows {
			if f.Discarded != 0 || f.LossRatio != 0 || f.FramesLost != nil && *f.FramesLost != 0 || f.Freezes != nil && *f.Freezes != 0 {
				wrong = append(wrong, fmt.Sprintf("%s %s: %+v", f.Media, f.Direction, f))
			}
			if f.Burstiness != nil {
				t.Errorf("%s %s: burstiness %v without loss", f.Media, f.Direction, *f.Burstiness)
			}
		}
		if c.Data == nil || c.Data.Lost != 0 || c.Data.Sent == 0 {
			wrong = append(wrong, fmt.Sprintf("data channel: %+v", c.Data))
		}
		if c.Quality == nil || c.Quality.Grade != "good" {
			wrong = append(wrong, fmt.Sprintf("quality: %+v", c.Quality))
		}
		return wrong
	})
}

// TestLossComesBackExactly: single packets and runs, in each direction and medium apart, the first and the last packets
// of a stream among them.
func TestLossComesBackExactly(t *testing.T) {
	const end = 1 << 20
	for name, line := range map[string]relay.Line{
		"single packets up":   {Up: relay.Way{Script: append(lose(audio, [2]int{20, 20}, [2]int{30, 30}, [2]int{70, 70}), lose(video, [2]int{7, 7}, [2]int{21, 21})...)}},
		"single packets down": {Down: relay.Way{Script: append(lose(audio, [2]int{25, 25}, [2]int{27, 27}), lose(video, [2]int{9, 9})...)}},
		"runs both ways": {Up: relay.Way{Script: append(lose(audio, [2]int{40, 52}, [2]int{60, 61}), lose(video, [2]int{10, 15})...)},
			Down: relay.Way{Script: append(lose(audio, [2]int{33, 36}), lose(video, [2]int{5, 9}, [2]int{11, 11})...)}},
		"beginning and end": {Up: relay.Way{Script: lose(audio, [2]int{0, 2}, [2]int{110, end})}, Down: relay.Way{Script: lose(video, [2]int{0, 0}, [2]int{22, end})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // numbers don't care how busy the machine is
			g := newRig(t, line, nil)
			c, err := call.Run(t.Context(), g.spec(t, "low", 3*time.Second), nil)
			if err != nil && probes.OutcomeOf(err) != probes.OutcomeOverloaded {
				t.Fatal(err)
			}
			books := g.books(t)
			agree(t, c, books)
			lost := 0
			for _, s := range books.Streams {
				lost += s.Fates[relay.LostScript]
			}
			if lost == 0 {
				t.Error("the line lost nothing: the call was too short for its script")
			}
		})
	}
}

// TestOvertakenPacketsAndCopiesAreCounted, each packet that came once and no more.
func TestOvertakenPacketsAndCopiesAreCounted(t *testing.T) {
	t.Parallel()
	rule := func(m probes.Media, at int, do relay.Act, n int) relay.Rule {
		return relay.Rule{Media: m, From: at, To: at, Do: do, Count: n}
	}
	g := newRig(t, relay.Line{
		Up:   relay.Way{Script: []relay.Rule{rule(audio, 20, relay.Late, 1), rule(audio, 40, relay.Late, 3), rule(audio, 60, relay.Duplicate, 1), rule(audio, 62, relay.Duplicate, 3), rule(video, 9, relay.Late, 1)}},
		Down: relay.Way{Script: []relay.Rule{rule(audio, 30, relay.Late, 2), rule(audio, 50, relay.Duplicate, 2), rule(video, 12, relay.Duplicate, 1)}},
	}, nil)
	c, err := call.Run(t.Context(), g.spec(t, "low", 3*time.Second), nil)
	if err != nil && probes.OutcomeOf(err) != probes.OutcomeOverloaded {
		t.Fatal(err)
	}
	books := g.books(t)
	agree(t, c, books)
	if a, b := books.Of(up, audio, 0), books.Of(down, audio, 0); a.Late != 2 || a.Copies != 4 || b.Late != 1 || b.Copies != 2 {
		t.Errorf("the line did not do what it was told: %+v, %+v", a, b)
	}
}

// transits are the times that a way took, of the packets that passed.
func transits(books relay.Books, d probes.Direction, m probes.Media) (list []time.Duration) {
	for _, p := range books.Packets {
		if p.Direction == d && p.Media == m && p.Fate == relay.Passed {
			list = append(list, p.Sent-p.Arrived)
		}
	}
	slices.Sort(list)
	return list
}

func near(what string, got, want float64, within float64) []string {
	if math.Abs(got-want) <= within {
		return nil
	}
	return []string{fmt.Sprintf("%s is %.2f ms, by the relay's log %.2f ms, within %.2f ms", what, 1000*got, 1000*want, 1000*within)}
}

// TestDelayComesBack, also when it is not the same both ways, which looks neither like loss nor like jitter.
func TestDelayComesBack(t *testing.T) {
	for name, line := range map[string]relay.Line{
		"the same both ways": relay.Both(relay.Way{Delay: 40 * time.Millisecond}),
		"longer up":          {Up: relay.Way{Delay: 150 * time.Millisecond}, Down: relay.Way{Delay: 5 * time.Millisecond}},
		"longer down":        {Up: relay.Way{Delay: 5 * time.Millisecond}, Down: relay.Way{Delay: 300 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, line, nil, func(c *report.Call, books relay.Books) (wrong []string) {
				if c.RTT == nil {
					t.Fatal("no round-trip time")
				}
				least := line.Up.Delay + line.Down.Delay
				if c.RTT.Median < least.Seconds() {
					t.Errorf("median round-trip time %v s, the line takes %v", c.RTT.Median, least)
				}
				a, b := transits(books, up, audio), transits(books, down, audio)
				truth := (a[len(a)/2] + b[len(b)/2]).Seconds()
				wrong = append(wrong, near("median round-trip time", c.RTT.Median, truth+0.005, 0.005)...)
				for _, f := range c.Flows {
					if f.Discarded > 0 {
						wrong = append(wrong, fmt.Sprintf("%d of %s %s came too late", f.Discarded, f.Media, f.Direction))
					}
				}
				t.Logf("round-trip time %.2f ms, the line's %.2f ms; relay's lateness %v on average, %v at most", 1000*c.RTT.Median, 1000*truth, books.Lateness.Mean, books.Lateness.Max)
				return wrong
			})
		})
	}
}

// jitterOf is RFC 3550's estimate (A.8) of the times at which the relay sent a stream's packets.
func jitterOf(books relay.Books, d probes.Direction, m probes.Media, sent func(relay.Packet) float64) (j float64) {
	var list []relay.Packet
	for _, p := range books.Packets {
		if p.Direction == d && p.Media == m && p.Fate == relay.Passed {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b relay.Packet) int { return cmp.Compare(a.Sent, b.Sent) })
	for i, p := range list {
		if i > 0 {
			apart := (p.Sent - list[i-1].Sent).Seconds() - (sent(p) - sent(list[i-1]))
			j += (math.Abs(apart) - j) / 16
		}
	}
	return j
}

// TestJitterComesBack in each direction apart: each has its own, and the other's none of it.
func TestJitterComesBack(t *testing.T) {
	line := relay.Line{Up: relay.Way{Delay: 10 * time.Millisecond, Jitter: 40 * time.Millisecond, Unordered: true}, Down: relay.Way{Delay: 30 * time.Millisecond, Jitter: 8 * time.Millisecond, Spread: relay.Normal}}
	busy := 0
	var wrong []string
	for range attempts {
		// The relay's jitter makes packets overtake each other, so counts of these are not the script's.
		g := newRig(t, line, nil)
		c, err := call.Run(t.Context(), g.spec(t, "low", 4*time.Second), nil)
		if err != nil && probes.OutcomeOf(err) != probes.OutcomeOverloaded {
			t.Fatal(err)
		}
		books := g.books(t)
		g.close()
		wrong = nil
		truth := map[probes.Direction]float64{
			// The sender's own time is in the packet: RTP's on the way up. On the way down it is the reflector's, which
			// sends at once what comes in.
			up:   jitterOf(books, up, audio, func(p relay.Packet) float64 { return float64(p.RTPTime) / media.AudioClock }),
			down: jitterOf(books, down, audio, func(p relay.Packet) float64 { return p.Arrived.Seconds() }),
		}
		for _, d := range []probes.Direction{up, down} {
			f := flow(t, c, d, audio)
			if f.Lost != 0 || f.Jitter == nil || f.VariationP95 == nil {
				t.Fatalf("%s: %+v", d, f)
			}
			list := transits(books, d, audio)
			p95 := (list[len(list)*95/100] - list[0]).Seconds()
			t.Logf("%s: jitter %.2f ms, by the log %.2f ms; variation p95 %.2f ms, by the log %.2f ms", d, 1000**f.Jitter, 1000*truth[d], 1000**f.VariationP95, 1000*p95)
			wrong = append(wrong, near("jitter "+string(d), *f.Jitter, truth[d], max(0.003, truth[d]/5))...)
			wrong = append(wrong, near("variation "+string(d), *f.VariationP95, p95, max(0.005, p95/5))...)
		}
		if len(wrong) == 0 {
			return
		}
		t.Logf("%v", wrong)
		if books.Lateness.Max > 20*time.Millisecond || c.LimitedBy != "none" {
			busy++
		}
	}
	if busy == attempts {
		t.Skipf("this machine is too busy to measure times: %v", wrong)
	}
	t.Error(wrong)
}

// TestALimitOfRateShowsInTheRamp, and its absence too.
func TestALimitOfRateShowsInTheRamp(t *testing.T) {
	steps := []int{200_000, 400_000, 800_000, 1_600_000}
	change := func(s *call.Spec) { s.Steps, s.StepFor, s.Duration = steps, 800*time.Millisecond, 500*time.Millisecond }
	for _, tc := range []struct {
		name string
		line relay.Line
		want float64
	}{
		{"none", relay.Line{}, 1_600_000},
		{"up", relay.Line{Up: relay.Way{BPS: 600_000}}, 400_000},
		{"down", relay.Line{Down: relay.Way{BPS: 1_200_000}}, 800_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			timed(t, tc.line, change, func(c *report.Call, books relay.Books) (wrong []string) {
				if c.Ramp == nil {
					t.Fatal("no ramp")
				}
				if c.Ramp.BPS != tc.want {
					wrong = append(wrong, fmt.Sprintf("usable rate %.0f, want %.0f: %+v", c.Ramp.BPS, tc.want, *c.Ramp))
				}
				queued := 0
				for _, s := range books.Streams {
					queued += s.Fates[relay.LostQueue]
				}
				t.Logf("usable %.0f bit/s, ended by %s; the line had no room for %d packets", c.Ramp.BPS, c.Ramp.End, queued)
				return wrong
			})
		})
	}
}

// TestALineThatIsCutForAWhile loses what was sent meanwhile, no more and no less, and the call goes on.
func TestALineThatIsCutForAWhile(t *testing.T) {
	t.Parallel()
	g := newRig(t, relay.Line{}, nil)
	cut := func() {
		time.AfterFunc(time.Second, func() { g.relay.Set(relay.Both(relay.Way{Cut: true})) })
		time.AfterFunc(1700*time.Millisecond, func() { g.relay.Set(relay.Line{}) })
	}
	c, err := call.Run(t.Context(), g.spec(t, "low", 4*time.Second), cut)
	if err != nil && probes.OutcomeOf(err) != probes.OutcomeOverloaded {
		t.Fatal(err)
	}
	books := g.books(t)
	agree(t, c, books)
	if books.Of(up, audio, 0).Fates[relay.LostCut] == 0 {
		t.Error("nothing was sent while the line was cut")
	}
}

// TestALineThatIsCutForGood, and a reflector that dies: the call ends in time with an error that is no agent's fault, and
// what was measured until then is kept.
func TestALineThatIsCutForGood(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"line":      func(g *rig) { g.relay.Set(relay.Both(relay.Way{Cut: true})) },
		"reflector": func(g *rig) { g.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, relay.Line{}, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			c, err := call.Run(ctx, g.spec(t, "low", 5*time.Second), func() { time.AfterFunc(time.Second, func() { end(g) }) })
			if err == nil {
				t.Fatalf("the call went well: %+v", c)
			}
			if o := probes.OutcomeOf(err); o.Own() || ctx.Err() != nil {
				t.Errorf("outcome %s: %v", o, err)
			}
			t.Log(err)
			if c == nil || len(c.Flows) == 0 || flow(t, c, up, audio).Received == 0 || c.RTT == nil {
				t.Errorf("nothing is left of what was measured: %+v", c)
			}
		})
	}
}
