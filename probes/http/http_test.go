package http

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
)

func run1(t *testing.T, url string, o Options) (probes.Point, error) {
	t.Helper()
	p, err := New(probes.Target{Name: "x", Kind: probes.KindHTTP, Address: url}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	points, err := p.Probe(context.Background())
	if len(points) == 0 {
		return probes.Point{}, err
	}
	return points[0], err
}

func has(p probes.Point, key string) bool { _, ok := p.Field(key); return ok }

func num(t *testing.T, p probes.Point, key string) float64 {
	t.Helper()
	f, ok := p.Field(key)
	if !ok {
		t.Fatalf("no field %s in %+v", key, p.Fields)
	}
	return f.Num
}

func TestPhasesAddUp(t *testing.T) {
	const wait = 60 * time.Millisecond
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-time.After(wait)
		fmt.Fprint(w, "xin chào")
	}))
	defer s.Close()
	o := DefaultOptions()
	o.BodyContains = "chào"
	p, err := run1(t, s.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	first, total := num(t, p, "first_byte_seconds"), num(t, p, "total_seconds")
	if first < wait.Seconds() || total < first+num(t, p, "connect_seconds") {
		t.Errorf("first byte %v, total %v", first, total)
	}
	if has(p, "dns_seconds") || has(p, "tls_seconds") || has(p, "cert_expiry_seconds") {
		t.Errorf("phases that did not happen: %+v", p.Fields)
	}
	if num(t, p, "status") != 200 || num(t, p, "body_bytes") != float64(len("xin chào")) || num(t, p, "body_ok") != 1 {
		t.Errorf("got %+v", p.Fields)
	}
}

func TestVerdicts(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "host=%s ua=%s", r.Host, r.UserAgent()) })
	mux.HandleFunc("/500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		c, b, _ := w.(http.Hijacker).Hijack()
		b.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		b.Flush()
		c.Close()
	})
	mux.HandleFunc("/garbage", func(w http.ResponseWriter, _ *http.Request) {
		c, b, _ := w.(http.Hijacker).Hijack()
		b.WriteString("SSH-2.0-OpenSSH\r\n")
		b.Flush()
		c.Close()
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for range 4096 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	for _, tc := range []struct {
		path    string
		edit    func(*Options)
		outcome probes.Outcome
		status  float64 // 0: none
		in      string
	}{
		{"/ok", nil, probes.OutcomeOK, 200, ""},
		{"/ok", func(o *Options) {
			o.Headers = map[string]string{"Host": "portal.test"}
			o.BodyContains = "host=portal.test"
		}, probes.OutcomeOK, 200, ""},
		{"/ok", func(o *Options) { o.BodyMatches = "^host=127" }, probes.OutcomeOK, 200, ""},
		{"/ok", func(o *Options) { o.BodyContains = "nothing of the kind" }, probes.OutcomeFailed, 200, "does not contain"},
		{"/ok", func(o *Options) { o.BodyMatches = "^x$" }, probes.OutcomeFailed, 200, "does not match"},
		{"/ok", func(o *Options) { o.Method = "HEAD" }, probes.OutcomeOK, 200, ""},
		{"/500", nil, probes.OutcomeFailed, 500, "status 500"},
		{"/500", func(o *Options) { o.Status = []int{401, 500} }, probes.OutcomeOK, 500, ""},
		{"/to", nil, probes.OutcomeFailed, 302, "status 302"},
		{"/to", func(o *Options) { o.Redirects = 1 }, probes.OutcomeOK, 200, ""},
		{"/loop", func(o *Options) { o.Redirects = 3 }, probes.OutcomeFailed, 302, "status 302"},
		{"/cut", nil, probes.OutcomeFailed, 200, "cut short"},
		{"/garbage", nil, probes.OutcomeFailed, 0, "malformed"},
		{"/endless", func(o *Options) { o.MaxBody = 1000 }, probes.OutcomeOK, 200, ""},
	} {
		t.Run(strings.TrimPrefix(tc.path, "/"), func(t *testing.T) {
			o := DefaultOptions()
			if tc.edit != nil {
				tc.edit(&o)
			}
			p, err := run1(t, s.URL+tc.path, o)
			if probes.OutcomeOf(err) != tc.outcome {
				t.Fatalf("outcome %v (%v), want %v", probes.OutcomeOf(err), err, tc.outcome)
			}
			if err != nil && !strings.Contains(err.Error(), tc.in) {
				t.Errorf("error %q does not tell %q", err, tc.in)
			}
			if tc.status == 0 {
				if has(p, "status") {
					t.Errorf("a status from nowhere: %+v", p.Fields)
				}
			} else if num(t, p, "status") != tc.status {
				t.Errorf("status %v, want %v", num(t, p, "status"), tc.status)
			}
		})
	}
}

func TestServersThatDoNotAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel connects, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.Timeout = 150 * time.Millisecond
	p, err := run1(t, "http://"+l.Addr().String()+"/", o)
	if probes.OutcomeOf(err) != probes.OutcomeTimeout || !has(p, "connect_seconds") || has(p, "total_seconds") {
		t.Errorf("hanging server: %v, %+v", err, p.Fields)
	}
	l.Close()
	if _, err := run1(t, "http://"+l.Addr().String()+"/", o); probes.OutcomeOf(err) != probes.OutcomeRefused {
		t.Errorf("closed port: %v", err)
	}
	if _, err := run1(t, "http://no-such-name.invalid/", o); probes.OutcomeOf(err) != probes.OutcomeUnresolved && probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("unknown name: %v", err)
	}
}

