package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// must runs a command that has to succeed.
func must(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	code, out, errs := run(t, args...)
	if code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out, errs
}

// setup makes a folder with settings, and returns it with the flag that names them.
func setup(t *testing.T) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, "collector.yaml", "listen: 127.0.0.1:0\ntls: {mode: off}\npeople: {anonymous: admin}\ndata_dir: data\n")
	return dir, "--config=" + filepath.Join(dir, "collector.yaml")
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

const list = `id,code,name,type,district,district_code,lat,lon,valid_from
s1,08707,Tích Sơn,phường,Vĩnh Yên,243,21.3067,105.5856,
s2,08710,Liên Bảo,phường,Vĩnh Yên,243,,,2020-01-01
`

func TestMistakesOfTheCommandLine(t *testing.T) {
	dir, config := setup(t)
	bad := write(t, dir, "bad.yaml", "lisen: :8080\nlanguage: fr\n")
	for _, c := range []struct {
		name   string
		args   []string
		stderr []string
	}{
		{"no such command", []string{"fly"}, []string{`unknown command "fly"`}},
		{"no such command of a group", []string{"sites", "fly"}, []string{`unknown command "fly"`}},
		{"no such flag", []string{"serve", "--fast"}, []string{"unknown flag: --fast"}},
		{"no settings", []string{"check-config", "--config", "/no/such/file"}, []string{"/no/such/file", "--config FILE"}},
		{"bad settings", []string{"serve", "--config", bad}, []string{bad + `:1: lisen: unknown key; did you mean "listen"?`, bad + ":2: language: "}},
		{"import of nothing", []string{"sites", "import", config}, []string{"give the list to import", "sites import FILE"}},
		{"import of a missing file", []string{"sites", "import", "/no/such.csv", config}, []string{"/no/such.csv", "no such file"}},
		{"token for nobody", []string{"token", "create", config}, []string{"--site ID", "--writer"}},
		{"token for an unknown site", []string{"token", "create", "--site", "s9", config}, []string{"s9 is not in the registry", "sites import"}},
		{"writer with an agent", []string{"token", "create", "--writer", "--agent", "pc", config}, []string{"leave out --writer"}},
		{"operator of a site", []string{"token", "create", "--kind", "operator", "--site", "s1", config}, []string{"an operator belongs to no site"}},
		{"token of no kind", []string{"token", "create", "--kind", "king", config}, []string{`"king"`, "operator"}},
		{"bad agent", []string{"token", "create", "--site", "s1", "--agent", "P C", config}, []string{"agent", `"P C"`}},
		{"revoke what is not there", []string{"token", "revoke", "nosuch", config}, []string{`"nosuch"`, "token list"}},
		{"revoke nothing", []string{"token", "revoke", config}, []string{"give the token's id"}},
		{"backup to nowhere", []string{"backup", config}, []string{"give the folder"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(t, c.args...)
			if code != 1 || out != "" {
				t.Errorf("exit code %d, want 1; printed %q", code, out)
			}
			contains(t, "stderr", errs, c.stderr...)
		})
	}
}

func TestCheckConfigAndVersion(t *testing.T) {
	dir, config := setup(t)
	out, errs := must(t, "check-config", config)
	contains(t, "stdout", out, "collector.yaml is valid", "plain HTTP on 127.0.0.1:0", filepath.Join(dir, "data"))
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil || errs != "" {
		t.Error("looking at the settings made the data folder, or said:", errs)
	}
	if out, _ := must(t, "version"); !strings.HasPrefix(out, "communewatch-collector ") {
		t.Error(out)
	}
}

// Examples are what people copy first.
func TestShippedExamplesAreValid(t *testing.T) {
	files, err := filepath.Glob("../../../deploy/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples:", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		switch {
		case strings.HasPrefix(name, "collector"):
			must(t, "check-config", "--config", file)
		case strings.HasPrefix(name, "line-profiles"):
			profiles, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			must(t, "check-config", "--config", write(t, t.TempDir(), "collector.yaml", "reports: {profiles: "+profiles+"}\n"))
		case !strings.HasPrefix(name, "agent"): // package agent tests those
			t.Errorf("%s: no test loads it", file)
		}
	}
}

