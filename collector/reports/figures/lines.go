package figures

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"communewatch/collector/health/rules"
	"communewatch/collector/people"
	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/inventory"
	"communewatch/probes"
)

// maker puts one report together.
type maker struct {
	r       *Reporter
	q       reports.Query
	to      time.Time // how far figures reach
	windows map[lineOf]*windows

	sites     map[string]inventory.Site
	contracts map[lineOf][]reports.Agreement // by rising first day
	off       map[string][]reports.Span
	months    map[lineOf][2]time.Time
	days      map[time.Time]map[lineOf]time.Time // first days, by month
	offices   map[*rules.Calendar][]reports.Span // office hours of the period

	narrow bool // who asks sees some districts only, those of sites
	priced bool // who asks may know prices

	tallies []tally // of report.Lines, of the hours asked for
}

// know gathers what is known beside the period's windows.
func (m *maker) know(ctx context.Context) error {
	last := m.q.Period.To.Add(-time.Millisecond)
	if now := m.r.o.Now(); now.Before(last) {
		last = now
	}
	sites, err := m.r.o.Sites.Sites(ctx, last.In(m.r.o.Zone))
	if err != nil {
		return err
	}
	m.sites = make(map[string]inventory.Site, len(sites))
	caller := people.From(ctx)
	m.narrow, m.priced = !caller.Everywhere(), caller.May(people.ActInventory)
	for _, s := range sites {
		if caller.Sees(s.Parent) {
			m.sites[s.ID] = s
		}
	}
	m.contracts = map[lineOf][]reports.Agreement{}
	if m.r.o.Lines != nil {
		all, err := m.r.o.Lines.Agreements(ctx)
		if err != nil {
			return err
		}
		for _, a := range all {
			if !m.sees(a.Site) {
				continue
			}
			if !m.priced {
				a.Contract.Monthly = 0
			}
			id := lineOf{a.Site, a.Layer}
			m.contracts[id] = append(m.contracts[id], a)
		}
		if m.off, err = m.r.o.Lines.Off(ctx, m.q.Period.From, m.to); err != nil {
			return err
		}
	}
	if m.months, err = m.r.months(ctx); err != nil {
		return err
	}
	// Lines that were first seen in a month that was read whole: on which day of it?
	m.days = map[time.Time]map[lineOf]time.Time{}
	for id, w := range m.windows {
		if w.level != rollup.Month || m.older(id) {
			continue
		}
		if _, ok := m.days[w.first]; !ok {
			if m.days[w.first], err = m.r.firstDays(ctx, w.first); err != nil {
				return err
			}
		}
	}
	return nil
}

// older reports whether a line had windows before the period.
func (m *maker) older(id lineOf) bool {
	months, ok := m.months[id]
	return ok && months[0].Before(m.q.Period.From)
}

// begins returns when a line begins to count, and whether it is part of the report.
func (m *maker) begins(id lineOf) (time.Time, bool) {
	from := m.q.Period.From
	if m.older(id) {
		near := rollup.Month.Start(from.Add(-time.Millisecond), m.r.o.Zone)
		return from, m.windows[id] != nil || m.contract(id) != nil || !m.months[id][1].Before(near)
	}
	begin := m.to
	if w := m.windows[id]; w != nil {
		begin = w.first
		if day, ok := m.days[w.first][id]; w.level == rollup.Month && ok {
			begin = day
		}
	} else if m.contract(id) == nil {
		return begin, false
	}
	for _, a := range m.contracts[id] {
		first, err := time.ParseInLocation(time.DateOnly, a.Contract.From, m.r.o.Zone)
		if err != nil {
			first = from // since ever
		}
		if a.Contract.To != "" && a.Contract.To < from.In(m.r.o.Zone).Format(time.DateOnly) {
			continue // it was over before the period
		}
		if first.Before(begin) {
			begin = first
		}
	}
	if begin.Before(from) {
		begin = from
	}
	return begin, true
}

// contract returns what was agreed of a line at the end of the period: the newest contract that was in force in it.
func (m *maker) contract(id lineOf) *reports.Contract {
	first := m.q.Period.From.In(m.r.o.Zone).Format(time.DateOnly)
	last := m.q.Period.To.Add(-time.Millisecond).In(m.r.o.Zone).Format(time.DateOnly)
	all := m.contracts[id]
	for i := range slices.Backward(all) {
		if c := &all[i].Contract; c.From <= last && (c.To == "" || c.To >= first) {
			return c
		}
	}
	return nil
}

