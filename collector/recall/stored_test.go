package recall_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"communewatch/collector/health"
	"communewatch/collector/ingest/contract"
	"communewatch/collector/recall"
	"communewatch/collector/store/embedded"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// These tests hold the two ways to the judge against each other: what ingest tells it of a batch at once, and what is
// told of the same batch when it is read back from the store.

var t0 = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

// centre takes batches in as ingest does: into the contract, the store and the judge.
type centre struct {
	t        *testing.T
	rules    health.Rules
	contract *contract.Contract
	store    *embedded.Store
	parser   *wire.Parser
	heard    []health.Observation // in order of arrival
	reports  []recall.AgentReport
}

func newCentre(t *testing.T) *centre {
	rules := health.DefaultRules()
	s, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Now: func() time.Time { return t0.Add(3 * time.Hour) }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &centre{t: t, rules: rules, contract: contract.New(rules), store: s, parser: wire.NewParser(wire.DefaultLimits())}
}

func (c *centre) Observe(obs []health.Observation) { c.heard = append(c.heard, obs...) }

func (c *centre) ObserveAgent(_, agent string, at time.Time, version string, facts map[string]float64) {
	c.reports = append(c.reports, recall.AgentReport{Agent: agent, Version: version, At: at.UTC(), Facts: facts})
}

func (c *centre) take(points []probes.Point) {
	c.t.Helper()
	var body []byte
	for i := range points {
		body = wire.Append(body, &points[i])
	}
	rows, bad := c.parser.Parse(body, time.Nanosecond, 0)
	if len(bad) > 0 {
		c.t.Fatalf("%+v", bad)
	}
	series := make([]*contract.Series, len(rows))
	for i := range rows {
		s, reason := c.contract.CheckKey(rows[i].Key)
		if reason == "" {
			_, reason = s.CheckFields(rows[i].Fields)
		}
		if reason != "" {
			c.t.Fatal(reason)
		}
		series[i] = s
	}
	if err := c.store.Append(c.t.Context(), rows); err != nil {
		c.t.Fatal(err)
	}
	new(contract.Reporter).Report(rows, series, c)
}

// verdicts joins what was heard to one observation per run, as recall tells it: by time, with all facts.
func (c *centre) verdicts() []health.Observation {
	type run struct {
		id health.CheckID
		at int64
	}
	loose := map[run][]health.Fact{}
	var out []health.Observation
	for _, o := range c.heard {
		r := run{o.Check, o.Time.UnixMilli()}
		r.id.Layer = ""
		if o.Check.Layer == "" {
			loose[r] = append(loose[r], o.Facts...)
			continue
		}
		o.Facts = append(loose[r], o.Facts...)
		o.Time = o.Time.UTC()
		out = append(out, o)
	}
	return inOrder(out)
}

func inOrder(obs []health.Observation) []health.Observation {
	obs = slices.Clone(obs)
	for i := range obs {
		obs[i].Facts = slices.Clone(obs[i].Facts)
		slices.SortFunc(obs[i].Facts, func(a, b health.Fact) int {
			return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Value, b.Value))
		})
	}
	slices.SortStableFunc(obs, func(a, b health.Observation) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Check.Target, b.Check.Target), cmp.Compare(a.Check.Agent, b.Check.Agent),
			cmp.Compare(a.Check.Kind, b.Check.Kind))
	})
	return obs
}

// compare holds what was heard live against what is told from the store, and how both are judged.
func (c *centre) compare(to time.Time) (live health.History) {
	c.t.Helper()
	r := recall.Range{Site: "s1", From: t0, To: to}
	told, err := recall.Checks(c.t.Context(), c.store, &c.rules, r)
	if err != nil {
		c.t.Fatal(err)
	}
	if diff := gocmp.Diff(c.verdicts(), inOrder(told), cmpopts.EquateEmpty()); diff != "" {
		c.t.Errorf("observations (-heard +told):\n%.3000s", diff)
	}
	live = health.Replay(c.rules, slices.Clone(c.heard), t0, to)
	if diff := gocmp.Diff(live, health.Replay(c.rules, slices.Clone(told), t0, to)); diff != "" {
		c.t.Errorf("histories (-heard +told):\n%.3000s", diff)
	}
	walked := health.NewReplayer(c.rules, t0)
	if err := recall.Walk(c.t.Context(), c.store, &c.rules, r, walked.Feed); err != nil {
		c.t.Fatal(err)
	}
	if diff := gocmp.Diff(live, walked.History(to)); diff != "" {
		c.t.Errorf("histories (-heard +walked):\n%.3000s", diff)
	}
	return live
}

// check is one check of an agent that writes rows as agents do.
type check struct {
	agent, target string
	kind          probes.Kind
	path          probes.Path
	layer         probes.Layer
	resolvers     []string
	interval      time.Duration
}

