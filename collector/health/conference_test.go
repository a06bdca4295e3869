package health

import (
	"testing"
	"time"

	"communewatch/collector/health/loss"
	"communewatch/probes"
)

var hub = CheckID{Site: "s1", Agent: "pc", Target: "hub", Kind: probes.KindWebRTC, Path: probes.PathDedicated, Layer: probes.LayerConference}

const quarter = 15 * time.Minute

// flows are the facts of one call: what each row sent and lost.
func flows(rows map[string][2]float64) (facts []Fact) {
	for row, c := range rows {
		facts = append(facts, Fact{Measurement: "webrtc_flow", Field: "sent", Value: c[0], Row: row}, Fact{Measurement: "webrtc_flow", Field: "lost", Value: c[1], Row: row})
	}
	return facts
}

// calls plays calls a quarter of an hour apart, the facts before the verdict as ingest may see them, and returns the
// check after each.
func calls(t *testing.T, runs ...Observation) (after []CheckStatus) {
	t.Helper()
	j := New(DefaultRules(), t0)
	for i, o := range runs {
		at := t0.Add(time.Duration(i) * quarter)
		tickTo(j, at)
		facts := Observation{Check: hub, Time: at, Facts: o.Facts}
		facts.Check.Layer = ""
		o.Check, o.Time, o.Facts, o.Interval = hub, at, nil, quarter
		j.Observe([]Observation{facts, o})
		_, checks, _ := j.Site("s1")
		after = append(after, checks[0])
	}
	return after
}

func states(after []CheckStatus) string {
	var out []byte
	for _, c := range after {
		out = append(out, letters[c.State])
	}
	return string(out)
}

