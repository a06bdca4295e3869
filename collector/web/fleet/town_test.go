package fleet_test

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
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/collector/people/door"
	"communewatch/collector/registry"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/enroll"
	"communewatch/probes/orders"
	"communewatch/probes/presence"
	"communewatch/probes/wire"
	"communewatch/probes/work"
)

// A machine and a device that hope to be a page, and the sites of the town: two districts with two each.
const evilMachine = `<img src=x onerror="alert('machine')">`

func townSites() []inventory.Site {
	list := []inventory.Site{
		{ID: "s1", Name: "Tích Sơn", Type: "phường", Parent: "Vĩnh Yên"},
		{ID: "s2", Name: `<script>alert("site")</script>`, Type: "phường", Parent: "Vĩnh Yên"},
		{ID: "s3", Name: "Sông Lô", Type: "xã", Parent: "Lập Thạch"},
		{ID: "s4", Name: `<img src=x onerror="alert('site')">`, Type: "xã", Parent: "Lập Thạch"},
	}
	for i := range list {
		list[i].Position = &inventory.LatLon{Lat: 21.30 + 0.05*float64(i%2), Lon: 105.58 + 0.05*float64(i/2)}
	}
	return list
}

// town is a whole collector as it starts with its default settings, TLS of its own authority included, before anybody
// has an account; and stand-ins for the agents that join with the codes that a browser is shown.
type town struct {
	t     *testing.T
	url   string // of the collector
	first string // the path of the first administrator's link
	run   context.Context

	mu       sync.Mutex // guards the fields below
	machines map[string]*machine
	working  sync.WaitGroup // their channels
}

// newTown starts a collector for one test.
func newTown(t *testing.T) *town {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	cfg := collector.DefaultConfig()
	cfg.Listen, cfg.DataDir, cfg.Title = "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), "Vĩnh Phúc"
	cfg.AgentsURL = []string{"https://giamsat.example.gov.vn:8787"} // for codes; the agents here are told where it is
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = reg.ImportSites(t.Context(), townSites(), false); err == nil {
		err = reg.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- collector.New(cfg, collector.Options{Log: log, Version: "test", Ready: func(at string) { ready <- at }}).Run(ctx)
	}()
	w := &town{t: t, run: ctx, machines: map[string]*machine{}}
	t.Cleanup(func() {
		stop()
		w.working.Wait()
		if err := <-done; err != nil {
			t.Errorf("collector: %v", err)
		}
	})
	select {
	case at := <-ready:
		w.url = "https://" + at
	case err := <-done:
		done <- nil
		t.Fatalf("collector: %v", err)
	}
	w.first = firstLink(t, filepath.Join(cfg.DataDir, door.FirstFile))
	return w
}

// firstLink waits until the collector has written the first administrator's link, and returns its path.
func firstLink(t *testing.T, file string) string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		link, err := os.ReadFile(file)
		if _, path, found := strings.Cut(string(link), "/first/"); err == nil && found && strings.HasSuffix(path, "\n") {
			return "/first/" + strings.TrimSpace(path)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("no first administrator's link in %s: %v", file, err)
		case <-tick.C:
		}
	}
}

// machine is the stand-in of one agent.
type machine struct {
	town        *town
	host        string
	site, agent string // its name, once it was told
	key         *ecdsa.PrivateKey
	code        enroll.Code
	client      *http.Client
}

