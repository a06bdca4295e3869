package enroll_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/collector/authority"
	"communewatch/collector/callers"
	door "communewatch/collector/enroll"
	"communewatch/collector/fleet"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/inventory"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/wire"
	"communewatch/probes/work"
)

// place is a collector's door behind TLS with a real authority and registry, and a clock that is set by hand.
type place struct {
	t         *testing.T
	began     time.Time
	mu        sync.Mutex // guards the fields below
	now       time.Time
	stops     []string
	log       strings.Builder
	authority *authority.Authority
	reg       *registry.Registry
	desk      *agents.Desk
	door      *door.Door
	server    *httptest.Server

	doubted atomic.Bool // it is not known what time it is
}

func (p *place) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *place) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// ObserveStop makes place a Judge.
func (p *place) ObserveStop(site, agent string, at time.Time, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := "runs"
	if !at.IsZero() {
		text = "stopped"
	}
	p.stops = append(p.stops, fmt.Sprintf("%s/%s %s %s", site, agent, text, reason))
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, began: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
	p.now = p.began
	log := slog.New(slog.NewTextHandler(lockedWriter{p}, nil))
	var err error
	if p.authority, err = authority.Open(filepath.Join(t.TempDir(), "authority"), authority.Options{Names: []string{"127.0.0.1"}, Now: p.clock, Log: log}); err != nil {
		t.Fatal(err)
	}
	if p.reg, err = registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Now: p.clock, Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.reg.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.reg.ImportSites(t.Context(), []inventory.Site{{ID: "s1", Name: "s1"}, {ID: "s2", Name: "s2"}}, false); err != nil {
		t.Fatal(err)
	}
	addresses := []string{"https://collector.example:8787"}
	p.desk = p.reg.Agents().NewDesk(func() (enroll.Pin, []string, error) { return p.authority.Pin(), addresses, nil })
	p.door = door.New(door.Options{Authority: p.authority, Agents: p.reg.Agents(), Addresses: func() []string { return addresses }, Judge: p, Log: log, Now: p.clock,
		Believed: func() bool { return !p.doubted.Load() },
		Callers:  callers.New(callers.Options{Authority: p.authority, Agents: p.reg.Agents(), Tokens: p.reg, AgentTokens: true, Now: p.clock})})
	p.server = httptest.NewUnstartedServer(p.door)
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.server.TLS = p.authority.TLSConfig()
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	return p
}

type lockedWriter struct{ p *place }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.log.Write(b)
}

// machine is an agent's side: a key, and the certificate that it has got.
type machine struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newMachine(t testing.TB) *machine {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{key: key}
}

func (m *machine) csr(t testing.TB) string {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, m.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// call sends one request over a connection of its own, with the machine's certificate if it has one.
func (p *place) call(m *machine, method, path string, body any, headers ...string) (*http.Response, []byte) {
	p.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.authority.Roots())) {
		p.t.Fatal("no roots")
	}
	conf := &tls.Config{RootCAs: roots, Time: func() time.Time { return p.began }}
	if m != nil && m.cert != nil {
		// As agents do: whatever authorities the collector asks for.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{m.cert.Raw}, PrivateKey: m.key}, nil
		}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			p.t.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.server.URL+path, in)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	want := strconv.FormatInt(p.clock().UnixMilli(), 10)
	if p.doubted.Load() {
		want = ""
	}
	if got := resp.Header.Get(wire.HeaderReceivedAt); got != want {
		p.t.Errorf("%s says it is %q", path, got)
	}
	return resp, out
}

// refused checks that an answer is a refusal.
func (p *place) refused(resp *http.Response, body []byte, status int, code string) {
	p.t.Helper()
	var r enroll.Refusal
	if err := json.Unmarshal(body, &r); err != nil || resp.StatusCode != status || r.Code != code || r.Message == "" {
		p.t.Errorf("got %d %.300s, want %d %s", resp.StatusCode, body, status, code)
	}
}

