package report

import (
	"html/template"
	"net/http"
	"net/url"

	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/probes"
)

// siteMonths is how many months a site's page looks back.
const siteMonths = 12

// sitePage is a site's lines over the last months.
type sitePage struct {
	page
	Site, District string
	ID             string
	Layers         []siteLayer
	Sources        []source
}

// siteLayer is one line of a site, month by month.
type siteLayer struct {
	Layer           probes.Layer
	Name            string
	Provider, Speed string
	Number          string
	Contract        bool
	Months          []month
}

type month struct {
	Name, Path string
	Running    bool
	F          figures
	Agreed     template.HTML
}

func (p *Pages) sitePage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r)
	if !ok {
		return
	}
	out := sitePage{page: at, ID: r.PathValue("site")}
	name, known := at.names[out.ID]
	if !known {
		p.sorry(rw, r, http.StatusNotFound, "site.not_found", "report.nowhere_hint")
		return
	}
	out.Site, out.District = name.Name, name.District
	out.Heading = at.T("report.site_title", "site", out.Site)
	out.PageTitle = out.Heading + " – " + out.PageTitle
	// One report of all months, as far as limits go: each place where they are written has one number.
	whole := reports.Report{}
	var made []*reports.Report
	for _, of := range at.Listed[:min(len(at.Listed), siteMonths)] {
		rep, err := p.o.Reporter.Report(r.Context(), reports.Query{Period: of, Hours: at.Q.Hours, Site: out.ID})
		if err != nil {
			p.fail(rw, r, err)
			return
		}
		made = append(made, rep)
		whole.Lines = append(whole.Lines, rep.Lines...)
	}
	var notes map[string]int
	notes, out.Sources = at.sources(&whole)
	for _, layer := range probes.Layers() {
		if l := at.siteLayer(layer, made, notes); len(l.Months) > 0 {
			out.Layers = append(out.Layers, l)
		}
	}
	p.house.Render(rw, r, http.StatusOK, p.templates, "site_report", &out)
}

// siteLayer gathers a layer's months, the newest first. What was agreed is that of the newest month that has it.
func (p *page) siteLayer(layer probes.Layer, made []*reports.Report, notes map[string]int) siteLayer {
	out := siteLayer{Layer: layer, Name: p.W.Layer(layer)}
	for _, rep := range made {
		for i := range rep.Lines {
			l := &rep.Lines[i]
			if l.Layer != layer {
				continue
			}
			if c := l.Contract; c != nil && !out.Contract {
				out.Contract, out.Provider, out.Speed, out.Number = true, p.W.Provider(c), p.W.Speed(c), c.Number
			}
			q := url.Values{"period": {period.Name(rep.Period)}, "site": {l.Site}, "hours": {string(p.Q.Hours)}}
			out.Months = append(out.Months, month{Name: p.W.PeriodName(rep.Period), Path: "/reports?" + q.Encode(), Running: rep.Period.To.After(p.Now),
				F: p.lineFigures(&l.Figures), Agreed: p.agreed(l.Against, notes)})
		}
	}
	return out
}

// HoursChoices are the hours to choose, as links.
func (p sitePage) HoursChoices() (out []Choice) {
	for _, h := range []reports.Hours{reports.Office, reports.Other, reports.All} {
		out = append(out, Choice{p.SitePath(p.ID) + "?hours=" + string(h), p.W.HoursName(h), h == p.Q.Hours})
	}
	return out
}
