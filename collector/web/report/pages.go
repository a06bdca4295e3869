// Package report shows what the province got from its lines: a month, a quarter, a year or any days, with providers and
// the two lines of each site side by side, on screen, on paper and as a spreadsheet; and one site's lines over a year.
//
// Those who read it pay for lines and argue with providers. So availability stands beside how much of the time was
// measured at all; what was planned, what was switched off and what is not known are shares of their own; and no limit is
// shown without the place where it is written. What was not measured is said to be so, and never shown as zero.
//
// Everything is rendered here and works without script.
package report

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/api/rehearsals"
	"communewatch/collector/phrase"
	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/collector/status"
	"communewatch/collector/status/words"
	"communewatch/collector/store"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/report/wording"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The words of these pages alone; those that files have too are in room wording.
//
//go:embed i18n/*.json
var wordFiles embed.FS

// Words returns the words of these pages, one file per language.
func Words() (fs.FS, error) { return fs.Sub(wordFiles, "i18n") }

// Names are the sites' names by id.
type Names = map[string]rehearsals.Name

// Options are what New needs beside the house.
type Options struct {
	Reporter reports.Reporter // nil: every page says that there are no reports here
	Status   status.Source    // nil: pages don't say whether rollups are behind
	Names    func(ctx context.Context) (Names, error)
	Log      *slog.Logger // nil: slog.Default
}

// Pages serves the pages.
type Pages struct {
	house     *frame.House
	o         Options
	templates *template.Template

	mu        sync.Mutex // guards providers
	providers []string   // all that a report of the whole province told of; nil before the first
}

// New prepares the pages. It starts nothing.
func New(house *frame.House, o Options) (*Pages, error) {
	p := &Pages{house: house, o: o}
	if p.o.Log == nil {
		p.o.Log = slog.Default()
	}
	var err error
	p.templates, err = frame.Templates(templateFiles, "templates/*.html")
	return p, err
}

// Register adds the pages to a server's addresses, all below /reports.
func (p *Pages) Register(mux *http.ServeMux) {
	var instead http.HandlerFunc
	if p.o.Reporter == nil {
		instead = func(rw http.ResponseWriter, r *http.Request) {
			p.sorry(rw, r, http.StatusServiceUnavailable, "report.unavailable", "report.unavailable_hint")
		}
	}
	frame.Register(mux, map[string]http.HandlerFunc{
		"GET /reports":              p.reportPage,
		"GET /reports.csv":          p.csvFile,
		"GET /reports.xlsx":         p.xlsxFile,
		"GET /reports/sites/{site}": p.sitePage,
		"GET /reports/":             p.nowhere,
	}, instead)
}

// page is what every page of reports has.
type page struct {
	frame.Frame
	W       wording.Wording
	Heading string
	Hint    string // on pages that only say that something is not there
	Q       reports.Query
	BadAsk  bool // the address asks for what can't be understood; Q is the standard question
	Listed  []reports.Period
	names   Names
	labels  *labels // nil before they are needed
}

func (p *Pages) page(rw http.ResponseWriter, r *http.Request) page {
	out := page{Frame: p.house.Frame(rw, r)}
	out.W = wording.In(out.Lang)
	return out
}

// open begins a page that shows figures. It answers by itself, and returns false, where that fails.
func (p *Pages) open(rw http.ResponseWriter, r *http.Request) (page, bool) {
	out := p.page(rw, r)
	var err error
	if p.o.Names != nil {
		if out.names, err = p.o.Names(r.Context()); err != nil {
			p.o.Log.Error("names of sites not read", "error", err) // ids will do
		}
	}
	if out.Listed, err = p.o.Reporter.Periods(r.Context()); err != nil {
		p.fail(rw, r, err)
		return out, false
	}
	if out.Q, err = ask.ForReport(asked(out.Query()), out.Now, out.Zone); err != nil {
		out.BadAsk, out.Q = true, reports.Query{Hours: reports.Office}
	}
	if out.Q.Period.From.IsZero() {
		out.Q.Period = period.Latest(out.Listed, out.Now, out.Zone)
	}
	return out, true
}

