package collector

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"communewatch/collector/registry"
)

// Agents call with their own tokens, others with those of the file, and what may only write may not call.
func TestTheReflectorTakesAgentsTokens(t *testing.T) {
	cfg := openConfig(t)
	cfg.Reflector.Media = "127.0.0.1:0"
	cfg.Reflector.TokenFile = filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(cfg.Reflector.TokenFile, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := register(t, cfg, "s1")
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	writer, _, err := reg.CreateToken(t.Context(), registry.Token{Kind: registry.KindWriter})
	if err != nil {
		t.Fatal(err)
	}
	c := run(t, cfg, &http.Client{})
	get := func(path, token string) (int, string) {
		t.Helper()
		req, _ := http.NewRequest("GET", c.url+path, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for token, want := range map[string]int{agent: 200, "0123456789abcdef": 200, writer: 401, "x": 401} {
		if got, body := get("/whip/status", token); got != want {
			t.Errorf("token %.6s: %d %s, want %d", token, got, body, want)
		}
	}
	if status, body := get("/metrics", ""); status != 200 || !strings.Contains(body, `communewatch_reflector_sessions{state="connected"} 0`) {
		t.Errorf("no metrics of the reflector: %d", status)
	}
	c.stop()
}

// A port that is taken is said at the start, not found out in the first meeting.
func TestACollectorWhoseReflectorHasNoPortDoesNotStart(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := openConfig(t)
	cfg.Reflector.Media = taken.LocalAddr().String()
	err = New(cfg, Options{Log: slog.New(slog.DiscardHandler)}).Run(context.Background())
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "reflector: media: listen udp "+cfg.Reflector.Media) {
		t.Errorf("%v", err)
	}
}
