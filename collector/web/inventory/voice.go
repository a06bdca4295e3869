package inventory

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strings"
	"time"

	"communewatch/collector/stock"
	"communewatch/collector/web/frame"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/wording"
)

// voice words values for one reader.
type voice struct {
	frame.Frame
	lang wording.Lang
}

func voiceOf(f frame.Frame) *voice { return &voice{f, wording.Lang(f.Lang)} }

// or words a value by a key, and by another word where there is no such key.
func (v *voice) or(key, otherwise string) string {
	if text := v.T(key); text != key {
		return text
	}
	return otherwise
}

// Class names a class of equipment.
func (v *voice) Class(class string) string {
	if class == "" {
		return ""
	}
	return v.or("class."+class, class)
}

// Phase names a purchase phase.
func (v *voice) Phase(phase string) string {
	if phase == stock.NoPhase || phase == "" {
		return v.T("inventory.no_phase")
	}
	return phase
}

// Fact names a fact, or what people say of a device.
func (v *voice) Fact(name string) string { return v.or("fact."+name, wording.Input(v.lang, name)) }

// Method says how a value was read.
func (v *voice) Method(m lifecycle.Method) string {
	if m == "" {
		return "–"
	}
	return v.or("method."+string(m), string(m))
}

// Link says how a purchase was found to be a device.
func (v *voice) Link(reason string) string { return v.or("link."+reason, reason) }

// Ticket names a kind of ticket.
func (v *voice) Ticket(kind string) string { return v.or("ticket."+kind, kind) }

// Note names what a rarer cell of the catalogue says.
func (v *voice) Note(name string) string { return v.or("note."+name, name) }

// Sure writes a confidence.
func (v *voice) Sure(ratio float64) string { return v.Number(ratio*100, 0) + " %" }

// Money writes an amount in VND as people here do: 12.500.000 ₫.
func (v *voice) Money(vnd int64) string {
	if vnd == 0 {
		return "–"
	}
	return frame.Number("vi", float64(vnd), 0) + " ₫"
}

// DayText writes a day as people here do; a dash for the zero day.
func (v *voice) DayText(d inventory.Date) string {
	if d.IsZero() {
		return "–"
	}
	return d.Format("02/01/2006")
}

// Moment writes a moment as people here do; a dash for the zero one.
func (v *voice) Moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.In(v.Zone).Format("02/01/2006 15:04")
}

// Letters of the three numbers, states and so on, with their shapes.

func tag(kind, state, shape, words string) template.HTML {
	return template.HTML(`<span class="state ` + kind + `" data-state="` + template.HTMLEscapeString(state) + `">` +
		string(frame.Glyph(shape)) + template.HTMLEscapeString(words) + `</span>`)
}