// A server that talks before it is asked must not make up a time to first byte: the phases come from goroutines of the
// transport that race each other then.
func TestServerThatAnswersBeforeItIsAsked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	for range 200 {
		p, _ := run1(t, "http://"+l.Addr().String()+"/", DefaultOptions())
		if f, ok := p.Field("first_byte_seconds"); ok && (f.Num < 0 || f.Num > 10) {
			t.Fatalf("first_byte_seconds = %v", f.Num)
		}
	}
}

// tlsServer serves with a certificate of its own making that ends at notAfter, and returns its PEM file.
func tlsServer(t *testing.T, notAfter time.Time) (url, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, caFile
}

func TestCertificates(t *testing.T) {
	url, ca := tlsServer(t, time.Now().Add(10*time.Hour))
	expired, expiredCA := tlsServer(t, time.Now().Add(-10*time.Hour))
	early, earlyCA := tlsServer(t, time.Now().Add(72*time.Hour))
	ago, soon := time.Now().Add(-10*time.Hour).UTC(), time.Now().Add(48*time.Hour).UTC()
	for _, tc := range []struct {
		name, url, ca string
		skip          bool
		outcome       probes.Outcome
		expiry        float64
		in            string
	}{
		{"trusted", url, ca, false, probes.OutcomeOK, 10 * 3600, ""},
		{"unknown authority", url, "", false, probes.OutcomeFailed, 10 * 3600, "certificate: signed by an unknown authority"},
		{"any will do", url, "", true, probes.OutcomeOK, 10 * 3600, ""},
		{"expired", expired, expiredCA, false, probes.OutcomeFailed, -10 * 3600, "certificate: expired on " + ago.Format("2006-01-02")},
		{"not yet valid", early, earlyCA, false, probes.OutcomeFailed, 72 * 3600, "certificate: not valid before " + soon.Format("2006-01-02")},
		{"wrong host", strings.Replace(url, "127.0.0.1", "localhost", 1), ca, false, probes.OutcomeFailed, 10 * 3600, "certificate: made for 127.0.0.1, not for localhost"},
		{"expired, any will do", expired, "", true, probes.OutcomeOK, -10 * 3600, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := DefaultOptions()
			o.CAFile, o.SkipVerify = tc.ca, tc.skip
			p, err := run1(t, tc.url, o)
			if probes.OutcomeOf(err) != tc.outcome {
				t.Fatalf("outcome %v (%v), want %v", probes.OutcomeOf(err), err, tc.outcome)
			}
			if err != nil && err.Error() != tc.in { // to the letter: each other text is one more in the collector's dictionary
				t.Errorf("error %q, want %q", err, tc.in)
			}
			if got := num(t, p, "cert_expiry_seconds"); got < tc.expiry-60 || got > tc.expiry+60 {
				t.Errorf("cert_expiry_seconds = %v, want about %v", got, tc.expiry)
			}
			if (err == nil) != has(p, "tls_seconds") {
				t.Errorf("tls_seconds: %v, error: %v", has(p, "tls_seconds"), err)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name, url, at string
		edit          func(*Options)
	}{
		{"fine", "https://10.0.0.1:8443/x?y", "", nil},
		{"no scheme", "10.0.0.1", "address", nil},
		{"another scheme", "ftp://10.0.0.1/", "address", nil},
		{"no host", "http:///x", "address", nil},
		{"control character", "http://a\x01b/", "address", nil},
		{"method", "http://a/", "method", func(o *Options) { o.Method = "POST" }},
		{"head with body", "http://a/", "method", func(o *Options) { o.Method = "HEAD"; o.BodyContains = "x" }},
		{"status", "http://a/", "status[1]", func(o *Options) { o.Status = []int{200, 2000} }},
		{"expression", "http://a/", "body_matches", func(o *Options) { o.BodyMatches = "(" }},
		{"timeout", "http://a/", "timeout", func(o *Options) { o.Timeout = time.Hour }},
		{"body size", "http://a/", "max_body", func(o *Options) { o.MaxBody = 1 << 30 }},
		{"redirects", "http://a/", "redirects", func(o *Options) { o.Redirects = 99 }},
		{"authorities", "http://a/", "ca_file", func(o *Options) { o.CAFile = "testdata/none.pem" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := DefaultOptions()
			if tc.edit != nil {
				tc.edit(&o)
			}
			var places []string
			o.Validate(probes.Target{Address: tc.url}, func(at, _ string, _ ...any) { places = append(places, at) })
			if got := strings.Join(places, " "); got != tc.at {
				t.Errorf("problems at %q, want %q", got, tc.at)
			}
		})
	}
}
