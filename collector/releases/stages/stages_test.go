package stages

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"communewatch/probes/release"
)

var (
	start = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	old   = release.Version{Major: 1}
	fresh = release.Version{Major: 1, Minor: 1}
)

func rollout() Rollout {
	return Rollout{ID: 1, Version: fresh, Plan: DefaultPlan("s001"), State: StateRunning, Since: start, Started: start}
}

// province is agents of 136 sites, all well and on the old version.
func province(now time.Time) []Agent {
	var list []Agent
	for i := range 136 {
		list = append(list, Agent{Name: Name{fmt.Sprintf("s%03d", i), "pc"}, Running: old, Can: true, Heard: now, Reported: now})
	}
	return list
}

// advance has every agent whose turn it is take the release, and all report.
func advance(r *Rollout, list []Agent, now time.Time) {
	for i := range list {
		a := &list[i]
		a.Heard, a.Reported = now, now
		if r.Turn(a.Name) {
			a.Running, a.State, a.Offered = fresh, release.StateKept, fresh
		}
	}
}

func TestAReleaseGoesOutInStages(t *testing.T) {
	r, now := rollout(), start
	list := province(now)
	began := []time.Duration{0}
	for r.State == StateRunning && now.Before(start.Add(24*time.Hour)) {
		now = now.Add(time.Minute)
		advance(&r, list, now)
		turn := 0
		for i := range list {
			if r.Turn(list[i].Name) {
				turn++
			}
		}
		if want := [][2]int{{1, 1}, {8, 24}, {136, 136}}[r.Stage]; turn < want[0] || turn > want[1] {
			t.Fatalf("stage %d is of %d agents", r.Stage, turn)
		}
		was := r.Stage
		if r = r.Step(list, now, start); r.Stage != was {
			began = append(began, now.Sub(start))
		}
	}
	if r.State != StateComplete || len(began) != 3 {
		t.Fatalf("%s in stage %d, which began after %v", r.State, r.Stage, began)
	}
	for i := range began[1:] {
		if d := began[i+1] - began[i]; d < DefaultSoak || d > DefaultSoak+3*time.Minute {
			t.Errorf("stage %d took %v", i, d)
		}
	}
	for i := range list {
		if list[i].Running != fresh {
			t.Errorf("%s did not get it", list[i].Site)
		}
	}
	// A power cut of next week is no news of the release.
	now = now.Add(7 * 24 * time.Hour)
	advance(&r, list, now)
	list[0].Heard, list[0].Reported = now.Add(-time.Hour), now.Add(-time.Hour)
	if r = r.Step(list, now, start); r.State != StateComplete {
		t.Errorf("a complete roll-out is %s: %s", r.State, r.Why)
	}
}

