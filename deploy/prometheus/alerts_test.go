// Package prometheus tests the files beside it against a running collector and against promtool.
package prometheus

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/collector/authority"
	"communewatch/collector/registry"
	"communewatch/inventory"
)

// exported runs a collector that has taken in one row, and returns what it exports.
func exported(t *testing.T) string {
	t.Helper()
	cfg := collector.DefaultConfig()
	cfg.Listen, cfg.DataDir, cfg.TLS.Mode = "127.0.0.1:0", t.TempDir(), authority.ModeOff
	here := true // as Prometheus on the collector's machine
	cfg.People.MetricsOnLoopback = &here
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.ImportSites(t.Context(), []inventory.Site{{ID: "s1", Name: "Tam Sơn"}}, false); err != nil {
		t.Fatal(err)
	}
	secret, _, err := reg.CreateToken(t.Context(), registry.Token{Kind: registry.KindAgent, Site: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	c := collector.New(cfg, collector.Options{Log: slog.New(slog.DiscardHandler), Version: "test", Ready: func(a string) { ready <- a }})
	go func() { done <- c.Run(ctx) }()
	var address string
	select {
	case address = <-ready:
	case err := <-done:
		t.Fatalf("collector: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the collector does not start")
	}
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("collector: %v", err)
		}
	}()
	req, err := http.NewRequest(http.MethodPost, "http://"+address+"/api/v2/write?org=communewatch&bucket=communewatch", strings.NewReader("agent,agent=a1,site=s1 checks=1i\n"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+secret)
	get, err := http.NewRequest(http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var body []byte
	for _, r := range []*http.Request{req, get} {
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode/100 != 2 {
			t.Fatalf("%s: %s: %s, %v", r.URL, resp.Status, body, err)
		}
	}
	return string(body)
}

// TestEveryMetricOfTheRulesIsExported: a rule on a metric, or a label's value, that nobody exports never fires.
func TestEveryMetricOfTheRulesIsExported(t *testing.T) {
	rules, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	metrics := exported(t)
	named := 0
	for _, m := range regexp.MustCompile(`\b(communewatch_[a-z_]+)(?:\{(\w+)="([^"]*)"\})?`).FindAllStringSubmatch(string(rules), -1) {
		named++
		if !strings.Contains(metrics, "\n"+m[1]+" ") && !strings.Contains(metrics, "\n"+m[1]+"{") {
			t.Errorf("alerts.yml names %s, which the collector does not export", m[1])
		}
		if m[2] != "" && !strings.Contains(metrics, m[2]+`="`+m[3]+`"`) {
			t.Errorf("alerts.yml asks for %s=%q of %s, which the collector does not export", m[2], m[3], m[1])
		}
	}
	if named < 15 {
		t.Errorf("only %d metrics found in alerts.yml", named)
	}
}

func TestPromtoolAcceptsAndTestsTheRules(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed (Debian package prometheus); `make test` installs it")
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