func (p *place) code(want fleet.NewCode) enroll.Code {
	p.t.Helper()
	made, err := p.desk.CreateCodes(p.t.Context(), []fleet.NewCode{want})
	if err != nil {
		p.t.Fatal(err)
	}
	code, err := enroll.ParseCode(made[0].Text)
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

func request(t testing.TB, code enroll.Code, m *machine) enroll.Request {
	return enroll.Request{Secret: fmt.Sprintf("%x", code.Secret), CSR: m.csr(t), Agent: "main", Machine: enroll.Machine{Host: "pc", System: "linux/amd64", Version: "1"}}
}

// take reads a good answer and keeps its certificate.
func (p *place) take(m *machine, resp *http.Response, body []byte, status int) *enroll.Answer {
	p.t.Helper()
	var a enroll.Answer
	if resp.StatusCode != status {
		p.t.Fatalf("got %d %.300s, want %d", resp.StatusCode, body, status)
	}
	if err := enroll.Read(bytes.NewReader(body), &a); err != nil {
		p.t.Fatal(err)
	}
	var err error
	if m.cert, err = a.Leaf(); err != nil {
		p.t.Fatal(err)
	}
	return &a
}

func (p *place) enrol(site string) *machine {
	p.t.Helper()
	m := newMachine(p.t)
	resp, body := p.call(m, "POST", enroll.Path, request(p.t, p.code(fleet.NewCode{Site: site}), m))
	p.take(m, resp, body, 201)
	return m
}

func TestFromCodeToCertificate(t *testing.T) {
	p := newPlace(t)
	m := newMachine(t)
	code := p.code(fleet.NewCode{Site: "s1"})
	if code.Pin != p.authority.Pin() {
		t.Error("the code pins another authority")
	}
	resp, body := p.call(m, "POST", enroll.Path, request(t, code, m))
	a := p.take(m, resp, body, 201)
	if a.Site != "s1" || a.Agent != "main" || len(a.Collectors) != 1 || a.Trust.Roots != p.authority.Roots() {
		t.Errorf("%+v", a)
	}
	if name, err := p.authority.Identify(m.cert, p.clock()); err != nil || name.Site != "s1" || name.Agent != "main" {
		t.Error(name, err)
	}
	// The answer was lost: the same key gets another, another key none.
	resp, body = p.call(m, "POST", enroll.Path, request(t, code, m))
	p.take(m, resp, body, 201)
	thief := newMachine(t)
	resp, body = p.call(thief, "POST", enroll.Path, request(t, code, thief))
	p.refused(resp, body, 409, enroll.RefusedUsed)
}

// Who is in stays in while it is not known what time it is, and is told no time; who wants a certificate comes again.
func TestNoCertificateIsMadeOfNoTime(t *testing.T) {
	p := newPlace(t)
	in, waits, code := p.enrol("s1"), newMachine(t), p.code(fleet.NewCode{Site: "s2"})
	p.doubted.Store(true)
	resp, body := p.call(waits, "POST", enroll.Path, request(t, code, waits))
	p.refused(resp, body, http.StatusServiceUnavailable, "unavailable")
	if resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "clock") {
		t.Errorf("%v %s", resp.Header, body)
	}
	next := newMachine(t)
	resp, body = p.call(in, "POST", enroll.RenewPath, enroll.Renewal{CSR: next.csr(t), Machine: enroll.Machine{Host: "pc"}})
	p.refused(resp, body, http.StatusServiceUnavailable, "unavailable")
	if resp, body = p.call(in, "GET", enroll.TrustPath, nil, wire.HeaderAgent, "main"); resp.StatusCode != http.StatusOK {
		t.Errorf("trust: %d %s", resp.StatusCode, body)
	}
	p.doubted.Store(false)
	resp, body = p.call(waits, "POST", enroll.Path, request(t, code, waits))
	p.take(waits, resp, body, http.StatusCreated)
}

func TestWaitingForApproval(t *testing.T) {
	p := newPlace(t)
	m := newMachine(t)
	code := p.code(fleet.NewCode{Site: "s1", Approve: true})
	resp, body := p.call(m, "POST", enroll.Path, request(t, code, m))
	var a enroll.Answer
	if err := enroll.Read(bytes.NewReader(body), &a); err != nil || resp.StatusCode != 202 || !a.Pending || a.Certificate != "" {
		t.Fatal(resp.StatusCode, string(body), err)
	}
	if err := p.desk.Approve(t.Context(), "s1", "main", "lan"); err != nil {
		t.Fatal(err)
	}
	resp, body = p.call(m, "POST", enroll.Path, request(t, code, m))
	p.take(m, resp, body, 201)

	code = p.code(fleet.NewCode{Site: "s2", Approve: true})
	m = newMachine(t)
	p.call(m, "POST", enroll.Path, request(t, code, m))
	if err := p.desk.Revoke(t.Context(), "s2", "main", "lan", "unknown"); err != nil {
		t.Fatal(err)
	}
	resp, body = p.call(m, "POST", enroll.Path, request(t, code, m))
	p.refused(resp, body, 403, enroll.RefusedRejected)
}

