package inventory

import (
	"html/template"
	"net/http"
	"strconv"

	"communewatch/collector/stock"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/wording"
)

type devicePage struct {
	page
	D      stock.Device
	Groups []factGroup
	Fired  []stock.Finding // what rules found
	Calm   []stock.Finding // what says that all is well
	Mute   []stock.Finding // what cannot be said, and why
	Apart  []stock.Finding // not applicable
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
	out := devicePage{page: at}
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

// DeviceName names a device by what is known of it.
func (v *voice) DeviceName(r stock.Row) string {
	name := r.Model
	if r.Vendor != "" && name != "" {
		name = r.Vendor + " " + name
	}
	if name == "" && r.Class != "" {
		name = v.Class(r.Class)
		if r.Vendor != "" {
			name += " " + r.Vendor
		}
		name += ", " + v.T("device.no_model")
	}
	if name == "" {
		name = v.T("device.no_class")
	}
	return name
}

// Worded are what a list of findings has, for the template that shows it.
type Worded struct {
	*voice
	Findings []stock.Finding
	Legal    bool
}

// Technical shows a state as voice does; the name State is taken by what a finding has.
func (v *voice) Technical(s lifecycle.State) template.HTML { return v.State(s) }

// List gives a template its findings together with the words for them.
func (v *voice) List(findings []stock.Finding, legal bool) Worded { return Worded{v, findings, legal} }

// Sum is what parts of a priority add up to.
func (v *voice) Sum(parts []stock.Points) (n int) {
	for _, p := range parts {
		n += p.Points
	}
	return n
}

// PathName names a path.
func (v *voice) PathName(path string) string { return v.or("path."+path, path) }

// Value writes a fact's value as people read it.
func (v *voice) Value(f stock.Fact) string {
	switch f.Name {
	case "class":
		return v.Class(f.Value)
	case "ram_bytes", "disk_bytes":
		if n, err := strconv.ParseFloat(f.Value, 64); err == nil && n >= 1<<30 {
			return v.Number(n/(1<<30), 1) + " GiB"
		}
	}
	return v.Said(f.Name, f.Value)
}

// Said writes what a person said as people read it.
func (v *voice) Said(kind, value string) string {
	switch {
	case value == "yes" || value == "no":
		return v.T("word." + value)
	case kind == "price" || kind == "replace_price" || kind == "equivalent_new":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return v.Money(n)
		}
	}
	return wording.Date(value)
}

// Why says why another device may be this one.
func (v *voice) Why(why string) string { return v.or("why."+why, why) }

// boughtList are pieces that were bought, with the words for them.
type boughtList struct {
	*voice
	Of []stock.Purchase
}

// Bought gives a template pieces together with the words for them.
func (v *voice) Bought(of []stock.Purchase) boughtList { return boughtList{v, of} }

// Weak reports whether a piece wants a person's look.
func (v *voice) Weak(u stock.Purchase) bool { return u.Confidence < stock.WeakLink }
