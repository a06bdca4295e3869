package dispatch_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"communewatch/collector/callers"
	"communewatch/collector/dispatch"
	"communewatch/collector/registry"
	"communewatch/probes/enroll"
	"communewatch/probes/wire"
	"communewatch/probes/work"
)

const planted = "planted-community-9d2e"

// centre is a door with plans of its own; the header X-Who says who asks.
type centre struct {
	*dispatch.Door
	log   bytes.Buffer
	asked []string
	err   error

	secrets map[string]string // of s1, in the place of the planted one
}

func newCentre(plaintext bool) *centre {
	c := &centre{}
	c.Door = dispatch.New(dispatch.Options{
		Plaintext: plaintext, Log: slog.New(slog.NewTextHandler(&c.log, nil)), Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) },
		Agent: func(r *http.Request) (registry.Identity, error) {
			switch who := r.Header.Get("X-Who"); who {
			case "":
				return registry.Identity{}, fmt.Errorf("%w: no certificate", callers.ErrUnauthorized)
			case "writer":
				return registry.Identity{}, fmt.Errorf("%w: a writer", callers.ErrForbidden)
			case "trouble":
				return registry.Identity{}, errors.New("the disk is full")
			default:
				site, agent, _ := strings.Cut(who, "/")
				return registry.Identity{Kind: registry.KindAgent, Site: site, Agent: agent}, nil
			}
		},
		Work: func(_ context.Context, site, agent, etag string) (*work.Work, string, error) {
			c.asked = append(c.asked, site+"/"+agent)
			if c.err != nil {
				return nil, "", c.err
			}
			if site == "s9" {
				return nil, "", nil
			}
			tag := `"` + site + `-1"`
			if etag == tag {
				return &work.Work{Version: 1}, tag, nil
			}
			w := &work.Work{Version: 1, Document: "checks: []\n"}
			if site == "s1" {
				w.Secrets = map[string]string{"snmp": planted}
				if c.secrets != nil {
					w.Secrets = c.secrets
				}
			}
			return w, tag, nil
		},
	})
	return c
}

func (c *centre) get(remote string, secure bool, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, work.Path, nil)
	r.RemoteAddr = remote
	if secure {
		r.TLS = &tls.ConnectionState{}
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

const far = "192.0.2.1:5000"

func TestAgentsGetTheirOwnWorkOnce(t *testing.T) {
	c := newCentre(false)
	w := c.get(far, true, "X-Who", "s1/pc")
	got, err := work.Read(w.Body)
	if w.Code != 200 || err != nil || got.Secrets["snmp"] != planted || w.Header().Get("ETag") != `"s1-1"` || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get(wire.HeaderReceivedAt) != "1700000000000" {
		t.Fatal(w.Code, w.Header(), got, err)
	}
	if w := c.get(far, true, "X-Who", "s1/pc", "If-None-Match", `"s1-1"`); w.Code != 304 || w.Body.Len() > 0 || w.Header().Get("ETag") != `"s1-1"` {
		t.Error(w.Code, w.Body)
	}
	if w := c.get(far, true, "X-Who", "s1/pc", "If-None-Match", `"s2-1"`); w.Code != 200 {
		t.Error(w.Code)
	}
	if w := c.get(far, true, "X-Who", "s9/pc"); w.Code != 404 || code(t, w) != "nothing_assigned" {
		t.Error(w.Code, w.Body)
	}
}

func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var r enroll.Refusal
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Errorf("%v: %s", err, w.Body)
	}
	return r.Code
}

func TestNobodyGetsTheWorkOfOthers(t *testing.T) {
	c := newCentre(false)
	for _, tc := range []struct {
		header []string
		status int
	}{
		{nil, 401}, {[]string{"X-Who", "writer"}, 403}, {[]string{"X-Who", "trouble"}, 503},
		{[]string{"X-Who", "s2/pc", wire.HeaderAgent, "other"}, 403}, {[]string{"X-Who", "s2/"}, 400}, {[]string{"X-Who", "s2/", wire.HeaderAgent, "../x"}, 400},
	} {
		if w := c.get(far, true, tc.header...); w.Code != tc.status || code(t, w) == "" {
			t.Errorf("%v: %d %s", tc.header, w.Code, w.Body)
		}
	}
	if len(c.asked) > 0 {
		t.Error(c.asked)
	}
	if w := c.get(far, true, "X-Who", "s2/", wire.HeaderAgent, "any"); w.Code != 200 || c.asked[0] != "s2/any" {
		t.Error(w.Code, c.asked)
	}
	r := httptest.NewRequest(http.MethodPost, work.Path, nil)
	w := httptest.NewRecorder()
	if c.ServeHTTP(w, r); w.Code != 405 || w.Header().Get("Allow") != "GET" {
		t.Error(w.Code)
	}
}

