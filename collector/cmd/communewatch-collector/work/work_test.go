package work_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/cmd/communewatch-collector/work"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	"communewatch/inventory"

	"github.com/spf13/cobra"
)

const planted = "planted-community-c40a"

// desk runs commands on a data folder of its own.
type desk struct {
	t   *testing.T
	dir string
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, dir: t.TempDir()}
	reg, err := registry.Open(t.Context(), filepath.Join(d.dir, "registry.db"), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	sites := []inventory.Site{{ID: "s1", Name: "Một", Code: "08701", Parent: "Sông Lô"}, {ID: "s2", Name: "Hai", Code: "08702", Parent: "Tam Đảo"}}
	if _, err := reg.ImportSites(t.Context(), sites, false); err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs a command and returns what it printed, all of it.
func (d *desk) run(stdin string, args ...string) (string, error) {
	d.t.Helper()
	cfg := collector.Config{DataDir: d.dir}
	cmd := work.New(program.Access{
		Config: func() (collector.Config, error) { return cfg, nil },
		Registry: func(cmd *cobra.Command, do func(*registry.Registry) error) error {
			reg, err := registry.Open(cmd.Context(), cfg.RegistryFile(), registry.Options{})
			if err != nil {
				return err
			}
			defer reg.Close()
			return do(reg)
		},
	})
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(people.With(d.t.Context(), people.Caller{Name: "lan", Role: people.RoleAdmin}))
	if strings.Contains(out.String(), planted) || err != nil && strings.Contains(err.Error(), planted) {
		d.t.Errorf("%v shows a secret: %s %v", args, out.String(), err)
	}
	return out.String(), err
}

func (d *desk) want(stdin string, args []string, parts ...string) string {
	d.t.Helper()
	out, err := d.run(stdin, args...)
	if err != nil {
		d.t.Fatalf("%v: %v", args, err)
	}
	for _, p := range parts {
		if !strings.Contains(out, p) {
			d.t.Errorf("%v lacks %q:\n%s", args, p, out)
		}
	}
	return out
}

func (d *desk) refused(args []string, parts ...string) {
	d.t.Helper()
	out, err := d.run("", args...)
	if err == nil {
		d.t.Errorf("%v: taken:\n%s", args, out)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			d.t.Errorf("%v: %v, want %q", args, err, p)
		}
	}
}

