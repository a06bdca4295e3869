// Package plans is what people do with the fleet's plan, and what agents get of it: look at a change before it is made, make
// it, go back; see what an agent of a site gets and what that takes of its lines; keep the secrets that checks need. Screens,
// the JSON API and the command line all go through its Service, so the same rules hold for all of them: who may, what is
// checked before, and that it is written down who did it.
//
// What a plan means is said by collector/assign; it is kept by collector/registry/work.
package plans

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/collector/assign"
	"communewatch/collector/assign/cost"
	"communewatch/collector/assign/values"
	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/registry/work"
	"communewatch/collector/reports"
	"communewatch/collector/seal"
	"communewatch/inventory"
)

// Options of a Service. Store, Seal and Sites are required.
type Options struct {
	Store *work.Store
	Seal  *seal.Box
	// Sites lists the sites as they are known on a day, by ID; see registry.Sites.
	Sites func(ctx context.Context, asOf time.Time) ([]inventory.Site, error)
	// Agents lists the agents' names by site; nil: nobody knows any, and each site is planned for as one agent.
	Agents func(ctx context.Context) (map[string][]string, error)
	// Agreements are the contracts of lines, for their speeds; nil: no speed is known.
	Agreements func(ctx context.Context) ([]reports.Agreement, error)
	Audit      audit.Recorder // nil: nothing is written down
	// Changed is told by Run whose work has become another one; nil: nobody is. It must not wait for long.
	Changed func(agents []Agent)
	// Loopback lets checks speak to the agents' own machine, for a province on one machine.
	Loopback bool
	Limits   cost.Limits      // zero: cost.DefaultLimits
	Zone     *time.Location   // in which a day begins; nil: UTC
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: slog.Default
}

// Agent is one agent of a site; Name "" is all of them.
type Agent struct{ Site, Name string }

// Service is what is done with the plan. All methods may be called concurrently. Who calls is told by people.From(ctx).
type Service struct {
	o Options

	look chan struct{} // tells Run to look at once

	mu     sync.Mutex // guards what follows
	parsed parsed     // the current version
}

// parsed is a version that has been read.
type parsed struct {
	version work.Version
	plan    *assign.Plan
	values  values.Table
}

// Errors; compare with errors.Is. Those of collector/registry/work are returned as they are.
var (
	// ErrForbidden says that the caller may not do this.
	ErrForbidden = errors.New("you may not do this; it takes the role admin, for all districts")
	// ErrNoPlan says that there is no plan yet.
	ErrNoPlan = errors.New("there is no plan yet; make one with: communewatch-collector work init")
	// ErrUnknownSite says that there is no such site, or none that the caller sees.
	ErrUnknownSite = errors.New("there is no such site")
	// ErrSecretUsed says that checks of the current plan need a secret.
	ErrSecretUsed = errors.New("checks of the current plan need this secret")
)

// Refused is why a plan can't be applied.
type Refused struct{ Problems []assign.Problem }

func (r *Refused) Error() string {
	lines := make([]string, 0, len(r.Problems))
	for _, p := range r.Problems {
		lines = append(lines, p.String())
	}
	return "the plan can't be applied:\n" + strings.Join(lines, "\n")
}

