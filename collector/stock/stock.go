package stock

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/paper"
	"communewatch/collector/stock/evidence"
	"communewatch/collector/stock/view"
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
	surplus  map[string][]devices.ID            // by class: what offices do not need
	owned    map[office]int                     // what offices have of what norms count
	staff    map[string]map[string]paper.Office // by site and name: what is said of offices
	stamp    uint64                             // rises when anything changes that days are judged by
	perModel map[string]int                     // how many devices are of a model
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

// day is what was judged for one date. Of verdicts no more is kept than lists need: ten thousand of them with all
// their evidence would be a hundred megabytes, and the few that are shown whole are made again.
type day struct {
	asOf   inventory.Date
	judged map[devices.ID]*judged
	sorted map[string][]*listed // by language: all, the most urgent first
	stale  map[string]bool      // by language: rows have changed since they were sorted

	stamp  uint64                           // Stock.stamp of offers
	offers map[devices.ID]lifecycle.Surplus // to whom what others do not need is offered; nil: to be worked out
	asking map[devices.ID]asking            // what offers were worked out from
}

// judged is what lists need of a verdict.
type judged struct {
	version  uint64
	shared   shared
	hardware bool               // its maker's support of the hardware is over
	software bool               // that of what runs on it is
	rows     map[string]*listed // by language
}

// listed is a row with the text that it is searched by.
type listed struct {
	id     devices.ID
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
	if renamed := s.takeSites(sites); rematch || renamed || len(news.Devices) > 0 {
		s.stamp++
		s.count()
	}
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
	s.staff = map[string]map[string]paper.Office{}
	for _, o := range p.Offices {
		if s.staff[o.Site] == nil {
			s.staff[o.Site] = map[string]paper.Office{}
		}
		s.staff[o.Site][o.Name] = o
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
			for _, d := range s.days {
				d.forget(from)
			}
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
		if old == nil || old.match != e.match {
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

// rematch works out which piece is which device.
func (s *Stock) rematch() {
	found := make([]purchases.Device, 0, len(s.devices))
	s.perModel = map[string]int{}
	for _, e := range s.devices {
		s.perModel[modelOf(e)]++
		found = append(found, e.match)
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
		if pair != e.pair || !reflect.DeepEqual(bought, e.bought) {
			e.version++
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
func (s *Stock) takeSites(list []inventory.Site) (changed bool) {
	sites := make(map[string]inventory.Site, len(list))
	changed = len(list) != len(s.sites)
	for _, site := range list {
		site.Position = nil
		sites[site.ID] = site
		changed = changed || s.sites[site.ID] != site
	}
	if !changed {
		return false
	}
	s.sites = sites
	for _, d := range s.days {
		clear(d.judged)
		clear(d.sorted)
		clear(d.stale)
	}
	return true
}

// dayOf returns what is judged for a date.
func (s *Stock) dayOf(asOf inventory.Date) *day {
	i := slices.IndexFunc(s.days, func(d *day) bool { return d.asOf == asOf })
	var d *day
	if i >= 0 {
		d = s.days[i]
		s.days = slices.Delete(s.days, i, i+1)
	} else {
		d = &day{asOf: asOf, judged: make(map[devices.ID]*judged, len(s.devices)), sorted: map[string][]*listed{}, stale: map[string]bool{}}
	}
	s.days = slices.Insert(s.days, 0, d)
	if len(s.days) > maxDays {
		s.days = slices.Delete(s.days, maxDays, len(s.days))
	}
	return d
}

// verdict judges a device on a day. It changes nothing, so several may be made at once.
func (s *Stock) verdict(d *day, e *entry) (lifecycle.Item, lifecycle.Verdict) {
	item, x := evidence.Item(&e.Device, e.readings, e.bought, d.asOf), s.shared(d, e)
	return item, lifecycle.Judge(item, s.cat, d.asOf, x.context())
}

// holds reports whether a row is what would be made now.
func (s *Stock) holds(d *day, e *entry, j *judged, lang string) bool {
	return j != nil && j.version == e.version && j.rows[lang] != nil && j.shared == s.shared(d, e)
}

// list returns a device's row in a language.
func (s *Stock) list(d *day, e *entry, lang string) *listed {
	if j := d.judged[e.ID]; s.holds(d, e, j, lang) {
		return j.rows[lang]
	}
	j := s.makeRow(d, e, lang)
	d.keep(e.ID, j)
	return j.rows[lang]
}

// keep takes over a row that was made, beside those in other languages.
func (d *day) keep(id devices.ID, j *judged) {
	if old := d.judged[id]; old != nil && old.version == j.version && old.shared == j.shared {
		maps.Copy(j.rows, old.rows)
	}
	d.judged[id] = j
	d.resort()
}

// resort notes that rows have changed.
func (d *day) resort() {
	for lang := range d.sorted {
		d.stale[lang] = true
	}
}

// forget drops a device that is another one by now.
func (d *day) forget(id devices.ID) {
	delete(d.judged, id)
	d.resort()
}

// listAll returns the rows of all devices, the most urgent first. Those that there are none of are made on all
// processors.
func (s *Stock) listAll(d *day, lang string) []*listed {
	var todo []*entry
	for _, e := range s.devices {
		if !s.holds(d, e, d.judged[e.ID], lang) {
			todo = append(todo, e)
		}
	}
	made := make([]*judged, len(todo))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 1+len(todo)/100) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(todo); i = int(next.Add(1)) - 1 {
				made[i] = s.makeRow(d, todo[i], lang)
			}
		})
	}
	workers.Wait()
	for i, e := range todo {
		d.keep(e.ID, made[i])
	}
	if d.sorted[lang] == nil || d.stale[lang] {
		// What was in order before nearly is again, which takes no time to sort.
		all := make([]*listed, 0, len(d.judged))
		taken := make(map[devices.ID]bool, len(d.judged))
		for _, old := range d.sorted[lang] {
			if j := d.judged[old.id]; j != nil {
				all, taken[old.id] = append(all, j.rows[lang]), true
			}
		}
		for id, j := range d.judged {
			if !taken[id] {
				all = append(all, j.rows[lang])
			}
		}
		delete(d.stale, lang)
		slices.SortFunc(all, func(a, b *listed) int { return view.ByUrgency(&a.row, &b.row) })
		d.sorted[lang] = all
	}
	return d.sorted[lang]
}

// makeRow judges a device and makes its row. It changes nothing.
func (s *Stock) makeRow(d *day, e *entry, lang string) *judged {
	item, v := s.verdict(d, e)
	j := &judged{version: e.version, shared: s.shared(d, e)}
	over := func(rule string) bool { return v.Finding(rule).State == lifecycle.StateOutdated }
	j.hardware, j.software = over("R01") || over("R17"), over("R05") || over("R06")
	l := &listed{id: e.ID, row: s.row(e, &item, &v, lang)}
	l.folded = l.row.Text()
	j.rows = map[string]*listed{lang: l}
	return j
}

// warmEvery is how often what changed is judged before anybody asks.
const warmEvery = 10 * time.Second

// Run keeps today's list ready until ctx ends, so that no reader waits for ten thousand devices to be judged.
func (s *Stock) Run(ctx context.Context) error {
	tick := time.NewTicker(warmEvery)
	defer tick.Stop()
	failing := false
	for {
		_, err := s.Table(ctx, Query{Filter: Filter{Site: "-"}})
		if err != nil && !failing && ctx.Err() == nil {
			s.o.Log.Error("the inventory can't be read; trying on", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
