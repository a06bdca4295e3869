package plans_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/assign/values"
	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/plans"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/work"
	"communewatch/collector/reports"
	"communewatch/collector/seal"
	"communewatch/inventory"
	"communewatch/probes"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const planted = "planted-community-51c9"

const plan = `
values: {anchor: {type: host}}
secrets: [snmp]
templates:
  a:
    checks:
    - {name: anchor, kind: icmp, address: "${anchor}", path: dedicated, interval: 30s}
    - {name: call, kind: webrtc, address: "https://hub.example.gov.vn/whip/echo", path: dedicated}
  b: {checks: [{name: device, kind: snmp, address: 192.168.1.2, path: lan, options: {community: "${secret:snmp}"}}]}
groups:
- {name: all, all: true, templates: [a]}
- {name: some, districts: [Sông Lô], templates: [b]}
`

// record is an audit.Recorder in memory.
type record struct {
	mu      sync.Mutex
	entries []audit.Entry
}

func (r *record) Record(_ context.Context, e audit.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, e)
	return nil
}

type office struct {
	*plans.Service
	reg    *registry.Registry
	dir    string
	audit  *record
	log    *bytes.Buffer
	asked  chan []plans.Agent
	agents map[string][]string
	sites  []inventory.Site
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{dir: t.TempDir(), audit: &record{}, log: &bytes.Buffer{}, asked: make(chan []plans.Agent, 100), agents: map[string][]string{"s1": {"pc"}}}
	var err error
	if o.reg, err = registry.Open(t.Context(), filepath.Join(o.dir, "registry.db"), registry.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.reg.Close(); err != nil {
			t.Error(err)
		}
	})
	o.sites = []inventory.Site{{ID: "s1", Name: "Một", Parent: "Sông Lô"}, {ID: "s2", Name: "Hai", Parent: "Tam Đảo"}}
	o.Service = plans.New(plans.Options{
		Store: o.reg.Work(), Seal: seal.New(plans.SealFile(o.dir)), Audit: o.audit,
		Sites:  func(context.Context, time.Time) ([]inventory.Site, error) { return o.sites, nil },
		Agents: func(context.Context) (map[string][]string, error) { return o.agents, nil },
		Agreements: func(context.Context) ([]reports.Agreement, error) {
			return []reports.Agreement{{Site: "s1", Layer: probes.LayerDedicated, Contract: reports.Contract{DownMbps: 4}}}, nil
		},
		Changed: func(a []plans.Agent) { o.asked <- a },
		Log:     slog.New(slog.NewTextHandler(o.log, nil)),
	})
	return o
}

func as(t *testing.T, c people.Caller) context.Context { return people.With(t.Context(), c) }

func draft(text string) plans.Draft { return plans.Draft{Plan: &text, Base: -1} }

func (o *office) apply(t *testing.T, d plans.Draft) kept.Version {
	t.Helper()
	v, done, err := o.Apply(as(t, people.Caller{Name: "lan", Role: people.RoleAdmin}), d)
	if err != nil || !done {
		t.Fatal(v, done, err)
	}
	return v
}

