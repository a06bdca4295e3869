package health

import (
	"cmp"
	"slices"
	"time"

	"communewatch/collector/health/rules"
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
func Replay(r Rules, obs []Observation, from, to time.Time) History {
	p := NewReplayer(r, from)
	p.Feed(obs)
	return p.History(to)
}

// A Replayer does the work of Replay in portions, for ranges that do not fit in memory at once.
type Replayer struct {
	judge *Judge
	from  time.Time
	begun bool
	sites map[string]*SiteHistory
}

// NewReplayer returns a Replayer of what happened from from on.
func NewReplayer(r Rules, from time.Time) *Replayer {
	return &Replayer{judge: newJudge(rules.Compile(r), 0, from.UnixMilli(), 1), from: from, sites: map[string]*SiteHistory{}}
}

// Feed judges a portion: all observations of a stretch of time, later than those fed before. It sorts obs in place.
func (r *Replayer) Feed(obs []Observation) {
	sortObservations(obs)
	if len(obs) > 0 && !r.begun {
		r.begun = true
		if first := obs[0].Time; first.Before(r.from) {
			r.judge = newJudge(r.judge.rules, 0, first.UnixMilli(), 1)
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

// sortObservations orders by time; of one run, facts come before the verdict. What is in order already costs one look.
func sortObservations(obs []Observation) {
	if !slices.IsSortedFunc(obs, compareObservations) {
		slices.SortStableFunc(obs, compareObservations)
	}
}

func compareObservations(a, b Observation) int {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c
	}
	if c := cmp.Or(cmp.Compare(a.Check.Site, b.Check.Site), compareChecks(a.Check, b.Check)); c != 0 {
		return c
	}
	verdict := func(o *Observation) int {
		if o.Check.Layer != "" {
			return 1
		}
		return 0
	}
	return verdict(&a) - verdict(&b)
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

// Restore feeds stored observations from before start, as if they had come live, for sites that have no checks yet.
// What was silent before the collector went away is silent at once; what reported until then keeps its state until it
// has had time to report again. When the collector went away is told by Away, or by the newest observation
// of all calls. The
// changes on the way are not reported again by Tick. It sorts obs in place. Call it before the first Tick.
func (j *Judge) Restore(obs []Observation) {
	sortObservations(obs)
	slices.SortStableFunc(obs, func(a, b Observation) int { return cmp.Compare(a.Check.Site, b.Check.Site) })
	for i := 0; i < len(obs); {
		n := i + 1
		for n < len(obs) && obs[n].Check.Site == obs[i].Check.Site {
			n++
		}
		j.restore(obs[i:n])
		i = n
	}
}

// restore plays one site's past to a judge of its own and takes the site over.
func (j *Judge) restore(obs []Observation) {
	id, newest := obs[0].Check.Site, obs[len(obs)-1].Time.UnixMilli()
	start := j.start.Load()
	past := newJudge(j.rules, start, obs[0].Time.UnixMilli(), 1)
	past.play(obs)
	if past.now < start {
		past.shards[0].cross(past, start)
	}
	made := past.shards[0].sites[id]

	sh := j.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if old := sh.sites[id]; old != nil {
		if len(old.checks) > 0 {
			sh.observe(j, obs)
			return
		}
		made.listed = old.listed
		for _, a := range old.agents {
			now := made.agent(a.name)
			now.version, now.facts, now.selfAt, now.seenAt = a.version, a.facts, a.selfAt, max(a.seenAt, now.seenAt)
			now.stoppedAt, now.stopped = a.stoppedAt, a.stopped
		}
	}
	made.published = made.lastAt
	sh.sites[id] = made
	for _, e := range past.shards[0].queue {
		if e.at == e.check.queued {
			sh.queue.Push(e)
		}
	}
	for {
		alive := j.alive.Load()
		if newest <= alive || j.alive.CompareAndSwap(alive, newest) {
			break
		}
	}
	j.sitesVersion.Add(1)
	sh.bump(made)
}

// Away says when the collector was last up, where that is known: results alone do not tell when nobody sent any. Call it
// before the first Tick.
func (j *Judge) Away(since time.Time) {
	if at := since.UnixMilli(); at > j.alive.Load() {
		j.alive.Store(at)
	}
}

// Remember has a state begin when it was announced: the stored results that Restore plays begin later than a fault that
// has lasted for days. t is the newest change that was announced of a check (known by agent and target), a layer or a
// site before start; where the state is another by now, it is no news. Call it after Restore and before the first Tick.
func (j *Judge) Remember(t Transition) {
	at := t.At.UnixMilli()
	sh := j.shard(t.Site)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	site := sh.sites[t.Site]
	if site == nil {
		return
	}
	switch layer := slices.Index(layers, t.Layer); {
	case t.Layer == "":
		if site.state == t.To {
			site.since = min(site.since, at)
		}
	case layer < 0:
		return
	case t.Check == (CheckID{}):
		if l := &site.layers[layer]; l.State == t.To && t.At.Before(l.Since) {
			l.Since = t.At
		}
	default:
		for _, c := range site.checks {
			if c.id.Agent == t.Check.Agent && c.id.Target == t.Check.Target && c.id.Layer == t.Layer && c.shown == t.To {
				c.since = min(c.since, at)
			}
		}
	}
	sh.bump(site)
}
