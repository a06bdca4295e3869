package hub

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `{"accepting":false,"reason":"busy","sessions":34,"max_sessions":200,"cpu_ratio":0.4,"residence":{"median_seconds":0.001,"p95_seconds":0.01,"p99_seconds":0.12,"max_seconds":0.2},"packets":{}}`

func file(t *testing.T, text []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAHubIsAsked(t *testing.T) {
	answer := func(w http.ResponseWriter) { _, _ = w.Write([]byte(good)) }
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/whip/status" || r.Header.Get("Authorization") != "Bearer 0123456789abcdef" {
			t.Errorf("%s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		answer(w)
	}))
	defer s.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Error("the token went elsewhere") }))
	defer elsewhere.Close()
	ca := file(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	c, err := New(plan.HubStatus{URL: s.URL + "/whip/status", TokenFile: file(t, []byte("0123456789abcdef\n")), CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := rehearsal.Load{Known: true, Sessions: 34, MaxSessions: 200, CPURatio: 0.4, ResidenceP99: 0.12, Refusing: true}
	if got := c.Load(t.Context()); got != want || c.Err() != nil {
		t.Errorf("%+v %v", got, c.Err())
	}
	for says, f := range map[string]func(w http.ResponseWriter){
		"401":             func(w http.ResponseWriter) { http.Error(w, "unknown token", 401) },
		"302":             func(w http.ResponseWriter) { w.Header().Set("Location", elsewhere.URL); w.WriteHeader(302) },
		"invalid":         func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
		"out of bounds":   func(w http.ResponseWriter) { _, _ = w.Write([]byte("{}")) },
		"more than 65536": func(w http.ResponseWriter) { _, _ = w.Write([]byte(strings.Repeat(" ", maxBody) + good)) },
	} {
		answer = f
		if got := c.Load(t.Context()); got != (rehearsal.Load{Unreachable: true}) || c.Err() == nil || !strings.Contains(c.Err().Error(), says) {
			t.Errorf("%s: %+v %v", says, got, c.Err())
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.Load(gone); !got.Unreachable {
		t.Errorf("%+v", got)
	}
	// Who is not trusted is not told the token.
	stranger, err := New(plan.HubStatus{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if got := stranger.Load(t.Context()); !got.Unreachable || !strings.Contains(stranger.Err().Error(), "certificate") {
		t.Errorf("%+v %v", got, stranger.Err())
	}
}

func TestSettingsThatAreWrong(t *testing.T) {
	ok := "http://127.0.0.1:1/whip/status"
	for says, s := range map[string]plan.HubStatus{
		"url: ":        {URL: "192.0.2.20:8787"},
		"url: \"ftp":   {URL: "ftp://a/b"},
		"url: \"http:": {URL: "http://me:secret@hub/"},
		"token_file: ": {URL: ok, TokenFile: "/no/such"},
		"ca_file: ":    {URL: ok, CAFile: "/no/such"},
		"in PEM":       {URL: ok, CAFile: file(t, []byte("hello"))},
	} {
		if _, err := New(s); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// Whatever a hub answers, a load is within its bounds.
func FuzzParse(f *testing.F) {
	for _, s := range []string{good, "{}", "", `{"max_sessions":1,"cpu_ratio":1e308}`, `{"max_sessions":5,"residence":{"p99_seconds":-1}}`, `{"sessions":-1}`, "[]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parse(body)
		if err != nil {
			return
		}
		if !l.Known || l.Unreachable || l.MaxSessions < 1 || l.Sessions < 0 || !(l.CPURatio >= 0 && l.CPURatio <= 1) || !(l.ResidenceP99 >= 0 && l.ResidenceP99 <= 3600) {
			t.Errorf("%s: %+v", body, l)
		}
	})
}
