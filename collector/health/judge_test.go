package health

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"communewatch/collector/health/rules"
	"communewatch/probes"
)

// t0 is a Monday, 08:00 in Vietnam.
var t0 = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

const every = 30 * time.Second

var ping = CheckID{Site: "s1", Agent: "pc", Target: "gw", Kind: probes.KindICMP, Path: probes.PathLAN, Layer: probes.LayerLAN}

// result makes the observation that a letter stands for; see timeline.
func result(id CheckID, at time.Time, letter byte) []Observation {
	o := Observation{Check: id, Time: at, Interval: every, Proof: probes.ProofBound}
	lost, rtt := 0.0, 0.001
	switch letter {
	case 'x':
		o.Outcome, o.Error, lost = probes.OutcomeTimeout, "no answer", 10
	case '!':
		o.Outcome, o.Error = probes.OutcomeNoPermission, "ping sockets are closed"
	case 's':
		rtt = 0.2
	case 'l':
		rtt, o.Late = 0.2, 100*time.Millisecond
	case 'm':
		rtt, o.Late = 0.2, 70*time.Millisecond
	case 'X':
		o.Outcome, o.Error, o.Late, lost = probes.OutcomeTimeout, "no answer", time.Second, 10
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		lost = float64(letter - '0')
	}
	facts := id
	facts.Layer = "" // as ingest sees the probe's own row
	return []Observation{
		{Check: facts, Time: at, Facts: []Fact{{Measurement: "icmp", Field: "sent", Value: 10}, {Measurement: "icmp", Field: "lost", Value: lost}, {Measurement: "icmp", Field: "rtt_p95_seconds", Value: rtt}}},
		o,
	}
}

// tickTo ticks as the collector does, often enough, until to.
func tickTo(j *Judge, to time.Time) (all []Transition) {
	for at := time.UnixMilli(j.now).Add(5 * time.Second); at.Before(to); at = at.Add(5 * time.Second) {
		all = append(all, j.Tick(at)...)
	}
	return append(all, j.Tick(to)...)
}

var letters = map[State]byte{StateNone: ' ', StateMuted: 'm', StateOK: 'o', StateNoData: 'n', StateDegraded: 'd', StateDown: 'D'}

// timeline plays one letter per run, 30 s apart, with a Tick every second between, and returns the state shown after
// each run. Letters: '.' good, 'x' timeout, '!' the agent may not, 's' slow, '1'..'9' packets lost of ten, '-' nothing;
// 'l' slow by no more than the agent was late, 'm' by more than that, 'X' timeout of a late agent.
func timeline(t *testing.T, r Rules, runs string, start time.Time) string {
	t.Helper()
	j := New(r, start)
	var out strings.Builder
	for i := range len(runs) {
		at := start.Add(time.Duration(i) * every)
		if runs[i] != '-' {
			j.Observe(result(ping, at, runs[i]))
		}
		_, checks, _ := j.Site("s1")
		if len(checks) == 0 {
			out.WriteByte(' ')
		} else {
			out.WriteByte(letters[checks[0].State])
		}
		for s := range 30 {
			j.Tick(at.Add(time.Duration(s+1) * time.Second))
		}
	}
	return out.String()
}

