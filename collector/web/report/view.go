package report

import (
	"cmp"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"communewatch/collector/reports"
	"communewatch/collector/reports/compare"
	"communewatch/collector/web/report/sheets"
	"communewatch/collector/web/report/wording"
	"communewatch/inventory"
	"communewatch/probes"
)

// figures are the numbers of a line or a group, worded.
type figures struct {
	Measured                           bool
	Availability, Known, Outages, Down string
	Maintenance, Off, Closed, NoData   string
	Loss, P50, P95, Jitter             string
	Bar                                template.HTML
	Shares                             string        // the bar in words
	Cells                              template.HTML // all that a line's row has of them
}

// share is one part of a period. Its name is that of its look.
type share struct {
	Name    string
	Seconds float64
}

func sharesOf(f *reports.Figures) []share {
	return []share{{"ok", f.OK}, {"degraded", f.Degraded}, {"down", f.Down}, {"maintenance", f.Maintenance}, {"off", f.Off}, {"closed", f.Closed}, {"no_data", f.NoData}}
}

// leastWidth is how wide the part of a bar that was wrong is drawn at least, in percent: what is there is seen.
const leastWidth = 1.2

// bar draws the shares of a period. Its numbers stand beside it, so that it is hidden from those who listen.
func bar(f *reports.Figures) template.HTML {
	var b strings.Builder
	b.WriteString(`<svg class="shares" aria-hidden="true">`)
	if f.Period > 0 {
		widths, spare := make([]float64, 0, 7), 0.0
		largest := 0
		for i, s := range sharesOf(f) {
			w := 100 * s.Seconds / f.Period
			if (s.Name == "down" || s.Name == "degraded") && w > 0 && w < leastWidth {
				spare += leastWidth - w
				w = leastWidth
			}
			if widths = append(widths, w); w > widths[largest] {
				largest = i
			}
		}
		widths[largest] = max(0, widths[largest]-spare)
		at := 0.0
		for i, s := range sharesOf(f) {
			if widths[i] < 0.05 {
				continue
			}
			b.WriteString(`<rect class="sh-` + s.Name + `" x="` + percent(at) + `" width="` + percent(widths[i]) + `" height="100%"/>`)
			at += widths[i]
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

func percent(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) + "%" }

// figures words numbers.
func (p *page) figures(f *reports.Figures) figures {
	out := figures{
		Measured: f.Availability != nil, Availability: p.W.Availability(f.Availability), Known: p.W.Share(f.Known, 1), Down: wording.None,
		Maintenance: p.W.Share(f.Maintenance, f.Period), Off: p.W.Share(f.Off, f.Period), Closed: p.W.Share(f.Closed, f.Period), NoData: p.W.Share(f.NoData, f.Period),
		Loss: p.W.Ratio(f.Loss), P50: p.W.Millis(wording.P50(f.RTT)), P95: p.W.Millis(wording.P95(f.RTT)), Jitter: p.W.Millis(wording.P95(f.Jitter)),
		Bar: bar(f),
	}
	if out.Measured {
		if out.Outages = ""; f.Outages > 0 {
			out.Outages = p.T("report.times", "n", p.Whole(uint64(f.Outages)))
		}
		if out.Down = "0"; f.Down > 0 {
			out.Down = p.downtime(f.Down)
		}
	}
	var says []string
	for _, s := range sharesOf(f) {
		if s.Seconds > 0 {
			says = append(says, p.W.Say("report.share_"+s.Name)+" "+p.W.Share(s.Seconds, f.Period))
		}
	}
	out.Shares = strings.Join(says, " · ")
	return out
}

// downtime words a length of time by its two largest units. Words cut what is smaller off, while files round: so it is
// rounded here first.
func (p *page) downtime(seconds float64) string {
	unit := 1.0
	switch {
	case math.Round(seconds/60) >= 24*60:
		unit = 3600
	case seconds >= 60:
		unit = 60
	}
	return strings.ReplaceAll(p.Seconds(math.Round(seconds/unit)*unit), " ", "\u00a0")
}

// lineFigures words the numbers of a line, with the cells of its row.
func (p *page) lineFigures(f *reports.Figures) figures {
	out := p.figures(f)
	out.Cells = p.cellsOf(&out)
	return out
}

// lineView is a line in a table.
type lineView struct {
	Site, Name, District string
	Provider, Speed      string
	Contract             bool
	F                    figures
	Agreed               template.HTML
}

// source is a place where limits are written.
type source struct {
	N        int
	Citation string
	Limits   []string
}

// sources numbers the places where limits are written, and lists them with their limits.
func (p *page) sources(r *reports.Report) (numbers map[string]int, listed []source) {
	numbers = map[string]int{}
	for _, l := range sheets.Limits(r) {
		n := numbers[l.Citation]
		if n == 0 {
			n = len(listed) + 1
			numbers[l.Citation] = n
			listed = append(listed, source{N: n, Citation: l.Citation})
		}
		text := p.W.Say("report.limit", "what", p.W.What(l.What), "limit", p.W.Limit(&l.Verdict), "hours", strings.ToLower(p.W.HoursName(l.Hours)))
		if l.Profile != "" {
			text += " (" + l.Profile + ")"
		}
		listed[n-1].Limits = append(listed[n-1].Limits, text)
	}
	return numbers, listed
}

// layerTable is the lines of one layer.
type layerTable struct {
	Layer    probes.Layer
	Name     string
	Contract bool // some line has one
	Rows     []lineView
	Of       int // lines, with those that Rows leaves out
}

// mostLines is how many lines of a layer a page has: enough for all of a province, while a fleet of thousands does not
// make everybody wait for megabytes. ?all=1 lifts it.
const mostLines = 200

// tables are the lines by layer, in the order asked for.
func (p *page) tables(r *reports.Report, notes map[string]int) (out []layerTable) {
	for _, layer := range probes.Layers() {
		t := layerTable{Layer: layer, Name: p.W.Layer(layer)}
		for _, l := range p.sorted(r, layer) {
			if t.Of++; t.Of > mostLines && p.Query().Get("all") != "1" {
				continue
			}
			v := lineView{Site: l.Site, Name: l.Name, District: l.District, Contract: l.Contract != nil, F: p.lineFigures(&l.Figures)}
			if l.Contract != nil {
				v.Provider, v.Speed = p.W.Provider(l.Contract), p.W.Speed(l.Contract)
			}
			v.Agreed = p.agreed(l.Against, notes)
			t.Contract = t.Contract || v.Contract
			t.Rows = append(t.Rows, v)
		}
		if len(t.Rows) > 0 {
			out = append(out, t)
		}
	}
	return out
}

// Sorted says by what lines are sorted; empty: by district and site, as in the report.
func (p page) Sorted() string { return known(p.Query().Get("sort"), lineOrders) }

func known[T any](key string, in map[string]T) string {
	if _, ok := in[key]; ok {
		return key
	}
	return ""
}

// lineOrders give each line a number that is larger the worse it is; nil of those that were not measured, which come last.
var lineOrders = map[string]func(f *reports.Figures) *float64{
	"availability": func(f *reports.Figures) *float64 { return negative(f.Availability) },
	"down":         func(f *reports.Figures) *float64 { return measured(f, f.Down) },
	"no_data":      func(f *reports.Figures) *float64 { return &f.NoData },
	"loss":         func(f *reports.Figures) *float64 { return f.Loss },
	"rtt":          func(f *reports.Figures) *float64 { return wording.P95(f.RTT) },
	"jitter":       func(f *reports.Figures) *float64 { return wording.P95(f.Jitter) },
}

func negative(v *float64) *float64 {
	if v == nil {
		return nil
	}
	n := -*v
	return &n
}

func measured(f *reports.Figures, v float64) *float64 {
	if f.Availability == nil {
		return nil
	}
	return &v
}

// worstFirst orders numbers from the largest down; nil comes last.
func worstFirst(a, b *float64) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*b, *a)
}

