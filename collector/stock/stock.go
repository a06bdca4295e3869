package stock

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/paper"
	"communewatch/collector/stock/evidence"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/purchases"
)

// Devices is what the network and people say; *devices.Store does it.
type Devices interface {
	Since(ctx context.Context, revision int64) (devices.News, error)
	History(ctx context.Context, id devices.ID) ([]devices.Fact, error)
	Audits(ctx context.Context, object string, limit int) ([]devices.Audit, error)
}

// Paper is what documents say; *paper.Store does it.
type Paper interface {
	Read(ctx context.Context) (paper.Paper, error)
}

// Sites is who knows the sites' names; *registry.Registry does it.
type Sites interface {
	Sites(ctx context.Context, asOf time.Time) ([]inventory.Site, error)
}

// Options are what New needs. Devices, Paper and Sites must be set.
type Options struct {
	Devices Devices
	Paper   Paper
	Sites   Sites
	Rows    []*lifecycle.Row // the catalogue without local rows; nil: the one that comes with the program
	Now     func() time.Time // nil: time.Now
	Zone    *time.Location   // of today; nil: Indochina Time
	Log     *slog.Logger     // nil: slog.Default
}

// Stock answers what reviewers ask. It keeps what it has read and judged, and brings that up to date at each question.
// All methods may be called concurrently.
type Stock struct {
	o    Options
	rows []*lifecycle.Row

	mu       sync.Mutex // guards the fields below
	revision int64      // of devices
	others   int64      // of paper; -1: never read
	devices  map[devices.ID]*entry
	became   map[devices.ID]devices.ID
	sites    map[string]inventory.Site
	paper    paper.Paper
	units    map[string]*purchases.Purchase
	matching purchases.Matching
	pairs    map[devices.ID]purchases.Pair
	surplus  map[string][]*entry // by class: what offices do not need
	perModel map[string]int      // how many devices are of a model
	cat      *lifecycle.Catalogue
	days     []*day // judged, the last used first
}

// entry is a device with what is worked out of it whatever the day.
type entry struct {
	devices.Device
	readings []evidence.Reading
	used     map[string]*evidence.Reading // by fact
	match    purchases.Device
	bought   *purchases.Purchase
	pair     purchases.Pair
	version  uint64 // changes with anything that a verdict depends on
}

// day is what was judged for one date.
type day struct {
	asOf     inventory.Date
	verdicts map[devices.ID]*judged
}

// judged is a verdict, and the rows made of it by language.
type judged struct {
	version uint64
	verdict lifecycle.Verdict
	item    lifecycle.Item
	rows    map[string]*listed
}

// listed is a row with the text that it is searched by.
type listed struct {
	row    Row
	folded string
}

// maxDays is how many dates are kept judged: today and what a few readers try.
const maxDays = 4

// New returns a Stock that reads nothing until it is asked.
func New(o Options) (*Stock, error) {
	s := &Stock{o: o, rows: o.Rows, others: -1, devices: map[devices.ID]*entry{}, became: map[devices.ID]devices.ID{}}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	if s.o.Zone == nil {
		s.o.Zone = time.FixedZone("Asia/Ho_Chi_Minh", 7*60*60)
	}
	if s.o.Log == nil {
		s.o.Log = slog.Default()
	}
	if s.rows == nil {
		var err error
		if s.rows, err = catalogue.Embedded(); err != nil {
			return nil, fmt.Errorf("the catalogue that comes with the program: %w", err)
		}
	}
	return s, nil
}

// today is the day it is where the readers are.
func (s *Stock) today() inventory.Date { return inventory.DateOf(s.o.Now().In(s.o.Zone)) }

// refresh reads what changed. s.mu is held.
func (s *Stock) refresh(ctx context.Context) error {
	news, err := s.o.Devices.Since(ctx, s.revision)
	if err != nil {
		return err
	}
	sites, err := s.o.Sites.Sites(ctx, s.o.Now().In(s.o.Zone))
	if err != nil {
		return err
	}
	rematch := false
	if news.Others != s.others {
		if err := s.refreshPaper(ctx); err != nil {
			return err
		}
		rematch = true
	}
	if s.takeDevices(news) {
		rematch = true
	}
	s.revision = news.Revision
	if rematch {
		s.rematch()
	}
	s.takeSites(sites)
	return nil
}

func (s *Stock) refreshPaper(ctx context.Context) error {
	p, err := s.o.Paper.Read(ctx)
	if err != nil {
		return err
	}
	if s.cat == nil || !reflect.DeepEqual(p.Catalogue, s.paper.Catalogue) {
		local := make([]*lifecycle.Row, len(p.Catalogue))
		for i := range p.Catalogue {
			local[i] = &p.Catalogue[i]
		}
		s.cat = catalogue.New(s.rows, local)
		s.days = nil
	}
	s.paper, s.others = p, p.Others
	s.units = make(map[string]*purchases.Purchase, len(p.Units))
	for i := range p.Units {
		s.units[p.Units[i].ID] = &p.Units[i]
	}
	return nil
}

// takeDevices takes over what changed and reports whether purchases must be matched anew.
func (s *Stock) takeDevices(news devices.News) (rematch bool) {
	if news.All {
		s.devices, s.days = make(map[devices.ID]*entry, len(news.Devices)), nil
		rematch = true
	}
	for from, to := range news.Became {
		if s.devices[from] != nil {
			delete(s.devices, from)
			rematch = true
		}
		s.became[from] = to
	}
	for i := range news.Devices {
		d := &news.Devices[i]
		e := &entry{Device: *d, readings: evidence.Readings(d), used: map[string]*evidence.Reading{}}
		for i := range e.readings {
			if r := &e.readings[i]; r.Used {
				e.used[r.Name] = r
			}
		}
		e.match = purchases.Device{ID: d.ID.String(), Site: d.Site, Vendor: e.value("vendor"), Model: e.value("model"), Serial: e.value("serial"), Class: e.value("class")}
		old := s.devices[d.ID]
		if old == nil || old.match != e.match || (old.value(evidence.SaysSurplus) != e.value(evidence.SaysSurplus)) {
			rematch = true
		} else {
			e.bought, e.pair = old.bought, old.pair
		}
		if old != nil {
			e.version = old.version + 1
		}
		s.devices[d.ID] = e
	}
	return rematch
}