func TestImportAndList(t *testing.T) {
	dir, config := setup(t)
	file := write(t, dir, "sites.csv", list)

	out, errs := must(t, "sites", "import", file, "--dry-run", config)
	contains(t, "dry run", out, "2 would be added, 0 would be changed, 0 unchanged", "added    s1 phường Tích Sơn (Vĩnh Yên)\n")
	if errs != "" {
		t.Error("stderr:", errs)
	}
	if out, errs := must(t, "sites", "list", config); out != "" || !strings.Contains(errs, "no sites yet") {
		t.Errorf("after a dry run: %q %q", out, errs)
	}
	if out, _ := must(t, "sites", "list", "--json", config); out != "[]\n" {
		t.Errorf("an empty list is %q", out)
	}

	out, _ = must(t, "sites", "import", file, config)
	contains(t, "import", out, "2 added, 0 changed, 0 unchanged", "s2 phường Liên Bảo (Vĩnh Yên) from 2020-01-01")
	out, _ = must(t, "sites", "list", config)
	contains(t, "list", out, "DISTRICT", "Tích Sơn", "21.3067 105.5856", "2020-01-01")

	out, _ = must(t, "sites", "list", "--json", config)
	var got []map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != 2 {
		t.Fatal(err, out)
	}
	for i, want := range []map[string]any{
		{"id": "s1", "name": "Tích Sơn", "type": "phường", "code": "08707", "parent": "Vĩnh Yên", "parent_code": "243", "lat": 21.3067, "lon": 105.5856, "valid_from": nil},
		{"id": "s2", "name": "Liên Bảo", "type": "phường", "code": "08710", "parent": "Vĩnh Yên", "parent_code": "243", "lat": nil, "lon": nil, "valid_from": "2020-01-01"},
	} {
		if len(got[i]) != len(want) {
			t.Errorf("keys of %v", got[i])
		}
		for k, v := range want {
			if have, there := got[i][k]; !there || have != v {
				t.Errorf("%s of %s is %v, want %v", k, want["id"], have, v)
			}
		}
	}

	// A shorter list with a change and something worth a warning.
	file = write(t, dir, "next.csv", "id,code,name,type,district,district_code,lat,lon,remark\ns1,08707,Tích Sơn,xã,Vĩnh Yên,243,21.31,105.59,moved\n")
	out, errs = must(t, "sites", "import", file, config)
	contains(t, "import", out, "0 added, 1 changed, 0 unchanged",
		"changed  s1 phường Tích Sơn (Vĩnh Yên): type phường -> xã, position 21.3067 105.5856 -> 21.31 105.59\n",
		"1 known sites are not in the list; they stay", "not in the list  s2 ")
	contains(t, "stderr", errs, `warning: next.csv: row 1: columns not read: "remark"`)
}

// A long list is summed up without naming all of it.
func TestLongImport(t *testing.T) {
	dir, config := setup(t)
	text := "id,name\n"
	for _, a := range "abcde" {
		for _, b := range "abcde" {
			text += "s" + string(a) + string(b) + ",Site\n"
		}
	}
	out, _ := must(t, "sites", "import", write(t, dir, "long.csv", text), config)
	if !strings.HasSuffix(out, ": 25 added, 0 changed, 0 unchanged\n") {
		t.Error(out)
	}
}

func TestBadListIsPrintedWhole(t *testing.T) {
	dir, config := setup(t)
	file := write(t, dir, "bad.csv", `id,code,name,lat,lon,valid_from
S 1,08707,Tích Sơn,21.3,105.5,
s2,08710,,21.3,105.5,
s3,08713,Ngô Quyền,105.5,21.3,
s4,08714,Ngã ba,21.3,abc,
s2,08715,Liên Bảo,21.3,105.5,2025-13-01
s6,08710,Paris,48.8,2.3,
`)
	code, out, errs := run(t, "sites", "import", file, config)
	if code != 1 || out != "" {
		t.Errorf("exit code %d, printed %q", code, out)
	}
	contains(t, "stderr", errs, "bad.csv: row 2, column id: ", "row 3, column name: ", "row 4, column lat: ", "swapped?",
		"row 5, column lon: ", "row 6, column valid_from: ", "row 7, column code: ", "row 7, column lat: ", "allow places anywhere (--anywhere)")
	if out, _ := must(t, "sites", "list", "--json", config); out != "[]\n" {
		t.Error("some of a bad list was imported:", out)
	}

	abroad := write(t, dir, "abroad.csv", "id,code,name,lat,lon\ns1,1,Paris,48.8,2.3\ns2,1,Paris 2,48.9,2.3\n")
	code, _, errs = run(t, "sites", "import", abroad, config)
	if contains(t, "stderr", errs, "outside Vietnam", "is the code of"); code != 1 {
		t.Error("was imported")
	}
	out, _ = must(t, "sites", "import", abroad, "--anywhere", "--shared-codes", config)
	contains(t, "stdout", out, "2 added")
}

