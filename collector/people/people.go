// Package people is who may do what on screens and in the JSON API: roles, what each may do, and who is behind a
// request. It holds words and rules alone; collector/people/door checks passwords and sessions, and
// collector/registry/people keeps accounts.
package people

import (
	"context"
	"slices"
	"strings"
)

// Role is what an account is for.
type Role string

// The roles. Each may do what its line says, and read what everybody may read.
const (
	RoleNobody      Role = ""            // not signed in: nothing, unless the settings say otherwise
	RoleViewer      Role = "viewer"      // map, sites, reports
	RoleOperator    Role = "operator"    // also the inventory, rehearsals, holds, checks by order, join codes, approval
	RoleProcurement Role = "procurement" // what a viewer may; also the inventory, and what people say of it
	RoleAdmin       Role = "admin"       // everything
)

// Act is one kind of thing that can be done.
type Act string

// The acts.
const (
	ActView      Act = "view"      // map, sites, charts, rehearsals, reports without prices
	ActInventory Act = "inventory" // read the inventory and prices
	ActState     Act = "state"     // change what people say of equipment, purchases, contracts
	ActOperate   Act = "operate"   // rehearsals, holds, checks by order
	ActFleet     Act = "fleet"     // read the fleet; make join codes, approve agents
	ActWork      Act = "work"      // change what agents do
	ActRevoke    Act = "revoke"    // throw agents out
	ActRelease   Act = "release"   // let agents update
	ActPeople    Act = "people"    // accounts, keys, the record of changes
)

// acts is what each role may do.
var acts = map[Role][]Act{
	RoleViewer:      {ActView},
	RoleOperator:    {ActView, ActInventory, ActOperate, ActFleet},
	RoleProcurement: {ActView, ActInventory, ActState},
	RoleAdmin:       {ActView, ActInventory, ActState, ActOperate, ActFleet, ActWork, ActRevoke, ActRelease, ActPeople},
}

// Roles lists the roles that an account can have, the least first.
func Roles() []Role { return []Role{RoleViewer, RoleOperator, RoleProcurement, RoleAdmin} }

// Valid reports whether an account can have the role.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// May reports whether the role may do a.
func (r Role) May(a Act) bool { return slices.Contains(acts[r], a) }

// Within reports whether whoever has the role of may do all that r may.
func (r Role) Within(of Role) bool {
	return !slices.ContainsFunc(acts[r], func(a Act) bool { return !of.May(a) })
}

// Caller is who is behind a request. The zero Caller is nobody.
type Caller struct {
	Name      string // the account's or the key's; "" for who is not signed in
	Display   string // the person's name as people write it; may be empty
	Role      Role
	Districts []string // that the caller sees: names of a site's parent; nil: all
	Via       string   // "session", "key", "command", "system", or "" for who is not signed in
	Address   string
	// Proof is the value that forms of this session carry, against requests forged elsewhere; "" without a session.
	Proof string
}

// Anonymous is what is kept as the name of who is not signed in. No account can have it.
const Anonymous = "anonymous"

// Who is the caller's name for what is kept of who did something. Of who is not signed in it is where they came from,
// such as "anonymous 10.0.0.5", which can be no account's name either; screens say it in words (Unnamed).
func (c Caller) Who() string {
	switch {
	case c.Name != "":
		return c.Name
	case c.Address == "":
		return Anonymous
	}
	return Anonymous + " " + c.Address
}

// Unnamed reports whether a name that was kept is of somebody who was not signed in, and from where they came as far as
// that is known.
func Unnamed(who string) (address string, ok bool) {
	rest, ok := strings.CutPrefix(who, Anonymous)
	address, spaced := strings.CutPrefix(rest, " ")
	if !ok || rest != "" && !spaced {
		return "", false
	}
	return address, true
}

// May reports whether the caller may do a.
func (c Caller) May(a Act) bool { return c.Role.May(a) }

// Everywhere reports whether the caller sees all sites.
func (c Caller) Everywhere() bool { return c.Districts == nil }

// Sees reports whether the caller sees sites of a district.
func (c Caller) Sees(district string) bool {
	return c.Districts == nil || slices.Contains(c.Districts, district)
}

type callerKey struct{}

// With returns a context that says who is behind it.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From is who is behind a context. A context that does not say is the program's own, which may do everything and has
// the name "system": requests from the network always say, since one door is in front of all of them.
func From(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return Caller{Name: "system", Role: RoleAdmin}
}

// Told is who is behind a request, false for a context that does not say: nobody in the network can be behind that.
func Told(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}