func TestFromPreviewToAgentsAndBack(t *testing.T) {
	o, ctx := newOffice(t), t.Context()
	if _, err := o.For(ctx, "s1", ""); !errors.Is(err, plans.ErrNoPlan) {
		t.Error(err)
	}
	if w, _, err := o.Work(ctx, "s1", "pc", ""); w != nil || err != nil {
		t.Error(w, err)
	}
	// A secret that is needed and not there.
	p, err := o.Preview(ctx, draft(plan))
	if err != nil || len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Text, "work secret set snmp") {
		t.Fatal(p, err)
	}
	var no *plans.Refused
	if _, _, err := o.Apply(ctx, draft(plan)); !errors.As(err, &no) {
		t.Error(err)
	}
	if err := o.SetSecret(ctx, "snmp", planted); err != nil {
		t.Fatal(err)
	}
	if p, err = o.Preview(ctx, draft(plan)); err != nil || len(p.Problems) > 0 || len(p.Agents) != 2 || !p.Agents[0].Begins || p.Agents[0].SiteName != "Một" {
		t.Fatalf("%+v, %v", p, err)
	}
	one := o.apply(t, draft(plan))
	if one.By != "lan" || one.ID != 1 {
		t.Error(one)
	}
	w, tag, err := o.Work(ctx, "s1", "pc", "")
	if err != nil || w.Version != 1 || w.Secrets["snmp"] != planted || strings.Contains(w.Document, planted) || !strings.Contains(w.Document, "${secret:snmp}") {
		t.Fatal(w, err)
	}
	if again, same, err := o.Work(ctx, "s1", "pc", tag); err != nil || same != tag || again.Document != "" || again.Secrets != nil {
		t.Error("who has it gets it again:", again, err)
	}
	if other, _, err := o.Work(ctx, "s2", "x", ""); err != nil || len(other.Secrets) > 0 {
		t.Error("a secret went to a site that does not need it:", other, err)
	}
	if unknown, _, err := o.Work(ctx, "s9", "x", ""); unknown != nil || err != nil {
		t.Error(unknown, err)
	}
	if s, err := o.For(ctx, "s1", "pc"); err != nil || s.ETag != tag || len(s.Checks) != 2 || s.SiteName != "Một" {
		t.Error(s, err)
	}
	// A new version gives the other agents what they have already.
	o.apply(t, draft(strings.Replace(plan, "192.168.1.2", "192.168.1.3", 1)))
	if _, after, _ := o.Work(ctx, "s1", "pc", ""); after == tag {
		t.Error("another document has the same ETag")
	}
	if back, done, err := o.Rollback(ctx, 1, "wrong device"); err != nil || !done || back.ID != 3 || back.Restores != 1 {
		t.Fatal(back, done, err)
	}
	again, after, err := o.Work(ctx, "s1", "pc", "")
	if err != nil || after != tag || again.Document != w.Document {
		t.Error("a rollback restores what was there to the byte:", err)
	}
	// A new secret is other work, and an ETag does not tell which.
	if err := o.SetSecret(ctx, "snmp", planted); err != nil {
		t.Fatal(err)
	}
	if _, after, _ := o.Work(ctx, "s1", "pc", tag); after == tag {
		t.Error("a secret was set and nobody gets it")
	}
	var acts []string
	for _, e := range o.audit.entries {
		acts = append(acts, e.Who+" "+e.Act+" "+e.What)
	}
	want := []string{"system work.secret.set snmp", "lan work.apply version 1", "lan work.apply version 2", "system work.rollback version 3", "system work.secret.set snmp"}
	if !slices.Equal(acts, want) {
		t.Errorf("%q", acts)
	}
}

func TestValuesGoBackWithThePlan(t *testing.T) {
	o, ctx := newOffice(t), t.Context()
	text := strings.Replace(plan, "districts: [Sông Lô]", "districts: [nowhere]", 1)
	o.apply(t, plans.Draft{Plan: &text, Values: values.Table{"s1": {"anchor": {"10.0.0.1"}}}, Base: 0})
	first, _, _ := o.Work(ctx, "s1", "pc", "")
	p, err := o.Preview(ctx, plans.Draft{Values: values.Table{"s1": {"anchor": {"10.0.0.2"}}, "s2": {"anchor": {"10.0.0.3"}}}, Base: -1})
	if err != nil || p.Values != 2 || len(p.Agents) != 2 || p.Agents[0].Changed[0].Fields[0].After != "10.0.0.2" {
		t.Fatalf("%+v, %v", p, err)
	}
	o.apply(t, plans.Draft{Values: values.Table{"s1": {"anchor": {"10.0.0.2"}}}, Base: 1})
	if got, err := o.Values(ctx); err != nil || got["s1"]["anchor"][0] != "10.0.0.2" {
		t.Error(got, err)
	}
	if _, _, err := o.Rollback(ctx, 1, ""); err != nil {
		t.Fatal(err)
	}
	if now, _, _ := o.Work(ctx, "s1", "pc", ""); now.Document != first.Document {
		t.Error(now.Document)
	}
	if _, _, err := o.Apply(ctx, plans.Draft{Values: values.Table{"s1": {"anchor": {"127.0.0.1"}}}, Base: -1}); err == nil || !strings.Contains(err.Error(), "the agent's own machine") {
		t.Error("a list led agents to themselves:", err)
	}
	if _, _, err := o.Apply(ctx, plans.Draft{Values: values.Table{"s1": {"anchor": {"10.0.0.9"}}}, Base: 1}); !errors.Is(err, kept.ErrOvertaken) {
		t.Error(err)
	}
	if _, _, err := o.Rollback(ctx, 99, ""); !errors.Is(err, kept.ErrUnknownVersion) {
		t.Error(err)
	}
}

