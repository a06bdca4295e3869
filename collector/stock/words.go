package stock

import (
	"slices"
	"strings"

	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/wording"
)

func told(f lifecycle.Finding, lang string) Finding {
	out := Finding{Finding: f, Text: wording.Finding(wording.Lang(lang), f)}
	if f.Action != lifecycle.ActionNone {
		out.ActionText = wording.Action(wording.Lang(lang), f.Action)
	}
	return out
}

// parts are what a priority is made of.
func parts(v *lifecycle.Verdict, lang string) []Points {
	out := make([]Points, len(v.Priority.Parts))
	for i, p := range v.Priority.Parts {
		out[i] = Points{Part: p, Text: wording.Part(wording.Lang(lang), p)}
	}
	return out
}

// What is asked for of every device, and what only where a legal ground to replace it is looked for. The other inputs
// would make a rule more exact and change no answer that matters, so nobody is sent to look for them.
func askedAlways() []string {
	return []string{"vendor", "model", "class", "hardware", "version", "os", "os_release", "os_version", "os_edition", "end_of_support"}
}

func askedToReplace() []string { return []string{"in_service", "price", "legal_class"} }

// What decides whether a purchase that is proposed, or may come to be, is within the norms.
func askedToBuy() []string { return []string{"norm_count", "post"} }

// questions are the facts of a device that nobody knows and somebody could say. What is known well enough to call it
// outdated or fine needs nobody's look, but for the ground to replace it.
func (s *Stock) questions(e *entry, v *lifecycle.Verdict, l *listed, lang string) []Question {
	var missing []string
	add := func(name string, among []string) {
		if slices.Contains(among, name) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	for _, f := range v.Findings {
		if f.State != lifecycle.StateUnknown {
			continue
		}
		for _, m := range f.Missing {
			if v.Bucket == lifecycle.BucketUnknown && !f.Legal() {
				add(m, askedAlways())
			}
			if v.Replace == lifecycle.ReplaceCannotTell && f.Legal() {
				add(m, askedToReplace())
			}
			if buys(v.Replace) && f.Rule == "L04" {
				add(m, askedToBuy())
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if slices.Contains(missing, "model") { // who does not know the model can ask its maker nothing
		missing = slices.DeleteFunc(missing, func(m string) bool { return m == "end_of_support" })
	}
	out := make([]Question, len(missing))
	for i, m := range missing {
		ex := wording.Explain(wording.Lang(lang), m)
		out[i] = Question{Row: l.row, Missing: m, Text: ex.What, WhoText: strings.Join(ex.Who, "; ")}
		if len(ex.From) > 0 {
			out[i].Who = string(ex.From[0])
		}
		if m == "end_of_support" && l.row.Model != "" {
			out[i].Letter = wording.Letter(wording.Ask{Vendor: l.row.Vendor, Model: l.row.Model, Hardware: l.row.Hardware, Version: l.row.Version,
				Units: s.perModel[modelOf(e)], Missing: missing, On: v.AsOf, SerialSample: l.row.Serial})
		}
	}
	return out
}

// buys reports whether something new may be bought.
func buys(r lifecycle.Replacement) bool {
	return r == lifecycle.ReplaceProposed || r == lifecycle.ReplaceCannotTell
}

// modelOf names the model that a letter to its maker is about.
func modelOf(e *entry) string { return e.match.Vendor + "\x00" + e.match.Model }
