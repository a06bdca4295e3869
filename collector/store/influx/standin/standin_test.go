package standin_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"communewatch/collector/store/influx/standin"
	"communewatch/collector/store/influxd"
)

var backend *influxd.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "standin")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if backend, err = influxd.New(influxd.Options{Dir: dir}); err == nil {
		err = backend.Start(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer backend.Kill()
	return m.Run()
}

// client talks to one stand-in with one token.
type client struct {
	t     *testing.T
	url   string
	token string
}

func start(t *testing.T, o standin.Options) (*standin.Server, client) {
	t.Helper()
	o.Backend, o.Prefix = backend.URL(), strings.ToLower(t.Name())+"_"
	s := standin.New(o)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, client{t, server.URL, s.AdminToken()}
}

func (c client) with(token string) client { c.token = token; return c }

func (c client) do(method, path, body string, header ...string) (int, string, http.Header) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Token "+c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func (c client) want(status int, words, method, path, body string, header ...string) string {
	c.t.Helper()
	got, text, _ := c.do(method, path, body, header...)
	if got != status || !strings.Contains(text, words) {
		c.t.Errorf("%s %s: %d %s; want %d with %q", method, path, got, text, status, words)
	}
	return text
}

func (c client) query(db, q string) string {
	c.t.Helper()
	_, text, _ := c.do("GET", "/query?epoch=ms&"+url.Values{"db": {db}, "q": {q}}.Encode(), "")
	return text
}

func TestV2(t *testing.T) {
	s, c := start(t, standin.Options{Generation: standin.V2, MaxBody: 2000})
	nobody := c.with("")
	status, _, header := nobody.do("GET", "/ping", "")
	if status != 204 || header.Get("X-Influxdb-Version") != "2.7.12" {
		t.Errorf("ping: %d %v", status, header)
	}
	nobody.want(401, "unauthorized", "GET", "/api/v2/buckets", "")
	nobody.want(401, "unauthorized", "POST", "/api/v2/write?org=tinh&bucket=rows", "m f=1")

	var orgs struct{ Orgs []struct{ ID string } }
	if err := json.Unmarshal([]byte(c.want(200, "tinh", "GET", "/api/v2/orgs?org=tinh", "")), &orgs); err != nil || len(orgs.Orgs) != 1 {
		t.Fatal(orgs, err)
	}
	org := orgs.Orgs[0].ID
	var b struct{ ID string }
	made := c.want(201, `"everySeconds":7776000`, "POST", "/api/v2/buckets", fmt.Sprintf(`{"orgID":%q,"name":"rows","retentionRules":[{"type":"expire","everySeconds":7776000}]}`, org))
	if err := json.Unmarshal([]byte(made), &b); err != nil {
		t.Fatal(err)
	}
	c.want(422, "already exists", "POST", "/api/v2/buckets", fmt.Sprintf(`{"orgID":%q,"name":"rows"}`, org))
	c.want(422, "one hour", "POST", "/api/v2/buckets", fmt.Sprintf(`{"orgID":%q,"name":"short","retentionRules":[{"everySeconds":60}]}`, org))
	if err := s.MakeDatabase("other", 0); err != nil {
		t.Fatal(err)
	}

	now := time.Now().UnixMilli()
	line := fmt.Sprintf("icmp,site=a lost=1 %d", now)
	if got := c.query("rows", "SELECT lost FROM icmp"); !strings.Contains(got, "database not found: rows") {
		t.Error("a bucket without a mapping answers InfluxQL:", got)
	}
	c.want(201, `"default":true`, "POST", "/api/v2/dbrps", fmt.Sprintf(`{"orgID":%q,"bucketID":%q,"database":"rows","retention_policy":"autogen","default":true}`, org, b.ID))

	perm := func(action string) string {
		return fmt.Sprintf(`{"action":%q,"resource":{"type":"buckets","id":%q,"orgID":%q}}`, action, b.ID, org)
	}
	var auth struct{ Token string }
	made = c.want(201, `"token":`, "POST", "/api/v2/authorizations", fmt.Sprintf(`{"orgID":%q,"description":"us","permissions":[%s,%s]}`, org, perm("read"), perm("write")))
	if err := json.Unmarshal([]byte(made), &auth); err != nil {
		t.Fatal(err)
	}
	us := c.with(auth.Token)
	us.want(403, "insufficient", "GET", "/api/v2/authorizations", "")
	if got := us.want(200, "rows", "GET", "/api/v2/buckets", ""); strings.Contains(got, "other") {
		t.Error("a token sees a bucket that is not its own:", got)
	}
	us.want(204, "", "POST", "/api/v2/write?org=tinh&bucket=rows&precision=ms", line)
	us.want(403, "insufficient permissions", "POST", "/api/v2/write?org=tinh&bucket=other&precision=ms", line)
	us.want(404, `bucket \"none\" not found`, "POST", "/api/v2/write?org=tinh&bucket=none", line)
	us.want(404, "organization", "POST", "/api/v2/write?org=none&bucket=rows", line)
	us.want(413, "too large", "POST", "/api/v2/write?org=tinh&bucket=rows", strings.Repeat("x", 3000))
	us.want(400, "writing requires points", "POST", "/api/v2/write?org=tinh&bucket=rows", "# nothing\n")
	us.want(400, "unable to parse", "POST", "/api/v2/write?org=tinh&bucket=rows&precision=ms", fmt.Sprintf("icmp,site=b lost=1 %d\nbad", now))
	us.want(422, "field type conflict", "POST", "/api/v2/write?org=tinh&bucket=rows&precision=ms", fmt.Sprintf("icmp,site=c lost=\"x\" %d\nicmp,site=d lost=4 %d", now, now))
	us.want(422, "beyond retention", "POST", "/api/v2/write?org=tinh&bucket=rows&precision=ms", "icmp,site=e lost=1 1000000000000")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprintf(z, "icmp,site=f text=\"one\ntwo\",lost=2 %d", now)
	z.Close()
	us.want(204, "", "POST", "/api/v2/write?org=tinh&bucket=rows&precision=ms", packed.String(), "Content-Encoding", "gzip")

	got := us.query("rows", `SELECT lost FROM icmp GROUP BY site`)
	for site, there := range map[string]bool{"a": true, "b": false, "c": false, "d": true, "e": false, "f": true} {
		if strings.Contains(got, fmt.Sprintf(`{"site":%q}`, site)) != there {
			t.Errorf("site %s: want stored %v in %s", site, there, got)
		}
	}
	if got := us.query("", `SHOW MEASUREMENTS ON "rows"`); !strings.Contains(got, `["icmp"]`) {
		t.Error(got)
	}
	if got := us.query("", `SELECT lost FROM "rows"."autogen"."icmp" WHERE site = 'a'`); !strings.Contains(got, fmt.Sprintf("[%d,1]", now)) {
		t.Error(got)
	}
	us.want(403, "insufficient", "GET", "/query?db=other&q=SHOW+MEASUREMENTS", "")
	us.want(400, "not supported", "GET", "/query?db=rows&q=DROP+DATABASE+rows", "")
	nobody.want(401, "", "GET", "/query?db=rows&q=SHOW+MEASUREMENTS", "")
	nobody.want(200, "icmp", "GET", "/query?db=rows&q=SHOW+MEASUREMENTS&u=x&p="+auth.Token, "")
	s.Revoke(auth.Token)
	us.want(401, "unauthorized", "POST", "/api/v2/write?org=tinh&bucket=rows", line)
}

