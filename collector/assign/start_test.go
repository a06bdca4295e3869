package assign_test

import (
	"os"
	"strings"
	"testing"

	"communewatch/agent"
	"communewatch/collector/assign"
	"communewatch/collector/assign/lists"
	"communewatch/collector/assign/values"
	"communewatch/inventory"
)

// agentTakes has an agent read a document as it reads its settings file.
func agentTakes(t *testing.T, g *assign.Given) agent.Config {
	t.Helper()
	cfg, err := agent.ParseConfig("work", []byte("site: s1\nagent: a\ncollectors: [{url: 'https://10.0.0.1:8443', token: x}]\n"+string(g.Document)))
	if err != nil {
		t.Fatalf("an agent does not take it: %v\n%s", err, g.Document)
	}
	return cfg
}

// A fresh installation has something to do at once, and more with every value that is filled in.
func TestTheStartingPlan(t *testing.T) {
	bare := parse(t, assign.Start()).All(assign.Fleet{Sites: sites()})
	if len(bare.Problems) > 0 {
		t.Fatal(bare.Problems)
	}
	if cfg := agentTakes(t, bare.Given("s1", "")); len(cfg.Checks) != 1 || cfg.Checks[0].Name != "machine" {
		t.Errorf("%+v", cfg.Checks)
	}
	if len(bare.Notes) == 0 {
		t.Error("nobody is told what is left out")
	}
	p := parse(t, strings.Replace(assign.Start(), "secrets: []", "secrets: [snmp-doc]", 1))
	table := values.Table{"s1": {
		"gateway": {"192.168.1.1"}, "switches": {"192.168.1.2", "192.168.1.3"}, "snmp": {"snmp-doc"},
		"broadband_anchor": {"100.64.0.1"}, "broadband_hop": {"100.64.0.0/10"}, "dedicated_anchor": {"10.100.0.1"}, "dedicated_hop": {"10.100.0.0/16"}, "resolver": {"10.100.0.53"},
		"portal": {"https://portal.example.gov.vn/"}, "hub": {"https://hub.example.gov.vn/whip/echo"}, "conference_server": {"sip:10.100.0.20;transport=tcp"},
		"codecs": {"192.168.1.30"}, "line_kbps": {"20000"},
	}}
	for name := range p.Values() {
		if len(table["s1"][name]) == 0 {
			t.Errorf("value %s is not tried", name)
		}
	}
	full := p.All(assign.Fleet{Sites: sites()[:1], Values: table})
	if len(full.Problems)+len(full.Notes) > 0 {
		t.Fatal(full.Problems, full.Notes)
	}
	g := full.Given("s1", "")
	cfg := agentTakes(t, g)
	if len(cfg.Checks) != 11 || len(cfg.Meetings) != 1 || len(cfg.Paths) != 2 || strings.Join(g.Secrets, " ") != "snmp-doc" {
		t.Errorf("%d checks, %+v, %v", len(cfg.Checks), cfg.Paths, g.Secrets)
	}
}

// The lists that are shipped as examples fit each other and the starting plan.
func TestShippedListsFitTheStartingPlan(t *testing.T) {
	read := func(name string) []byte {
		data, err := os.ReadFile("../../deploy/examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	all, err := inventory.ReadSites("sites.csv", read("sites.csv"))
	if err != nil || len(all) < 3 {
		t.Fatal(len(all), err)
	}
	p := parse(t, strings.Replace(assign.Start(), "secrets: []", "secrets: [snmp-doc]", 1))
	list := lists.Options{Sites: all, Values: p.Values()}.Read("values.csv", read("values.csv"))
	if len(list.Problems)+len(list.Warnings) > 0 || len(list.Values) != len(all) {
		t.Fatal(list.Problems, list.Warnings, list.Values)
	}
	planned := p.All(assign.Fleet{Sites: all, Values: list.Values})
	if len(planned.Problems) > 0 {
		t.Fatal(planned.Problems)
	}
	for _, s := range all {
		if cfg := agentTakes(t, planned.Given(s.ID, "")); len(cfg.Checks) < 4 || len(cfg.Paths) != 2 {
			t.Errorf("%s gets %d checks on %d paths", s.ID, len(cfg.Checks), len(cfg.Paths))
		}
	}
}

func TestAgentsTakeTheGoldenPlan(t *testing.T) {
	out := parse(t, plan).All(fleet())
	for i := range out.Agents {
		agentTakes(t, &out.Agents[i])
	}
}
