package rehearsals

import (
	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/words"
)

func notes(lang phrase.Lang, list []rehearsal.Note) []string {
	var out []string
	for _, n := range list {
		out = append(out, words.Note(lang, n))
	}
	return out
}

// because words a reason; none has no words.
func because(lang phrase.Lang, w rehearsal.Why) string {
	if w.Code == "" {
		return ""
	}
	return words.Why(lang, w)
}
