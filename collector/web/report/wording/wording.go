// Package wording says what a report of lines holds as those who write and sign such reports would: periods, shares,
// limits and what came of them. Pages, files and the command line have the same words and the same roundings.
//
// What was not measured is worded as such, and never as zero.
package wording

import (
	"embed"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/reports/compare"
	"communewatch/collector/reports/period"
	"communewatch/collector/web/frame"
	"communewatch/probes"
)

//go:embed i18n/*.json
var files embed.FS

// Words returns the words of reports, one file per language; they add to those of package web.
func Words() (fs.FS, error) { return fs.Sub(files, "i18n") }

var catalogues = sync.OnceValue(func() map[string]frame.Catalogue {
	words, err := Words()
	if err != nil {
		panic(err) // what is embedded is there
	}
	all, err := frame.LoadWords(words)
	if err != nil {
		panic(err) // a test reads it
	}
	return all
})

// Wording words reports in one language.
type Wording struct {
	Lang string
	cat  frame.Catalogue
}

// In returns the wording of a language, "vi" or "en"; of any other it is Vietnamese.
func In(lang string) Wording {
	cat, ok := catalogues()[lang]
	if !ok {
		lang, cat = "vi", catalogues()["vi"]
	}
	return Wording{lang, cat}
}

// Say returns the words for a key of this room.
func (w Wording) Say(key string, pairs ...any) string { return w.cat.T(key, pairs...) }

// Layer names a layer as contracts and reports do.
func (w Wording) Layer(l probes.Layer) string { return w.Say("report.layer_" + string(l)) }

// HoursName names the hours that count.
func (w Wording) HoursName(h reports.Hours) string { return w.Say("report.hours_" + string(h)) }

// Period names a period within a sentence: "tháng 10/2026", "quý III/2026", "năm 2026", "từ ngày … đến ngày …".
func (w Wording) Period(p reports.Period) string {
	year := p.From.Year()
	switch p.Kind {
	case reports.Month:
		month := strconv.Itoa(period.Number(p))
		if w.Lang == "en" {
			month = p.From.Month().String()
		}
		return w.Say("report.month", "month", month, "year", year)
	case reports.Quarter:
		quarter := [...]string{"I", "II", "III", "IV"}[period.Number(p)-1]
		if w.Lang == "en" {
			quarter = strconv.Itoa(period.Number(p))
		}
		return w.Say("report.quarter", "quarter", quarter, "year", year)
	case reports.Year:
		return w.Say("report.year", "year", year)
	}
	return w.Say("report.days", "from", Day(p.From), "to", Day(period.Last(p)))
}

// PeriodName is Period as a heading begins: with a capital.
func (w Wording) PeriodName(p reports.Period) string {
	text := []rune(w.Period(p))
	return strings.ToUpper(string(text[:1])) + string(text[1:])
}

// Title is the report's name.
func (w Wording) Title(p reports.Period) string {
	return w.Say("report.title", "period", w.Period(p))
}

// Day writes a day as people here do.
func Day(t time.Time) string { return t.Format("02/01/2006") }

// Moment writes a time without its seconds.
func Moment(t time.Time, zone *time.Location) string { return t.In(zone).Format("15:04 02/01/2006") }

// None stands for what was not measured, where there is no room for words.
const None = "—"

// Availability writes an availability with two digits: "99,53 %", "100 %". What is below one is never rounded up to it,
// since a line that broke down for a minute did not work all the time.
func (w Wording) Availability(v *float64) string {
	if v == nil {
		return w.Say("report.unmeasured")
	}
	if *v >= 1 {
		return w.percent(100, 0)
	}
	return w.percent(min(*v, 0.9999)*100, 2)
}

// Ratio writes a ratio with the digits that matter: "0,04 %", "2,1 %".
func (w Wording) Ratio(v *float64) string {
	if v == nil {
		return None
	}
	return frame.Percent(w.Lang, *v)
}

// Share writes what part of a whole something was, with one digit: "1,2 %"; what is there but rounds to nothing is
// said to be less than that.
func (w Wording) Share(part, whole float64) string {
	switch {
	case whole <= 0:
		return None
	case part <= 0:
		return w.percent(0, 0)
	case part/whole < 0.0005:
		return "<\u00a0" + w.percent(0.1, 1)
	case part/whole > 0.9995 && part < whole:
		return ">\u00a0" + w.percent(99.9, 1)
	}
	share := 100 * part / whole
	if share >= 99.95 {
		return w.percent(100, 0)
	}
	return w.percent(share, 1)
}

func (w Wording) percent(v float64, decimals int) string {
	text := frame.Number(w.Lang, v, decimals)
	if w.Lang == "en" {
		return text + "%"
	}
	return text + "\u00a0%"
}

