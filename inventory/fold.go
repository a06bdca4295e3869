package inventory

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Fold reduces a name to what people type when they look for it: lower case, no accents, đ as d, single spaces.
// "Tam Sơn" becomes "tam son". Different names may fold to the same text, as "Xuân Hoà" and "Xuân Hòa" do, so a
// folded name finds candidates and never identifies one.
func Fold(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range norm.NFD.String(s) {
		switch {
		case unicode.Is(unicode.Mn, r):
			continue
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case r == 'đ' || r == 'Đ' || r == 'ð' || r == 'Ð': // a letter of its own, which has no decomposition; the Icelandic one
			r = 'd' // looks the same as a capital, and some keyboards and converted files give it
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
