package figures

import (
	"communewatch/collector/reports"
	"communewatch/probes"
)

// against holds a line against the profile of its contract. Where the settings know no such profile, or it is for lines
// of another kind, there is nothing to hold it against.
func (m *maker) against(c *reports.Contract, layer probes.Layer, p *parts) []reports.Verdict {
	if c == nil || c.Profile == "" {
		return nil
	}
	profile := m.r.profiles[c.Profile]
	if profile == nil || profile.Layer != layer {
		return nil
	}
	f, _ := p.of(profile.Hours)
	var out []reports.Verdict
	for _, l := range profile.Limits {
		v := reports.Verdict{What: l.What, Limit: l.Value, Hours: profile.Hours, Citation: l.Citation}
		decide(&v, &f)
		out = append(out, v)
	}
	return out
}

// value returns what a limit is for; n is of how many values it is a percentile, 0 where it is none.
func value(what string, f *reports.Figures) (v *float64, n int64) {
	of := func(d *reports.Distribution, pick func(*reports.Distribution) *float64) (*float64, int64) {
		if d == nil {
			return nil, 0
		}
		return pick(d), d.Count
	}
	p50 := func(d *reports.Distribution) *float64 { return &d.P50 }
	p95 := func(d *reports.Distribution) *float64 { return &d.P95 }
	switch what {
	case "availability":
		return f.Availability, 0
	case "loss":
		return f.Loss, 0
	case "loss_p95":
		return of(f.LossOf, p95)
	case "rtt_p50":
		v, _ = of(f.RTT, p50)
		return v, 0
	case "rtt_p95":
		return of(f.RTT, p95)
	case "jitter_p95":
		return of(f.Jitter, p95)
	}
	return nil, 0
}

// decide says whether a limit was kept, where that can be said.
func decide(v *reports.Verdict, f *reports.Figures) {
	said := func(met bool) { v.Met = &met }
	var n int64
	if v.Value, n = value(v.What, f); v.Value == nil {
		v.Why = reports.WhyNothing
		return
	}
	measured := f.OK + f.Degraded + f.Down
	// What is not known may have been good; where even that would not have been enough, it was missed.
	if unknown := f.NoData + f.Off + f.Closed; v.What == "availability" && f.Period > 0 {
		if best := (measured - f.Down + unknown) / (measured + unknown); best < v.Limit {
			said(false)
			return
		}
	}
	switch planned := f.Period - f.Maintenance; {
	case planned <= 0 || measured < reports.MinKnown*planned:
		v.Why = reports.WhyKnown
	case n > 0 && n < reports.MinValues:
		v.Why = reports.WhyFew
	case v.What == "availability":
		said(*v.Value >= v.Limit)
	default:
		said(*v.Value <= v.Limit)
	}
}