// lines fills in the report's lines.
func (m *maker) lines(out *reports.Report) {
	var ids []lineOf
	seen := map[lineOf]bool{}
	add := func(id lineOf) {
		if !seen[id] && m.asked(id) {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for id := range m.windows {
		add(id)
	}
	for id := range m.contracts {
		add(id)
	}
	for id := range m.months {
		add(id)
	}
	layers := probes.Layers()
	slices.SortFunc(ids, func(a, b lineOf) int {
		return cmp.Or(strings.Compare(m.sites[a.site].Parent, m.sites[b.site].Parent), strings.Compare(a.site, b.site),
			cmp.Compare(slices.Index(layers, a.layer), slices.Index(layers, b.layer)))
	})
	out.Lines = []reports.Line{}
	for _, id := range ids {
		begin, ok := m.begins(id)
		if !ok || !begin.Before(m.to) {
			continue
		}
		site := m.sites[id.site]
		l := reports.Line{Site: id.site, Name: cmp.Or(site.Name, id.site), District: site.Parent, Layer: id.layer, Contract: m.contract(id)}
		if m.q.Provider != "" && (l.Contract == nil || l.Contract.Provider != m.q.Provider) {
			continue
		}
		w := m.windows[id]
		if w == nil {
			w = &windows{}
		}
		both := m.figures(id, w, begin)
		var t tally
		l.Figures, t = both.of(m.q.Hours)
		l.Against = m.against(l.Contract, id.layer, both)
		out.Lines = append(out.Lines, l)
		m.tallies = append(m.tallies, t)
	}
}

// sees reports whether who asks sees a site. A site that left the list belongs to no district any more, so that only who
// sees all sites sees it.
func (m *maker) sees(site string) bool {
	_, listed := m.sites[site]
	return listed || !m.narrow
}

// asked reports whether a line is asked for, as far as its site and layer tell.
func (m *maker) asked(id lineOf) bool {
	return m.sees(id.site) && (m.q.Site == "" || m.q.Site == id.site) && (m.q.Layer == "" || m.q.Layer == id.layer) &&
		(m.q.District == "" || m.q.District == m.sites[id.site].Parent)
}

// parts is a line within office hours and outside.
type parts struct {
	office, other   reports.Figures // seconds only
	officeT, otherT *tally
}

// of puts the parts of some hours together.
func (p *parts) of(h reports.Hours) (reports.Figures, tally) {
	var f reports.Figures
	var t tally
	if h != reports.Other {
		sum(&f, p.office)
		t.merge(p.officeT)
	}
	if h != reports.Office {
		sum(&f, p.other)
		t.merge(p.otherT)
	}
	complete(&f, &t)
	return f, t
}

// figures works out a line's seconds from begin on.
func (m *maker) figures(id lineOf, w *windows, begin time.Time) *parts {
	whole := []reports.Span{{From: begin, To: m.to}}
	cal := m.r.rules.Calendar(id.site)
	office, other := whole, []reports.Span(nil)
	if cal != nil {
		office = reports.Common(whole, m.office(cal))
		other = reports.Without(whole, office)
	}
	planned := m.maintenance(id.site)
	off := reports.Without(reports.Union(m.off[id.site]), planned)
	know := func(spans []reports.Span, closed bool) known {
		return known{period: reports.Seconds(spans), maintenance: reports.Seconds(reports.Common(spans, planned)),
			off: reports.Seconds(reports.Common(spans, off)), closed: closed}
	}
	return &parts{office: seconds(&w.office, know(office, false)), other: seconds(&w.other, know(other, true)), officeT: &w.office, otherT: &w.other}
}

// office returns the office hours of the period by a calendar.
func (m *maker) office(cal *rules.Calendar) []reports.Span {
	if have, ok := m.offices[cal]; ok {
		return have
	}
	var out []reports.Span
	for at := m.q.Period.From; at.Before(m.to); {
		next := cal.Next(at)
		if next.IsZero() || next.After(m.to) {
			next = m.to
		}
		if cal.Open(at) {
			out = append(out, reports.Span{From: at, To: next})
		}
		at = next
	}
	out = reports.Union(out)
	m.offices[cal] = out
	return out
}

// maintenance returns when work was planned at a site.
func (m *maker) maintenance(site string) []reports.Span {
	var out []reports.Span
	for i := range m.r.o.Rules.Maintenance {
		if e := &m.r.o.Rules.Maintenance[i]; len(e.Sites) == 0 || slices.Contains(e.Sites, site) {
			out = append(out, reports.Span{From: e.From, To: e.To})
		}
	}
	return reports.Union(out)
}
