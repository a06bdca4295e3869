package stock

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"communewatch/collector/people"
	"communewatch/collector/registry/devices"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/wording"
	"communewatch/inventory/purchases"
)

var _ Reader = (*Stock)(nil)

// ready brings everything up to date, fills in what a query leaves open, and returns the day it is for. s.mu is held.
func (s *Stock) ready(ctx context.Context, q *Query) (*day, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	q.AsOf = s.orToday(q.AsOf)
	if q.Lang != "en" {
		q.Lang = "vi"
	}
	d := s.dayOf(q.AsOf)
	s.allot(d)
	return d, nil
}

// pick returns what a query lets through, the most urgent first, with the day it is judged for. s.mu is held.
func (s *Stock) pick(ctx context.Context, q *Query) ([]*listed, *day, error) {
	d, err := s.ready(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	words := q.Filter.Words()
	caller := people.From(ctx)
	var out []*listed
	for _, l := range s.listAll(d, q.Lang) {
		if caller.Sees(l.row.District) && q.Filter.Fits(&l.row, l.folded, words) {
			out = append(out, l)
		}
	}
	return out, d, nil
}

func rowsOf(list []*listed) []Row {
	out := make([]Row, len(list))
	for i, l := range list {
		out[i] = l.row
	}
	return out
}

// Table lists devices, most urgent first.
func (s *Stock) Table(ctx context.Context, q Query) ([]Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, _, err := s.pick(ctx, &q)
	if err != nil {
		return nil, err
	}
	return rowsOf(list), nil
}

// Device returns all that is known of one device, or ErrNoDevice. The filter is not looked at.
func (s *Stock) Device(ctx context.Context, id string, q Query) (Device, error) {
	number, err := devices.ParseID(id)
	if err != nil {
		return Device{}, ErrNoDevice
	}
	d, err := s.device(ctx, number, &q)
	if err != nil {
		return Device{}, err
	}
	number, _ = devices.ParseID(d.ID) // it may be another one by now
	if d.History, err = s.history(ctx, number); err != nil {
		return Device{}, err
	}
	return d, nil
}

// device is Device without the history, which is read from the database while others may ask.
func (s *Stock) device(ctx context.Context, id devices.ID, q *Query) (Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.ready(ctx, q)
	if err != nil {
		return Device{}, err
	}
	e := s.devices[s.now(id)]
	if e == nil {
		return Device{}, ErrNoDevice
	}
	l := s.list(d, e, q.Lang)
	if !people.From(ctx).Sees(l.row.District) {
		return Device{}, ErrNoDevice
	}
	_, v := s.verdict(d, e)
	out := Device{Row: l.row, Facts: e.facts(), Notes: e.said(), Priority: parts(&v, q.Lang), Questions: s.questions(e, &v, l, q.Lang)}
	for _, f := range v.Findings {
		if f.Legal() {
			out.LegalChecks = append(out.LegalChecks, told(f, q.Lang))
		} else {
			out.Findings = append(out.Findings, told(f, q.Lang))
		}
	}
	if e.bought != nil {
		p := s.purchase(e.bought)
		out.Purchase = &p
	} else {
		out.Candidates = s.candidates(e)
	}
	for _, g := range e.Sightings {
		out.Sightings = append(out.Sightings, Sighting{Site: g.Site, Agent: g.Agent, Target: g.Target, Path: g.Path, Kind: g.Kind, Key: g.Key, First: g.First, Last: g.Last})
	}
	for _, dup := range e.Duplicates {
		out.Duplicates = append(out.Duplicates, Duplicate{ID: dup.Other.String(), Why: dup.Why})
	}
	for _, t := range e.Tickets {
		out.Tickets = append(out.Tickets, Ticket{ID: t.ID, Date: t.Day, Kind: t.Kind, Cost: t.Cost, Note: t.Note, By: t.By, Written: t.At})
	}
	return out, nil
}

// history is every change of a device's facts, newest first.
func (s *Stock) history(ctx context.Context, id devices.ID) ([]Change, error) {
	runs, err := s.o.Devices.History(ctx, id)
	if err != nil {
		return nil, err
	}
	audits, err := s.o.Devices.Audits(ctx, id.String(), 0)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	agents := map[int64]string{}
	if e := s.devices[id]; e != nil {
		for _, g := range e.Sightings {
			agents[g.ID] = g.Agent
		}
	}
	s.mu.Unlock()
	var read, said []Change
	for i, r := range runs {
		c := Change{At: r.From, Fact: string(r.Name), To: r.Value, Source: r.Source, By: agents[r.Sighting]}
		if i > 0 && runs[i-1].Name == r.Name && runs[i-1].Sighting == r.Sighting {
			c.From = runs[i-1].Value
		}
		read = append(read, c)
	}
	for _, a := range audits {
		if verb, name, _ := strings.Cut(a.Action, " "); verb == "say" || verb == "withdraw" {
			value, source, _ := strings.Cut(a.After, " (")
			said = append(said, Change{At: a.At, Fact: name, From: a.Before, To: value, Source: strings.TrimSuffix(source, ")"), By: a.By})
		}
	}
	out := slices.Concat(said, read)
	slices.SortStableFunc(out, func(a, b Change) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(a.Fact, b.Fact)) })
	return out, nil
}

