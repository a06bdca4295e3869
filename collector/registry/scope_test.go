package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"communewatch/collector/registry/scope"
)

func TestScopeOfAWriter(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1", "s2", "s3")
	secret, made, err := r.CreateToken(t.Context(), Token{Kind: KindWriter, Sites: []string{"s2", "s1", "s2"}, Measurements: []string{"disk*", "cpu"}})
	if err != nil {
		t.Fatal(err)
	}
	want := &scope.Scope{Sites: []string{"s1", "s2"}, Measurements: []string{"cpu", "disk*"}}
	for _, reg := range []*Registry{r, open(t, r.path)} {
		id, err := reg.Authenticate(t.Context(), secret)
		if diff := cmp.Diff(Identity{Token: made.ID, Kind: KindWriter, Scope: want}, id); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		list, err := reg.Tokens(t.Context())
		if diff := cmp.Diff([]Token{made}, list); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	for site, in := range map[string]bool{"s1": true, "s2": true, "s3": false, "": false, "s": false} {
		if want.Site(site) != in {
			t.Errorf("site %q: %t", site, !in)
		}
	}
	for m, in := range map[string]bool{"cpu": true, "disk": true, "diskio": true, "cpu2": false, "dis": false, "disk*": true, "": false} {
		if want.Measurement(m) != in {
			t.Errorf("measurement %q: %t", m, !in)
		}
	}
}

// One site alone means what it always meant, and so does no scope at all.
func TestTokensWithoutScope(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1")
	secret, made, err := r.CreateToken(t.Context(), Token{Kind: KindWriter, Sites: []string{"s1"}})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := r.Authenticate(t.Context(), secret); err != nil || id != (Identity{Token: made.ID, Kind: KindWriter, Site: "s1"}) {
		t.Errorf("%+v %v", id, err)
	}
	var none *scope.Scope
	if !none.Site("") || !none.Site("s9") || !none.Measurement("anything") {
		t.Error("no scope restricts")
	}
}

func TestScopesThatAreNone(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1", "s2")
	for name, bad := range map[string]Token{
		"an agent of two sites":      {Kind: KindAgent, Site: "s1", Sites: []string{"s1", "s2"}},
		"an agent of a measurement":  {Kind: KindAgent, Site: "s1", Measurements: []string{"icmp"}},
		"an operator of a site":      {Kind: KindOperator, Sites: []string{"s1"}},
		"one site and several":       {Kind: KindWriter, Site: "s1", Sites: []string{"s1", "s2"}},
		"an unknown site":            {Kind: KindWriter, Sites: []string{"s1", "s9"}},
		"a hostile site":             {Kind: KindWriter, Sites: []string{"s1", "'; DROP TABLE tokens; --"}},
		"a star alone":               {Kind: KindWriter, Measurements: []string{"*"}},
		"a star in the middle":       {Kind: KindWriter, Measurements: []string{"a*b"}},
		"an empty measurement":       {Kind: KindWriter, Measurements: []string{""}},
		"a measurement of two lines": {Kind: KindWriter, Measurements: []string{"a\nb"}},
		"a long measurement":         {Kind: KindWriter, Measurements: []string{strings.Repeat("a", 101)}},
		"too many":                   {Kind: KindWriter, Measurements: strings.Split(strings.Repeat("a,", 5)+strings.Join(numbers(501), ","), ",")},
	} {
		if _, _, err := r.CreateToken(t.Context(), bad); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if list, err := r.Tokens(t.Context()); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

func numbers(n int) (out []string) {
	for i := range n {
		out = append(out, "m"+strings.Repeat("x", i%90)+string(rune('a'+i/90)))
	}
	return out
}
