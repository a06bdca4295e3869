package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/collector/registry"
	"communewatch/collector/rollup"
	"communewatch/collector/rollup/due"
	"communewatch/collector/store/influxd"
)

// condition is a part of /api/v1/status.
type condition struct {
	Store struct {
		Engine   string
		Away     bool
		Replayed bool
	}
}

func (r running) condition(t *testing.T) (c condition) {
	t.Helper()
	resp, err := r.client.Get(r.url + "/api/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	return c
}

// A collector whose database is not there starts, serves its screens and says so, and takes nothing in. Once the database
// answers it reads the past and takes what agents kept.
func TestACollectorStartsBeforeItsDatabase(t *testing.T) {
	server, err := influxd.New(influxd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, t.TempDir())
	cfg.Store, cfg.Influx.URL, cfg.Influx.Timeout = StoreInflux, server.URL(), 5*time.Second
	secret := register(t, cfg, "s1")
	client := &http.Client{}
	r := run(t, cfg, client)
	batch := goodRun("s1", time.Now())
	if status, answer := r.write(t, secret, batch); status != http.StatusServiceUnavailable {
		t.Fatalf("without a database a batch is answered with %d %s", status, answer)
	}
	if got := r.state(t); got != "no_data" {
		t.Errorf("the site is %s", got)
	}
	if c := r.condition(t); c.Store.Engine != "influx" || c.Store.Replayed {
		t.Errorf("%+v", c)
	}
	if err := server.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	for _, level := range append([]rollup.Level{rollup.Raw}, rollup.Levels()...) {
		resp, err := http.PostForm(server.URL()+"/query", url.Values{"q": {fmt.Sprintf("CREATE DATABASE %q", cfg.Influx.DatabaseOf(level))}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	var status int
	var answer string
	for range time.Tick(100 * time.Millisecond) {
		if status, answer = r.write(t, secret, batch); status != http.StatusServiceUnavailable || t.Context().Err() != nil {
			break
		}
	}
	if status != http.StatusNoContent {
		t.Fatalf("with its database a batch is answered with %d %s", status, answer)
	}
	if c := r.condition(t); c.Store.Away || !c.Store.Replayed {
		t.Errorf("%+v", c)
	}
	r.await(t, "ok")
	r.stop()
	http.DefaultClient.CloseIdleConnections()
}

// Rows that no rollup rests on yet are kept, however short the retention of the settings has become.
func TestRowsAreKeptUntilTheyWereWorkedOut(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.Context(), filepath.Join(cfg.DataDir, "registry.db"), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	marks, now := reg.Rollups().Of(cfg.StoreName()), time.Now()
	keeps := func(want time.Duration) {
		t.Helper()
		got, err := retentionFor(t.Context(), cfg, marks, now)
		if err != nil || (got-want).Abs() > time.Second {
			t.Errorf("kept for %v, %v; want %v", got, err, want)
		}
	}
	keeps(cfg.Rollups.Daily) // nothing was worked out: as long as there are windows
	if err := marks.SetFrontier(t.Context(), now.Add(-200*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	keeps(202 * 24 * time.Hour)
	if err := marks.SetFrontier(t.Context(), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	keeps(cfg.Retention)
	if err := marks.Mark(t.Context(), []due.Hour{{Site: "s1", Start: now.Add(-100 * 24 * time.Hour).UnixMilli(), Generation: 1}}); err != nil {
		t.Fatal(err)
	}
	keeps(102 * 24 * time.Hour)
}

// Another database is another store, whose rollups begin anew.
func TestTheStoresNameTellsDatabasesApart(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	seen := map[string]bool{cfg.StoreName(): true}
	cfg.Store = StoreInflux
	for _, at := range []string{"http://127.0.0.1:8086", "http://127.0.0.1:8087"} {
		for _, name := range []string{"communewatch", "other"} {
			cfg.Influx.URL, cfg.Influx.Database = at, name
			if seen[cfg.StoreName()] {
				t.Errorf("%s is not the first of its name", cfg.StoreName())
			}
			seen[cfg.StoreName()] = true
		}
	}
	if strings.Contains(cfg.StoreName(), "\n") {
		t.Error("a name is one line")
	}
}