// New returns a Service.
func New(o Options) *Service {
	if o.Limits == (cost.Limits{}) {
		o.Limits = cost.DefaultLimits()
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Service{o: o, look: make(chan struct{}, 1)}
}

// may tells whether the caller may change what agents do. A plan is the whole fleet's, so it takes one who sees all of it.
func may(ctx context.Context) (people.Caller, error) {
	c := people.From(ctx)
	if !c.May(people.ActWork) || !c.Everywhere() {
		return c, ErrForbidden
	}
	return c, nil
}

// looks tells whether the caller may read what agents do.
func looks(ctx context.Context) (people.Caller, error) {
	c := people.From(ctx)
	if !c.May(people.ActFleet) && !c.May(people.ActWork) {
		return c, ErrForbidden
	}
	return c, nil
}

// record writes down what somebody did, before it is answered. What can't be written down is an error although it is done.
func (s *Service) record(ctx context.Context, act, what, detail string, ok bool) error {
	if s.o.Audit == nil {
		return nil
	}
	c := people.From(ctx)
	via := "command"
	switch c.Via {
	case "session":
		via = "screen"
	case "key":
		via = "api"
	case "":
		if c.Address != "" {
			via = "screen"
		}
	}
	err := s.o.Audit.Record(ctx, audit.Entry{At: s.o.Now(), Who: c.Who(), Via: via, Address: c.Address, Act: act, What: what, Detail: detail, OK: ok})
	if err != nil {
		return fmt.Errorf("write down %s of %s: %w", act, what, err)
	}
	return nil
}

// fleet reads whom the plan is for.
func (s *Service) fleet(ctx context.Context, has values.Table) (f assign.Fleet, err error) {
	f.Values = has
	if f.Sites, err = s.o.Sites(ctx, s.o.Now().In(s.o.Zone)); err != nil {
		return f, err
	}
	if s.o.Agents != nil {
		f.Agents, err = s.o.Agents(ctx)
	}
	return f, err
}

// current returns the current version, read; its ID is 0 where there is none. Another process may have made it.
func (s *Service) current(ctx context.Context) (parsed, error) {
	id, err := s.o.Store.CurrentID(ctx)
	if err != nil || id == 0 {
		return parsed{}, err
	}
	s.mu.Lock()
	kept := s.parsed
	s.mu.Unlock()
	if kept.version.ID == id {
		return kept, nil
	}
	v, err := s.o.Store.Current(ctx)
	if err != nil {
		return parsed{}, err
	}
	read, err := s.readVersion(v)
	if err != nil {
		return parsed{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parsed.version.ID < v.ID {
		s.parsed = read
	}
	return read, nil
}

// parse reads a plan.
func (s *Service) parse(name, text string) (*assign.Plan, error) {
	p, err := assign.Parse(name, []byte(text))
	if err == nil && s.o.Loopback {
		p.AllowLoopback()
	}
	return p, err
}

func (s *Service) readVersion(v work.Version) (parsed, error) {
	plan, err := s.parse(fmt.Sprintf("version %d of the plan", v.ID), v.Plan)
	if err != nil {
		return parsed{}, fmt.Errorf("version %d of the plan is not understood by this version of the program: %w", v.ID, err)
	}
	table, err := values.ParseTable(v.Values)
	if err != nil {
		return parsed{}, fmt.Errorf("version %d of the plan: %w", v.ID, err)
	}
	return parsed{version: v, plan: plan, values: table}, nil
}

// Current returns the current version; the zero Version where there is none yet. Who does not see all districts gets it
// without its texts, which tell of all.
func (s *Service) Current(ctx context.Context) (work.Version, error) {
	return asSeen(ctx, func() (work.Version, error) { return s.o.Store.Current(ctx) })
}

// Version returns one version, with its texts as Current has them.
func (s *Service) Version(ctx context.Context, id int) (work.Version, error) {
	return asSeen(ctx, func() (work.Version, error) { return s.o.Store.Version(ctx, id) })
}

func asSeen(ctx context.Context, get func() (work.Version, error)) (work.Version, error) {
	c, err := looks(ctx)
	if err != nil {
		return work.Version{}, err
	}
	v, err := get()
	if !c.Everywhere() {
		v.Plan, v.Values = "", ""
	}
	return v, err
}

// Versions lists the newest versions, newest first, without their texts.
func (s *Service) Versions(ctx context.Context, limit int) ([]work.Version, error) {
	if _, err := looks(ctx); err != nil {
		return nil, err
	}
	return s.o.Store.Versions(ctx, limit)
}

// Draft is a change to the plan that somebody thinks of.
type Draft struct {
	Name   string       // of the file it comes from, for messages; may be empty
	Plan   *string      // nil: as it is
	Values values.Table // what of the sites' values is set anew; nil: nothing. An empty list takes a value away
	// Whole says that Values is all that sites have, and what it lacks is taken away.
	Whole bool
	Note  string // why, for people
	Base  int    // the version that the change was made from; below 0: whichever is current
}

// Preview says what a draft would do.
type Preview struct {
	Base     int // the version that it was compared with; 0: none yet
	Problems []assign.Problem
	Warnings []assign.Problem // what agents will not take by themselves
	Notes    []assign.Problem
	Agents   []Changed // those whose work changes, by site and agent
	Same     int       // agents whose work does not
	Empty    int       // of all, those to whom nothing is assigned
	Lines    []LineChange
	Values   int // values of sites that are set otherwise

	draft draft
}

// Changed is an agent whose work changes, and what that costs.
type Changed struct {
	assign.Change
	SiteName string
	Before   []cost.Line // what this agent's checks take of each path
	After    []cost.Line
}

// LineChange is what becomes of one line of a site whose work changes: all of its agents together.
type LineChange struct {
	Site, SiteName string
	Before, After  cost.Line
	OverAverage    bool // After is above the limits
	OverPeak       bool
}

// draft is a draft that was read.
type draft struct {
	base         work.Version
	plan, values string
}

// Preview says what a draft would do. What is wrong with it is in the preview's Problems; an error is another matter.
func (s *Service) Preview(ctx context.Context, d Draft) (*Preview, error) {
	c, err := looks(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.preview(ctx, d)
	if err != nil {
		return nil, err
	}
	if !c.Everywhere() {
		if err := s.narrow(ctx, c, p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// narrow leaves in a preview what the caller sees.
func (s *Service) narrow(ctx context.Context, c people.Caller, p *Preview) error {
	sites, err := s.o.Sites(ctx, s.o.Now().In(s.o.Zone))
	if err != nil {
		return err
	}
	sees := map[string]bool{}
	for _, site := range sites {
		sees[site.ID] = c.Sees(site.Parent)
	}
	p.Agents = slices.DeleteFunc(p.Agents, func(a Changed) bool { return !sees[a.Site] })
	p.Lines = slices.DeleteFunc(p.Lines, func(l LineChange) bool { return !sees[l.Site] })
	for _, list := range []*[]assign.Problem{&p.Problems, &p.Warnings, &p.Notes} {
		for i := range *list {
			(*list)[i].Sites = slices.DeleteFunc((*list)[i].Sites, func(id string) bool { return !sees[id] })
		}
	}
	return nil
}

func (s *Service) preview(ctx context.Context, d Draft) (*Preview, error) {
	base, err := s.o.Store.Current(ctx)
	if err != nil {
		return nil, err
	}
	p := &Preview{Base: base.ID, draft: draft{base: base, plan: base.Plan, values: base.Values}}
	var before parsed
	if base.ID > 0 {
		// What can't be read any more is no hindrance to putting something better in its place.
		if before, err = s.readVersion(base); err != nil {
			p.Notes = append(p.Notes, assign.Problem{Text: err.Error() + "; all agents are shown as changed"})
		}
	}
	if d.Plan != nil {
		p.draft.plan = *d.Plan
	}
	name := d.Name
	if name == "" {
		name = "plan"
	}
	after := parsed{}
	if after.plan, err = s.parse(name, p.draft.plan); err != nil {
		p.Problems = append(p.Problems, problemsOf(err)...)
		return p, nil
	}
	was := before.values
	if was == nil {
		was, _ = values.ParseTable(base.Values)
	}
	after.values = was
	if d.Whole {
		after.values = values.Table{}.Set(d.Values)
	} else if d.Values != nil {
		after.values = was.Set(d.Values)
	}
	p.Values = differing(was, after.values)
	p.draft.values = after.values.Text()

	fleet, err := s.fleet(ctx, before.values)
	if err != nil {
		return nil, err
	}
	var old assign.Outcome
	if before.plan != nil {
		old = before.plan.All(fleet)
	}
	fleet.Values = after.values
	now := after.plan.All(fleet)
	p.Problems, p.Notes = append(p.Problems, now.Problems...), append(p.Notes, now.Notes...)
	p.Warnings = s.beyond(&now)
	if err := s.lacking(ctx, p, &now); err != nil {
		return nil, err
	}
	return p, s.compare(ctx, p, fleet, &old, &now)
}

func differing(a, b values.Table) (n int) {
	for id, has := range a {
		for name, list := range has {
			if !slices.Equal(list, b[id][name]) {
				n++
			}
		}
	}
	for id, has := range b {
		for name := range has {
			if _, both := a[id][name]; !both {
				n++
			}
		}
	}
	return n
}

// lacking tells of secrets that checks need and nobody has entered.
func (s *Service) lacking(ctx context.Context, p *Preview, now *assign.Outcome) error {
	kept, err := s.o.Store.Secrets(ctx)
	if err != nil {
		return err
	}
	needed := map[string][]string{}
	for i := range now.Agents {
		g := &now.Agents[i]
		for _, name := range g.Secrets {
			if !slices.ContainsFunc(kept, func(k work.Secret) bool { return k.Name == name }) && !slices.Contains(needed[name], g.Site) {
				needed[name] = append(needed[name], g.Site)
			}
		}
	}
	for _, name := range slices.Sorted(keysOf(needed)) {
		p.Problems = append(p.Problems, assign.Problem{At: "secrets", Sites: needed[name],
			Text: fmt.Sprintf("secret %s is needed and not there; enter it with: communewatch-collector work secret set %s", name, name)})
	}
	return nil
}