// control are the machines' doors for the test in the browser: POST /join with a code and a host's name, POST /again for
// who had to wait. Each answers with "pending", "active", or what the collector said.
func (w *town) control(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(rw http.ResponseWriter, m *machine, err error) {
		switch {
		case err != nil:
			http.Error(rw, err.Error(), http.StatusConflict)
		case m.client == nil:
			_, _ = io.WriteString(rw, "pending")
		default:
			_, _ = io.WriteString(rw, "active")
		}
	}
	mux.HandleFunc("POST /join", func(rw http.ResponseWriter, r *http.Request) {
		m := &machine{town: w, host: r.PostFormValue("host"), agent: r.PostFormValue("agent")}
		err := m.begin(r.PostFormValue("code"))
		w.mu.Lock()
		defer w.mu.Unlock()
		w.machines[m.agent] = m
		answer(rw, m, err)
	})
	mux.HandleFunc("POST /again", func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		m := w.machines[r.PostFormValue("agent")]
		if m == nil {
			http.Error(rw, "no such machine", http.StatusNotFound)
			return
		}
		answer(rw, m, m.ask())
	})
	mux.HandleFunc("POST /measure", func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		m := w.machines[r.PostFormValue("agent")]
		if m == nil {
			http.Error(rw, "no such machine", http.StatusNotFound)
			return
		}
		answer(rw, m, m.measure(r.PostFormValue("model")))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// begin reads a code, as it is typed from the sheet, and asks for a certificate.
func (m *machine) begin(text string) (err error) {
	if m.code, err = enroll.ParseCode(text); err != nil {
		return err
	}
	if m.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	return m.ask()
}

// ask asks for a certificate, and begins to work when it gets one.
func (m *machine) ask() error {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, m.key)
	if err != nil {
		return err
	}
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // agent/identity/join is what looks at the pin
	defer stranger.CloseIdleConnections()
	about := enroll.Machine{Host: m.host, System: "windows/amd64", Version: "1.2.0"}
	var a enroll.Answer
	status, err := m.post(stranger, enroll.Path, enroll.Request{Secret: hex.EncodeToString(m.code.Secret[:]), Agent: m.agent, Machine: about,
		CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))}, &a)
	if err != nil || status == http.StatusAccepted {
		return err
	}
	leaf, err := a.Leaf()
	if err != nil {
		return err
	}
	m.site, m.agent = a.Site, a.Agent
	m.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: m.key}}}}}
	said := presence.Presence{Boot: "b1", Phase: presence.PhaseStarted, Reason: presence.StartBoot, Machine: about, Work: work.Status{State: work.StateNone}}
	if _, err := m.post(m.client, presence.Path, said, nil); err != nil {
		return err
	}
	return m.listen()
}

// post sends JSON and reads the answer into v, if there is one to read.
func (m *machine) post(client *http.Client, path string, body, v any) (status int, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(m.town.run, http.MethodPost, m.town.url+path, bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(wire.HeaderAgent, m.agent)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode >= 300:
		return resp.StatusCode, fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	case v == nil:
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.Unmarshal(text, v)
}

// listen opens the order channel and says of each run that all went well.
func (m *machine) listen() error {
	req, err := http.NewRequestWithContext(m.town.run, http.MethodGet, m.town.url+orders.Path, nil)
	if err != nil {
		return err
	}
	req.Header.Set(wire.HeaderAgent, m.agent)
	resp, err := m.client.Do(req)
	if err != nil {
		return err
	}
	in := orders.NewReader(resp.Body)
	if o, err := in.Next(); resp.StatusCode != http.StatusOK || o != nil || err != nil {
		resp.Body.Close()
		return fmt.Errorf("%s: %v, %w", resp.Status, o, err)
	}
	m.town.working.Go(func() {
		defer m.client.CloseIdleConnections()
		defer resp.Body.Close()
		for {
			o, err := in.Next()
			if err != nil {
				return // it was thrown out, or the test is over
			}
			if o == nil || o.Kind != orders.KindRun {
				continue
			}
			rep := orders.Report{Order: o.ID, Phase: orders.PhaseDone, Outcome: probes.OutcomeOK.String()}
			for _, c := range o.Run.Checks {
				rep.Ran = append(rep.Ran, orders.Ran{Check: c, Phase: orders.PhaseDone, Outcome: probes.OutcomeOK.String(), Took: orders.Seconds(12 * time.Millisecond), Path: probes.PathLAN})
			}
			if _, err := m.post(m.client, orders.ReportPath, rep, nil); err != nil {
				m.town.t.Error(err)
			}
		}
	})
	return nil
}

// measure writes a good run of a check, and a device of a model.
func (m *machine) measure(model string) error {
	if m.client == nil {
		return fmt.Errorf("%s has no certificate", m.agent)
	}
	at := time.Now().UnixNano()
	var lines strings.Builder
	for _, target := range []string{"router", "anchor"} {
		fmt.Fprintf(&lines, "check,agent=%s,kind=tcp,layer=lan,path=lan,site=%s,target=%s outcome=\"ok\",up=true,took_seconds=0.01,interval_seconds=30,path_proof=\"bound\" %d\n",
			m.agent, m.site, target, at)
	}
	for _, f := range [][2]string{{"vendor", "Dell"}, {"model", model}, {"serial", "SER-" + m.site}, {"class", "pc"}, {"os", "Windows 10"}, {"os_release", "22H2"}} {
		fmt.Fprintf(&lines, "equipment,agent=%s,device=self,fact=%s,path=lan,site=%s,target=machine value=%q,source=\"machine x\",confidence_ratio=0.95 %d\n",
			m.agent, f[0], m.site, f[1], at)
	}
	resp, err := m.client.Post(m.town.url+"/api/v2/write?org=communewatch&bucket=communewatch", "", strings.NewReader(lines.String()))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}
