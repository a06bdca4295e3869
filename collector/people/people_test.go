package people

import (
	"context"
	"testing"
)

// The table of docs/people.md, written down once more: a change of who may do what is to be noticed.
func TestRolesMay(t *testing.T) {
	all := []Act{ActView, ActInventory, ActState, ActOperate, ActFleet, ActWork, ActRevoke, ActRelease, ActPeople}
	for role, may := range map[Role]string{
		RoleNobody: ".........", RoleViewer: "x........", RoleOperator: "xx.xx....", RoleProcurement: "xxx......", RoleAdmin: "xxxxxxxxx", "root": ".........",
	} {
		for i, act := range all {
			if got := role.May(act); got != (may[i] == 'x') {
				t.Errorf("%q may %s: %v", role, act, got)
			}
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		role, of Role
		want     bool
	}{
		{RoleViewer, RoleViewer, true}, {RoleViewer, RoleOperator, true}, {RoleOperator, RoleViewer, false}, {RoleOperator, RoleProcurement, false},
		{RoleProcurement, RoleOperator, false}, {RoleAdmin, RoleOperator, false}, {RoleOperator, RoleAdmin, true}, {RoleNobody, RoleNobody, true},
	} {
		if got := c.role.Within(c.of); got != c.want {
			t.Errorf("%q within %q: %v", c.role, c.of, got)
		}
	}
}

func TestContext(t *testing.T) {
	if c := From(context.Background()); !c.May(ActPeople) || c.Name != "system" || !c.Everywhere() {
		t.Errorf("%+v", c)
	}
	if _, told := Told(context.Background()); told {
		t.Error("a context that does not say was told")
	}
	ctx := With(context.Background(), Caller{Districts: []string{"Vĩnh Yên"}})
	c, told := Told(ctx)
	if !told || c.May(ActView) || c.Everywhere() || !c.Sees("Vĩnh Yên") || c.Sees("") || c.Sees("Phúc Yên") {
		t.Errorf("%+v", c)
	}
	if (Caller{Districts: []string{}}).Sees("Vĩnh Yên") {
		t.Error("no district is not all of them")
	}
}

func TestWhoIsNobody(t *testing.T) {
	for who, want := range map[string]struct {
		from string
		ok   bool
	}{
		(Caller{Name: "lan"}).Who(): {"", false}, (Caller{}).Who(): {"", true}, (Caller{Address: "10.0.0.5"}).Who(): {"10.0.0.5", true},
		"anonymous@10.0.0.5": {"", false}, "anonymouse": {"", false}, "": {"", false},
	} {
		if from, ok := Unnamed(who); from != want.from || ok != want.ok {
			t.Errorf("%q: %q %t", who, from, ok)
		}
	}
}
