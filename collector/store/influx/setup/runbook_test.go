package setup_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influxd"
)

const (
	runbook       = "../../../../docs/storage.md"
	runbookServer = "127.0.0.1:8088" // what commands of the runbook name
	runbookFolder = "/var/backups/communewatch/2026-11-23/influx"
)

// fromRunbook returns the commands below a mark of docs/storage.md.
func fromRunbook(t *testing.T, mark string) string {
	t.Helper()
	text, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`<!-- tried: ` + mark + ` -->\n\n((?:    .+\n)+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s has no commands marked as %q", runbook, mark)
	}
	return string(m[1])
}

var rpcAddress = regexp.MustCompile(`(?m)^bind-address = "([^"]+)"`)

// runCommands runs what the runbook says, with this server and folder in the place of the runbook's.
func runCommands(t *testing.T, commands string, s *influxd.Server, folder string) {
	t.Helper()
	conf, err := os.ReadFile(filepath.Join(s.Dir(), "influxdb.conf"))
	if err != nil {
		t.Fatal(err)
	}
	rpc := rpcAddress.FindSubmatch(conf) // the first is that of backups, before any section
	program, err := influxd.Build()
	if err != nil || rpc == nil {
		t.Fatal("where backups are asked for is not known:", err)
	}
	for _, want := range []string{runbookServer, runbookFolder} {
		if !strings.Contains(commands, want) {
			t.Fatalf("%q does not name %s", commands, want)
		}
	}
	cmd := exec.Command("sh", "-e", "-c", strings.NewReplacer(runbookServer, string(rpc[1]), runbookFolder, folder).Replace(commands))
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
}

// dump is all that the databases of a province hold.
func dump(t *testing.T, url string, c influx.Config) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, l := range append(rollup.Levels(), rollup.Raw) {
		db := c.DatabaseOf(l)
		all[db] = influxql(t, url, "", db, "SELECT * FROM icmp GROUP BY *") + influxql(t, url, "", "", "SHOW RETENTION POLICIES ON "+db)
	}
	return all
}

func TestWhatTheRunbookCopiesIsRestored(t *testing.T) {
	first, err := influxd.New(influxd.Options{Dir: filepath.Join(t.TempDir(), "first")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Kill)
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := options(t, first.URL())
	mustSetup(t, o)
	now := time.Now().Truncate(time.Hour)
	var rows, windows strings.Builder
	for site := range 20 {
		for i := range 60 { // over several shards
			fmt.Fprintf(&rows, "icmp,site=s%d,path=lan lost=%d,error=\"hết giờ\" %d\n", site, i%4, now.Add(-time.Duration(i)*6*time.Hour).UnixMilli())
		}
		fmt.Fprintf(&windows, "icmp,site=s%d,path=lan lost_sum=%d,lost_count=60,rtt_p95_seconds_sketch=\"1:2\" %d\n", site, site, now.AddDate(0, -3, 0).UnixMilli())
	}
	for _, l := range append(rollup.Levels(), rollup.Raw) {
		lines := windows.String()
		if l == rollup.Raw {
			lines = rows.String()
		}
		if got := write(t, first.URL(), "", o.Config.DatabaseOf(l), lines); !strings.HasPrefix(got, "204") {
			t.Fatal(got)
		}
	}
	want := dump(t, first.URL(), o.Config)
	folder := filepath.Join(t.TempDir(), "a folder", "influx")
	runCommands(t, strings.ReplaceAll(fromRunbook(t, "backup"), runbookFolder, "'"+runbookFolder+"'"), first, folder)
	first.Stop()

	second, err := influxd.New(influxd.Options{Dir: filepath.Join(t.TempDir(), "second")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Kill)
	if err := second.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	runCommands(t, strings.ReplaceAll(fromRunbook(t, "restore"), runbookFolder, "'"+runbookFolder+"'"), second, folder)
	// The command ends while the server still opens the shards: until it has,
	// a question is refused, or answered without what they hold.
	restored := dump(t, second.URL(), o.Config)
	for end := time.Now().Add(time.Minute); !maps.Equal(restored, want) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		restored = dump(t, second.URL(), o.Config)
	}
	for db, got := range restored {
		if got != want[db] {
			t.Errorf("%s differs: %.500s, want %.500s", db, got, want[db])
		}
		if strings.Count(got, "Z\"") < 20 {
			t.Errorf("%s held nothing to compare: %.300s", db, got)
		}
	}
	o.Config.URL = second.URL()
	if v := setup.Check(t.Context(), o); v.Wrong() {
		t.Errorf("%+v", v.Findings)
	}
	if r := mustSetup(t, o); r.Changed() || r.Differs() {
		t.Errorf("%+v", r.Steps)
	}
}

// What `backup` prints is what the runbook says.
func TestBackupCommands(t *testing.T) {
	c := influx.DefaultConfig()
	if got := setup.BackupCommands(c, runbookFolder); len(got) != 1 || got[0] != strings.TrimSpace(fromRunbook(t, "backup")) {
		t.Errorf("%q", got)
	}
	c.Org, c.URL = "tỉnh's", "http://[::1]:8086"
	got := setup.BackupCommands(c, "/a b")
	if want := `influx backup --host 'http://[::1]:8086' --org 'tỉnh'\''s' --bucket communewatch_1mo '/a b/communewatch_1mo'`; len(got) != 5 || got[4] != want {
		t.Errorf("%q, want %q", got, want)
	}
	text, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	c.Org, c.URL = "tinh", "http://127.0.0.1:8086"
	if got := setup.BackupCommands(c, runbookFolder)[0]; !strings.Contains(strings.Join(strings.Fields(string(text)), " "), got) {
		t.Errorf("%s does not say %q", runbook, got)
	}
}
