package fleet

import (
	"cmp"
	"context"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	known "communewatch/collector/fleet"
	"communewatch/collector/health"
	"communewatch/collector/muster"
	"communewatch/collector/people"
	"communewatch/collector/phrase"
	"communewatch/collector/runs"
	"communewatch/collector/web/running"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
)

type agentsPage struct {
	page
	Rows   []muster.Row
	All    int
	Counts []count
	Show   string
	Search string
}

// count is how many agents a filter finds.
type count struct {
	Show string
	N    int
}

// chosen narrows rows down as the address says.
func (p *Pages) chosen(r *http.Request, out *agentsPage) error {
	all, err := p.o.Rows(r.Context(), slices.Collect(maps.Keys(out.sites)))
	if err != nil {
		return err
	}
	out.Show, out.Search = out.Query().Get("show"), strings.TrimSpace(out.Query().Get("q"))
	if !slices.Contains(muster.Shows(), out.Show) {
		out.Show = ""
	}
	for _, s := range muster.Shows() {
		n := 0
		for i := range all {
			if all[i].Is(s) {
				n++
			}
		}
		out.Counts = append(out.Counts, count{s, n})
	}
	out.All = len(all)
	search := inventory.Fold(out.Search)
	for i := range all {
		a := &all[i]
		words := strings.Join([]string{out.SiteName(a.Site), a.Site, out.District(a.Site), a.Agent.Agent, a.Machine.Host, a.Version}, " ")
		if a.Is(out.Show) && (search == "" || strings.Contains(inventory.Fold(words), search)) {
			out.Rows = append(out.Rows, *a)
		}
	}
	return nil
}

func (p *Pages) agentsPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet", "fleet.title")
	if !ok {
		return
	}
	out := agentsPage{page: at}
	if err := p.chosen(r, &out); err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	p.render(rw, r, http.StatusOK, "agents", &out)
}

func (p *Pages) agentsFile(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet", "fleet.title")
	if !ok {
		return
	}
	out := agentsPage{page: at}
	if err := p.chosen(r, &out); err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	s := &sheet.Sheet{Name: out.T("fleet.agents"), Title: out.T("fleet.title"), Note: out.T("app.as_of", "time", out.NowText()), Zone: out.Zone}
	for _, c := range []struct {
		key  string
		kind sheet.Kind
	}{
		{"site_id", sheet.Text}, {"site", sheet.Text}, {"district", sheet.Text}, {"agent", sheet.Text}, {"standing", sheet.Text}, {"connected", sheet.Time},
		{"heard", sheet.Time}, {"version", sheet.Text}, {"results", sheet.Text}, {"checks", sheet.Whole}, {"silent", sheet.Whole}, {"spool", sheet.Whole},
		{"clock", sheet.Decimal}, {"expires", sheet.Time}, {"work", sheet.Whole}, {"work_state", sheet.Text}, {"update", sheet.Text}, {"host", sheet.Text}, {"system", sheet.Text},
	} {
		s.Columns = append(s.Columns, sheet.Column{Heading: out.T("fleet.col_" + c.key), Kind: c.kind})
	}
	moment := func(t time.Time) any {
		if t.IsZero() {
			return nil
		}
		return t
	}
	fact := func(r *muster.Row, name string) any {
		if v, ok := r.Facts[name]; ok {
			return v
		}
		return nil
	}
	for i := range out.Rows {
		a := &out.Rows[i]
		s.Rows = append(s.Rows, []any{a.Site, out.SiteName(a.Site), out.District(a.Site), a.Agent.Agent, out.T("fleet.state_" + string(a.State)), moment(a.Since),
			moment(a.Heard), a.Version, out.T("state." + a.Worst().String()), len(a.Checks), a.Silent(), fact(a, "spool_batches"),
			fact(a, "clock_offset_seconds"), moment(a.Expires), a.Work().Version, out.T("fleet.work_" + string(cmp.Or(a.Work().State, "unknown"))), a.Update().State, a.Machine.Host, a.Machine.System})
	}
	p.send(rw, r, &out.page, out.T("fleet.file"), s)
}

type agentPage struct {
	page
	Found []muster.Row // of the name: the one that reports, and the one that waits
	Site  string
	Name  string
}

// Reason words why a check is in its state.
func (p *page) Reason(r health.Reason) string { return phrase.Reason(phrase.Lang(p.Lang), r, p.Now) }

// MayOrder tells whether the reader may have checks run.
func (p *page) MayOrder() bool { return p.Caller.May(people.ActOperate) }

