package stock

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"communewatch/collector/stock/evidence"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/wording"
)

// row makes the row of a device.
func (s *Stock) row(e *entry, item *lifecycle.Item, v *lifecycle.Verdict, lang string) Row {
	shown := func(name string) string { // also where it is too unsure to go by
		if r := e.used[name]; r != nil {
			return r.Value.Text
		}
		return ""
	}
	r := Row{
		ID: e.ID.String(), Site: e.Site, SiteName: s.siteName(e.Site), District: s.sites[e.Site].Parent,
		Name: shown("name"), Class: cmp.Or(item.Class.Text, v.Class, shown("class")), Vendor: cmp.Or(item.Vendor.Text, shown("vendor")),
		Model: cmp.Or(item.Model.Text, shown("model")), Hardware: shown("hardware"), Version: shown("version"),
		OS:     strings.Join(strings.Fields(shown("os")+" "+shown("os_edition")+" "+shown("os_release")), " "),
		Serial: cmp.Or(item.Serial.Text, shown("serial")), Address: shown("address"), MAC: shown("mac"),
		FirstSeen: e.First, LastSeen: e.Last, Gone: s.gone(e),
		Price: item.Price, WarrantyUntil: item.WarrantyUntil, InService: item.InService,
		State: v.State, Standing: v.Bucket, Legal: v.Legal, Unverified: v.Unverified, Replace: v.Replace,
		Score: v.Priority.Score, Band: v.Priority.Band, Action: v.Action, SupportEnds: earlier(v.Support, v.Software), HardwareEnds: v.Support, SoftwareEnds: v.Software,
		Evidence: strings.Join(slices.Sorted(maps.Keys(v.Quality.Grades)), ""), Stale: v.Quality.Stale, Completeness: v.Completeness.Ratio(),
		Failures: item.Failures, Duplicates: len(e.Duplicates),
	}
	if e.bought != nil {
		r.Phase, r.Contract, r.Unit = e.bought.Phase, e.bought.Contract, e.bought.ID
		r.Link, r.LinkConfidence = e.pair.Reason, e.pair.Confidence
	}
	if f := mainFinding(v); f != nil {
		r.Severity, r.Rule, r.Due, r.Reason = f.Severity, f.Rule, f.Due, wording.Finding(wording.Lang(lang), *f)
	}
	if f := mainLegal(v); f != nil {
		r.LegalReason = wording.Finding(wording.Lang(lang), *f)
	}
	for i, x := range e.readings {
		if x.Conflict && (i == 0 || e.readings[i-1].Name != x.Name) {
			r.Conflicts++
		}
	}
	r.Unconfirmed = r.Model != "" && !item.Model.Known()
	return r
}

// earlier is the first of two days, of those that are known.
func earlier(a, b inventory.Date) inventory.Date {
	if a.IsZero() || !b.IsZero() && b.Before(a.Time) {
		return b
	}
	return a
}

// gone reports whether a device was not seen for long. What was never seen is on paper, and not gone.
func (s *Stock) gone(e *entry) bool {
	return !e.Last.IsZero() && s.o.Now().Sub(e.Last) > GoneAfter
}

func (s *Stock) siteName(id string) string {
	site, ok := s.sites[id]
	if !ok {
		return id
	}
	return site.Title()
}

// mainFinding is the technical finding that a row tells: the worst of those that ask for the action shown, so that
// reason and action agree; else of all that fired; else what says that all is well; else why nothing can be said.
func mainFinding(v *lifecycle.Verdict) *lifecycle.Finding {
	asked := []lifecycle.Action{v.Action}
	if v.Replace != lifecycle.ReplaceNone { // what is proposed in its place, or to be verified first, comes of that
		if asked = append(asked, lifecycle.ActionReplace); v.Action == lifecycle.ActionVerify {
			asked = asked[1:]
		}
	}
	for _, action := range asked {
		if f := worst(v.Findings, func(f *lifecycle.Finding) bool {
			return action != lifecycle.ActionNone && f.Fired() && f.Action == action && f.Severity > lifecycle.S0
		}); f != nil {
			return f
		}
	}
	return worst(v.Findings, func(f *lifecycle.Finding) bool {
		return f.Fired() || f.Rule == "R01" || f.Rule == "R05" || f.Rule == "R06" // that it is young says nothing of its support
	})
}

// worst is the gravest technical finding that fits.
func worst(all []lifecycle.Finding, fits func(*lifecycle.Finding) bool) *lifecycle.Finding {
	states := []lifecycle.State{lifecycle.StateUnknown, lifecycle.StateOK, lifecycle.StateDueSoon, lifecycle.StateReview, lifecycle.StateOutdated}
	var main *lifecycle.Finding
	for i := range all {
		f := &all[i]
		if f.Legal() || f.State == lifecycle.StateNotApplicable || !fits(f) {
			continue
		}
		if main == nil || cmp.Or(cmp.Compare(f.Severity, main.Severity), cmp.Compare(slices.Index(states, f.State), slices.Index(states, main.State))) > 0 {
			main = f
		}
	}
	return main
}

// mainLegal is the legal finding that a row tells: the ground to replace it, or that it has none.
func mainLegal(v *lifecycle.Verdict) *lifecycle.Finding {
	var main *lifecycle.Finding
	rank := []lifecycle.State{lifecycle.StateUnknown, lifecycle.StateNotYet, lifecycle.StateEligible}
	for i := range v.Findings {
		f := &v.Findings[i]
		if f.Rule != "L01" && f.Rule != "L02" && f.Rule != "L03" {
			continue
		}
		if main == nil || slices.Index(rank, f.State) > slices.Index(rank, main.State) {
			main = f
		}
	}
	return main
}

// facts are the readings of a device as screens show them.
func (e *entry) facts() []Fact {
	seen := map[int64]int{}
	for i, g := range e.Sightings {
		seen[g.ID] = i
	}
	out := make([]Fact, len(e.readings))
	for i, r := range e.readings {
		out[i] = Fact{Name: r.Name, Value: r.Value.Text, Source: r.Value.Source, Method: r.Value.Method, Confidence: r.Value.Confidence,
			Since: r.Since, At: r.Value.At, By: r.Value.By, Used: r.Used, Conflict: r.Conflict}
		if n, ok := seen[r.Sighting]; ok && r.Sighting != 0 {
			out[i].Agent, out[i].Check = e.Sightings[n].Agent, e.Sightings[n].Target
		}
	}
	return out
}

// said is what people say of a device that is no fact of the contract.
func (e *entry) said() []Note {
	var out []Note
	for _, r := range e.readings {
		if r.Value.Method == lifecycle.MethodHand && slices.ContainsFunc(evidence.Sayings(), func(s evidence.Saying) bool { return s.Name == r.Name }) {
			out = append(out, Note{Kind: r.Name, Value: r.Value.Text, Source: r.Value.Source, By: r.Value.By, At: r.Value.At})
		}
	}
	return out
}

// orToday is a day, or today where it is zero.
func (s *Stock) orToday(d inventory.Date) inventory.Date {
	if d.IsZero() {
		return s.today()
	}
	return d
}

// over is how long a device was under watch in a span of time before a day, in years.
func over(e *entry, inService inventory.Date, asOf inventory.Date, span time.Duration) float64 {
	begin := e.First
	if !inService.IsZero() && (begin.IsZero() || inService.Before(begin)) {
		begin = inService.Time
	}
	if begin.IsZero() {
		return 0
	}
	watched := min(asOf.AddDate(0, 0, 1).Sub(begin), span) // the day itself counts
	return max(0, watched.Hours()/24/365.25)
}
