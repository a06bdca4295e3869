// Package evidence gathers what is known of sites beside the calls of a rehearsal: the states of their layers, and how
// ready their rooms' endpoints say they are. A rehearsal shows it beside its own results, so that a bad call can be told
// from a line that was bad before.
package evidence

import (
	"context"
	"log/slog"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/readiness"
	"communewatch/collector/readiness/facts"
	"communewatch/collector/rehearsal"
	"communewatch/collector/store"
	"communewatch/probes"
)

// wait bounds how long a rehearsal waits for what is known of rooms: its agents are to be told soon.
const wait = 5 * time.Second

// Of is where evidence comes from. All of it is required.
type Of struct {
	Judge *health.Judge
	Store store.Store
	Now   func() time.Time
	Log   *slog.Logger
}

// Sites is what is known of sites. What can't be read now is left out, and the log says so.
func (o Of) Sites(ctx context.Context, sites []string) []rehearsal.Evidence {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	now := o.Now()
	out := make([]rehearsal.Evidence, 0, len(sites))
	var failed error // of reading what endpoints say; the judge's states are known all the same
	for _, site := range sites {
		e := rehearsal.Evidence{Site: site}
		status, checks, ok := o.Judge.Site(site)
		if !ok {
			out = append(out, e)
			continue
		}
		if !status.LastSeen.IsZero() {
			e.Heard = &status.LastSeen
		}
		for i, l := range probes.Layers() {
			e.Layers = append(e.Layers, rehearsal.LayerState{Layer: l, State: status.Layers[i].State.String(), Since: status.Layers[i].Since, Reason: status.Layers[i].Reason})
		}
		said, err := facts.Read(ctx, o.Store, site, now)
		if err != nil {
			failed = err
		}
		for _, r := range readiness.Of(checks, said, now) {
			room := rehearsal.Room{Endpoint: r.Name, Level: int(r.Level), Known: r.Known}
			if !r.At.IsZero() {
				room.At = &r.At
			}
			e.Rooms = append(e.Rooms, room)
		}
		out = append(out, e)
	}
	if failed != nil {
		o.Log.Warn("a rehearsal begins without all that endpoints say of themselves", "error", failed)
	}
	return out
}