// Revokes tells whether the reader may throw agents out.
func (p *page) Revokes() bool { return p.Caller.May(people.ActRevoke) && p.Everywhere() }

// agent opens the page of an agent that the reader may see. When ok is false it has been answered.
func (p *Pages) agent(rw http.ResponseWriter, r *http.Request) (out agentPage, ok bool) {
	at, ok := p.open(rw, r, "/fleet", "fleet.title")
	if !ok {
		return out, false
	}
	out = agentPage{page: at, Site: r.PathValue("site"), Name: r.PathValue("agent")}
	all, err := p.o.Rows(r.Context(), slices.Collect(maps.Keys(out.sites)))
	for i := range all {
		if all[i].Site == out.Site && all[i].Agent.Agent == out.Name {
			out.Found = append(out.Found, all[i])
		}
	}
	if err == nil && len(out.Found) == 0 {
		err = known.ErrUnknownAgent
	}
	if err != nil {
		p.sorry(rw, r, &out.page, err)
		return out, false
	}
	out.PageTitle = out.Name + " – " + out.SiteName(out.Site) + " – " + out.PageTitle
	return out, true
}

func (p *Pages) agentPage(rw http.ResponseWriter, r *http.Request) {
	if out, ok := p.agent(rw, r); ok {
		p.render(rw, r, http.StatusOK, "agent", &out)
	}
}

// act does something to an agent that the reader may see, and goes back to its page.
func (p *Pages) act(rw http.ResponseWriter, r *http.Request, what string, do func(ctx context.Context, of *agentPage) error) {
	out, ok := p.agent(rw, r)
	if !ok {
		return
	}
	if err := do(r.Context(), &out); err != nil {
		p.render(rw, r, p.says(r, &out.page, err), "agent", &out)
		return
	}
	redirect(rw, r, "/fleet/agents/"+out.Site+"/"+out.Name, what)
}

func (p *Pages) approve(rw http.ResponseWriter, r *http.Request) {
	p.act(rw, r, "approved", func(ctx context.Context, of *agentPage) error {
		key, err := hex.DecodeString(r.PostFormValue("key")) // of the machine that was on the page
		if err != nil || len(key) != 32 {
			return known.ErrOtherKey
		}
		return p.o.Agents.ApproveKey(ctx, of.Site, of.Name, people.From(ctx).Who(), [32]byte(key))
	})
}

func (p *Pages) revoke(rw http.ResponseWriter, r *http.Request) {
	what := "revoked"
	if r.PostFormValue("waiting") != "" {
		what = "rejected"
	}
	p.act(rw, r, what, func(ctx context.Context, of *agentPage) error {
		why := field(r, "why")
		switch {
		case why == "" || r.PostFormValue("sure") == "":
			return &known.Invalid{Message: of.T("fleet.say_why")}
		case what == "rejected":
			return p.o.Agents.Reject(ctx, of.Site, of.Name, people.From(ctx).Who(), why)
		}
		return p.o.Agents.Revoke(ctx, of.Site, of.Name, people.From(ctx).Who(), why)
	})
}

func (p *Pages) cleared(rw http.ResponseWriter, r *http.Request) {
	p.act(rw, r, "cleared", func(ctx context.Context, of *agentPage) error {
		return p.o.Agents.Cleared(ctx, of.Site, of.Name, people.From(ctx).Who())
	})
}

func (p *Pages) check(rw http.ResponseWriter, r *http.Request) {
	out, ok := p.agent(rw, r)
	if !ok {
		return
	}
	_ = r.ParseForm() // the door has read it
	run, err := p.o.Runs.Start(r.Context(), out.Site, out.Name, r.PostForm["check"])
	if err != nil {
		p.render(rw, r, p.says(r, &out.page, err), "agent", &out)
		return
	}
	http.Redirect(rw, r, "/fleet/runs/"+run.ID, http.StatusSeeOther)
}

type runPage struct {
	page
	Run  runs.Run
	View running.View
}

func (p *Pages) runPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet", "fleet.run")
	if !ok {
		return
	}
	out := runPage{page: at}
	var err error
	if out.Run, err = p.o.Runs.Get(r.PathValue("id")); err == nil {
		if _, seen := out.sites[out.Run.Site]; !seen {
			err = runs.ErrUnknown
		}
	}
	if err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	out.View = running.Of(out.Frame, out.Run, nil)
	if !out.Run.Over {
		rw.Header().Set("Refresh", "1") // without script; results come within seconds
	}
	p.render(rw, r, http.StatusOK, "run", &out)
}
