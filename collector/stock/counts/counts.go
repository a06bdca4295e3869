// Package counts counts devices: by district, office, phase, class, model and version, with the three numbers that always
// add up, and how often devices failed over the time that they were watched.
package counts

import (
	"cmp"
	"slices"
	"strings"

	"communewatch/collector/stock/view"
	"communewatch/inventory/lifecycle"
)

// Counter counts devices one by one. Use New.
type Counter struct {
	total                             *tally
	districts, sites, phases, classes tallies
	models, versions                  map[string]*usage
	rates                             *rates
}

// New returns a Counter that has counted nothing.
func New() *Counter {
	return &Counter{total: newTally("", ""), districts: tallies{}, sites: tallies{}, phases: tallies{}, classes: tallies{},
		models: map[string]*usage{}, versions: map[string]*usage{}, rates: newRates()}
}

// Add counts a device that was under watch for so many years, of those that failures are counted in.
func (c *Counter) Add(r *view.Row, years float64) {
	c.total.add(r)
	c.districts.add(r.District, r.District, r)
	c.sites.add(r.Site, r.SiteName, r)
	phase := cmp.Or(r.Phase, view.NoPhase)
	c.phases.add(phase, phase, r)
	c.classes.add(r.Class, r.Class, r)
	if r.Model != "" {
		use(c.models, r, "")
		if r.Version != "" {
			use(c.versions, r, r.Version)
		}
	}
	c.rates.add(r, years)
}

// Summary returns what was counted, without a day. Phases are in the order of bought, which ranks them.
func (c *Counter) Summary(bought func(phase string) int) view.Summary {
	c.total.Models, c.total.Versions = len(c.total.models), len(c.total.versions)
	byLabel := func(a, b view.Count) int { return strings.Compare(a.Label, b.Label) }
	return view.Summary{Total: c.total.Count, Districts: c.districts.counts(byLabel), Sites: c.sites.counts(byLabel), Classes: c.classes.counts(byLabel),
		Phases: c.phases.counts(func(a, b view.Count) int { return bought(a.Key) - bought(b.Key) }), Models: uses(c.models), Versions: uses(c.versions),
		Failures: c.rates.all()}
}

// use counts a device under its model, and one of its versions.
func use(in map[string]*usage, r *view.Row, version string) {
	key := r.Vendor + "\x00" + r.Model + "\x00" + version
	u := in[key]
	if u == nil {
		u = &usage{Use: view.Use{Vendor: r.Vendor, Model: r.Model, Version: version, Class: r.Class}, sites: map[string]bool{}, versions: map[string]bool{}}
		in[key] = u
	}
	u.Devices++
	switch r.Standing {
	case view.Outdated:
		u.Outdated++
	case view.Fine:
		u.Fine++
	default:
		u.Unknown++
	}
	u.sites[r.Site] = true
	if r.Version != "" {
		u.versions[r.Version] = true
	}
}

// tally counts devices under one heading.
type tally struct {
	view.Count
	models, versions map[string]bool
}

func (t *tally) add(r *view.Row) {
	t.Devices++
	switch r.Standing {
	case view.Outdated:
		t.Outdated++
		if r.Legal == lifecycle.LegalEligible {
			t.Eligible++
		}
	case view.Fine:
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
	return &tally{Count: view.Count{Key: key, Label: label}, models: map[string]bool{}, versions: map[string]bool{}}
}

// tallies counts under many headings.
type tallies map[string]*tally

func (ts tallies) add(key, label string, r *view.Row) {
	t := ts[key]
	if t == nil {
		t = newTally(key, label)
		ts[key] = t
	}
	t.add(r)
}

func (ts tallies) counts(order func(a, b view.Count) int) []view.Count {
	out := make([]view.Count, 0, len(ts))
	for _, t := range ts {
		t.Models, t.Versions = len(t.models), len(t.versions)
		out = append(out, t.Count)
	}
	slices.SortFunc(out, func(a, b view.Count) int { return cmp.Or(order(a, b), strings.Compare(a.Key, b.Key)) })
	return out
}

// usage counts one model or one version of it.
type usage struct {
	view.Use
	sites, versions map[string]bool
}

func uses(all map[string]*usage) []view.Use {
	out := make([]view.Use, 0, len(all))
	for _, u := range all {
		u.Sites, u.Versions = len(u.sites), len(u.versions)
		out = append(out, u.Use)
	}
	slices.SortFunc(out, func(a, b view.Use) int {
		return cmp.Or(cmp.Compare(b.Devices, a.Devices), strings.Compare(a.Vendor, b.Vendor), strings.Compare(a.Model, b.Model), strings.Compare(a.Version, b.Version))
	})
	return out
}
