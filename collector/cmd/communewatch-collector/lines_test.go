package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/collector/reports"
)

const contracts = `Mã đơn vị;Loại đường truyền;Nhà cung cấp;Tốc độ (Mbps);Từ ngày
s1;Internet cáp quang;VNPT;300/150;01/01/2026
08710;TSLCD;Viettel;50;01/01/2026
`

func TestLinesAreImportedListedAndWithdrawn(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	file := write(t, dir, "lines.csv", contracts)
	out, _ := must(t, "lines", "import", file, "--by=Lan", "--dry-run", config)
	contains(t, "stdout", out, "2 would be added", "s1 broadband from 2026-01-01: VNPT")
	if out, errs := must(t, "lines", "list", config); out != "" || !strings.Contains(errs, "no contracts of lines yet") {
		t.Errorf("a dry run wrote: %q %q", out, errs)
	}
	must(t, "lines", "import", file, "--by=Lan", config)
	out, _ = must(t, "lines", "import", file, "--by=Lan", config)
	contains(t, "stdout", out, "0 added, 0 changed, 2 unchanged")
	out, _ = must(t, "lines", "import", write(t, dir, "new.csv", strings.Replace(contracts, "VNPT", "FPT", 1)), "--by=Minh", config)
	contains(t, "stdout", out, "0 added, 1 changed, 1 unchanged")
	out, _ = must(t, "lines", "list", config)
	contains(t, "list", out, "FPT", "Viettel")
	if strings.Contains(out, "VNPT") {
		t.Error("what was replaced is in force:", out)
	}
	out, _ = must(t, "lines", "list", "--all", config)
	contains(t, "list --all", out, "VNPT", "Minh")
	out, _ = must(t, "lines", "withdraw", "--site=s2", "--layer=dedicated", "--from=01/01/2026", "--by=Lan", config)
	contains(t, "stdout", out, "s2: the contract of the dedicated line from 2026-01-01 is withdrawn")
	var left []map[string]any
	out, _ = must(t, "lines", "list", "--json", config)
	if err := json.Unmarshal([]byte(out), &left); err != nil || len(left) != 1 || left[0]["provider"] != "FPT" || left[0]["down_mbps"] != 300.0 || left[0]["withdrawn"] != nil {
		t.Error(err, out)
	}
}

func TestMistakesOfLinesAndReports(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	bad := write(t, dir, "bad.csv", "Mã đơn vị;Loại đường truyền;Nhà cung cấp;Tốc độ\ns9;Internet;VNPT;300\ns1;cáp;;nhanh\n")
	for _, c := range []struct {
		name   string
		args   []string
		stderr []string
	}{
		{"every mistake of a list", []string{"lines", "import", bad, "--by=Lan", config}, []string{`bad.csv: row 2, column Mã đơn vị: "s9"`, `row 3, column Loại đường truyền: "cáp"`, "column Nhà cung cấp: is empty", `"nhanh" is not a speed`}},
		{"nobody", []string{"lines", "import", bad, config}, []string{"--by NAME"}},
		{"no list", []string{"lines", "import", "--by=Lan", config}, []string{"lines import FILE"}},
		{"nothing to withdraw", []string{"lines", "withdraw", "--site=s1", "--layer=broadband", "--by=Lan", config}, []string{"no such contract"}},
		{"no layer", []string{"lines", "withdraw", "--site=s1", "--by=Lan", config}, []string{"--layer"}},
		{"no period", []string{"report", "--period=2026-13", config}, []string{"2026-Q3"}},
		{"two periods", []string{"report", "--period=2026", "--from=2026-01-01", config}, []string{"either --period"}},
		{"a period that has not begun", []string{"report", "--period=2099-01", config}, []string{"not begun"}},
		{"days that have not begun", []string{"report", "--from=01/02/2099", "--to=28/02/2099", config}, []string{"not begun"}},
		{"no such site", []string{"report", "--period=2026-01", "--site=s9", config}, []string{`--site: there is no site "s9"`}},
		{"no such provider", []string{"report", "--period=2026-01", "--provider=VNTP", config}, []string{`--provider: there is no provider "VNTP"`}},
		{"no hours", []string{"report", "--hours=night", config}, []string{`"night" is not office, other or all`}},
		{"no such layer", []string{"report", "--layer=wan", config}, []string{`"wan" is not lan`}},
		{"no format", []string{"report", "--format=pdf", config}, []string{`"pdf" is not text, csv, xlsx or json`}},
		{"a workbook for a terminal", []string{"report", "--format=xlsx", config}, []string{"--output FILE"}},
		{"no language", []string{"report", "--lang=fr", config}, []string{`"fr"`}},
		{"bad profiles", []string{"report", "--config", write(t, dir, "p.yaml", "data_dir: data\nreports: {profiles: bad.csv}\n")}, []string{"p.yaml:2: reports.profiles: ", "bad.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errs := run(t, c.args...)
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			contains(t, "stderr", errs, c.stderr...)
		})
	}
}

// A report is made by the collector that runs, and from the stores where none does.
func TestReportBesideACollectorAndAlone(t *testing.T) {
	dir, config := setup(t)
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log safeBuffer
	ended := make(chan int, 1)
	go func() { ended <- execute(ctx, []string{"serve", config}, &log, &log) }()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "collector started"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("does not start:", log.String())
		}
	}
	report := func() {
		t.Helper()
		out, _ := must(t, "report", "--period=2026-01", "--format=json", config)
		var r reports.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil || r.Period.Kind != reports.Month || r.Hours != reports.Office || r.Lines == nil {
			t.Error(err, out)
		}
		out, _ = must(t, "report", "--period=2026-Q1", config)
		contains(t, "text", out, "quý I", "Nhà cung cấp")
		file := filepath.Join(dir, "r.xlsx")
		must(t, "report", "--period=2026", "--format=xlsx", "--output="+file, config)
		if data, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(data), "PK") {
			t.Errorf("no workbook: %v", err)
		}
		out, _ = must(t, "report", "--period=2026-01", "--format=csv", "--lang=en", config)
		contains(t, "CSV", out, "Provider")
	}
	report()
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d\n%s", code, log.String())
	}
	report()
}