func TestTokenLife(t *testing.T) {
	dir, config := setup(t)
	if out, errs := must(t, "token", "list", config); out != "" || !strings.Contains(errs, "no tokens yet") {
		t.Errorf("%q %q", out, errs)
	}
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)

	secret, errs := must(t, "token", "create", "--site", "s1", "--agent", "pc", "--note", "máy ở văn phòng", config)
	if !strings.HasPrefix(secret, "cw1_") || strings.Count(secret, "\n") != 1 {
		t.Errorf("stdout must hold the secret alone: %q", secret)
	}
	id := strings.Split(secret, "_")[1]
	contains(t, "stderr", errs, id, "only time it is shown")
	writer, _ := must(t, "token", "create", "--writer", config)
	must(t, "token", "create", "--writer", "--site", "s2", config)

	out, _ := must(t, "token", "list", config)
	contains(t, "list", out, "LAST USED", id, "máy ở văn phòng", "writer")
	if text := strings.Split(secret, "_")[2]; strings.Contains(out, strings.TrimSpace(text)) {
		t.Error("the list shows the secret")
	}
	if out, _ := must(t, "token", "revoke", id, config); out != "revoked "+id+"\n" {
		t.Error(out)
	}

	out, _ = must(t, "token", "list", "--json", config)
	var got []struct {
		ID, Kind, Site, Agent, Note string
		Created                     time.Time
		LastUsed                    *time.Time `json:"last_used"`
		Revoked                     *time.Time
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != 3 {
		t.Fatal(err, out)
	}
	for _, tok := range got {
		switch {
		case tok.ID == id:
			if tok.Kind != "agent" || tok.Site != "s1" || tok.Agent != "pc" || tok.Note != "máy ở văn phòng" || tok.Revoked == nil || tok.LastUsed != nil || time.Since(tok.Created).Abs() > time.Minute {
				t.Errorf("%+v", tok)
			}
		case strings.Contains(writer, tok.ID):
			if tok.Kind != "writer" || tok.Site != "" || tok.Revoked != nil {
				t.Errorf("%+v", tok)
			}
		}
	}
}

// safeBuffer is written by the collector while the test reads it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// The other commands work beside a running collector, and a backup can be put in the place of the data.
func TestServeAndBackup(t *testing.T) {
	dir, config := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log safeBuffer
	ended := make(chan int, 1)
	go func() { ended <- execute(ctx, []string{"serve", config}, &log, &log) }()
	open := func() bool {
		_, err := os.Stat(filepath.Join(dir, "data", "collector.sock"))
		return err == nil && strings.Contains(log.String(), "collector started")
	}
	for deadline := time.Now().Add(20 * time.Second); !open(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("does not start:", log.String())
		}
	}
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	must(t, "token", "create", "--site", "s1", config)
	running, stopped := filepath.Join(dir, "b1"), filepath.Join(dir, "b2")
	out, _ := must(t, "backup", running, config)
	contains(t, "stdout", out, "backup complete in "+running)
	code, _, errs := run(t, "backup", running, config)
	if contains(t, "stderr", errs, "not empty", "new folder"); code != 1 {
		t.Error("a backup was overwritten")
	}
	stop()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("exit code %d\n%s", code, log.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("does not stop:", log.String())
	}
	must(t, "backup", stopped, config)
	for _, b := range []string{running, stopped} {
		restored := "--config=" + write(t, dir, filepath.Base(b)+".yaml", "data_dir: "+b+"\n")
		if out, _ := must(t, "sites", "list", restored); !strings.Contains(out, "Tích Sơn") {
			t.Errorf("%s lacks the sites: %s", b, out)
		}
		if _, err := os.Stat(filepath.Join(b, "tsdb")); err != nil {
			t.Error(err)
		}
	}
}