func TestTimeline(t *testing.T) {
	for _, tc := range []struct{ name, runs, want string }{
		{"good from the first run on", "....", "oooo"},
		{"one bad run is a blip", "..x...", "oooooo"},
		{"two bad runs are a fault, two good ones its end", "..xx....", "oooDDooo"},
		{"a first bad run is not believed", "x...", "nooo"},
		{"a first bad run that lasts is", "xx..", "nDDo"},
		{"every other run bad is not down", ".x.x.x.x", "oooooooo"},
		{"slow twice is degraded", "..ss...", "oooddoo"},
		{"slow, then down: at least degraded has lasted", "..sx", "oood"},
		{"down, then slow: better, but not well", "..xxsss..", "oooDDdddo"},
		{"slow because the agent was late is no evidence", "..llll", "oooooo"},
		{"slower than its lateness explains is", "..mmm", "ooodd"},
		{"no lateness explains a timeout", "..XX", "oooD"},
		{"late runs count as good ones", "..ssll", "oooddo"},
		{"agent's own trouble is never red", "..!!!!..", "ooonnnoo"},
		{"own trouble during an outage says nothing about it", "..xx!!..", "oooDDnoo"},
		{"one own trouble is no news", "..!..!..", "oooooooo"},
		{"own trouble does not count between bad runs", "..x!x.", "ooooDD"},
		{"own trouble from the start", "!!!.", "nnno"},
		{"silence after 2.5 intervals and 20 s: seen at the fourth missing run", "..-----", "ooooonn"},
		{"a good run ends silence", "..-----..", "ooooonnoo"},
		{"a bad run after silence has to last", "..-----xx", "ooooonnnD"},
		{"silence after down is no data, not down", ".xx-----", "ooDDDDnn"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := timeline(t, DefaultRules(), tc.runs, t0); got != tc.want {
				t.Errorf("runs %q\n got %q\nwant %q", tc.runs, got, tc.want)
			}
		})
	}
}

func TestLossIsJudgedOverSummedCounts(t *testing.T) {
	for _, tc := range []struct{ name, runs, want string }{
		{"one lost of ten is 10 % of nothing", ".....1.....", "ooooooooooo"},
		{"one bad burst is one burst", ".....9.....", "ooooooooooo"},
		{"two bursts with losses are loss", "....1.1", "oooooo" + "d"},
		{"one lost in every burst", "..111111", "oooddddd"},
		{"loss goes when luck can't explain it: at 7.5 % after 4 clean runs, then 2 good ones", "..111111......", "ooodddddddddoo"},
		{"light loss is remembered longer than heavy", "..111.......", "ooodddddddoo"},
		{"heavy loss is forgotten fast", "..99999....", "ooodddddooo"},
		{"losses of the outage itself are not loss", "....xxxx5......", "oooooDDDDoooooo"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := timeline(t, DefaultRules(), tc.runs, t0); got != tc.want {
				t.Errorf("runs %q\n got %q\nwant %q", tc.runs, got, tc.want)
			}
		})
	}
}

func TestFlappingIsHeld(t *testing.T) {
	r := DefaultRules()
	got := timeline(t, r, "..xx..xx..xx................", t0)
	// The third time down, two good runs are not enough: it takes Flapping.Hold (5 min) from the first good run on.
	want := "oooDDooDDooDDDDDDDDDDDoooooo"
	if got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	r.Flapping.Changes = 0
	if got := timeline(t, r, "..xx..xx..xx..", t0); got != "oooDDooDDooDDo" {
		t.Errorf("without damping got %q", got)
	}
}

func TestReasons(t *testing.T) {
	play := func(runs string) (*Judge, CheckStatus, SiteStatus) {
		j := New(DefaultRules(), t0)
		for i := range len(runs) {
			j.Observe(result(ping, t0.Add(time.Duration(i)*every), runs[i]))
		}
		site, checks, _ := j.Site("s1")
		return j, checks[0], site
	}
	_, c, s := play("....1111")
	want := Reason{Code: ReasonThreshold, Check: ping, Field: "icmp.loss_ratio", Value: 4. / 80, Limit: 0.01}
	if diff := cmp.Diff(want, c.Reason); diff != "" {
		t.Error(diff)
	}
	if s.Reason != want || s.Layers[0].Reason != want || s.State != StateDegraded {
		t.Errorf("the site does not say why: %+v", s)
	}
	if _, c, _ = play("....9999"); c.Reason.Limit != 0.05 || c.State != StateDegraded {
		t.Errorf("45 %% loss is bad, and names the limit of bad: %+v", c.Reason)
	}
	if _, c, _ = play("..xx"); c.Reason.Code != ReasonOutcome || c.Reason.Outcome != probes.OutcomeTimeout || c.Reason.Text != "no answer" {
		t.Errorf("down: %+v", c.Reason)
	}
	_, c, s = play("..!!")
	if c.Reason.Code != ReasonAgent || c.State != StateNoData || s.Agents[0].Trouble.Outcome != probes.OutcomeNoPermission {
		t.Errorf("own trouble: %+v %+v", c, s.Agents)
	}
	if _, c, s = play("..!!."); c.State != StateOK || s.Agents[0].Trouble.Code != ReasonNone {
		t.Errorf("trouble is over: %+v %+v", c, s.Agents)
	}
	j, _, _ := play("..")
	tickTo(j, t0.Add(time.Hour))
	if _, cs, _ := j.Site("s1"); cs[0].Reason.Code != ReasonSilent || !cs[0].LastSeen.Equal(t0.Add(every)) ||
		!cs[0].Since.Equal(t0.Add(every+75*time.Second+20*time.Second)) {
		t.Errorf("silence begins when it is due, however late the tick: %+v", cs[0])
	}
}