func TestRequestsThatAreNone(t *testing.T) {
	p := newPlace(t)
	m := newMachine(t)
	code := p.code(fleet.NewCode{Site: "s1", Valid: time.Hour})
	good := request(t, code, m)
	change := func(do func(*enroll.Request)) enroll.Request {
		q := good
		do(&q)
		return q
	}
	block, _ := pem.Decode([]byte(good.CSR))
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	for name, body := range map[string]any{
		"nothing": "", "no JSON": "hello", "two": `{}{}`, "a long one": strings.Repeat(" ", enroll.MaxMessage+1),
		"no secret":         change(func(q *enroll.Request) { q.Secret = "" }),
		"a cut secret":      change(func(q *enroll.Request) { q.Secret = q.Secret[:10] }),
		"no CSR":            change(func(q *enroll.Request) { q.CSR = "" }),
		"a CSR that is cut": change(func(q *enroll.Request) { q.CSR = q.CSR[:100] }),
		"a forged CSR": change(func(q *enroll.Request) {
			q.CSR = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged}))
		}),
		"a hostile name": change(func(q *enroll.Request) { q.Agent = "<script>" }),
		"a path":         change(func(q *enroll.Request) { q.Agent = "../../etc" }),
		"a hostile host": change(func(q *enroll.Request) { q.Machine.Host = "a\nb" }),
	} {
		resp, answer := p.call(m, "POST", enroll.Path, body)
		if resp.StatusCode != 400 {
			t.Errorf("%s: got %d %.200s", name, resp.StatusCode, answer)
		}
	}
	resp, body := p.call(m, "GET", enroll.Path, nil)
	p.refused(resp, body, 405, "method")
	// None of it has used the code up.
	p.pass(time.Hour - time.Second)
	resp, body = p.call(m, "POST", enroll.Path, good)
	p.take(m, resp, body, 201)
	p.pass(time.Second)
	late := newMachine(t)
	resp, body = p.call(late, "POST", enroll.Path, request(t, p.code(fleet.NewCode{Site: "s2", Valid: time.Minute}), late))
	p.take(late, resp, body, 201)
	code = p.code(fleet.NewCode{Site: "s2", Valid: time.Minute})
	p.pass(time.Minute)
	resp, body = p.call(m, "POST", enroll.Path, request(t, code, newMachine(t)))
	p.refused(resp, body, 410, enroll.RefusedExpired)
}

func TestGuessesAreCounted(t *testing.T) {
	p := newPlace(t)
	good := p.code(fleet.NewCode{Site: "s1"})
	wrong, busy := 0, 0
	for i := range 40 {
		code := good
		code.Secret[0] ^= byte(i + 1)
		resp, body := p.call(nil, "POST", enroll.Path, request(t, code, newMachine(t)))
		switch resp.StatusCode {
		case 404:
			wrong++
		case 429:
			busy++
			if resp.Header.Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		default:
			t.Fatal(resp.StatusCode, string(body))
		}
	}
	if wrong != 20 || busy != 20 {
		t.Errorf("%d were looked at, %d refused", wrong, busy)
	}
	// Offices behind one address must not suffer from each other's mistakes: a code that exists is good all the same.
	m := newMachine(t)
	resp, body := p.call(m, "POST", enroll.Path, request(t, good, m))
	p.take(m, resp, body, 201)
	if strings.Contains(p.log.String(), fmt.Sprintf("%x", good.Secret)) {
		t.Error("a secret is in the log")
	}
}

