package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"go.uber.org/goleak"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/collector/registry"
	"communewatch/probes"
	"communewatch/probes/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"))
}

func TestGoodBatch(t *testing.T) {
	h := open(t, ingest.Limits{})
	a := h.lines("secret", good, check)
	if a.status != 204 {
		t.Fatalf("%d %s", a.status, a.message)
	}
	want := []string{"icmp,agent=a1,path=lan,site=s1,target=gw sent=10 lost=1 loss_ratio=0.1 @" + ms,
		`check,agent=a1,kind=icmp,layer=lan,path=lan,site=s1,target=gw outcome="ok" up=1 took_seconds=1 interval_seconds=30 path_proof="bound" @` + ms}
	if diff := cmp.Diff(want, h.store.stored()); diff != "" {
		t.Error(diff)
	}
	id := health.CheckID{Site: "s1", Agent: "a1", Target: "gw", Kind: "icmp", Path: "lan", Layer: "lan"}
	obs := []health.Observation{{Check: id, Time: now, Interval: 30 * time.Second, Proof: "bound",
		Facts: []health.Fact{{Measurement: "icmp", Field: "sent", Value: 10}, {Measurement: "icmp", Field: "lost", Value: 1}}}}
	if diff := cmp.Diff(obs, h.judge.obs); diff != "" {
		t.Error(diff)
	}
}

// TestRefusedLines: each line is refused with its reason, and the good line before it and behind it is stored.
func TestRefusedLines(t *testing.T) {
	at := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).UnixMilli(), 10) }
	for _, c := range []struct{ name, secret, line, want string }{
		{"garbage", "secret", "\x16\x03\x01\x00\xa5 hello", "control character 0x16"},
		{"words", "secret", "<html>hi</html>", "no fields"},
		{"NaN", "secret", "icmp,agent=a1,path=lan,site=s1,target=gw loss_ratio=NaN", "not a number that can be stored"},
		{"Inf", "secret", "icmp,agent=a1,path=lan,site=s1,target=gw loss_ratio=-Inf", "not a number that can be stored"},
		{"huge tag", "secret", "icmp,agent=a1,path=lan,site=s1,target=" + strings.Repeat("x", 5000) + " sent=1i", "longer than 512 bytes"},
		{"long name", "secret", "icmp,agent=a1,path=lan,site=s1,target=" + strings.Repeat("x", 64) + " sent=1i", "tag target: name"},
		{"control character in a tag", "secret", "icmp,agent=a1,path=lan,site=s1,target=g\x07w sent=1i", "control character 0x07"},
		{"unknown measurement", "secret", "cpu,site=s1,agent=a1 usage=1", `unknown measurement "cpu"; an agent writes check, icmp, tcp, dns, http, agent`},
		{"unknown field", "secret", "tcp,agent=a1,path=lan,site=s1,target=gw speed=1", `measurement tcp has no field "speed"; it has connect_seconds`},
		{"unknown tag", "secret", "tcp,agent=a1,path=lan,room=1,site=s1,target=gw connect_seconds=1", `measurement tcp has no tag "room"`},
		{"missing tag", "secret", "tcp,agent=a1,path=lan,site=s1 connect_seconds=1", "measurement tcp needs the tag target"},
		{"no site", "secret", "tcp,agent=a1,path=lan,target=gw connect_seconds=1", "measurement tcp needs the tag site"},
		{"value outside the set of a tag", "secret", "tcp,agent=a1,path=5g,site=s1,target=gw connect_seconds=1", `tag path: "5g" is none of lan, broadband, dedicated`},
		{"value outside the set of a field", "secret", `check,agent=a1,kind=icmp,layer=lan,path=lan,site=s1,target=gw outcome="fine"`, `field outcome: "fine" is none of ok,`},
		{"wrong type", "secret", "icmp,agent=a1,path=lan,site=s1,target=gw sent=1.5", "field sent must be of type integer, not float"},
		{"text for a number", "secret", `tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds="1"`, "field connect_seconds must be of type float, not string"},
		{"field twice", "secret", "tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=1,connect_seconds=2", "field connect_seconds twice"},
		{"long text", "secret", `check,agent=a1,kind=icmp,layer=lan,path=lan,site=s1,target=gw error="` + strings.Repeat("x", 513) + `"`, "text of 513 bytes is longer than 512"},
		{"future", "secret", "tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=1 " + at(3*time.Minute), "is 3m0s ahead of the collector's clock"},
		{"past", "secret", "tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=1 " + at(-31*24*time.Hour), "is too old"},
		{"1970", "secret", "tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=1 1", "1970-01-01T00:00:00Z is too old"},
		{"another site", "secret", "tcp,agent=a1,path=lan,site=s2,target=gw connect_seconds=1", "the token is for site s1, the line for s2"},
		{"another agent", "secret-a1", "tcp,agent=a2,path=lan,site=s1,target=gw connect_seconds=1", "the token is for agent a1 of site s1, the line for agent a2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, ingest.Limits{})
			other := strings.Replace(good, "target=gw", "target=other", 1)
			a := h.lines(c.secret, good, c.line, other)
			if a.status != 400 || a.code != "invalid" || !strings.HasPrefix(a.message, "partial write: 1 of 3 lines rejected; first: line 2: ") || !strings.Contains(a.message, c.want) {
				t.Errorf("got  %d %q %q\nwant 400 with %q", a.status, a.code, a.message, c.want)
			}
			if n := len(h.store.stored()); n != 2 {
				t.Errorf("%d lines stored, want the two good ones: %q", n, h.store.stored())
			}
			if a.header.Get(wire.HeaderCommit) == "" {
				t.Error("no commit number, though lines were stored")
			}
		})
	}
}