func TestOneBadAgentHaltsIt(t *testing.T) {
	for name, c := range map[string]struct {
		do  func(a *Agent, now time.Time)
		why string
	}{
		"rolled back": {func(a *Agent, _ time.Time) { a.Running, a.State = old, release.StateRolledBack }, "went back"},
		"refused":     {func(a *Agent, _ time.Time) { a.Running, a.State = old, release.StateRefused }, "refused"},
		"silent":      {func(a *Agent, now time.Time) { a.Heard, a.Reported = now.Add(-time.Hour), now.Add(-time.Hour) }, "fell silent"},
		"no results":  {func(a *Agent, now time.Time) { a.Reported = now.Add(-time.Hour) }, "no results"},
		"silent in its trial": {func(a *Agent, now time.Time) {
			a.Running, a.State, a.Heard = old, release.StateTrying, now.Add(-time.Hour)
		}, "was to try it"},
		"refused, as it had to": {func(a *Agent, _ time.Time) {
			a.Running, a.State, a.Can, a.Cannot = old, release.StateRefused, false, "has no binary"
		}, ""},
		"silent, and excused": {nil, ""},
		"switched off instead": {func(a *Agent, now time.Time) {
			a.Off, a.Heard, a.Reported = true, now.Add(-time.Hour), now.Add(-time.Hour)
		}, ""},
	} {
		r, now := rollout(), start.Add(2*time.Hour)
		r.Stage, r.Since = 1, start
		list := province(now)
		advance(&r, list, now)
		var bad *Agent
		for i := range list {
			if r.StageOf(list[i].Name) == 1 {
				bad = &list[i]
			}
		}
		if c.do == nil {
			bad.Heard = now.Add(-time.Hour)
			r.Excused = []Name{bad.Name}
		} else {
			c.do(bad, now)
		}
		got := r.Step(list, now, start)
		if c.why == "" {
			if got.State != StateRunning {
				t.Errorf("%s: %s: %s", name, got.State, got.Why)
			}
			continue
		}
		if got.State != StateHalted || !strings.Contains(got.Why, c.why) || !strings.Contains(got.Why, bad.Site+"/pc") {
			t.Errorf("%s: %s: %q", name, got.State, got.Why)
		}
		if got.Turn(bad.Name) || got.Turn(list[0].Name) {
			t.Errorf("%s: it is still offered", name)
		}
		// Somebody looks at it and says to go on: this one no longer counts, and is offered it no more.
		on := got.Resume(list, now, start).Step(list, now, start)
		if on.State != StateRunning || on.Turn(bad.Name) {
			t.Errorf("%s: after it went on: %s, %q", name, on.State, on.Why)
		}
	}
}

func TestWhatWasSaidOfAnEarlierRolloutIsOldNews(t *testing.T) {
	r, now := rollout(), start.Add(2*time.Hour)
	r.ID = 4
	for said, want := range map[int64]Fare{3: FareWaiting, 4: FareFailed, 0: FareFailed} {
		a := Agent{Name: Name{"s001", "pc"}, Running: old, Can: true, Heard: now, Reported: now, State: release.StateRolledBack, Offered: fresh, Rollout: said}
		if got, why := r.FareOf(&a, now, start); got != want {
			t.Errorf("said of roll-out %d: %s, %s", said, got, why)
		}
	}
	a := Agent{Name: Name{"s001", "pc"}, Running: old, Can: true, Heard: now, Reported: now, State: release.StateFetched, Offered: fresh, Problem: "put off: no memory"}
	if got, why := r.FareOf(&a, now, start); got != FareTrying || why != a.Problem {
		t.Errorf("put off: %s, %s", got, why)
	}
}

func TestACollectorThatWasAwayBlamesNobody(t *testing.T) {
	r, now := rollout(), start.Add(10*time.Hour)
	list := province(start)
	advance(&r, list, start.Add(time.Minute))
	if got := r.Step(list, now, now.Add(-time.Minute)); got.State != StateRunning {
		t.Errorf("a minute after its start: %s: %s", got.State, got.Why)
	}
	if got := r.Step(list, now, now.Add(-time.Hour)); got.State != StateHalted {
		t.Errorf("an hour after its start: %s", got.State)
	}
}

func TestAStageWaitsForItsAgents(t *testing.T) {
	r, now := rollout(), start.Add(time.Minute)
	list := province(now)
	for range 100 { // nobody takes it
		now = now.Add(time.Minute)
		for i := range list {
			list[i].Heard, list[i].Reported = now, now
		}
		r = r.Step(list, now, start)
	}
	if r.Stage != 0 || !r.Settled.IsZero() {
		t.Errorf("it went on to stage %d with nobody running it", r.Stage)
	}
	// Nor with most of a stage switched off.
	r.Stage = 1
	off := 0
	for i := range list {
		if a := &list[i]; r.StageOf(a.Name) <= 1 {
			if off++; off > 1 {
				a.Off = true
			} else {
				a.Running = fresh
			}
		}
	}
	for range 100 {
		now = now.Add(time.Minute)
		for i := range list {
			if !list[i].Off {
				list[i].Heard, list[i].Reported = now, now
			}
		}
		r = r.Step(list, now, start)
	}
	if r.Stage != 1 {
		t.Errorf("it went on with one of %d agents", off)
	}
}

