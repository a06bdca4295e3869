package assign_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/assign"
	"communewatch/collector/assign/values"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/work"
)

const plan = `
values:
  gateway: {type: address}
  switches: {type: address, list: true}
  line_kbps: {type: number, default: 20000}
  hop: {type: prefix, list: true}
  snmp: {type: secret}
secrets: [snmp-old, snmp-new]
templates:
  office:
    defaults: {interval: 1m}
    self_interval: 1m
    paths:
      dedicated: {hop: {ttl: 2, expect: ["${hop}", 10.1.1.1]}}
    meetings:
    - {days: [mon], from: "07:30", to: "11:30", note: Giao ban}
    checks:
    - {name: gateway, kind: icmp, address: "${gateway}", path: lan, options: {count: 5}}
    - name: switch-${item}
      each: switches
      kind: snmp
      address: ${item}
      path: lan
      options: {community: "${snmp}", interfaces: {only: [gi*]}}
    - {name: machine, kind: machine, path: lan}
  calls:
    checks:
    - name: call
      kind: webrtc
      address: https://hub.${site}.example.gov.vn/whip/echo
      path: dedicated
      options: {line_kbps: "${line_kbps}", profile: 360p}
groups:
- {name: all, all: true, templates: [office], values: {snmp: snmp-old}}
- {name: song-lo, districts: [song lo], types: [Xã], templates: [calls], values: {snmp: snmp-new}}
sites:
  s3:
    omit: [machine]
    templates: [calls]
    checks:
    - {name: gateway, kind: icmp, address: 192.168.3.254, path: lan}
    agents:
      second: {omit: ["*"]}
`

func sites() []inventory.Site {
	return []inventory.Site{
		{ID: "s1", Name: "Một", Type: "xã", Parent: "Sông Lô"}, {ID: "s2", Name: "Hai", Type: "phường", Parent: "Sông Lô"},
		{ID: "s3", Name: "Ba", Type: "xã", Parent: "Tam Đảo"},
	}
}

func fleet() assign.Fleet {
	return assign.Fleet{
		Sites: sites(), Agents: map[string][]string{"s3": {"second", "first"}},
		Values: values.Table{
			"s1": {"gateway": {"192.168.1.1"}, "switches": {"192.168.1.2", "192.168.1.3"}, "hop": {"10.100.0.0/24", "10.200.0.0/24"}, "line_kbps": {"50000"}},
			"s3": {"gateway": {"192.168.3.1"}},
		},
	}
}