func TestForeignBatchIsForbidden(t *testing.T) {
	h := open(t, ingest.Limits{})
	a := h.lines("secret-s2", good, check)
	if a.status != 403 || a.code != "forbidden" || !strings.Contains(a.message, "the token is for site s2, the line for s1") {
		t.Errorf("%d %q %q", a.status, a.code, a.message)
	}
	h.lines("secret", good) // now the series is known
	a = h.lines("secret-s2", good)
	if a.status != 403 || len(h.store.stored()) != 1 {
		t.Errorf("%d %q; stored %q", a.status, a.message, h.store.stored())
	}
}

func TestRefusedRequests(t *testing.T) {
	h := open(t, ingest.Limits{BodyBytes: 1 << 20, InflatedBytes: 4 << 20})
	h.clerk.revoked["secret-s2"] = true
	for _, c := range []struct {
		name, secret string
		body         []byte
		change       func(*http.Request)
		status       int
		code, want   string
	}{
		{"no token", "", nil, func(r *http.Request) { r.Header.Del("Authorization") }, 401, "unauthorized", "Authorization: Token"},
		{"unknown token", "nope", nil, nil, 401, "unauthorized", "unknown token"},
		{"revoked token", "secret-s2", nil, nil, 401, "unauthorized", "revoked"},
		{"an operator's token", "operator", nil, nil, 403, "forbidden", "writes nothing"},
		{"other scheme", "secret", nil, header("Authorization", "Digest secret"), 401, "unauthorized", "unauthorized access"},
		{"other bucket", "secret", nil, query("bucket=telegraf"), 404, "not found", `bucket "telegraf" not found; this collector has "communewatch"`},
		{"no bucket", "secret", nil, query(""), 404, "not found", `bucket "" not found`},
		{"precision", "secret", nil, query("bucket=communewatch&precision=h"), 400, "invalid", `precision "h"`},
		{"deflate", "secret", []byte("x"), header("Content-Encoding", "deflate"), 415, "invalid", "use gzip or none"},
		{"not gzip", "secret", []byte(good), header("Content-Encoding", "gzip"), 400, "invalid", "gzip data is damaged"},
		{"gzip cut short", "secret", zip([]byte(good))[:60], header("Content-Encoding", "gzip"), 400, "invalid", "gzip data is damaged or cut short"},
		{"gzip with a wrong sum", "secret", flip(zip([]byte(good))), header("Content-Encoding", "gzip"), 400, "invalid", "gzip data is damaged or cut short"},
		{"large", "secret", make([]byte, 1<<20+1), nil, 413, "request too large", "larger than 1048576 bytes"},
		{"large without a length", "secret", nil, func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(&zeros{n: 100 << 20}), -1 }, 413, "request too large", "larger than 1048576 bytes"},
		{"bomb", "secret", zip(make([]byte, 100<<20)), header("Content-Encoding", "gzip"), 413, "request too large", "larger than 4194304 bytes when inflated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.change == nil {
				c.change = func(*http.Request) {}
			}
			a := h.send(c.secret, c.body, c.change)
			if a.status != c.status || a.code != c.code || !strings.Contains(a.message, c.want) {
				t.Errorf("got  %d %q %q\nwant %d %q %q", a.status, a.code, a.message, c.status, c.code, c.want)
			}
		})
	}
	if got := h.store.stored(); len(got) != 0 {
		t.Errorf("stored %q", got)
	}
}

