package rehearsal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"communewatch/collector/api/rehearsals"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/words"
	"communewatch/inventory"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/media"
)

// formPage is the form for a new rehearsal and, once it is filled in, what the plan would ask of the hub.
type formPage struct {
	page
	Asked     url.Values
	Profiles  []orders.Profile
	Districts []string
	Plan      *rehearsal.Plan // nil until the form was filled in
	Warnings  []string
	Problems  []problem
	Bad       string // what was wrong with the form or the order, in the reader's words
	Hidden    []pair // the form's fields, to be sent along with the order
	Overrule  bool   // the only thing in the way is one that may be overruled
	Widest    float64
}

type problem struct {
	rehearsal.Problem
	Label string
}

type pair struct{ Name, Value string }

// fields are those of the form, as RequestOf reads them.
var fields = []string{"meeting", "profile", "sites", "steps", "step_seconds", "at", "force"}

func (p *Pages) formPage(rw http.ResponseWriter, r *http.Request) {
	p.form(rw, r, r.URL.Query(), http.StatusOK, "")
}

// form answers with the form, filled in as it was.
func (p *Pages) form(rw http.ResponseWriter, r *http.Request, asked url.Values, status int, bad string) {
	out := formPage{page: p.open(rw, r, "rehearsal.new"), Asked: asked, Profiles: media.Profiles(), Bad: bad}
	for _, n := range out.names {
		if n.District != "" && !slices.Contains(out.Districts, n.District) {
			out.Districts = append(out.Districts, n.District)
		}
	}
	slices.SortFunc(out.Districts, func(a, b string) int { return strings.Compare(inventory.Fold(a), inventory.Fold(b)) })
	if asked.Has("meeting") {
		if err := p.draft(r, &out); err != nil {
			p.fail(rw, r, err)
			return
		}
	}
	p.house.Render(rw, r, status, p.templates, "form", &out)
}

// requestOf reads the form. Of the two fields for sites the typed one counts where something is in it.
func requestOf(v url.Values) (rehearsal.Request, error) {
	q := url.Values{}
	for _, name := range fields {
		q.Set(name, strings.TrimSpace(v.Get(name)))
	}
	if typed := strings.TrimSpace(v.Get("only")); typed != "" {
		q.Set("sites", typed)
	}
	return rehearsals.RequestOf(q)
}

// draft adds what the plan would ask of the hub. The error is the collector's own.
func (p *Pages) draft(r *http.Request, out *formPage) error {
	req, err := requestOf(out.Asked)
	if err != nil {
		out.Bad = out.T("rehearsal.form_unreadable") + " (" + err.Error() + ")"
		return nil
	}
	plan, err := p.o.Service.Draft(r.Context(), req)
	if err != nil {
		return err
	}
	out.Plan = &plan
	for _, n := range plan.Warnings {
		out.Warnings = append(out.Warnings, words.Note(out.Words, n))
	}
	out.Overrule = len(plan.Problems) > 0
	for _, pr := range plan.Problems {
		pr.Text = words.Problem(out.Words, pr)
		if says := out.needs(&plan); pr.Force && says != "" {
			pr.Text = says
		}
		out.Problems = append(out.Problems, problem{pr, out.T("rehearsal.field_" + fieldOf(pr.Field))})
		out.Overrule = out.Overrule && pr.Force
	}
	for _, e := range plan.Estimates {
		out.Widest = max(out.Widest, e.OutOfHub, e.Capacity)
	}
	for _, name := range append(slices.Clone(fields), "only") {
		if v := out.Asked.Get(name); v != "" {
			out.Hidden = append(out.Hidden, pair{name, v})
		}
	}
	return nil
}

// needs says by how much a plan is more than the hub's line carries; "" where it is not.
func (out *formPage) needs(plan *rehearsal.Plan) string {
	for _, e := range slices.Backward(plan.Estimates) {
		if rate := max(e.OutOfHub, e.IntoHub); e.Capacity > 0 && rate > e.Capacity {
			return out.T("rehearsal.needs", "step", e.Step, "rate", out.BitRate(rate), "capacity", out.BitRate(e.Capacity))
		}
	}
	return ""
}

// fieldOf is the field of the form that a problem of a plan is about.
func fieldOf(field string) string {
	for _, known := range []string{"meeting", "profile", "sites", "steps", "step_seconds", "at"} {
		if field == known {
			return known
		}
	}
	return "plan"
}

// Wide is how much of the widest bar a rate takes, in percent.
func (out *formPage) Wide(bps float64) int {
	if out.Widest <= 0 {
		return 0
	}
	return int(100*bps/out.Widest + 0.5)
}

// Chosen tells whether a choice is the one that was made, or the first.
func (out *formPage) Chosen(name, value, otherwise string) bool {
	got := out.Asked.Get(name)
	if got == "" {
		got = otherwise
	}
	return got == value
}

// start begins a rehearsal on an operator's order.
func (p *Pages) start(rw http.ResponseWriter, r *http.Request) {
	who, err := p.enter(rw, r)
	asked := url.Values{}
	for name, v := range r.PostForm {
		if name != "code" {
			asked[name] = v
		}
	}
	if !asked.Has("meeting") {
		asked.Set("meeting", "")
	}
	var req rehearsal.Request
	if err == nil {
		if req, err = requestOf(asked); err != nil {
			p.form(rw, r, asked, http.StatusBadRequest, "")
			return
		}
		req.By = who
		var id rehearsal.ID
		if id, err = p.o.Service.Start(r.Context(), req); err == nil {
			http.Redirect(rw, r, "/rehearsals/"+id.String(), http.StatusSeeOther)
			return
		}
	}
	status, says := p.problem(rw, r, err)
	if refused := (*rehearsal.Refused)(nil); errors.As(err, &refused) {
		says = "" // the form says each
	}
	p.form(rw, r, asked, status, says)
}
