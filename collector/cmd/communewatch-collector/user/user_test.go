package user

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/collector"
	"communewatch/collector/audit"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/people/password"
	"communewatch/collector/registry"
	"communewatch/inventory"

	"github.com/spf13/cobra"
)

// line is a command line beside a registry.
type line struct {
	t    *testing.T
	file string
}

func (l line) open(do func(*registry.Registry) error) error {
	reg, err := registry.Open(l.t.Context(), l.file, registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return errors.Join(do(reg), reg.Close())
}

func (l line) run(stdin string, args ...string) (stdout, stderr string, err error) {
	access := program.Access{
		Config: func() (collector.Config, error) {
			cfg := collector.DefaultConfig()
			cfg.AgentsURL = []string{"https://collector.example:8787"}
			return cfg, nil
		},
		Registry: func(_ *cobra.Command, do func(*registry.Registry) error) error { return l.open(do) },
	}
	root := &cobra.Command{Use: "communewatch-collector", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(New(access), NewAudit(access))
	var out, errs bytes.Buffer
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(l.t.Context())
	return out.String(), errs.String(), err
}

func (l line) must(stdin string, args ...string) (stdout string) {
	l.t.Helper()
	out, _, err := l.run(stdin, args...)
	if err != nil {
		l.t.Fatalf("%q: %v", args, err)
	}
	return out
}

func TestUser(t *testing.T) {
	l := line{t, filepath.Join(t.TempDir(), "registry.db")}
	link := l.must("", "user", "add", "lan", "--role", "admin", "--display", "Nguyễn Thị Lan")
	if !strings.HasPrefix(link, "https://collector.example:8787/first/") || strings.Count(link, "\n") != 1 {
		t.Error(link)
	}
	l.must("planted first password\n", "user", "add", "hung", "--district", "Vĩnh Yên", "--district", "Phúc Yên", "--password-stdin")
	for want, args := range map[string][]string{
		"there is an account":    {"user", "add", "lan"},
		"the name of an account": {"user", "add", "Lan Anh"},
		"role":                   {"user", "add", "minh", "--role", "root"},
		"shorter":                {"user", "password", "lan", "--stdin"},
		"no such account":        {"user", "password", "nobody"},
		"last administrator":     {"user", "disable", "lan"},
		"say what to change":     {"user", "set", "lan"},
		"exclude each other":     {"user", "set", "lan", "--district", "x", "--everywhere"},
		"may do more":            {"user", "keys", "create", "hung", "--role", "admin"},
		"two years":              {"user", "keys", "create", "lan", "--valid", "90000h"},
		"is not a day":           {"audit", "export", "--from", "yesterday"},
		"csv or json":            {"audit", "export", "--format", "pdf"},
	} {
		if _, _, err := l.run("short\n", args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if out := l.must("", "user", "list"); !strings.Contains(out, "Vĩnh Yên, Phúc Yên") || !strings.Contains(out, "nothing yet") {
		t.Error(out)
	}
	var people []personJSON
	if err := json.Unmarshal([]byte(l.must("", "user", "list", "--json")), &people); err != nil || len(people) != 2 || people[0].Name != "hung" || !people[0].Password || people[1].Districts != nil {
		t.Error(people, err)
	}
	l.must("", "user", "set", "hung", "--role", "operator", "--everywhere", "--sso")
	l.must("", "user", "disable", "hung")
	l.must("", "user", "enable", "hung")
	key := l.must("", "user", "keys", "create", "hung", "--role", "operator", "--note", "grafana")
	id := strings.Split(key, "_")[1]
	if out := l.must("", "user", "keys", "list"); !strings.Contains(out, id) || !strings.Contains(out, "grafana") || strings.Contains(out, strings.TrimSpace(key)) {
		t.Error(out)
	}
	l.must("", "user", "keys", "revoke", id)
	if err := l.open(func(reg *registry.Registry) error {
		p, hash, err := reg.People().Secret(t.Context(), "hung")
		if err != nil {
			return err
		}
		if ok, _, err := password.New(password.DefaultCost(), 1).Verify(t.Context(), hash, "planted first password"); !ok || err != nil || !p.MustChange || p.Role != "operator" || p.Districts != nil || !p.SSO {
			t.Errorf("%+v %v %v", p, ok, err)
		}
		if _, _, err := reg.People().Key(t.Context(), strings.TrimSpace(key)); err == nil {
			t.Error("a revoked key opens")
		}
		// A name that a spreadsheet would take for a formula.
		return reg.People().Record(context.Background(), audit.Entry{Act: "work.apply", What: `=HYPERLINK("http://evil")`, OK: true})
	}); err != nil {
		t.Fatal(err)
	}
	text := l.must("", "audit", "export")
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff"))).ReadAll()
	if err != nil || len(rows) < 9 || rows[1][5] != "person.add" || rows[1][3] != "command" || rows[1][2] == "" {
		t.Errorf("%q %v", rows, err)
	}
	if last := rows[len(rows)-1]; strings.HasPrefix(last[6], "=") || !strings.Contains(last[6], "HYPERLINK") {
		t.Errorf("%q", last)
	}
	var entries []entryJSON
	if err := json.Unmarshal([]byte(l.must("", "audit", "export", "--format", "json", "--act", "key.")), &entries); err != nil || len(entries) != 2 || entries[0].Act != "key.create" {
		t.Error(entries, err)
	}
	if out := l.must("", "audit", "export", "--from", "26/11/2001", "--to", "2001-11-27"); strings.Contains(out, "person.add") {
		t.Error(out)
	}
	if _, errs, err := l.run("", "audit", "export", "--act", "foo"); err != nil || !strings.Contains(errs, "nothing in the record fits") {
		t.Error(errs, err)
	}
	for _, planted := range []string{"planted first password", strings.TrimSpace(key), strings.TrimSpace(link)[len(link)-20:], "argon2id"} {
		if strings.Contains(text, planted) {
			t.Errorf("%q is in the record", planted)
		}
	}
}

// TestDistrictsAreThoseOfSites: one that is written otherwise matches no site, and nobody is told.
func TestDistrictsAreThoseOfSites(t *testing.T) {
	l := line{t, filepath.Join(t.TempDir(), "registry.db")}
	if err := l.open(func(reg *registry.Registry) error {
		_, err := reg.ImportSites(t.Context(), []inventory.Site{{ID: "s1", Name: "Tích Sơn", Parent: "Vĩnh Yên"}, {ID: "s2", Name: "Cao Minh", Parent: "Phúc Yên"}}, false)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	l.must("", "user", "add", "hung", "--district", "vinh yen")
	if out := l.must("", "user", "list"); !strings.Contains(out, "Vĩnh Yên") {
		t.Error(out)
	}
	for _, args := range [][]string{{"add", "lan", "--district", "Vĩnh Yene"}, {"set", "hung", "--district", "Phúc Yên", "--district", "x"}, {"keys", "create", "hung", "--role", "viewer", "--district", "x"}} {
		if _, _, err := l.run("", append([]string{"user"}, args...)...); err == nil || !strings.Contains(err.Error(), "there are: Phúc Yên, Vĩnh Yên") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
