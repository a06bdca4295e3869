package gear

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// block keeps the test's sites away from those of a demo on the same machine and of other tests.
const block Block = 100

func start(t *testing.T, n int) *Gear {
	t.Helper()
	g, err := Start(block, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestFaultsAreSeenByRealClients(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := start(t, 2)
	defer g.Close()
	client := &http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	url := fmt.Sprintf("http://%s:%d/", block.Addr(1, HostBroadband), PortHTTP)
	get := func() (int, error) {
		resp, err := client.Get(url)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
	set := func(f Fault) {
		t.Helper()
		if err := g.Set(1, "broadband-portal", f); err != nil {
			t.Fatal(err)
		}
	}
	if code, err := get(); code != 200 {
		t.Fatalf("healthy: %d, %v", code, err)
	}
	set(Fault{Mode: Wrong})
	if code, err := get(); code != 500 {
		t.Errorf("wrong: %d, %v", code, err)
	}
	set(Fault{Mode: Slow, Delay: 100 * time.Millisecond})
	begin := time.Now()
	if code, err := get(); code != 200 || time.Since(begin) < 100*time.Millisecond {
		t.Errorf("slow: %d, %v after %v", code, err, time.Since(begin))
	}
	var timeout net.Error
	set(Fault{Mode: Hang})
	if _, err := get(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("hang: %v", err)
	}
	set(Fault{Mode: Down})
	if _, err := get(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("down: %v", err)
	}
	set(Fault{})
	if code, err := get(); code != 200 {
		t.Errorf("healthy again: %d, %v", code, err)
	}
}

func TestNameServer(t *testing.T) {
	g := start(t, 1)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, fmt.Sprintf("%s:%d", block.Addr(0, HostRouter), PortDNS))
	}}
	addrs, err := resolver.LookupHost(t.Context(), "portal.lab.")
	if err != nil || len(addrs) != 1 || addrs[0] != block.Addr(0, HostRouter).String() {
		t.Errorf("got %v, %v", addrs, err)
	}
	if err := g.Set(0, "router-dns", Fault{Mode: Wrong}); err != nil {
		t.Fatal(err)
	}
	var dns *net.DNSError
	if _, err := resolver.LookupHost(t.Context(), "portal.lab."); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("wrong: %v", err)
	}
}

func TestBadRequestsAreNamed(t *testing.T) {
	g := start(t, 1)
	for _, tc := range []struct {
		site    int
		service string
		fault   Fault
	}{
		{9, "router-web", Fault{}},
		{0, "no-such", Fault{}},
		{0, "router-web", Fault{Mode: "sideways"}},
		{0, "router-web", Fault{Mode: Slow}},
	} {
		if err := g.Set(tc.site, tc.service, tc.fault); err == nil {
			t.Errorf("%+v was accepted", tc)
		}
	}
	if _, err := Start(block, block.MaxSites()+1); err == nil {
		t.Error("more sites than there are networks")
	}
}
