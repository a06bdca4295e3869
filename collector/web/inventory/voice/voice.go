// Package voice words what is known of equipment for one reader, in the reader's language: names of states with their
// shapes, amounts, days, sources, bars. It knows no pages and no requests.
package voice

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/stock"
	"communewatch/collector/web/frame"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/wording"
)

// Voice words values for one reader. Its methods are the vocabulary of the templates.
type Voice struct {
	frame.Frame
	lang wording.Lang
}

// Of returns the voice for a reader.
func Of(f frame.Frame) *Voice { return &Voice{f, wording.Lang(f.Lang)} }

// Or words a value by a key, and by another word where there is no such key.
func (v *Voice) Or(key, otherwise string) string {
	if text := v.T(key); text != key {
		return text
	}
	return otherwise
}

// Class names a class of equipment.
func (v *Voice) Class(class string) string {
	if class == "" {
		return ""
	}
	return v.Or("class."+class, class)
}

// Phase names a purchase phase.
func (v *Voice) Phase(phase string) string {
	if phase == stock.NoPhase || phase == "" {
		return v.T("inventory.no_phase")
	}
	return phase
}

// Fact names a fact, or what people say of a device.
func (v *Voice) Fact(name string) string { return v.Or("fact."+name, wording.Input(v.lang, name)) }

// Method says how a value was read.
func (v *Voice) Method(m lifecycle.Method) string {
	if m == "" {
		return "–"
	}
	return v.Or("method."+string(m), string(m))
}

// Link says how a purchase was found to be a device.
func (v *Voice) Link(reason string) string { return v.Or("link."+reason, reason) }

// Ticket names a kind of ticket.
func (v *Voice) Ticket(kind string) string { return v.Or("ticket."+kind, kind) }

// Note names what a rarer cell of the catalogue says.
func (v *Voice) Note(name string) string { return v.Or("note."+name, name) }

// Sure writes a confidence.
func (v *Voice) Sure(ratio float64) string { return v.Number(ratio*100, 0) + " %" }

// Money writes an amount in VND as people here do: 12.500.000 ₫.
func (v *Voice) Money(vnd int64) string {
	if vnd == 0 {
		return "–"
	}
	return frame.Number("vi", float64(vnd), 0) + " ₫"
}

// DayText writes a day as people here do; a dash for the zero day.
func (v *Voice) DayText(d inventory.Date) string {
	if d.IsZero() {
		return "–"
	}
	return d.Format("02/01/2006")
}

// Moment writes a moment as people here do; a dash for the zero one. Midnight UTC is a day of a document, which has no
// time.
func (v *Voice) Moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	if t.Equal(t.UTC().Truncate(24 * time.Hour)) {
		return t.UTC().Format("02/01/2006")
	}
	return t.In(v.Zone).Format("02/01/2006 15:04")
}

// tag draws a word with its shape.
func tag(kind, state, shape, words string) template.HTML {
	return template.HTML(`<span class="state ` + kind + `" data-state="` + template.HTMLEscapeString(state) + `">` +
		string(frame.Glyph(shape)) + template.HTMLEscapeString(words) + `</span>`)
}

// State shows a technical state, by colour, shape and word.
func (v *Voice) State(s lifecycle.State) template.HTML {
	shape := string(s)
	switch s {
	case lifecycle.StateOK:
		shape = "fine"
	case "":
		shape = "unknown"
	}
	return tag("technical", shape, shape, wording.State(v.lang, s))
}

// Standing shows one of the three numbers' words.
func (v *Voice) Standing(s stock.Standing) template.HTML {
	return tag("technical", string(s), string(s), wording.Bucket(v.lang, s))
}

// Legal shows a legal answer. Its shapes are squares, so that nobody takes it for a technical state.
func (v *Voice) Legal(s lifecycle.LegalState) template.HTML {
	return tag("legal", legalShape(string(s)), legalShape(string(s)), wording.Legal(v.lang, s))
}

// LegalState shows what one legal rule says.
func (v *Voice) LegalState(s lifecycle.State) template.HTML {
	return tag("legal", legalShape(string(s)), legalShape(string(s)), wording.State(v.lang, s))
}

func legalShape(s string) string {
	switch s {
	case "eligible", "not_yet", "not_allowed", "not_applicable":
		return s
	}
	return "untold"
}

// The names that package wording gives, for templates.

