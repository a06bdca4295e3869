package quality_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/quality"
	"communewatch/probes/webrtc/report"
)

func near(a, b, within float64) bool { return math.Abs(a-b) <= within }

func TestEModelAgainstCheckValues(t *testing.T) {
	for _, c := range []struct{ ie, bpl, lost, r, mos float64 }{ // fullband, 20 ms
		{10.2, 4.3, 0, 137.8, 4.41}, {10.2, 4.3, 0.5, 125.1, 4.18}, {10.2, 4.3, 1, 114.8, 3.93}, {10.2, 4.3, 2, 99.1, 3.45}, {10.2, 4.3, 5, 72.3, 2.52},
	} {
		r := quality.MaxFullband - 1.48*quality.Idd(20) - quality.Ie(c.ie, 132, c.lost, 1, c.bpl)
		if mos := quality.MOS(r / 1.48); !near(r, c.r, 0.05) || !near(mos, c.mos, 0.005) {
			t.Errorf("fullband, %v %% lost: R %.2f MOS %.3f, want %v and %v", c.lost, r, mos, c.r, c.mos)
		}
	}
	for lost, want := range map[float64]float64{0: 4.41, 0.5: 4.37, 1: 4.33, 2: 4.23, 5: 3.92} { // G.711 with PLC
		if mos := quality.MOS(quality.MaxNarrowband - quality.Ie(0, 95, lost, 1, 25.1)); !near(mos, want, 0.005) {
			t.Errorf("narrowband, %v %% lost: MOS %.3f, want %v", lost, mos, want)
		}
	}
	if idd := quality.Idd(300); !near(idd, 14.8, 0.05) || !near(quality.MOS(93.2-idd), 3.96, 0.005) {
		t.Errorf("300 ms: Idd %.2f, MOS %.3f; want 14.8 and 3.96", idd, quality.MOS(93.2-idd))
	}
	for r, want := range map[float64]float64{-10: 1, 0: 1, 3: 1, 50: 2.58, 60: 3.10, 70: 3.60, 80: 4.02, 90: 4.34, 100: 4.5, 148: 4.5} {
		if mos := quality.MOS(r); !near(mos, want, 0.006) {
			t.Errorf("R %v: MOS %.3f, want %v (G.107 annex B)", r, mos, want)
		}
	}
	if got := quality.Idd(100); got != 0 {
		t.Errorf("delay of 100 ms takes %v, want nothing", got)
	}
}

func TestVideoAgainstCheckValues(t *testing.T) {
	for lost, want := range map[float64]float64{0: 4.01, 0.5: 3.59, 1: 3.24, 2: 2.66, 3: 2.23} {
		if got := quality.Video(2000, 30, lost); !near(got, want, 0.005) {
			t.Errorf("%v %% lost: Vq %.3f, want %v", lost, got, want)
		}
	}
}

func TestOpusLiesBetweenItsNeighbours(t *testing.T) {
	for _, c := range []struct {
		bps, ie, bpl float64
		measured     bool
	}{
		{40000, 10.67, 9.79, true}, {14000, 38.06, 16.51, true}, {31000, 16.83, 10.44, true}, {32500, 15.795, 10.28, true},
		{6000, 38.06, 16.51, false}, {128000, 10.67, 9.79, false}, {0, 38.06, 16.51, false},
	} {
		if ie, bpl, measured := quality.Opus(c.bps); !near(ie, c.ie, 1e-9) || !near(bpl, c.bpl, 1e-9) || measured != c.measured {
			t.Errorf("Opus at %v: Ie %v Bpl %v %v, want %v %v %v", c.bps, ie, bpl, measured, c.ie, c.bpl, c.measured)
		}
	}
}

func TestGradesByBands(t *testing.T) {
	for loss, want := range map[float64]string{0: "good", 0.0099: "good", 0.01: "degraded", 0.05: "degraded", 0.0501: "bad", 1: "bad"} {
		if got := quality.Grade(loss); got != want {
			t.Errorf("%v lost: %s, want %s", loss, got, want)
		}
	}
}