func TestAProvinceEnrolsAtOnce(t *testing.T) {
	p := newPlace(t)
	var want []fleet.NewCode
	for i := range 136 {
		want = append(want, fleet.NewCode{Site: "s1", Agent: fmt.Sprintf("a%03d", i)})
	}
	made, err := p.desk.CreateCodes(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() {
			code, _ := enroll.ParseCode(made[i].Text)
			m := newMachine(t)
			resp, body := p.call(m, "POST", enroll.Path, request(t, code, m))
			if resp.StatusCode != 201 {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	all.Wait()
}

func TestRenewal(t *testing.T) {
	p := newPlace(t)
	m := p.enrol("s1")
	first := m.cert
	p.pass(60 * 24 * time.Hour)
	resp, body := p.call(m, "POST", enroll.RenewPath, enroll.Renewal{CSR: m.csr(t)})
	p.take(m, resp, body, 200)
	if !m.cert.NotAfter.After(first.NotAfter) {
		t.Error("the new certificate ends no later")
	}
	// With a new key: the old one stays good until the new one has arrived.
	next := newMachine(t)
	resp, body = p.call(m, "POST", enroll.RenewPath, enroll.Renewal{CSR: next.csr(t)})
	p.take(next, resp, body, 200)
	for _, who := range []*machine{m, next} {
		if resp, body := p.call(who, "GET", enroll.TrustPath, nil); resp.StatusCode != 200 {
			t.Error(resp.StatusCode, string(body))
		}
	}
	// Expired: it renews, and does nothing else.
	p.pass(90*24*time.Hour + 179*24*time.Hour)
	resp, body = p.call(next, "GET", enroll.TrustPath, nil)
	p.refused(resp, body, 401, enroll.RefusedCert)
	resp, body = p.call(next, "POST", enroll.RenewPath, enroll.Renewal{CSR: next.csr(t)})
	p.take(next, resp, body, 200)
	p.pass(90*24*time.Hour + 181*24*time.Hour)
	resp, body = p.call(next, "POST", enroll.RenewPath, enroll.Renewal{CSR: next.csr(t)})
	p.refused(resp, body, 401, enroll.RefusedCert)
}

func TestWhoMayNotRenew(t *testing.T) {
	p := newPlace(t)
	m := p.enrol("s1")
	resp, body := p.call(nil, "POST", enroll.RenewPath, enroll.Renewal{CSR: m.csr(t)})
	p.refused(resp, body, 401, enroll.RefusedCert)

	other := newPlace(t) // another fleet
	foreign := other.enrol("s1")
	for _, path := range []string{enroll.RenewPath, presence.Path} {
		resp, body = p.call(foreign, "POST", path, enroll.Renewal{CSR: foreign.csr(t)})
		p.refused(resp, body, 401, enroll.RefusedCert)
		if path == enroll.RenewPath && !strings.Contains(string(body), "fleet") {
			t.Errorf("it is not said that it is another fleet's: %s", body)
		}
	}
	// Somebody who signs for himself in our name.
	self := newMachine(t)
	fake := &x509.Certificate{SerialNumber: m.cert.SerialNumber, NotBefore: m.cert.NotBefore, NotAfter: m.cert.NotAfter, URIs: m.cert.URIs,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, fake, &x509.Certificate{RawSubject: m.cert.RawIssuer}, &self.key.PublicKey, self.key)
	if err != nil {
		t.Fatal(err)
	}
	if self.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	resp, body = p.call(self, "POST", enroll.RenewPath, enroll.Renewal{CSR: self.csr(t)})
	p.refused(resp, body, 401, enroll.RefusedCert)

	secret, _, err := p.reg.CreateToken(t.Context(), registry.Token{Kind: registry.KindAgent, Site: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	resp, body = p.call(nil, "POST", enroll.RenewPath, enroll.Renewal{CSR: m.csr(t)}, "Authorization", "Bearer "+secret)
	p.refused(resp, body, 401, enroll.RefusedCert)

	if err := p.desk.Revoke(t.Context(), "s1", "main", "lan", "stolen"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{enroll.RenewPath, presence.Path} {
		resp, body = p.call(m, "POST", path, enroll.Renewal{CSR: m.csr(t)})
		p.refused(resp, body, 403, enroll.RefusedRevoked)
	}
}

func TestTrust(t *testing.T) {
	p := newPlace(t)
	m := p.enrol("s1")
	resp, body := p.call(m, "GET", enroll.TrustPath, nil)
	var trust enroll.Trust
	if err := enroll.Read(bytes.NewReader(body), &trust); err != nil || trust.Roots != p.authority.Roots() {
		t.Fatal(string(body), err)
	}
	tag := resp.Header.Get("ETag")
	if resp, _ := p.call(m, "GET", enroll.TrustPath, nil, "If-None-Match", tag); resp.StatusCode != 304 {
		t.Error(resp.StatusCode)
	}
	if _, err := p.authority.Announce(); err != nil {
		t.Fatal(err)
	}
	resp, body = p.call(m, "GET", enroll.TrustPath, nil, "If-None-Match", tag)
	if err := enroll.Read(bytes.NewReader(body), &trust); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode, string(body), err)
	}
	if all, err := trust.Authorities(); err != nil || len(all) != 2 {
		t.Error("the authority that was announced is not told:", len(all), err)
	}
}

func says(boot string, phase presence.Phase, reason presence.Reason) presence.Presence {
	return presence.Presence{Boot: boot, Phase: phase, Reason: reason, Machine: enroll.Machine{Host: "pc"}, Work: work.Status{State: work.StateNone}}
}

func TestPresence(t *testing.T) {
	p := newPlace(t)
	m := p.enrol("s1")
	for _, s := range []presence.Presence{says("b1", presence.PhaseStarted, presence.StartBoot), says("b1", presence.PhaseStopping, presence.StopShutdown)} {
		if resp, body := p.call(m, "POST", presence.Path, s); resp.StatusCode != 204 || len(body) > 0 {
			t.Fatal(resp.StatusCode, string(body))
		}
	}
	if got := strings.Join(p.stops, ", "); got != "s1/main runs boot, s1/main stopped shutdown" {
		t.Error(got)
	}
	all, err := p.desk.Agents(t.Context())
	if err != nil || len(all) != 1 || !all[0].Stopped.Equal(p.clock()) || all[0].Serial != m.cert.SerialNumber.Text(16) {
		t.Errorf("%+v %v", all, err)
	}
	for name, body := range map[string]any{
		"nothing": "", "no boot": says("", presence.PhaseRunning, ""), "no phase": says("b", "", ""), "hostile text": says("b", presence.PhaseRunning, "a\x00b"),
		"a long one": strings.Repeat(" ", presence.MaxPresence+1),
	} {
		if resp, body := p.call(m, "POST", presence.Path, body); resp.StatusCode != 400 {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	resp, body := p.call(m, "POST", presence.Path, says("b", presence.PhaseRunning, ""), wire.HeaderAgent, "another")
	p.refused(resp, body, 403, "forbidden")

	// Who says too much is not heard; that it stops has a measure of its own.
	heard := 0
	for range 40 {
		if resp, _ := p.call(m, "POST", presence.Path, says("b2", presence.PhaseRunning, "")); resp.StatusCode == 204 {
			heard++
		} else if resp.StatusCode != 429 {
			t.Fatal(resp.StatusCode)
		}
	}
	if heard < 15 || heard > 20 {
		t.Errorf("heard %d of 40", heard)
	}
	if resp, _ := p.call(m, "POST", presence.Path, says("b2", presence.PhaseStopping, presence.StopService)); resp.StatusCode != 204 {
		t.Error("a last word was not heard:", resp.StatusCode)
	}
}

func TestPresenceOfAgentsWithAToken(t *testing.T) {
	p := newPlace(t)
	secret, _, err := p.reg.CreateToken(t.Context(), registry.Token{Kind: registry.KindAgent, Site: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	token := []string{"Authorization", "Bearer " + secret, wire.HeaderAgent, "main"}
	if resp, body := p.call(nil, "POST", presence.Path, says("b1", presence.PhaseStopping, presence.StopService), token...); resp.StatusCode != 204 {
		t.Fatal(resp.StatusCode, string(body))
	}
	if stops, err := p.reg.Agents().Stops(t.Context()); err != nil || len(stops) != 1 || stops[0].Agent != "main" {
		t.Error(stops, err)
	}
	resp, _ := p.call(nil, "POST", presence.Path, says("b1", presence.PhaseRunning, ""), token[:2]...)
	if resp.StatusCode != 400 {
		t.Error("an agent without a name was heard:", resp.StatusCode)
	}
	writer, _, err := p.reg.CreateToken(t.Context(), registry.Token{Kind: registry.KindWriter, Site: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	resp, body := p.call(nil, "POST", presence.Path, says("b1", presence.PhaseRunning, ""), "Authorization", "Bearer "+writer, wire.HeaderAgent, "main")
	p.refused(resp, body, 403, "forbidden")
}

func TestNobodyEnrolsInClearText(t *testing.T) {
	p := newPlace(t)
	m := newMachine(t)
	body, err := json.Marshal(request(t, p.code(fleet.NewCode{Site: "s1"}), m))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.door.ServeHTTP(w, httptest.NewRequest("POST", enroll.Path, bytes.NewReader(body)))
	if w.Code != 403 || !strings.Contains(w.Body.String(), "plaintext") {
		t.Error(w.Code, w.Body)
	}
}

func FuzzDoor(f *testing.F) {
	m := newMachine(f)
	good, err := json.Marshal(request(f, enroll.Code{}, m))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(true, good)
	f.Add(false, []byte(`{"boot":"b","phase":"running","machine":{"host":"pc"},"work":{"state":"none"}}`))
	d := door.New(door.Options{Agents: nobody{}, Callers: anybody{}, Log: slog.New(slog.DiscardHandler)})
	f.Fuzz(func(t *testing.T, ask bool, body []byte) {
		path := presence.Path
		if ask {
			path = enroll.Path
		}
		r := httptest.NewRequest("POST", path, bytes.NewReader(body))
		r.TLS = &tls.ConnectionState{}
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", len(body)%256, time.Now().UnixNano()%256, time.Now().UnixNano()/256%256)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		switch w.Code {
		case 204, 400, 404, 409, 429:
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