func TestWhatALineIsTakenOf(t *testing.T) {
	o := newOffice(t)
	text := strings.Replace(plan, "districts: [Sông Lô]", "districts: [nowhere]", 1)
	p, err := o.Preview(t.Context(), draft(text))
	if err != nil || len(p.Lines) != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	l := p.Lines[0] // of 4 Mbit/s; a call takes 2.2
	if l.Site != "s1" || !l.OverPeak || l.OverAverage || l.After.Peak < 0.5 || l.After.Peak > 0.6 || l.After.MediaMinutesPerDay != 24 || l.Before.UpBPS != 0 {
		t.Errorf("%+v", l)
	}
	if l := p.Lines[1]; l.OverPeak || l.After.Peak != 0 {
		t.Errorf("of a line that nobody described: %+v", l)
	}
}

func TestWhoMay(t *testing.T) {
	o := newOffice(t)
	text := strings.Replace(plan, "districts: [Sông Lô]", "districts: [nowhere]", 1)
	for _, c := range []people.Caller{{}, {Name: "v", Role: people.RoleViewer}, {Name: "o", Role: people.RoleOperator}, {Name: "p", Role: people.RoleProcurement}, {Name: "a", Role: people.RoleAdmin, Districts: []string{"Sông Lô"}}} {
		ctx := as(t, c)
		_, _, err := o.Apply(ctx, draft(text))
		_, _, back := o.Rollback(ctx, 1, "")
		_, key := o.ChangeKey(ctx)
		for what, err := range map[string]error{"apply": err, "rollback": back, "set": o.SetSecret(ctx, "x", "y"), "remove": o.RemoveSecret(ctx, "x"), "key": key} {
			if !errors.Is(err, plans.ErrForbidden) {
				t.Errorf("%s may %s: %v", c.Role, what, err)
			}
		}
		if _, err := o.Preview(ctx, draft(text)); errors.Is(err, plans.ErrForbidden) != !c.May(people.ActFleet) {
			t.Errorf("%s previews: %v", c.Role, err)
		}
	}
	o.apply(t, draft(text))
	district := as(t, people.Caller{Name: "a", Role: people.RoleOperator, Districts: []string{"Sông Lô"}})
	if _, err := o.For(district, "s2", ""); !errors.Is(err, plans.ErrUnknownSite) {
		t.Error("a site of another district:", err)
	}
	p, err := o.Preview(district, draft(strings.Replace(text, "interval: 30s", "interval: 1m", 1)))
	if err != nil || len(p.Lines) > 1 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, a := range p.Agents {
		if a.Site != "s1" {
			t.Error(a.Site)
		}
	}
}

