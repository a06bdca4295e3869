package recall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"communewatch/collector/health"
	"communewatch/collector/store"
	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

// shelf is a store in memory.
type shelf []store.Series

func (s *shelf) put(at time.Time, measurement, field string, value any, tags ...string) {
	var t probes.Tags
	for i := 0; i < len(tags); i += 2 {
		t = t.With(tags[i], tags[i+1])
	}
	i := slices.IndexFunc(*s, func(x store.Series) bool {
		return x.Measurement == measurement && x.Field == field && slices.Equal(x.Tags, t)
	})
	if i < 0 {
		i = len(*s)
		*s = append(*s, store.Series{Measurement: measurement, Field: field, Tags: t})
	}
	x := &(*s)[i]
	x.Times = append(x.Times, at.UnixMilli())
	switch v := value.(type) {
	case string:
		x.Texts = append(x.Texts, v)
	case float64:
		x.Values = append(x.Values, v)
	}
}

func (s *shelf) Select(ctx context.Context, q store.Query, each func(store.Series) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	points := 0
	for _, x := range *s {
		if x.Measurement != q.Measurement || len(q.Fields) > 0 && !slices.Contains(q.Fields, x.Field) || x.Tags.Get("site") != q.Tags["site"] {
			continue
		}
		out := store.Series{Measurement: x.Measurement, Field: x.Field, Tags: x.Tags}
		for i, at := range x.Times {
			if at < q.From.UnixMilli() || at >= q.To.UnixMilli() {
				continue
			}
			if points++; q.MaxPoints > 0 && points > q.MaxPoints {
				return store.ErrTooMany
			}
			out.Times = append(out.Times, at)
			if x.Texts != nil {
				out.Texts = append(out.Texts, x.Texts[i])
			} else {
				out.Values = append(out.Values, x.Values[i])
			}
		}
		if len(out.Times) > 0 {
			if err := each(out); err != nil {
				return err
			}
		}
	}
	return nil
}

// days of a site whose lines now and then fail, fall silent, change their layer or say what nobody understands; and
// what was put there, as observations in order, made the plain way.
func days(n int) (*shelf, []health.Observation) {
	rng := rand.New(rand.NewPCG(3, 4))
	s := &shelf{}
	var all []health.Observation
	kinds := []string{"icmp", "tcp", "dns", "icmp", "http"}
	for at := t0; at.Before(t0.Add(time.Duration(n) * 24 * time.Hour)); at = at.Add(10 * time.Minute) {
		for i, kind := range kinds {
			if rng.IntN(40) == 0 {
				continue
			}
			run := at.Add(time.Duration(i/2) * 77 * time.Millisecond) // some at the same time
			target, layer := fmt.Sprintf("t%d", i), "lan"
			if i == 2 && at.Sub(t0) > 26*time.Hour {
				layer = "broadband"
			}
			tags := []string{"site", "s1", "agent", "pc", "path", "lan", "target", target}
			o := health.Observation{Time: run, Interval: 10 * time.Minute, Proof: probes.ProofBound,
				Check: health.CheckID{Site: "s1", Agent: "pc", Target: target, Kind: probes.Kind(kind), Path: "lan", Layer: probes.Layer(layer)}}
			facts := map[string][]string{"icmp": {"sent", "lost"}, "tcp": {"connect_seconds"}, "dns": {"query_seconds"}, "http": {"total_seconds"}}[kind]
			word := "ok"
			if (int(at.Unix()/3600)+i*5)%31 == 0 {
				word = "timeout"
				o.Outcome, o.Error = probes.OutcomeTimeout, "no answer"
				facts = nil
			}
			for _, f := range facts {
				v := float64(rng.IntN(10) + 1)
				o.Facts = append(o.Facts, health.Fact{Measurement: kind, Field: f, Value: v})
				s.put(run, kind, f, v, tags...)
			}
			if len(facts) > 0 {
				s.put(run, kind, "unused", 1.0, tags...)
			}
			if rng.IntN(100) == 0 {
				word = "from_the_future"
			}
			tags = append(tags, "kind", kind, "layer", layer)
			s.put(run, "check", "outcome", word, tags...)
			if rng.IntN(30) > 0 {
				s.put(run, "check", "interval_seconds", 600.0, tags...)
			} else {
				o.Interval = 0
			}
			s.put(run, "check", "path_proof", "bound", tags...)
			if o.Error != "" {
				s.put(run, "check", "error", o.Error, tags...)
			}
			if word != "from_the_future" {
				all = append(all, o)
			}
		}
	}
	slices.SortFunc(all, func(a, b health.Observation) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Check.Target, b.Check.Target))
	})
	return s, all
}

// used says that all facts but one are looked at.
type used struct{}