// Millis writes seconds in milliseconds.
func (w Wording) Millis(v *float64) string {
	if v == nil {
		return None
	}
	return frame.Millis(w.Lang, *v)
}

// P50 and P95 are a distribution's, nil of none.
func P50(d *reports.Distribution) *float64 {
	if d == nil {
		return nil
	}
	return &d.P50
}

// P95 is a distribution's 95th percentile.
func P95(d *reports.Distribution) *float64 {
	if d == nil {
		return nil
	}
	return &d.P95
}

// Provider names who provides a line.
func (w Wording) Provider(c *reports.Contract) string {
	if c == nil {
		return w.Say("report.no_contract")
	}
	return w.ProviderName(c.Provider)
}

// ProviderName names a provider; the empty name is of those that nobody told.
func (w Wording) ProviderName(name string) string {
	if name == "" {
		return w.Say("report.no_provider")
	}
	return name
}

// Speed writes what a contract says of a line's speed: "150/150 Mbit/s"; empty where it says nothing.
func (w Wording) Speed(c *reports.Contract) string {
	if c == nil || c.DownMbps == 0 && c.UpMbps == 0 {
		return ""
	}
	one := func(v float64) string {
		if v == 0 {
			return None
		}
		decimals := 0
		if v != math.Trunc(v) {
			decimals = 1
		}
		return frame.Number(w.Lang, v, decimals)
	}
	if c.DownMbps == c.UpMbps {
		return one(c.DownMbps) + "\u00a0Mbit/s"
	}
	return one(c.DownMbps) + "/" + one(c.UpMbps) + "\u00a0Mbit/s"
}

// Outcome is what became of a line's limits.
type Outcome string

// The outcomes. Open: no limit was missed, but of some it can't be said. Unagreed: there are none.
const (
	Met      Outcome = "met"
	Missed   Outcome = "missed"
	Open     Outcome = "open"
	Unagreed Outcome = "unagreed"
)

// OutcomeOf sums verdicts up, and says how many were missed.
func OutcomeOf(against []reports.Verdict) (Outcome, int) {
	missed, open := 0, false
	for _, v := range against {
		switch {
		case v.Met == nil:
			open = true
		case !*v.Met:
			missed++
		}
	}
	switch {
	case len(against) == 0:
		return Unagreed, 0
	case missed > 0:
		return Missed, missed
	case open:
		return Open, 0
	}
	return Met, 0
}

// OutcomeName words what became of a line's limits.
func (w Wording) OutcomeName(against []reports.Verdict) string {
	outcome, missed := OutcomeOf(against)
	return w.Say("report.outcome_"+string(outcome), "n", missed, "of", len(against))
}

// What names what a limit is of.
func (w Wording) What(what string) string {
	key := "report.what_" + what
	if text := w.Say(key); text != key {
		return text
	}
	return what
}

// Limit words a limit: "≥ 99,5 %", "≤ 50 ms".
func (w Wording) Limit(v *reports.Verdict) string {
	sign := "≤\u00a0"
	if v.What == "availability" {
		sign = "≥\u00a0"
	}
	return sign + w.value(v.What, v.Limit)
}

// Value words what was measured of a limit's matter.
func (w Wording) Value(v *reports.Verdict) string {
	switch {
	case v.Value == nil:
		return w.Say("report.unmeasured")
	case v.What == "availability":
		return w.Availability(v.Value)
	}
	if isRatio(v.What) {
		return w.Ratio(v.Value)
	}
	return w.value(v.What, *v.Value)
}

// isRatio says whether a limit is of a share of packets, and not of a length of time.
func isRatio(what string) bool { return strings.HasPrefix(what, "loss") }

// value writes a limit with as many digits as it has, up to four.
func (w Wording) value(what string, v float64) string {
	if strings.HasPrefix(what, "rtt") || strings.HasPrefix(what, "jitter") {
		return frame.Millis(w.Lang, v)
	}
	text := strconv.FormatFloat(math.Round(v*1e6)/1e4, 'f', -1, 64)
	_, fraction, _ := strings.Cut(text, ".")
	return w.percent(v*100, len(fraction))
}

// By words what decided which of two lines was worse; empty where nothing did.
func (w Wording) By(by compare.By) string {
	if by == compare.ByNothing {
		return ""
	}
	return w.Say("report.by_" + string(by))
}

// Why says why of a limit it can't be said whether it was kept; empty where it can.
func (w Wording) Why(v *reports.Verdict) string {
	if v.Met != nil || v.Why == "" {
		return ""
	}
	key := "report.why_" + v.Why
	if text := w.Say(key, "known", w.percent(100*reports.MinKnown, 0), "values", reports.MinValues); text != key {
		return text
	}
	return v.Why
}
