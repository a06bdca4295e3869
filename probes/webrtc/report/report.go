// Package report is what is known after a conference call with real media: the shape that the process of a test hands
// to the agent, the command line prints as JSON, and an ordered call sends to the collector. It knows no media library,
// so that everybody may read it.
//
// Pointers and slices that are nil were not measured, which is not the same as zero.
package report

import "communewatch/probes"

// Call is one call.
type Call struct {
	Service   string `json:"service"` // reflector, whip, whep or janus
	Profile   string `json:"profile"`
	Rehearsal bool   `json:"rehearsal,omitempty"`

	MediaSeconds float64 `json:"media_seconds"`
	Phases       Phases  `json:"phases"`
	Transport    string  `json:"transport,omitempty"` // udp or tcp

	RTT   *Spread `json:"rtt,omitempty"`   // of media packets, without their stay at the reflector
	Data  *Data   `json:"data,omitempty"`  // of the data channel
	Delay *Delay  `json:"delay,omitempty"` // one way; only with proof of synchronised clocks
	Ramp  *Ramp   `json:"ramp,omitempty"`

	Flows   []Flow   `json:"flows"`
	Quality *Quality `json:"quality,omitempty"`

	LimitedBy string     `json:"limited_by"`       // none, agent or reflector
	Limits    []string   `json:"limits,omitempty"` // why, in words
	Agent     Agent      `json:"agent"`
	Reflector *Reflector `json:"reflector,omitempty"`
	Foreign   int        `json:"foreign,omitempty"` // packets that were not of this call, or damaged
}

// Phases is how long setting up took, each from the end of the one before; nil where it was not reached.
type Phases struct {
	Signalling *float64 `json:"signalling_seconds,omitempty"`
	ICE        *float64 `json:"ice_seconds,omitempty"`
	DTLS       *float64 `json:"dtls_seconds,omitempty"`
	FirstMedia *float64 `json:"first_media_seconds,omitempty"`
	Setup      *float64 `json:"setup_seconds,omitempty"` // all of it
}

// Spread is a distribution of times, in seconds.
type Spread struct {
	Median float64 `json:"median_seconds"`
	P95    float64 `json:"p95_seconds"`
	P99    float64 `json:"p99_seconds"`
	Max    float64 `json:"max_seconds"`
}

// Data is what became of messages on the data channel.
type Data struct {
	Sent int     `json:"sent"`
	Lost int     `json:"lost"`
	RTT  *Spread `json:"rtt,omitempty"`
}

// Delay is one-way delay, in seconds; Error is how far off it may be.
type Delay struct {
	Up    float64 `json:"up_seconds"`
	Down  float64 `json:"down_seconds"`
	Error float64 `json:"error_seconds"`
}

// Ramp is a stepped search for the video rate that goes through clean.
type Ramp struct {
	Steps []RampStep `json:"steps"`
	BPS   float64    `json:"usable_bps"` // 0: not even the lowest step
	End   string     `json:"end"`        // complete, loss, delay, budget, pacing or stopped
}

// RampStep is one rate of a ramp, the worse direction of it.
type RampStep struct {
	BPS       float64 `json:"bps"`
	Loss      float64 `json:"loss_ratio"`
	Variation float64 `json:"variation_p95_seconds"`
	Clean     bool    `json:"clean"`
}

