package reports

import (
	"slices"
	"time"
)

// Span is a stretch of time, [From, To).
type Span struct{ From, To time.Time }

// Union returns spans in order, those that touch or overlap as one, without empty ones. The argument is not changed.
func Union(spans []Span) []Span {
	sorted := slices.SortedFunc(slices.Values(spans), func(a, b Span) int { return a.From.Compare(b.From) })
	var out []Span
	for _, s := range sorted {
		switch last := len(out) - 1; {
		case !s.From.Before(s.To):
		case last < 0 || s.From.After(out[last].To):
			out = append(out, s)
		case s.To.After(out[last].To):
			out[last].To = s.To
		}
	}
	return out
}

// Common returns what two lists that are as Union returns them have in common.
func Common(a, b []Span) []Span {
	var out []Span
	for len(a) > 0 && len(b) > 0 {
		s := a[0]
		if b[0].From.After(s.From) {
			s.From = b[0].From
		}
		if b[0].To.Before(s.To) {
			s.To = b[0].To
		}
		if s.From.Before(s.To) {
			out = append(out, s)
		}
		if a[0].To.Before(b[0].To) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// Without returns what of a is not in b; both are as Union returns them.
func Without(a, b []Span) []Span {
	var out []Span
	for _, s := range a {
		for len(b) > 0 && !b[0].To.After(s.From) {
			b = b[1:]
		}
		rest := s
		for _, cut := range b {
			if !cut.From.Before(rest.To) {
				break
			}
			if cut.From.After(rest.From) {
				out = append(out, Span{rest.From, cut.From})
			}
			if rest.From = cut.To; !rest.From.Before(rest.To) {
				break
			}
		}
		if rest.From.Before(rest.To) {
			out = append(out, rest)
		}
	}
	return out
}

// Seconds is how long spans that don't overlap are together.
func Seconds(spans []Span) float64 {
	var sum time.Duration
	for _, s := range spans {
		sum += s.To.Sub(s.From)
	}
	return sum.Seconds()
}
