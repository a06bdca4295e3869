package orders

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"communewatch/probes"
	"communewatch/probes/webrtc/report"
)

// Bounds of the lists in a result: a call has a few flows, a ramp a dozen steps.
const (
	maxFlows  = 16
	maxSteps  = 64
	maxTexts  = 32
	maxInputs = 64
	maxName   = 100 // bytes of a name in a result
)

// checkResult returns the first mistake in what an agent says that it measured. It can't tell whether the numbers are
// true; it sees to it that they are numbers, that none is negative where that can't be, and that there are not too many.
func checkResult(c *report.Call) error {
	switch {
	case len(c.Flows) > maxFlows:
		return fmt.Errorf("%d flows, more than %d", len(c.Flows), maxFlows)
	case !slices.Contains([]string{"", "udp", "tcp"}, c.Transport):
		return fmt.Errorf("transport %q: want udp or tcp", clip(c.Transport))
	case !slices.Contains([]string{"", "none", "agent", "reflector"}, c.LimitedBy):
		return fmt.Errorf("limited_by %q: want none, agent or reflector", clip(c.LimitedBy))
	case c.Foreign < 0 || c.Agent.SendErrors < 0 || c.Agent.RSSBytes < 0:
		return errors.New("a negative count")
	}
	v := numbers{}
	v.name(c.Service, c.Profile)
	v.texts(c.Limits)
	v.amounts(c.MediaSeconds, c.Agent.PacingP95, c.Agent.CPURatio)
	v.optional(c.Phases.Signalling, c.Phases.ICE, c.Phases.DTLS, c.Phases.FirstMedia, c.Phases.Setup)
	v.spread(c.RTT)
	if d := c.Data; d != nil {
		v.counts(d.Sent, d.Lost)
		v.spread(d.RTT)
	}
	if d := c.Delay; d != nil {
		v.finite(d.Up, d.Down) // within Error of the truth: they may come out below zero
		v.amounts(d.Error)
	}
	if r := c.Ramp; r != nil {
		if len(r.Steps) > maxSteps {
			return fmt.Errorf("a ramp of %d steps, more than %d", len(r.Steps), maxSteps)
		}
		v.amounts(r.BPS)
		v.name(r.End)
		for _, s := range r.Steps {
			v.amounts(s.BPS, s.Variation)
			v.ratios(s.Loss)
		}
	}
	if r := c.Reflector; r != nil {
		v.counts(r.Sessions)
		v.amounts(r.CPURatio)
		v.spread(r.Residence)
	}
	for i := range c.Flows {
		v.flow(&c.Flows[i])
	}
	v.quality(c.Quality)
	return v.err
}

// numbers collects the first thing wrong with a result's numbers and texts.
type numbers struct{ err error }

func (v *numbers) fail(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

func (v *numbers) finite(list ...float64) {
	for _, f := range list {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			v.fail("%v is not a number that can be measured", f)
		}
	}
}

func (v *numbers) amounts(list ...float64) {
	v.finite(list...)
	for _, f := range list {
		if f < 0 {
			v.fail("%v is negative", f)
		}
	}
}

func (v *numbers) ratios(list ...float64) {
	for _, f := range list {
		if !(f >= 0 && f <= 1) {
			v.fail("%v is not a ratio from 0 to 1", f)
		}
	}
}

func (v *numbers) optional(list ...*float64) {
	for _, f := range list {
		if f != nil {
			v.amounts(*f)
		}
	}
}

func (v *numbers) counts(list ...int) {
	for _, n := range list {
		if n < 0 {
			v.fail("a count of %d", n)
		}
	}
}

func (v *numbers) spread(s *report.Spread) {
	if s != nil {
		v.amounts(s.Median, s.P95, s.P99, s.Max)
	}
}

func (v *numbers) name(list ...string) {
	for _, s := range list {
		if err := plain("a name", s, maxName); err != nil {
			v.fail("%w", err)
		}
	}
}

func (v *numbers) texts(list []string) {
	if len(list) > maxTexts {
		v.fail("%d remarks, more than %d", len(list), maxTexts)
		return
	}
	for _, s := range list {
		if err := plain("a remark", s, probes.MaxText); err != nil {
			v.fail("%w", err)
		}
	}
}

func (v *numbers) flow(f *report.Flow) {
	if !slices.Contains([]probes.Direction{probes.DirectionUp, probes.DirectionDown, probes.DirectionRound}, f.Direction) {
		v.fail("a flow's direction %q: want up, down or round", clip(string(f.Direction)))
	}
	if f.Media != probes.MediaAudio && f.Media != probes.MediaVideo {
		v.fail("a flow's media %q: want audio or video", clip(string(f.Media)))
	}
	v.counts(f.Sent, f.Received, f.Lost, f.LossRuns, f.LongestLossRun, f.Discarded, f.Reordered, f.Duplicates)
	v.ratios(f.LossRatio, f.DiscardRatio)
	v.amounts(f.Playout, f.GoodputBPS)
	v.optional(f.Burstiness, f.Jitter, f.IPDVMean, f.IPDVP95, f.VariationP95, f.VariationMax, f.Frozen)
	for _, n := range []*int{f.Frames, f.FramesLost, f.Freezes} {
		if n != nil {
			v.counts(*n)
		}
	}
	if f.FrameLossRatio != nil {
		v.ratios(*f.FrameLossRatio)
	}
}

func (v *numbers) quality(q *report.Quality) {
	if q == nil {
		return
	}
	if !slices.Contains([]string{"", "good", "degraded", "bad"}, q.Grade) {
		v.fail("grade %q: want good, degraded or bad", clip(q.Grade))
	}
	v.texts(q.Cautions)
	for _, s := range []*report.Score{q.Audio, q.Narrowband, q.Video} {
		if s == nil {
			continue
		}
		if len(s.Inputs) > maxInputs {
			v.fail("a score with %d inputs, more than %d", len(s.Inputs), maxInputs)
			return
		}
		v.name(s.Model, string(s.Direction))
		v.finite(s.R)
		if !(s.MOS >= 0 && s.MOS <= 5) {
			v.fail("a mean opinion score of %v: want 1 to 5", s.MOS)
		}
		for name, value := range s.Inputs {
			v.name(name)
			v.finite(value)
		}
	}
	if s := q.Shares; s != nil {
		v.finite(s.Codec, s.Delay, s.Loss, s.Discard)
	}
}