func flip(b []byte) []byte {
	b[len(b)-6] ^= 1 // of the CRC
	return b
}

type zeros struct{ n int }

func (z *zeros) Read(b []byte) (int, error) {
	n := min(len(b), z.n)
	if n == 0 {
		return 0, io.EOF
	}
	z.n -= n
	clear(b[:n])
	return n, nil
}

// TestBudget: what bodies take of the common memory is bounded, and given back.
func TestBudget(t *testing.T) {
	h := open(t, ingest.Limits{BudgetBytes: 1 << 20, TokenBytes: 1 << 20})
	_, end := h.stalled(4, 200<<10, 190<<10) // 200 KiB each
	line := strings.Replace(good, "site=s1", "site=s2", 1) + "\n"
	a := h.send("secret-s2", zip([]byte(strings.Repeat(line, 5000))), header("Content-Encoding", "gzip"))
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %q, want 503 with Retry-After", a.status, a.message)
	}
	end()
	for range 50 { // the budget is given back
		if a := h.lines("secret", good); a.status != 204 {
			t.Fatalf("%d %q", a.status, a.message)
		}
	}
}

func TestKnock(t *testing.T) {
	h := open(t, ingest.Limits{})
	for _, c := range []struct {
		body []byte
		enc  string
	}{{nil, ""}, {nil, "gzip"}, {zip(nil), "gzip"}, {[]byte("\n# nothing\n"), ""}} {
		a := h.send("secret", c.body, header("Content-Encoding", c.enc))
		if a.status != 204 || a.header.Get(wire.HeaderStore) == "" || a.header.Get(wire.HeaderReceivedAt) != ms {
			t.Errorf("%q: %d %q %v", c.body, a.status, a.message, a.header)
		}
	}
}