func TestWhoCannotIsNotWaitedFor(t *testing.T) {
	r, now := rollout(), start.Add(time.Minute)
	list := province(now)
	list = append(list, Agent{Name: Name{"s001", "second"}, Running: old, Cannot: "updates are switched off in its settings", Heard: now})
	for range 40 {
		now = now.Add(time.Minute)
		advance(&r, list[:len(list)-1], now)
		list[len(list)-1].Heard = now
		r = r.Step(list, now, start)
	}
	if r.Stage != 1 {
		t.Errorf("stage %d", r.Stage)
	}
	if fare, why := r.FareOf(&list[len(list)-1], now, start); fare != FareUnable || why == "" {
		t.Errorf("%s %q", fare, why)
	}
}

// TestWhateverHappens plays random fleets. A roll-out must never go on in a step in which an agent failed, skip a stage,
// be shorter than its soaks, or offer the release to an agent whose stage has not begun.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 3))
		x, now := rollout(), start
		list := province(now)[:40]
		passed := start
		for range 400 {
			now = now.Add(time.Duration(1+r.IntN(10)) * time.Minute)
			for i := range list {
				a := &list[i]
				if r.IntN(20) > 0 {
					a.Heard, a.Reported, a.Off = now, now, false
				} else if r.IntN(4) == 0 {
					a.Off = true
				}
				if x.Turn(a.Name) && r.IntN(5) == 0 {
					a.Offered, a.State = fresh, []release.State{release.StateFetched, release.StateTrying, release.StateKept}[r.IntN(3)]
					if a.State != release.StateFetched {
						a.Running = fresh
					}
				}
				if r.IntN(20_000) == 0 && a.Offered == fresh {
					a.Running, a.State = old, release.StateRolledBack
				}
				if a.Running == fresh && x.StageOf(a.Name) > x.Stage {
					t.Fatalf("seed %d: %s runs it before its turn", seed, a.Site)
				}
			}
			was := x
			x = x.Step(list, now, start)
			failed := false
			for i := range list {
				if fare, _ := was.FareOf(&list[i], now, start); fare == FareFailed {
					failed = true
				}
			}
			switch {
			case was.State.Offers() && failed != (x.State == StateHalted):
				t.Fatalf("seed %d: failed %v, and it is %s", seed, failed, x.State)
			case x.Stage > was.Stage+1 || x.Stage < was.Stage:
				t.Fatalf("seed %d: from stage %d to %d", seed, was.Stage, x.Stage)
			case x.Stage > was.Stage || x.State == StateComplete && was.State != StateComplete:
				if now.Sub(passed) < DefaultSoak {
					t.Fatalf("seed %d: stage %d took %v", seed, was.Stage, now.Sub(passed))
				}
				passed = now
			}
			if x.State == StateHalted && r.IntN(3) == 0 {
				x = x.Resume(list, now, start)
			}
		}
	}
}

func TestPlansAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(p *Plan){
		"nobody first":  func(p *Plan) { p.First = nil },
		"a bad site":    func(p *Plan) { p.First = []string{"<script>"} },
		"not all":       func(p *Plan) { p.Shares = []int{10, 50} },
		"falling":       func(p *Plan) { p.Shares = []int{50, 10, 100} },
		"one twice":     func(p *Plan) { p.Shares = []int{10, 10, 100} },
		"nothing":       func(p *Plan) { p.Shares = []int{0, 100} },
		"no soak":       func(p *Plan) { p.SoakSeconds = 0 },
		"for ever":      func(p *Plan) { p.SoakSeconds = 1 << 40 },
		"no stages":     func(p *Plan) { p.Shares = nil },
		"beyond reason": func(p *Plan) { p.Shares = []int{10, 100, 200} },
	} {
		p := DefaultPlan("s001")
		spoil(&p)
		if p.Validate() == nil {
			t.Errorf("%s: %+v is taken", name, p)
		}
	}
	if p := DefaultPlan("s001"); p.Validate() != nil {
		t.Error(p.Validate())
	}
}