func call(flows ...report.Flow) *report.Call {
	return &report.Call{Transport: "udp", LimitedBy: "none", RTT: &report.Spread{Median: 0.04}, Flows: flows}
}

func flow(d probes.Direction, m probes.Media, loss, discard float64) report.Flow {
	playout := map[probes.Media]float64{probes.MediaAudio: 0.06, probes.MediaVideo: 0.12}[m]
	return report.Flow{Direction: d, Media: m, Sent: 1000, LossRatio: loss, DiscardRatio: discard, Playout: playout}
}

var meeting = func() quality.Inputs {
	p, _ := media.Named("720p")
	return quality.Inputs{Profile: p}
}()

func TestAPerfectCall(t *testing.T) {
	q := quality.Of(call(flow("up", "audio", 0, 0), flow("down", "audio", 0, 0), flow("up", "video", 0, 0), flow("down", "video", 0, 0)), meeting)
	ie := 16.83 + (32.0-31)/3*(14.76-16.83)
	if q.Grade != "good" || !near(q.Audio.R, 148-ie, 1e-9) || !near(q.Narrowband.R, 93.2, 1e-9) || !near(q.Video.MOS, 4.01, 0.01) {
		t.Errorf("grade %s, R %v, narrowband R %v, video %v", q.Grade, q.Audio.R, q.Narrowband.R, q.Video.MOS)
	}
	if s := q.Shares; s.Delay != 0 || s.Loss != 0 || s.Discard != 0 || !near(s.Codec, ie, 1e-9) {
		t.Errorf("shares %+v: on a perfect line only the codec takes something", s)
	}
	if got := q.Audio.Inputs["delay_ms"]; !near(got, 20+60+20, 1e-9) {
		t.Errorf("mouth to ear %v ms, want 100: a packet, the buffer, half of the way there and back", got)
	}
	if !slices.Equal(q.Cautions, []string{"video_size"}) {
		t.Errorf("cautions %v", q.Cautions)
	}
	for _, s := range []*report.Score{q.Audio, q.Narrowband, q.Video} {
		if s.Model == "" || len(s.Inputs) < 4 {
			t.Errorf("a score without its model or inputs: %+v", s)
		}
	}
}

func TestTheWorseDirectionDecides(t *testing.T) {
	bad := flow("down", "audio", 0.03, 0.04)
	bad.Burstiness = new(float64)
	*bad.Burstiness = 1.7
	q := quality.Of(call(flow("up", "audio", 0.005, 0), bad, flow("up", "video", 0.02, 0.02), flow("down", "video", 0, 0)), meeting)
	if q.Grade != "bad" {
		t.Errorf("grade %s, want bad: 3 %% lost and 4 %% too late", q.Grade)
	}
	if q.Audio.Direction != "down" || q.Narrowband.Direction != "down" || q.Video.Direction != "up" {
		t.Errorf("directions %s %s %s", q.Audio.Direction, q.Narrowband.Direction, q.Video.Direction)
	}
	for k, want := range map[string]float64{"loss_percent": 3, "discard_percent": 4, "burst_ratio": 1.7, "bitrate_bps": 32000} {
		if got := q.Audio.Inputs[k]; !near(got, want, 1e-9) {
			t.Errorf("input %s = %v, want %v", k, got, want)
		}
	}
	if s := q.Shares; !(s.Loss > s.Discard && s.Discard > 0) {
		t.Errorf("shares %+v: the first three per cent hurt more than the next four", s)
	}
	if !slices.Contains(q.Cautions, quality.CautionVideoLoss) {
		t.Errorf("cautions %v: 4 %% of video missing is beyond the model", q.Cautions)
	}
}

