// Package ask reads what a client of the API asks for from the query of its URL. Everything in it is hostile until it
// has been here: names are plain, numbers bounded, lists short, and what is wrong is said with the way to put it
// right, without repeating what was not plain.
package ask

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/probes"
)

// A Mistake is what is wrong with a question, in words for whoever asked it.
type Mistake struct{ text string }

func (m *Mistake) Error() string { return m.text }

func mistake(text string) error { return &Mistake{text} }

const (
	seriesStandard = time.Hour
	seriesLongest  = (5*366 + 31) * 24 * time.Hour // what the longest windows are kept for, and a month
	longestStep    = 30 * 24 * time.Hour
	seriesWindows  = 300  // aimed at where no step is given: about a window per two pixels of a small chart
	maxWindows     = 2000 // per series
	maxFields      = 10
	maxTags        = 10
	maxTagValue    = 512 // what a line may hold; see wire.Limits
)

// steps are the lengths of windows that are chosen where none is given.
var steps = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second,
	30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
	30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 30 * day}

const day = 24 * time.Hour

// Series is a question for series, checked.
type Series struct {
	Measurement string
	Fields      []string // 1 to 10, each once; where the measurement is of our schema it has them, as numbers
	Tags        map[string]string
	From, To    time.Time     // multiples of Step; midnights of the place where Step is whole days
	Step        time.Duration // whole seconds, so that there are at most 2,000 windows and two that are cut

	Mean, Min, Max, P95, Count bool // which aggregates; at least one

	Ratios map[string]probes.RatioSpec // those of Fields that are ratios of counts
}

// reserved are the parameters that are not tags.
var reserved = []string{"measurement", "field", "range", "from", "to", "step", "agg", "lang"}

// Place is where and when is asked.
type Place struct {
	Now  time.Time
	Zone *time.Location // where days begin; nil: UTC
	// Finest is the shortest step in which there are figures from a time on; nil: any.
	Finest func(from time.Time) time.Duration
}

// ForSeries reads a question for series. What is no parameter of ours is a tag.
func ForSeries(q url.Values, at Place) (*Series, error) {
	s := &Series{Measurement: q.Get("measurement"), Tags: map[string]string{}, Ratios: map[string]probes.RatioSpec{}}
	if !plain(s.Measurement) {
		return nil, mistake("measurement is missing or not a name; for example measurement=icmp")
	}
	for _, f := range q["field"] {
		for part := range strings.SplitSeq(f, ",") {
			if !slices.Contains(s.Fields, part) {
				s.Fields = append(s.Fields, part)
			}
		}
	}
	if len(s.Fields) == 0 || len(s.Fields) > maxFields {
		return nil, mistake(fmt.Sprintf("give 1 to %d fields; for example field=loss_ratio", maxFields))
	}
	spec := measurement(s.Measurement)
	for _, f := range s.Fields {
		if !plain(f) {
			return nil, mistake("field is not a name; for example field=loss_ratio")
		}
		if spec == nil {
			continue // brought by a writer of its own: whatever is there
		}
		switch known, ok := spec.Field(f); {
		case !ok:
			return nil, mistake("measurement " + s.Measurement + " has no such field; it has " + strings.Join(numberFields(spec), ", "))
		case known.Type == probes.TypeString:
			return nil, mistake("field " + f + " is text; series are of numbers")
		}
		for _, ratio := range spec.Ratios {
			if ratio.Ratio == f {
				s.Ratios[f] = ratio
			}
		}
	}
	if spec != nil && !q.Has("site") {
		return nil, mistake("site is missing; /api/v1/sites lists them")
	}
	for key, values := range q {
		if slices.Contains(reserved, key) {
			continue
		}
		switch {
		case !plain(key):
			return nil, mistake("an unknown parameter is not the name of a tag")
		case spec != nil && !hasTag(spec, key):
			return nil, mistake(key + " is neither a parameter nor a tag of " + s.Measurement)
		case len(values) != 1 || !plain(values[0]) && (spec != nil || !printable(values[0])):
			return nil, mistake("tag " + key + " must be given once, with a plain value")
		case len(s.Tags) == maxTags:
			return nil, mistake(fmt.Sprintf("more than %d tags", maxTags))
		}
		s.Tags[key] = values[0]
	}
	if err := s.aggregates(q); err != nil {
		return nil, err
	}
	return s, s.windows(q, at)
}

