package ingest_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// FuzzHandler throws bodies and headers at the door. Whatever comes: no panic, a status of the table, JSON with every
// error, nothing stored that is not the token's own and of the contract, and the whole budget given back.
func FuzzHandler(f *testing.F) {
	f.Add("secret", "", "bucket=communewatch&precision=ms", "a1", "b1", "1", "1", ms, []byte(good+"\n"+check))
	f.Add("telegraf", "gzip", "bucket=communewatch", "", "", "", "", "", zip([]byte("cpu,host=x usage=1")))
	f.Add("secret-a1", "gzip", "bucket=communewatch&precision=s", "a1", "b", "9", "2", "1", zip([]byte(good))[:40])
	f.Add("secret", "identity", "bucket=communewatch", "a2", "b", "1", "1", "9999999999999", []byte("icmp,site=s2 sent=1i\n\x00\xff"))
	f.Add("x", "br", "%zz", "A", "/", "-1", "0", "x", []byte("m f=\"\n"))
	f.Fuzz(func(t *testing.T, secret, encoding, query, agent, boot, seq, clock, sentAt string, body []byte) {
		m, c, l := &memory{}, newClerk(), &listener{}
		in := ingest.New(ingest.Options{Store: m, Registry: c, Judge: l, Rules: health.DefaultRules(), Now: func() time.Time { return now },
			Log: slog.New(slog.DiscardHandler), Limits: ingest.Limits{BodyBytes: 1 << 16, InflatedBytes: 1 << 18, BudgetBytes: 1 << 20}})
		r := &http.Request{Method: "POST", URL: httptest.NewRequest("POST", "/api/v2/write", nil).URL, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(bytes.NewReader(body))}
		r.URL.RawQuery = query
		for name, value := range map[string]string{"Authorization": "Token " + secret, "Content-Encoding": encoding, wire.HeaderAgent: agent,
			wire.HeaderBoot: boot, wire.HeaderSeq: seq, wire.HeaderClock: clock, wire.HeaderSentAt: sentAt} {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, r)
		switch w.Code {
		case 204, 400, 401, 403, 404, 413, 415, 503:
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if w.Code != 204 && !strings.HasPrefix(w.Body.String(), `{"code":"`) {
			t.Fatalf("status %d with %q", w.Code, w.Body)
		}
		for _, row := range m.stored() {
			key, _, _ := strings.Cut(row, " ")
			s, err := wire.ParseKey([]byte(key))
			if err != nil && !strings.Contains(row, `\`) {
				t.Fatalf("stored %q: %v", row, err)
			}
			if secret != "telegraf" && (s.Tags.Get("site") != "s1" && secret != "secret-s2" || probes.CheckName(s.Tags.Get("agent")) != nil) {
				t.Fatalf("%s stored %q", secret, row)
			}
			if site := s.Tags.Get("site"); secret == "telegraf" && site != "" && site != "s1" {
				t.Fatalf("%s stored %q", secret, row)
			}
		}
		for _, o := range l.obs {
			if o.Time.After(now.Add(2*time.Minute)) || o.Time.Before(now.Add(-30*24*time.Hour)) {
				t.Fatalf("judged %+v", o)
			}
		}
		if left := in.Budget(); left != 1<<20 {
			t.Fatalf("the budget of 1 MiB is %d after the request", left)
		}
	})
}
