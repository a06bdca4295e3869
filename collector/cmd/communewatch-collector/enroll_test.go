package main

import (
	"encoding/csv"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/probes/enroll"
)

// enrolling makes a collector's folder with sites s1 and s2 whose agents find it at an address.
func enrolling(t *testing.T) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, "collector.yaml", "listen: 127.0.0.1:0\ndata_dir: data\nagents_url: [https://collector.example:8787]\ntitle: Tỉnh thử\n")
	config = "--config=" + filepath.Join(dir, "collector.yaml")
	must(t, "sites", "import", write(t, dir, "sites.csv", list), config)
	return dir, config
}

// join asks for an agent's certificate with a code, as the agents' door does.
func join(t *testing.T, dir, code, agent string) error {
	t.Helper()
	reg, err := registry.Open(t.Context(), filepath.Join(dir, "data", "registry.db"), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	parsed, err := enroll.ParseCode(code)
	if err != nil {
		t.Fatal(err)
	}
	_, err = reg.Agents().Ask(t.Context(), agents.Asking{Secret: parsed.Secret, Key: [32]byte{1}, Agent: agent, Machine: enroll.Machine{Host: "van-phong-1"}})
	return err
}

func TestEnrollCommands(t *testing.T) {
	dir, config := enrolling(t)
	code, beside := must(t, "enroll", "create", "--site", "s1", "--approve", "--note", "PC mới", config)
	code = strings.TrimSpace(code)
	if _, err := enroll.ParseCode(code); err != nil {
		t.Fatalf("%q: %v", code, err)
	}
	contains(t, "what is beside the code", beside, "sudo communewatch-agent enroll "+code, "install.ps1", "agents approve s1")

	listed, _ := must(t, "enroll", "list", config)
	contains(t, "enroll list", listed, "open", "s1", "PC mới")
	if strings.Contains(listed, code[4:]) {
		t.Error("the list has the secret")
	}
	if err := join(t, dir, code, "main"); err != nil {
		t.Fatal(err)
	}
	listed, _ = must(t, "agents", "list", config)
	contains(t, "agents list", listed, "main", "pending", "van-phong-1")
	must(t, "agents", "approve", "s1", "main", config)
	listed, _ = must(t, "agents", "list", config)
	contains(t, "agents list", listed, "active", "not come for the certificate")
	must(t, "agents", "revoke", "s1", "main", "--why", "stolen", config)
	out, _ := must(t, "agents", "list", "--json", config)
	var all []struct{ Site, Agent, State, Why, By string }
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 || all[0].State != "revoked" || all[0].Why != "stolen" || all[0].By == "" {
		t.Errorf("%s %v", out, err)
	}
	listed, _ = must(t, "enroll", "list", "--all", config)
	contains(t, "enroll list --all", listed, "used", "main")

	code, _ = must(t, "enroll", "create", "--site", "s2", config)
	out, _ = must(t, "enroll", "list", "--json", config)
	var codes []struct{ ID, State, Site string }
	if err := json.Unmarshal([]byte(out), &codes); err != nil || len(codes) != 1 || codes[0].Site != "s2" {
		t.Fatalf("%s %v", out, err)
	}
	must(t, "enroll", "cancel", codes[0].ID, config)
	if err := join(t, dir, code, "main"); err == nil {
		t.Error("a cancelled code was taken")
	}
}

func TestCodesForManySites(t *testing.T) {
	dir, config := enrolling(t)
	sheet := filepath.Join(dir, "sheet.html")
	out, _ := must(t, "enroll", "create", "--all", "--sheet", sheet, config)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][0] != "s1" || rows[2][0] != "s2" {
		t.Fatal(rows, err)
	}
	page, err := os.ReadFile(sheet)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "the sheet", string(page), "phường Tích Sơn (Vĩnh Yên)", "Tỉnh thử", rows[1][2], rows[2][2], "https://collector.example:8787")
	if info, err := os.Stat(sheet); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("others can read the sheet:", info.Mode(), err)
	}
	codes := write(t, dir, "some.csv", "id,name\n# not this one: s2\ns1,Tích Sơn\n")
	out, _ = must(t, "enroll", "create", "--sites-file", codes, config)
	if rows, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil || len(rows) != 2 || rows[1][0] != "s1" {
		t.Error(rows, err)
	}
}

