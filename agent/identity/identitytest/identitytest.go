// Package identitytest is a collector as agents with an identity see it, for tests: an authority, and a server that
// follows probes/enroll over real TLS on loopback, and does what a test tells it to.
package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/probes/enroll"
	"communewatch/probes/wire"
)

// Authority signs certificates.
type Authority struct {
	t    testing.TB
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one that is valid from a time on for 20 years.
func NewAuthority(t testing.TB, from time.Time) *Authority {
	a := &Authority{t: t, key: newKey(t)}
	a.Cert = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Test authority"}, NotBefore: from, NotAfter: from.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, &a.key.PublicKey)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *Authority) sign(template *x509.Certificate, public any) *x509.Certificate {
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	parent := a.Cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// Server makes a server's certificate for a host.
func (a *Authority) Server(host string, from, to time.Time) tls.Certificate {
	key := newKey(a.t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "collector"}, NotBefore: from, NotAfter: to,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	leaf := a.sign(template, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.Cert.Raw}, PrivateKey: key, Leaf: leaf}
}

// Agent makes an agent's certificate.
func (a *Authority) Agent(public any, name enroll.Name, from, to time.Time) *x509.Certificate {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name.Agent}, NotBefore: from, NotAfter: to,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	template.URIs = append(template.URIs, name.URI())
	return a.sign(template, public)
}

// PEM writes certificates.
func PEM(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.String()
}

// Collector is a collector. Tests set its fields by Set, and may read them by Get.
type Collector struct {
	t      testing.TB
	server *httptest.Server

	mu sync.Mutex // guards the fields below
	State
}

// State is what a Collector does.
type State struct {
	Authority *Authority          // that signs agents and shows the server's certificate
	Shown     *tls.Certificate    // the server's certificate; nil for one that Authority makes for 127.0.0.1
	Roots     []*x509.Certificate // what it says to trust; nil for Authority alone
	Secret    string              // of the code that it knows
	Fleet     string
	Site      string
	Pending   bool
	Refuse    *enroll.Refusal  // in the place of every answer
	Life      time.Duration    // of agents' certificates
	Now       func() time.Time // its clock
	Next      http.Handler     // for all that is not enrolment's

	Asked    int      // requests for a certificate
	Renewed  int      // renewals given
	Trusted  int      // times that it was asked for its authorities
	Keys     []string // the keys that asked, each once
	LastName string   // the agent's name that was asked for last
	lastKey  string
	ip       tls.Certificate
	of       *Authority
}

// NewCollector serves until the test ends.
func NewCollector(t testing.TB, now func() time.Time) *Collector {
	c := &Collector{t: t}
	a := NewAuthority(t, now().Add(-time.Hour))
	c.State = State{Authority: a, Secret: strings.Repeat("07", enroll.SecretBytes), Site: "s08707", Life: 90 * 24 * time.Hour, Now: now, Fleet: enroll.PinOf(a.Cert).String()}
	c.server = httptest.NewUnstartedServer(c)
	c.server.Config.ErrorLog = log.New(discard{}, "", 0)
	// For each connection: the test server adds a certificate of its own to what it is given once.
	c.server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{*c.certificate()}}, nil
	}}
	c.server.StartTLS()
	t.Cleanup(c.server.Close)
	return c
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// URL is its address.
func (c *Collector) URL() string { return c.server.URL }

// Close ends it, with all connections.
func (c *Collector) Close() { c.server.CloseClientConnections(); c.server.Close() }

// Set changes what it does.
func (c *Collector) Set(f func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.State)
}

// Get is what it does and has done.
func (c *Collector) Get() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.State
}

// Code is a join code of it.
func (c *Collector) Code() enroll.Code {
	s := c.Get()
	code := enroll.Code{Pin: enroll.PinOf(s.Authority.Cert), Addresses: []string{c.URL()}}
	secret, err := hex.DecodeString(s.Secret)
	if err != nil {
		c.t.Fatal(err)
	}
	copy(code.Secret[:], secret)
	return code
}

func (c *Collector) certificate() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Shown != nil {
		return c.Shown
	}
	now := c.Now()
	if c.of != c.Authority || now.After(c.ip.Leaf.NotAfter) || now.Before(c.ip.Leaf.NotBefore) {
		c.ip, c.of = c.Authority.Server("127.0.0.1", now.Add(-time.Hour), now.AddDate(1, 0, 0)), c.Authority
	}
	return &c.ip
}

