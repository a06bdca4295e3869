package ask

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Known refuses a question with a parameter that it does not have, or one that is given twice: who misspells a filter
// would take everything for what the filter lets through.
func Known(q url.Values, names ...string) error {
	for name, values := range q {
		switch {
		case !slices.Contains(names, name):
			return mistake(fmt.Sprintf("%+.40q is no parameter of this question; it has %q", name, names))
		case len(values) > 1:
			return mistake(name + " is given twice")
		}
	}
	return nil
}

// Page reads offset= and limit=: from which on and up to which of a list is asked for.
func Page(q url.Values, standard, most int) (from, to int, err error) {
	if from, err = Number(q, "offset", 0, 0, 10_000_000); err != nil {
		return 0, 0, err
	}
	limit, err := Number(q, "limit", standard, 0, most)
	return from, from + limit, err
}

// Number reads a whole number.
func Number(q url.Values, name string, standard, least, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, mistake(fmt.Sprintf("%s must be a number from %d to %d", name, least, most))
	}
	return n, nil
}

// OneOf reads a word of a closed set; "" where it is not given.
func OneOf(q url.Values, name string, words ...string) (string, error) {
	text := q.Get(name)
	if text != "" && !slices.Contains(words, text) {
		return "", mistake(fmt.Sprintf("%s must be one of %q", name, words))
	}
	return text, nil
}

// Instant reads a moment (RFC 3339 or Unix seconds); zero where it is not given.
func Instant(q url.Values, name string) (time.Time, error) {
	if q.Get(name) == "" {
		return time.Time{}, nil
	}
	return instant(name, q.Get(name))
}