func TestDurability(t *testing.T) {
	h := open(t, ingest.Limits{})
	get := func(a answer, name string) string { return a.header.Get(name) }
	a := h.lines("secret", good)
	if get(a, wire.HeaderCommit) != "1" || get(a, wire.HeaderDurable) != "0" {
		t.Fatalf("%v", a.header)
	}
	if err := h.in.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	b := h.lines("secret", good)
	if get(b, wire.HeaderCommit) != "2" || get(b, wire.HeaderDurable) != "1" || get(a, wire.HeaderStore) != get(b, wire.HeaderStore) {
		t.Errorf("%v", b.header)
	}
	if other := open(t, ingest.Limits{}).lines("secret"); get(other, wire.HeaderStore) == get(a, wire.HeaderStore) {
		t.Error("two openings share a store id")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.in.Run(ctx); err != nil { // the last sync
		t.Fatal(err)
	}
	if c := h.lines("secret"); get(c, wire.HeaderDurable) != "2" {
		t.Errorf("Run ended without a last sync: %v", c.header)
	}
}

func TestStoreFails(t *testing.T) {
	h := open(t, ingest.Limits{})
	h.store.fail = errDisk
	a := h.send("secret", []byte(good), numbered("1")...)
	if a.status != 503 || a.code != "unavailable" || a.header.Get("Retry-After") == "" || a.header.Get(wire.HeaderCommit) != "" || strings.Contains(a.message, "device") {
		t.Errorf("%d %q %v", a.status, a.message, a.header)
	}
	if len(h.clerk.receipts) != 0 || len(h.judge.obs) != 0 {
		t.Error("a batch that was not stored was booked or judged")
	}
	if res, _ := http.Get(h.server.URL + "/health"); res.StatusCode != 503 {
		t.Errorf("/health says %d", res.StatusCode)
	}
	h.store.fail = nil
	h.clerk.fail = errDisk
	if a := h.send("secret", []byte(good), numbered("1")...); a.status != 503 {
		t.Errorf("a batch that could not be booked was answered %d", a.status)
	}
	h.clerk.fail = nil
	if a := h.send("secret", []byte(good), numbered("1")...); a.status != 204 {
		t.Errorf("%d %q", a.status, a.message)
	}
	if n := strings.Count(h.log.String(), "can't be stored"); n != 1 {
		t.Errorf("the failure was logged %d times:\n%s", n, h.log)
	}
}

// TestSyncFails runs the sync loop, in a second that takes no time, against a store that can write but not sync.
func TestSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := &memory{}
		in := ingest.New(ingest.Options{Store: m, Registry: newClerk(), Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))})
		send := func() *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/api/v2/write?bucket=communewatch&precision=ms", strings.NewReader(good))
			r.Header.Set("Authorization", "Token secret")
			w := httptest.NewRecorder()
			in.Handler().ServeHTTP(w, r)
			return w
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- in.Run(ctx) }()
		before := send()
		m.setFail(errDisk)
		time.Sleep(10*time.Second + 500*time.Millisecond) // not at a tick
		m.setFail(nil)
		if w := send(); w.Code != 204 || w.Header().Get(wire.HeaderDurable) != "0" || w.Header().Get(wire.HeaderStore) != before.Header().Get(wire.HeaderStore) {
			t.Errorf("%d %v, want the store of before with nothing durable", w.Code, w.Header())
		}
		time.Sleep(2 * time.Second)
		if w := send(); w.Header().Get(wire.HeaderDurable) != "0" || w.Header().Get(wire.HeaderCommit) != "1" || w.Header().Get(wire.HeaderStore) == before.Header().Get(wire.HeaderStore) {
			t.Errorf("%v after the disk works again, want a new store that counts from 1", w.Header())
		}
		time.Sleep(2 * time.Second)
		if w := send(); w.Header().Get(wire.HeaderDurable) != "1" || w.Header().Get(wire.HeaderCommit) != "2" {
			t.Errorf("%v, want the first batch of the new store durable", w.Header())
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if text := log.String(); strings.Count(text, "not safe from a power cut;") != 1 || strings.Count(text, "safe from a power cut again") != 1 {
			t.Errorf("want one line for the beginning and one for the end:\n%s", text)
		}
	})
}

func TestStoreRejectsRows(t *testing.T) {
	h := open(t, ingest.Limits{})
	h.store.reject = "target=bad"
	a := h.lines("secret", good, strings.Replace(good, "target=gw", "target=bad", 1), check, strings.Replace(check, "target=gw", "target=bad", 1))
	if a.status != 400 || !strings.Contains(a.message, "2 of 4 lines rejected; first: line 2: out of order") {
		t.Errorf("%d %q", a.status, a.message)
	}
	for _, o := range h.judge.obs {
		if o.Check.Target == "bad" {
			t.Errorf("a row that was not stored was judged: %+v", o)
		}
	}
}

func numbered(seq string, more ...string) []func(*http.Request) {
	return []func(*http.Request){header(append([]string{wire.HeaderAgent, "a1", wire.HeaderBoot, "b0017", wire.HeaderSeq, seq, wire.HeaderClock, "1"}, more...)...)}
}

func TestReceipts(t *testing.T) {
	h := open(t, ingest.Limits{})
	h.send("secret", []byte(good+"\nbad\n"+check), numbered("7")...)
	h.send("secret", []byte("bad"), numbered("8")...)
	h.send("secret", []byte(good))
	want := []registry.Receipt{
		{Site: "s1", Agent: "a1", Boot: "b0017", Seq: 7, Clock: 1, Points: 2, Rejected: 1, ReceivedAt: now},
		{Site: "s1", Agent: "a1", Boot: "b0017", Seq: 8, Clock: 1, Rejected: 1, ReceivedAt: now}}
	if diff := cmp.Diff(want, h.clerk.receipts); diff != "" {
		t.Error(diff)
	}
}

