package values

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// What can be referred to without being declared.
const (
	NameSite   = "site"   // the site's id
	NameAgent  = "agent"  // the agent's name
	NameItem   = "item"   // of each: the entry
	NameNumber = "number" // of each: its place, from 1
)

// OwnNames lists them.
func OwnNames() []string { return []string{NameSite, NameAgent, NameItem, NameNumber} }

// Part is a piece of a text: the text itself, or what it refers to.
type Part struct {
	Text   string
	Name   string // of a value, or of a secret; "": the text
	Secret bool
}

// Split takes a text apart: ${name}, ${secret:NAME}, and $${ for a ${ that is meant as such. There is always one part.
func Split(text string) ([]Part, error) {
	var parts []Part
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
		p := Part{Name: name}
		if p.Name, p.Secret = strings.CutPrefix(name, "secret:"); p.Name == "" || strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			return nil, fmt.Errorf("${%.40s} names nothing; write ${name}, ${secret:NAME}, or $${ where ${ itself is meant", name)
		}
		if plain.Len() > 0 {
			parts = append(parts, Part{Text: plain.String()})
			plain.Reset()
		}
		parts = append(parts, p)
		text = rest
	}
	if plain.Len() > 0 || len(parts) == 0 {
		parts = append(parts, Part{Text: plain.String()})
	}
	return parts, nil
}

// Missing tells that a site has no value of a name.
type Missing struct{ Name string }

func (m *Missing) Error() string { return "value " + m.Name + " is not set" }

// Scope is what references mean at one place.
type Scope struct {
	Declared map[string]*Value
	// Layers are what values are set to, the first counts; the declaration's default comes after all of them.
	Layers []map[string][]string
	Own    map[string]string // what OwnNames are here
	Used   map[string]bool   // takes the secrets that were named
}

// Lookup finds what a value is set to.
func (s *Scope) Lookup(name string) ([]string, *Value) {
	v := s.Declared[name]
	for _, l := range s.Layers {
		if list := l[name]; len(list) > 0 {
			return list, v
		}
	}
	if v == nil {
		return nil, nil
	}
	return v.Fallback, v
}

// With is the scope of one entry of a list.
func (s *Scope) With(item string, number int) *Scope {
	inner := *s
	inner.Own = maps.Clone(s.Own)
	inner.Own[NameItem], inner.Own[NameNumber] = item, strconv.Itoa(number)
	return &inner
}

// Text puts a text together that holds no secret.
func (s *Scope) Text(text string) (string, error) {
	v, err := s.Value(text)
	if err != nil {
		return "", err
	}
	out, ok := ScalarText(v)
	if !ok {
		return "", fmt.Errorf("%s is a list; use each, or a place that takes lists", text)
	}
	return out, nil
}

// Value puts a text together. What is nothing but a reference is of the value's type, and may be a list.
func (s *Scope) Value(text string) (any, error) {
	parts, err := Split(text)
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
		piece, ok := ScalarText(v)
		if !ok {
			return nil, fmt.Errorf("%s has several entries and stands amid a text; use each", p.Name)
		}
		b.WriteString(piece)
	}
	return b.String(), nil
}

func (s *Scope) one(p Part) (any, error) {
	if p.Name == "" {
		return p.Text, nil
	}
	if p.Secret {
		return s.secret(p.Name), nil
	}
	if own, ok := s.Own[p.Name]; ok {
		return own, nil
	}
	list, v := s.Lookup(p.Name)
	if len(list) == 0 {
		return nil, &Missing{p.Name}
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
func (s *Scope) secret(name string) string {
	s.Used[name] = true
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

// Tree puts plain values together. A list within a list is spliced in.
func (s *Scope) Tree(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner, err := s.Tree(v[key])
			if err != nil {
				return nil, err
			}
			out[key] = inner
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			inner, err := s.Tree(e)
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
		return s.Value(v)
	}
	return v, nil
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

// ScalarText is a single value as text.
func ScalarText(v any) (string, bool) {
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
