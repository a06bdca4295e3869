package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/api/conference"
	"communewatch/collector/health"
	"communewatch/collector/people"
	"communewatch/collector/phrase"
	"communewatch/inventory"
	"communewatch/probes"
)

// list is all sites as they are listed, kept ready.
type list struct {
	mu      sync.Mutex // guards the fields below
	entries map[string]*entry
	order   []*entry // by id
	judged  uint64   // the judge's version that is in
	names   uint64   // rises when the registry's list changed
	shrunk  bool     // a site was taken from it since the hub last looked
	read    time.Time
	took    time.Duration // by the last reading
	readErr error
	day     string // sentences tell times of other days with their day
	bodies  map[asked]*body
}

// entry is one site of the list.
type entry struct {
	site   inventory.Site
	status health.SiteStatus
	names  uint64                 // list.names when its registry row last changed
	json   map[phrase.Lang][]byte // as listed; nil entries are made when they are needed
	dirty  bool                   // changed since the hub last looked
	face   face                   // as the hub last saw it
}

// asked is what a list was asked for: a language, and by whom, as far as that makes a difference.
type asked struct {
	lang  phrase.Lang
	sight string // the districts that are seen; "" for all
}

// maxBodies bounds how many lists are kept ready; accounts that see some districts only are few.
const maxBodies = 50

// body is a whole list in one language.
type body struct {
	tag  string
	made time.Time
	json []byte
}

const (
	// sitesEvery is how old the registry's list may be: an import shows within this time. When reading it takes
	// long, it is read less often, so that reading takes one part in sitesShare of the time.
	sitesEvery = 2 * time.Second
	sitesShare = 50
	// bodyAge is how old the body of a big list may be. With thousands of sites some change every moment, and
	// putting the list together for each of a hundred open maps would be all that the collector does.
	bodyAge = 500 * time.Millisecond
	// bigList is the number of sites from which bodyAge counts.
	bigList = 1000
)

// catchUp brings the list up to the judge and the registry. The caller holds the lock.
func (a *API) catchUp(ctx context.Context) error {
	l := &a.list
	now := a.now()
	if l.order == nil || now.Sub(l.read).Abs() >= max(sitesEvery, sitesShare*l.took) {
		begin := time.Now()
		sites, err := a.reg.Sites(ctx, now)
		l.took = time.Since(begin)
		switch {
		case err == nil:
			l.read = now
			l.take(sites)
		case l.order == nil:
			return fmt.Errorf("read the sites: %w", err)
		case ctx.Err() == nil && l.readErr == nil:
			a.log.Error("read the sites; showing the list as it was", "error", err)
		}
		l.readErr = err
	}
	if day := now.In(phrase.Zone).Format(time.DateOnly); day != l.day {
		l.day = day
		for _, e := range l.order {
			clear(e.json)
		}
		l.bodies = nil
	}
	changed, version := a.judge.Since(l.judged)
	l.judged = version
	for i := range changed {
		// A site that the registry does not have yet is kept for when it has.
		e := l.entry(changed[i].Site)
		e.status, e.dirty = changed[i], true
		clear(e.json)
	}
	return nil
}

func (l *list) entry(id string) *entry {
	e := l.entries[id]
	if e == nil {
		e = &entry{json: map[phrase.Lang][]byte{}}
		l.entries[id] = e
	}
	return e
}

// take takes the registry's list over.
func (l *list) take(sites []inventory.Site) {
	same := l.order != nil && len(sites) == len(l.order)
	order := make([]*entry, len(sites))
	for i, s := range sites {
		e := l.entry(s.ID)
		if !sameSite(e.site, s) {
			e.site, e.names, e.dirty = s, l.names+1, true
			clear(e.json)
			same = false
		}
		order[i] = e
	}
	if same {
		return
	}
	slices.SortFunc(order, func(a, b *entry) int { return cmp.Compare(a.site.ID, b.site.ID) })
	listed := make(map[string]bool, len(sites))
	for _, s := range sites {
		listed[s.ID] = true
	}
	for id, e := range l.entries {
		if !listed[id] && e.site.ID != "" {
			e.site = inventory.Site{}
			l.shrunk = true
		}
	}
	l.order = order
	l.names++
}

