package influx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influx/standin"
	"communewatch/collector/store/influxd"
	"communewatch/collector/store/storetest"
)

// real is the InfluxDB that all tests of this room share. Each has databases of its own in it.
var real *influxd.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "communewatch-influx-")
		if err == nil {
			defer os.RemoveAll(dir)
			real, err = influxd.New(influxd.Options{Dir: dir})
		}
		if err == nil {
			err = real.Start(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer real.Stop()
		code := m.Run()
		http.DefaultClient.CloseIdleConnections()
		if err := goleak.Find(goleak.IgnoreTopFunction("os/exec.(*Cmd).Wait"), goleak.IgnoreAnyFunction("communewatch/collector/store/influxd.(*Server).Start.func1")); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		return code
	}())
}

// testNow is when tests are: it must not lie before the real clock's retention, so it moves with it.
var testNow = time.Now().Truncate(24 * time.Hour).Add(8 * time.Hour).UTC()

var keep = map[rollup.Level]time.Duration{
	rollup.FiveMinutes: 366 * 24 * time.Hour, rollup.Hour: 5 * 366 * 24 * time.Hour,
	rollup.Day: 5 * 366 * 24 * time.Hour, rollup.Month: 5 * 366 * 24 * time.Hour,
}

func options(url, database string) influx.Options {
	o := influx.Options{Config: influx.DefaultConfig(), Keep: keep, Now: func() time.Time { return testNow }}
	o.URL, o.Database = url, database
	return o
}

// statement runs InfluxQL that changes something.
func statement(t testing.TB, base, token, q string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, base+"/query", strings.NewReader(url.Values{"q": {q}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil || resp.StatusCode != http.StatusOK || strings.Contains(body.String(), `"error"`) {
		t.Fatalf("%s: %d %s %v", q, resp.StatusCode, body.String(), err)
	}
}

var databases atomic.Int64

// database makes the databases of one store and returns the name of that of rows.
func database(t testing.TB, base, token string) string {
	t.Helper()
	name := fmt.Sprintf("communewatch_test_%d_%d", time.Now().UnixNano()%1e9, databases.Add(1))
	makeDatabases(t, base, token, name)
	return name
}

func makeDatabases(t testing.TB, base, token, name string) {
	t.Helper()
	for _, suffix := range []string{"", "_5m", "_1h", "_1d", "_1mo"} {
		statement(t, base, token, fmt.Sprintf(`CREATE DATABASE "%s%s"`, name, suffix))
		t.Cleanup(func() { statement(t, base, token, fmt.Sprintf(`DROP DATABASE "%s%s"`, name, suffix)) })
	}
}

func open(t testing.TB, o influx.Options) *influx.Store {
	t.Helper()
	s, err := influx.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // again, where the test closed it
	return s
}

// conformance runs the suite of all engines. Its folders are names here, each of which becomes databases by made.
func conformance(t *testing.T, base string, made func(t *testing.T, name string), adapt func(*influx.Options)) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		var mu sync.Mutex
		known := map[string]bool{}
		return storetest.Harness{
			Open: func(dir string) (store.Store, error) {
				h := fnv.New64a()
				h.Write([]byte(dir))
				name := fmt.Sprintf("communewatch_test_%x", h.Sum64())
				mu.Lock()
				if !known[name] {
					made(t, name)
					known[name] = true
				}
				mu.Unlock()
				o := options(base, name)
				if adapt != nil {
					adapt(&o)
				}
				s, err := influx.Open(t.Context(), o)
				if err != nil {
					return nil, err
				}
				if c := s.Condition(); c.Away {
					return nil, fmt.Errorf("the database is away: %s (%s)", c.Reason, c.Fix)
				}
				return s, nil
			},
			Now:        testNow,
			LateWindow: 30 * 24 * time.Hour,
			Keep:       keep,
			NoBackup:   true,
		}
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance(t, real.URL(), func(t *testing.T, name string) { makeDatabases(t, real.URL(), "", name) }, nil)
}

// TestConformanceToTheDocuments runs the suite against what answers as 2.x and 3.x are documented to answer. It says
// nothing about real ones: TestServerAtURL does.
func TestConformanceToTheDocuments(t *testing.T) {
	for name, generation := range map[string]standin.Generation{"2.x": standin.V2, "3.x": standin.V3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := standin.New(standin.Options{Generation: generation, Backend: real.URL(), Prefix: "like_" + name[:1] + "_"})
			server := httptest.NewServer(s)
			t.Cleanup(server.Close)
			token := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(token, []byte(s.AdminToken()+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			atURL(t, server.URL, token, s.Org())
		})
	}
}

// TestServerAtURL runs the suite against the server that make test-influx names, whose token must be an administrator's.
func TestServerAtURL(t *testing.T) {
	base := os.Getenv("COMMUNEWATCH_INFLUX_URL")
	if base == "" {
		t.Skip("COMMUNEWATCH_INFLUX_URL names no server")
	}
	atURL(t, base, os.Getenv("COMMUNEWATCH_INFLUX_TOKEN_FILE"), os.Getenv("COMMUNEWATCH_INFLUX_ORG"))
}

// atURL runs the suite against a server of any generation. Its databases are made as operators make them, and dropped
// behind each case.
func atURL(t *testing.T, base, tokenFile, org string) {
	secret := ""
	if tokenFile != "" {
		var err error
		if secret, err = setup.ReadSecret(tokenFile); err != nil {
			t.Fatal(err)
		}
	}
	adapt := func(o *influx.Options) { o.TokenFile, o.Org = tokenFile, org }
	conformance(t, base, func(t *testing.T, name string) {
		o := options(base, name)
		adapt(&o)
		want := maps.Clone(keep)
		want[rollup.Raw] = 90 * 24 * time.Hour
		if _, err := setup.Setup(t.Context(), setup.Options{Config: o.Config, Keep: want, Admin: secret}); err != nil {
			t.Errorf("make databases: %v", err)
		}
		for _, level := range append(rollup.Levels(), rollup.Raw) {
			t.Cleanup(func() { drop(t, base, secret, o.DatabaseOf(level)) })
		}
	}, adapt)
}

// drop removes a database of any generation.
func drop(t *testing.T, base, token, name string) {
	send := func(method, path string, query url.Values) (*http.Response, string) {
		req, err := http.NewRequest(method, base+path+"?"+query.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Token "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp, b.String()
	}
	ping, _ := send(http.MethodGet, "/ping", nil)
	version := strings.TrimPrefix(ping.Header.Get("X-Influxdb-Version"), "v")
	var resp *http.Response
	var text string
	switch {
	case strings.HasPrefix(version, "3."):
		resp, text = send(http.MethodDelete, "/api/v3/configure/database", url.Values{"db": {name}})
	case strings.HasPrefix(version, "2."):
		_, list := send(http.MethodGet, "/api/v2/buckets", url.Values{"name": {name}})
		var doc struct{ Buckets []struct{ ID string } }
		if err := json.Unmarshal([]byte(list), &doc); err != nil || len(doc.Buckets) != 1 {
			t.Errorf("find bucket %s: %v %s", name, err, list)
			return
		}
		resp, text = send(http.MethodDelete, "/api/v2/buckets/"+doc.Buckets[0].ID, nil)
	default:
		resp, text = send(http.MethodPost, "/query", url.Values{"q": {`DROP DATABASE "` + name + `"`}})
	}
	if resp.StatusCode >= 300 || strings.Contains(text, `"error"`) {
		t.Errorf("drop %s: %d %s", name, resp.StatusCode, text)
	}
}
