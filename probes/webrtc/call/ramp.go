package call

import (
	"context"
	"sync"
	"time"

	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/report"
)

// The ramp sends video alone, at one rate after the other, when the profile's streams are over: what it does to the
// line must not be in their numbers.
const (
	rampNumber = 2 // of its stream
	rampFPS    = 30

	rampLoss      = 0.02                   // above which a step is not clean, or
	rampVariation = 0.100                  // s, p95
	rampPacing    = 0.050                  // s, p95, above which what was asked of the line is not what was meant
	hurtingLoss   = 2 * rampLoss           // there and back together, above which a step is cut short
	rampLook      = 200 * time.Millisecond // how often that is looked for
	rampLate      = 500 * time.Millisecond // how long a packet may take before it counts as lost meanwhile
	rampEnough    = 50                     // packets, below which nothing is said
)

func (r *run) ramps() bool {
	return len(r.spec.Steps) > 0 && (r.service == Reflector || r.service == Janus)
}

// mark is where the ramp's stream stood at the start of a step.
type mark struct {
	seq   uint32 // ours
	back  uint32 // the reflector's
	count uint32
}

// ramp climbs until a step is not clean or the next one would take more of the line than the test may.
func (r *run) ramp(ctx context.Context) {
	ramp := &report.Ramp{Steps: []report.RampStep{}, End: "complete"}
	r.report.Ramp = ramp
	s := r.streams[len(r.streams)-1]
	for _, bps := range r.spec.Steps {
		shape := media.Video(bps, rampFPS)
		if r.spec.BudgetBPS > 0 && shape.WireBPS() > r.spec.BudgetBPS {
			ramp.End = "budget"
			return
		}
		from := r.recv.mark(s)
		lateness, shifted := r.step(ctx, s, shape, from)
		if ctx.Err() != nil || isOver(r.call) {
			ramp.End = "stopped"
			return
		}
		r.settle(ctx, r.recv.complete)
		step := r.recv.step(s, from)
		step.BPS = float64(bps)
		pacing := percentile(lateness, 95) > rampPacing || shifted > 0
		step.Clean = step.Loss <= rampLoss && step.Variation <= rampVariation && !pacing
		ramp.Steps = append(ramp.Steps, step)
		switch {
		case step.Clean:
			ramp.BPS = step.BPS
			continue
		case pacing: // the line was not asked for what was meant
			ramp.End = "pacing"
		case step.Loss > rampLoss:
			ramp.End = "loss"
		default:
			ramp.End = "delay"
		}
		return
	}
}

// step sends one rate for its time, or until it plainly hurts.
func (r *run) step(ctx context.Context, s *stream, shape media.Stream, from mark) (lateness []float64, shifted time.Duration) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(rampLook)
		defer tick.Stop()
		var seqs []uint32 // at each tick
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			packets, _ := s.counts()
			seqs = append(seqs, uint32(packets))
			if old := len(seqs) - 1 - int(rampLate/rampLook+1); old >= 0 && r.recv.hurting(s, from, seqs[old]) {
				stop()
			}
		}
	})
	lateness, shifted = r.pace(ctx, s, shape, time.Now(), r.spec.StepFor)
	stop()
	wg.Wait()
	return lateness, shifted
}

func (r *receipts) mark(s *stream) mark {
	packets, _ := s.counts()
	m := mark{seq: uint32(packets)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := r.stream(s.number, s.Media); got != nil {
		m.count = got.count
		if highest, any := got.back.Highest(); any {
			m.back = highest + 1
		}
	}
	return m
}

func (r *receipts) hurting(s *stream, from mark, to uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.stream(s.number, s.Media)
	if got == nil || to < from.seq+rampEnough {
		return false
	}
	w := got.round.Window(from.seq, to)
	return w.LossRatio > hurtingLoss || w.VariationP95 != nil && *w.VariationP95 > 2*rampVariation
}

// step says how a step went, in the worse direction. What came neither back nor was told of by a later echo may have
// been lost either way, and counts for both.
func (r *receipts) step(s *stream, from mark) report.RampStep {
	packets, _ := s.counts()
	to := uint32(packets)
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.stream(s.number, s.Media)
	if got == nil || to <= from.seq {
		return report.RampStep{Loss: 1}
	}
	worst := func(values ...*float64) (v float64) {
		for _, p := range values {
			if p != nil {
				v = max(v, *p)
			}
		}
		return v
	}
	round := got.round.Window(from.seq, to)
	highest, any := got.there.Highest()
	if r.run.service == Janus || !any || highest < from.seq {
		return report.RampStep{Loss: round.LossRatio, Variation: worst(round.VariationP95)}
	}
	sent, tail := float64(to-from.seq), float64(to-1-min(highest, to-1))
	arrived := float64(got.count) - float64(from.count)
	up := (max(sent-tail-arrived, 0) + tail) / sent
	end, _ := got.back.Highest()
	back := got.back.Window(from.back, end+1)
	down := (float64(back.Lost) + tail) / max(float64(back.Sent)+tail, 1)
	return report.RampStep{Loss: max(up, down), Variation: worst(got.there.Window(from.seq, to).VariationP95, back.VariationP95)}
}