func TestBadHeaders(t *testing.T) {
	h := open(t, ingest.Limits{})
	for _, c := range []struct{ name, value, want string }{
		{wire.HeaderAgent, "A B", "name"},
		{wire.HeaderAgent, "", "missing"},
		{wire.HeaderBoot, "", "missing"},
		{wire.HeaderBoot, strings.Repeat("x", 65), "1 to 64"},
		{wire.HeaderBoot, "a/b", "1 to 64"},
		{wire.HeaderSeq, "0", "count from 1"},
		{wire.HeaderSeq, "-1", "count from 1"},
		{wire.HeaderSeq, "18446744073709551616", "count from 1"},
		{wire.HeaderClock, "x", "count from 1"},
		{wire.HeaderSentAt, "yesterday", "Unix milliseconds"},
		{wire.HeaderSentAt, "9223372036854775807", "Unix milliseconds"},
	} {
		a := h.send("secret", []byte(good), append(numbered("1"), header(c.name, c.value))...)
		if a.status != 400 || !strings.HasPrefix(a.message, "header "+c.name+": ") || !strings.Contains(a.message, c.want) {
			t.Errorf("%s %.20q: %d %q", c.name, c.value, a.status, a.message)
		}
	}
	if a := h.send("secret-a1", []byte(good), append(numbered("1"), header(wire.HeaderAgent, "a2"))...); a.status != 403 {
		t.Errorf("a batch in another agent's name: %d %q", a.status, a.message)
	}
	if a := h.send("telegraf", []byte("cpu x=1"), header(wire.HeaderSeq, "junk")); a.status != 204 {
		t.Errorf("a writer's headers matter: %d %q", a.status, a.message)
	}
	if len(h.store.stored()) != 1 {
		t.Errorf("stored %q", h.store.stored())
	}
}

func TestClocks(t *testing.T) {
	h := open(t, ingest.Limits{})
	tcp := func(target string, t time.Time) []byte {
		return fmt.Appendf(nil, "tcp,agent=a1,path=lan,site=s1,target=%s connect_seconds=1 %d", target, t.UnixMilli())
	}
	sent := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).UnixMilli(), 10) }
	clock := func(n, seq, sentAt string) []func(*http.Request) {
		return append(numbered(seq), header(wire.HeaderClock, n, wire.HeaderSentAt, sentAt))
	}
	hour := time.Hour + 1234*time.Millisecond
	h.send("secret", tcp("slow", now.Add(-hour-time.Minute)), clock("1", "1", sent(-hour))...)
	h.send("secret", tcp("replay", now.Add(-hour-time.Hour)), clock("1", "2", sent(-2*hour))...) // the first measure stays
	h.send("secret", tcp("later", now.Add(-hour)), clock("1", "3", "")...)
	h.send("secret", tcp("ahead", now.Add(30*24*time.Hour)), clock("2", "4", sent(30*24*time.Hour))...)
	h.send("secret", tcp("fair", now.Add(-4*time.Second)), clock("3", "5", sent(-4*time.Second))...)
	h.send("secret", tcp("unmeasured", now.Add(-time.Minute)), clock("4", "6", "")...)
	h.send("secret", []byte("tcp,agent=a1,path=lan,site=s1,target=untimed connect_seconds=1"), clock("1", "7", "")...)
	at := func(target string, t time.Time) string {
		return fmt.Sprintf("tcp,agent=a1,path=lan,site=s1,target=%s connect_seconds=1 @%d", target, t.UnixMilli())
	}
	want := []string{at("slow", now.Add(-time.Minute)), at("replay", now.Add(-time.Hour)), at("later", now), at("ahead", now),
		at("fair", now.Add(-4*time.Second)), at("unmeasured", now.Add(-time.Minute)), at("untimed", now)}
	if diff := cmp.Diff(want, h.store.stored()); diff != "" {
		t.Error(diff)
	}
	if d, ok := h.clerk.shifts[registry.ClockID{Site: "s1", Agent: "a1", Boot: "b0017", Clock: 3}]; d != 0 || !ok {
		t.Errorf("a good clock is to be written down as such; got %v, %v", d, ok)
	}
}