// run is the rows of one run: the probe's own with the given fields, one for each resolver, and the verdict.
func (k check) run(at time.Time, o probes.Outcome, late float64, fields ...[]probes.Field) []probes.Point {
	identity := probes.Tags{}.With("agent", k.agent).With("path", string(k.path)).With("site", "s1").With("target", k.target)
	var out []probes.Point
	for i, f := range fields {
		tags := identity
		if k.resolvers != nil {
			tags = tags.With("resolver", k.resolvers[i])
		}
		out = append(out, probes.Point{Measurement: string(k.kind), Tags: tags, Time: at, Fields: f})
	}
	verdict := []probes.Field{probes.String("outcome", o.String()), probes.Bool("up", o == probes.OutcomeOK), probes.Float("took_seconds", 0.1),
		probes.Float("late_seconds", late), probes.Seconds("interval_seconds", k.interval), probes.String("path_proof", "bound")}
	if o != probes.OutcomeOK {
		verdict = append(verdict, probes.String("error", "không trả lời: "+o.String()))
	}
	return append(out, probes.Point{Measurement: "check", Time: at, Fields: verdict,
		Tags: identity.With("kind", string(k.kind)).With("layer", string(k.layer))})
}

// weather makes the runs of a check go well, slowly, badly or not at all for stretches of time.
func (k check) weather(rng *rand.Rand, mood int, at time.Time) []probes.Point {
	late := []float64{0, 0.001, 0.004, 0.09, 0.3}[rng.IntN(5)]
	slow := 1.0
	if mood == 1 {
		slow = 100
	}
	switch k.kind {
	case probes.KindICMP:
		lost, o := int64(0), probes.OutcomeOK
		switch mood {
		case 2:
			lost = int64(rng.IntN(3))
		case 3:
			return k.run(at, probes.OutcomeTimeout, late, []probes.Field{probes.Int("sent", 10), probes.Int("received", 0), probes.Int("lost", 10), probes.Float("loss_ratio", 1)})
		case 4:
			return k.run(at, probes.OutcomeNoPermission, 0)
		}
		return k.run(at, o, late, []probes.Field{probes.Int("sent", 10), probes.Int("received", 10-lost), probes.Int("lost", lost),
			probes.Float("loss_ratio", float64(lost)/10), probes.Float("rtt_p95_seconds", 0.0021*slow*rng.Float64()), probes.Float("jitter_seconds", 0.0004*slow*rng.Float64()),
			probes.Int("df_size_bytes", 1500), probes.Bool("df_ok", mood != 2)})
	case probes.KindTCP:
		if mood >= 3 {
			return k.run(at, []probes.Outcome{probes.OutcomeRefused, probes.OutcomeUnreachable}[mood-3], late)
		}
		return k.run(at, probes.OutcomeOK, late, []probes.Field{probes.Float("connect_seconds", 0.012*slow)})
	case probes.KindDNS:
		var rows [][]probes.Field
		for i := range k.resolvers {
			f := []probes.Field{probes.Int("rcode", 0), probes.Bool("answer_ok", true)}
			if mood != 2 || i != 1 { // the second does not answer
				f = append([]probes.Field{probes.Float("query_seconds", 0.007*slow*float64(i+1)*rng.Float64())}, f...)
			}
			rows = append(rows, f)
		}
		o := probes.OutcomeOK
		if mood == 3 {
			o = probes.OutcomeUnresolved
		}
		return k.run(at, o, late, rows...)
	}
	f := []probes.Field{probes.Float("total_seconds", 0.05*slow*rng.Float64()), probes.Int("status", 200), probes.Float("cert_expiry_seconds", 86400*(15-float64(mood)))}
	if mood == 3 {
		return k.run(at, probes.OutcomeFailed, late, f)
	}
	return k.run(at, probes.OutcomeOK, late, f)
}

