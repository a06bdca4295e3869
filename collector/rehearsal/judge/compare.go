package judge

import (
	"cmp"
	"slices"

	"communewatch/collector/rehearsal"
)

// Compare says what changed from one rehearsal to another. Unknown is no change for the better or worse, so a site
// that is unknown in either is the same.
func Compare(before, after *rehearsal.Report) rehearsal.Comparison {
	c := rehearsal.Comparison{
		Before: Summary(&before.Record), After: Summary(&after.Record), HubB: before.Verdict.Hub, HubA: after.Verdict.Hub,
		CountB: before.Verdict.Counts, CountA: after.Verdict.Counts, Better: []rehearsal.Change{}, Worse: []rehearsal.Change{},
	}
	a, b := before.Plan.Profile, after.Plan.Profile
	c.SameProfile = a.AudioBPS == b.AudioBPS && a.VideoBPS == b.VideoBPS && a.FPS == b.FPS
	old := make(map[string]*rehearsal.Row, len(before.Verdict.Rows))
	for i := range before.Verdict.Rows {
		old[before.Verdict.Rows[i].Site] = &before.Verdict.Rows[i]
	}
	for i := range after.Verdict.Rows {
		now := &after.Verdict.Rows[i]
		was := old[now.Site]
		if was == nil {
			c.Joined = append(c.Joined, now.Site)
			continue
		}
		delete(old, now.Site)
		change := rehearsal.Change{Site: now.Site, Before: was.Overall, After: now.Overall, WhyB: was.Why, WhyA: now.Why, LossB: largest(was), LossA: largest(now)}
		switch d := now.Overall.Rank() - was.Overall.Rank(); {
		case d == 0 || now.Overall == rehearsal.Unknown || was.Overall == rehearsal.Unknown:
			c.Same++
		case d < 0:
			c.Better = append(c.Better, change)
		default:
			c.Worse = append(c.Worse, change)
		}
	}
	for site := range old {
		c.Left = append(c.Left, site)
	}
	slices.Sort(c.Left)
	slices.Sort(c.Joined)
	bySite := func(a, b rehearsal.Change) int { return cmp.Compare(a.Site, b.Site) }
	slices.SortFunc(c.Better, bySite)
	slices.SortFunc(c.Worse, bySite)
	return c
}

// largest is the largest loss of a row in any step; nil: none was measured.
func largest(r *rehearsal.Row) *float64 {
	var out *float64
	for _, s := range r.Steps {
		for _, v := range []*float64{s.Up, s.Down} {
			if v != nil && (out == nil || *v > *out) {
				out = v
			}
		}
	}
	return out
}

// Summary is a record in a list.
func Summary(r *rehearsal.Record) rehearsal.Summary {
	sites := 0
	if n := len(r.Plan.Steps); n > 0 {
		sites = r.Plan.Steps[n-1]
	}
	return rehearsal.Summary{
		ID: r.ID, Meeting: r.Plan.Meeting, Profile: r.Plan.Profile.Name, Sites: sites, Steps: r.Plan.Steps, State: r.State, Why: r.Why,
		By: r.Plan.By, Schedule: r.Plan.Schedule, Created: r.Created, At: r.Plan.At, Began: r.Began, Ended: r.Ended,
	}
}