func TestV3(t *testing.T) {
	s, c := start(t, standin.Options{Generation: standin.V3})
	c.with("").want(401, "", "GET", "/ping", "")
	status, text, header := c.do("GET", "/ping", "")
	if status != 200 || header.Get("X-Influxdb-Build") != "Core" || !strings.Contains(text, `"version":"3.8.0"`) {
		t.Errorf("ping: %d %s %v", status, text, header)
	}
	if status, _, _ := c.do("HEAD", "/ping", ""); status != 404 {
		t.Errorf("HEAD /ping: %d", status)
	}
	c.want(200, "", "POST", "/api/v3/configure/database", `{"db":"rows","retention_period":"90d"}`)
	c.want(409, "exists", "POST", "/api/v3/configure/database", `{"db":"rows"}`)
	c.want(400, "retention", "POST", "/api/v3/configure/database", `{"db":"rows2","retention_period":"90 days"}`)
	c.want(400, "can't be changed", "PUT", "/api/v3/configure/database", `{"db":"rows","retention_period":"1d"}`)
	if got := s.Databases()["rows"]; got != 90*24*time.Hour {
		t.Error(got)
	}

	now := time.Now().UnixMilli()
	w := "/api/v2/write?precision=ms&bucket="
	c.want(204, "", "POST", w+"rows", fmt.Sprintf("icmp,site=a,path=lan lost=1 %d", now))
	c.want(204, "", "POST", w+"rows", fmt.Sprintf("icmp,site=b lost=1,sent=2 %d", now)) // a tag less is fine
	c.want(400, "Detected a new tag 'target'", "POST", w+"rows", fmt.Sprintf("icmp,site=c,target=x lost=1 %d\nicmp,site=d lost=3 %d", now, now))
	c.want(400, "expected iox::column_type::tag", "POST", w+"rows", fmt.Sprintf("icmp,site=e path=1 %d", now))
	c.want(400, "expected iox::column_type::field", "POST", w+"rows", fmt.Sprintf("icmp,site=f lost=1i %d", now))
	var wide strings.Builder
	for i := range 500 {
		fmt.Fprintf(&wide, ",f%d=1", i)
	}
	c.want(400, "500 columns", "POST", w+"rows", fmt.Sprintf("wide %s %d", wide.String()[1:], now))
	got := c.query("rows", "SELECT lost FROM icmp WHERE time > now() - 1h GROUP BY site")
	for site, there := range map[string]bool{"a": true, "b": true, "c": false, "d": true, "e": false, "f": false} {
		if strings.Contains(got, fmt.Sprintf(`{"site":%q}`, site)) != there {
			t.Errorf("site %s: want stored %v in %s", site, there, got)
		}
	}

	c.want(204, "", "POST", w+"surprise", fmt.Sprintf("m f=1 %d", now))
	if keep, there := s.Databases()["surprise"]; !there || keep != 0 {
		t.Error("a write to a database that is not there makes it, kept for ever:", s.Databases())
	}
	for _, name := range []string{"c", "d", "e"} {
		c.want(200, "", "POST", "/api/v3/configure/database", fmt.Sprintf(`{"db":%q}`, name))
	}
	c.want(422, "limit of 5", "POST", "/api/v3/configure/database", `{"db":"sixth"}`)
	c.want(200, `{"iox::database":"surprise"}`, "GET", "/api/v3/configure/database?format=json", "")
	c.want(404, "database not found", "GET", "/query?db=none&q=SHOW+MEASUREMENTS", "")
	c.want(400, "not supported", "GET", "/query?db=rows&q=SHOW+SERIES+CARDINALITY", "")
	c.want(200, "icmp", "GET", "/query?db=rows&q=SHOW+MEASUREMENTS", "")
}