// Unsupported lists what will have lost its maker's support by AsOf, by the date it does: first what loses that of its
// hardware, which nothing cures, then that of its software alone.
func (s *Stock) Unsupported(ctx context.Context, q Query) ([]Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, d, err := s.pick(ctx, &q)
	if err != nil {
		return nil, err
	}
	hardware, software := []Row{}, []Row{}
	for _, l := range list {
		switch j := d.judged[l.id]; {
		case j.hardware:
			hardware = append(hardware, l.row)
		case j.software:
			software = append(software, l.row)
		}
	}
	slices.SortStableFunc(hardware, func(a, b Row) int { return a.HardwareEnds.Compare(b.HardwareEnds.Time) })
	slices.SortStableFunc(software, func(a, b Row) int { return a.SoftwareEnds.Compare(b.SoftwareEnds.Time) })
	return append(hardware, software...), nil
}

// Replacements lists what is proposed to be replaced, first the most urgent, with the evidence to print.
func (s *Stock) Replacements(ctx context.Context, q Query) ([]Replacement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, d, err := s.pick(ctx, &q)
	if err != nil {
		return nil, err
	}
	out := []Replacement{}
	for _, l := range list {
		if l.row.Replace == lifecycle.ReplaceNone {
			continue
		}
		_, v := s.verdict(d, s.devices[l.id])
		r := Replacement{Row: l.row, Priority: parts(&v, q.Lang), ReplaceText: wording.Replacement(wording.Lang(q.Lang), v.Replace)}
		for _, f := range v.Findings {
			switch {
			case f.Legal() && f.State != lifecycle.StateNotApplicable:
				r.LegalChecks = append(r.LegalChecks, told(f, q.Lang))
			case f.Fired():
				r.Findings = append(r.Findings, told(f, q.Lang))
			}
		}
		for _, o := range v.Offers {
			r.Offers = append(r.Offers, wording.Action(wording.Lang(q.Lang), o))
		}
		out = append(out, r)
	}
	return out, nil
}

// Verify lists what nobody knows yet and somebody could say.
func (s *Stock) Verify(ctx context.Context, q Query) ([]Question, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, d, err := s.pick(ctx, &q)
	if err != nil {
		return nil, err
	}
	out := []Question{}
	counted := map[string]bool{} // offices are asked once how many they are
	for _, l := range list {
		if l.row.Standing != Unknown && !buys(l.row.Replace) {
			continue // nothing would be asked
		}
		e := s.devices[l.id]
		_, v := s.verdict(d, e)
		for _, ask := range s.questions(e, &v, l, q.Lang) {
			if ask.Missing == "norm_count" && counted[e.Site] {
				continue
			}
			counted[e.Site] = counted[e.Site] || ask.Missing == "norm_count"
			out = append(out, ask)
		}
	}
	return out, nil
}

// purchase is a bought piece with the device it is. s.mu is held.
func (s *Stock) purchase(u *purchases.Purchase) Purchase {
	p := Purchase{Purchase: *u, SiteName: s.siteName(u.Site)}
	if i, ok := slices.BinarySearchFunc(s.matching.Pairs, u.ID, func(a purchases.Pair, id string) int { return strings.Compare(a.Purchase, id) }); ok {
		pair := s.matching.Pairs[i]
		p.Device, p.Link, p.Confidence, p.Moved = pair.Device, pair.Reason, pair.Confidence, pair.Moved
	}
	for _, l := range s.paper.Links {
		if l.Unit == u.ID && !l.Not {
			p.By, p.Source = l.By, l.Source
		}
	}
	return p
}

// maxCandidates bounds the pieces that are shown as what a device may be.
const maxCandidates = 20

