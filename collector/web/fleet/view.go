package fleet

import (
	"slices"
	"strings"
	"time"

	"communewatch/collector/muster"
	"communewatch/probes"
)

// The methods below are the vocabulary of the templates.

// cell is what a template of a part of a row needs.
type cell struct {
	P *page
	R *muster.Row
}

// Of is a row for the templates of its parts.
func (p *page) Of(r muster.Row) cell { return cell{p, &r} }

// Heads are the keys of the table's headings.
func (p *agentsPage) Heads() []string {
	return []string{"fleet.col_site", "fleet.col_connected", "fleet.col_results", "fleet.col_version", "fleet.col_work", "fleet.col_spool", "fleet.col_clock", "fleet.col_expires", "fleet.col_host"}
}

// For is how long ago something was, in words.
func (p *page) For(t time.Time) string { return p.Frame.For(&t) }

// Time writes a moment to the second.
func (p *page) Time(t time.Time) string { return p.Frame.Time(&t) }

// Short writes a moment to the minute; today without its day.
func (p *page) Short(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	t = t.In(p.Zone)
	if now := p.Now.In(p.Zone); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("02/01/2006 15:04")
}

// Milli is a moment that is kept in milliseconds.
func (p *page) Milli(ms int64) time.Time { return time.UnixMilli(ms) }

// Left is how long it is until t, in words; "" when it has passed.
func (p *page) Left(t time.Time) string {
	if !t.After(p.Now) {
		return ""
	}
	return p.Seconds(t.Sub(p.Now).Seconds())
}

// Hours words a number of hours.
func (p *page) Hours(n int) string { return p.Seconds(float64(n) * 3600) }

// Rows is how high the editor is.
func (p *workPage) Rows() int { return min(max(strings.Count(p.Text, "\n")+1, 12), 40) }

// where is what the choice of districts needs.
type where struct {
	P  *peoplePage
	Of []string
}

// Where is the choice of districts of somebody.
func (p *peoplePage) Where(of []string) where { return where{p, of} }

// All reports whether somebody sees every district; who sees none is another case.
func (w where) All() bool { return w.Of == nil }

// Boxes are the districts to choose from: those that sites are in, and those of the person that are no more.
func (w where) Boxes() []string {
	all := slices.Concat(w.P.Districts, w.Of)
	slices.Sort(all)
	return slices.Compact(all)
}

// PathName is a line of a site, in words.
func (p *page) PathName(path string) string {
	if slices.Contains(probes.Layers(), probes.Layer(path)) {
		return p.T("layer." + path)
	}
	return path
}
