package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/collector/ingest"
	"communewatch/collector/registry"
)

// invented are rows of two fields each, of one target per row.
func invented(site, agent string, from, to int, at string) []string {
	var lines []string
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf("http,agent=%s,path=lan,site=%s,target=t%d connect_seconds=1,tls_seconds=1 %s", agent, site, i, at))
	}
	return lines
}

// TestAgentSeriesLimit: a site brings so many field series and no more, whatever tokens, agents and headers it uses;
// known ones go on, other sites too, and what was refused is neither judged nor counted.
func TestAgentSeriesLimit(t *testing.T) {
	h := open(t, ingest.Limits{AgentSeries: 20, CacheSeries: 4}) // a small cache forgets, and must not count twice
	h.clerk.tokens["secret-b"] = registry.Identity{Token: "t9", Kind: registry.KindAgent, Site: "s1"}
	for range 3 {
		if a := h.send("secret", []byte(strings.Join(invented("s1", "a1", 0, 6, ms), "\n")), numbered("1")...); a.status != 204 {
			t.Fatalf("%d %q", a.status, a.message)
		}
	}
	for _, c := range []struct {
		secret, agent string
		from, to      int
		want          string // "": all taken
	}{
		{"secret", "a2", 0, 2, ""},
		{"secret-b", "a3", 0, 5, "3 of 5 lines rejected; first: line 3: site s1 has brought 20 field series"},
		{"secret-a1", "a1", 6, 7, "1 of 1 lines rejected"},
		{"secret", "a1", 0, 6, ""},
		{"secret-b", "a2", 0, 2, ""},
	} {
		a := h.lines(c.secret, invented("s1", c.agent, c.from, c.to, ms)...)
		if (a.status == 204) != (c.want == "") || !strings.Contains(a.message, c.want) {
			t.Errorf("%s as %s: %d %q, want %q", c.secret, c.agent, a.status, a.message, c.want)
		}
	}
	if a := h.lines("secret", strings.Replace(invented("s1", "a1", 0, 1, ms)[0], "tls_seconds=1", "tls_seconds=1,body_bytes=1i", 1)); a.status != 400 {
		t.Errorf("a new field of a known series: %d %q", a.status, a.message)
	}
	if a := h.lines("secret-s2", invented("s2", "a1", 0, 10, ms)...); a.status != 204 {
		t.Errorf("another site: %d %q", a.status, a.message)
	}
	if !strings.Contains(h.log.String(), "class=series_limit") {
		t.Errorf("the log has nothing of the limit:\n%s", h.log)
	}
	before := len(h.judge.obs)
	h.lines("secret", `check,agent=x,kind=icmp,layer=lan,path=lan,site=s1,target=gw outcome="ok" `+ms, `agent,agent=x,site=s1 checks=1i `+ms)
	if len(h.judge.obs) != before || len(h.judge.agents) != 0 {
		t.Error("the judge heard of a refused series")
	}
}

// TestRefusedRowsTakeNoPlace: a row that is refused for its time, its site or its fields leaves its place to others.
func TestRefusedRowsTakeNoPlace(t *testing.T) {
	h := open(t, ingest.Limits{AgentSeries: 2, WriterSeries: 1})
	for _, c := range []struct{ secret, line string }{
		{"secret", invented("s1", "a1", 1, 2, "1")[0]},
		{"secret", invented("s2", "a1", 1, 2, ms)[0]},
		{"secret", strings.Replace(invented("s1", "a1", 1, 2, ms)[0], "tls_seconds=1", "tls_seconds=true", 1)},
		{"telegraf", "cpu,host=old usage=1 1"},
		{"telegraf", "cpu,site=s2 usage=1"},
	} {
		if a := h.lines(c.secret, c.line); a.status == 204 {
			t.Errorf("%s was taken", c.line)
		}
	}
	for secret, line := range map[string]string{"secret": invented("s1", "a1", 2, 3, ms)[0], "telegraf": "cpu,host=new usage=1 " + ms} {
		if a := h.lines(secret, line); a.status != 204 {
			t.Errorf("no place is left: %d %q", a.status, a.message)
		}
	}
}

// TestSilentSeriesKeepTheirPlace: the store keeps a series that fell silent, so days of silence make no room for others.
func TestSilentSeriesKeepTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := ingest.New(ingest.Options{Store: &memory{}, Registry: newClerk(), Limits: ingest.Limits{WriterSeries: 1, AgentSeries: 2}, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- in.Run(ctx) }()
		send := func(secret, line string) int {
			r := httptest.NewRequest("POST", "/api/v2/write?bucket=communewatch", strings.NewReader(line))
			r.Header.Set("Authorization", "Token "+secret)
			w := httptest.NewRecorder()
			in.Handler().ServeHTTP(w, r)
			return w.Code
		}
		old := map[string]string{"telegraf": "cpu,host=old usage=1", "secret": invented("s1", "a1", 1, 2, "")[0]}
		for secret, line := range old {
			if code := send(secret, line); code != 204 {
				t.Fatalf("%s: %d", line, code)
			}
		}
		time.Sleep(72 * time.Hour)
		for secret, line := range map[string]string{"telegraf": "cpu,host=new usage=1", "secret": invented("s1", "a1", 2, 3, "")[0]} {
			if fresh, known := send(secret, line), send(secret, old[secret]); fresh != 400 || known != 204 {
				t.Errorf("after days of silence a new series is answered %d, the old one %d", fresh, known)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