func TestToldIsWhatWasHeard(t *testing.T) {
	checks := []check{
		{agent: "pc", target: "gw", kind: probes.KindICMP, path: probes.PathLAN, layer: probes.LayerLAN, interval: 10 * time.Second},
		{agent: "spare", target: "gw", kind: probes.KindICMP, path: probes.PathLAN, layer: probes.LayerLAN, interval: 10 * time.Second},
		{agent: "pc", target: "anchor", kind: probes.KindICMP, path: probes.PathDedicated, layer: probes.LayerDedicated, interval: 30 * time.Second},
		{agent: "pc", target: "codec", kind: probes.KindTCP, path: probes.PathDedicated, layer: probes.LayerConference, interval: 30 * time.Second},
		{agent: "pc", target: "names", kind: probes.KindDNS, path: probes.PathBroadband, layer: probes.LayerBroadband, interval: 30 * time.Second,
			resolvers: []string{"isp", "province", "router"}},
		{agent: "pc", target: "portal", kind: probes.KindHTTP, path: probes.PathBroadband, layer: probes.LayerBroadband, interval: time.Minute},
	}
	rng := rand.New(rand.NewPCG(7, 9))
	c := newCentre(t)
	moods := make([]int, len(checks))
	const length = 2 * time.Hour
	for at := t0; at.Before(t0.Add(length)); at = at.Add(10 * time.Second) {
		var batch []probes.Point
		for i, k := range checks {
			if at.Sub(t0)%k.interval != 0 {
				continue
			}
			if rng.IntN(12) == 0 {
				moods[i] = rng.IntN(6)
			}
			if moods[i] == 5 {
				continue // silent
			}
			// The two agents measure the same gateway in the same moment.
			batch = append(batch, k.weather(rng, moods[i], at.Add(time.Duration(i/2*137)*time.Millisecond))...)
		}
		c.take(batch)
	}
	live := c.compare(t0.Add(length))
	states := map[health.State]bool{}
	for _, list := range live.Sites["s1"].Checks {
		for _, i := range list {
			states[i.State] = true
		}
	}
	if len(states) < 4 || len(live.Sites["s1"].Checks) != len(checks) {
		t.Errorf("states %v of %d checks: the test proves little", states, len(live.Sites["s1"].Checks))
	}
}

// TestRowsThatDoNotBelongTogether: what is not a whole run is told and heard alike too.
func TestRowsThatDoNotBelongTogether(t *testing.T) {
	gw := check{agent: "pc", target: "gw", kind: probes.KindICMP, path: probes.PathLAN, layer: probes.LayerLAN, interval: 30 * time.Second}
	good := []probes.Field{probes.Int("sent", 10), probes.Int("lost", 0), probes.Float("rtt_p95_seconds", 0.001)}
	slow := []probes.Field{probes.Int("sent", 10), probes.Int("lost", 0), probes.Float("rtt_p95_seconds", 0.4)}
	drop := func(p []probes.Point, field string) []probes.Point {
		v := &p[len(p)-1]
		v.Fields = slices.DeleteFunc(v.Fields, func(f probes.Field) bool { return f.Key == field })
		return p
	}
	set := func(p []probes.Point, f probes.Field) []probes.Point {
		p = drop(p, f.Key)
		p[len(p)-1].Fields = append(p[len(p)-1].Fields, f)
		return p
	}
	for _, tc := range []struct {
		name string
		edit func(run []probes.Point) []probes.Point
		want health.State // of a check all of whose slow runs but the first are edited
	}{
		{"as they are", func(p []probes.Point) []probes.Point { return p }, health.StateDegraded},
		{"no verdict: the facts prove nothing", func(p []probes.Point) []probes.Point { return p[:1] }, health.StateNoData},
		{"a verdict that does not say how it ended", func(p []probes.Point) []probes.Point { return drop(p, "outcome") }, health.StateNoData},
		{"no facts", func(p []probes.Point) []probes.Point { return p[1:] }, health.StateOK},
		{"no interval: the rules' own", func(p []probes.Point) []probes.Point { return drop(p, "interval_seconds") }, health.StateDegraded},
		{"an interval beyond all sense", func(p []probes.Point) []probes.Point { return set(p, probes.Float("interval_seconds", 1e300)) }, health.StateDegraded},
		{"no lateness: an agent from before there was any", func(p []probes.Point) []probes.Point { return drop(p, "late_seconds") }, health.StateDegraded},
		{"as late as slow", func(p []probes.Point) []probes.Point { return set(p, probes.Float("late_seconds", 0.2)) }, health.StateOK},
		{"late beyond all sense", func(p []probes.Point) []probes.Point { return set(p, probes.Float("late_seconds", 1e300)) }, health.StateDegraded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCentre(t)
			at := t0
			for i := range 20 {
				run := gw.run(at, probes.OutcomeOK, 0, good)
				if i >= 10 {
					run = tc.edit(gw.run(at, probes.OutcomeOK, 0, slow))
				}
				c.take(run)
				at = at.Add(gw.interval)
			}
			live := c.compare(at)
			site := live.Sites["s1"].Site
			if got := site[len(site)-1].State; got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestAgentsAreToldByTheirNewestReport(t *testing.T) {
	c := newCentre(t)
	for i := range 3 {
		for _, agent := range []string{"spare", "pc"} {
			c.take([]probes.Point{{Measurement: "agent", Time: t0.Add(time.Duration(i) * time.Minute),
				Tags:   probes.Tags{}.With("agent", agent).With("site", "s1"),
				Fields: []probes.Field{probes.String("version", fmt.Sprintf("v1.0.%d", i)), probes.Int("checks", int64(10*i)), probes.Float("uptime_seconds", float64(60*i))}}})
		}
	}
	want := []recall.AgentReport{c.reports[5], c.reports[4]}
	got, err := recall.Agents(t.Context(), c.store, "s1", t0, t0.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
