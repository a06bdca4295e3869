package ask

import (
	"net/http"
	"strings"

	"communewatch/collector/phrase"
)

// Lang returns the language asked for: ?lang=, the cookie "lang", Accept-Language, Vietnamese.
func Lang(r *http.Request) (phrase.Lang, error) {
	if q := r.URL.Query(); q.Has("lang") {
		l, ok := phrase.Parse(q.Get("lang"))
		if !ok {
			return "", mistake("lang must be vi or en")
		}
		return l, nil
	}
	if c, err := r.Cookie("lang"); err == nil {
		if l, ok := phrase.Parse(c.Value); ok {
			return l, nil
		}
	}
	// The first language that we have, in the order of the header: browsers list by preference.
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		tag, _, _ = strings.Cut(tag, "-")
		if l, ok := phrase.Parse(tag); ok {
			return l, nil
		}
	}
	return phrase.Vietnamese, nil
}
