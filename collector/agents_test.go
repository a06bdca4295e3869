package collector

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/authority"
	"communewatch/collector/fleet"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	"communewatch/probes/enroll"
	"communewatch/probes/orders"
	"communewatch/probes/wire"
)

// enrolled is an agent that joined with a code, as far as a test needs one.
type enrolled struct {
	t      *testing.T
	client *http.Client
	url    string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	roots  string
}

// tlsConfig restores default settings but for the port and the folder: TLS by a certificate of the collector's own.
func tlsConfig(t *testing.T) Config {
	t.Helper()
	cfg := openConfig(t)
	cfg.TLS.Mode, cfg.AgentsURL = authority.ModeOwn, []string{"https://127.0.0.1:1"} // the port is known later
	return cfg
}

// deskOf opens the registry beside the collector, as the command line does.
func deskOf(t *testing.T, cfg Config) (fleet.Service, *registry.Registry) {
	t.Helper()
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	a, err := OpenAuthority(&cfg, reg, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return reg.Agents().NewDesk(Carry(&cfg, a)), reg
}

// join enrols an agent with a code.
func join(t *testing.T, url, text, name string) *enrolled {
	t.Helper()
	code, err := enroll.ParseCode(text)
	if err != nil {
		t.Fatal(err)
	}
	e := &enrolled{t: t, url: url}
	if e.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, e.key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(enroll.Request{Secret: hex.EncodeToString(code.Secret[:]), CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), Agent: name,
		Machine: enroll.Machine{Host: "pc", System: "linux/amd64", Version: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	stranger := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if !slices.ContainsFunc(s.PeerCertificates, func(c *x509.Certificate) bool { return enroll.PinOf(c) == code.Pin }) {
				return fmt.Errorf("nobody with pin %v stands behind the collector", code.Pin)
			}
			return nil
		}}}}
	defer stranger.CloseIdleConnections()
	resp, err := stranger.Post(url+enroll.Path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s", resp.Status, text)
	}
	var a enroll.Answer
	if err := enroll.Read(resp.Body, &a); err != nil {
		t.Fatal(err)
	}
	if e.cert, err = a.Leaf(); err != nil {
		t.Fatal(err)
	}
	e.trust(a.Trust.Roots)
	return e
}

// trust makes the agent's client anew, for the authorities that it believes.
func (e *enrolled) trust(roots string) {
	if e.client != nil {
		e.client.CloseIdleConnections()
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(roots))
	e.roots = roots
	e.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool,
		Certificates: []tls.Certificate{{Certificate: [][]byte{e.cert.Raw}, PrivateKey: e.key}}}}}
	e.t.Cleanup(e.client.CloseIdleConnections)
}

func (e *enrolled) write(lines string) (int, string) {
	e.t.Helper()
	resp, err := e.client.Post(e.url+"/api/v2/write?org=communewatch&bucket=communewatch", "", strings.NewReader(lines))
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// channel opens the agent's order channel and returns what tells its end.
func (e *enrolled) channel(name string) (ended <-chan error) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, e.url+orders.Path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set(wire.HeaderAgent, name)
	client := &http.Client{Transport: e.client.Transport}
	resp, err := client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { resp.Body.Close() })
	in := orders.NewReader(resp.Body)
	if o, err := in.Next(); resp.StatusCode != http.StatusOK || o != nil || err != nil {
		e.t.Fatalf("%s: %v, %v", resp.Status, o, err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := in.Next()
		done <- err
	}()
	return done
}

