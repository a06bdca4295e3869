package web

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"communewatch/collector/api/condition"
	"communewatch/collector/history"
	"communewatch/collector/phrase"
	"communewatch/collector/reports/reportstest"
	"communewatch/collector/status"
	"communewatch/collector/store"
)

// report gives the province reports of its lines.
func (f *fixture) report() { f.reported = reportstest.New(f.known(), f.now) }

// database is what the fixture says of the collector's database. The zero database answers, and rollups are up to date.
type database struct {
	mu      sync.Mutex // guards the fields below
	away    time.Time  // since when it is away; zero: it answers
	warning string
	rollups history.Progress
}

// Status implements status.Source.
func (d *database) Status() status.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := status.Status{Rollups: d.rollups, Store: status.Store{Engine: "influx", Replayed: true}}
	if !d.away.IsZero() {
		out.Store.Condition = store.Condition{Away: true, Since: d.away, Reason: "dial tcp 192.0.2.7:8086: connect: connection refused", Fix: "start InfluxDB"}
	}
	if d.warning != "" {
		out.Store.Warnings = []string{d.warning}
	}
	return out
}

// serveDatabase adds the status as the collector's API has it, and a way to change it: away=14:05 (empty: it answers),
// warning=..., lag=hours of the rollups, failed=why they fail.
func (f *fixture) serveDatabase(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/status", func(rw http.ResponseWriter, r *http.Request) {
		lang, _ := phrase.Parse(r.URL.Query().Get("lang"))
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(condition.Of(f.database.Status(), lang, f.now(), phrase.Zone))
	})
	mux.HandleFunc("POST /fixture/database", func(rw http.ResponseWriter, r *http.Request) {
		d := &f.database
		d.mu.Lock()
		defer d.mu.Unlock()
		d.away, d.warning, d.rollups = time.Time{}, r.FormValue("warning"), history.Progress{}
		if text := r.FormValue("away"); text != "" {
			at, err := time.Parse("15:04", text)
			if err != nil {
				http.Error(rw, err.Error(), http.StatusBadRequest)
				return
			}
			d.away = time.Date(2026, 11, 26, at.Hour(), at.Minute(), 0, 0, phrase.Zone)
		}
		if lag, err := time.ParseDuration(r.FormValue("lag")); err == nil {
			d.rollups.To, d.rollups.Failed = f.now().Add(-lag).Truncate(time.Hour), r.FormValue("failed")
		}
	})
}
