package collectors_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/agent/collectors"
	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	"communewatch/agent/identity/join"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"
	web "communewatch/probes/http"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// enrolled is an agent of a collector, whose clock says now.
func enrolled(t *testing.T, c *identitytest.Collector, now func() time.Time) *identity.Identity {
	t.Helper()
	dir := t.TempDir()
	set, err := join.Enroll(t.Context(), join.Options{Dir: dir, Code: c.Code(), Agent: "pc-1", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return identity.New(dir, set, identity.Options{Now: now})
}

func check(t *testing.T, address string, fleet connect.Fleet, change func(*web.Options)) error {
	t.Helper()
	o := web.DefaultOptions()
	o.Redirects = 1
	if change != nil {
		change(&o)
	}
	p, err := web.New(probes.Target{Name: "page", Kind: probes.KindHTTP, Address: address}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	p.(*web.Probe).At(fleet)
	_, err = p.Probe(t.Context())
	return err
}

// A check of the collector itself is made as the agent; one of anybody else shows no certificate and believes none of the
// fleet's authorities, even on the collector's machine, and when the collector sends it there.
func TestTheIdentityIsForTheCollectorAlone(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	id := enrolled(t, c, time.Now)
	authority := c.Get().Authority
	var shown, foreignShown atomic.Value
	foreign := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		foreignShown.Store(len(r.TLS.PeerCertificates))
	}))
	// It has a good certificate of the fleet's authority, for the same host: that is not enough.
	pair := authority.Server("127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	foreign.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{pair}}, nil
	}}
	foreign.Config.ErrorLog = log.New(io.Discard, "", 0)
	foreign.StartTLS()
	defer foreign.Close()
	c.Set(func(s *identitytest.State) {
		s.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown.Store(len(r.TLS.PeerCertificates))
			if r.URL.Path == "/away" {
				http.Redirect(w, r, foreign.URL, http.StatusFound)
			}
		})
	})
	own := []collectors.Collector{{URL: c.URL(), Identity: true}, {URL: foreign.URL, Token: "x"}}
	fleet := collectors.Fleet(own, id)

	if err := check(t, c.URL()+"/page", fleet, nil); err != nil || shown.Load() != 1 {
		t.Errorf("of the collector: %v, %v certificates shown", err, shown.Load())
	}
	for name, address := range map[string]string{"of another port": foreign.URL, "sent away": c.URL() + "/away"} {
		if err := check(t, address, fleet, nil); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("%s: %v", name, err)
		}
		if err := check(t, address, fleet, func(o *web.Options) { o.SkipVerify = true }); err != nil || foreignShown.Load() != 0 {
			t.Errorf("%s, whoever it is: %v, %v certificates shown", name, err, foreignShown.Load())
		}
	}
	lure := httptest.NewServer(http.RedirectHandler(c.URL()+"/page", http.StatusFound))
	defer lure.Close()
	shown.Store(-1)
	if err := check(t, lure.URL, fleet, nil); err == nil || !strings.Contains(err.Error(), "unknown authority") || shown.Load() != -1 {
		t.Errorf("sent to the collector by somebody else: %v, %v certificates shown", err, shown.Load())
	}
	if err := check(t, c.URL()+"/page", fleet, func(o *web.Options) { o.SkipVerify = true }); err != nil || shown.Load() != 0 {
		t.Errorf("the check's own word on certificates does not count: %v, %v shown", err, shown.Load())
	}
	if err := check(t, c.URL()+"/page", collectors.Fleet([]collectors.Collector{{URL: c.URL(), Token: "x"}}, id), nil); err == nil {
		t.Error("a collector that is reached by token is believed by the identity's authorities")
	}
	if collectors.Fleet(own, nil) != nil {
		t.Error("an agent without identity is a member")
	}
}

// A clock that is years behind makes no collector's certificate invalid.
func TestChecksOfTheCollectorGoByTheTimeThatIsBelieved(t *testing.T) {
	c := identitytest.NewCollector(t, func() time.Time { return time.Now().AddDate(10, 0, 0) })
	c.Set(func(s *identitytest.State) { s.Next = http.NotFoundHandler() })
	id := enrolled(t, c, time.Now)
	fleet := collectors.Fleet([]collectors.Collector{{URL: c.URL(), Identity: true}}, id)
	if err := check(t, c.URL(), fleet, func(o *web.Options) { o.Status = []int{404} }); err != nil {
		t.Error(err)
	}
}

func TestAMemberIsNotPrinted(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	id := enrolled(t, c, time.Now)
	u, err := url.Parse(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	m := collectors.Fleet([]collectors.Collector{{URL: c.URL(), Identity: true}}, id).Of(u)
	for _, text := range []string{fmt.Sprint(m), fmt.Sprintf("%+v %#v", *m, m), fmt.Sprintf("%+v", struct{ M *connect.Member }{m})} {
		if strings.Contains(text, "48 129") || strings.Contains(text, "0x30") || len(text) > 60 {
			t.Errorf("printed: %.100s", text)
		}
	}
	// The process of a call gets all of it.
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var there connect.Member
	if err := json.Unmarshal(data, &there); err != nil {
		t.Fatal(err)
	}
	if trust, err := there.Trust(); err != nil || trust.Shown == nil {
		t.Errorf("%v, %+v", err, trust.Shown)
	}
	there.Key = []byte("nonsense")
	if _, err := there.Trust(); err == nil || strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a key that can't be read: %v", err)
	}
}
