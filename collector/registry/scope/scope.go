// Package scope says what a writer's token may write: for which sites, and which measurements.
package scope

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"communewatch/probes"
)

// Scope is what a writer's token may write beyond what its one site says. A nil Scope is no restriction.
type Scope struct {
	Sites        []string // that the tag "site" must name, sorted; empty: not restricted by it
	Measurements []string // exact names, and beginnings that end in "*", sorted; empty: any
}

// Bounds of a token's scope.
const (
	maxScope       = 500 // sites, or measurements
	maxMeasurement = 100 // bytes
)

// New makes a scope of lists as people give them, and says what is wrong with them; nil where both are empty.
func New(sites, measurements []string) (*Scope, error) {
	s := &Scope{Sites: sorted(sites), Measurements: sorted(measurements)}
	switch {
	case len(s.Sites) == 0 && len(s.Measurements) == 0:
		return nil, nil
	case len(s.Sites) > maxScope || len(s.Measurements) > maxScope:
		return nil, fmt.Errorf("at most %d sites and %d measurements; leave them out to allow all", maxScope, maxScope)
	}
	for _, site := range s.Sites {
		if err := probes.CheckName(site); err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
	}
	for _, m := range s.Measurements {
		beginning := strings.TrimSuffix(m, "*")
		if beginning == "" || len(m) > maxMeasurement || !utf8.ValidString(m) || strings.ContainsFunc(m, unicode.IsControl) || strings.Contains(beginning, "*") {
			return nil, fmt.Errorf("measurement %.120q: give a name such as cpu, or a beginning such as disk*", m)
		}
	}
	return s, nil
}

// Site reports whether a line for a site is within the scope.
func (s *Scope) Site(site string) bool {
	if s == nil || len(s.Sites) == 0 {
		return true
	}
	_, ok := slices.BinarySearch(s.Sites, site)
	return ok
}

// Measurement reports whether a measurement is within the scope.
func (s *Scope) Measurement(name string) bool {
	if s == nil || len(s.Measurements) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Measurements, func(m string) bool {
		beginning, ok := strings.CutSuffix(m, "*")
		return ok && strings.HasPrefix(name, beginning) || m == name
	})
}

// Parse reads a scope from its two lists as Text wrote them; nil where both are empty.
func Parse(sites, measurements string) (*Scope, error) {
	if sites == "" && measurements == "" {
		return nil, nil
	}
	var s Scope
	var err error
	if s.Sites, err = list(sites); err == nil {
		s.Measurements, err = list(measurements)
	}
	return &s, err
}

func list(text string) (list []string, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &list)
	}
	return list, err
}

// Text writes one of the lists of a Scope; "" for an empty one.
func Text(list []string) string {
	if len(list) == 0 {
		return ""
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings can be written
	}
	return string(text)
}

func sorted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