func TestALeftOutRunChangesNothing(t *testing.T) {
	held := Observation{Outcome: probes.OutcomeHeld, Error: "a meeting is on"}
	busy := Observation{Outcome: probes.OutcomeBusy}
	good, bad := Observation{}, Observation{Outcome: probes.OutcomeTimeout}
	denied := Observation{Outcome: probes.OutcomeBadConfig}
	for _, tc := range []struct {
		name string
		runs []Observation
		want string
	}{
		{"good stays good, however long", []Observation{good, held, held, busy, held, held, busy, held}, "oooooooo"},
		{"down stays down", []Observation{bad, bad, held, held, held, good, good}, "nDDDDDo"},
		{"it does not part bad runs", []Observation{good, bad, held, bad}, "oooD"},
		{"it does not end the agent's own trouble", []Observation{good, denied, held, denied, held}, "ooonn"},
		{"from the first run on nothing is known", []Observation{held, held, busy}, "nnn"},
		{"and a good run ends that", []Observation{held, held, good}, "nno"},
	} {
		if got := states(calls(t, tc.runs...)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	first := calls(t, held)[0]
	if first.Reason.Code != ReasonWaived || first.Reason.Outcome != probes.OutcomeHeld || first.Reason.Text != "a meeting is on" {
		t.Errorf("the reason why nothing is known: %+v", first.Reason)
	}

	j := New(DefaultRules(), t0)
	j.Observe([]Observation{{Check: hub, Time: t0, Outcome: probes.OutcomeHeld, Interval: quarter}})
	tickTo(j, t0.Add(time.Minute))
	s, _, _ := j.Site("s1")
	if s.State != StateNoData || s.Agents[0].Trouble.Code != ReasonNone {
		t.Errorf("site %v, agent's trouble %+v; a meeting is no trouble of the agent's", s.State, s.Agents[0].Trouble)
	}
}

func TestNumbersTakenUnderOverloadAreNotJudged(t *testing.T) {
	lossy := flows(map[string][2]float64{"down/video": {4000, 2000}})
	overloaded := Observation{Outcome: probes.OutcomeOverloaded, Facts: lossy}
	good := Observation{Facts: flows(map[string][2]float64{"down/video": {4000, 0}})}
	if got := states(calls(t, good, overloaded, good, overloaded, good)); got != "ooooo" {
		t.Errorf("single ones: %q", got)
	}
	after := calls(t, good, overloaded, overloaded, overloaded, good)
	if got := states(after); got != "oonno" {
		t.Errorf("one after another: %q, want no data and never red", got)
	}
	if r := after[3].Reason; r.Code != ReasonAgent || r.Outcome != probes.OutcomeOverloaded {
		t.Errorf("reason %+v", r)
	}
	// Facts that come after the verdict are not kept for the next one either.
	j := New(DefaultRules(), t0)
	for i := range 8 {
		at := t0.Add(time.Duration(i) * quarter)
		tickTo(j, at)
		o := Observation{Check: hub, Time: at, Interval: quarter}
		if i%2 == 1 {
			o.Outcome = probes.OutcomeOverloaded
		}
		facts := Observation{Check: hub, Time: at, Facts: lossy}
		facts.Check.Layer = ""
		j.Observe([]Observation{o, facts})
		if _, checks, _ := j.Site("s1"); checks[0].State != StateOK {
			t.Fatalf("run %d: %v %+v", i, checks[0].State, checks[0].Reason)
		}
	}
}

func TestTheWorseDirectionOfACallDecides(t *testing.T) {
	// 2 % of the video on its way up; over all of the call it is 0.6 %.
	mixed := Observation{Facts: flows(map[string][2]float64{"up/audio": {750, 0}, "down/audio": {750, 0}, "up/video": {3000, 60}, "down/video": {6000, 0}})}
	after := calls(t, mixed, mixed)
	if got := states(after); got != "nd" {
		t.Fatalf("%q, want degraded at the second call", got)
	}
	want := Reason{Code: ReasonThreshold, Check: hub, Field: "webrtc_flow.loss_ratio", Row: "up/video", Value: 0.02, Limit: 0.01}
	if after[1].Reason != want {
		t.Errorf("reason %+v, want %+v", after[1].Reason, want)
	}
	// Speech is a tenth of the packets, and what a meeting can't do without.
	speech := Observation{Facts: flows(map[string][2]float64{"up/audio": {750, 60}, "up/video": {9000, 0}})}
	if c := calls(t, speech, speech)[1]; c.Reason.Row != "up/audio" || c.Reason.Limit != 0.05 {
		t.Errorf("reason %+v, want 8 %% of the speech", c.Reason)
	}
	// The one with the most packets lost need not be the one with the largest share of them.
	less := Observation{Facts: flows(map[string][2]float64{"up/audio": {750, 15}, "up/video": {9000, 100}})}
	if c := calls(t, less, less)[1]; c.Reason.Row != "up/audio" || c.Reason.Value != 0.02 {
		t.Errorf("reason %+v, want 2 %% of the speech", c.Reason)
	}
}

func TestACallIsJudgedByItself(t *testing.T) {
	lossy := Observation{Facts: flows(map[string][2]float64{"up/video": {4000, 400}})}
	clean := Observation{Facts: flows(map[string][2]float64{"up/video": {4000, 20}})}
	if got := states(calls(t, clean, lossy, lossy, clean, clean)); got != "ooddo" {
		t.Errorf("%q: want degraded after two lossy calls and well after two clean ones, not hours later", got)
	}
	// Calls too short to tell 1 % are summed up as pings are.
	short := Observation{Facts: flows(map[string][2]float64{"up/audio": {100, 4}})}
	one := Observation{Facts: flows(map[string][2]float64{"up/audio": {100, 0}})}
	if got := states(calls(t, one, one, short, one, short)); got != "ooood" {
		t.Errorf("short calls: %q", got)
	}
}

func TestDiscardsSlowSetUpAndScoresAreJudged(t *testing.T) {
	for _, tc := range []struct {
		fact  Fact
		state State
	}{
		{Fact{"webrtc_flow", "discard_ratio", 0.03, "down/audio"}, StateDegraded},
		{Fact{"webrtc_flow", "discard_ratio", 0.004, "down/audio"}, StateOK},
		{Fact{"webrtc", "rtt_p95_seconds", 0.4, ""}, StateDegraded},
		{Fact{"webrtc", "setup_seconds", 7, ""}, StateDegraded},
		{Fact{"webrtc", "mos_audio", 3.1, ""}, StateDegraded},
		{Fact{"webrtc", "mos_audio", 4.1, ""}, StateOK},
	} {
		run := Observation{Facts: []Fact{tc.fact}}
		c := calls(t, run, run)[1]
		if c.State != tc.state {
			t.Errorf("%s = %v: %v, want %v", tc.fact.Field, tc.fact.Value, c.State, tc.state)
		}
		if c.State == StateDegraded && c.Reason.Row != tc.fact.Row {
			t.Errorf("%s: of row %q, want %q", tc.fact.Field, c.Reason.Row, tc.fact.Row)
		}
	}
}

func TestRowsOfARunAreBounded(t *testing.T) {
	j := New(DefaultRules(), t0)
	facts := Observation{Check: hub, Time: t0}
	facts.Check.Layer = ""
	for i := range 1000 {
		row := string(rune('a' + i))
		facts.Facts = append(facts.Facts, Fact{"webrtc_flow", "sent", 10, row}, Fact{"webrtc_flow", "lost", 1, row})
	}
	j.Observe([]Observation{facts, {Check: hub, Time: t0}})
	if n := j.shard("s1").sites["s1"].checks[0].loss.Len(); n != loss.MaxRows {
		t.Errorf("%d rows are kept, want %d", n, loss.MaxRows)
	}
}