// An agent joins, reports and is thrown out by another process: its channel ends and its results are refused.
func TestAnAgentJoinsReportsAndIsThrownOut(t *testing.T) {
	cfg := tlsConfig(t)
	register(t, cfg, "s1")
	r := run(t, cfg, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}})
	desk, _ := deskOf(t, cfg)
	made, err := desk.CreateCodes(people.With(t.Context(), people.Caller{Name: "an", Role: people.RoleAdmin}), []fleet.NewCode{{Site: "s1"}})
	if err != nil {
		t.Fatal(err)
	}
	e := join(t, r.url, made[0].Text, "pc-1")
	if status, answer := e.write(goodRun("s1", time.Now())); status != http.StatusNoContent {
		t.Fatalf("write: %d %s", status, answer)
	}
	r.await(t, "ok")
	for line, what := range map[string]string{
		goodRun("s2", time.Now()): "another site's row",
		strings.Replace(goodRun("s1", time.Now()), "agent=pc-1", "agent=pc-2", 1): "another agent's row",
	} {
		if status, answer := e.write(line); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	ended := e.channel("pc-1")
	if err := desk.Revoke(t.Context(), "s1", "pc-1", "an", "stolen"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	select {
	case <-ended:
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("the channel of an agent that was thrown out ended after %v", took)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the channel of an agent that was thrown out stays open")
	}
	if status, answer := e.write(goodRun("s1", time.Now())); status != http.StatusUnauthorized || !strings.Contains(answer, "thrown out") {
		t.Errorf("its results: %d %s", status, answer)
	}
}

// The collector starts again, and its authority is changed, while agents report; nobody has to go anywhere.
func TestAgentsOutliveRestartsAndChangesOfTheAuthority(t *testing.T) {
	cfg := tlsConfig(t)
	register(t, cfg, "s1")
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	r := run(t, cfg, client)
	d, reg := deskOf(t, cfg)
	made, err := d.CreateCodes(t.Context(), []fleet.NewCode{{Site: "s1"}})
	if err != nil {
		t.Fatal(err)
	}
	e := join(t, r.url, made[0].Text, "pc-1")
	r.stop()
	r = run(t, cfg, client)
	e.url = r.url
	if status, answer := e.write(goodRun("s1", time.Now())); status != http.StatusNoContent {
		t.Fatalf("after a restart: %d %s", status, answer)
	}
	a, err := OpenAuthority(&cfg, reg, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Announce(); err != nil {
		t.Fatal(err)
	}
	// The agent looks whom to trust, on the connection that it has proven itself on.
	deadline := time.Now().Add(15 * time.Second)
	for {
		resp, err := e.client.Get(e.url + enroll.TrustPath)
		if err != nil {
			t.Fatal(err)
		}
		var trust enroll.Trust
		err = enroll.Read(resp.Body, &trust)
		resp.Body.Close()
		if err != nil {
			t.Fatal(resp.Status, err)
		}
		if list, _ := trust.Authorities(); len(list) == 2 {
			e.trust(trust.Roots)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the announced authority is not told")
		}
		time.Sleep(300 * time.Millisecond) // an agent that asks more often is told to wait
	}
	if err := a.Switch(t.Context(), false); err == nil || !strings.Contains(err.Error(), "s1/pc-1") {
		t.Errorf("switched although the agent has not said that it trusts the next: %v", err)
	}
	if err := a.Switch(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r = run(t, cfg, client)
	e.url = r.url
	if status, answer := e.write(goodRun("s1", time.Now())); status != http.StatusNoContent {
		t.Errorf("after the switch: %d %s", status, answer)
	}
}

// Agents' certificates are worth nothing where they were not made, and the authority is never made anew behind their
// backs.
func TestALostAuthorityIsNotMadeAnew(t *testing.T) {
	cfg := tlsConfig(t)
	register(t, cfg, "s1")
	r := run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	d, reg := deskOf(t, cfg)
	made, err := d.CreateCodes(t.Context(), []fleet.NewCode{{Site: "s1"}})
	if err != nil {
		t.Fatal(err)
	}
	join(t, r.url, made[0].Text, "pc-1")
	r.stop()
	if err := os.Rename(cfg.AuthorityDir(), cfg.AuthorityDir()+".lost"); err != nil {
		t.Fatal(err)
	}
	err = New(cfg, Options{Log: slog.New(slog.DiscardHandler)}).Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), cfg.AuthorityDir()) || !strings.Contains(err.Error(), "s1/pc-1") {
		t.Errorf("%v", err)
	}
	// Who throws them out may begin anew.
	if err := d.Revoke(t.Context(), "s1", "pc-1", "an", "the authority is lost"); err != nil {
		t.Fatal(err)
	}
	reg.Close()
	run(t, cfg, &http.Client{Timeout: 10 * time.Second}).stop()
}

// 136 agents reconnect in the second in which their collector is back.
func TestAProvinceComesBackAtOnce(t *testing.T) {
	cfg := tlsConfig(t)
	register(t, cfg, "s1")
	r := run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	_, reg := deskOf(t, cfg)
	a, err := OpenAuthority(&cfg, reg, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d := reg.Agents().NewDesk(Carry(&cfg, a))
	const count = 136
	want := make([]fleet.NewCode, count)
	for i := range want {
		want[i] = fleet.NewCode{Site: "s1", Agent: fmt.Sprintf("pc-%d", i)}
	}
	made, err := d.CreateCodes(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]*enrolled, count)
	for i := range list {
		list[i] = join(t, r.url, made[i].Text, want[i].Agent)
	}
	r.stop()
	r = run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	begin := time.Now()
	var group sync.WaitGroup
	for i, e := range list {
		e.url = r.url
		e.client.CloseIdleConnections()
		group.Go(func() {
			if status, answer := e.write(strings.Replace(goodRun("s1", time.Now()), "agent=pc-1,", "agent="+want[i].Agent+",", 1)); status != http.StatusNoContent {
				t.Errorf("%s: %d %s", want[i].Agent, status, answer)
			}
		})
	}
	group.Wait()
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %v until all were served", took)
	}
}
