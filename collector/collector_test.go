package collector

import (
	"context"
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
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/collector/authority"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	"communewatch/inventory"
)

// running is a collector under test.
type running struct {
	url    string
	client *http.Client
	stop   func()
}

// run starts a collector on a free port and waits for its doors.
func run(t *testing.T, cfg Config, client *http.Client) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	c := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Version: "test", Ready: func(a string) { ready <- a }})
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("collector: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the collector does not stop")
		}
		client.CloseIdleConnections()
	}
	t.Cleanup(stop)
	select {
	case address := <-ready:
		scheme := "http"
		if cfg.TLS.Mode != authority.ModeOff {
			scheme = "https"
		}
		return running{scheme + "://" + address, client, stop}
	case err := <-done:
		t.Fatalf("collector: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("the collector does not start")
	}
	return running{}
}

// register imports a site and makes a token for it.
func register(t *testing.T, cfg Config, site string) (secret string) {
	t.Helper()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	if _, err := reg.ImportSites(t.Context(), []inventory.Site{{ID: site, Name: "Tam Sơn"}}, false); err != nil {
		t.Fatal(err)
	}
	secret, _, err = reg.CreateToken(t.Context(), registry.Token{Kind: registry.KindAgent, Site: site})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (r running) write(t *testing.T, secret, lines string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.url+"/api/v2/write?org=communewatch&bucket=communewatch", strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+secret)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// state returns the state of the only site.
func (r running) state(t *testing.T) string {
	t.Helper()
	resp, err := r.client.Get(r.url + "/api/v1/sites")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var sites []struct{ ID, State string }
	if err := json.NewDecoder(resp.Body).Decode(&sites); err != nil {
		t.Fatal(err)
	}
	if len(sites) != 1 {
		t.Fatalf("%d sites", len(sites))
	}
	return sites[0].State
}

// await polls until the site is in the state wanted.
func (r running) await(t *testing.T, want string) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	got := r.state(t)
	for got != want && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		got = r.state(t)
	}
	if got != want {
		t.Fatalf("the site is %s, want %s", got, want)
	}
}

// openConfig are default settings of a collector on a free port of this machine, that serves anybody over plain HTTP.
func openConfig(t *testing.T) Config {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	cfg.TLS.Mode, cfg.People.Anonymous = authority.ModeOff, people.RoleAdmin
	return cfg
}

func testConfig(t *testing.T, dir string) Config {
	t.Helper()
	cfg, err := ParseConfig(filepath.Join(dir, "collector.yaml"), []byte("listen: 127.0.0.1:0\ntls: {mode: off}\npeople: {anonymous: admin}\ndata_dir: data\n"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// goodRun is the verdict row of a run that ended just now.
func goodRun(site string, at time.Time) string {
	return fmt.Sprintf("check,agent=pc-1,kind=tcp,layer=lan,path=lan,site=%s,target=router outcome=\"ok\",up=true,took_seconds=0.01,"+
		"interval_seconds=30,path_proof=\"bound\" %d\n", site, at.UnixNano())
}

func TestBackupOfARunningCollectorIsACollector(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	secret := register(t, cfg, "s1")
	r := run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	if got := r.state(t); got != "no_data" {
		t.Fatalf("before any result the site is %s", got)
	}
	if status, answer := r.write(t, secret, goodRun("s1", time.Now())); status != http.StatusNoContent {
		t.Fatalf("write: %d %s", status, answer)
	}
	r.await(t, "ok")
	if status, _ := r.write(t, secret, goodRun("s2", time.Now())); status != http.StatusForbidden {
		t.Errorf("another site's row: status %d", status)
	}

	copied := filepath.Join(dir, "copy")
	if err := Backup(t.Context(), cfg, copied); err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), cfg, copied); err == nil {
		t.Error("a second backup went into the folder of the first")
	}
	r.stop()

	restored := cfg
	restored.DataDir = copied
	again := run(t, restored, &http.Client{Timeout: 10 * time.Second})
	again.await(t, "ok") // replayed from the copied store
	again.stop()

	if err := Backup(t.Context(), cfg, filepath.Join(dir, "cold")); err != nil {
		t.Errorf("backup of a collector that does not run: %v", err)
	}
}

func TestCertificateFromTheConfig(t *testing.T) {
	dir := t.TempDir()
	pool := writeCertificate(t, dir)
	cfg, err := ParseConfig(filepath.Join(dir, "collector.yaml"),
		[]byte("listen: 127.0.0.1:0\ndata_dir: data\ntls: {cert_file: cert.pem, key_file: key.pem}\npeople: {anonymous: admin}\n"))
	if err != nil {
		t.Fatal(err)
	}
	secret := register(t, cfg, "s1")
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	r := run(t, cfg, client)
	if status, answer := r.write(t, secret, goodRun("s1", time.Now())); status != http.StatusNoContent {
		t.Fatalf("write over TLS: %d %s", status, answer)
	}
	r.await(t, "ok")
	if _, err := http.Get(r.url); err == nil {
		t.Error("a client that does not know the authority was satisfied")
	}
}

func TestTwoCollectorsNeverShareAFolder(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	register(t, cfg, "s1")
	run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	second := New(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := second.Run(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the second one: %v", err)
	}
}

func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{
		"cert.pem": certPEM, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}
