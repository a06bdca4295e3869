package ship

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// person is an identity that a test renews.
type person struct {
	mu      sync.Mutex
	renewed chan struct{}
}

func (p *person) channel() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.renewed
}

func (p *person) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.renewed)
	p.renewed = make(chan struct{})
}

// A connection lasts for as long as it is used, and shows for all that time the certificate with which it began. So it
// is left as soon as there is another.
func TestRenewedAgentConnectsAnew(t *testing.T) {
	c := newCollector(take)
	var mu sync.Mutex
	from := map[string]int{} // connections
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr]++
		mu.Unlock()
		c.ServeHTTP(w, r)
	}))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	connections := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(from)
	}
	who := &person{renewed: make(chan struct{})}
	to := Collector{URL: srv.URL, TLS: &tls.Config{RootCAs: roots}, Renewed: who.channel}
	sp := openSpool(t, t.TempDir(), "b1")
	sh, stop := start(t, Options{Collectors: []Collector{to}}, sp)
	sent := uint64(0)
	send := func() {
		t.Helper()
		put(t, sp, 1, "a f=1 1\n")
		sent++
		eventually(t, "a batch is taken", func() bool { return sh.Stats().Sent == sent })
	}
	send()
	send()
	if n := connections(); n != 1 {
		t.Errorf("%d connections for two batches", n)
	}
	who.renew()
	send()
	send()
	if n := connections(); n != 2 {
		t.Errorf("%d connections, want another one after the certificate was renewed", n)
	}
	if st := sh.Stats(); st.Failures != 0 {
		t.Errorf("%d failures", st.Failures)
	}
	stop()

	client, err := to.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	get := func() {
		t.Helper()
		req, err := to.Request(t.Context(), "pc", http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if req.Header.Get("Authorization") != "" {
			t.Error("who has a certificate sends a token")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	before := connections()
	get()
	get()
	who.renew()
	get()
	if n := connections() - before; n != 2 {
		t.Errorf("%d connections of a client, want 2", n)
	}
}

// Whoever stands in the collector's place is told apart in the log from a line that is down, and gets nothing.
func TestServerThatIsNotBelieved(t *testing.T) {
	c := newCollector(take)
	srv := httptest.NewTLSServer(c)
	defer srv.Close()
	var log logLines
	sp := openSpool(t, t.TempDir(), "b1")
	put(t, sp, 1, "a f=1 1\n")
	ours := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: errors.New("not ours")}
	}}
	_, stop := start(t, Options{Log: log.logger(), Collectors: []Collector{{URL: srv.URL, TLS: ours}}}, sp)
	eventually(t, "it says so", func() bool { return log.count("its certificate is not believed") == 1 && log.count("not ours") == 1 })
	stop()
	if n := len(c.seen()); n != 0 || sp.Stats().Batches != 1 {
		t.Errorf("it got %d requests; %d batches wait", n, sp.Stats().Batches)
	}
}

// An agent that was thrown out keeps what it measures, and says so once, not all night.
func TestAgentThatWasThrownOutSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logLines
		c := newCollector(apiError(401, "the agent was thrown out"))
		sp := openSpool(t, t.TempDir(), "b1")
		o := with(handlers{"one": c}, "one")
		o.Log = log.logger()
		_, stop := start(t, o, sp)
		const batches = 23
		for range batches {
			put(t, sp, 1, "a f=1 1\n")
			time.Sleep(time.Hour)
		}
		if n := log.count("thrown out"); n != 1 {
			t.Errorf("said %d times in %d hours", n, batches)
		}
		if n := sp.Stats().Batches; n != batches {
			t.Errorf("%d batches wait, want all %d", n, batches)
		}
		c.set(take)
		time.Sleep(10 * time.Minute)
		if n := sp.Stats().Batches; n != 0 {
			t.Errorf("%d batches wait after it was let in again", n)
		}
		stop()
	})
}