func TestQueriesOverMoreThan72HoursAreRefusedByCoreAlone(t *testing.T) {
	end := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	ms := func(d time.Duration) string { return fmt.Sprintf("%dms", end.Add(-d).UnixMilli()) }
	for q, refused := range map[string]bool{
		`SELECT f FROM m`:                                                                                                 true,
		`SELECT f FROM m WHERE "site" = 'a'`:                                                                              true,
		`SELECT f FROM m WHERE time > now() - 72h`:                                                                        false,
		`SELECT f FROM m WHERE time > now() - 73h`:                                                                        true,
		`SELECT f FROM m WHERE time >= ` + ms(72*time.Hour) + ` AND time < ` + ms(0):                                      false,
		`SELECT f FROM m WHERE "time" >= ` + ms(72*time.Hour+time.Millisecond) + ` AND time < ` + ms(0):                   true,
		`SELECT f FROM m WHERE time>='2026-11-01T00:00:00Z' and time<'2026-11-03T00:00:00Z'`:                              false,
		`SELECT f FROM m WHERE time >= '2026-11-01' AND time < '2026-11-10'`:                                              true,
		`SELECT f FROM m WHERE time < ` + ms(0):                                                                           true,
		`SELECT f FROM m WHERE s = 'time > 5' AND time = 5`:                                                               false,
		`SHOW TAG VALUES WITH KEY = site`:                                                                                 false,
		`SELECT MEAN(f) FROM (SELECT f FROM m WHERE time >= 0 AND time < 3600s) WHERE time >= 0 AND time < 1d GROUP BY *`: false,
	} {
		for _, o := range []standin.Options{{Generation: standin.V3}, {Generation: standin.V3, Enterprise: true}, {Generation: standin.V3, NoBound: true}} {
			o.Backend, o.Prefix = backend.URL(), "span_"
			s := standin.New(o)
			if err := s.MakeDatabase("rows", 0); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/query?"+url.Values{"db": {"rows"}, "q": {q}}.Encode(), nil)
			r.Header.Set("Authorization", "Bearer "+s.MakeToken("rows"))
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			want := 200
			if refused && !o.Enterprise && !o.NoBound {
				want = 400
			}
			if w.Code != want {
				t.Errorf("%s: %d %s, want %d", q, w.Code, w.Body, want)
			}
		}
	}
}

func TestTwoStandInsShareABackend(t *testing.T) {
	one, c1 := start(t, standin.Options{Generation: standin.V2})
	two := standin.New(standin.Options{Generation: standin.V3, Backend: backend.URL(), Prefix: "two_"})
	server := httptest.NewServer(two)
	defer server.Close()
	c2 := client{t, server.URL, two.AdminToken()}
	for _, s := range []*standin.Server{one, two} {
		if err := s.MakeDatabase("rows", 0); err != nil {
			t.Fatal(err)
		}
	}
	c1.want(204, "", "POST", "/api/v2/write?org=tinh&bucket=rows", "first f=1")
	c2.want(204, "", "POST", "/api/v2/write?bucket=rows", "second f=1")
	if got := c1.query("rows", "SHOW MEASUREMENTS"); strings.Contains(got, "second") || !strings.Contains(got, "first") {
		t.Error(got)
	}
	if got := c2.query("rows", `SHOW MEASUREMENTS ON "rows"`); strings.Contains(got, "first") || !strings.Contains(got, "second") {
		t.Error(got)
	}
}
