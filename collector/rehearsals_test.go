package collector

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What the hub carries is what is said of it, else what the reflector takes; without either it is not known.
func TestTheHubOfRehearsals(t *testing.T) {
	for name, c := range map[string]struct {
		file     string
		mbps     float64
		sessions int
	}{
		"nothing":            {"", 0, 0},
		"a reflector":        {"reflector: {media: \"127.0.0.1:0\", max_mbps: 300, max_sessions: 150}", 300, 150},
		"a hub":              {"rehearsal: {hub_mbps: 1000, max_sessions: 500}", 1000, 500},
		"a reflector, a hub": {"reflector: {media: \"127.0.0.1:0\", max_mbps: 300, max_sessions: 150}\nrehearsal: {hub_mbps: 200}", 200, 150},
	} {
		cfg, err := ParseConfig("collector.yaml", []byte(c.file))
		if err != nil {
			t.Fatal(name, err)
		}
		if s := cfg.RehearsalSettings(); s.HubMbps != c.mbps || s.MaxSessions != c.sessions {
			t.Errorf("%s: %v Mbit/s, %d sessions", name, s.HubMbps, s.MaxSessions)
		}
	}
}

// A reflector that runs alone is asked where the settings say, and one that does not answer is told from none.
func TestAHubOutsideIsAsked(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"accepting":true,"sessions":34,"max_sessions":200,"cpu_ratio":0.4}`))
	}))
	defer s.Close()
	cfg, err := ParseConfig("collector.yaml", []byte("rehearsal: {hub_status: {url: "+s.URL+"/whip/status}}"))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	c := New(cfg, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := c.openHub(); err != nil || c.hub == nil {
		t.Fatal(err)
	}
	defer c.hub.Close()
	if l := c.askHub(t.Context()); !l.Known || l.Sessions != 34 || l.CPURatio != 0.4 {
		t.Errorf("%+v", l)
	}
	s.Close()
	if l := c.askHub(t.Context()); l.Known || !l.Unreachable || !strings.Contains(log.String(), "hub_status") {
		t.Errorf("%+v, %s", l, log.String())
	}
}