func (used) Uses(_, field string) bool { return field != "unused" }

// settle puts facts in one order: theirs means nothing.
func settle(obs []health.Observation) []health.Observation {
	out := slices.Clone(obs)
	for i := range out {
		out[i].Facts = slices.Clone(out[i].Facts)
		slices.SortFunc(out[i].Facts, func(a, b health.Fact) int { return cmp.Compare(a.Field, b.Field) })
		if len(out[i].Facts) == 0 {
			out[i].Facts = nil
		}
	}
	return out
}

func TestThePastIsToldAsItWas(t *testing.T) {
	s, all := days(4)
	from, to := t0.Add(3*time.Hour), t0.Add(80*time.Hour) // does not end with a stretch
	var want []health.Observation
	for _, o := range all {
		if !o.Time.Before(from) && o.Time.Before(to) {
			want = append(want, o)
		}
	}
	want = settle(want)
	r := Range{Site: "s1", From: from, To: to}
	got, err := Checks(t.Context(), s, used{}, r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, settle(got)); diff != "" {
		t.Errorf("Checks (-want +got):\n%.3000s", diff)
	}
	var walked []health.Observation
	portions := 0
	if err := Walk(t.Context(), s, used{}, r, func(obs []health.Observation) {
		portions++
		walked = append(walked, settle(obs)...)
	}); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].Proof = ""
	}
	if diff := gocmp.Diff(want, walked); diff != "" || portions < 4 {
		t.Errorf("Walk, in %d portions (-want +got):\n%.3000s", portions, diff)
	}
}

// The history must not depend on the way in which it was read.
func TestAWalkIsJudgedAsTheWhole(t *testing.T) {
	s, all := days(9)
	from, to := t0.Add(25*time.Hour), t0.Add(9*24*time.Hour)
	rules := health.DefaultRules()
	want := health.Replay(rules, all, from, to)
	replay := health.NewReplayer(rules, from)
	if err := Walk(t.Context(), s, &rules, Range{Site: "s1", From: t0, To: to}, replay.Feed); err != nil {
		t.Fatal(err)
	}
	got := replay.History(to)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%.3000s", diff)
	}
	if n := len(got.Sites["s1"].Site); n < 10 {
		t.Errorf("only %d changes: the test proves little", n)
	}
}

func TestAWalkEndsWithTheFirstError(t *testing.T) {
	s, _ := days(4)
	r := Range{Site: "s1", From: t0, To: t0.Add(96 * time.Hour), MaxPoints: 10}
	if err := Walk(t.Context(), s, used{}, r, func([]health.Observation) { t.Error("told something") }); !errors.Is(err, store.ErrTooMany) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.MaxPoints = 0
	told := 0
	if err := Walk(ctx, s, used{}, r, func([]health.Observation) { told++; cancel() }); !errors.Is(err, context.Canceled) || told > 4 {
		t.Errorf("%v after %d portions", err, told)
	}
}

// A call has a row for each direction and kind of media; recalled, its numbers must not be taken for one another's.
func TestTheRowsOfACallAreToldApart(t *testing.T) {
	s := &shelf{}
	for i := range 2 {
		at := t0.Add(time.Duration(i) * 15 * time.Minute)
		tags := []string{"site", "s1", "agent", "pc", "path", "dedicated", "target", "hub"}
		for _, f := range []struct {
			direction, media string
			sent, lost       float64
		}{{"up", "audio", 750, 15}, {"up", "video", 9000, 60}, {"down", "audio", 750, 0}} {
			row := append(slices.Clone(tags), "direction", f.direction, "media", f.media)
			s.put(at, "webrtc_flow", "sent", f.sent, row...)
			s.put(at, "webrtc_flow", "lost", f.lost, row...)
		}
		s.put(at, "webrtc", "setup_seconds", 0.4, tags...)
		s.put(at, "check", "outcome", "ok", append(tags, "kind", "webrtc", "layer", "conference")...)
	}
	rules := health.DefaultRules()
	obs, err := Checks(t.Context(), s, &rules, Range{Site: "s1", From: t0, To: t0.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]float64{}
	for _, f := range obs[0].Facts {
		if f.Field == "lost" {
			rows[f.Row] = f.Value
		}
	}
	if diff := gocmp.Diff(map[string]float64{"up/audio": 15, "up/video": 60, "down/audio": 0}, rows); diff != "" {
		t.Error(diff)
	}
	j := health.New(rules, t0)
	j.Observe(obs)
	_, checks, _ := j.Site("s1")
	if r := checks[0].Reason; checks[0].State != health.StateDegraded || r.Row != "up/audio" || r.Value != 0.02 {
		t.Errorf("%v: %+v, want degraded by 2 %% of the speech on its way up", checks[0].State, r)
	}
}
