package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"communewatch/collector/history"
	"communewatch/collector/registry"
	"communewatch/collector/rollup"
	"communewatch/collector/store/influxd"
	"communewatch/probes/wire"
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
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if status, answer = r.write(t, secret, batch); status != http.StatusServiceUnavailable {
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
	cfg, now := DefaultConfig(), time.Now()
	ago := func(days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }
	for _, c := range []struct {
		progress history.Progress
		want     time.Duration
	}{
		{history.Progress{}, cfg.Rollups.Daily}, // nothing was worked out: as long as there are windows
		{history.Progress{To: ago(200)}, 202 * 24 * time.Hour},
		{history.Progress{To: ago(0)}, cfg.Retention},
		{history.Progress{To: ago(-200)}, cfg.Retention}, // the clock was ahead
		{history.Progress{To: ago(0), Pending: 1, Oldest: ago(100)}, 102 * 24 * time.Hour},
	} {
		if got := retentionFor(&cfg, c.progress, now); got != c.want {
			t.Errorf("%+v: kept for %v, want %v", c.progress, got, c.want)
		}
	}
}

// After an upgrade rows that are older than the settings say go without a restart, once all are in rollups.
func TestRetentionHoldsOnceRollupsCaughtUp(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	cfg.Retention = 10 * 24 * time.Hour
	register(t, cfg, "s1")
	now := time.Now()
	c := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	var err error
	if c.reg, err = registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{}); err != nil {
		t.Fatal(err)
	}
	defer c.reg.Close()
	if c.store, err = OpenStore(t.Context(), cfg, c.o.Now, c.log); err != nil {
		t.Fatal(err)
	}
	defer c.store.Close()
	old := now.Add(-20 * 24 * time.Hour).Truncate(time.Second)
	rows, bad := wire.NewParser(wire.DefaultLimits()).Parse([]byte(goodRun("s1", old)), time.Nanosecond, 0)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if err := c.store.Append(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	c.keeper = NewKeeper(&c.cfg, c.reg, c.store, c.o.Now, c.log, nil)
	c.retain(now)
	if got := c.store.Stats().Oldest; got.After(old) {
		t.Errorf("rows that are in no rollup yet are given up: those from %v on are kept", got)
	}
	for c.keeper.Work(t.Context()) == 0 {
	}
	if p := c.keeper.Progress(); p.Failed != "" || now.Sub(p.To) > 2*time.Hour {
		t.Fatalf("%+v", p)
	}
	c.retain(now)
	if got, want := c.store.Stats().Oldest, now.Add(-cfg.Retention); got.Sub(want).Abs() > time.Minute {
		t.Errorf("rows are kept from %v on, want %v", got, want)
	}
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