// sorted are the lines of a layer in the order asked for.
func (p *page) sorted(r *reports.Report, layer probes.Layer) (out []*reports.Line) {
	for i := range r.Lines {
		if r.Lines[i].Layer == layer {
			out = append(out, &r.Lines[i])
		}
	}
	if by := lineOrders[p.Sorted()]; by != nil {
		slices.SortStableFunc(out, func(a, b *reports.Line) int { return worstFirst(by(&a.Figures), by(&b.Figures)) })
	}
	return out
}

// groupView is a group in a table.
type groupView struct {
	Name, Layer string
	ID          string // what the group is asked for by; empty: it can't be
	LayerID     probes.Layer
	Lines       string
	F           figures
	Agreed      string // what became of its lines' limits; empty: there are none
}

func (p *page) groups(groups []reports.Group, word func(string) string) (out []groupView) {
	for i := range groups {
		g := &groups[i]
		out = append(out, groupView{Name: word(g.Name), ID: g.Name, Layer: p.W.Layer(g.Layer), LayerID: g.Layer, Lines: p.Count(g.Lines), F: p.figures(&g.Figures),
			Agreed: p.kept(g)})
	}
	return out
}

// kept says how many lines of a group kept their limits: those of which it can't be said count too, or the sum would not
// be that of the lines.
func (p *page) kept(g *reports.Group) string {
	if g.Met+g.Missed+g.Open == 0 {
		return ""
	}
	text := p.T("report.met_missed", "met", p.Count(g.Met), "missed", p.Count(g.Missed))
	if g.Open > 0 {
		text += p.T("report.and_open", "open", p.Count(g.Open))
	}
	return text
}