func (d *desk) file(name, text string) string {
	d.t.Helper()
	file := filepath.Join(d.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return file
}

func words(s string) []string { return strings.Fields(s) }

// TestADayWithThePlan goes from nothing to a plan with values and a secret, changes it, and goes back.
func TestADayWithThePlan(t *testing.T) {
	d := newDesk(t)
	d.refused(words("show"), "there is no plan yet; make one with")
	file := filepath.Join(d.dir, "plan.yaml")
	d.want("", []string{"init", file}, "is written; fill it in")
	d.refused([]string{"init", file}, "is there already")
	d.want("", []string{"check", file}, "is valid for 2 agents", "note: ")
	d.want("", []string{"preview", file}, "2 agents change, 0 stay as they are", "s1, s2:\n  begins with 1 checks", "+ machine")
	d.want("", []string{"apply", file, "--note=first"}, "version 1 is the current one")
	d.want("", []string{"apply", file}, "nothing changes: version 1 says the same")
	values := d.file("list.csv", "Mã đơn vị;Bộ định tuyến;Thiết bị SNMP;hub\n08701;192.168.1.1;192.168.1.2, 192.168.1.3;https://hub.example.gov.vn/whip/echo\n08702;192.168.2.1;;\n")
	d.want("", []string{"values", "import", values, "--dry-run"}, "2 agents change", "4 values of sites change", "+ gateway")
	d.want("", []string{"values", "import", values}, "version 2 is the current one")
	d.want("", words("values list s1"), "gateway", "192.168.1.2, 192.168.1.3")

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.NewReplacer("secrets: []", "secrets: [snmp-doc, hub]", "values: {}", "values: {snmp: snmp-doc}",
		"share: 0.5}", `share: 0.5, token: "${secret:hub}"}`).Replace(string(text))
	next := d.file("next.yaml", with)
	d.refused([]string{"apply", next}, "secret snmp-doc is needed and not there; enter it with: communewatch-collector work secret set snmp-doc")
	d.want(planted+"\n", words("secret set snmp-doc"), "secret snmp-doc is kept")
	d.want(planted+"\r\n", words("secret set hub"))
	d.want("", []string{"preview", next}, "+ device-192.168.1.2", "~ conference-call: options.token: (none) -> ${secret:hub}", "CALLS/DAY", "24 min")
	d.want("", []string{"apply", next, "--base=2"}, "version 3")
	d.refused([]string{"apply", file, "--base=2"}, "the plan was changed meanwhile")
	out := d.want("", words("for s1"), "s1 (Một), version 3", "secrets: hub, snmp-doc", "conference-call", "dedicated: ", "minutes of calls a day", "sending results: ")
	if !strings.Contains(out, "device-192.168.1.3") {
		t.Error(out)
	}
	d.want("", words("for s1 --yaml"), "community: ${secret:snmp-doc}")
	d.refused(words("for s9"), "no site s9")
	d.want("", words("secret list"), "snmp-doc", "1 sites")
	d.refused(words("secret remove snmp-doc"), "checks of the current plan need this secret, at 1 sites")
	d.want("", words("secret new-key"), "2 secrets are sealed with a new key")

	d.want("", words("rollback 1 --dry-run"), "2 agents change", "- conference-call", "- gateway")
	d.want("", words("rollback 1 --note=oops"), "version 4 is the current one")
	d.want("", words("versions"), "(version 1 again) oops", "first", "values of list.csv")
	d.want("", words("secret remove snmp-doc"), "is forgotten")
	if now, then := d.want("", words("show")), d.want("", words("show --version=1")); now != then || now != string(text) {
		t.Error("the plan that was gone back to is another one")
	}
	d.want("", words("values list s1"), "SITE")
	data, err := os.ReadFile(filepath.Join(d.dir, "registry.db"))
	if err != nil || bytes.Contains(data, []byte(planted)) {
		t.Error("the registry's file shows a secret", err)
	}
}

func TestMistakesAreToldAllAtOnce(t *testing.T) {
	d := newDesk(t)
	bad := d.file("bad.yaml", "templates:\n  a:\n    checks:\n    - {name: x, kind: ping, path: lan, address: h}\n    - {name: y, kind: icmp, path: wan, address: h}\n")
	d.refused([]string{"check", bad}, "bad.yaml:4: templates.a.checks[0].kind", "bad.yaml:5: templates.a.checks[1].path")
	d.refused([]string{"apply", bad}, "bad.yaml:4")
	forbidden := d.file("forbidden.yaml", "templates:\n  a:\n    checks:\n    - {name: x, kind: icmp, path: lan, address: 127.0.0.1}\ngroups: [{name: all, all: true, templates: [a]}]\n")
	d.refused([]string{"check", forbidden}, "forbidden.yaml:4: templates.a.checks[0].address: x: 127.0.0.1 is the agent's own machine", "2 sites: s1, s2")
	d.refused([]string{"values", "import", bad}, "there is no plan yet")
	d.refused(words("rollback 7"), "there is no such version")
	plan := d.file("plan.yaml", "values:\n  snmp: {type: secret}\ntemplates:\n  a:\n    checks:\n    - {name: x, kind: snmp, path: lan, address: 10.0.0.2, options: {community: \"${snmp}\"}}\ngroups: [{name: all, all: true, templates: [a]}]\n")
	d.want("", []string{"apply", plan})
	d.refused([]string{"values", "import", d.file("list.csv", "Mã đơn vị;snmp\n08701;other\n")}, "the plan with these values: line 2 of the plan: ")
	d.refused(words("for s0870"), "there is no site s0870", "sites list")
	d.refused(words("rollback x"), "is no version")
	d.refused(words("apply nowhere.yaml"), "nowhere.yaml")
	d.refused(words("secret set snmp"), "give the secret on standard input")
	if _, err := d.run("a\n"+planted+"\n", "secret", "set", "snmp"); err == nil || !strings.Contains(err.Error(), "several lines") {
		t.Error(err)
	}
}

// TestApplyWarnsOfWhatAgentsDoNotAllow is of public addresses, which a plan may allow and agents do not.
func TestApplyWarnsOfWhatAgentsDoNotAllow(t *testing.T) {
	d := newDesk(t)
	public := d.file("public.yaml", "allow: [203.0.113.0/24]\nvalues: {anchor: {type: host}}\ntemplates:\n  a:\n    checks:\n    - {name: x, kind: icmp, path: broadband, address: \"${anchor}\"}\ngroups: [{name: all, all: true, templates: [a]}]\n")
	const warning = "warning: agents allow no checks of 203.0.113.7 by themselves"
	if out := d.want("", []string{"apply", public}); strings.Contains(out, "warning") {
		t.Error(out)
	}
	list := d.file("list.csv", "Mã đơn vị;anchor\n08701;203.0.113.7\n")
	d.want("", []string{"values", "import", list, "--dry-run"}, warning, "(site s1)")
	d.want("", []string{"values", "import", list}, warning, "version 2 is the current one")
	d.want("", []string{"preview", public}, warning)
	d.want("", []string{"apply", public, "--note=again"}, warning, "nothing changes")
}