// anyDays is chosen in the form where the two days beside it count.
const anyDays = "days"

// asked is a query without what the form sends along but does not mean: days beside a month that was chosen, and a
// choice of days beside the days.
func asked(q url.Values) url.Values {
	out := url.Values{}
	for key, values := range q {
		out[key] = values
	}
	switch p := out.Get("period"); {
	case p == anyDays:
		out.Del("period")
	case p != "":
		out.Del("from")
		out.Del("to")
	}
	return out
}

func (p *Pages) sorry(rw http.ResponseWriter, r *http.Request, status int, heading, hint string) {
	out := p.page(rw, r)
	out.Heading, out.Hint = out.T(heading), out.T(hint)
	out.PageTitle = out.Heading + " – " + out.PageTitle
	p.house.Render(rw, r, status, p.templates, "sorry", out)
}

func (p *Pages) nowhere(rw http.ResponseWriter, r *http.Request) {
	p.sorry(rw, r, http.StatusNotFound, "report.nowhere", "report.nowhere_hint")
}

// fail answers with what went wrong, in the reader's words; the log has the rest.
func (p *Pages) fail(rw http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is waiting
	}
	away := errors.Is(err, store.ErrAway) // or a part of it that this needs
	if away {
		p.o.Log.Warn("the database has no answer", "path", r.URL.Path, "error", err)
	}
	if away || p.o.Status != nil && p.o.Status.Status().Store.Away {
		p.sorry(rw, r, http.StatusServiceUnavailable, "report.failed", "report.failed_away")
		return
	}
	p.o.Log.Error("report not made", "path", r.URL.Path, "error", err)
	p.sorry(rw, r, http.StatusInternalServerError, "report.failed", "error.page")
}

// Remark is what a reader has to know before believing the figures.
type Remark struct {
	Text, Detail string
	Bad          bool
}

// remarks says what is not as it should be about a report.
func (p *Pages) remarks(at *page, r *reports.Report) (out []Remark) {
	if at.BadAsk {
		out = append(out, Remark{Text: at.T("report.bad_question"), Bad: true})
	}
	for _, u := range r.Unknown {
		text := at.T("report.unknown_"+u.What, "name", u.Name)
		if len(u.Near) > 0 {
			text += " " + at.T("report.near", "names", strings.Join(u.Near, ", "))
		}
		out = append(out, Remark{Text: text, Bad: true})
	}
	if r.DataTo.Before(r.Period.To) {
		to := wording.Moment(r.DataTo, at.Zone)
		if at.Now.Before(r.Period.To) {
			out = append(out, Remark{Text: at.T("report.running", "to", to)})
		} else {
			out = append(out, Remark{Text: at.T("report.incomplete", "to", to), Bad: true})
		}
	}
	if r.Pending > 0 {
		out = append(out, Remark{Text: at.W.Say("report.note_pending_text", "n", at.Count(r.Pending))})
	}
	if p.o.Status != nil {
		s := p.o.Status.Status()
		if text := words.Behind(phrase.Lang(at.Lang), s, at.Now, at.Zone); text != "" {
			out = append(out, Remark{Text: text, Detail: s.Rollups.Failed, Bad: true})
		}
	}
	return out
}

// The methods below are the vocabulary of the templates.

// To is an address of reports with the question of this page.
func (p page) To(path string) string { return p.ToWith(path) }