// Flow is the media of one kind, one way. Its fields are those of the measurement webrtc_flow (CONTRACT.md).
type Flow struct {
	Direction probes.Direction `json:"direction"`
	Media     probes.Media     `json:"media"`

	Sent           int      `json:"sent"`
	Received       int      `json:"received"`
	Lost           int      `json:"lost"`
	LossRatio      float64  `json:"loss_ratio"`
	LossRuns       int      `json:"loss_runs"`
	LongestLossRun int      `json:"longest_loss_run"`
	Burstiness     *float64 `json:"burstiness,omitempty"` // BurstR
	Discarded      int      `json:"discarded"`
	DiscardRatio   float64  `json:"discard_ratio"`
	Playout        float64  `json:"playout_seconds"`
	Reordered      int      `json:"reordered"`
	Duplicates     int      `json:"duplicates"`

	Jitter       *float64 `json:"jitter_seconds,omitempty"`
	IPDVMean     *float64 `json:"ipdv_mean_seconds,omitempty"`
	IPDVP95      *float64 `json:"ipdv_p95_seconds,omitempty"`
	VariationP95 *float64 `json:"variation_p95_seconds,omitempty"`
	VariationMax *float64 `json:"variation_max_seconds,omitempty"`

	Frames         *int     `json:"frames,omitempty"` // video only, as what follows
	FramesLost     *int     `json:"frames_lost,omitempty"`
	FrameLossRatio *float64 `json:"frame_loss_ratio,omitempty"`
	Freezes        *int     `json:"freezes,omitempty"`
	Frozen         *float64 `json:"frozen_seconds,omitempty"`

	GoodputBPS float64 `json:"goodput_bps"`
}

// Quality is what people would have made of it, estimated from what was measured. Each number says by which model, and
// Inputs what went in.
type Quality struct {
	Grade      string   `json:"grade,omitempty"`            // good, degraded or bad: the loss bands of conference rooms
	Audio      *Score   `json:"audio,omitempty"`            // ITU-T G.107.2, fullband, with parameters for Opus
	Narrowband *Score   `json:"audio_narrowband,omitempty"` // ITU-T G.107, with G.711
	Video      *Score   `json:"video,omitempty"`            // ITU-T G.1070
	Shares     *Shares  `json:"shares,omitempty"`           // of Audio
	Cautions   []string `json:"cautions,omitempty"`         // such as inputs beyond a model's validity
}

// Score is a number of one model.
type Score struct {
	Model     string             `json:"model"` // "ITU-T G.107.2 (2023)"
	MOS       float64            `json:"mos"`
	R         float64            `json:"r,omitempty"` // of an E-model
	Direction probes.Direction   `json:"direction"`   // the worse one, which the score is of
	Inputs    map[string]float64 `json:"inputs"`      // "loss_percent": 0.4
}

// Shares says why R is below its maximum, in points of R.
type Shares struct {
	Codec   float64 `json:"codec"`
	Delay   float64 `json:"delay"`
	Loss    float64 `json:"loss"`
	Discard float64 `json:"discard"`
}

// Agent is how the test itself fared.
type Agent struct {
	PacingP95  float64 `json:"pacing_p95_seconds"`
	SendErrors int     `json:"send_errors"`
	SendWait   float64 `json:"send_wait_max_seconds"`          // the longest that the system took to take one packet
	Queue      *int64  `json:"send_queue_max_bytes,omitempty"` // the most that waited in the system to be sent, as seen after each frame
	Dropped    *int    `json:"dropped,omitempty"`              // packets that arrived and were dropped by the system: not read in time
	CPURatio   float64 `json:"cpu_ratio"`
	RSSBytes   int64   `json:"rss_bytes"`
}

// Reflector is what the far end says of itself.
type Reflector struct {
	Residence *Spread `json:"residence,omitempty"` // stay of packets there
	Sessions  int     `json:"sessions"`            // calls at once, at most
	CPURatio  float64 `json:"cpu_ratio"`           // of the processors it may use, at most
	Dropped   *int    `json:"dropped,omitempty"`   // packets of all calls that its system dropped during this one: not read in time
}

// Worst returns the flow with the largest loss, discards included, of all directions and media; nil without flows.
func (c *Call) Worst() *Flow {
	var worst *Flow
	for i := range c.Flows {
		f := &c.Flows[i]
		if worst == nil || f.LossRatio+f.DiscardRatio > worst.LossRatio+worst.DiscardRatio {
			worst = f
		}
	}
	return worst
}