func TestOwnTroubleIsNeverRed(t *testing.T) {
	for o := probes.OutcomeOK; ; o++ {
		if _, known := probes.ParseOutcome(o.String()); !known {
			break
		}
		j := New(DefaultRules(), t0)
		for i := range 20 {
			j.Observe([]Observation{{Check: ping, Time: t0.Add(time.Duration(i) * every), Outcome: o, Interval: every}})
		}
		s, _, _ := j.Site("s1")
		want := StateDown
		if o.Own() {
			want = StateNoData
		}
		if o == probes.OutcomeOK {
			want = StateOK
		}
		if s.State != want {
			t.Errorf("%v: site is %v, want %v", o, s.State, want)
		}
	}
}

func TestLowerLimitsAndTruths(t *testing.T) {
	for _, tc := range []struct {
		kind  probes.Kind
		field string
		value float64
		want  State
	}{
		{"http", "cert_expiry_seconds", 13 * 86400, StateDegraded},
		{"http", "cert_expiry_seconds", 14 * 86400, StateOK},
		{"http", "cert_expiry_seconds", -5, StateDegraded},
		{"http", "total_seconds", 2.9, StateOK},
		{"http", "total_seconds", 3, StateDegraded},
		{"dns", "query_seconds", 0.5, StateDegraded},
		{"tcp", "connect_seconds", 1.1, StateDegraded},
		{"icmp", "df_ok", 0, StateDegraded},
		{"icmp", "df_ok", 1, StateOK},
		{"icmp", "jitter_seconds", 0.021, StateDegraded},
		{"icmp", "rtt_max_seconds", 9, StateOK}, // no rule looks at it
	} {
		id := ping
		id.Kind = tc.kind
		j := New(DefaultRules(), t0)
		for i := range 3 {
			j.Observe([]Observation{{Check: id, Time: t0.Add(time.Duration(i) * every), Interval: every,
				Facts: []Fact{{Measurement: string(tc.kind), Field: tc.field, Value: tc.value}}}})
		}
		if s, _, _ := j.Site("s1"); s.State != tc.want {
			t.Errorf("%s.%s = %v: %v, want %v", tc.kind, tc.field, tc.value, s.State, tc.want)
		}
	}
}

func TestWorstRowOfARunCounts(t *testing.T) {
	id := ping
	id.Kind = probes.KindDNS
	j := New(DefaultRules(), t0)
	for i := range 3 {
		at := t0.Add(time.Duration(i) * every)
		for _, v := range []float64{0.01, 0.9, 0.02} { // three resolvers, three rows
			facts := id
			facts.Layer = ""
			j.Observe([]Observation{{Check: facts, Time: at, Facts: []Fact{{Measurement: "dns", Field: "query_seconds", Value: v}}}})
		}
		j.Observe([]Observation{{Check: id, Time: at, Interval: every}})
	}
	if s, _, _ := j.Site("s1"); s.Reason.Value != 0.9 {
		t.Errorf("want the slow resolver's 0.9 s, got %+v", s.Reason)
	}
}

