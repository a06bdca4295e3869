package health

import "time"

// History is what Replay found: who was in which state from when to when. Intervals touch, are in order, never empty,
// and cover [From, To).
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
func Replay(rules Rules, obs []Observation, from, to time.Time) History { return History{} }
