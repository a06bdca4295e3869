package fleet

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"communewatch/collector/api"
	known "communewatch/collector/fleet"
	"communewatch/collector/fleet/sheet"
	"communewatch/collector/people"
	"communewatch/collector/plans"
	"communewatch/inventory"
)

// valids are for how long a code may be good, in hours.
var valids = []int{24, 72, 168, 720}

type joinPage struct {
	page
	Codes     []codeRow
	Districts []string
	List      []api.Site // by name
	Chosen    string     // the site that the address names
	Without   int        // sites without an agent
	Valids    []int      // hours
}

// codeRow is a join code with what has become of it: open, used, cancelled or expired.
type codeRow struct {
	known.Code
	State string
}

func (p *Pages) joinPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/join", "fleet.join")
	if !ok {
		return
	}
	p.join(rw, r, http.StatusOK, at)
}

func (p *Pages) join(rw http.ResponseWriter, r *http.Request, status int, at page) {
	out := joinPage{page: at, Chosen: at.Query().Get("site"), Valids: valids}
	codes, err := p.o.Agents.Codes(r.Context())
	if err == nil {
		out.Without, err = p.count(r, &at)
	}
	if err != nil {
		p.sorry(rw, r, &out.page, err)
		return
	}
	for _, c := range codes {
		if _, seen := out.sites[c.Site]; !seen {
			continue
		}
		state := "open"
		switch {
		case !c.Used.IsZero():
			state = "used"
		case !c.Cancelled.IsZero():
			state = "cancelled"
		case !c.Expires.After(out.Now):
			state = "expired"
		}
		out.Codes = append(out.Codes, codeRow{c, state})
	}
	for _, s := range out.sites {
		out.List = append(out.List, s)
		if s.Parent != "" && !slices.Contains(out.Districts, s.Parent) {
			out.Districts = append(out.Districts, s.Parent)
		}
	}
	slices.Sort(out.Districts)
	slices.SortFunc(out.List, func(a, b api.Site) int {
		return cmp.Or(cmp.Compare(inventory.Fold(a.Name), inventory.Fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	p.render(rw, r, status, "join", &out)
}

// count is how many sites have no agent.
func (p *Pages) count(r *http.Request, at *page) (int, error) {
	has, err := p.have(r)
	n := 0
	for id := range at.sites {
		if !has[id] {
			n++
		}
	}
	return n, err
}

// have are the sites that have an agent with an identity of its own, or one that waits.
func (p *Pages) have(r *http.Request) (map[string]bool, error) {
	list, err := p.o.Agents.Agents(r.Context())
	out := map[string]bool{}
	for _, a := range list {
		if a.State != known.StateRevoked {
			out[a.Site] = true
		}
	}
	return out, err
}

// wanted are the sites that a form asks codes for; only those that the reader sees.
func (p *Pages) wanted(r *http.Request, at *page) (out []string, err error) {
	of, has := r.PostFormValue("of"), map[string]bool{}
	if of == "without" {
		if has, err = p.have(r); err != nil {
			return nil, err
		}
	}
	chosen := r.PostForm["site"]
	for id, s := range at.sites {
		take := false
		switch of {
		case "all":
			take = true
		case "without":
			take = !has[id]
		case "district":
			take = s.Parent != "" && s.Parent == r.PostFormValue("district")
		default:
			take = slices.Contains(chosen, id)
		}
		if take {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	if len(out) == 0 {
		return nil, &known.Invalid{Message: at.T("fleet.no_sites_chosen")}
	}
	return out, nil
}

// createCodes answers with the printable sheet: the codes are known this once.
func (p *Pages) createCodes(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/join", "fleet.join")
	if !ok {
		return
	}
	ids, err := p.wanted(r, &at)
	caller, replace := people.From(r.Context()), r.PostFormValue("replace") != ""
	if err == nil && replace && !at.Revokes() {
		err = plans.ErrForbidden // whoever has a machine replaced throws one out
	}
	var made []known.Made
	if err == nil {
		hours, _ := strconv.Atoi(r.PostFormValue("hours"))
		want := make([]known.NewCode, len(ids))
		for i, id := range ids {
			want[i] = known.NewCode{Site: id, Agent: field(r, "agent"), Replace: replace, Approve: r.PostFormValue("approve") != "",
				Note: field(r, "note"), Valid: time.Duration(hours) * time.Hour, By: caller.Who()}
		}
		made, err = p.o.Agents.CreateCodes(r.Context(), want)
	}
	if err != nil {
		p.join(rw, r, p.says(r, &at, err), at)
		return
	}
	var addresses []string
	if p.o.Addresses != nil {
		addresses = p.o.Addresses()
	}
	var body bytes.Buffer
	err = sheet.Render(&body, made, sheet.Options{Title: at.Title, Zone: at.Zone, Now: at.Now, Addresses: addresses, Stylesheet: "/fleet/sheet.css",
		Site: func(id string) string {
			if d := at.District(id); d != "" {
				return at.SiteName(id) + " (" + d + ")"
			}
			return at.SiteName(id)
		}})
	if err != nil {
		p.sorry(rw, r, &at, err)
		return
	}
	head := rw.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "no-store") // it holds secrets
	_, _ = rw.Write(body.Bytes())         // the reader has gone; there is nobody to tell
}

func (p *Pages) sheetStyle(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/css; charset=utf-8")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(rw, sheet.Style) // the reader has gone; there is nobody to tell
}

func (p *Pages) cancelCode(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "/fleet/join", "fleet.join")
	if !ok {
		return
	}
	id := field(r, "id")
	codes, err := p.o.Agents.Codes(r.Context())
	if err == nil {
		// A code of a site that the reader does not see is none to them.
		i := slices.IndexFunc(codes, func(c known.Code) bool { _, seen := at.sites[c.Site]; return c.ID == id && seen })
		if err = known.ErrUnknownCode; i >= 0 {
			err = p.o.Agents.CancelCode(r.Context(), id, people.From(r.Context()).Who())
		}
	}
	if err != nil {
		p.join(rw, r, p.says(r, &at, err), at)
		return
	}
	redirect(rw, r, "/fleet/join", "cancelled")
}
