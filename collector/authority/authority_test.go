package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes/enroll"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func open(t *testing.T, dir string, o Options) *Authority {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// request is what an agent sends to get a certificate.
func request(t *testing.T, key crypto.Signer) *x509.CertificateRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func agentOf(t *testing.T, a *Authority, now time.Time) *x509.Certificate {
	t.Helper()
	cert, err := a.Sign(request(t, newKey()), enroll.Name{Site: "s1", Agent: "pc"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// reaches reports why an agent that believes roots does not believe the collector under a name.
func reaches(t *testing.T, a *Authority, roots, name string, now time.Time) error {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(roots)) {
		t.Fatal("no roots")
	}
	near, far := net.Pipe()
	server := tls.Server(far, a.TLSConfig())
	ended := make(chan error, 1)
	go func() { ended <- server.Handshake(); io.Copy(io.Discard, far); far.Close() }()
	client := tls.Client(near, &tls.Config{RootCAs: pool, ServerName: name, Time: func() time.Time { return now }})
	err := client.Handshake()
	if err == nil && client.ConnectionState().NegotiatedProtocol != "" {
		t.Error("spoke a protocol that was not asked for")
	}
	near.Close()
	<-ended
	return err
}

func TestFirstStartMakesAFleetAndTheSecondFindsIt(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "authority"), newClock()
	o := Options{Names: []string{"collector.example.gov.vn", "10.1.2.3", "localhost", "::1"}, Now: c.now}
	a := open(t, dir, o)
	for _, name := range o.Names {
		if err := reaches(t, a, a.Roots(), name, c.now()); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if err := reaches(t, a, a.Roots(), "other.example", c.now()); err == nil {
		t.Error("is believed to be other.example")
	}
	cert := agentOf(t, a, c.now())
	first := a.GetCertificateForTest(t)
	again := open(t, dir, o)
	if a.Fleet() != again.Fleet() || a.Pin() != again.Pin() || a.Fleet() != a.Pin() || a.Roots() != again.Roots() {
		t.Error("the second start has another fleet or authority")
	}
	if !bytes.Equal(first, again.GetCertificateForTest(t)) {
		t.Error("the collector's certificate was made anew without need")
	}
	if name, err := again.Identify(cert, c.now()); err != nil || name.Site != "s1" || name.Agent != "pc" || name.Fleet != a.Fleet().String() {
		t.Errorf("%+v, %v", name, err)
	}
	// With another name the certificate is made anew, and is still the fleet's.
	o.Names = append(o.Names, "new.example.gov.vn")
	if err := reaches(t, open(t, dir, o), a.Roots(), "new.example.gov.vn", c.now()); err != nil {
		t.Error(err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for file, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, stateFile): 0o600, filepath.Join(dir, serverFile): 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", file, info.Mode().Perm(), err, want)
		}
	}
}

// GetCertificateForTest is what is shown to who connects.
func (a *Authority) GetCertificateForTest(t *testing.T) []byte {
	t.Helper()
	c, err := a.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Certificate[0]
}

// An agent that knows no more than a pin has to find its authority in what it is shown.
func TestTheAuthorityIsShownWithTheCertificate(t *testing.T) {
	a := open(t, t.TempDir(), Options{Names: []string{"localhost"}})
	certs, err := parseCertificates(a.Export())
	if err != nil || len(certs) != 2 || enroll.PinOf(certs[1]) != a.Pin() {
		t.Fatalf("%d certificates, %v", len(certs), err)
	}
	if bytes.Contains(a.Export(), []byte("PRIVATE")) {
		t.Error("the key is exported")
	}
}

// Two processes that begin at the same time agree on one authority.
func TestSimultaneousFirstStarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	pins := make([]enroll.Pin, 8)
	var group sync.WaitGroup
	for i := range pins {
		group.Go(func() {
			a, err := Open(dir, Options{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Error(err)
				return
			}
			pins[i] = a.Fleet()
		})
	}
	group.Wait()
	for _, p := range pins {
		if p != pins[0] || p == (enroll.Pin{}) {
			t.Fatalf("fleets %v", pins)
		}
	}
}

func TestWhatIsLostOrDamagedIsNeverMadeAnew(t *testing.T) {
	other := t.TempDir()
	open(t, other, Options{})
	foreign, err := parseState(must(os.ReadFile(filepath.Join(other, stateFile))))
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(t *testing.T, dir string){
		"lost":  func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, stateFile)) },
		"cut":   func(t *testing.T, dir string) { cut(t, filepath.Join(dir, stateFile)) },
		"empty": func(t *testing.T, dir string) { put(t, filepath.Join(dir, stateFile), "") },
		"followed": func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, stateFile), string(must(os.ReadFile(filepath.Join(dir, stateFile))))+"{}")
		},
		"another's key": func(t *testing.T, dir string) {
			s, err := parseState(must(os.ReadFile(filepath.Join(dir, stateFile))))
			if err != nil {
				t.Fatal(err)
			}
			s.entries[0].key = foreign.entries[0].key
			put(t, filepath.Join(dir, stateFile), string(s.marshal()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a := open(t, dir, Options{Names: []string{"localhost"}})
			secret := strings.Split(string(encodeKey(a.view.Load().entries[0].key)), "\n")[1]
			damage(t, dir)
			before := must(os.ReadDir(dir))
			_, err := Open(dir, Options{Names: []string{"localhost"}, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, stateFile)) || !strings.Contains(err.Error(), "from a backup") {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the error holds the key")
			}
			if after := must(os.ReadDir(dir)); len(after) != len(before) {
				t.Errorf("files before %v, after %v", before, after)
			}
		})
	}
}