func TestSecretsAreNowhereToBeSeen(t *testing.T) {
	o, ctx := newOffice(t), t.Context()
	if err := o.SetSecret(ctx, "snmp", planted); err != nil {
		t.Fatal(err)
	}
	v := o.apply(t, draft(plan))
	for range 2 {
		if n, err := o.ChangeKey(ctx); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	if w, _, err := o.Work(ctx, "s1", "pc", ""); err != nil || w.Secrets["snmp"] != planted {
		t.Fatal(err)
	}
	list, err := o.Secrets(ctx)
	if err != nil || len(list) != 1 || list[0].Sites != 1 || !list[0].Listed {
		t.Error(list, err)
	}
	if err := o.RemoveSecret(ctx, "snmp"); !errors.Is(err, plans.ErrSecretUsed) {
		t.Error(err)
	}
	for _, bad := range []string{"", "a\nb", strings.Repeat(planted, 400)} {
		if err := o.SetSecret(ctx, "other", bad); err == nil || strings.Contains(err.Error(), planted) {
			t.Error(err)
		}
	}
	s, _ := o.For(ctx, "s1", "pc")
	p, _ := o.Preview(ctx, draft(plan))
	seen := fmt.Sprintf("%+v %+v %+v %+v %+v %s", v, list, s, p, o.audit.entries, o.log)
	if strings.Contains(seen, planted) {
		t.Error("the secret is shown")
	}
	files, err := os.ReadDir(o.dir)
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(o.dir, f.Name()))
		if err != nil {
			continue // a socket
		}
		if bytes.Contains(data, []byte(planted)) {
			t.Errorf("the secret lies in %s", f.Name())
		}
	}
	// Without the key agents go on with what they have, and are given nothing halfway.
	if err := os.Rename(plans.SealFile(o.dir), filepath.Join(o.dir, "away")); err != nil {
		t.Fatal(err)
	}
	fresh := plans.Of(o.reg, o.dir, plans.Options{})
	if _, err := o.reg.ImportSites(ctx, o.sites, false); err != nil {
		t.Fatal(err)
	}
	if w, _, err := fresh.Work(ctx, "s1", "pc", ""); !errors.Is(err, seal.ErrKey) || w != nil {
		t.Error(w, err)
	}
}

// Whoever changes the plan, also a program beside this one, the agents whose work changes are told, and no others.
func TestAgentsAreTold(t *testing.T) {
	o := newOffice(t)
	if err := o.SetSecret(t.Context(), "snmp", planted); err != nil {
		t.Fatal(err)
	}
	o.apply(t, draft(plan))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- o.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	want := func(agents ...plans.Agent) {
		t.Helper()
		select {
		case got := <-o.asked:
			if !slices.Equal(got, agents) {
				t.Errorf("told %v, want %v", got, agents)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("nobody was told, want %v", agents)
		}
	}
	// Run has no sign that it began; a change right after its beginning may be part of it, so the first is made until it is heard.
	text := plan
	for i := 3; ; i++ {
		text = strings.Replace(plan, "192.168.1.2", fmt.Sprintf("192.168.1.%d", i), 1)
		o.apply(t, draft(text))
		select {
		case got := <-o.asked:
			if !slices.Equal(got, []plans.Agent{{Site: "s1", Name: "pc"}}) {
				t.Errorf("told %v", got)
			}
		case <-time.After(100 * time.Millisecond):
			continue
		}
		break
	}
	beside := plans.New(plans.Options{Store: o.reg.Work(), Seal: seal.New(plans.SealFile(o.dir)), Sites: func(context.Context, time.Time) ([]inventory.Site, error) { return o.sites, nil }})
	if err := beside.SetSecret(t.Context(), "snmp", "other"); err != nil {
		t.Fatal(err)
	}
	want(plans.Agent{Site: "s1", Name: "pc"})
	o.apply(t, draft(strings.Replace(text, "groups:", "groups:\n- {name: more, sites: [s2], templates: [b]}", 1)))
	want(plans.Agent{Site: "s2"})
}

// TestThePlansTextIsForWhoSeesAllDistricts: it names sites and addresses of every district.
func TestThePlansTextIsForWhoSeesAllDistricts(t *testing.T) {
	o := newOffice(t)
	v := o.apply(t, draft("templates: {a: {checks: [{name: x, kind: icmp, path: lan, address: 10.1.1.1}]}}\nsites: {s1: {templates: [a]}}\n"))
	one := as(t, people.Caller{Name: "an", Role: people.RoleOperator, Districts: []string{"Tam Đảo"}})
	all := as(t, people.Caller{Name: "lan", Role: people.RoleOperator})
	for _, get := range []func(context.Context) (kept.Version, error){o.Current, func(ctx context.Context) (kept.Version, error) { return o.Version(ctx, v.ID) }} {
		if got, err := get(one); err != nil || got.ID != v.ID || got.Plan != "" || got.Values != "" {
			t.Error(err, got)
		}
		if got, err := get(all); err != nil || !strings.Contains(got.Plan, "s1") {
			t.Error(err, got)
		}
	}
}
