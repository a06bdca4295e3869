package collector

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/registry"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// contents is all that a store holds of the measurement icmp, as text.
func contents(t *testing.T, cfg Config) []string {
	t.Helper()
	st, err := OpenStore(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var all []string
	err = st.Select(t.Context(), store.Query{Measurement: "icmp", From: time.Unix(0, 0), To: time.Now()}, func(s store.Series) error {
		all = append(all, fmt.Sprint("rows ", s.Field, s.Tags, s.Times, s.Values, s.Texts))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range rollup.Levels() {
		err := st.Rollups(t.Context(), store.RollupQuery{Level: l, Measurement: "icmp", From: time.Unix(0, 0), To: time.Now()}, func(s store.RollupSeries) error {
			for _, w := range s.Rows {
				lost, _ := w.Field("lost")
				all = append(all, fmt.Sprint(l, s.Tags, w.Start, lost.Count, lost.Sum, lost.Min, lost.Max))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(all)
	return all
}

// docs/storage.md: make a copy with `backup` while the collector runs; to restore, put the copy in the place of data_dir.
func TestARestoredBackupHasTheSameRowsAndRollups(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	register(t, cfg, "s1")
	st, err := OpenStore(t.Context(), cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tags := probes.Tags{{Key: "agent", Value: "pc"}, {Key: "path", Value: "lan"}, {Key: "site", Value: "s1"}, {Key: "target", Value: "hub"}}
	now := time.Now().Truncate(time.Hour)
	var rows []wire.Row
	for i := range 300 {
		rows = append(rows, wire.Row{Key: []byte("icmp,agent=pc,path=lan,site=s1,target=hub"), Time: now.Add(-time.Duration(i) * 20 * time.Minute).UnixNano(),
			Fields: []wire.Field{{Key: []byte("lost"), Type: probes.TypeInt, Num: float64(i % 3)}, {Key: []byte("sent"), Type: probes.TypeInt, Num: 5}}})
	}
	if err := st.Append(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	for _, l := range rollup.Levels() { // of times whose rows are gone long since
		var old []rollup.Row
		for i, at := 0, l.Start(now.AddDate(0, -8, 0), cfg.Location()); i < 4; i, at = i+1, l.Next(at, cfg.Location()) {
			old = append(old, rollup.Row{Measurement: "icmp", Tags: tags, Start: at.UnixMilli(),
				Fields: []rollup.Field{{Key: "lost", Value: rollup.Aggregate{Count: 60, Sum: float64(i + 1), Max: 1}}}})
		}
		if err := st.PutRollups(t.Context(), l, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	want := contents(t, cfg)
	if len(want) != 2+4*4 {
		t.Fatalf("there are %d things to copy: %q", len(want), want)
	}

	r := run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	copied := filepath.Join(dir, "copy")
	if err := Backup(t.Context(), cfg, copied); err != nil {
		t.Fatal(err)
	}
	r.stop()

	// A disaster, and the copy put in the place of data_dir.
	if err := os.RemoveAll(cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied, cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	got := contents(t, cfg)
	for _, w := range want {
		if !slices.Contains(got, w) { // there may be more: the collector works hours out as it goes
			t.Errorf("the copy lacks %.200s", w)
		}
	}
	again := run(t, cfg, &http.Client{Timeout: 10 * time.Second})
	again.stop()
}

// With store: influx the registry is copied, and what to do about the rest is said.
func TestBackupBesideAnInfluxDB(t *testing.T) {
	dir := t.TempDir()
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	cfg, err := ParseConfig(filepath.Join(dir, "collector.yaml"), []byte("data_dir: data\nstore: influx\ninflux: {url: '"+away.URL+"'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	register(t, cfg, "s1")
	copied := filepath.Join(dir, "copy")
	if err := Backup(t.Context(), cfg, copied); err != nil { // while the database is away, too
		t.Fatal(err)
	}
	want, got := contentsOfRegistry(t, cfg), contentsOfRegistry(t, Config{DataDir: copied})
	if len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("copied %q of %q", got, want)
	}
	if left := NotInBackup(cfg, copied); !strings.Contains(left, "influxd backup -portable -host 127.0.0.1:8088 "+copied+"/influx") {
		t.Error(left)
	}
	cfg.Influx.Org = "tinh"
	if left := NotInBackup(cfg, copied); strings.Count(left, "influx backup --host") != 5 {
		t.Error(left)
	}
	own := testConfig(t, dir)
	if left := NotInBackup(own, copied); strings.Contains(left, "influx") || !strings.Contains(left, own.AuthorityDir()) {
		t.Errorf("of a collector with its own store: %s", left)
	}
}

// contentsOfRegistry is the ids of its sites.
func contentsOfRegistry(t *testing.T, cfg Config) []string {
	t.Helper()
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	sites, err := reg.Sites(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range sites {
		ids = append(ids, s.ID)
	}
	return ids
}
