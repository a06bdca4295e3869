package registry

import (
	"encoding/json"
	"errors"
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

// scopeOf is the scope of a token as the table keeps it.
func scopeOf(sites, measurements string) (*Scope, error) {
	if sites == "" && measurements == "" {
		return nil, nil
	}
	var s Scope
	var err error
	if s.Sites, err = scopeList(sites); err == nil {
		s.Measurements, err = scopeList(measurements)
	}
	return &s, err
}

func scopeList(text string) (list []string, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &list)
	}
	return list, err
}

func scopeText(list []string) string {
	if len(list) == 0 {
		return ""
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings can be written
	}
	return string(text)
}

// checkScope sorts a token's sites and measurements and says what is wrong with them. One site alone stands where it
// always stood.
func (t *Token) checkScope() error {
	t.Sites, t.Measurements = sorted(t.Sites), sorted(t.Measurements)
	if len(t.Sites) == 1 && t.Site == "" {
		t.Site, t.Sites = t.Sites[0], nil
	}
	switch {
	case t.Kind != KindWriter && len(t.Sites)+len(t.Measurements) > 0:
		return fmt.Errorf("token: several sites, and measurements, are for tokens of kind %s", KindWriter)
	case t.Site != "" && len(t.Sites) > 0:
		return errors.New("token: give one site or several, not both")
	case len(t.Sites) > maxScope || len(t.Measurements) > maxScope:
		return fmt.Errorf("token: at most %d sites and %d measurements; leave them out to allow all", maxScope, maxScope)
	}
	for _, s := range t.Sites {
		if err := probes.CheckName(s); err != nil {
			return fmt.Errorf("token: site: %w", err)
		}
	}
	for _, m := range t.Measurements {
		beginning := strings.TrimSuffix(m, "*")
		if beginning == "" || len(m) > maxMeasurement || !utf8.ValidString(m) || strings.ContainsFunc(m, unicode.IsControl) || strings.Contains(beginning, "*") {
			return fmt.Errorf("token: measurement %.120q: give a name such as cpu, or a beginning such as disk*", m)
		}
	}
	return nil
}

func sorted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