func TestOverridesComeFirst(t *testing.T) {
	lax := 0.5
	r := DefaultRules()
	r.Overrides = []rules.Limit{{Field: "icmp.rtt_p95_seconds", Sites: []string{"s1"}, Target: "gw", Degraded: &lax}}
	if got := timeline(t, r, "ssss", t0); got != "oooo" {
		t.Errorf("override not used: %q", got)
	}
	r.Overrides[0].Target = "other"
	if got := timeline(t, r, "ssss", t0); got != "nddd" {
		t.Errorf("override of another target used: %q", got)
	}
	down := 0.15
	r.Overrides = []rules.Limit{{Field: "icmp.rtt_p95_seconds", Down: &down}}
	if got := timeline(t, r, "ssss", t0); got != "nDDD" {
		t.Errorf("a limit of down is not kept: %q", got)
	}
}

func TestOldAndRepeatedObservationsChangeNothing(t *testing.T) {
	j := New(DefaultRules(), t0)
	for i := range 4 {
		j.Observe(result(ping, t0.Add(time.Duration(i)*every), '.'))
	}
	tickTo(j, t0.Add(2*time.Minute))
	before, checks, _ := j.Site("s1")
	for range 5 {
		for i := range 4 {
			j.Observe(result(ping, t0.Add(time.Duration(i)*every), 'x'))
		}
	}
	after, checksAfter, _ := j.Site("s1")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(checks, checksAfter); diff != "" {
		t.Error(diff)
	}
}

// site plays several checks of one site; each letter is a check's state, as in timeline.
func siteOf(t *testing.T, layer probes.Layer, states string) LayerStatus {
	t.Helper()
	j := New(DefaultRules(), t0)
	for i := range 8 {
		for c := range len(states) {
			id := ping
			id.Target, id.Layer = fmt.Sprintf("t%02d", c), layer
			if states[c] == '-' && i > 1 {
				continue
			}
			letter := states[c]
			if letter == '-' {
				letter = '.'
			}
			j.Observe(result(id, t0.Add(time.Duration(i)*every), letter))
		}
		tickTo(j, t0.Add(time.Duration(i)*every))
	}
	s, _, _ := j.Site("s1")
	for i, name := range probes.Layers() {
		if name == layer {
			if s.State != s.Layers[i].State {
				t.Errorf("site %v, its only layer %v", s.State, s.Layers[i].State)
			}
			return s.Layers[i]
		}
		if s.Layers[i].State != StateNone {
			t.Errorf("layer %s without checks is %v", name, s.Layers[i].State)
		}
	}
	return LayerStatus{}
}

func TestLayers(t *testing.T) {
	for _, tc := range []struct {
		checks string
		want   State
		reason ReasonCode
	}{
		{"...", StateOK, ReasonNone},
		{"xxx", StateDown, ReasonOutcome},
		{"..x", StateDegraded, ReasonOutcome},
		{"..s", StateDegraded, ReasonThreshold},
		{".sx", StateDegraded, ReasonOutcome},
		{"---", StateNoData, ReasonSilent},
		{"!!!", StateNoData, ReasonAgent},
		{"..-", StateOK, ReasonNone},
		{".-", StateOK, ReasonNone},
		{".--", StateNoData, ReasonSilent},
		{"x-", StateDown, ReasonOutcome},
		{"x--", StateNoData, ReasonSilent},
	} {
		if got := siteOf(t, probes.LayerDedicated, tc.checks); got.State != tc.want || got.Reason.Code != tc.reason {
			t.Errorf("%q: %v (%s), want %v (%s)", tc.checks, got.State, got.Reason.Code, tc.want, tc.reason)
		}
	}
}

func TestSiteIsItsWorstLayer(t *testing.T) {
	j := New(DefaultRules(), t0)
	for i := range 8 {
		for layer, letter := range map[probes.Layer]byte{probes.LayerLAN: '.', probes.LayerBroadband: 's', probes.LayerDedicated: 'x'} {
			id := ping
			id.Layer, id.Target = layer, string(layer)
			if layer == probes.LayerBroadband {
				letter = '9'
			}
			j.Observe(result(id, t0.Add(time.Duration(i)*every), letter))
		}
	}
	s, _, _ := j.Site("s1")
	var got []string
	for _, l := range s.Layers {
		got = append(got, l.State.String())
	}
	if diff := cmp.Diff([]string{"ok", "degraded", "down", "none"}, got); diff != "" || s.State != StateDown {
		t.Errorf("site %v %s", s.State, diff)
	}
}

