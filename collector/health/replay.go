package health

import (
	"slices"
	"time"
)

// History is what a replay found: who was in which state from when to when. Intervals touch, are in order, never
// empty, and cover [From, To).
type History struct {
	From, To time.Time
	Sites    map[string]*SiteHistory
}

// SiteHistory is the history of one site.
type SiteHistory struct {
	Site   []Interval
	Layers [4][]Interval // in the order of probes.Layers
	Checks map[CheckID][]Interval
}

// Interval is one stay in a state.
type Interval struct {
	State    State
	From, To time.Time
	Reason   Reason // as it was when the state was entered
}

// Replay judges stored observations as they would have been judged live, and returns the intervals between from and
// to. Observations from before from warm the judge up. It sorts obs in place.
func Replay(rules Rules, obs []Observation, from, to time.Time) History {
	r := NewReplayer(rules, from)
	r.Feed(obs)
	return r.History(to)
}

// A Replayer does the work of Replay in portions, for ranges that do not fit in memory at once.
type Replayer struct {
	judge *Judge
	from  time.Time
	begun bool
	sites map[string]*SiteHistory
}

// NewReplayer returns a Replayer of what happened from from on.
func NewReplayer(rules Rules, from time.Time) *Replayer {
	return &Replayer{judge: newJudge(rules, 0, from.UnixMilli(), 1), from: from, sites: map[string]*SiteHistory{}}
}

// Feed judges a portion: all observations of a stretch of time, later than those fed before. It sorts obs in place.
func (r *Replayer) Feed(obs []Observation) {
	sortObservations(obs)
	if len(obs) > 0 && !r.begun {
		r.begun = true
		if first := obs[0].Time; first.Before(r.from) {
			r.judge = newJudge(r.judge.rules.Rules, 0, first.UnixMilli(), 1)
		}
	}
	r.judge.play(obs)
	r.collect()
}

// History closes the account at to. The Replayer is of no more use then.
func (r *Replayer) History(to time.Time) History {
	for _, t := range r.judge.Tick(to) {
		r.take(t)
	}
	h := History{From: r.from, To: to, Sites: r.sites}
	for _, s := range r.sites {
		s.Site = trim(s.Site, r.from, to)
		for i := range s.Layers {
			s.Layers[i] = trim(s.Layers[i], r.from, to)
		}
		for id, list := range s.Checks {
			s.Checks[id] = trim(list, r.from, to)
		}
	}
	return h
}

func (r *Replayer) collect() {
	sh := r.judge.shards[0]
	for _, t := range sh.transitions {
		r.take(t)
	}
	sh.transitions = sh.transitions[:0]
}

func (r *Replayer) take(t Transition) {
	s := r.sites[t.Site]
	if s == nil {
		s = &SiteHistory{Checks: map[CheckID][]Interval{}}
		r.sites[t.Site] = s
	}
	i := Interval{State: t.To, From: t.At, Reason: t.Reason}
	switch {
	case t.Check != CheckID{}:
		s.Checks[t.Check] = append(s.Checks[t.Check], i)
	case t.Layer != "":
		n := slices.Index(layers, t.Layer)
		s.Layers[n] = append(s.Layers[n], i)
	default:
		s.Site = append(s.Site, i)
	}
}

// trim turns a list of beginnings into intervals that cover [from, to).
func trim(list []Interval, from, to time.Time) []Interval {
	out := []Interval{{State: StateNone, From: from, To: to}}
	for _, i := range list {
		if !i.From.Before(to) {
			break
		}
		if i.From.Before(from) {
			i.From = from
		}
		i.To = to
		last := &out[len(out)-1]
		if !i.From.After(last.From) {
			*last = i // nobody was in that state for any time
			if n := len(out); n > 1 && out[n-2].State == i.State {
				out[n-2].To, out = to, out[:n-1]
			}
			continue
		}
		last.To = i.From
		out = append(out, i)
	}
	return out
}

func sortObservations(obs []Observation) {
	slices.SortStableFunc(obs, func(a, b Observation) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		if a.Check.Site != b.Check.Site {
			if a.Check.Site < b.Check.Site {
				return -1
			}
			return 1
		}
		if c := compareChecks(a.Check, b.Check); c != 0 {
			return c
		}
		switch verdictA, verdictB := a.Check.Layer != "", b.Check.Layer != ""; {
		case verdictA == verdictB:
			return 0
		case verdictB:
			return -1
		}
		return 1
	})
}

// play feeds sorted observations, judging silence on the way. The judge has one shard, or the time is before start.
func (j *Judge) play(obs []Observation) {
	j.tickMu.Lock()
	defer j.tickMu.Unlock()
	for i := range obs {
		j.advance(obs[i].Time.UnixMilli())
		j.Observe(obs[i : i+1])
	}
}

// Restore feeds stored observations from before start, as if they had come live: what was silent before the collector
// went away is silent again, and what was reporting until then keeps its state until it has had time to report. It
// sorts obs in place. Call it once, before the first Observe.
func (j *Judge) Restore(obs []Observation) {
	if len(obs) == 0 {
		return
	}
	sortObservations(obs)
	j.tickMu.Lock()
	j.now = min(j.now, obs[0].Time.UnixMilli())
	j.boundary = j.rules.boundary(j.now)
	for _, sh := range j.shards {
		sh.mu.Lock()
		sh.now = j.now
		sh.mu.Unlock()
	}
	j.tickMu.Unlock()
	j.play(obs)

	// What would have fallen silent between the last of them and start may have been reporting to nobody.
	j.tickMu.Lock()
	defer j.tickMu.Unlock()
	if j.now >= j.start {
		return
	}
	for _, sh := range j.shards {
		sh.mu.Lock()
		sh.now = j.start
		sh.cross(j, j.start)
		sh.mu.Unlock()
	}
	j.now, j.boundary = j.start, j.rules.boundary(j.start)
}
