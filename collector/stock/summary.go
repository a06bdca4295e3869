package stock

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"communewatch/inventory/lifecycle"
)

// tally counts devices under one heading.
type tally struct {
	Count
	models, versions map[string]bool
}

func (t *tally) add(r *Row) {
	t.Devices++
	switch r.Standing {
	case Outdated:
		t.Outdated++
		if r.Legal == lifecycle.LegalEligible {
			t.Eligible++
		}
	case Fine:
		t.Fine++
		if r.State == lifecycle.StateDueSoon {
			t.DueSoon++
		}
	default:
		t.Unknown++
		if r.State == lifecycle.StateReview {
			t.Review++
		}
	}
	if r.Band == lifecycle.BandFirst {
		t.ReplaceFirst++
	}
	t.Price += r.Price
	if r.Model == "" {
		return
	}
	model := r.Vendor + "\x00" + r.Model
	t.models[model] = true
	if r.Version != "" {
		t.versions[model+"\x00"+r.Version] = true
	}
}

func newTally(key, label string) *tally {
	return &tally{Count: Count{Key: key, Label: label}, models: map[string]bool{}, versions: map[string]bool{}}
}

// tallies counts under many headings.
type tallies map[string]*tally

func (ts tallies) add(key, label string, r *Row) {
	t := ts[key]
	if t == nil {
		t = newTally(key, label)
		ts[key] = t
	}
	t.add(r)
}

func (ts tallies) counts(order func(a, b Count) int) []Count {
	out := make([]Count, 0, len(ts))
	for _, t := range ts {
		t.Models, t.Versions = len(t.models), len(t.versions)
		out = append(out, t.Count)
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(order(a, b), strings.Compare(a.Key, b.Key)) })
	return out
}

// usage counts one model or one version of it.
type usage struct {
	Use
	sites, versions map[string]bool
}

// Summary counts what the filter lets through.
func (s *Stock) Summary(ctx context.Context, q Query) (Summary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, _, err := s.pick(ctx, &q)
	if err != nil {
		return Summary{}, err
	}
	total := newTally("", "")
	districts, sites, phases, classes := tallies{}, tallies{}, tallies{}, tallies{}
	models, versions := map[string]*usage{}, map[string]*usage{}
	rates := newRates()
	use := func(in map[string]*usage, r *Row, version string) {
		key := r.Vendor + "\x00" + r.Model + "\x00" + version
		u := in[key]
		if u == nil {
			u = &usage{Use: Use{Vendor: r.Vendor, Model: r.Model, Version: version, Class: r.Class}, sites: map[string]bool{}, versions: map[string]bool{}}
			in[key] = u
		}
		u.Devices++
		switch r.Standing {
		case Outdated:
			u.Outdated++
		case Fine:
			u.Fine++
		default:
			u.Unknown++
		}
		u.sites[r.Site] = true
		if r.Version != "" {
			u.versions[r.Version] = true
		}
	}
	for _, l := range list {
		r := &l.row
		total.add(r)
		districts.add(r.District, r.District, r)
		sites.add(r.Site, r.SiteName, r)
		phase := cmp.Or(r.Phase, NoPhase)
		phases.add(phase, phase, r)
		classes.add(r.Class, r.Class, r)
		if r.Model != "" {
			use(models, r, "")
			if r.Version != "" {
				use(versions, r, r.Version)
			}
		}
		rates.add(s.devices[l.id], r, q.AsOf)
	}
	total.Models, total.Versions = len(total.models), len(total.versions)
	byLabel := func(a, b Count) int { return strings.Compare(a.Label, b.Label) }
	bought := s.phaseOrder()
	out := Summary{AsOf: q.AsOf, Total: total.Count, Districts: districts.counts(byLabel), Sites: sites.counts(byLabel), Classes: classes.counts(byLabel),
		Phases: phases.counts(func(a, b Count) int { return bought(a.Key) - bought(b.Key) }), Models: uses(models), Versions: uses(versions)}
	out.Failures = rates.all()
	return out, nil
}

// phaseOrder ranks phases by when they were bought; NoPhase is last.
func (s *Stock) phaseOrder() func(phase string) int {
	first := map[string]int64{}
	for _, u := range s.paper.Units {
		if at, known := first[u.Phase]; !u.Received.IsZero() && (!known || u.Received.Unix() < at) {
			first[u.Phase] = u.Received.Unix()
		}
	}
	var names []string
	for _, p := range s.paper.Phases {
		names = append(names, p.Name)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(first[a], first[b]) })
	return func(phase string) int {
		if i := slices.Index(names, phase); i >= 0 {
			return i
		}
		return len(names)
	}
}

func uses(all map[string]*usage) []Use {
	out := make([]Use, 0, len(all))
	for _, u := range all {
		u.Sites, u.Versions = len(u.sites), len(u.versions)
		out = append(out, u.Use)
	}
	slices.SortFunc(out, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.Devices, a.Devices), strings.Compare(a.Vendor, b.Vendor), strings.Compare(a.Model, b.Model), strings.Compare(a.Version, b.Version))
	})
	return out
}