func TestPrecisionsAndTimes(t *testing.T) {
	h := open(t, ingest.Limits{})
	for _, c := range []struct{ path, query, stamp string }{
		{"/api/v2/write", "bucket=communewatch", "1795000000000999999"},
		{"/api/v2/write", "bucket=communewatch&precision=ns", "1795000000000000000"},
		{"/api/v2/write", "bucket=communewatch&precision=us", "1795000000000000"},
		{"/api/v2/write", "bucket=communewatch&precision=s", "1795000000"},
		{"/api/v2/write", "bucket=communewatch/autogen", ""},
		{"/write", "db=communewatch&precision=n", "1795000000000000000"},
		{"/write", "db=communewatch&rp=x&precision=u", "1795000000000000"},
		{"/write", "db=communewatch&precision=m", "29916666"},
	} {
		a := h.send("secret", []byte("tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=1i "+c.stamp), query(c.query), func(r *http.Request) { r.URL.Path = c.path })
		got := h.store.stored()
		if want := "@" + ms; a.status != 204 || !strings.HasSuffix(got[len(got)-1], want) && c.stamp != "29916666" {
			t.Errorf("%s?%s %s: %d %q, stored %q", c.path, c.query, c.stamp, a.status, a.message, got[len(got)-1])
		}
	}
}

func TestAuthorizations(t *testing.T) {
	h := open(t, ingest.Limits{})
	v1 := func(r *http.Request) {
		r.URL.Path = "/write"
		r.URL.RawQuery = "db=communewatch&precision=ms&u=x&p=secret"
		r.Header.Del("Authorization")
	}
	for name, change := range map[string]func(*http.Request){
		"Bearer":   header("Authorization", "Bearer secret"),
		"token":    header("Authorization", "token secret"),
		"Basic":    func(r *http.Request) { r.SetBasicAuth("anyone", "secret") },
		"u and p":  v1,
		"user:key": func(r *http.Request) { v1(r); r.Header.Set("Authorization", "Token x:secret") },
	} {
		if a := h.send("", []byte(good), change, header("X", "")); a.status != 204 {
			t.Errorf("%s: %d %q", name, a.status, a.message)
		}
	}
	if a := h.send("", nil, func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery += "&p=secret" }); a.status != 401 {
		t.Errorf("the v2 API takes a token from the address: %d", a.status)
	}
}

func TestWriter(t *testing.T) {
	h := open(t, ingest.Limits{WriterSeries: 10})
	if a := h.lines("telegraf", `cpu,host=gw,cpu=cpu0 usage_idle=1,usage_user=2 `+ms, `disk,host=gw free=1u,path="/" `+ms); a.status != 204 {
		t.Fatalf("%d %q", a.status, a.message)
	}
	if a := h.lines("telegraf", good); a.status != 400 || !strings.Contains(a.message, "written by agents only") {
		t.Errorf("%d %q", a.status, a.message)
	}
	if a := h.lines("telegraf", "cpu,site=s2 x=1"); a.status != 403 {
		t.Errorf("%d %q", a.status, a.message)
	}
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("req,id=%d took=1", i))
	}
	a := h.lines("telegraf", many...)
	if a.status != 400 || !strings.Contains(a.message, "14 of 20 lines rejected; first: line 7: this token has brought 10 field series") {
		t.Errorf("%d %q", a.status, a.message)
	}
	if a := h.lines("telegraf", many[0], `cpu,host=gw,cpu=cpu0 usage_idle=5`); a.status != 204 {
		t.Errorf("known series are refused at the limit: %d %q", a.status, a.message)
	}
	if len(h.judge.obs) != 0 || len(h.clerk.receipts) != 0 {
		t.Error("a writer's rows were judged or booked")
	}
}

