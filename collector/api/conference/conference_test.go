package conference

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"communewatch/collector/store"
	"communewatch/probes"
)

var t0 = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

// shelf is a store of series, which answers what it is asked for and no more.
type shelf []store.Series

func (s shelf) Select(_ context.Context, q store.Query, each func(store.Series) error) error {
	for _, x := range s {
		if x.Measurement != q.Measurement || len(q.Fields) > 0 && !slices.Contains(q.Fields, x.Field) {
			continue
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(q.Tags)), func(k string) bool { return x.Tags.Get(k) != q.Tags[k] }) {
			continue
		}
		if x = within(x, q.From, q.To); len(x.Times) == 0 {
			continue
		}
		if err := each(x); err != nil {
			return err
		}
	}
	return nil
}

// within cuts a series to [from, to).
func within(x store.Series, from, to time.Time) store.Series {
	out := store.Series{Measurement: x.Measurement, Field: x.Field, Tags: x.Tags}
	for i, t := range x.Times {
		if at := time.UnixMilli(t); at.Before(from) || !at.Before(to) {
			continue
		}
		out.Times = append(out.Times, t)
		if x.Values != nil {
			out.Values = append(out.Values, x.Values[i])
		} else {
			out.Texts = append(out.Texts, x.Texts[i])
		}
	}
	return out
}

func series(measurement, field string, tags probes.Tags, value any, ats ...time.Time) store.Series {
	s := store.Series{Measurement: measurement, Field: field, Tags: tags}
	for _, at := range ats {
		s.Times = append(s.Times, at.UnixMilli())
		switch v := value.(type) {
		case string:
			s.Texts = append(s.Texts, v)
		case float64:
			s.Values = append(s.Values, v)
		}
	}
	return s
}

func tags(target string, more ...string) probes.Tags {
	t := probes.Tags{}.With("site", "s1").With("agent", "pc").With("target", target).With("path", "dedicated")
	for i := 0; i < len(more); i += 2 {
		t = t.With(more[i], more[i+1])
	}
	return t
}

func TestTheNewestCallStandsAlone(t *testing.T) {
	older, newer := t0, t0.Add(15*time.Minute)
	down := tags("hub", "direction", "down", "media", "video")
	got, err := Of(t.Context(), shelf{
		series("webrtc", "media_seconds", tags("hub"), 15.0, older, newer),
		series("webrtc", "setup_seconds", tags("hub"), 0.3, older, newer),
		series("webrtc", "mos_audio", tags("hub"), 4.2, older), // the newer call had none
		series("webrtc", "grade", tags("hub"), "good", older, newer),
		series("webrtc_flow", "loss_ratio", down, 0.01, older, newer),
		series("webrtc_flow", "loss_ratio", tags("hub", "direction", "up", "media", "video"), 0.02, newer),
		series("webrtc_flow", "loss_ratio", tags("hub", "direction", "up", "media", "audio"), 0.03, newer),
		series("webrtc_flow", "freezes", down, 3.0, older),
		series("sip", "code", tags("codec"), 486.0, newer),
		series("sip", "user_agent", tags("codec"), "PolycomHDX", newer),
		series("sip", "code", probes.Tags{}.With("site", "s2"), 200.0, newer),
	}, "s1", t0.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	read := func(kind, target string, facts map[string]float64, texts map[string]string) Reading {
		return Reading{Kind: kind, Agent: "pc", Target: target, Path: "dedicated", At: newer, Facts: facts, Texts: texts}
	}
	want := Site{
		Calls: []Call{{Reading: read("webrtc", "hub", map[string]float64{"media_seconds": 15, "setup_seconds": 0.3}, map[string]string{"grade": "good"}), Flows: []Flow{
			{"up", "audio", map[string]float64{"loss_ratio": 0.03}}, {"up", "video", map[string]float64{"loss_ratio": 0.02}},
			{"down", "video", map[string]float64{"loss_ratio": 0.01}},
		}}},
		Services: []Reading{read("sip", "codec", map[string]float64{"code": 486}, map[string]string{"user_agent": "PolycomHDX"})},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestACallWithoutFlowsDoesNotBorrowThose(t *testing.T) {
	got, err := Of(t.Context(), shelf{
		series("webrtc", "media_seconds", tags("hub"), 0.0, t0, t0.Add(time.Minute)),
		series("webrtc_flow", "loss_ratio", tags("hub", "direction", "up", "media", "audio"), 0.5, t0),
	}, "s1", t0.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Calls) != 1 || len(got.Calls[0].Flows) != 0 {
		t.Errorf("%+v", got.Calls)
	}
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Select(context.Context, store.Query, func(store.Series) error) error { return errBroken }

func TestNothingKnownIsNoError(t *testing.T) {
	got, err := Of(t.Context(), shelf{}, "s1", t0)
	if err != nil || got.Calls == nil || got.Services == nil {
		t.Errorf("%+v, %v: want empty lists", got, err)
	}
	if _, err := Of(t.Context(), broken{}, "s1", t0); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}