// value is the used value of a fact, where it is sure enough to go by.
func (e *entry) value(name string) string {
	if r := e.used[name]; r != nil && r.Value.Confidence >= evidence.MinConfidence {
		return r.Value.Text
	}
	return ""
}

// rematch works out which piece is which device, and what offices have to give away.
func (s *Stock) rematch() {
	found := make([]purchases.Device, 0, len(s.devices))
	s.surplus, s.perModel = map[string][]*entry{}, map[string]int{}
	for _, e := range s.devices {
		s.perModel[modelOf(e)]++
		found = append(found, e.match)
		if e.value(evidence.SaysSurplus) == "yes" {
			s.surplus[e.match.Class] = append(s.surplus[e.match.Class], e)
		}
	}
	for _, list := range s.surplus {
		slices.SortFunc(list, func(a, b *entry) int { return int(a.ID - b.ID) })
	}
	links := make([]purchases.Link, len(s.paper.Links))
	for i, l := range s.paper.Links {
		links[i] = purchases.Link{Purchase: l.Unit, Device: s.now(l.Device).String(), Not: l.Not}
	}
	s.matching = purchases.Match(s.paper.Units, found, links)
	s.pairs = make(map[devices.ID]purchases.Pair, len(s.matching.Pairs))
	for _, p := range s.matching.Pairs {
		if id, err := devices.ParseID(p.Device); err == nil {
			s.pairs[id] = p
		}
	}
	for id, e := range s.devices {
		pair := s.pairs[id]
		bought := s.units[pair.Purchase]
		if pair != e.pair || !reflect.DeepEqual(bought, e.bought) || len(s.surplus) > 0 {
			e.version++ // what one office has to give away changes what is said of others; it is rare
		}
		e.pair, e.bought = pair, bought
	}
}

// now is the device that an id means by now.
func (s *Stock) now(id devices.ID) devices.ID {
	for range 16 {
		next, ok := s.became[id]
		if !ok {
			break
		}
		id = next
	}
	return id
}

// takeSites takes over the sites' names; rows that hold them are made anew when one changed.
func (s *Stock) takeSites(list []inventory.Site) {
	sites := make(map[string]inventory.Site, len(list))
	changed := len(list) != len(s.sites)
	for _, site := range list {
		site.Position = nil
		sites[site.ID] = site
		changed = changed || s.sites[site.ID] != site
	}
	if !changed {
		return
	}
	s.sites = sites
	for _, d := range s.days {
		for _, j := range d.verdicts {
			j.rows = nil
		}
	}
}

// dayOf returns what is judged for a date.
func (s *Stock) dayOf(asOf inventory.Date) *day {
	i := slices.IndexFunc(s.days, func(d *day) bool { return d.asOf == asOf })
	var d *day
	if i >= 0 {
		d = s.days[i]
		s.days = slices.Delete(s.days, i, i+1)
	} else {
		d = &day{asOf: asOf, verdicts: make(map[devices.ID]*judged, len(s.devices))}
	}
	s.days = slices.Insert(s.days, 0, d)
	if len(s.days) > maxDays {
		s.days = slices.Delete(s.days, maxDays, len(s.days))
	}
	return d
}

// judge returns the verdict of a device on a day.
func (s *Stock) judge(d *day, e *entry) *judged {
	if j := d.verdicts[e.ID]; j != nil && j.version == e.version {
		return j
	}
	j := &judged{version: e.version, item: evidence.Item(&e.Device, e.readings, e.bought, d.asOf)}
	j.verdict = lifecycle.Judge(j.item, s.cat, d.asOf, s.context(e))
	d.verdicts[e.ID] = j
	return j
}

// context is what the legal rules need to know beyond the device.
func (s *Stock) context(e *entry) lifecycle.Context {
	c := lifecycle.Context{Post: e.value(evidence.SaysPost)}
	if e.match.Class == "" || len(s.surplus) == 0 {
		return c // nobody said what is to give away
	}
	found := lifecycle.Surplus{}
	for _, other := range s.surplus[e.match.Class] {
		if other.Site == e.Site {
			continue
		}
		if found.Units++; found.Units == 1 {
			found.Site, found.Item, found.From = other.Site, other.ID.String(), other.used[evidence.SaysSurplus].Value
		}
	}
	if found.Units > 0 {
		c.Surplus = &found
	}
	return c
}

// list returns a device's row in a language.
func (s *Stock) list(d *day, e *entry, lang string) *listed {
	j := s.judge(d, e)
	if l := j.rows[lang]; l != nil {
		return l
	}
	l := &listed{row: s.row(e, j, lang)}
	r := &l.row
	l.folded = inventory.Fold(strings.Join([]string{r.ID, r.Site, r.SiteName, r.District, r.Name, r.Class, r.Vendor, r.Model, r.Hardware,
		r.Version, r.OS, r.Serial, r.Address, r.MAC, r.Phase, r.Contract, r.Reason}, " \x00 "))
	if j.rows == nil {
		j.rows = map[string]*listed{}
	}
	j.rows[lang] = l
	return l
}
