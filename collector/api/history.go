package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/health"
	"communewatch/collector/phrase"
	"communewatch/collector/recall"
	"communewatch/probes"
)

const (
	historyStandard = 24 * time.Hour
	historyLongest  = 31 * 24 * time.Hour
	// historyWarmUp is how long before the range the judge begins: silence and loss look back.
	historyWarmUp = time.Hour
	// historyPoints bounds what one query of the store may read, of a day: a hundred checks every 10 s.
	historyPoints = 5_000_000
)

func (a *API) getHistory(w http.ResponseWriter, r *http.Request) error {
	lang, err := ask.Lang(r)
	if err != nil {
		return err
	}
	query, now := r.URL.Query(), a.now()
	from, to, err := ask.Span(query, now, historyStandard, historyLongest)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if probes.CheckName(id) != nil {
		return ErrNoSite
	}
	if _, _, err := a.look(r.Context(), id); err != nil {
		return err
	}
	if to.After(now) {
		to = now // the future is not silent, it has not happened
	}
	if !from.Before(to) {
		return invalid("from must be in the past")
	}
	past, err := a.past(r.Context(), question{id, query.Get("range"), query.Get("from"), query.Get("to")}, from, to)
	if err != nil {
		return err
	}
	from, to = past.From, past.To
	out := History{From: from.UTC(), To: to.UTC(), Layers: map[string][]Span{}}
	site := past.Sites[id]
	if site == nil {
		site = &health.SiteHistory{}
	}
	out.Site = spans(site.Site, from, to, lang, now)
	for i, name := range probes.Layers() {
		out.Layers[string(name)] = spans(site.Layers[i], from, to, lang, now)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func spans(list []health.Interval, from, to time.Time, lang phrase.Lang, now time.Time) []Span {
	if len(list) == 0 {
		return []Span{{State: health.StateNone.String(), From: from.UTC(), To: to.UTC()}}
	}
	out := make([]Span, len(list))
	for i, in := range list {
		out[i] = Span{State: in.State.String(), From: in.From.UTC(), To: in.To.UTC(), Reason: phrase.Layered(lang, in.Reason, now)}
	}
	return out
}

// question is what a client asked of a site's past, as it was written: range=30d is the same question a second later.
type question struct{ site, length, from, to string }

// answers keeps the newest histories, which are worked out in a second and looked at by several people at once.
type answers struct {
	mu   sync.Mutex // guards the field below
	kept map[question]answer
}

type answer struct {
	past health.History
	made time.Time
}

const (
	// historyKept is how many histories are kept; a month of an uneasy site is a few hundred kB.
	historyKept = 32
	// historyShare is the part of its own range by which a history may be behind: less than a pixel of its strip.
	historyShare = 2000
	// historyAge bounds that: new and late rows show within this time.
	historyAge = 30 * time.Second
	// historyShort is the range below which nothing is kept, because working it out takes no time.
	historyShort = 6 * time.Hour
)

// past returns a site's past, worked out now or a moment ago.
func (a *API) past(ctx context.Context, q question, from, to time.Time) (health.History, error) {
	length := to.Sub(from)
	if past, ok := a.answers.find(q, length, a.now()); ok {
		return past, nil
	}
	end, err := a.begin(ctx)
	if err != nil {
		return health.History{}, err
	}
	defer end()
	if past, ok := a.answers.find(q, length, a.now()); ok { // somebody asked the same while we waited
		return past, nil
	}
	past, err := a.replay(ctx, q.site, from, to)
	if err == nil && length >= historyShort {
		for _, site := range past.Sites {
			site.Checks = nil // most of it, and not part of an answer
		}
		a.answers.keep(q, answer{past, a.now()})
	}
	return past, err
}

func (s *answers) find(q question, length time.Duration, now time.Time) (health.History, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, ok := s.kept[q]
	return have.past, ok && now.Sub(have.made).Abs() < min(length/historyShare, historyAge)
}

func (s *answers) keep(q question, made answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[question]answer{}
	}
	oldest, at := q, made.made
	for have, a := range s.kept {
		if a.made.Before(at) {
			oldest, at = have, a.made
		}
	}
	if len(s.kept) >= historyKept {
		delete(s.kept, oldest)
	}
	s.kept[q] = made
}

// replay judges a site's past.
func (a *API) replay(ctx context.Context, id string, from, to time.Time) (health.History, error) {
	rules := a.judge.Rules()
	replay := health.NewReplayer(rules, from)
	past := recall.Range{Site: id, From: from.Add(-historyWarmUp), To: to, MaxPoints: historyPoints}
	if err := recall.Walk(ctx, a.store, &rules, past, replay.Feed); err != nil {
		return health.History{}, err
	}
	return replay.History(to), nil
}