func TestJudge(t *testing.T) {
	h := open(t, ingest.Limits{})
	h.lines("secret",
		"dns,agent=a1,path=lan,resolver=r1,site=s1,target=d query_seconds=0.1,rcode=0i "+ms,
		"dns,agent=a1,path=lan,resolver=r2,site=s1,target=d query_seconds=0.2,rcode=0i "+ms,
		`check,agent=a1,kind=dns,layer=lan,path=lan,site=s1,target=d outcome="refused",up=false,error="no, \"never\"" `+ms,
		"tcp,agent=a1,path=lan,site=s1,target=alone connect_seconds=1 "+ms,
		`check,agent=a1,kind=http,layer=lan,path=lan,site=s1,target=w outcome="timeout" `+ms,
		`agent,agent=a1,site=s1 version="1.2",os="linux",spool_batches=3i `+ms)
	id := func(target, kind, layer string) health.CheckID {
		return health.CheckID{Site: "s1", Agent: "a1", Target: target, Kind: probes.Kind(kind), Path: "lan", Layer: probes.Layer(layer)}
	}
	want := []health.Observation{
		{Check: id("d", "dns", "lan"), Time: now, Outcome: probes.OutcomeRefused, Error: `no, "never"`,
			Facts: []health.Fact{{Measurement: "dns", Field: "query_seconds", Value: 0.1, Row: "r1"}, {Measurement: "dns", Field: "query_seconds", Value: 0.2, Row: "r2"}}},
		{Check: id("alone", "tcp", ""), Time: now, Facts: []health.Fact{{Measurement: "tcp", Field: "connect_seconds", Value: 1}}},
		{Check: id("w", "http", "lan"), Time: now, Outcome: probes.OutcomeTimeout},
	}
	if diff := cmp.Diff(want, h.judge.obs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"s1/a1 1.2 " + ms + " map[spool_batches:3]"}, h.judge.agents); diff != "" {
		t.Error(diff)
	}
}

func TestOtherRoutes(t *testing.T) {
	h := open(t, ingest.Limits{})
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/ping", 204, ""}, {"HEAD", "/ping", 204, ""}, {"POST", "/ping", 405, `"code":"method not allowed"`},
		{"GET", "/health", 200, `"status":"pass"`}, {"GET", "/api/v2/write", 405, `"message":"method not allowed; use POST"`},
		{"GET", "/", 404, `"code":"not found"`}, {"POST", "/query", 404, `"code":"not found"`},
	} {
		req, _ := http.NewRequest(c.method, h.server.URL+c.path, nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status || !strings.Contains(string(text), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, res.StatusCode, text)
		}
		if c.path == "/ping" && res.Header.Get("X-Influxdb-Version") != "v2.7.0-communewatch-1.2.3" {
			t.Errorf("ping's version is %q", res.Header.Get("X-Influxdb-Version"))
		}
	}
}

// TestInfluxClient drives the door with the official client, as the agent does.
func TestInfluxClient(t *testing.T) {
	h := open(t, ingest.Limits{})
	client := influxdb2.NewClientWithOptions(h.server.URL, "secret", influxdb2.DefaultOptions().SetUseGZip(true).SetPrecision(time.Millisecond))
	defer client.Close()
	ctx := context.Background()
	if err := client.WriteAPIBlocking("any", "communewatch").WriteRecord(ctx, good+"\n"+check+"\n"); err != nil {
		t.Fatal(err)
	}
	if len(h.store.stored()) != 2 {
		t.Errorf("stored %q", h.store.stored())
	}
	err := client.WriteAPIBlocking("any", "communewatch").WriteRecord(ctx, good+"\nbad\n")
	if err == nil || !strings.Contains(err.Error(), "1 of 2 lines rejected; first: line 2") {
		t.Errorf("the client says %v", err)
	}
	if ok, err := client.Ping(ctx); !ok || err != nil {
		t.Errorf("ping: %v %v", ok, err)
	}
	if got, err := client.Health(ctx); err != nil || got.Status != "pass" {
		t.Errorf("health: %v %v", got, err)
	}
	other := influxdb2.NewClient(h.server.URL, "wrong")
	defer other.Close()
	if err := other.WriteAPIBlocking("any", "communewatch").WriteRecord(ctx, good); err == nil || !strings.Contains(err.Error(), "unauthorized") {
		t.Errorf("the client says %v", err)
	}
}