func sameSite(a, b inventory.Site) bool {
	pa, pb := a.Position, b.Position
	a.Position, b.Position = nil, nil
	return a == b && (pa == nil) == (pb == nil) && (pa == nil || *pa == *pb)
}

// present makes a site's entry of the list.
func present(e *entry, lang phrase.Lang, now time.Time) Site {
	s, st := &e.site, &e.status
	out := Site{
		ID: s.ID, Code: s.Code, Name: s.Name, Type: s.Type, Parent: s.Parent,
		State: st.State.String(), Since: timeOrNil(st.Since), Reason: phrase.Layered(lang, st.Reason, now),
		ReasonCode: string(st.Reason.Code), Layers: make(map[string]string, len(st.Layers)),
		LastSeen: timeOrNil(st.LastSeen), AgentTrouble: phrase.Reason(lang, trouble(st), now), Version: st.Version,
	}
	if st.Site == "" { // the judge has not heard of it yet
		none := health.Reason{Code: health.ReasonNeverSeen}
		out.State, out.Reason, out.ReasonCode = health.StateNoData.String(), phrase.Reason(lang, none, now), string(none.Code)
	}
	for i, name := range probes.Layers() {
		out.Layers[string(name)] = st.Layers[i].State.String()
	}
	if s.Position != nil {
		lat, lon := s.Position.Lat, s.Position.Lon
		out.Lat, out.Lon = &lat, &lon
	}
	return out
}

// trouble is the first agent's that has one.
func trouble(st *health.SiteStatus) health.Reason {
	for i := range st.Agents {
		if r := st.Agents[i].Trouble; r.Code != health.ReasonNone {
			return r
		}
	}
	return health.Reason{}
}

// encoded returns a site's JSON in a language. The caller holds the lock.
func (e *entry) encoded(lang phrase.Lang, now time.Time) []byte {
	if have := e.json[lang]; have != nil {
		return have
	}
	made, err := json.Marshal(present(e, lang, now))
	if err != nil {
		made = []byte("null") // cannot happen: strings, numbers and times
	}
	e.json[lang] = made
	return made
}

// body returns the list's JSON in a language, and its tag.
func (a *API) body(ctx context.Context, lang phrase.Lang) (*body, error) {
	l := &a.list
	l.mu.Lock()
	defer l.mu.Unlock()
	now := a.now()
	caller, of := people.From(ctx), asked{lang: lang}
	if !caller.Everywhere() {
		of.sight = fmt.Sprintf("%q", caller.Districts)
	}
	if b := l.bodies[of]; b != nil && len(l.order) >= bigList && now.Sub(b.made).Abs() < bodyAge {
		return b, nil
	}
	if err := a.catchUp(ctx); err != nil {
		return nil, err
	}
	tag := fmt.Sprintf(`W/"%s-%d-%d-%s-%s"`, a.birth, l.judged, l.names, l.day, lang)
	if of.sight != "" {
		tag = fmt.Sprintf(`%s-%x"`, strings.TrimSuffix(tag, `"`), fnv1a(of.sight))
	}
	if b := l.bodies[of]; b != nil && b.tag == tag {
		b.made = now
		return b, nil
	}
	size := 4
	for _, e := range l.order {
		size += len(e.encoded(lang, now)) + 2
	}
	var buf bytes.Buffer
	buf.Grow(size)
	buf.WriteByte('[')
	for _, e := range l.order {
		if !caller.Sees(e.site.Parent) {
			continue
		}
		if buf.Len() > 1 {
			buf.WriteString(",\n")
		}
		buf.Write(e.json[lang])
	}
	buf.WriteString("]\n")
	if l.bodies == nil || len(l.bodies) >= maxBodies {
		l.bodies = map[asked]*body{}
	}
	b := &body{tag: tag, made: now, json: buf.Bytes()}
	l.bodies[of] = b
	return b, nil
}