func TestNeverSeen(t *testing.T) {
	j := New(DefaultRules(), t0)
	j.SetSites([]string{"s2", "s1"})
	sites := j.Sites()
	if len(sites) != 2 || sites[0].Site != "s1" || sites[0].State != StateNoData || sites[0].Reason.Code != ReasonNeverSeen || !sites[0].LastSeen.IsZero() {
		t.Fatalf("%+v", sites)
	}
	j.Observe(result(ping, t0, '.'))
	if s, _, _ := j.Site("s1"); s.State != StateOK || s.LastSeen != t0 {
		t.Errorf("%+v", s)
	}
	j.SetSites([]string{"s1"})
	if got := j.Sites(); len(got) != 1 {
		t.Errorf("a site that is not listed and never reported stays: %+v", got)
	}
}

func TestForgottenCheck(t *testing.T) {
	for _, tc := range []struct {
		agentReports bool
		want         int
	}{{true, 1}, {false, 2}} {
		j := New(DefaultRules(), t0)
		old := ping
		old.Target = "removed"
		j.Observe(result(old, t0, '.'))
		for i := range 26 * 12 {
			at := t0.Add(time.Duration(i) * 5 * time.Minute)
			if tc.agentReports || i < 10 {
				j.Observe(result(ping, at, '.'))
			}
			tickTo(j, at)
		}
		if _, checks, _ := j.Site("s1"); len(checks) != tc.want {
			t.Errorf("agent reports %v: %d checks, want %d", tc.agentReports, len(checks), tc.want)
		}
	}
}

func TestMaintenanceMutes(t *testing.T) {
	r := DefaultRules()
	r.Maintenance = []rules.Maintenance{{Sites: []string{"s1"}, From: t0.Add(90 * time.Second), To: t0.Add(4 * time.Minute), Note: "đổi bộ chia mạng"}}
	got := timeline(t, r, "..xxxxxxxxxx....", t0)
	// Runs at 0:00, 0:30, ...: muted from 1:30 (judged before the run of 2:00) to 4:00, then what the results say.
	if want := "oooDmmmmmDDDDooo"; got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	j := New(r, t0)
	j.Observe(result(ping, t0, '.'))
	tickTo(j, t0.Add(2*time.Minute))
	if s, _, _ := j.Site("s1"); s.State != StateMuted || s.Reason.Text != "đổi bộ chia mạng" || !s.Since.Equal(t0.Add(90*time.Second)) {
		t.Errorf("%+v", s)
	}
	r.Maintenance[0].Sites = []string{"s2"}
	if got := timeline(t, r, "..xxxxx", t0); strings.Contains(got, "m") {
		t.Errorf("muted by another site's maintenance: %q", got)
	}
}

func TestOfficeHours(t *testing.T) {
	r := DefaultRules()
	r.OfficeHours = []rules.OfficeHours{{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "07:30", To: "17:00", Holidays: []string{"2026-11-24"}}}
	local := time.FixedZone("ICT", 7*3600)
	j := New(r, t0)
	state := func(at time.Time) string {
		tickTo(j, at.Add(time.Millisecond))
		s, _, _ := j.Site("s1")
		return s.State.String()
	}
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, local) }
	j.Observe(result(ping, at(23, 16, 59), '.'))
	if got := state(at(23, 16, 59)); got != "ok" {
		t.Errorf("16:59: %s", got)
	}
	if got := state(at(23, 17, 5)); got != "muted" {
		t.Errorf("switched off at 17:00: %s", got)
	}
	if got := state(at(24, 10, 0)); got != "muted" {
		t.Errorf("silent on a holiday: %s", got)
	}
	if got := state(at(25, 7, 31)); got != "muted" {
		t.Errorf("just opened, machines are starting: %s", got)
	}
	if got := state(at(25, 7, 32)); got != "no_data" {
		t.Errorf("open and silent: %s", got)
	}
	if got := state(at(25, 17, 1)); got != "muted" {
		t.Errorf("closed again: %s", got)
	}
	for i := range 3 {
		j.Observe(result(ping, at(25, 20, 0).Add(time.Duration(i)*every), 'x'))
	}
	if got := state(at(25, 20, 1)); got != "down" {
		t.Errorf("results that come at night are judged: %s", got)
	}
	if got := state(at(25, 20, 5)); got != "muted" {
		t.Errorf("and silence at night is not a fault: %s", got)
	}
}