func TestCautions(t *testing.T) {
	c := call(flow("round", "audio", 0.3, 0))
	c.Transport, c.RTT, c.LimitedBy = "tcp", nil, "agent"
	q := quality.Of(c, quality.Inputs{Profile: orders.Profile{AudioBPS: 64000}})
	for _, want := range []string{quality.CautionRound, quality.CautionTCP, quality.CautionDelayUnknown, quality.CautionLimited, quality.CautionAudioLoss, quality.CautionOpusRate} {
		if !slices.Contains(q.Cautions, want) {
			t.Errorf("cautions %v, want %s among them", q.Cautions, want)
		}
		if quality.Caution(want) == want {
			t.Errorf("%s has no words", want)
		}
	}
	if q.Video != nil {
		t.Error("video of a call without video")
	}
	c = call(flow("up", "audio", 0, 0), flow("down", "audio", 0, 0))
	c.Delay = &report.Delay{Up: 0.2, Down: 0.01}
	if q := quality.Of(c, meeting); q.Audio.Direction != "up" || !near(q.Audio.Inputs["delay_ms"], 280, 1e-9) {
		t.Errorf("with delays known: %+v", q.Audio)
	}
	if quality.Of(&report.Call{}, meeting) != nil || quality.Of(call(report.Flow{Media: "audio"}), meeting) != nil {
		t.Error("a quality of nothing")
	}
}

// TestWhateverGoesIn holds what is true for any numbers at all: scores on their scales, shares that add up, and more
// loss or delay never better.
func TestWhateverGoesIn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	odd := []float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}
	any := func() float64 {
		switch rng.IntN(3) {
		case 0:
			return odd[rng.IntN(len(odd))]
		case 1:
			return rng.Float64()
		}
		return math.Exp(40*rng.Float64() - 20)
	}
	for range 5000 {
		burst := any()
		up, down := flow("up", "audio", any(), any()), flow("down", "video", any(), any())
		up.Burstiness, up.Playout = &burst, any()
		c := call(up, down)
		c.RTT.Median = any()
		in := quality.Inputs{Profile: orders.Profile{AudioBPS: int(int32(rng.Uint32())), VideoBPS: int(int32(rng.Uint32())), FPS: int(int32(rng.Uint32()))}}
		q := quality.Of(c, in)
		scale := func(s *report.Score, most, maxR float64) {
			if !(s.MOS >= 1 && s.MOS <= most && s.R >= 0 && s.R <= maxR) {
				t.Fatalf("%+v\nof %+v", s, c)
			}
		}
		scale(q.Audio, 4.5, 148)
		scale(q.Narrowband, 4.5, 93.2)
		scale(q.Video, 5, 0)
		s := q.Shares
		if sum := s.Codec + s.Delay + s.Loss + s.Discard; !near(sum, 148-q.Audio.R, 1e-6) || s.Codec < 0 || s.Delay < 0 || s.Loss < 0 || s.Discard < 0 {
			t.Fatalf("shares %+v add up to %v, R is %v", s, sum, q.Audio.R)
		}
		if _, err := json.Marshal(q); err != nil {
			t.Fatal(err)
		}
	}
	for range 2000 {
		a, b := 100*rng.Float64(), 100*rng.Float64()
		low, high := min(a, b), max(a, b)
		burst, ta := 1+7*rng.Float64(), 20*low
		ie, bpl, _ := quality.Opus(50000 * rng.Float64())
		if quality.Ie(ie, 132, low, burst, bpl) > quality.Ie(ie, 132, high, burst, bpl) {
			t.Fatalf("loss of %v takes more than %v", low, high)
		}
		if quality.Idd(ta) > quality.Idd(20*high)+1e-9 {
			t.Fatalf("delay of %v takes more than %v", ta, 20*high)
		}
		if quality.MOS(low) > quality.MOS(high)+1e-9 {
			t.Fatalf("R %v is better than %v", low, high)
		}
		if kbps, fps := 4000*rng.Float64(), 60*rng.Float64(); quality.Video(kbps, fps, low) < quality.Video(kbps, fps, high) {
			t.Fatalf("video with loss of %v is worse than with %v", low, high)
		}
	}
}
