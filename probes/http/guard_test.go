package http_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"communewatch/probes"
	"communewatch/probes/bind"
	probe "communewatch/probes/http"
)

// An allowed server that redirects to a forbidden address leads nowhere.
func TestRedirectDoesNotLeadAroundTheGuard(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/secret", http.StatusFound))
	defer server.Close()
	o := probe.DefaultOptions()
	o.Redirects = 3
	guard := &bind.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Loopback: true}
	p, err := probe.New(probes.Target{Name: "x", Kind: probes.KindHTTP, Path: probes.PathLAN, Address: server.URL}, bind.Binding{Path: probes.PathLAN, Guard: guard}, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); probes.OutcomeOf(err) != probes.OutcomeBadConfig || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("got %v", err)
	}
}