// candidates are the pieces that were not found and were bought for a device's site, those of its class first.
func (s *Stock) candidates(e *entry) []Purchase {
	var out []Purchase
	for _, id := range s.matching.Purchases {
		u := s.units[id]
		if u != nil && u.Site == e.Site && (u.Class == "" || e.match.Class == "" || u.Class == e.match.Class) {
			out = append(out, s.purchase(u))
		}
	}
	slices.SortStableFunc(out, func(a, b Purchase) int {
		rank := func(p Purchase) int {
			if p.Class == e.match.Class {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	return out[:min(len(out), maxCandidates)]
}

// Purchases lists the purchase phases with what was found of them and what was not.
func (s *Stock) Purchases(ctx context.Context, q Query) (Purchases, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	phase := q.Filter.Phase
	q.Filter.Phase = ""
	list, _, err := s.pick(ctx, &q)
	if err != nil {
		return Purchases{}, err
	}
	out := Purchases{Phases: []Phase{}, Units: []Purchase{}, Unmatched: []Row{}, Ambiguous: s.matching.Ambiguous, Stale: s.matching.Stale}
	at := map[string]int{}
	for _, ph := range s.paper.Phases {
		at[ph.Name] = len(out.Phases)
		out.Phases = append(out.Phases, Phase{Name: ph.Name, File: ph.File, ImportedBy: ph.By, Imported: ph.Imported})
	}
	words := q.Filter.Words()
	caller := people.From(ctx)
	if !caller.Everywhere() { // notes of all sites' lists
		out.Ambiguous, out.Stale = nil, nil
	}
	for i := range s.paper.Units {
		u := &s.paper.Units[i]
		if !caller.Sees(s.sites[u.Site].Parent) {
			continue
		}
		p := s.purchase(u)
		if n, ok := at[u.Phase]; ok {
			count(&out.Phases[n], &p)
		}
		if (phase == "" || phase == u.Phase) && (q.Filter.Site == "" || q.Filter.Site == u.Site) &&
			(q.Filter.District == "" || q.Filter.District == s.sites[u.Site].Parent) && (q.Filter.Class == "" || q.Filter.Class == u.Class) && holds(&p, words) {
			out.Units = append(out.Units, p)
		}
	}
	slices.SortStableFunc(out.Phases, func(a, b Phase) int { return cmp.Or(a.First.Compare(b.First.Time), strings.Compare(a.Name, b.Name)) })
	for _, l := range list {
		if l.row.Unit == "" {
			out.Unmatched = append(out.Unmatched, l.row)
		}
	}
	return out, nil
}

func holds(p *Purchase, words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := inventory.Fold(strings.Join([]string{p.ID, p.Phase, p.Contract, p.Decision, p.Item, p.Model, p.Vendor, p.Serial, p.Class, p.Site, p.SiteName, p.User, p.Note}, " \x00 "))
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// count adds a piece to its phase.
func count(ph *Phase, p *Purchase) {
	ph.Units++
	ph.Price += p.Price
	switch {
	case p.Device == "":
		ph.Unmatched++
	case p.Confidence < WeakLink:
		ph.Weak++
		ph.Matched++
	default:
		ph.Matched++
	}
	if d := p.Received; !d.IsZero() {
		if ph.First.IsZero() || d.Before(ph.First.Time) {
			ph.First = d
		}
		if d.After(ph.Last.Time) {
			ph.Last = d
		}
	}
	for _, t := range []struct {
		list *[]string
		text string
	}{{&ph.Contracts, p.Contract}, {&ph.Decisions, p.Decision}} {
		if t.text != "" && !slices.Contains(*t.list, t.text) {
			*t.list = append(*t.list, t.text)
			slices.Sort(*t.list)
		}
	}
}

// Catalogue lists the rows that devices are judged by, local rows first.
func (s *Stock) Catalogue(ctx context.Context) ([]lifecycle.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	out := slices.Clone(s.paper.Catalogue)
	for _, r := range s.rows {
		out = append(out, *r)
	}
	return out, nil
}

// Choices lists what the fields of a Filter can be, of all devices.
func (s *Stock) Choices(ctx context.Context) (Choices, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := Query{}
	list, _, err := s.pick(ctx, &q)
	if err != nil {
		return Choices{}, err
	}
	var c Choices
	sites := map[string]string{}
	for _, l := range list {
		r := &l.row
		sites[r.Site] = r.SiteName
		for _, x := range []struct {
			into *[]string
			text string
		}{{&c.Districts, r.District}, {&c.Classes, r.Class}, {&c.Vendors, r.Vendor}, {&c.Models, r.Model}, {&c.Phases, r.Phase}} {
			if x.text != "" {
				*x.into = append(*x.into, x.text)
			}
		}
		c.Bands = append(c.Bands, r.Band)
		c.Actions = append(c.Actions, r.Action)
	}
	for _, into := range []*[]string{&c.Districts, &c.Classes, &c.Vendors, &c.Models, &c.Phases} {
		*into = distinct(*into)
	}
	c.Bands, c.Actions = distinct(c.Bands), distinct(c.Actions)
	for id, name := range sites {
		c.Sites = append(c.Sites, Choice{Value: id, Label: name})
	}
	slices.SortFunc(c.Sites, func(a, b Choice) int {
		return cmp.Or(strings.Compare(inventory.Fold(a.Label), inventory.Fold(b.Label)), strings.Compare(a.Value, b.Value))
	})
	return c, nil
}

func distinct[T ~string](list []T) []T {
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(s T) bool { return s == "" })
}

// year is the time over which failure rates look back.
const year = 365 * 24 * time.Hour
