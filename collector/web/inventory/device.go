package inventory

import (
	"net/http"

	"communewatch/collector/stock"
	"communewatch/inventory/lifecycle"
)

type devicePage struct {
	page
	D       stock.Device
	Stating bool // the reader may say what they know of it
	Groups  []factGroup
	Fired   []stock.Finding // what rules found
	Calm    []stock.Finding // what says that all is well
	Mute    []stock.Finding // what cannot be said, and why
	Apart   []stock.Finding // not applicable
}

// factGroup is one fact with all that sources say of it, the value in use first.
type factGroup struct {
	Name     string
	Conflict bool
	Facts    []stock.Fact
}

func (p *Pages) devicePage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "device.title")
	if !ok {
		return
	}
	out := devicePage{page: at, Stating: p.stating && at.ReaderMay("state")}
	var err error
	if out.D, err = p.stock.Device(r.Context(), r.PathValue("id"), at.Asked); err != nil {
		p.fail(rw, r, at, err)
		return
	}
	if out.D.ID != r.PathValue("id") { // it was found to be the same as another
		http.Redirect(rw, r, at.To("/inventory/devices/"+out.D.ID), http.StatusFound)
		return
	}
	for _, f := range out.D.Facts {
		if n := len(out.Groups); n == 0 || out.Groups[n-1].Name != f.Name {
			out.Groups = append(out.Groups, factGroup{Name: f.Name})
		}
		g := &out.Groups[len(out.Groups)-1]
		g.Facts = append(g.Facts, f)
		g.Conflict = g.Conflict || f.Conflict
	}
	for _, f := range out.D.Findings {
		switch {
		case f.Fired():
			out.Fired = append(out.Fired, f)
		case f.State == lifecycle.StateOK:
			out.Calm = append(out.Calm, f)
		case f.State == lifecycle.StateNotApplicable:
			out.Apart = append(out.Apart, f)
		default:
			out.Mute = append(out.Mute, f)
		}
	}
	out.PageTitle = out.DeviceName(out.D.Row) + " – " + out.PageTitle
	p.render(rw, r, "device", out)
}
