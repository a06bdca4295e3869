// Package telegraf tests the files beside it against a running collector.
package telegraf

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/collector/authority"
	roles "communewatch/collector/people"
	"communewatch/collector/registry"
	"communewatch/collector/registry/people"
	"communewatch/inventory"
)

// settings reads `key = "value"` and `key = ["value", ...]` of a file.
func settings(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+(\w+) = (\[.*?\]|".*?")`).FindAllStringSubmatch(string(text), -1) {
		for _, v := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			found[m[1]] = append(found[m[1]], v[1])
		}
	}
	return found
}

// start runs a collector with one site and returns its address, a writer's token and a viewer's key.
func start(t *testing.T) (address, token, key string) {
	t.Helper()
	cfg := collector.DefaultConfig()
	cfg.Listen, cfg.DataDir, cfg.TLS.Mode = "127.0.0.1:0", t.TempDir(), authority.ModeOff
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.ImportSites(t.Context(), []inventory.Site{{ID: "s1", Name: "Tam Sơn"}}, false); err != nil {
		t.Fatal(err)
	}
	if token, _, err = reg.CreateToken(t.Context(), registry.Token{Kind: registry.KindWriter}); err != nil {
		t.Fatal(err)
	}
	if err := reg.People().Add(t.Context(), people.Person{Name: "lan", Role: roles.RoleViewer}, ""); err != nil {
		t.Fatal(err)
	}
	if key, _, err = reg.People().CreateKey(t.Context(), people.Key{Person: "lan", Role: roles.RoleViewer, Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	c := collector.New(cfg, collector.Options{Log: slog.New(slog.DiscardHandler), Version: "test", Ready: func(a string) { ready <- a }})
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("collector: %v", err)
		}
	})
	select {
	case address = <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("collector: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the collector does not start")
	}
	return address, token, key
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// TestWhatTelegrafWritesIsTaken sends what the output plugin sends: gzip, org and bucket in the query.
func TestWhatTelegrafWritesIsTaken(t *testing.T) {
	address, token, _ := start(t)
	s := settings(t, "to-communewatch.conf")
	var body strings.Builder
	z := gzip.NewWriter(&body)
	if _, err := z.Write([]byte("cpu,cpu=cpu-total,host=db1 usage_idle=97.2,usage_user=1.5\nmem,host=db1 used_percent=41.5,total=8232288256i\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	q := url.Values{"org": s["organization"], "bucket": s["bucket"]}
	req, err := http.NewRequest(http.MethodPost, "http://"+address+"/api/v2/write?"+q.Encode(), strings.NewReader(body.String()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token)
	req.Header.Set("Content-Encoding", s["content_encoding"][0])
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusNoContent {
		t.Errorf("the collector answers %s: %s", resp.Status, answer)
	}
}

// TestWhatTelegrafReadsIsThere asks the addresses of the inputs and looks for the fields that are named.
func TestWhatTelegrafReadsIsThere(t *testing.T) {
	address, _, key := start(t)
	s := settings(t, "from-communewatch.conf")
	if len(s["urls"]) != 2 {
		t.Fatalf("addresses %q, want those of metrics and sites", s["urls"])
	}
	for _, from := range s["urls"] {
		u, err := url.Parse(from)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodGet, "http://"+address+u.Path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", from, resp.Status, err)
		}
		if u.Path == "/metrics" {
			if !strings.Contains(string(body), "communewatch_sites{") {
				t.Error("/metrics is not the collector's")
			}
			continue
		}
		var sites []map[string]any
		if err := json.Unmarshal(body, &sites); err != nil || len(sites) != 1 {
			t.Fatalf("%s is no list of sites: %v", from, err)
		}
		for _, key := range append(s["tag_keys"], s["json_string_fields"]...) {
			in := sites[0]
			if layer, nested := strings.CutPrefix(key, "layers_"); nested { // Telegraf joins keys by _
				in, _ = sites[0]["layers"].(map[string]any)
				key = layer
			}
			if _, ok := in[key].(string); !ok {
				t.Errorf("a site has no text %q: %v", key, in)
			}
		}
	}
}
