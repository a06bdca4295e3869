package plans_test

import (
	"fmt"
	"strings"
	"testing"

	"communewatch/collector/people"
)

// TestWhatAgentsDoNotAllowIsTold guards against plans that are applied and then refused by every agent.
func TestWhatAgentsDoNotAllowIsTold(t *testing.T) {
	o := newOffice(t)
	admin := as(t, people.Caller{Name: "lan", Role: people.RoleAdmin})
	text := func(addresses ...string) string {
		var b strings.Builder
		b.WriteString("allow: [10.0.0.0/8, 100.64.0.0/10, 203.0.113.0/24, \"2001:db8::/32\"]\ntemplates:\n  a:\n    checks:\n")
		for i, a := range addresses {
			fmt.Fprintf(&b, "    - {name: c%d, kind: icmp, address: \"%s\", path: broadband}\n", i, a)
		}
		return b.String() + "groups: [{name: all, all: true, templates: [a]}]\n"
	}
	p, err := o.Preview(admin, draft(text("10.1.1.1", "100.64.0.1", "203.0.113.7", "2001:db8::5", "hub.example.gov.vn")))
	if err != nil || len(p.Problems) > 0 {
		t.Fatal(err, p)
	}
	if len(p.Warnings) != 2 || !strings.Contains(p.Warnings[0].String(), "checks of 203.0.113.7 by themselves") || !strings.Contains(p.Warnings[0].Text, "enroll --allow 203.0.113.7 CODE") ||
		!strings.Contains(p.Warnings[0].String(), "(2 sites: s1, s2)") || !strings.Contains(p.Warnings[1].Text, "2001:db8::5") {
		t.Error(p.Warnings)
	}
	one := as(t, people.Caller{Name: "an", Role: people.RoleOperator, Districts: []string{"Tam Đảo"}})
	if p, err = o.Preview(one, draft(text("203.0.113.7"))); err != nil || len(p.Warnings) != 1 || fmt.Sprint(p.Warnings[0].Sites) != "[s2]" {
		t.Error(err, p)
	}
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("203.0.113.%d", i+1))
	}
	if p, err = o.Preview(admin, draft(text(many...))); err != nil || len(p.Warnings) != 21 || !strings.Contains(p.Warnings[20].Text, "10 more addresses") {
		t.Error(err, len(p.Warnings), p)
	}
}