func (v *Voice) Action(a lifecycle.Action) string     { return wording.Action(v.lang, a) }
func (v *Voice) Band(b lifecycle.Band) string         { return wording.Band(v.lang, b) }
func (v *Voice) Severity(s lifecycle.Severity) string { return wording.Severity(v.lang, s) }
func (v *Voice) Rule(rule string) string              { return wording.Rule(v.lang, rule) }
func (v *Voice) Match(m lifecycle.MatchKind) string   { return wording.Match(v.lang, m) }
func (v *Voice) Grade(g string) string                { return wording.Grade(v.lang, g) }

// Replacement says whether a replacement may be proposed.
func (v *Voice) Replacement(r lifecycle.Replacement) string { return wording.Replacement(v.lang, r) }

// Signed writes points with their sign.
func (v *Voice) Signed(n int) string { return fmt.Sprintf("%+d", n) }

// Standings are the choices to filter by.
func (v *Voice) Standings() (out []stock.Choice) {
	for _, s := range []stock.Standing{stock.Outdated, stock.Fine, stock.Unknown} {
		out = append(out, stock.Choice{Value: string(s), Label: wording.Bucket(v.lang, s)})
	}
	return out
}

// States are the choices to filter by.
func (v *Voice) States() (out []stock.Choice) {
	for _, s := range []lifecycle.State{lifecycle.StateOutdated, lifecycle.StateDueSoon, lifecycle.StateReview, lifecycle.StateOK, lifecycle.StateUnknown} {
		out = append(out, stock.Choice{Value: string(s), Label: wording.State(v.lang, s)})
	}
	return out
}

// Legals are the choices to filter by.
func (v *Voice) Legals() (out []stock.Choice) {
	for _, s := range []lifecycle.LegalState{lifecycle.LegalEligible, lifecycle.LegalNotYet, lifecycle.LegalCannotTell} {
		out = append(out, stock.Choice{Value: string(s), Label: wording.Legal(v.lang, s)})
	}
	return out
}

// Actions are the choices to filter by.
func (v *Voice) Actions() (out []stock.Choice) {
	for _, a := range []lifecycle.Action{lifecycle.ActionReplace, lifecycle.ActionTransfer, lifecycle.ActionUpgradeOS, lifecycle.ActionUpgradeFirmware,
		lifecycle.ActionReconfigure, lifecycle.ActionIsolate, lifecycle.ActionVerify} {
		out = append(out, stock.Choice{Value: string(a), Label: wording.Action(v.lang, a)})
	}
	return out
}

// Bands are the choices to filter by.
func (v *Voice) Bands() (out []stock.Choice) {
	for _, b := range lifecycle.Bands() {
		out = append(out, stock.Choice{Value: string(b), Label: wording.Band(v.lang, b)})
	}
	return out
}

// Source is one part of what a catalogue row cites.
type Source struct{ Text, Link string }

// Sources takes apart what a catalogue row cites: links, and names without one.
func (v *Voice) Sources(text string) (out []Source) {
	for part := range strings.SplitSeq(text, " | ") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		first, rest, _ := strings.Cut(part, " ")
		if u, err := url.Parse(first); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			out = append(out, Source{Text: strings.TrimSpace(u.Host + shortened(u.Path) + " " + rest), Link: first})
			continue
		}
		out = append(out, Source{Text: part})
	}
	return out
}

// Cited says in short who says what a row holds, and when somebody last looked: for paper, where no link can be followed.
func (v *Voice) Cited(r *lifecycle.Row) string {
	text := strings.Join(r.Publishers(), ", ")
	if !r.ReviewedOn.IsZero() {
		text += ", " + v.T("catalogue.reviewed_on", "date", v.DayText(r.ReviewedOn))
	}
	return text
}

// Lines takes a text apart into its lines.
func (v *Voice) Lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// shortened keeps the end of a long path, which says most.
func shortened(path string) string {
	r := []rune(strings.TrimSuffix(path, "/"))
	if len(r) > 40 {
		return "/…" + string(r[len(r)-36:])
	}
	return string(r)
}

// Pairs are the rarer cells of a catalogue row, in a fixed order.
func (v *Voice) Pairs(r lifecycle.Row) (out []stock.Choice) {
	for _, name := range []string{"status", "min_fw", "latest", "latest_on", "paid_name", "paid_until", "security_until", "last_extension", "cve", "kev_added",
		"platform", "cert_end", "best_effort_end", "generation", "build", "alias"} {
		if text := r.Note(name); text != "" {
			out = append(out, stock.Choice{Value: name, Label: v.worded(name, text)})
		}
	}
	return out
}

