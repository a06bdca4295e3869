// Package changes puts the judge's transitions into the registry's words and back: what the judge announced before a
// restart has to be known to it afterwards, or everything would be announced again.
package changes

import (
	"strings"

	"communewatch/collector/health"
	"communewatch/collector/registry"
	"communewatch/probes"
)

// Of is transitions as the registry keeps them.
func Of(transitions []health.Transition) []registry.Change {
	out := make([]registry.Change, len(transitions))
	for i, t := range transitions {
		check := ""
		if t.Check != (health.CheckID{}) {
			check = t.Check.Agent + "/" + t.Check.Target
		}
		out[i] = registry.Change{
			Site: t.Site, Layer: string(t.Layer), Check: check, From: t.From.String(), To: t.To.String(), At: t.At,
			Reason: string(t.Reason.Code),
		}
	}
	return out
}

// Transition is the inverse of Of, without the reason.
func Transition(c registry.Change) health.Transition {
	t := health.Transition{Site: c.Site, Layer: probes.Layer(c.Layer), At: c.At}
	t.From, _ = health.ParseState(c.From)
	t.To, _ = health.ParseState(c.To)
	t.Check.Agent, t.Check.Target, _ = strings.Cut(c.Check, "/")
	return t
}
