// Package muster puts together what is known of each agent of the fleet: its standing from the registry, what it last said
// of itself, its open order channel, and how its checks fare. What is alive is told by measurements, not by sockets: the
// worst check comes first.
package muster

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	known "communewatch/collector/fleet"
	"communewatch/collector/health"
	"communewatch/collector/orders"
	"communewatch/collector/registry/agents"
	"communewatch/probes/presence"
	"communewatch/probes/release"
	"communewatch/probes/work"
)

// Judge knows how the checks of a site fare; *health.Judge does.
type Judge interface {
	Site(id string) (health.SiteStatus, []health.CheckStatus, bool)
}

// Sources are where things are known from. All are required.
type Sources struct {
	Agents    known.Service
	Said      func(ctx context.Context) ([]agents.Said, error) // what agents last said of themselves, those with a token too
	Judge     Judge
	Connected func() []orders.Agent
}

// StateToken is of an agent that reports with a token and has no identity of its own.
const StateToken known.State = "token"

// Row is an agent with all that is known of it.
type Row struct {
	known.Agent
	Since   time.Time // its order channel is open; zero: it is not
	Version string
	Checks  []health.CheckStatus // worst first
	Trouble health.Reason
	Facts   map[string]float64
	Old     bool // a newer version runs elsewhere in the fleet
}

// Worst is the state of its worst check.
func (r *Row) Worst() health.State {
	if len(r.Checks) == 0 {
		return health.StateNone
	}
	return r.Checks[0].State
}

// Silent is how many of its checks give no result though they should.
func (r *Row) Silent() (n int) {
	for i := range r.Checks {
		if r.Checks[i].State == health.StateNoData {
			n++
		}
	}
	return n
}

// Work is what it says of its work.
func (r *Row) Work() work.Status {
	if r.Presence == nil {
		return work.Status{}
	}
	return r.Presence.Work
}

// Update is what it says of releases.
func (r *Row) Update() presence.Update {
	if r.Presence == nil {
		return presence.Update{}
	}
	return r.Presence.Update
}

// StopReason is why it said that it stops.
func (r *Row) StopReason() presence.Reason {
	if r.Presence == nil || r.Stopped.IsZero() {
		return ""
	}
	return r.Presence.Reason
}

// Is tells whether a filter finds it.
func (r *Row) Is(show string) bool {
	switch show {
	case "pending":
		return r.State == known.StatePending
	case "clone":
		return !r.Clone.IsZero()
	case "silent":
		return r.State != known.StateRevoked && r.Silent() > 0
	case "off":
		return !r.Stopped.IsZero()
	case "unconnected":
		return r.Since.IsZero() && r.State != known.StateRevoked
	case "old":
		return r.Old
	case "refused":
		return r.Work().State == work.StateRefused
	case "revoked":
		return r.State == known.StateRevoked
	}
	return r.State != known.StateRevoked
}

// Shows are the filters, in the order of screens; "" is all that were not thrown out.
func Shows() []string {
	return []string{"", "pending", "clone", "silent", "off", "unconnected", "old", "refused", "revoked"}
}

// Rows are all agents of some sites, those that want a person first, then the worst.
func (s Sources) Rows(ctx context.Context, sites []string) ([]Row, error) {
	list, err := s.Agents.Agents(ctx)
	if err != nil {
		return nil, err
	}
	said, err := s.Said(ctx)
	if err != nil {
		return nil, err
	}
	sees := make(map[string]bool, len(sites))
	for _, id := range sites {
		sees[id] = true
	}
	type name struct{ site, agent string }
	var out []Row
	place := map[name]int{} // where the one that reports is
	add := func(a known.Agent) int {
		out = append(out, Row{Agent: a, Version: a.Machine.Version})
		if a.State != known.StatePending {
			place[name{a.Site, a.Agent}] = len(out) - 1
		}
		return len(out) - 1
	}
	of := func(site, agent string) *Row {
		i, there := place[name{site, agent}]
		if !there {
			i = add(known.Agent{Site: site, Agent: agent, State: StateToken})
		}
		return &out[i]
	}
	for _, a := range list {
		if sees[a.Site] {
			add(a)
		}
	}
	for _, p := range said {
		if sees[p.Site] && p.Presence != nil {
			r := of(p.Site, p.Agent)
			if r.State == StateToken {
				r.Presence, r.Heard, r.Stopped, r.Machine = p.Presence, p.Heard, p.Stopped, p.Presence.Machine
			}
		}
	}
	for _, id := range sites {
		status, checks, _ := s.Judge.Site(id)
		for _, st := range status.Agents {
			r := of(id, st.Name)
			r.Facts, r.Trouble = st.Facts, st.Trouble
			r.Version = cmp.Or(st.Version, r.Version)
			r.Heard = later(r.Heard, st.LastSeen)
		}
		for i := range checks {
			r := of(id, checks[i].ID.Agent)
			r.Checks = append(r.Checks, checks[i])
		}
	}
	for _, c := range s.Connected() {
		if sees[c.Site] {
			of(c.Site, c.Agent).Since = c.Since
		}
	}
	finish(out)
	return out, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// finish sorts, and marks who runs an old version.
func finish(out []Row) {
	var newest release.Version
	any := false // the zero Version is above those of untagged builds
	parse := func(r *Row) (release.Version, bool) {
		v, err := release.ParseVersion(strings.TrimPrefix(r.Version, "v"))
		return v, err == nil
	}
	for i := range out {
		if v, ok := parse(&out[i]); ok && (!any || v.Compare(newest) > 0) {
			newest, any = v, true
		}
		slices.SortStableFunc(out[i].Checks, func(a, b health.CheckStatus) int {
			return cmp.Or(cmp.Compare(b.State, a.State), a.LastSeen.Compare(b.LastSeen), cmp.Compare(a.ID.Target, b.ID.Target))
		})
	}
	for i := range out {
		if v, ok := parse(&out[i]); ok {
			out[i].Old = v.Compare(newest) < 0 && out[i].State != known.StateRevoked
		}
	}
	rank := func(r *Row) int {
		switch {
		case r.State == known.StatePending:
			return 0
		case !r.Clone.IsZero():
			return 1
		case r.State == known.StateRevoked:
			return 3
		}
		return 2
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(b.Worst(), a.Worst()), cmp.Compare(a.Site, b.Site), cmp.Compare(a.Agent.Agent, b.Agent.Agent))
	})
}

// Names are the names of its checks, each once.
func (r *Row) Names() (out []string) {
	for i := range r.Checks {
		if name := r.Checks[i].ID.Target; !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