// plain reports whether s may be a name in a query: short and printable, without what some client would interpret.
func plain(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-:/ ", c) >= 0) {
			return false
		}
	}
	return true
}

func hasTag(m *probes.MeasurementSpec, key string) bool {
	_, ok := m.Tag(key)
	return ok
}

// printable reports whether s may be the value of a tag that a writer made up: any letters, no control characters.
func printable(s string) bool {
	return s != "" && len(s) <= maxTagValue && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func measurement(name string) *probes.MeasurementSpec {
	for _, m := range probes.Schema() {
		if m.Name == name {
			return &m
		}
	}
	return nil
}

func numberFields(m *probes.MeasurementSpec) []string {
	var out []string
	for _, f := range m.Fields {
		if f.Type != probes.TypeString {
			out = append(out, f.Key)
		}
	}
	return out
}

func (s *Series) aggregates(q url.Values) error {
	if !q.Has("agg") {
		s.Mean = true
		return nil
	}
	for name := range strings.SplitSeq(strings.Join(q["agg"], ","), ",") {
		switch name {
		case "mean":
			s.Mean = true
		case "min":
			s.Min = true
		case "max":
			s.Max = true
		case "p95":
			s.P95 = true
		case "count":
			s.Count = true
		default:
			return mistake("agg must be one or more of mean, min, max, p95, count, with commas between")
		}
	}
	return nil
}

func (s *Series) windows(q url.Values, at Place) (err error) {
	if s.From, s.To, err = Span(q, at.Now, seriesStandard, seriesLongest); err != nil {
		return err
	}
	length := s.To.Sub(s.From)
	if q.Has("step") {
		if s.Step, err = duration("step", q.Get("step")); err != nil {
			return err
		}
		switch {
		case s.Step < time.Second:
			return mistake("step must be at least 1s")
		case s.Step > longestStep:
			return mistake("step must be at most 30d")
		case s.Step > length: // to be aligned to it, the range would have to grow
			return mistake("step is longer than the range; use a shorter step")
		}
		s.Step = s.Step.Truncate(time.Second)
		if length/s.Step > maxWindows {
			return mistake(fmt.Sprintf("step gives more than %d windows; use a longer step, at least %s", maxWindows,
				(length/maxWindows + time.Second).Truncate(time.Second)))
		}
	} else {
		i, _ := slices.BinarySearchFunc(steps, length/seriesWindows, func(a, b time.Duration) int { return cmp.Compare(a, b) })
		s.Step = steps[min(i, len(steps)-1)]
	}
	if at.Finest != nil { // what is old is kept in windows of some length alone, and steps are made of whole ones
		if finest := at.Finest(s.From); finest > time.Second {
			s.Step = (s.Step + finest - 1) / finest * finest
		}
	}
	// Aligned to the step, so that the windows of a chart that follows the clock stay the same ones.
	step, shift := s.Step.Milliseconds(), int64(0)
	if s.Step%day == 0 && at.Zone != nil {
		_, offset := s.From.In(at.Zone).Zone()
		shift = int64(offset) * 1000
	}
	s.From = time.UnixMilli(floor(s.From.UnixMilli()+shift, step) - shift).UTC()
	s.To = time.UnixMilli(floor(s.To.UnixMilli()+shift+step-1, step) - shift).UTC()
	return nil
}

// floor is the largest multiple of step that is not above ms.
func floor(ms, step int64) int64 {
	n := ms / step
	if ms%step < 0 {
		n--
	}
	return n * step
}