func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	next := c.Get().Next
	w.Header().Set(wire.HeaderReceivedAt, strconv.FormatInt(c.Get().Now().UnixMilli(), 10))
	switch r.URL.Path {
	case enroll.Path:
		c.enroll(w, r)
	case enroll.RenewPath:
		c.renew(w, r)
	case enroll.TrustPath:
		c.trust(w, r)
	default:
		if next == nil {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, r enroll.Refusal) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(r)
}

func (c *Collector) enroll(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var in enroll.Request
	if err := enroll.Read(r.Body, &in); err != nil {
		refuse(w, http.StatusBadRequest, enroll.Refusal{Code: "bad", Message: err.Error()})
		return
	}
	csr, err := enroll.ParseCSR(in.CSR)
	if err != nil {
		refuse(w, http.StatusBadRequest, enroll.Refusal{Code: "bad", Message: err.Error()})
		return
	}
	c.Asked++
	c.LastName = in.Agent
	key := fmt.Sprintf("%x", sha256.Sum256(csr.RawSubjectPublicKeyInfo))
	if len(c.Keys) == 0 || c.Keys[len(c.Keys)-1] != key {
		c.Keys = append(c.Keys, key)
	}
	switch {
	case c.Refuse != nil:
		refuse(w, http.StatusForbidden, *c.Refuse)
		return
	case in.Secret != c.Secret:
		refuse(w, http.StatusForbidden, enroll.Refusal{Code: enroll.RefusedCode, Message: "no such code"})
		return
	case c.lastKey != "" && c.lastKey != key:
		refuse(w, http.StatusConflict, enroll.Refusal{Code: enroll.RefusedUsed, Message: "used"})
		return
	}
	c.lastKey = key
	a := enroll.Answer{Site: c.Site, Agent: in.Agent}
	if c.Pending {
		a.Pending, a.Retry = true, 5
		w.WriteHeader(http.StatusAccepted)
	} else {
		c.certify(&a, csr.PublicKey)
		w.WriteHeader(http.StatusCreated)
	}
	_ = json.NewEncoder(w).Encode(a)
}

// certify fills in an answer. The caller holds c.mu.
func (c *Collector) certify(a *enroll.Answer, public any) {
	now := c.Now()
	name := enroll.Name{Fleet: c.Fleet, Site: a.Site, Agent: a.Agent}
	a.Certificate = PEM(c.Authority.Agent(public, name, now.Add(-time.Hour), now.Add(c.Life)))
	a.Trust.Roots = c.roots()
	a.Collectors = []string{c.server.URL}
}

func (c *Collector) roots() string {
	if c.Roots == nil {
		return PEM(c.Authority.Cert)
	}
	return PEM(c.Roots...)
}

// known is the name in the client's certificate. The caller holds c.mu.
func (c *Collector) known(w http.ResponseWriter, r *http.Request) (name enroll.Name, ok bool) {
	if c.Refuse != nil {
		refuse(w, http.StatusForbidden, *c.Refuse)
		return name, false
	}
	var err error
	if len(r.TLS.PeerCertificates) > 0 {
		name, err = enroll.NameOf(r.TLS.PeerCertificates[0])
	}
	if err != nil || name.Fleet != c.Fleet {
		refuse(w, http.StatusUnauthorized, enroll.Refusal{Code: enroll.RefusedCert, Message: "no certificate of this fleet"})
		return name, false
	}
	return name, true
}

func (c *Collector) renew(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, ok := c.known(w, r)
	if !ok {
		return
	}
	var in enroll.Renewal
	if err := enroll.Read(r.Body, &in); err != nil {
		refuse(w, http.StatusBadRequest, enroll.Refusal{Code: "bad", Message: err.Error()})
		return
	}
	csr, err := enroll.ParseCSR(in.CSR)
	if err != nil {
		refuse(w, http.StatusBadRequest, enroll.Refusal{Code: "bad", Message: err.Error()})
		return
	}
	c.Renewed++
	a := enroll.Answer{Site: name.Site, Agent: name.Agent}
	c.certify(&a, csr.PublicKey)
	_ = json.NewEncoder(w).Encode(a)
}

func (c *Collector) trust(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known(w, r); !ok {
		return
	}
	c.Trusted++
	etag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256([]byte(c.roots())))[:16])
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_ = json.NewEncoder(w).Encode(enroll.Trust{Roots: c.roots()})
}
