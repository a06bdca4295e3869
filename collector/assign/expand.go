package assign

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What can be referred to without being declared.
const (
	nameSite   = "site"   // the site's id
	nameAgent  = "agent"  // the agent's name
	nameItem   = "item"   // of each: the entry
	nameNumber = "number" // of each: its place, from 1
)

func ownNames() []string { return []string{nameSite, nameAgent, nameItem, nameNumber} }

// part is a piece of a text: the text itself, or what it refers to.
type part struct {
	text   string
	name   string // of a value, or of a secret; "": the text
	secret bool
}

// split takes a text apart: ${name}, ${secret:NAME}, and $${ for a ${ that is meant as such. There is always one part.
func split(text string) ([]part, error) {
	var parts []part
	var plain strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		if !found {
			plain.WriteString(text)
			break
		}
		if escaped, ok := strings.CutSuffix(before, "$"); ok {
			plain.WriteString(escaped + "${")
			text = after
			continue
		}
		plain.WriteString(before)
		name, rest, closed := strings.Cut(after, "}")
		if !closed {
			return nil, errors.New("${ is never closed; write ${name}, or $${ where ${ itself is meant")
		}
		p := part{name: name}
		if p.name, p.secret = strings.CutPrefix(name, "secret:"); p.name == "" || strings.Trim(p.name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			return nil, fmt.Errorf("${%.40s} names nothing; write ${name}, ${secret:NAME}, or $${ where ${ itself is meant", name)
		}
		if plain.Len() > 0 {
			parts = append(parts, part{text: plain.String()})
			plain.Reset()
		}
		parts = append(parts, p)
		text = rest
	}
	if plain.Len() > 0 || len(parts) == 0 {
		parts = append(parts, part{text: plain.String()})
	}
	return parts, nil
}

// missing tells that a site has no value of a name.
type missing struct{ name string }

func (m *missing) Error() string { return "value " + m.name + " is not set" }

// scope is what references mean at one place.
type scope struct {
	plan *Plan
	// layers of what values are set to, the first counts; the declaration's default comes after all of them.
	layers []map[string][]string
	own    map[string]string
	used   map[string]bool // secrets that were named
}

// lookup finds what a value is set to.
func (s *scope) lookup(name string) ([]string, *Value) {
	v := s.plan.values[name]
	for _, l := range s.layers {
		if list := l[name]; len(list) > 0 {
			return list, v
		}
	}
	if v == nil {
		return nil, nil
	}
	return v.fallback, v
}

// with is the scope of one entry of a list.
func (s *scope) with(item string, number int) *scope {
	inner := *s
	inner.own = maps.Clone(s.own)
	inner.own[nameItem], inner.own[nameNumber] = item, strconv.Itoa(number)
	return &inner
}

// text puts a text together that holds no secret.
func (s *scope) text(text string) (string, error) {
	v, err := s.value(text)
	if err != nil {
		return "", err
	}
	out, ok := scalarText(v)
	if !ok {
		return "", fmt.Errorf("%s is a list; use each, or a place that takes lists", text)
	}
	return out, nil
}

// value puts a text together. What is nothing but a reference is of the value's type, and may be a list.
func (s *scope) value(text string) (any, error) {
	parts, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		return s.one(parts[0])
	}
	var b strings.Builder
	for _, p := range parts {
		v, err := s.one(p)
		if err != nil {
			return nil, err
		}
		piece, ok := scalarText(v)
		if !ok {
			return nil, fmt.Errorf("%s has several entries and stands amid a text; use each", p.name)
		}
		b.WriteString(piece)
	}
	return b.String(), nil
}

func (s *scope) one(p part) (any, error) {
	if p.name == "" {
		return p.text, nil
	}
	if p.secret {
		return s.secret(p.name), nil
	}
	if own, ok := s.own[p.name]; ok {
		return own, nil
	}
	list, v := s.lookup(p.name)
	if len(list) == 0 {
		return nil, &missing{p.name}
	}
	entries := make([]any, len(list))
	for i, text := range list {
		if v != nil && v.Type == TypeSecret {
			entries[i] = s.secret(text)
		} else {
			entries[i] = typed(v, text)
		}
	}
	if len(entries) == 1 {
		return entries[0], nil
	}
	return entries, nil
}

// secret is how a document refers to one; see probes/work.
func (s *scope) secret(name string) string {
	s.used[name] = true
	return "${secret:" + name + "}"
}

// typed is a value's entry as it stands in a document.
func typed(v *Value, text string) any {
	if v == nil {
		return text
	}
	switch v.Type {
	case TypeNumber:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	case TypeSwitch:
		return text == "true"
	}
	return text
}

// tree puts plain values together. A list within a list is spliced in.
func (s *scope) tree(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range sorted(v) {
			inner, err := s.tree(v[key])
			if err != nil {
				return nil, err
			}
			out[key] = inner
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			inner, err := s.tree(e)
			if err != nil {
				return nil, err
			}
			if list, ok := inner.([]any); ok && isText(e) {
				out = append(out, list...)
			} else {
				out = append(out, inner)
			}
		}
		return out, nil
	case string:
		return s.value(v)
	}
	return v, nil
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

// scalarText is a single value as text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// Bounds of a check's interval, as agents have them.
const (
	minInterval = time.Second
	maxInterval = 24 * time.Hour
)

func parseInterval(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a duration such as 30s, 5m or 1h", text)
	}
	if d < least || d > most {
		return 0, fmt.Errorf("%s is out of range; use %s to %s", short(d), short(least), short(most))
	}
	return d, nil
}

// short prints a duration without the zeros that String adds: 1h instead of 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func joinAll[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// near names the known name that is most like one that is not, for a message: the longest common beginning and end.
func near(name string, known []string) string {
	best, most := "", len(name)/2
	for _, k := range known {
		head, tail, least := 0, 0, min(len(k), len(name))
		for head < least && k[head] == name[head] {
			head++
		}
		for tail < least-head && k[len(k)-1-tail] == name[len(name)-1-tail] {
			tail++
		}
		if alike := head + tail - max(0, len(k)-len(name)); alike > most {
			best, most = k, alike
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) > 0 && len(known) <= 12:
		return "; there are " + strings.Join(known, ", ")
	}
	return ""
}