func TestSecretsDoNotGoOverPlainHTTP(t *testing.T) {
	c := newCentre(false)
	w := c.get(far, false, "X-Who", "s1/pc")
	if w.Code != 403 || strings.Contains(w.Body.String(), planted) || w.Header().Get("ETag") != "" {
		t.Error(w.Code, w.Body)
	}
	if w := c.get("127.0.0.1:5000", false, "X-Who", "s1/pc"); w.Code != 200 {
		t.Error(w.Code)
	}
	if w := c.get(far, false, "X-Who", "s2/pc"); w.Code != 200 {
		t.Error("without secrets:", w.Code)
	}
	if w := newCentre(true).get(far, false, "X-Who", "s1/pc"); w.Code != 200 {
		t.Error(w.Code)
	}
}

func TestTroubleIsSaidWithoutDetails(t *testing.T) {
	c := newCentre(false)
	c.err = errors.New("secret snmp: sealed with another key")
	if w := c.get(far, true, "X-Who", "s1/pc"); w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "snmp") || !strings.Contains(c.log.String(), "another key") {
		t.Error(w.Code, w.Body, c.log.String())
	}
}

// What an agent would not read for its size is not sent: somebody is told who can do something about it.
func TestWorkThatIsTooLargeStaysHere(t *testing.T) {
	c := newCentre(false)
	c.secrets = map[string]string{}
	for i := range 200 {
		c.secrets[fmt.Sprintf("s%d", i)] = strings.Repeat("\\", 4096) // two bytes each, as JSON
	}
	w := c.get(far, true, "X-Who", "s1/pc")
	if w.Code != 503 || w.Header().Get("ETag") != "" || !strings.Contains(c.log.String(), "fewer checks") {
		t.Errorf("%d %.100s, log %.300s", w.Code, w.Body, c.log.String())
	}
	if strings.Contains(c.log.String(), `\\`) {
		t.Error("the log shows a secret")
	}
}

// slow is a connection whose deadlines are looked at.
type slow struct {
	*httptest.ResponseRecorder
	read, write time.Time
	wrote       bool // under a deadline
}

func (s *slow) SetReadDeadline(at time.Time) error  { s.read = at; return nil }
func (s *slow) SetWriteDeadline(at time.Time) error { s.write = at; return nil }
func (s *slow) Write(b []byte) (int, error) {
	s.wrote = !s.write.IsZero()
	return s.ResponseRecorder.Write(b)
}

// Neither who sends a body byte by byte nor who does not read can hold the door, and the next request of the connection
// has its own time.
func TestNobodyHoldsTheDoor(t *testing.T) {
	c := newCentre(false)
	for _, body := range []string{"", "x"} {
		r := httptest.NewRequest(http.MethodGet, work.Path, strings.NewReader(body))
		r.TLS = &tls.ConnectionState{}
		r.Header.Set("X-Who", "s2/pc")
		w := &slow{ResponseRecorder: httptest.NewRecorder()}
		c.ServeHTTP(w, r)
		if !w.wrote || !w.write.IsZero() {
			t.Errorf("body %q: written under a deadline: %v; left behind: %v", body, w.wrote, w.write)
		}
		if wants := body != ""; wants != (w.Code == http.StatusBadRequest) || wants == w.read.IsZero() {
			t.Errorf("body %q: %d, read until %v", body, w.Code, w.read)
		}
	}
}

func TestWhoAsksTooOftenWaits(t *testing.T) {
	c := newCentre(false)
	for i := range 40 {
		w := c.get(far, true, "X-Who", "s1/pc")
		if want := 200; i >= 20 {
			if want = 429; w.Code != want || w.Header().Get("Retry-After") == "" {
				t.Fatal(i, w.Code)
			}
		} else if w.Code != want {
			t.Fatal(i, w.Code)
		}
	}
	if w := c.get(far, true, "X-Who", "s2/pc"); w.Code != 200 {
		t.Error("another agent has to wait:", w.Code)
	}
}
