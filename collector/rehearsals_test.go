package collector

import "testing"

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