func parse(t *testing.T, text string) *assign.Plan {
	t.Helper()
	p, err := assign.Parse("plan.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGolden(t *testing.T) {
	out := parse(t, plan).All(fleet())
	if len(out.Problems) > 0 {
		t.Fatal(out.Problems)
	}
	var b bytes.Buffer
	for _, g := range out.Agents {
		fmt.Fprintf(&b, "=== %s %q assigned=%v secrets=%v\n%s", g.Site, g.Agent, g.Assigned, g.Secrets, g.Document)
	}
	for _, n := range out.Notes {
		fmt.Fprintln(&b, "note:", n)
	}
	file := filepath.Join("testdata", "golden.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTheSamePlanGivesTheSameBytes(t *testing.T) {
	first := parse(t, plan).All(fleet())
	for range 20 {
		again := parse(t, plan).All(fleet())
		for i := range first.Agents {
			if !bytes.Equal(first.Agents[i].Document, again.Agents[i].Document) {
				t.Fatalf("%s\n%s", first.Agents[i].Document, again.Agents[i].Document)
			}
		}
	}
	if changes := assign.Compare(first.Agents, parse(t, plan).All(fleet()).Agents); len(changes) > 0 {
		t.Error(changes)
	}
}

// What a preview lists is what agents would see, no more and no less.
func TestAPreviewIsWhatBecomesDifferentForAgents(t *testing.T) {
	old := parse(t, plan).All(fleet())
	for name, c := range map[string]struct {
		from, to string
		agents   int // that change
	}{
		"nothing":          {"Giao ban", "Giao ban", 0},
		"one option":       {"count: 5", "count: 6", 1},
		"a group":          {"types: [Xã]", "types: [Phường]", 2},
		"interval":         {"interval: 1m", "interval: 2m", 1},
		"not a check":      {"self_interval: 1m", "self_interval: 2m", 4},
		"a secret":         {"snmp: snmp-new", "snmp: snmp-old", 1},
		"a note":           {"name: all, all: true", "name: all, note: x, all: true", 0},
		"nothing any more": {"all: true", "sites: [s1, s3]", 1},
	} {
		t.Run(name, func(t *testing.T) {
			now := parse(t, strings.Replace(plan, c.from, c.to, 1)).All(fleet())
			listed := map[string]bool{}
			for _, ch := range assign.Compare(old.Agents, now.Agents) {
				listed[ch.Site+"/"+ch.Agent] = true
				if !ch.Begins && !ch.Ends && len(ch.Added)+len(ch.Removed)+len(ch.Changed)+len(ch.Other) == 0 {
					t.Errorf("%s is listed without a reason", ch.Site)
				}
			}
			for i := range now.Agents {
				g := &now.Agents[i]
				was := old.Given(g.Site, g.Agent)
				if differs := !bytes.Equal(was.Document, g.Document); differs != listed[g.Site+"/"+g.Agent] {
					t.Errorf("%s %s: differs %v, listed %v", g.Site, g.Agent, differs, !differs)
				}
			}
			if len(listed) != c.agents {
				t.Errorf("listed %v, want %d", listed, c.agents)
			}
		})
	}
}

func TestChangesAreToldFieldByField(t *testing.T) {
	old := parse(t, plan).All(fleet())
	f := fleet()
	f.Values["s1"]["line_kbps"] = []string{"30000"}
	f.Values["s1"]["switches"] = []string{"192.168.1.3", "192.168.1.4"}
	got := assign.Compare(old.Agents, parse(t, plan).All(f).Agents)
	if len(got) != 1 || got[0].Site != "s1" {
		t.Fatalf("%+v", got)
	}
	c := got[0]
	if len(c.Added) != 1 || c.Added[0].Name != "switch-192.168.1.4" || len(c.Removed) != 1 || c.Removed[0].Name != "switch-192.168.1.2" {
		t.Errorf("added %+v, removed %+v", c.Added, c.Removed)
	}
	want := []assign.CheckChange{{Name: "call", Fields: []assign.FieldChange{{Field: "options.line_kbps", Before: "50000", After: "30000"}}}}
	if !reflect.DeepEqual(c.Changed, want) {
		t.Errorf("%+v", c.Changed)
	}
}

func TestMistakesInPlans(t *testing.T) {
	for name, c := range map[string]struct{ plan, want string }{
		"unknown template":    {"groups: [{name: a, all: true, templates: [offise]}]\ntemplates: {office: {}}", `p:1: groups[0].templates[0]: there is no template "offise"; did you mean "office"?`},
		"unknown key":         {"templates:\n  a:\n    cheks: []", `p:3: templates.a.cheks: unknown key; did you mean "checks"?`},
		"undeclared value":    {"templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: '${gatway}'}]}}\nvalues: {gateway: {}}", `there is no value "gatway"; did you mean "gateway"?; declare it under values`},
		"undeclared secret":   {"templates: {a: {checks: [{name: x, kind: snmp, path: lan, address: 10.0.0.1, options: {community: '${secret:x}'}}]}}", `secret "x" is not listed under secrets`},
		"secret in clear":     {"templates: {a: {checks: [{name: x, kind: snmp, path: lan, address: 10.0.0.1, options: {community: planted-secret}}]}}", "is a secret and must not stand in a plan"},
		"deeper secret":       {"templates: {a: {checks: [{name: x, kind: snmp, path: lan, address: 10.0.0.1, options: {v3: {user: u, auth_key: planted-secret}}}]}}", "options.v3.auth_key: is a secret"},
		"a machine's file":    {"templates: {a: {checks: [{name: x, kind: snmp, path: lan, address: 10.0.0.1, options: {community_file: /etc/shadow}}]}}", "which can't be done from here"},
		"a variable":          {"templates: {a: {checks: [{name: x, kind: webrtc, path: lan, address: https://h/, options: {token_env: PATH}}]}}", "which can't be done from here"},
		"secret in address":   {"secrets: [x]\ntemplates: {a: {checks: [{name: x, kind: icmp, path: lan, address: '${secret:x}'}]}}", "is no place for a secret"},
		"secret amid text":    {"secrets: [x]\ntemplates: {a: {checks: [{name: x, kind: http, path: lan, address: https://h/, options: {headers: {Authorization: 'Bearer ${secret:x}'}}}]}}", "is a secret and must not stand in a plan"},
		"secret in an option": {"secrets: [x]\ntemplates: {a: {checks: [{name: x, kind: http, path: lan, address: https://h/, options: {body_contains: '${secret:x}'}}]}}", "is no place for a secret"},
		"an authority's file": {"templates: {a: {checks: [{name: x, kind: http, path: lan, address: https://h/, options: {ca_file: /etc/shadow}}]}}", "which can't be done from here"},
		"a folder":            {"templates: {a: {checks: [{name: x, kind: snmp, path: lan, address: 10.0.0.1, options: {profiles: /etc}}]}}", "which can't be done from here"},
		"unknown option":      {"templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: 10.0.0.1, options: {cuont: 3}}]}}", `options.cuont: unknown option of icmp checks; did you mean "count"?`},
		"unknown kind":        {"templates: {a: {checks: [{name: x, kind: ping, path: lan, address: 10.0.0.1}]}}", `"ping" is not a kind of check; use one of icmp`},
		"no path":             {"templates: {a: {checks: [{name: x, kind: icmp, address: 10.0.0.1}]}}", `"" is not a path`},
		"a device":            {"templates: {a: {paths: {lan: {device: eth0}}}}", "unknown key"},
		"names twice":         {"templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: h}, {name: x, kind: icmp, path: lan, address: h}]}}", `"x" is taken by the check in place 1`},
		"each without item":   {"values: {l: {list: true}}\ntemplates: {a: {checks: [{name: x, each: l, kind: icmp, path: lan, address: '${item}'}]}}", "needs ${item} or ${number}"},
		"each of no list":     {"values: {l: {}}\ntemplates: {a: {checks: [{name: 'x${item}', each: l, kind: icmp, path: lan, address: '${item}'}]}}", "l is one value and no list"},
		"own name declared":   {"values: {item: {}}", `"item" has a meaning of its own`},
		"unclosed":            {"templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: '${x'}]}}", "is never closed"},
		"too seldom":          {"templates: {a: {defaults: {interval: 25h}}}", "25h is out of range; use 1s to 24h"},
		"whom":                {"groups: [{name: a}]", "say which sites are in it"},
		"all and some":        {"groups: [{name: a, all: true, sites: [s1]}]", "all: true stands alone"},
		"wrong type":          {"values: {g: {type: address}}\nsites: {s1: {values: {g: 300.1.1.1}}}", `"300.1.1.1" is not an IP address`},
		"wrong default":       {"values: {g: {type: number, default: many}}", `"many" is not a number`},
		"value of a value":    {"values: {g: {}}\nsites: {s1: {values: {g: '${secret:x}'}}}", "refers to something; a value is what it is"},
		"allow loopback":      {"allow: [127.0.0.0/16]", "127.0.0.0/16 is the agent's own machine"},
		"aliases":             {"templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: h, options: &o {count: 3}}, {name: y, kind: icmp, path: lan, address: h, options: *o}]}}", "aliases are not supported"},
		"a wrong group name":  {"groups: [{name: 'A B', all: true}]", "groups[0].name"},
		"not UTF-8":           {"note: \xff", "is not UTF-8"},
		"too large":           {strings.Repeat("#", assign.MaxPlan+1), "is larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := assign.Parse("p", []byte(c.plan))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "planted-secret") {
				t.Error("the message shows the secret:", err)
			}
		})
	}
}

