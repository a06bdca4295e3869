// Package running words checks that are run by order: how far each has come and what it found. The page of a site and
// that of an agent's run show them in the same table, which is a template of package frame.
package running

import (
	"context"
	"errors"
	"net/http"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/health"
	"communewatch/collector/phrase"
	"communewatch/collector/runs"
	"communewatch/collector/web/frame"
	"communewatch/probes"
	"communewatch/probes/orders"
)

// View is a run, for the template "ran".
type View struct {
	frame.Frame
	Run   runs.Run
	kinds map[string]probes.Kind
}

// Of words a run for a reader. kinds are the checks' by name, as far as they are known; it may be nil.
func Of(f frame.Frame, r runs.Run, kinds map[string]probes.Kind) View { return View{f, r, kinds} }

// Row is one check of a run.
type Row struct {
	Name   string
	State  string // in which colour and shape it is shown
	Word   string
	Took   string // "" while it is not known
	Detail string // what the agent said of it; may be of engineers' English
}

// Rows are the checks of the run.
func (v View) Rows() []Row {
	out := make([]Row, 0, len(v.Run.Checks))
	for i := range v.Run.Checks {
		out = append(out, v.row(&v.Run.Checks[i]))
	}
	return out
}

func (v View) row(c *runs.Check) Row {
	r := Row{Name: c.Name, State: "none", Word: v.Phase(c.Phase)}
	if c.Took > 0 {
		r.Took = v.Millis(c.Took.Seconds())
	}
	switch c.Phase {
	case orders.PhaseRefused:
		r.State, r.Detail = "muted", c.Reason
	case orders.PhaseDone:
		o, known := probes.ParseOutcome(c.Outcome)
		switch {
		case known && o == probes.OutcomeOK:
			r.State, r.Word = "ok", v.T("fleet.ran_well")
		case known && o.Own():
			r.State, r.Word, r.Detail = "no_data", upper(phrase.Own(phrase.Lang(v.Lang), o)), c.Reason
		case known:
			at := health.CheckID{Target: c.Name, Kind: v.kinds[c.Name]}
			r.State, r.Detail = "down", c.Reason
			r.Word = phrase.Reason(phrase.Lang(v.Lang), health.Reason{Code: health.ReasonOutcome, Check: at, Outcome: o}, v.Now)
		default: // of an agent that is newer than this
			r.State, r.Word, r.Detail = "no_data", v.T("fleet.ran_otherwise"), c.Reason
		}
	}
	return r
}

// Phase is how far something has come, in words.
func (v View) Phase(p orders.Phase) string {
	if p == "" {
		p = "sent"
	}
	return v.T("fleet.phase_" + string(p))
}

// Why is why nothing came of the run as a whole; "" where something did: then its checks say it.
func (v View) Why() string {
	if v.Run.Phase == orders.PhaseDone {
		return ""
	}
	return v.Run.Reason
}

// Refused says in words why a run was not begun, with the status of the answer; ok is false for an error of another kind.
func Refused(f frame.Frame, err error) (words string, status int, ok bool) {
	for _, k := range []struct {
		err    error
		key    string
		status int
	}{
		{runs.ErrNotConnected, "fleet.not_connected", http.StatusConflict},
		{runs.ErrWhichAgent, "fleet.which_agent", http.StatusConflict},
		{runs.ErrTooMany, "fleet.too_many", http.StatusTooManyRequests},
		{runs.ErrUnknown, "fleet.no_run", http.StatusNotFound},
		{runs.ErrForbidden, "fleet.forbidden", http.StatusForbidden},
		{runs.ErrInvalid, "fleet.no_checks", http.StatusUnprocessableEntity},
	} {
		if errors.Is(err, k.err) {
			return f.T(k.key), k.status, true
		}
	}
	return "", 0, false
}

// Wait waits until runs are over, as long as ctx goes on: a page is worth waiting a moment for when it then says how it
// went.
func Wait(ctx context.Context, service *runs.Service, ids []string) {
	for _, id := range ids {
		r, err := service.Get(id)
		for err == nil && !r.Over {
			r, err = service.Next(ctx, id, r)
		}
	}
}

func upper(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}