func fnv1a(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum64()
}

func (a *API) getSites(w http.ResponseWriter, r *http.Request) error {
	lang, err := ask.Lang(r)
	if err != nil {
		return err
	}
	b, err := a.body(r.Context(), lang)
	if err != nil {
		return err
	}
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Cache-Control", "private, no-cache") // kept by the browser, but asked for each time
	head.Set("Vary", "Accept-Language, Cookie")
	head.Set("ETag", b.tag)
	if matches(r.Header.Get("If-None-Match"), b.tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, _ = w.Write(b.json)
	return nil
}

// matches reports whether a tag is in an If-None-Match header. Compression may have added a suffix to it.
func matches(header, tag string) bool {
	core := strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	for part := range strings.SplitSeq(header, ",") {
		got := strings.Trim(strings.TrimPrefix(strings.TrimSpace(part), "W/"), `"`)
		if got == core {
			return true
		}
	}
	return false
}

// Sites returns what GET /api/v1/sites answers. An unknown language is Vietnamese.
func (a *API) Sites(ctx context.Context, lang string) ([]Site, error) {
	l, _ := phrase.Parse(lang)
	a.list.mu.Lock()
	defer a.list.mu.Unlock()
	if err := a.catchUp(ctx); err != nil {
		return nil, err
	}
	now := a.now()
	caller := people.From(ctx)
	out := make([]Site, 0, len(a.list.order))
	for _, e := range a.list.order {
		if caller.Sees(e.site.Parent) {
			out = append(out, present(e, l, now))
		}
	}
	return out, nil
}

func (a *API) getSite(w http.ResponseWriter, r *http.Request) error {
	lang, err := ask.Lang(r)
	if err != nil {
		return err
	}
	detail, err := a.Site(r.Context(), r.PathValue("id"), string(lang))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, detail)
	return nil
}