// A plan that grows without bounds when it is read is refused at once.
func TestABombIsNoPlan(t *testing.T) {
	bomb := "note: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("k%d: &b%d [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", i, i)
	}
	deep := "templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: h, options: " + strings.Repeat("{a: ", 500) + "1" + strings.Repeat("}", 500) + "}]}}"
	for _, text := range []string{bomb, deep} {
		begun := time.Now()
		if _, err := assign.Parse("p", []byte(text)); err == nil {
			t.Error("taken")
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
	}
}

func TestWhomChecksMayNotSpeakTo(t *testing.T) {
	check := func(kind, address, options string) []assign.Problem {
		t.Helper()
		p, err := assign.Parse("p", []byte(fmt.Sprintf("allow: [10.0.0.0/8, 203.0.113.0/24, 0.0.0.0/0, 64::/16, 2002::/15]\ntemplates: {a: {checks: [{name: x, kind: %s, path: lan, address: %q, options: {%s}}]}}\ngroups: [{name: all, all: true, templates: [a]}]", kind, address, options)))
		if err != nil {
			t.Fatal(kind, address, err)
		}
		return p.All(assign.Fleet{Sites: sites()[:1]}).Problems
	}
	for _, c := range [][3]string{
		{"icmp", "127.0.0.1"}, {"icmp", "::1"}, {"icmp", "::ffff:127.0.0.1"}, {"icmp", "169.254.169.254"}, {"icmp", "fe80::1"}, {"icmp", "224.0.0.1"}, {"icmp", "255.255.255.255"},
		{"icmp", "0.0.0.0"}, {"icmp", "localhost"}, {"icmp", "a.localhost."}, {"icmp", "127.1"}, {"icmp", "2130706433"}, {"icmp", "0x7f.0.0.1"}, {"icmp", "fe80::1%eth0"},
		{"tcp", "127.0.0.1:22"}, {"tcp", "[::1]:22"}, {"http", "http://127.0.0.1/"}, {"http", "http://[::1]:80/"}, {"http", "http://user@127.0.0.1/"}, {"http", "nothing"},
		{"sip", "sip:127.0.0.1;transport=tcp"}, {"sip", "sips:x@[::1]:5061"}, {"stun", "stun:127.0.0.1:3478"}, {"h323", "127.0.0.1"},
		{"h323", "10.0.0.1", "gatekeeper: true, gatekeeper_address: 127.0.0.1"}, {"webrtc", "https://127.0.0.1/whip"}, {"snmp", "127.0.0.1:161"},
		{"dns", "portal.example.gov.vn", "resolvers: [{name: a, address: 127.0.0.53}]"}, {"sweep", "127.0.0.0/24"}, {"sweep", "10.0.0.0/24", "allow: [0.0.0.0/0]"}, {"sweep", "x"},
		{"icmp", "2001:db8::1"}, {"icmp", "64:ff9b::7f00:1"}, {"icmp", "2002:7f00:1::"}, {"icmp", "a b"},
	} {
		if got := check(c[0], c[1], c[2]); len(got) == 0 {
			t.Errorf("%v: taken", c)
		}
	}
	for _, c := range [][3]string{
		{"icmp", "10.1.2.3"}, {"icmp", "203.0.113.7"}, {"icmp", "hub.example.gov.vn"}, {"tcp", "10.0.0.1:443"}, {"http", "https://portal.example.gov.vn/x?y"}, {"sip", "sip:10.100.0.20;transport=tls"},
		{"stun", "10.100.0.21"}, {"dns", "portal.example.gov.vn", "resolvers: [{name: a, address: '10.0.0.53:53'}]"}, {"sweep", "10.1.1.0/24", "allow: [10.1.0.0/16]"}, {"machine", ""},
	} {
		if got := check(c[0], c[1], c[2]); len(got) > 0 {
			t.Errorf("%v: %v", c, got)
		}
	}
	p := parse(t, "templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: 203.0.113.1}]}}\ngroups: [{name: all, all: true, templates: [a]}]")
	if got := p.All(assign.Fleet{Sites: sites()}).Problems; len(got) != 1 || len(got[0].Sites) != 3 || !strings.Contains(got[0].Text, "lies in none of the networks") {
		t.Errorf("a public address by default: %v", got)
	}
}

// Agents refuse a check that comes round while it runs, so the plan does.
func TestChecksMustEndBeforeTheyComeRound(t *testing.T) {
	text := "templates: {a: {defaults: {interval: 15s}, %s checks: [{name: x, kind: icmp, path: lan, address: 10.0.0.1, options: {count: 20, interval: 500ms}}]}}\ngroups: [{name: all, all: true, templates: [a]}]"
	if got := parse(t, fmt.Sprintf(text, "")).All(assign.Fleet{Sites: sites()[:1]}).Problems; len(got) > 0 { // 3 s to look a name up, 9.5 of pings, 2.25 to wait, 1 to end
		if !strings.Contains(got[0].Text, "every 15s is too often: a run may take 15.75s") {
			t.Error(got)
		}
	} else {
		t.Error("taken")
	}
	text = strings.Replace(text, "15s", "17s", 1)
	if got := parse(t, fmt.Sprintf(text, "")).All(assign.Fleet{Sites: sites()[:1]}).Problems; len(got) > 0 {
		t.Error(got)
	}
	if got := parse(t, fmt.Sprintf(text, "paths: {lan: {hop: {ttl: 1, expect: [10.0.0.1]}}},")).All(assign.Fleet{Sites: sites()[:1]}).Problems; len(got) != 1 {
		t.Error("a path is proved first, which takes time:", got)
	}
}

// A province on one machine has nothing but loopback.
func TestAProvinceOnOneMachine(t *testing.T) {
	p := parse(t, "templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: 127.0.0.1}, {name: y, kind: http, path: lan, address: http://localhost:80/}, {name: z, kind: icmp, path: lan, address: 169.254.0.1}]}}\ngroups: [{name: all, all: true, templates: [a]}]")
	if got := p.All(assign.Fleet{Sites: sites()[:1]}).Problems; len(got) != 3 {
		t.Error(got)
	}
	p.AllowLoopback()
	if got := p.All(assign.Fleet{Sites: sites()[:1]}).Problems; len(got) != 1 || !strings.Contains(got[0].Text, "link-local") {
		t.Error(got)
	}
}

func TestWhatASiteLacks(t *testing.T) {
	base := "values: {g: {type: address}, h: {}}\ngroups: [{name: all, all: true, templates: [a]}]\ntemplates: {a: {checks: [{name: x, kind: icmp, path: lan, address: '${g}'%s}]}}"
	f := assign.Fleet{Sites: sites(), Values: values.Table{"s1": {"g": {"10.0.0.1"}}}}
	for add, want := range map[string][2]int{"": {1, 0}, ", if_missing: quiet": {0, 0}, ", if_missing: error": {0, 1}} {
		out := parse(t, fmt.Sprintf(base, add)).All(f)
		if len(out.Notes) != want[0] || len(out.Problems) != want[1] {
			t.Errorf("%q: notes %v, problems %v", add, out.Notes, out.Problems)
		}
		if out.Given("s1", "").Document == nil || out.Given("s2", "").Document != nil {
			t.Errorf("%q: who has it is given it, and who lacks all is given nothing", add)
		}
	}
	f.Values["s2"] = map[string][]string{"g": {"nowhere"}, "unheard": {"x"}}
	if out := parse(t, fmt.Sprintf(base, "")).All(f); len(out.Problems) != 1 || !strings.Contains(fmt.Sprint(out.Notes), "does not declare") || !strings.Contains(fmt.Sprint(out.Problems), "is not an IP address") {
		t.Error("values that the plan can't take:", out.Problems, out.Notes)
	}
}

func TestTwoTemplatesMustNotClash(t *testing.T) {
	p := parse(t, `
templates:
  a: {self_interval: 30s, paths: {lan: {hop: {ttl: 1, expect: [10.0.0.1]}}}, checks: [{name: x, kind: icmp, path: lan, address: h}]}
  b: {self_interval: 1m, paths: {lan: {hop: {ttl: 2, expect: [10.0.0.1]}}}, checks: [{name: x, kind: icmp, path: lan, address: h}]}
groups: [{name: all, all: true, templates: [a, b]}]
sites:
  s2: {checks: [{name: x, kind: tcp, path: lan, address: 'h:1'}]}
`)
	out := p.All(assign.Fleet{Sites: sites()})
	if len(out.Problems) != 3 {
		t.Fatal(out.Problems)
	}
	for _, q := range out.Problems {
		if len(q.Sites) != 3 || q.Line != 4 {
			t.Errorf("%+v", q)
		}
	}
	if c := out.Given("s2", "").Checks; len(c) != 1 || c[0].Kind != probes.KindTCP || c[0].From != "site" {
		t.Errorf("a site's own check takes the place of a template's: %+v", c)
	}
}

func TestAgentsTakeWhatIsMade(t *testing.T) {
	for _, g := range parse(t, plan).All(fleet()).Agents {
		if !g.Assigned {
			continue
		}
		w := work.Work{Version: 1, Document: string(g.Document), Secrets: map[string]string{}}
		for _, s := range g.Secrets {
			w.Secrets[s] = "x"
		}
		if err := w.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func Test136SitesAreQuick(t *testing.T) {
	f := assign.Fleet{Values: values.Table{}, Agents: map[string][]string{}}
	for i := range 136 {
		id := fmt.Sprintf("s%03d", i)
		f.Sites = append(f.Sites, inventory.Site{ID: id, Name: id, Type: "xã", Parent: "Sông Lô"})
		f.Agents[id] = []string{"a", "b"}
		var switches []string
		for j := range 20 {
			switches = append(switches, fmt.Sprintf("192.168.%d.%d", i, j+2))
		}
		f.Values[id] = map[string][]string{"gateway": {fmt.Sprintf("192.168.%d.1", i)}, "switches": switches}
	}
	begun := time.Now()
	old := parse(t, plan).All(f)
	now := parse(t, strings.Replace(plan, "count: 5", "count: 7", 1)).All(f)
	changes := assign.Compare(old.Agents, now.Agents)
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	if len(changes) != 272 {
		t.Errorf("%d changes", len(changes))
	}
}

func TestTablesKeepTheirForm(t *testing.T) {
	table := fleet().Values
	again, err := values.ParseTable(table.Text())
	if err != nil || again.Text() != table.Text() || !reflect.DeepEqual(again, table) {
		t.Error(again, err)
	}
	set := table.Set(values.Table{"s1": {"gateway": {}, "line_kbps": {"1"}}, "s9": {"gateway": {"10.0.0.1"}}, "s3": {"gateway": {}}})
	if _, has := set["s1"]["gateway"]; has || set["s1"]["line_kbps"][0] != "1" || set["s9"]["gateway"][0] != "10.0.0.1" || set["s3"] != nil {
		t.Error(set)
	}
	if table["s1"]["line_kbps"][0] != "50000" {
		t.Error("the table itself was changed")
	}
	if (values.Table{"s1": {"a": {}}}).Text() != "" {
		t.Error("nothing is written as something")
	}
	for _, bad := range []string{"[]", "{}{}", `{"S 1":{}}`, `{"s1":{"A":["x"]}}`, `{"s1":{"a":["x\ny"]}}`, `{"s1":{"a":["${secret:x}"]}}`} {
		if _, err := values.ParseTable(bad); err == nil {
			t.Errorf("%s: taken", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(plan, "192.168.1.1")
	f.Add("templates: {a: {checks: [{name: 'x${item}', each: switches, kind: icmp, path: lan, address: '$${${item}'}]}}\nvalues: {switches: {list: true}}\ngroups: [{name: g, all: true, templates: [a]}]", "a")
	f.Fuzz(func(t *testing.T, text, value string) {
		p, err := assign.Parse("p", []byte(text))
		if err != nil {
			return
		}
		fl := assign.Fleet{Sites: sites(), Values: values.Table{"s1": {"gateway": {value}, "switches": {value}}}}
		one, two := p.All(fl), p.All(fl)
		for i := range one.Agents {
			if !bytes.Equal(one.Agents[i].Document, two.Agents[i].Document) {
				t.Error("not the same twice")
			}
			if len(one.Problems) == 0 && one.Agents[i].Assigned {
				if err := (&work.Work{Version: 1, Document: string(one.Agents[i].Document)}).Validate(); err != nil {
					t.Error(err)
				}
			}
			if !slices.IsSorted(one.Agents[i].Secrets) {
				t.Error("secrets are not sorted")
			}
		}
	})
}