// pairView is the two lines of a site.
type pairView struct {
	Site, Name, District string
	A, B                 figures
	Side                 compare.Side
	Worse, By, Both      string

	gap, both *float64
	a, b      *reports.Figures
}

// pairCount is how many sites have which worse line.
type pairCount struct {
	Side compare.Side
	Name string
	N    string
}

// mostPairs is how many sites the comparison of lines has on a page; ?all=1 lifts it.
const mostPairs = 20

// pairOrders give each pair a number that is larger the more it is worth a look; nil comes last.
var pairOrders = map[string]func(v *pairView) *float64{
	"gap":       func(v *pairView) *float64 { return v.gap },
	"broadband": func(v *pairView) *float64 { return negative(v.a.Availability) },
	"dedicated": func(v *pairView) *float64 { return negative(v.b.Availability) },
	"both":      func(v *pairView) *float64 { return v.both },
}

// SortedPairs says by what pairs are sorted: "site", or a key of pairOrders.
func (p page) SortedPairs() string {
	if asked := p.Query().Get("pairs"); asked == "site" || known(asked, pairOrders) != "" {
		return asked
	}
	return "gap"
}

func (p *page) pairs(r *reports.Report) (out []pairView, counts []pairCount) {
	n := map[compare.Side]int{}
	for _, pair := range r.Pairs {
		a, b := &r.Lines[pair.Broadband], &r.Lines[pair.Dedicated]
		side, by := compare.Worse(&a.Figures, &b.Figures)
		n[side]++
		v := pairView{Site: pair.Site, Name: a.Name, District: a.District, A: p.figures(&a.Figures), B: p.figures(&b.Figures), Side: side,
			Worse: p.W.Say("report.worse_" + string(side)), By: p.W.By(by), Both: wording.None, a: &a.Figures, b: &b.Figures}
		if a.Figures.Availability != nil && b.Figures.Availability != nil {
			gap := math.Abs(*a.Figures.Availability - *b.Figures.Availability)
			v.gap = &gap
		}
		if pair.Both != nil {
			v.both = &pair.Both.DownSeconds
			if v.Both = "0"; *v.both > 0 {
				v.Both = p.downtime(*v.both)
			}
		}
		out = append(out, v)
	}
	if by := pairOrders[p.SortedPairs()]; by != nil {
		slices.SortStableFunc(out, func(a, b pairView) int { return worstFirst(by(&a), by(&b)) })
	} else {
		slices.SortStableFunc(out, func(a, b pairView) int { return cmp.Compare(inventory.Fold(a.Name), inventory.Fold(b.Name)) })
	}
	for _, side := range []compare.Side{compare.Broadband, compare.Dedicated, compare.Alike, compare.Unknown} {
		counts = append(counts, pairCount{side, p.W.Say("report.worse_" + string(side)), p.Count(n[side])})
	}
	return out, counts
}
