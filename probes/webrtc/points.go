package webrtc

import (
	"math"

	"communewatch/probes"
	"communewatch/probes/webrtc/report"
)

// Points are the rows of a call, as CONTRACT.md has them: one of the call, and one of each flow. Of a call that was
// not made, or not even signalled, there are none.
func Points(c *report.Call) []probes.Point {
	if c == nil || c.Phases.Signalling == nil {
		return nil
	}
	points := []probes.Point{{Measurement: "webrtc", Fields: callFields(c)}}
	for i := range c.Flows {
		f := &c.Flows[i]
		tags := probes.Tags{}.With("direction", string(f.Direction)).With("media", string(f.Media))
		points = append(points, probes.Point{Measurement: "webrtc_flow", Tags: tags, Fields: flowFields(f)})
	}
	return points
}

// fields collects fields, without those that were not measured.
type fields []probes.Field

func (f *fields) add(one probes.Field) { *f = append(*f, one) }

func (f *fields) float(key string, v *float64) {
	if v != nil && !math.IsNaN(*v) && !math.IsInf(*v, 0) {
		f.add(probes.Float(key, *v))
	}
}

func (f *fields) int(key string, v *int) {
	if v != nil {
		f.add(probes.Int(key, int64(*v)))
	}
}

func (f *fields) text(key, v string) {
	if v != "" {
		f.add(probes.String(key, v))
	}
}

func callFields(c *report.Call) []probes.Field {
	var f fields
	// A service that did not say what it is could not be told yet: "auto" is no service.
	if c.Service != "auto" {
		f.text("service", c.Service)
	}
	f.text("profile", c.Profile)
	f.add(probes.Bool("rehearsal", c.Rehearsal))
	f.float("media_seconds", &c.MediaSeconds)
	f.float("signalling_seconds", c.Phases.Signalling)
	f.float("ice_seconds", c.Phases.ICE)
	f.float("dtls_seconds", c.Phases.DTLS)
	f.float("first_media_seconds", c.Phases.FirstMedia)
	f.float("setup_seconds", c.Phases.Setup)
	f.text("transport", c.Transport)
	if c.RTT != nil {
		f.float("rtt_median_seconds", &c.RTT.Median)
		f.float("rtt_p95_seconds", &c.RTT.P95)
		f.float("rtt_max_seconds", &c.RTT.Max)
	}
	if d := c.Data; d != nil && d.Sent > 0 {
		if d.RTT != nil {
			f.float("data_rtt_median_seconds", &d.RTT.Median)
			f.float("data_rtt_p95_seconds", &d.RTT.P95)
		}
		f.add(probes.Float("data_loss_ratio", float64(d.Lost)/float64(d.Sent)))
	}
	if d := c.Delay; d != nil {
		f.float("delay_up_seconds", &d.Up)
		f.float("delay_down_seconds", &d.Down)
		f.float("delay_error_seconds", &d.Error)
	}
	if r := c.Ramp; r != nil {
		f.float("usable_video_bps", &r.BPS)
		f.text("ramp_end", r.End)
	}
	f = append(f, qualityFields(c.Quality)...)
	f.text("limited_by", c.LimitedBy)
	if c.MediaSeconds > 0 {
		f.float("pacing_p95_seconds", &c.Agent.PacingP95)
		f.int("send_errors", &c.Agent.SendErrors)
		f.float("send_wait_max_seconds", &c.Agent.SendWait)
		if q := c.Agent.Queue; q != nil {
			f.add(probes.Int("send_queue_max_bytes", *q))
		}
		f.int("agent_dropped", c.Agent.Dropped)
		f.float("agent_cpu_ratio", &c.Agent.CPURatio)
		f.add(probes.Int("agent_rss_bytes", c.Agent.RSSBytes))
		f.int("foreign", &c.Foreign)
	}
	if r := c.Reflector; r != nil {
		if r.Residence != nil {
			f.float("residence_median_seconds", &r.Residence.Median)
			f.float("residence_p99_seconds", &r.Residence.P99)
		}
		f.int("reflector_sessions", &r.Sessions)
		f.float("reflector_cpu_ratio", &r.CPURatio)
		f.int("reflector_dropped", r.Dropped)
	}
	return f
}

func qualityFields(q *report.Quality) []probes.Field {
	var f fields
	if q == nil {
		return nil
	}
	f.text("grade", q.Grade)
	if q.Audio != nil {
		f.float("mos_audio", &q.Audio.MOS)
		f.float("r_audio", &q.Audio.R)
	}
	if q.Narrowband != nil {
		f.float("mos_audio_narrowband", &q.Narrowband.MOS)
	}
	if q.Video != nil {
		f.float("mos_video", &q.Video.MOS)
	}
	if s := q.Shares; s != nil {
		f.float("share_delay", &s.Delay)
		f.float("share_loss", &s.Loss)
		f.float("share_discard", &s.Discard)
		f.float("share_codec", &s.Codec)
	}
	return f
}

func flowFields(c *report.Flow) []probes.Field {
	var f fields
	f.int("sent", &c.Sent)
	f.int("received", &c.Received)
	f.int("lost", &c.Lost)
	if c.Sent > 0 {
		f.float("loss_ratio", &c.LossRatio)
	}
	f.int("loss_runs", &c.LossRuns)
	f.int("longest_loss_run", &c.LongestLossRun)
	f.float("burstiness", c.Burstiness)
	if c.Playout > 0 { // else nothing was judged for playout
		f.int("discarded", &c.Discarded)
		f.float("discard_ratio", &c.DiscardRatio)
		f.float("playout_seconds", &c.Playout)
		f.int("reordered", &c.Reordered)
		f.int("duplicates", &c.Duplicates)
	}
	f.float("jitter_seconds", c.Jitter)
	f.float("ipdv_mean_seconds", c.IPDVMean)
	f.float("ipdv_p95_seconds", c.IPDVP95)
	f.float("variation_p95_seconds", c.VariationP95)
	f.float("variation_max_seconds", c.VariationMax)
	f.int("frames", c.Frames)
	f.int("frames_lost", c.FramesLost)
	f.float("frame_loss_ratio", c.FrameLossRatio)
	f.int("freezes", c.Freezes)
	f.float("frozen_seconds", c.Frozen)
	f.float("goodput_bps", &c.GoodputBPS)
	return f
}

// believable refuses a result that the process of a call can't have meant: what comes out of it was made of what came
// from the network.
func believable(c *report.Call) bool {
	if len(c.Flows) > 16 {
		return false
	}
	for _, p := range Points(c) {
		for _, f := range p.Fields {
			if f.Type != probes.TypeString && !(f.Num >= 0 && f.Num <= 1<<50) || len(f.Str) > probes.MaxText {
				return false
			}
		}
	}
	return true
}
