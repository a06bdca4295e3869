package conference

import (
	"context"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/phrase"
	"communewatch/collector/readiness"
	"communewatch/collector/readiness/facts"
)

// Endpoint is a conference endpoint of a site, and how far it is known to be ready (package readiness).
type Endpoint struct {
	Name     string     `json:"name"`
	Known    bool       `json:"known"`    // false: nothing fresh is known, and Level means nothing
	Level    int        `json:"level"`    // 0 to 4; -1: does not answer
	Possible int        `json:"possible"` // the highest level that a check looks at; -1: none
	At       *time.Time `json:"at"`       // of the evidence for Level
	Summary  string     `json:"summary"`  // a sentence
	Stop     string     `json:"stop"`     // what stops the next level, a sentence; empty at the highest
	StopCode string     `json:"stop_code"`
	Rungs    []Rung     `json:"rungs"` // from 0 to 4
}

// Rung is one level of an endpoint with its evidence.
type Rung struct {
	Level  int        `json:"level"`
	Name   string     `json:"name"`  // in words
	State  string     `json:"state"` // reached, failed, unknown or unchecked
	Reason string     `json:"reason"`
	Code   string     `json:"code"`
	Target string     `json:"target"` // of the check that says so; empty when none looks
	Kind   string     `json:"kind"`   // of it
	At     *time.Time `json:"at"`     // when it said so
}

// Endpoints tells how far a site's endpoints are known to be ready, by name. With an error of the store it is told by
// the judge's states alone.
func Endpoints(ctx context.Context, from Store, l phrase.Lang, site string, checks []health.CheckStatus, now time.Time) ([]Endpoint, error) {
	known, err := facts.Read(ctx, from, site, now)
	out := []Endpoint{}
	for _, e := range readiness.Of(checks, known, now) {
		shown := Endpoint{Name: e.Name, Known: e.Known, Level: int(e.Level), Possible: int(e.Possible), At: timeOrNil(e.At),
			Summary: phrase.Endpoint(l, e), Stop: phrase.Stop(l, e.Stop), StopCode: string(e.Stop.Code), Rungs: make([]Rung, 0, len(e.Rungs))}
		for _, r := range e.Rungs {
			shown.Rungs = append(shown.Rungs, Rung{Level: int(r.Level), Name: phrase.Level(l, r.Level), State: string(r.State),
				Reason: phrase.Stop(l, r), Code: string(r.Code), Target: r.Target, Kind: string(r.Kind), At: timeOrNil(r.At)})
		}
		out = append(out, shown)
	}
	return out, err
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
