package api

import (
	"context"
	"net/http"
	"time"

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
	lang, err := langOf(r)
	if err != nil {
		return err
	}
	now := a.now()
	from, to, err := span(r.URL.Query(), now, historyStandard, historyLongest)
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
	end, err := a.begin(r.Context())
	if err != nil {
		return err
	}
	defer end()
	if to.After(now) {
		to = now // the future is not silent, it has not happened
	}
	if !from.Before(to) {
		return invalid("from must be in the past")
	}
	past, err := a.replay(r.Context(), id, from, to)
	if err != nil {
		return err
	}
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
		out[i] = Span{State: in.State.String(), From: in.From.UTC(), To: in.To.UTC(), Reason: phrase.Reason(lang, in.Reason, now)}
	}
	return out
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
