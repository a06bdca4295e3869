// Package conference gathers what is known of a site's conference: the newest call with media of each check, both ways
// apart, and what the services and endpoints around it last answered. Everything is as it was measured, under the names
// of CONTRACT.md; nothing is judged here.
//
// A call is made every quarter of an hour at most, and none while a meeting is on, so that the newest may be hours old:
// each row says when it began.
package conference

import (
	"cmp"
	"context"
	"slices"
	"time"

	"communewatch/collector/store"
	"communewatch/probes"
)

const (
	// callsBack is how far back calls are looked for: over a night without any.
	callsBack = 26 * time.Hour
	// servicesBack is the same for what is asked every minute.
	servicesBack = 2 * time.Hour
	// maxPoints bounds what one question reads: a hundred fields of services asked every ten seconds.
	maxPoints = 100_000
	// everyCall is a field that each call has, to find the newest by: a call has forty more, and eight flows of a dozen
	// each, which are then read of that moment alone.
	everyCall = "media_seconds"
)

// Store is where the measurements are.
type Store interface {
	Select(ctx context.Context, q store.Query, each func(store.Series) error) error
}

// Site is what is known of a site's conference. Its lists are sorted by target, path and agent.
type Site struct {
	Calls    []Call    `json:"calls"`    // measurement webrtc
	Services []Reading `json:"services"` // measurements sip, stun and h323
}

// Reading is one row of a measurement. Facts are its numbers (booleans are 0 and 1), Texts its texts; what was not
// measured is in neither.
type Reading struct {
	Kind   string             `json:"kind"`
	Agent  string             `json:"agent"`
	Target string             `json:"target"`
	Path   string             `json:"path"`
	At     time.Time          `json:"at"` // when the run began
	Facts  map[string]float64 `json:"facts"`
	Texts  map[string]string  `json:"texts"`
}

// Call is one call and its flows.
type Call struct {
	Reading
	Flows []Flow `json:"flows"` // of the same run: up before down, audio before video
}

// Flow is the media of one kind, one way: measurement webrtc_flow.
type Flow struct {
	Direction string             `json:"direction"`
	Media     string             `json:"media"`
	Facts     map[string]float64 `json:"facts"`
}

// Of reads what is known of a site.
func Of(ctx context.Context, from Store, site string, now time.Time) (Site, error) {
	out := Site{Calls: []Call{}, Services: []Reading{}}
	here := store.Query{Tags: map[string]string{"site": site}, From: now.Add(-callsBack), To: now.Add(time.Minute), MaxPoints: maxPoints}
	ask := func(measurement string, q store.Query, fields ...string) store.Query {
		q.Measurement, q.Fields = measurement, fields
		return q
	}
	found := newest{}
	if err := found.read(ctx, from, ask("webrtc", here, everyCall)); err != nil {
		return out, err
	}
	for _, r := range found.sorted() {
		// The flows of a run that was stored without them are not those of the run before: only this moment's count.
		then := store.Query{Tags: map[string]string{"site": site, "agent": r.Agent, "target": r.Target, "path": r.Path},
			From: r.At, To: r.At.Add(time.Millisecond), MaxPoints: maxPoints}
		whole, flows := newest{}, newest{}
		if err := whole.read(ctx, from, ask("webrtc", then)); err != nil {
			return out, err
		}
		if err := flows.read(ctx, from, ask("webrtc_flow", then)); err != nil {
			return out, err
		}
		call := Call{Reading: r.Reading, Flows: []Flow{}}
		for _, w := range whole {
			call.Reading = w.Reading
		}
		for _, f := range flows {
			call.Flows = append(call.Flows, Flow{Direction: f.direction, Media: f.media, Facts: f.Facts})
		}
		slices.SortFunc(call.Flows, func(a, b Flow) int {
			return cmp.Or(cmp.Compare(rank(a.Direction), rank(b.Direction)), cmp.Compare(a.Media, b.Media))
		})
		out.Calls = append(out.Calls, call)
	}
	here.From = now.Add(-servicesBack)
	services := newest{}
	for _, m := range []string{"sip", "stun", "h323"} {
		if err := services.read(ctx, from, ask(m, here)); err != nil {
			return out, err
		}
	}
	for _, r := range services.sorted() {
		out.Services = append(out.Services, r.Reading)
	}
	return out, nil
}

// rank is a direction's place on the screens.
func rank(direction string) int {
	return slices.Index([]string{string(probes.DirectionUp), string(probes.DirectionDown), string(probes.DirectionRound)}, direction)
}

// key is what tells one check's rows from another's, and the flows of a call.
type key struct{ kind, agent, target, path, direction, media string }

type row struct {
	Reading
	direction, media string
}

// newest holds the newest row of each check.
type newest map[key]*row

func (n newest) read(ctx context.Context, from Store, q store.Query) error {
	return from.Select(ctx, q, func(s store.Series) error {
		last := len(s.Times) - 1
		if last < 0 {
			return nil
		}
		kind := q.Measurement
		if spec, ok := spec(q.Measurement); ok {
			kind = string(spec.Kind)
		}
		k := key{kind, s.Tags.Get("agent"), s.Tags.Get("target"), s.Tags.Get("path"), s.Tags.Get("direction"), s.Tags.Get("media")}
		at := time.UnixMilli(s.Times[last]).UTC()
		r := n[k]
		switch {
		case r == nil || at.After(r.At):
			// Fields of an older run say nothing about a newer one that lacks them.
			r = &row{Reading: Reading{Kind: k.kind, Agent: k.agent, Target: k.target, Path: k.path, At: at,
				Facts: map[string]float64{}, Texts: map[string]string{}}, direction: k.direction, media: k.media}
			n[k] = r
		case at.Before(r.At):
			return nil
		}
		if s.Values != nil {
			r.Facts[s.Field] = s.Values[last]
		} else {
			r.Texts[s.Field] = s.Texts[last]
		}
		return nil
	})
}

func spec(measurement string) (probes.MeasurementSpec, bool) {
	all := probes.Schema()
	i := slices.IndexFunc(all, func(m probes.MeasurementSpec) bool { return m.Name == measurement })
	if i < 0 {
		return probes.MeasurementSpec{}, false
	}
	return all[i], true
}

func (n newest) sorted() []*row {
	out := make([]*row, 0, len(n))
	for _, r := range n {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}
