package agent

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	enrolment "communewatch/agent/identity/join"
	"communewatch/probes"
	"communewatch/probes/enroll"
	said "communewatch/probes/presence"
)

// enrolled is the state folder of a machine that was enrolled with a collector.
func enrolled(t *testing.T, c *identitytest.Collector) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := enrolment.Enroll(t.Context(), enrolment.Options{Dir: identity.Folder(dir), Code: c.Code(), Agent: "pc"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// After it was enrolled a machine needs no settings of its own.
func TestIdentityStandsInForSettings(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	dir := enrolled(t, c)
	cfg, err := ParseConfig("agent.yaml", fmt.Appendf(nil, "state_dir: '%s'\n", dir))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Site != "s08707" || cfg.Agent != "pc" || len(cfg.Collectors) != 1 || cfg.Collectors[0].URL != c.URL() || !cfg.Collectors[0].Identity {
		t.Errorf("%s/%s, %+v", cfg.Site, cfg.Agent, cfg.Collectors)
	}
	cfg, err = ParseConfig("agent.yaml", fmt.Appendf(nil, "state_dir: '%s'\nsite: s08707\ncollectors: [{url: '%s', identity: true, path: lan}, {url: 'https://b.example', token: x}]\n", dir, c.URL()))
	if err != nil || len(cfg.Collectors) != 2 || cfg.Agent != "pc" {
		t.Errorf("with collectors of its own: %v", err)
	}
	if _, err := ParseConfig("agent.yaml", []byte("site: s1\ncollectors: [{url: 'https://b.example', token: x}]\n")); err != nil {
		t.Errorf("without any identity: %v", err)
	}
}

func TestIdentityAndSettingsThatDontFit(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	dir := enrolled(t, c)
	damaged := enrolled(t, identitytest.NewCollector(t, time.Now))
	if err := os.WriteFile(filepath.Join(identity.Folder(damaged), "identity.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]struct{ settings, want string }{
		"another site":  {"state_dir: '" + dir + "'\nsite: s1\n", `agent.yaml:2: site: is "s1", and the machine is enrolled as "s08707"`},
		"another agent": {"state_dir: '" + dir + "'\nagent: b\n", `agent.yaml:2: agent: is "b", and the machine is enrolled as "pc"`},
		"not enrolled":  {"site: s1\nstate_dir: '" + t.TempDir() + "'\ncollectors: [{url: 'https://c', identity: true}]\n", "agent.yaml:3: collectors[0].identity: there is none in"},
		"nothing":       {"state_dir: '" + t.TempDir() + "'\n", "site: is missing; enrol this machine"},
		"plain http":    {"state_dir: '" + dir + "'\ncollectors: [{url: 'http://127.0.0.1:1', identity: true}]\n", "collectors[0].url: must be https"},
		"authorities":   {"state_dir: '" + dir + "'\ncollectors: [{url: 'https://c', identity: true, ca_file: x}]\n", "collectors[0].ca_file: "},
		"token too":     {"state_dir: '" + dir + "'\ncollectors: [{url: 'https://c', identity: true, token: x}]\n", "collectors[0]: give exactly one of identity, token"},
		"damaged":       {"state_dir: '" + damaged + "'\n", "agent.yaml:1: state_dir: the agent's identity"},
	} {
		_, err := ParseConfig("agent.yaml", []byte(w.settings))
		if err == nil || !strings.Contains(err.Error(), w.want) {
			t.Errorf("%s: got %v, want %s", name, err, w.want)
		}
		if name == "damaged" && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one thing is said to be wrong: %v", err)
		}
	}
}

// An agent that was enrolled delivers under its certificate, says that it is there, and says goodbye last.
func TestEnrolledAgentFromStartToStop(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	dir := enrolled(t, c)
	var mu sync.Mutex
	var events []string
	c.Set(func(s *identitytest.State) {
		s.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Header.Get("Authorization") != "" {
				t.Errorf("%s comes with a token", r.URL.Path)
			}
			name := enroll.Name{}
			if len(r.TLS.PeerCertificates) > 0 {
				name, _ = enroll.NameOf(r.TLS.PeerCertificates[0])
			}
			if name.Site != "s08707" || name.Agent != "pc" {
				t.Errorf("%s comes from %+v", r.URL.Path, name)
			}
			switch r.URL.Path {
			case "/api/v2/write":
				events = append(events, "batch")
				w.Header().Set("X-Influxdb-Version", "test")
				w.WriteHeader(http.StatusNoContent)
			case said.Path:
				p, err := said.Read(r.Body)
				if err != nil {
					t.Error(err)
					return
				}
				events = append(events, string(p.Phase))
				if p.Certificate.Serial == "" || len(p.Trust) != 1 || p.Reason != map[said.Phase]said.Reason{said.PhaseStarted: said.StartUpdate, said.PhaseStopping: said.StopShutdown}[p.Phase] {
					t.Errorf("it says %+v", p)
				}
				w.WriteHeader(http.StatusNoContent)
			default:
				http.NotFound(w, r)
			}
		})
	})
	cfg, err := ParseConfig("agent.yaml", fmt.Appendf(nil, "state_dir: '%s'\nself_interval: 1s\nspool: {seal_after: 100ms, min_free: 0}\n", dir))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	n := 0
	a, err := New(cfg, Options{
		Log: quiet(), Version: "1", OnTaken: func(string, int, []probes.Point) {
			if n++; n == 2 {
				stop()
			}
		},
		Life: Life{Started: func() said.Reason { return said.StartUpdate }, Stopped: func() said.Reason { return said.StopShutdown }},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(events, " ")
	if !strings.Contains(all, "started") || !strings.Contains(all, "batch") || !strings.HasSuffix(all, "batch stopping") {
		t.Errorf("it went %s; want a start, batches, and the goodbye after the last of them", all)
	}
}

// A check that a technician makes by hand is made in the name of the agent.
func TestACheckByHandIsKnownToTheCollector(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	var asked sync.Map
	c.Set(func(s *identitytest.State) {
		s.Next = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked.Store(r.URL.Path, len(r.TLS.PeerCertificates)) })
	})
	base, err := ParseConfig("agent.yaml", fmt.Appendf(nil, "state_dir: '%s'\n", enrolled(t, c)))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseCheck(fmt.Appendf(nil, "checks: [{name: page, kind: http, address: '%s/page', path: lan}]", c.URL()), &base)
	if err != nil {
		t.Fatal(err)
	}
	results, err := Once(t.Context(), cfg, Options{})
	if err != nil || results[0].Outcome != probes.OutcomeOK {
		t.Fatalf("%v, %+v", err, results)
	}
	if n, _ := asked.Load("/page"); n != 1 {
		t.Errorf("%v certificates were shown", n)
	}
}