// life plays random weather for a while, live: results arrive at once and in order, some of them twice, with a tick
// at every second and every arrival.
func life(r Rules, seed uint64, length time.Duration) (stored []Observation, live []Transition) {
	rng := rand.New(rand.NewPCG(seed, 1))
	j := newJudge(rules.Compile(r), 0, t0.UnixMilli(), shardCount)
	type c struct {
		id    CheckID
		mood  int
		phase time.Duration
		step  time.Duration
	}
	var checks []*c
	for s := range 2 {
		for i := range 5 {
			id := ping
			id.Site, id.Target, id.Layer = fmt.Sprintf("s%d", s), fmt.Sprintf("t%d", i), probes.Layers()[i%4]
			step := []time.Duration{5 * time.Second, every, time.Minute}[i%3]
			checks = append(checks, &c{id: id, step: step, phase: time.Duration(rng.IntN(int(step/time.Millisecond))) * time.Millisecond})
		}
	}
	for sec := time.Duration(0); sec < length; sec += time.Second {
		var batch []Observation
		for _, c := range checks {
			if rng.IntN(200) == 0 {
				c.mood = rng.IntN(6)
			}
			if (sec % c.step) != c.phase.Truncate(time.Second) {
				continue
			}
			letter := "..x.!-"[c.mood]
			if c.mood == 3 {
				letter = ".1s.x5lm"[rng.IntN(8)]
			}
			if letter == '-' {
				continue
			}
			at := t0.Add(sec + c.phase%time.Second)
			got := result(c.id, at, letter)
			got[1].Interval = c.step
			batch = append(batch, got...)
		}
		sortObservations(batch)
		for i := range batch {
			live = append(live, j.Tick(batch[i].Time)...)
			j.Observe(batch[i : i+1])
		}
		stored = append(stored, batch...)
		if rng.IntN(4) == 0 {
			j.Observe(batch) // delivered twice
		}
		live = append(live, j.Tick(t0.Add(sec+time.Second))...)
	}
	return stored, live
}

func TestReplayEqualsLife(t *testing.T) {
	r := DefaultRules()
	r.Maintenance = []rules.Maintenance{{Sites: []string{"s1"}, From: t0.Add(20 * time.Minute), To: t0.Add(30 * time.Minute)}}
	r.OfficeHours = []rules.OfficeHours{{Days: []string{"mon"}, From: "07:30", To: "08:45"}}
	length := 90 * time.Minute
	for seed := range uint64(6) {
		stored, live := life(r, seed, length)
		rand.Shuffle(len(stored), func(a, b int) { stored[a], stored[b] = stored[b], stored[a] })
		got := Replay(r, stored, t0, t0.Add(length))
		want := &Replayer{judge: newJudge(rules.Compile(r), 0, 0, 1), from: t0, sites: map[string]*SiteHistory{}}
		for _, tr := range live {
			want.take(tr)
		}
		if diff := cmp.Diff(want.History(t0.Add(length)).Sites, got.Sites); diff != "" {
			t.Fatalf("seed %d: the replay differs from the life (-live +replay):\n%s", seed, diff)
		}
		states := map[State]bool{}
		for _, s := range got.Sites {
			last := t0
			for _, i := range s.Site {
				if !i.From.Equal(last) || !i.To.After(i.From) {
					t.Fatalf("intervals do not touch: %+v", s.Site)
				}
				last = i.To
				states[i.State] = true
			}
			if !last.Equal(t0.Add(length)) {
				t.Fatalf("intervals end at %v", last)
			}
		}
		if len(states) < 4 {
			t.Fatalf("seed %d: only %d states seen; the test tests nothing", seed, len(states))
		}
	}
}