func TestMistakesWithCodesAndAgents(t *testing.T) {
	dir, config := enrolling(t)
	there := write(t, dir, "there.html", "")
	bad := write(t, dir, "bad.csv", "s1\ns9\n<script>\n")
	off := t.TempDir()
	write(t, off, "collector.yaml", "listen: 127.0.0.1:0\ndata_dir: "+filepath.Join(dir, "data")+"\ntls: {mode: off}\n")
	for _, c := range []struct {
		name   string
		args   []string
		stderr []string
	}{
		{"no site", []string{"enroll", "create", config}, []string{"--site ID", "--all"}},
		{"two ways at once", []string{"enroll", "create", "--site", "s1", "--all", config}, []string{"one of them"}},
		{"unknown sites", []string{"enroll", "create", "--sites-file", bad, config}, []string{`"s9"`, `"<script>"`, "sites list"}},
		{"too long", []string{"enroll", "create", "--site", "s1", "--valid", "1000h", config}, []string{"30 days"}},
		{"a sheet that is there", []string{"enroll", "create", "--site", "s1", "--sheet", there, config}, []string{"--sheet", "exists"}},
		{"no such code", []string{"enroll", "cancel", "nope", config}, []string{"no such join code", "enroll list"}},
		{"no such agent", []string{"agents", "revoke", "s1", "main", config}, []string{"no such agent", "agents list"}},
		{"an agent without its site", []string{"agents", "approve", "main", config}, []string{"SITE AGENT"}},
		{"nothing announced", []string{"authority", "switch", config}, []string{"none is announced"}},
		{"no TLS", []string{"enroll", "create", "--site", "s1", "--config", filepath.Join(off, "collector.yaml")}, []string{"tls.mode is off"}},
	} {
		code, _, stderr := run(t, c.args...)
		if code != 1 {
			t.Errorf("%s: exit code %d", c.name, code)
		}
		contains(t, c.name, stderr, c.stderr...)
	}
	if out, _ := must(t, "enroll", "list", "--all", "--json", config); strings.TrimSpace(out) != "[]" {
		t.Error("mistakes made codes:", out)
	}
}

func TestTheAuthorityChangesInSteps(t *testing.T) {
	_, config := enrolling(t)
	before, _ := must(t, "authority", "show", config)
	must(t, "authority", "announce", config)
	shown, _ := must(t, "authority", "show", config)
	contains(t, "authority show", shown, "current", "next")
	must(t, "authority", "switch", config)
	must(t, "authority", "retire", config)
	after, _ := must(t, "authority", "show", config)
	fleet := func(s string) string { first, _, _ := strings.Cut(s, "\n"); return first }
	if fleet(before) != fleet(after) || before == after || strings.Contains(after, "former") {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestAWritersTokenIsScoped(t *testing.T) {
	_, config := enrolling(t)
	must(t, "token", "create", "--kind", "writer", "--site", "s1", "--site", "s2", "--measurement", "cpu", "--measurement", "disk*", config)
	out, _ := must(t, "token", "list", config)
	contains(t, "token list", out, "s1,s2", "cpu,disk*")
	out, _ = must(t, "token", "list", "--json", config)
	contains(t, "token list --json", out, `"measurements": [`, `"disk*"`)
	for _, args := range [][]string{
		{"token", "create", "--site", "s1", "--site", "s2", config},
		{"token", "create", "--site", "s1", "--measurement", "cpu", config},
		{"token", "create", "--writer", "--measurement", "*", config},
		{"token", "create", "--writer", "--measurement", "a*b", config},
		{"token", "create", "--writer", "--site", "s1", "--site", "s9", config},
	} {
		if code, _, _ := run(t, args...); code != 1 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
