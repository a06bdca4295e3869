package stock

import (
	"communewatch/inventory/lifecycle"
)

// sentence words a finding.
func sentence(f lifecycle.Finding, lang string) string { return f.Code }

// actionText words what is proposed; empty where nothing is.
func actionText(a lifecycle.Action, lang string) string { return string(a) }

// replaceText says whether a replacement may be proposed.
func replaceText(v *lifecycle.Verdict, lang string) string { return string(v.Replace) }

func told(f lifecycle.Finding, lang string) Finding {
	return Finding{Finding: f, Text: sentence(f, lang), ActionText: actionText(f.Action, lang)}
}

// parts are what a priority is made of.
func parts(v *lifecycle.Verdict, lang string) []Points {
	out := make([]Points, len(v.Priority.Parts))
	for i, p := range v.Priority.Parts {
		out[i] = Points{Part: p, Text: p.Code}
	}
	return out
}

// questions are the facts of a device that nobody knows.
func (s *Stock) questions(e *entry, j *judged, l *listed, lang string) []Question { return nil }