func TestVersionsAndSnapshots(t *testing.T) {
	j := New(DefaultRules(), t0)
	j.Observe(result(ping, t0, '.'))
	a, v := j.Since(0)
	if len(a) != 1 {
		t.Fatal(a)
	}
	if b, _ := j.Since(v); len(b) != 0 {
		t.Errorf("changed without a reason: %+v", b)
	}
	j.Observe(result(ping, t0.Add(5*time.Second), '.'))
	if b, _ := j.Since(v); len(b) != 0 {
		t.Errorf("a newer run alone makes it a changed site at once: %+v", b)
	}
	j.Observe(result(ping, t0.Add(30*time.Second), '.'))
	if b, _ := j.Since(v); len(b) != 1 || !b[0].LastSeen.Equal(t0.Add(30*time.Second)) {
		t.Errorf("last seen never moves: %+v", b)
	}
	x, y := j.Sites(), j.Sites()
	if &x[0] != &y[0] {
		t.Error("unchanged snapshot built twice")
	}
}

func TestAgentReports(t *testing.T) {
	j := New(DefaultRules(), t0)
	facts := map[string]float64{"spool_batches": 3}
	j.ObserveAgent("s1", "pc", t0, "v1.2.3", facts)
	facts["spool_batches"] = 9
	j.ObserveAgent("s1", "pc", t0.Add(-time.Minute), "v1.0.0", facts)
	s, _, _ := j.Site("s1")
	if len(s.Agents) != 1 || s.Agents[0].Version != "v1.2.3" || s.Agents[0].Facts["spool_batches"] != 3 {
		t.Errorf("%+v", s.Agents)
	}
}

func benchmarkInput(sites, checks int) []Observation {
	var obs []Observation
	for s := range sites {
		for c := range checks {
			id := CheckID{Site: fmt.Sprintf("s%05d", s), Agent: "pc", Target: fmt.Sprintf("target-%02d", c), Kind: probes.KindICMP,
				Path: probes.PathLAN, Layer: probes.Layers()[c%4]}
			obs = append(obs, result(id, t0, '.')...)
		}
	}
	return obs
}

// BenchmarkObserve is one run of a check: its facts and its verdict, every site delivering 20 checks at a time.
func BenchmarkObserve(b *testing.B) {
	obs := benchmarkInput(136, 20)
	j := New(DefaultRules(), t0)
	at, n := t0, 0
	b.ReportAllocs()
	for b.Loop() {
		if n == len(obs) {
			n, at = 0, at.Add(every)
			tickTo(j, at)
		}
		obs[n].Time, obs[n+1].Time = at, at
		j.Observe(obs[n : n+2])
		n += 2
	}
}

// BenchmarkProvince is what one second costs with 13,600 sites of 20 checks reporting every 30 s.
func BenchmarkProvince(b *testing.B) {
	const sites, checks = 13600, 20
	var before, after runtime.MemStats
	obs := benchmarkInput(sites, checks)
	runtime.GC()
	runtime.ReadMemStats(&before)
	j := New(DefaultRules(), t0)
	j.Observe(obs)
	j.Tick(t0.Add(time.Second))
	runtime.GC()
	runtime.ReadMemStats(&after)
	at := t0
	_, version := j.Since(0)
	for i := 0; b.Loop(); i++ {
		at = at.Add(time.Second)
		part := obs[i%30*len(obs)/30/2*2 : (i%30+1)*len(obs)/30/2*2]
		for n := range part {
			part[n].Time = at
		}
		j.Observe(part)
		tickTo(j, at)
		_, version = j.Since(version)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(sites*checks), "B/check")
	runtime.KeepAlive(obs)
}

// BenchmarkReplayDay is one day of a site with 20 checks every 30 s.
func BenchmarkReplayDay(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		var obs []Observation
		one := benchmarkInput(1, 20)
		for i := range 2880 {
			for n := 0; n < len(one); n += 2 {
				o := one[n+1]
				o.Facts = one[n].Facts
				o.Time = t0.Add(time.Duration(i) * every)
				obs = append(obs, o)
			}
		}
		b.StartTimer()
		Replay(DefaultRules(), obs, t0, t0.Add(24*time.Hour))
	}
}