// Site returns what GET /api/v1/sites/{id} answers, or ErrNoSite. An unknown language is Vietnamese.
func (a *API) Site(ctx context.Context, id, lang string) (SiteDetail, error) {
	l, _ := phrase.Parse(lang)
	if probes.CheckName(id) != nil {
		return SiteDetail{}, ErrNoSite
	}
	e, now, err := a.look(ctx, id)
	if err != nil {
		return SiteDetail{}, err
	}
	names, err := a.reg.SiteNames(ctx, id)
	if err != nil {
		return SiteDetail{}, fmt.Errorf("read the names of site %s: %w", id, err)
	}
	accounts, err := a.reg.Accounts(ctx, id)
	if err != nil {
		return SiteDetail{}, fmt.Errorf("read the accounts of site %s: %w", id, err)
	}
	status, checks, known := a.judge.Site(id)
	if known {
		e.status = status
	}
	out := SiteDetail{
		Site: present(&e, l, now), LayerDetails: map[string]LayerDetail{},
		Checks: make([]Check, 0, len(checks)), Agents: []Agent{}, Names: make([]DatedName, 0, len(names)),
	}
	for i, name := range probes.Layers() {
		st := e.status.Layers[i]
		out.LayerDetails[string(name)] = LayerDetail{State: st.State.String(), Since: timeOrNil(st.Since),
			Reason: phrase.Layered(l, st.Reason, now), ReasonCode: string(st.Reason.Code)}
	}
	for _, c := range checks {
		out.Checks = append(out.Checks, Check{Agent: c.ID.Agent, Target: c.ID.Target, Kind: string(c.ID.Kind), Path: string(c.ID.Path),
			Layer: string(c.ID.Layer), State: c.State.String(), Since: timeOrNil(c.Since), Reason: phrase.Reason(l, c.Reason, now),
			ReasonCode: string(c.Reason.Code), LastSeen: timeOrNil(c.LastSeen), IntervalSeconds: c.Interval.Seconds(),
			PathProof: string(c.Proof), Outcome: c.Outcome.String()})
	}
	// Trouble of the store must not hide the site: what the judge knows is told all the same.
	if out.Endpoints, err = conference.Endpoints(ctx, a.store, l, id, checks, now); err != nil && ctx.Err() == nil {
		a.log.Error("read what endpoints told", "site", id, "error", err)
	}
	agents := map[string]*Agent{}
	for _, st := range e.status.Agents {
		facts := st.Facts
		if facts == nil {
			facts = map[string]float64{}
		}
		agents[st.Name] = &Agent{Name: st.Name, Version: st.Version, LastSeen: timeOrNil(st.LastSeen),
			Trouble: phrase.Reason(l, st.Trouble, now), Facts: facts}
	}
	if err := a.refusals(ctx, id, l, &out, agents); err != nil {
		return SiteDetail{}, err
	}
	for _, acc := range accounts {
		if acc.Agent == "" {
			continue // a writer that says no name
		}
		if agents[acc.Agent] == nil {
			agents[acc.Agent] = &Agent{Name: acc.Agent, Facts: map[string]float64{}}
		}
		agents[acc.Agent].BatchesReceived += acc.Received
		agents[acc.Agent].BatchesMissing += acc.Missing
	}
	for _, agent := range agents {
		out.Agents = append(out.Agents, *agent)
	}
	slices.SortFunc(out.Agents, func(a, b Agent) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range names {
		dated := DatedName{Name: n.Name, Type: n.Type, Code: n.Code, Parent: n.Parent}
		if !n.ValidFrom.IsZero() {
			from := n.ValidFrom.Format(time.DateOnly)
			dated.ValidFrom = &from
		}
		out.Names = append(out.Names, dated)
	}
	return out, nil
}

// refusals tells of agents that did not take their plan: what else is told of the site follows from that.
func (a *API) refusals(ctx context.Context, id string, l phrase.Lang, out *SiteDetail, agents map[string]*Agent) error {
	if a.fleet == nil {
		return nil
	}
	refused, err := a.fleet.Refused(ctx, id, l)
	if err != nil {
		return fmt.Errorf("read what agents of site %s say: %w", id, err)
	}
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		if agents[name] == nil {
			agents[name] = &Agent{Name: name, Facts: map[string]float64{}}
		}
		agents[name].Trouble = cmp.Or(agents[name].Trouble, refused[name])
		out.AgentTrouble = cmp.Or(out.AgentTrouble, agents[name].Trouble)
	}
	return nil
}

func (a *API) getConference(w http.ResponseWriter, r *http.Request) error {
	known, err := a.Conference(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, known)
	return nil
}

// Conference returns what GET /api/v1/sites/{id}/conference answers, or ErrNoSite.
func (a *API) Conference(ctx context.Context, id string) (conference.Site, error) {
	if probes.CheckName(id) != nil {
		return conference.Site{}, ErrNoSite
	}
	if _, _, err := a.look(ctx, id); err != nil {
		return conference.Site{}, err
	}
	end, err := a.begin(ctx)
	if err != nil {
		return conference.Site{}, err
	}
	defer end()
	return conference.Of(ctx, a.store, id, a.now())
}

// look returns a copy of a site's entry, or ErrNoSite.
func (a *API) look(ctx context.Context, id string) (entry, time.Time, error) {
	a.list.mu.Lock()
	defer a.list.mu.Unlock()
	if err := a.catchUp(ctx); err != nil {
		return entry{}, time.Time{}, err
	}
	e := a.list.entries[id]
	if e == nil || e.site.ID == "" || !people.From(ctx).Sees(e.site.Parent) {
		return entry{}, time.Time{}, ErrNoSite
	}
	return entry{site: e.site, status: e.status}, a.now(), nil
}