// ToWith is To with some of it changed: pairs of parameter and value; an empty value drops it.
func (p page) ToWith(path string, change ...string) string {
	q := url.Values{}
	for _, key := range []string{"period", "from", "to", "hours", "layer", "district", "provider", "site", "sort", "pairs", "all"} {
		if v := p.Query().Get(key); v != "" && !p.BadAsk {
			q.Set(key, v)
		}
	}
	for i := 0; i+1 < len(change); i += 2 {
		if change[i] == "period" {
			q.Del("from")
			q.Del("to")
		}
		q.Del(change[i])
		if change[i+1] != "" {
			q.Set(change[i], change[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Moment writes a time without its seconds.
func (p page) Moment(t time.Time) string { return wording.Moment(t, p.Zone) }

// SitePath is the address of a site's page of reports.
func (p page) SitePath(id string) string { return "/reports/sites/" + url.PathEscape(id) }

// MapPath is the address of a site's page beside the map.
func (p page) MapPath(id string) string { return "/sites/" + url.PathEscape(id) }

// Choice is one thing to choose in a form.
type Choice struct {
	Value, Label string
	Chosen       bool
}

// Periods are the months, quarters and years to choose from, the newest first.
func (p page) Periods() (out []struct {
	Label   string
	Choices []Choice
}) {
	months, quarters, years := []Choice{}, []Choice{}, []Choice{}
	add := func(list *[]Choice, name string) {
		if slices.ContainsFunc(*list, func(c Choice) bool { return c.Value == name }) {
			return
		}
		of, err := period.Parse(name, p.Zone)
		if err != nil {
			return // of a month that a reporter made up
		}
		label := p.W.PeriodName(of)
		if of.To.After(p.Now) {
			label += " " + p.T("report.not_over")
		}
		*list = append(*list, Choice{name, label, name == period.Name(p.Q.Period)})
	}
	listed := p.Listed
	if len(listed) == 0 {
		listed = []reports.Period{p.Q.Period}
	}
	for _, m := range listed {
		month := period.Month(m.From, p.Zone)
		add(&months, period.Name(month))
		month.Kind = reports.Quarter
		add(&quarters, period.Name(month))
		month.Kind = reports.Year
		add(&years, period.Name(month))
	}
	if p.Q.Period.Kind != reports.Days { // one that there are no figures of may be asked for too
		add(map[reports.Kind]*[]Choice{reports.Month: &months, reports.Quarter: &quarters, reports.Year: &years}[p.Q.Period.Kind], period.Name(p.Q.Period))
	}
	for _, g := range []struct {
		key     string
		choices []Choice
	}{{"report.months", months}, {"report.quarters", quarters}, {"report.years", years}} {
		out = append(out, struct {
			Label   string
			Choices []Choice
		}{p.T(g.key), g.choices})
	}
	return out
}

// IsDays says whether any days were asked for.
func (p page) IsDays() bool { return p.Q.Period.Kind == reports.Days }

// FirstDay and LastDay are those of the period, as a form has them.
func (p page) FirstDay() string { return p.Q.Period.From.Format(time.DateOnly) }

// LastDay is the last one that counts.
func (p page) LastDay() string { return period.Last(p.Q.Period).Format(time.DateOnly) }

// Beside is the period before or after this one as a link; nil where there are no figures.
func (p page) Beside(by int) *Choice {
	b := period.Beside(p.Q.Period, by)
	if !b.From.Before(p.Now) || len(p.Listed) > 0 && !p.Listed[len(p.Listed)-1].From.Before(b.To) {
		return nil
	}
	if b.Kind == reports.Days {
		return &Choice{Value: p.ToWith("/reports", "period", "", "from", b.From.Format(time.DateOnly), "to", period.Last(b).Format(time.DateOnly)), Label: p.W.PeriodName(b)}
	}
	return &Choice{Value: p.ToWith("/reports", "period", period.Name(b)), Label: p.W.PeriodName(b)}
}

// Legend are the parts of a bar.
func (p page) Legend() (out []Choice) {
	for _, s := range sharesOf(&reports.Figures{}) {
		out = append(out, Choice{Value: s.Name, Label: p.W.Say("report.share_" + s.Name)})
	}
	return out
}
