package ingest_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"communewatch/collector/ingest"
	"communewatch/collector/registry"
	"communewatch/collector/registry/scope"
)

// A writer's token that is scoped writes what it names, and its site's name is looked at line by line.
func TestAWriterStaysInItsScope(t *testing.T) {
	h := open(t, ingest.Limits{})
	h.clerk.tokens["scoped"] = registry.Identity{Token: "w2", Kind: registry.KindWriter, Scope: &scope.Scope{Sites: []string{"s1", "s2"}, Measurements: []string{"cpu", "disk*"}}}
	h.clerk.tokens["measured"] = registry.Identity{Token: "w3", Kind: registry.KindWriter, Site: "s1", Scope: &scope.Scope{Measurements: []string{"cpu"}}}
	for _, tc := range []struct {
		name, secret, line, says string // says "" is taken
	}{
		{"its site and measurement", "scoped", "cpu,site=s1 x=1", ""},
		{"the other site", "scoped", "cpu,site=s2 x=1", ""},
		{"a beginning", "scoped", "diskio,site=s2 x=1", ""},
		{"another site", "scoped", "cpu,site=s3 x=1", "not for site s3"},
		{"no site", "scoped", "cpu,host=a x=1", "no tag site"},
		{"another measurement", "scoped", "mem,site=s1 x=1", "not for measurement mem"},
		{"a longer name", "scoped", "cpu2,site=s1 x=1", "not for measurement cpu2"},
		{"an agents' measurement", "scoped", "icmp,site=s1 x=1", "written by agents only"},
		{"of one site, without its name", "measured", "cpu,host=a x=1", ""},
		{"of one site, another measurement", "measured", "disk,host=a x=1", "not for measurement disk"},
		{"of one site, another site", "measured", "cpu,site=s2 x=1", "for site s1"},
	} {
		a := h.lines(tc.secret, tc.line)
		if tc.says == "" && a.status != 204 || tc.says != "" && (a.status/100 != 4 || !strings.Contains(a.message, tc.says)) {
			t.Errorf("%s: %d %q", tc.name, a.status, a.message)
		}
	}
	// A good line beside a bad one is stored, and the series that was refused stays refused.
	for range 2 {
		if a := h.lines("scoped", "cpu,site=s1 x=1", "cpu,site=s3 x=1"); a.status/100 != 4 || !strings.Contains(a.message, "s3") {
			t.Error(a.status, a.message)
		}
	}
}

// Who looks for what is wrong with an agent that has a certificate must not be sent to look for a token.
func TestRefusalsOfCertificatesNameThem(t *testing.T) {
	h := open(t, ingest.Limits{})
	h.in = ingest.New(ingest.Options{Store: h.store, Registry: h.clerk, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Who: func(*http.Request, string) (registry.Identity, error) {
			return registry.Certified("4f", "s1", "a1"), nil
		}})
	h.server.Config.Handler = h.in.Handler()
	for line, want := range map[string]string{
		"tcp,agent=a1,path=lan,site=s2,target=gw connect_seconds=1 ": "the certificate is for site s1, the line for s2",
		"tcp,agent=a2,path=lan,site=s1,target=gw connect_seconds=1 ": "the certificate is for agent a1 of site s1, the line for agent a2",
	} {
		if a := h.send("x", []byte(line+stamp(now))); a.status != http.StatusForbidden || !strings.Contains(a.message, want) {
			t.Errorf("%d %s, want %s", a.status, a.message, want)
		}
	}
}
