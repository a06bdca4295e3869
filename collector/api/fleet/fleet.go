// Package fleet is the part of the JSON API about the fleet, about people's accounts, and about the record of changes. It
// reads; what is changed, is changed on screens and by the command line.
//
// Who may ask is decided by people/door: the fleet may be read by who may read its page, of the sites that they see;
// accounts and the record are for administrators of all sites. Should a request come by another way, it is refused here.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/audit"
	"communewatch/collector/muster"
	"communewatch/collector/people"
	"communewatch/collector/phrase"
	"communewatch/collector/phrase/book"
	kept "communewatch/collector/registry/people"
	"communewatch/inventory"
	"communewatch/probes/work"
)

// Sources are where answers come from. All but Sentences are required.
type Sources struct {
	muster.Sources
	People    *kept.Store
	Sentences *book.Book // says what agents tell in the reader's language; nil: as they tell it
}

// Refused are the agents of a site that did not take what they were given to do, each with a sentence; why is for who may
// see what agents do.
func (s *Sources) Refused(ctx context.Context, site string, lang phrase.Lang) (map[string]string, error) {
	list, err := s.Said(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, a := range list {
		if a.Site != site || a.Presence == nil || a.Presence.Work.State != work.StateRefused {
			continue
		}
		why := ""
		if problems := a.Presence.Work.Problems; len(problems) > 0 && people.From(ctx).May(people.ActFleet) {
			if why = problems[0]; s.Sentences != nil {
				why, _ = s.Sentences.Say(lang, why)
			}
		}
		out[a.Agent] = phrase.Refused(lang, why)
	}
	return out, nil
}

// Place is what is told of a site beside its id.
type Place struct{ Name, District string }

// ErrForbidden is returned to who may not ask.
var ErrForbidden = errors.New("your account may not do this")

// Route answers a question in a language.
type Route func(ctx context.Context, r *http.Request, lang phrase.Lang) (any, error)

// Routes lists what is asked under which pattern. An error is an *ask.Mistake, ErrForbidden, or one of the rooms behind.
// Places are the sites that the context's caller sees, by id.
func Routes(s Sources, places func(ctx context.Context) (map[string]Place, error), now func() time.Time) map[string]Route {
	d := &desk{s, places, now}
	return map[string]Route{
		"GET /api/v1/fleet":  d.fleet,
		"GET /api/v1/people": d.people,
		"GET /api/v1/audit":  d.record,
	}
}

type desk struct {
	Sources
	places func(ctx context.Context) (map[string]Place, error)
	now    func() time.Time
}

// Lengths of an answer.
const (
	standardAgents, mostAgents   = 200, 1000
	standardPeople, mostPeople   = 500, 1000
	standardEntries, mostEntries = 200, 10_000
	maxSearch                    = 100 // bytes
)

// fleet answers with the agents as the page of the fleet lists them: what wants a person first, then the worst.
func (d *desk) fleet(ctx context.Context, r *http.Request, lang phrase.Lang) (any, error) {
	if !people.From(ctx).May(people.ActFleet) {
		return nil, ErrForbidden
	}
	q := r.URL.Query()
	if err := ask.Known(q, "show", "site", "agent", "search", "offset", "limit", "lang"); err != nil {
		return nil, err
	}
	show, err := ask.OneOf(q, "show", muster.Shows()...)
	if err != nil {
		return nil, err
	}
	from, to, err := ask.Page(q, standardAgents, mostAgents)
	if err != nil {
		return nil, err
	}
	places, err := d.places(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(places))
	for id := range places {
		ids = append(ids, id)
	}
	rows, err := d.Rows(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := Fleet{Offset: from, Agents: []Agent{}}
	find := wanted(q)
	for i := range rows {
		a := &rows[i]
		if !a.Is(show) || !find(a, places[a.Site]) {
			continue
		}
		if out.Total >= from && out.Total < to {
			out.Agents = append(out.Agents, newAgent(a, places[a.Site], lang, d.now()))
		}
		out.Total++
	}
	return out, nil
}

// wanted reads what narrows a list of agents down.
func wanted(q url.Values) func(a *muster.Row, at Place) bool {
	site, agent, search := q.Get("site"), q.Get("agent"), q.Get("search")
	search = inventory.Fold(search[:min(len(search), maxSearch)])
	return func(a *muster.Row, at Place) bool {
		if site != "" && a.Site != site || agent != "" && a.Agent.Agent != agent {
			return false
		}
		words := strings.Join([]string{at.Name, a.Site, at.District, a.Agent.Agent, a.Machine.Host, a.Version}, " ")
		return search == "" || strings.Contains(inventory.Fold(words), search)
	}
}

// all reports whether the caller may read what is not of sites.
func all(ctx context.Context) bool {
	c := people.From(ctx)
	return c.May(people.ActPeople) && c.Everywhere()
}

// people answers with the accounts by name, each with its API keys.
func (d *desk) people(ctx context.Context, r *http.Request, _ phrase.Lang) (any, error) {
	if !all(ctx) {
		return nil, ErrForbidden
	}
	q := r.URL.Query()
	if err := ask.Known(q, "role", "offset", "limit", "lang"); err != nil {
		return nil, err
	}
	var roles []string
	for _, role := range people.Roles() {
		roles = append(roles, string(role))
	}
	role, err := ask.OneOf(q, "role", roles...)
	if err != nil {
		return nil, err
	}
	from, to, err := ask.Page(q, standardPeople, mostPeople)
	if err != nil {
		return nil, err
	}
	list, err := d.People.All(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := d.People.Keys(ctx, "")
	if err != nil {
		return nil, err
	}
	of := map[string][]Key{}
	for _, k := range keys {
		of[k.Person] = append(of[k.Person], newKey(k))
	}
	out := People{Offset: from, People: []Person{}}
	for _, p := range list {
		if role != "" && string(p.Role) != role {
			continue
		}
		if out.Total >= from && out.Total < to {
			out.People = append(out.People, newPerson(p, of[p.Name]))
		}
		out.Total++
	}
	return out, nil
}

// record answers with the record of changes, newest first, in portions that follow each other by id.
func (d *desk) record(ctx context.Context, r *http.Request, _ phrase.Lang) (any, error) {
	if !all(ctx) {
		return nil, ErrForbidden
	}
	q := r.URL.Query()
	if err := ask.Known(q, "from", "to", "who", "act", "before", "limit", "lang"); err != nil {
		return nil, err
	}
	f := audit.Filter{Who: q.Get("who"), Act: q.Get("act")}
	var err, bad error
	read := func(e error) { bad = cmp.Or(bad, e) }
	f.From, err = ask.Instant(q, "from")
	read(err)
	f.To, err = ask.Instant(q, "to")
	read(err)
	before, err := ask.Number(q, "before", 0, 1, 1<<53)
	read(err)
	f.Limit, err = ask.Number(q, "limit", standardEntries, 1, mostEntries)
	read(err)
	if bad != nil {
		return nil, bad
	}
	f.Before = int64(before)
	list, err := d.People.Entries(ctx, f)
	if err != nil {
		return nil, err
	}
	out := Record{Entries: Entries(list)}
	if len(list) == f.Limit {
		out.Before = &list[len(list)-1].ID
	}
	return out, nil
}
