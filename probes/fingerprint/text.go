package fingerprint

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"communewatch/probes"
)

// clean makes what a host says fit to be a fact: UTF-8 (what is not is taken for Latin-1), one line, without padding,
// control and invisible characters, at most probes.MaxText bytes.
func clean(b []byte) string {
	if len(b) > 4*probes.MaxText {
		b = b[:4*probes.MaxText]
		for n := 0; n < utf8.UTFMax && !utf8.Valid(b); n++ { // the cut may have gone through a character
			b = b[:len(b)-1]
		}
	}
	text := string(b)
	if !utf8.Valid(b) {
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		text = string(runes)
	}
	text = strings.Map(func(r rune) rune {
		if r == 0 || r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text)
	return cut(strings.Join(strings.Fields(text), " "))
}

// cut shortens a text to what a fact may hold, between characters.
func cut(s string) string {
	for len(s) > probes.MaxText {
		n := probes.MaxText
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = strings.TrimRight(s[:n], " ")
	}
	return s
}
