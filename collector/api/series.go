package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/api/chart"
	"communewatch/collector/people"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
)

func (a *API) getSeries(w http.ResponseWriter, r *http.Request) error {
	at := ask.Place{Now: a.now(), Zone: a.zone}
	windows := func(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) (rollup.Level, error) {
		return rollup.Raw, a.store.Windows(ctx, q, step, each)
	}
	if s, ok := a.store.(chart.Resolver); ok {
		windows, at.Finest = s.Resolve, s.Finest
	}
	q, err := ask.ForSeries(r.URL.Query(), at)
	if err != nil {
		return err
	}
	if !people.From(r.Context()).Everywhere() {
		if q.Tags["site"] == "" {
			return invalid("name a site: your account sees some districts only")
		}
		if _, _, err := a.look(r.Context(), q.Tags["site"]); err != nil {
			return err
		}
	}
	end, err := a.begin(r.Context())
	if err != nil {
		return err
	}
	defer end()
	answer, err := chart.Read(r.Context(), windows, q)
	if errors.Is(err, chart.ErrMany) {
		return &problem{http.StatusUnprocessableEntity, "too many", err.Error()}
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}