// worded is a cell of the catalogue as people read it.
func (v *Voice) worded(name, text string) string {
	if name == "status" {
		return v.Or("status."+text, text)
	}
	return wording.Date(text)
}

// Part is one part of a bar, in hundredths of its width.
type Part struct {
	State    string
	At, Wide float64
}

// Bar are the parts of three numbers as a bar. None that is there is too thin to be seen.
func (v *Voice) Bar(outdated, fine, unknown int) (out []Part) {
	const least = 1.5
	total := float64(outdated + fine + unknown)
	if total == 0 {
		return nil
	}
	at, sum := 0.0, 0.0
	numbers := []struct {
		state string
		n     int
	}{{"outdated", outdated}, {"fine", fine}, {"unknown", unknown}}
	widths := make([]float64, len(numbers))
	for i, n := range numbers {
		if n.n > 0 {
			widths[i] = math.Max(least, 100*float64(n.n)/total)
		}
		sum += widths[i]
	}
	for i, n := range numbers {
		if n.n > 0 {
			w := widths[i] * 100 / sum
			out = append(out, Part{n.state, math.Round(at*100) / 100, math.Round(w*100) / 100})
			at += w
		}
	}
	return out
}

// DeviceName names a device by what is known of it.
func (v *Voice) DeviceName(r stock.Row) string {
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
	*Voice
	Findings []stock.Finding
	Legal    bool
}

// Technical shows a state as voice does; the name State is taken by what a finding has.
func (v *Voice) Technical(s lifecycle.State) template.HTML { return v.State(s) }

// List gives a template its findings together with the words for them.
func (v *Voice) List(findings []stock.Finding, legal bool) Worded { return Worded{v, findings, legal} }

// Sum is what parts of a priority add up to.
func (v *Voice) Sum(parts []stock.Points) (n int) {
	for _, p := range parts {
		n += p.Points
	}
	return n
}

// PathName names a path.
func (v *Voice) PathName(path string) string { return v.Or("path."+path, path) }

// Said writes a fact's value, or what a person said, as people read it.
func (v *Voice) Said(name, value string) string {
	number, err := strconv.ParseInt(value, 10, 64)
	switch {
	case name == "class":
		return v.Class(value)
	case value == "yes" || value == "no":
		return v.T("word." + value)
	case err != nil:
	case name == "price" || name == "replace_price" || name == "equivalent_new" || name == "repair":
		return v.Money(number)
	case (name == "ram_bytes" || name == "disk_bytes") && number >= 1<<30:
		return v.Number(float64(number)/(1<<30), 1) + " GiB"
	}
	return wording.Date(value)
}

// Why says why another device may be this one.
func (v *Voice) Why(why string) string { return v.Or("why."+why, why) }

// BoughtList are pieces that were bought, with the words for them.
type BoughtList struct {
	*Voice
	Of []stock.Purchase
}

// Bought gives a template pieces together with the words for them.
func (v *Voice) Bought(of []stock.Purchase) BoughtList { return BoughtList{v, of} }

// Weak reports whether a piece wants a person's look.
func (v *Voice) Weak(u stock.Purchase) bool { return u.Confidence < stock.WeakLink }

// Interval writes a rate with its interval.
func (v *Voice) Interval(r stock.FailureRate) string {
	if r.Years <= 0 || math.IsInf(r.High, 1) {
		return "–"
	}
	return v.Number(r.Rate, 2) + " (" + v.Number(r.Low, 2) + " – " + v.Number(r.High, 2) + ")"
}

// Span writes from when to when.
func (v *Voice) Span(first, last inventory.Date) string {
	if first == last {
		return v.DayText(first)
	}
	return v.DayText(first) + " – " + v.DayText(last)
}

// StateText and LegalText are the words of states alone, for files.
func (v *Voice) StateText(s lifecycle.State) string { return wording.State(v.lang, s) }

// LegalText is the words of a legal answer.
func (v *Voice) LegalText(s lifecycle.LegalState) string { return wording.Legal(v.lang, s) }

// StandingText is the words of one of the three numbers.
func (v *Voice) StandingText(s stock.Standing) string { return wording.Bucket(v.lang, s) }
