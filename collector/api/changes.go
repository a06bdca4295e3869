package api

import (
	"net/http"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/probes"
)

const (
	changesStandard = 24 * time.Hour
	changesLongest  = 400 * 24 * time.Hour // as long as they are kept
	maxChanges      = 1000                 // newest first
)

// getChanges answers what the screens said, and when: changes as they were announced. Results that came late since may
// have corrected the history; what was announced stays.
func (a *API) getChanges(w http.ResponseWriter, r *http.Request) error {
	from, to, err := ask.Span(r.URL.Query(), a.now(), changesStandard, changesLongest)
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
	changes, err := a.reg.Changes(r.Context(), id, from, to, maxChanges)
	if err != nil {
		return err
	}
	out := make([]Change, len(changes))
	for i, c := range changes {
		out[i] = Change{At: c.At.UTC(), Layer: c.Layer, Check: c.Check, From: c.From, To: c.To, ReasonCode: c.Reason}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}
