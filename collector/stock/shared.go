package stock

import (
	"cmp"
	"slices"
	"strconv"

	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/paper"
	"communewatch/collector/stock/evidence"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/legal"
)

// shared is what the legal rules need to know beyond a device: it is comparable, so that a verdict is made anew when it
// changes and only then.
type shared struct {
	post    string
	counted bool // norm holds
	norm    lifecycle.NormCount
	offered bool // surplus holds
	surplus lifecycle.Surplus
}

func (x *shared) context() lifecycle.Context {
	c := lifecycle.Context{Post: x.post}
	if x.counted {
		c.Norm = &x.norm
	}
	if x.offered {
		c.Surplus = &x.surplus
	}
	return c
}

// shared is what is known beyond a device on a day. It changes nothing.
func (s *Stock) shared(d *day, e *entry) shared {
	x := s.norm(d, e)
	x.surplus, x.offered = d.offers[e.ID]
	return x
}

// stock of one kind that an office has.
type office struct{ site, item, post string }

// class is what norms and surplus go by.
func (e *entry) class() string {
	if e.bought != nil {
		return cmp.Or(e.match.Class, e.bought.Class)
	}
	return e.match.Class
}

// count counts what offices own and can use: what they have not been seen with for long is not counted.
func (s *Stock) count() {
	s.owned, s.surplus = map[office]int{}, map[string][]devices.ID{}
	for id, e := range s.devices {
		class := e.class()
		if class == "" {
			continue
		}
		if e.value(evidence.SaysSurplus) == "yes" {
			s.surplus[class] = append(s.surplus[class], id)
		}
		item := legal.NormedItem(class)
		if item == "" || s.gone(e) {
			continue
		}
		s.owned[office{e.Site, item, ""}]++
		if post := e.value(evidence.SaysPost); post != "" {
			s.owned[office{e.Site, item, post}]++
		}
	}
	for _, list := range s.surplus {
		slices.Sort(list)
	}
}

// norm compares what an office has with how many work there, where somebody said so (L04).
func (s *Stock) norm(d *day, e *entry) shared {
	x := shared{post: e.value(evidence.SaysPost)}
	item := legal.NormedItem(e.class())
	staff := s.staff[e.Site]
	if item == "" || staff == nil {
		return x
	}
	m, _, _ := legal.MaximumOf(item, x.post, d.asOf)
	people, ok := staff[paper.SaysStaff]
	switch leaders, known := staff[paper.SaysLeaders]; {
	case m.Post == legal.PostLeader:
		people, ok = leaders, known
	case m.Post == legal.PostStaff && item == "printer":
		people, ok = staff[paper.SaysGroup8], staff[paper.SaysGroup8].Name != ""
	case m.Post == legal.PostStaff:
		people.Value -= leaders.Value
		ok = ok && known
	}
	if !ok {
		return x
	}
	x.counted = true
	x.norm = lifecycle.NormCount{Units: s.owned[office{e.Site, item, m.Post}], Staff: people.Value,
		From: lifecycle.Value{Text: strconv.Itoa(people.Value), Method: lifecycle.MethodHand, Source: people.Source, By: people.By, At: people.At, Confidence: 1}}
	return x
}

// asking is what allotting looks at of a verdict that knows of no surplus.
type asking struct {
	version uint64
	norm    shared
	usable  bool // neither outdated nor to be reviewed
	wanted  bool // a replacement is looked for
	score   int
}

// allot gives what offices do not need to those that need it most: each unit is offered once, to the most urgent device
// of its class at another office, if the unit is not itself outdated or to be reviewed. Who asks for one and comes too
// late is told that there is none. s.mu is held.
func (s *Stock) allot(d *day) {
	if d.offers != nil && d.stamp == s.stamp {
		return
	}
	d.stamp, d.offers = s.stamp, map[devices.ID]lifecycle.Surplus{}
	if len(s.surplus) == 0 {
		d.asking = nil
		return
	}
	if d.asking == nil {
		d.asking = map[devices.ID]asking{}
	}
	queues := map[string][]*entry{}
	for _, e := range s.devices {
		class := e.class()
		if s.surplus[class] == nil {
			continue
		}
		norm := s.norm(d, e)
		a, known := d.asking[e.ID]
		if !known || a.version != e.version || a.norm != norm {
			v := lifecycle.Judge(evidence.Item(&e.Device, e.readings, e.bought, d.asOf), s.cat, d.asOf, norm.context())
			a = asking{version: e.version, norm: norm, score: v.Priority.Score}
			a.usable = v.State != lifecycle.StateOutdated && v.State != lifecycle.StateReview
			switch v.Replace {
			case lifecycle.ReplaceProposed, lifecycle.ReplaceNotYet, lifecycle.ReplaceCannotTell:
				a.wanted = v.Finding("L04").Action != lifecycle.ActionTransfer // an office with too many has one itself
			}
			d.asking[e.ID] = a
		}
		if a.wanted && e.value(evidence.SaysSurplus) != "yes" {
			queues[class] = append(queues[class], e)
		}
	}
	for class, queue := range queues {
		slices.SortFunc(queue, func(a, b *entry) int {
			return cmp.Or(cmp.Compare(d.asking[b.ID].score, d.asking[a.ID].score), cmp.Compare(a.ID, b.ID))
		})
		for _, id := range s.surplus[class] {
			unit := s.devices[id]
			from := unit.used[evidence.SaysSurplus].Value
			i := slices.IndexFunc(queue, func(e *entry) bool { return e.Site != unit.Site && d.offers[e.ID].Units == 0 })
			if d.asking[id].usable && !s.gone(unit) && i >= 0 {
				d.offers[queue[i].ID] = lifecycle.Surplus{Units: 1, Site: s.siteName(unit.Site), Item: id.String(), From: from}
			}
			for _, e := range queue {
				if d.offers[e.ID].Units == 0 {
					d.offers[e.ID] = lifecycle.Surplus{From: from}
				}
			}
		}
	}
}
