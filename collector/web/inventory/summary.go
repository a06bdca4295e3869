package inventory

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"

	"communewatch/collector/stock"
	"communewatch/collector/web/inventory/columns"
	"communewatch/collector/web/inventory/voice"
	"communewatch/inventory/sheet"
)

type summaryPage struct {
	page
	S        stock.Summary
	Groups   []countGroup
	Phases   []whisker // failure rates to draw
	PerModel []whisker
	Models   []stock.Use
	Versions []versionGroup
	More     int // models left out
}

// countGroup is one way to divide the devices.
type countGroup struct {
	Key    string // of the heading
	Param  string // to filter by
	Counts []stock.Count
}

// versionGroup is one model with its versions in use.
type versionGroup struct {
	stock.Use
	In []stock.Use
}

// whisker is a failure rate drawn with its interval, in hundredths of the width.
type whisker struct {
	stock.FailureRate
	At, Low100, Wide float64
	Open             bool // the interval goes beyond the drawing
}

// mostModels bounds how many models are listed before somebody asks for all.
const mostModels = 40

func (p *Pages) summaryPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "inventory.summary")
	if !ok {
		return
	}
	s, err := p.stock.Summary(r.Context(), at.Asked)
	if err != nil {
		p.fail(rw, r, at, err)
		return
	}
	out := summaryPage{page: at, S: s, Models: s.Models}
	out.Groups = at.groups(&s)
	out.Phases, out.PerModel = whiskers(at.Voice, s.Failures.ByPhase, true), whiskers(at.Voice, s.Failures.ByModel, false)
	if len(out.Models) > mostModels && !at.All {
		out.More = len(out.Models) - mostModels
		out.Models = out.Models[:mostModels]
	}
	for _, m := range out.Models {
		if m.Versions < 2 {
			continue
		}
		g := versionGroup{Use: m}
		for _, v := range s.Versions {
			if v.Vendor == m.Vendor && v.Model == m.Model {
				g.In = append(g.In, v)
			}
		}
		out.Versions = append(out.Versions, g)
	}
	p.render(rw, r, "summary", out)
}

// groups are the ways to divide the devices, in words.
func (p *page) groups(s *stock.Summary) []countGroup {
	name := func(list []stock.Count, word func(string) string) []stock.Count {
		for i := range list {
			list[i].Label = word(list[i].Label)
		}
		return list
	}
	blank := func(s string) string {
		if s == "" {
			return p.T("inventory.no_group")
		}
		return s
	}
	return []countGroup{
		{"inventory.by_district", "district", name(s.Districts, blank)},
		{"inventory.by_phase", "phase", name(s.Phases, p.Phase)},
		{"inventory.by_class", "class", name(s.Classes, func(c string) string { return blank(p.Class(c)) })},
		{"inventory.by_site", "site", s.Sites},
	}
}

// whiskers scales failure rates to one axis, which ends a little above the highest rate rather than at the widest
// interval: that of a single device would press all others into a corner. Rates of groups that were hardly observed are
// left out: they are noise.
func whiskers(v *voice.Voice, rates []stock.FailureRate, phases bool) []whisker {
	rates = slices.DeleteFunc(slices.Clone(rates), func(r stock.FailureRate) bool { return r.Thin })
	top := 0.0
	for _, r := range rates {
		top = math.Max(top, r.Rate)
		if r.Devices >= 10 {
			top = math.Max(top, r.High)
		}
	}
	top = math.Max(top*1.15, 0.1)
	var out []whisker
	for _, r := range rates {
		if phases {
			r.Label = v.Phase(r.Label)
		}
		if strings.TrimSpace(r.Label) == "" {
			r.Label = v.T("device.no_model")
		}
		w := whisker{FailureRate: r, Open: r.High > top || math.IsInf(r.High, 1)}
		at := func(rate float64) float64 { return math.Round(math.Min(rate/top, 1)*9600) / 100 }
		w.At, w.Low100 = at(r.Rate)+2, at(r.Low)+2
		w.Wide = at(r.High) + 2 - w.Low100
		out = append(out, w)
	}
	return out
}

// rateList are failure rates with the words for them.
type rateList struct {
	*voice.Voice
	Rates []whisker
}

// Drawn gives a template failure rates together with the words for them.
func (p summaryPage) Drawn(rates []whisker) rateList { return rateList{p.Voice, rates} }

// summarySheets are the counts, one sheet per way to divide, then models, versions and failure rates.
func (p *Pages) summarySheets(ctx context.Context, at *page) ([]*sheet.Sheet, error) {
	s, err := p.stock.Summary(ctx, at.Asked)
	if err != nil {
		return nil, err
	}
	var out []*sheet.Sheet
	whole := func(keys ...string) (list []sheet.Column) {
		for _, k := range keys {
			list = append(list, sheet.Column{Heading: at.T(k), Kind: sheet.Number, Width: 13})
		}
		return list
	}
	for _, g := range at.groups(&s) {
		t := at.sheet(g.Key, len(g.Counts))
		t.Columns = append([]sheet.Column{{Heading: at.T("device." + g.Param), Width: 28}}, whole("count.outdated", "count.fine", "count.unknown",
			"count.devices", "count.due_soon", "count.review", "count.first", "count.eligible", "count.models", "count.versions")...)
		t.Columns = append(t.Columns, sheet.Column{Heading: at.T("device.price"), Kind: sheet.Money})
		for _, c := range g.Counts {
			t.Rows = append(t.Rows, []any{c.Label, c.Outdated, c.Fine, c.Unknown, c.Devices, c.DueSoon, c.Review, c.ReplaceFirst, c.Eligible, c.Models, c.Versions, columns.Priced(c.Price)})
		}
		out = append(out, t)
	}
	for _, u := range []struct {
		key  string
		list []stock.Use
	}{{"inventory.models", s.Models}, {"inventory.versions", s.Versions}} {
		t := at.sheet(u.key, len(u.list))
		t.Columns = append([]sheet.Column{{Heading: at.T("device.vendor")}, {Heading: at.T("device.model"), Width: 28}, {Heading: at.T("device.version")}, {Heading: at.T("device.class")}},
			whole("count.devices", "count.sites", "count.versions", "count.outdated", "count.fine", "count.unknown")...)
		for _, m := range u.list {
			t.Rows = append(t.Rows, []any{m.Vendor, m.Model, m.Version, at.Class(m.Class), m.Devices, m.Sites, m.Versions, m.Outdated, m.Fine, m.Unknown})
		}
		out = append(out, t)
	}
	for _, u := range []struct {
		key  string
		list []stock.FailureRate
	}{{"inventory.rate_phase", s.Failures.ByPhase}, {"inventory.rate_model", s.Failures.ByModel}} {
		t := at.sheet(u.key, len(u.list))
		t.Columns = append([]sheet.Column{{Heading: at.T("count.group"), Width: 28}},
			whole("count.devices", "count.failures", "count.years", "count.rate", "count.low", "count.high")...)
		for _, f := range u.list {
			label, high := f.Label, any(f.High)
			if u.key == "inventory.rate_phase" {
				label = at.Phase(label)
			}
			if math.IsInf(f.High, 1) {
				high = nil
			}
			t.Rows = append(t.Rows, []any{label, f.Devices, f.Failures, f.Years, f.Rate, f.Low, high})
		}
		out = append(out, t)
	}
	return out, nil
}