// State shows a technical state, by colour, shape and word.
func (v *voice) State(s lifecycle.State) template.HTML {
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
func (v *voice) Standing(s stock.Standing) template.HTML {
	return tag("technical", string(s), string(s), wording.Bucket(v.lang, s))
}

// Legal shows a legal answer. Its shapes are squares, so that nobody takes it for a technical state.
func (v *voice) Legal(s lifecycle.LegalState) template.HTML {
	return tag("legal", legalShape(string(s)), legalShape(string(s)), wording.Legal(v.lang, s))
}

// LegalState shows what one legal rule says.
func (v *voice) LegalState(s lifecycle.State) template.HTML {
	return tag("legal", legalShape(string(s)), legalShape(string(s)), wording.State(v.lang, s))
}

func legalShape(s string) string {
	switch s {
	case "eligible", "not_yet", "not_allowed", "not_applicable":
		return s
	}
	return "untold"
}

// The names that package wording gives.

func (v *voice) Action(a lifecycle.Action) string     { return wording.Action(v.lang, a) }
func (v *voice) Band(b lifecycle.Band) string         { return wording.Band(v.lang, b) }
func (v *voice) Severity(s lifecycle.Severity) string { return wording.Severity(v.lang, s) }
func (v *voice) Rule(rule string) string              { return wording.Rule(v.lang, rule) }
func (v *voice) Match(m lifecycle.MatchKind) string   { return wording.Match(v.lang, m) }
func (v *voice) Grade(g string) string                { return wording.Grade(v.lang, g) }

// Replacement says whether a replacement may be proposed.
func (v *voice) Replacement(r lifecycle.Replacement) string { return wording.Replacement(v.lang, r) }

// Signed writes points with their sign.
func (v *voice) Signed(n int) string { return fmt.Sprintf("%+d", n) }

func (v *voice) standings() (out []stock.Choice) {
	for _, s := range []stock.Standing{stock.Outdated, stock.Fine, stock.Unknown} {
		out = append(out, stock.Choice{Value: string(s), Label: wording.Bucket(v.lang, s)})
	}
	return out
}

func (v *voice) states() (out []stock.Choice) {
	for _, s := range []lifecycle.State{lifecycle.StateOutdated, lifecycle.StateDueSoon, lifecycle.StateReview, lifecycle.StateOK, lifecycle.StateUnknown} {
		out = append(out, stock.Choice{Value: string(s), Label: wording.State(v.lang, s)})
	}
	return out
}

func (v *voice) legals() (out []stock.Choice) {
	for _, s := range []lifecycle.LegalState{lifecycle.LegalEligible, lifecycle.LegalNotYet, lifecycle.LegalCannotTell} {
		out = append(out, stock.Choice{Value: string(s), Label: wording.Legal(v.lang, s)})
	}
	return out
}

func (v *voice) actions() (out []stock.Choice) {
	for _, a := range []lifecycle.Action{lifecycle.ActionReplace, lifecycle.ActionTransfer, lifecycle.ActionUpgradeOS, lifecycle.ActionUpgradeFirmware,
		lifecycle.ActionReconfigure, lifecycle.ActionIsolate, lifecycle.ActionVerify} {
		out = append(out, stock.Choice{Value: string(a), Label: wording.Action(v.lang, a)})
	}
	return out
}

func (v *voice) bands() (out []stock.Choice) {
	for _, b := range lifecycle.Bands() {
		out = append(out, stock.Choice{Value: string(b), Label: wording.Band(v.lang, b)})
	}
	return out
}

// Source is one part of what a catalogue row cites.
type Source struct{ Text, Link string }

// Sources takes apart what a catalogue row cites: links, and names without one.
func (v *voice) Sources(text string) (out []Source) {
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
func (v *voice) Cited(r *lifecycle.Row) string {
	text := strings.Join(r.Publishers(), ", ")
	if !r.ReviewedOn.IsZero() {
		text += ", " + v.T("catalogue.reviewed_on", "date", v.DayText(r.ReviewedOn))
	}
	return text
}

// Lines takes a text apart into its lines.
func (v *voice) Lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// shortened keeps the end of a long path, which says most.
func shortened(path string) string {
	r := []rune(strings.TrimSuffix(path, "/"))
	if len(r) > 40 {
		return "/…" + string(r[len(r)-36:])
	}
	return string(r)
}

// Pairs are the rarer cells of a catalogue row, in a fixed order.
func (v *voice) Pairs(r lifecycle.Row) (out []stock.Choice) {
	for _, name := range []string{"status", "min_fw", "latest", "latest_on", "paid_name", "paid_until", "security_until", "last_extension", "cve", "kev_added",
		"platform", "cert_end", "best_effort_end", "generation", "build", "alias"} {
		if text := r.Note(name); text != "" {
			out = append(out, stock.Choice{Value: name, Label: v.worded(name, text)})
		}
	}
	return out
}

func (v *voice) worded(name, text string) string {
	if name == "status" {
		return v.or("status."+text, text)
	}
	return wording.Date(text)
}

// Part is one part of a bar, in hundredths of its width.
type Part struct {
	State    string
	At, Wide float64
}

// Bar are the parts of three numbers as a bar. None that is there is too thin to be seen.
func (v *voice) Bar(outdated, fine, unknown int) (out []Part) {
	const least = 1.5
	total := float64(outdated + fine + unknown)
	if total == 0 {
		return nil
	}
	at, sum := 0.0, 0.0
	numbers := []struct {
		state string
		n     int
	}{{"outdated", outdated}, {"unknown", unknown}, {"fine", fine}}
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
