package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/agent/cmd/communewatch-agent/call"
	"communewatch/agent/cmd/communewatch-agent/exit"
	"communewatch/probes/webrtc/reflector"
)

// The tests' own program is the process of a call, as the real one is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == call.Name {
		os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestProbeWebRTC(t *testing.T) {
	const token = "a-token-of-the-tests"
	r, err := reflector.Open(reflector.Options{Media: "127.0.0.1:0", Tokens: []string{token},
		Limits: reflector.Limits{CPU: 100, Residence: time.Hour}}) // however busy the machine is
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	s := httptest.NewServer(r.Handler())
	t.Cleanup(func() { s.Close(); cancel(); <-done; r.Close() })
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"probe", "webrtc", s.URL + reflector.EchoPath, "--profile", "low", "--duration", "3s", "--token-file", file}

	code, out, errs := execTest(t, args...)
	if code != 0 && !strings.Contains(out, "overloaded") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"service       reflector", "transport     UDP", "set up        signalling", "audio up", "video down", "lost",
		"0 (0.00 %)", "grade  good", "estimated by ITU-T G.107.2", "G.1070", "of R the codec took", "limited by", "this end", "reflector"} {
		if !strings.Contains(out, want) {
			t.Errorf("not said: %q", want)
		}
	}
	t.Logf("\n%s", out)

	_, out, _ = execTest(t, append(args, "--json")...)
	var got struct {
		Outcome string
		Fields  map[string]any
		Rows    []any
		Call    struct {
			Flows  []any
			Phases map[string]float64
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Call.Flows) != 4 || got.Call.Phases["setup_seconds"] <= 0 || got.Fields["service"] != "reflector" || len(got.Rows) != 5 {
		t.Errorf("%v: %+v", err, got)
	}

	for says, more := range map[string][]string{
		"--profile: profile 1080p takes": {"--profile", "1080p", "--line-kbps", "1000"},
		`"8k" is no profile`:             {"--profile", "8k"},
		"--duration: must be between":    {"--duration", "1h"},
	} {
		if code, _, errs := execTest(t, append(args, more...)...); code != exit.CodeOwn || !strings.Contains(errs, says) {
			t.Errorf("%v: exit code %d: %s", more, code, errs)
		}
	}
	if code, out, _ := execTest(t, "probe", "webrtc", s.URL+reflector.EchoPath, "--token", "wrong"); code != exit.CodeOwn || !strings.Contains(out, "token") {
		t.Errorf("a wrong token: exit code %d\n%s", code, out)
	}
	// Nobody starts the process of a call by hand.
	if code, _, errs := execTest(t, call.Name); code != exit.CodeOwn || !strings.Contains(errs, "for the agent itself") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// Who tries out a call by hand with the office's settings does not disturb the office's meeting without knowing it.
func TestProbeWebRTCKeepsOffAMeeting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.yaml")
	now := time.Now()
	text := fmt.Sprintf("site: s1\nstate_dir: '%s'\ncollectors: [{url: 'http://127.0.0.1:1', token: x}]\nmeetings: [{from: '%s', to: '%s', note: Giao ban}]\nchecks: []\n",
		t.TempDir(), now.Add(-time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"probe", "webrtc", "http://127.0.0.1:1/whip", "--token", "x", "--timeout", "2s", "--config", file}
	if code, out, _ := execTest(t, args...); code != exit.CodeOwn || !strings.Contains(out, "held") || !strings.Contains(out, "Giao ban") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if code, out, _ := execTest(t, append(args, "--during-meeting")...); code == 0 || strings.Contains(out, "held") {
		t.Errorf("told to call anyway: exit code %d:\n%s", code, out)
	}
}