// TestTelegraf sends what Telegraf's outputs.influxdb_v2 sends: gzip, chunked, nanoseconds, any organisation.
func TestTelegraf(t *testing.T) {
	h := open(t, ingest.Limits{})
	body := []byte("cpu,cpu=cpu-total,host=vp\\ gw usage_idle=97.3,usage_user=1.2 1795000000000000000\nmem,host=vp\\ gw used=1234567i,used_percent=12.5 1795000000000000000\n")
	a := h.send("telegraf", nil, query("bucket=communewatch&org=province"), header("User-Agent", "Telegraf/1.38.0 Go/1.26", "Content-Encoding", "gzip", "Content-Type", "text/plain; charset=utf-8"),
		func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(zip(body))), -1 })
	if a.status != 204 || len(h.store.stored()) != 2 {
		t.Errorf("%d %q, stored %q", a.status, a.message, h.store.stored())
	}
}

// TestBrokenUpload: a body that breaks off is a failure of the line, not of the batch; nothing of it is stored and
// the client is not told to give it up.
func TestBrokenUpload(t *testing.T) {
	h := open(t, ingest.Limits{})
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v2/write?bucket=communewatch&precision=ms HTTP/1.1\r\nHost: x\r\nAuthorization: Token secret\r\nContent-Length: 1000\r\n\r\n%s\n", good)
	conn.(*net.TCPConn).CloseWrite()
	text, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(text), "HTTP/1.1 503") || len(h.store.stored()) != 0 {
		t.Errorf("%s\nstored %q", text, h.store.stored())
	}
}

// TestSlowClient: one who promises a body and does not send it is let go, whether its token is good or not, and
// whether it trickles or stalls.
func TestSlowClient(t *testing.T) {
	for _, c := range []struct{ name, token, encoding, want string }{
		{"stalls", "secret", "identity", "did not arrive in time"},
		{"stalls within gzip", "secret", "gzip", "did not arrive in time"},
		{"unknown", "wrong", "identity", "unknown token"},
		{"encoding", "secret", "br", "not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, ingest.Limits{BodyTime: 100 * time.Millisecond, BodyRate: 1 << 20, TokenRequests: 1})
			conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST /api/v2/write?bucket=communewatch HTTP/1.1\r\nHost: x\r\nAuthorization: Token %s\r\nContent-Encoding: %s\r\nContent-Length: 1000\r\n\r\n", c.token, c.encoding)
			conn.Write(zip([]byte(good))[:30])
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			text, err := io.ReadAll(conn)
			if err != nil || !strings.Contains(string(text), c.want) {
				t.Errorf("the connection was not ended (%v): %s", err, text)
			}
			if a := h.lines("secret", good); a.status != 204 { // its place is free again
				t.Errorf("%d %q", a.status, a.message)
			}
		})
	}
}

func TestTooManyRequests(t *testing.T) {
	for _, c := range []struct {
		limits ingest.Limits
		status int
	}{{ingest.Limits{TokenRequests: 1}, 429}, {ingest.Limits{Requests: 1}, 503}} {
		h := open(t, c.limits)
		inside, leave := make(chan struct{}), make(chan struct{})
		go h.in.Handler().ServeHTTP(httptest.NewRecorder(), func() *http.Request {
			r := httptest.NewRequest("POST", "/api/v2/write?bucket=communewatch", &gate{inside: inside, leave: leave})
			r.Header.Set("Authorization", "Token secret")
			return r
		}())
		<-inside
		a := h.lines("secret", good)
		if a.status != c.status || a.header.Get("Retry-After") == "" {
			t.Errorf("%d %q, want %d with Retry-After", a.status, a.message, c.status)
		}
		close(leave)
	}
}

// gate is a body that says when it is read and waits.
type gate struct{ inside, leave chan struct{} }

func (g *gate) Read([]byte) (int, error) {
	close(g.inside)
	<-g.leave
	return 0, io.EOF
}

func TestRefusalsAreLoggedOnce(t *testing.T) {
	h := open(t, ingest.Limits{})
	for range 20 {
		h.lines("secret", "bad", "cpu x=1")
		h.lines("wrong", good)
	}
	if n := strings.Count(h.log.String(), "\n"); n != 3 {
		t.Errorf("%d lines of log, want one per token and reason:\n%s", n, h.log)
	}
}