// The collector's own certificate can be made any time.
func TestDamagedServerCertificateIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, Options{Names: []string{"localhost"}})
	cut(t, filepath.Join(dir, serverFile))
	var log strings.Builder
	b := open(t, dir, Options{Names: []string{"localhost"}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := reaches(t, b, a.Roots(), "localhost", time.Now()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "damaged") {
		t.Errorf("logged %s", log.String())
	}
}

func TestWhoseCertificateItIs(t *testing.T) {
	c := newClock()
	a, b := open(t, t.TempDir(), Options{Names: []string{"localhost"}, Now: c.now}), open(t, t.TempDir(), Options{Now: c.now})
	good := agentOf(t, a, c.now())
	// forged has the right name and was signed by somebody else.
	forger := entry{cert: b.view.Load().entries[0].cert, key: b.view.Load().entries[0].key}
	forged, err := newAgent(newKey().Public(), enroll.Name{Fleet: a.Fleet().String(), Site: "s1", Agent: "pc"}, &forger, c.now())
	if err != nil {
		t.Fatal(err)
	}
	// copied pretends to be of our authority by name alone.
	copied := entry{cert: &x509.Certificate{Subject: a.view.Load().entries[0].cert.Subject, RawSubject: a.view.Load().entries[0].cert.RawSubject, KeyUsage: x509.KeyUsageCertSign, IsCA: true}, key: newKey()}
	copied.cert.NotAfter = c.now().Add(authorityLife)
	byName, err := newAgent(newKey().Public(), enroll.Name{Fleet: a.Fleet().String(), Site: "s1", Agent: "pc"}, &copied, c.now())
	if err != nil {
		t.Fatal(err)
	}
	server, err := x509.ParseCertificate(a.GetCertificateForTest(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cert *x509.Certificate
		at   time.Duration
		want error
	}{
		{"good", good, 0, nil},
		{"at its end", good, agentLife - time.Second, nil},
		{"after its end", good, agentLife + time.Hour, ErrExpired},
		{"made while the clock was two months ahead", good, -60 * day, nil},
		{"another fleet's", agentOf(t, b, c.now()), 0, ErrForeignFleet},
		{"forged", forged, 0, ErrUntrusted},
		{"forged with our name", byName, 0, ErrUntrusted},
		{"the collector's own", server, 0, ErrUntrusted},
		{"the authority's own", a.view.Load().entries[0].cert, 0, ErrUntrusted},
	} {
		name, err := a.Identify(tt.cert, c.now().Add(tt.at))
		if !errors.Is(err, tt.want) || (err == nil) != (name.Site == "s1" && tt.want == nil) {
			t.Errorf("%s: %+v, %v; want %v", tt.name, name, err, tt.want)
		}
	}
	name, err := a.Identify(good, c.now().Add(agentLife+48*time.Hour))
	var expired *Expired
	if !errors.As(err, &expired) || expired.Ago != 48*time.Hour || name.Agent != "pc" {
		t.Errorf("%+v, %v", name, err)
	}
}

func TestSignTakesNothingButTheKeyFromARequest(t *testing.T) {
	a, now := open(t, t.TempDir(), Options{}), time.Now()
	key := newKey()
	greedy := x509.CertificateRequest{DNSNames: []string{"collector.example"}}
	greedy.URIs = append(greedy.URIs, enroll.Name{Fleet: a.Fleet().String(), Site: "s2", Agent: "other"}.URI())
	der, err := x509.CreateCertificateRequest(rand.Reader, &greedy, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Sign(csr, enroll.Name{Site: "s1", Agent: "pc"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := a.Identify(cert, now); err != nil || name.Site != "s1" || len(cert.DNSNames) != 0 || cert.IsCA || len(cert.ExtKeyUsage) != 1 {
		t.Errorf("%+v %v %+v", name, err, cert)
	}
	if life := cert.NotAfter.Sub(now); life < agentLife-time.Minute || life > agentLife+time.Minute {
		t.Errorf("it lasts %v", life)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{weak, large} {
		if _, err := a.Sign(request(t, key), enroll.Name{Site: "s1", Agent: "pc"}, now); err == nil {
			t.Errorf("signed a key of %T", key)
		}
	}
	for _, name := range []enroll.Name{{Site: "S 1", Agent: "pc"}, {Site: "s1"}, {Fleet: strings.Repeat("0", 32), Site: "s1", Agent: "pc"}} {
		if _, err := a.Sign(request(t, newKey()), name, now); err == nil {
			t.Errorf("signed for %+v", name)
		}
	}
}

// The collector's certificate is renewed while the collector runs, before it ends, and agents notice nothing.
func TestServerCertificateRenewsItself(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64 // of the clock: so many ticks need not be waited for
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		a := open(t, dir, Options{Names: []string{"localhost"}, Now: now})
		defer run(t, a)()
		first := a.GetCertificateForTest(t)
		ahead.Store(int64(serverLife / 2))
		time.Sleep(2 * lookEvery)
		if !bytes.Equal(first, a.GetCertificateForTest(t)) {
			t.Fatal("renewed before it is due")
		}
		ahead.Store(int64(serverLife / 4 * 3))
		time.Sleep(2 * lookEvery)
		if bytes.Equal(first, a.GetCertificateForTest(t)) {
			t.Fatal("not renewed after three quarters of its life")
		}
		if err := reaches(t, a, a.Roots(), "localhost", now().Add(serverLife/2)); err != nil {
			t.Error(err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, file string) {
	t.Helper()
	data := must(os.ReadFile(file))
	put(t, file, string(data[:len(data)/2]))
}

// FuzzFiles feeds all that is read from the folder. What is taken must be writable as it was read.
func FuzzFiles(f *testing.F) {
	cert, key, err := newAuthority(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		f.Fatal(err)
	}
	s := state{fleet: enroll.PinOf(cert), entries: []entry{{cert: cert, key: key, pin: enroll.PinOf(cert), standing: StandingCurrent}}}
	f.Add(s.marshal())
	f.Add([]byte(`{"fleet":"00112233445566778899aabbccddeeff","authorities":[{"standing":"current"}]}`))
	f.Add(append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), encodeKey(key)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := parseState(data); err == nil {
			again, err := parseState(s.marshal())
			if err != nil || again.fleet != s.fleet || len(again.entries) != len(s.entries) || s.find(StandingCurrent) == nil {
				t.Fatalf("%v, %+v", err, again)
			}
		}
		if c, err := parseServer(data); err == nil && (c.Leaf == nil || c.PrivateKey == nil) {
			t.Fatal("half a certificate")
		}
		if list, err := parseCertificates(data); err == nil && (len(list) == 0 || len(list) > maxChain) {
			t.Fatalf("%d certificates", len(list))
		}
	})
}
