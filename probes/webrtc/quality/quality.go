// Package quality says what people would have made of a call, from what was measured of it.
//
// First of all there is a plain grade, by the bands of loss that people who run conference rooms go by. Beside it stand
// numbers of published models, each labelled with its name and what went into it:
//
//   - ITU-T G.107.2, the E-model for fullband speech, with parameters for Opus: what a meeting in a browser would have
//     sounded like. Its maximum is R = 148.
//   - ITU-T G.107, the E-model for telephony, with G.711: for comparison with reports of telephone lines. Its scale
//     is another; the two MOS must not be put on one axis.
//   - ITU-T G.1070: video.
//
// They are planning models: made to compare lines, not to replace people's ears. Packets that came too late for the
// de-jitter buffer count as lost in all of them, and the delay is that of the buffer which judged them.
package quality

import (
	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/report"
)

// Grades, by packets lost or too late.
const (
	GradeGood     = "good"     // below 1 %
	GradeDegraded = "degraded" // 1 to 5 %
	GradeBad      = "bad"      // above 5 %
)

// Cautions: why a number is to be read with care. They are codes; Caution has them in words.
const (
	CautionVideoLoss    = "video_loss"    // beyond what G.1070 is made for
	CautionVideoSize    = "video_size"    // a larger picture than its coefficients are of
	CautionAudioLoss    = "audio_loss"    // beyond what the E-model is made for
	CautionOpusRate     = "opus_rate"     // beyond the rates that parameters are known for
	CautionDelayUnknown = "delay_unknown" // no round-trip time was measured
	CautionRound        = "round"         // loss of both ways together
	CautionTCP          = "tcp"           // loss is hidden, it shows as delay
	CautionLimited      = "limited"       // the ends were busy
)

// Caution returns a caution in English words, or the code itself if it is not known.
func Caution(code string) string {
	switch code {
	case CautionVideoLoss:
		return "more than 3 % of video packets missing: G.1070 is made for less"
	case CautionVideoSize:
		return "coefficients of G.1070 are for a small picture (VGA): use the video score to compare lines only"
	case CautionAudioLoss:
		return "more than 20 % of audio packets missing: the E-model is made for less"
	case CautionOpusRate:
		return "parameters of Opus are known from 14 to 40 kbit/s: the nearest were used"
	case CautionDelayUnknown:
		return "no round-trip time was measured: delay is that of the two ends alone"
	case CautionRound:
		return "the far end does not tell the ways apart: loss is that of both together"
	case CautionTCP:
		return "media went over TCP: what was lost on the line shows as delay"
	case CautionLimited:
		return "an end of the call was busy: the line may be better than this"
	}
	return code
}

// Names of the models, as they stand in scores.
const (
	ModelFullband   = "ITU-T G.107.2 (2023), Opus"
	ModelNarrowband = "ITU-T G.107 (2015), G.711 with loss concealment"
	ModelVideo      = "ITU-T G.1070 (2018), H.264 VGA"
)

// packetMS is the length of a packet of speech, which has to be spoken before it can be sent, in ms.
const packetMS = 20

// Inputs is what a report does not say.
type Inputs struct {
	Profile orders.Profile // the streams that were sent
}

// Grade is the grade of a share of packets lost or too late, 0 to 1.
func Grade(loss float64) string {
	switch {
	case loss < 0.01:
		return GradeGood
	case loss <= 0.05:
		return GradeDegraded
	}
	return GradeBad
}

// Of estimates the quality of a call, each number for the worse direction; nil if no stream was sent.
func Of(call *report.Call, in Inputs) *report.Quality {
	q := &report.Quality{}
	var worst float64
	var streams int
	for i := range call.Flows {
		f := &call.Flows[i]
		if f.Sent == 0 {
			continue
		}
		streams++
		worst = max(worst, missing(f))
		if f.Direction == probes.DirectionRound {
			caution(q, CautionRound)
		}
		if f.Media == probes.MediaVideo {
			video(q, f, in.Profile)
		} else {
			audio(q, call, f, in.Profile)
		}
	}
	if streams == 0 {
		return nil
	}
	q.Grade = Grade(worst)
	if call.Transport == "tcp" {
		caution(q, CautionTCP)
	}
	if call.LimitedBy != "" && call.LimitedBy != "none" {
		caution(q, CautionLimited)
	}
	return q
}

// missing is the share of packets that a listener did not get.
func missing(f *report.Flow) float64 {
	return within(within(f.LossRatio, 0, 1)+within(f.DiscardRatio, 0, 1), 0, 1)
}

func audio(q *report.Quality, call *report.Call, f *report.Flow, p orders.Profile) {
	ta, known := delay(call, f)
	if !known {
		caution(q, CautionDelayUnknown)
	}
	burst := 1.0
	if f.Burstiness != nil {
		burst = within(*f.Burstiness, 1, 8)
	}
	lost, all := 100*within(f.LossRatio, 0, 1), 100*missing(f)
	if all > 20 {
		caution(q, CautionAudioLoss)
	}
	inputs := func(ie, bpl float64) map[string]float64 {
		return map[string]float64{"delay_ms": ta, "loss_percent": lost, "discard_percent": all - lost, "burst_ratio": burst, "ie": ie, "bpl": bpl}
	}

	ie, bpl, measured := Opus(float64(p.AudioBPS))
	if !measured {
		caution(q, CautionOpusRate)
	}
	full := func(lost float64) float64 { return Ie(ie, worstFullband, lost, burst, bpl) }
	shares := report.Shares{Codec: ie, Delay: MaxFullband / 100.0 * Idd(ta), Loss: full(lost) - ie, Discard: full(all) - full(lost)}
	if sum := shares.Codec + shares.Delay + shares.Loss + shares.Discard; sum > MaxFullband {
		// More went wrong than there was to lose: each takes its part of what there was.
		part := MaxFullband / sum
		shares = report.Shares{Codec: part * shares.Codec, Delay: part * shares.Delay, Loss: part * shares.Loss, Discard: part * shares.Discard}
	}
	r := max(0, MaxFullband-shares.Codec-shares.Delay-shares.Loss-shares.Discard)
	if q.Audio == nil || r < q.Audio.R {
		q.Audio = &report.Score{Model: ModelFullband, MOS: MOS(r / (MaxFullband / 100.0)), R: r, Direction: f.Direction, Inputs: inputs(ie, bpl)}
		q.Audio.Inputs["bitrate_bps"] = float64(p.AudioBPS)
		q.Shares = &shares
	}

	r = max(0, MaxNarrowband-Idd(ta)-Ie(g711Ie, worstNarrowband, all, burst, g711Bpl))
	if q.Narrowband == nil || r < q.Narrowband.R {
		q.Narrowband = &report.Score{Model: ModelNarrowband, MOS: MOS(r), R: r, Direction: f.Direction, Inputs: inputs(g711Ie, g711Bpl)}
	}
}

func video(q *report.Quality, f *report.Flow, p orders.Profile) {
	lost := 100 * missing(f)
	if lost > 3 {
		caution(q, CautionVideoLoss)
	}
	caution(q, CautionVideoSize)
	mos := Video(float64(p.VideoBPS)/1000, float64(p.FPS), lost)
	if q.Video == nil || mos < q.Video.MOS {
		q.Video = &report.Score{Model: ModelVideo, MOS: mos, Direction: f.Direction, Inputs: map[string]float64{
			"bitrate_bps": float64(p.VideoBPS), "fps": float64(p.FPS), "loss_percent": 100 * within(f.LossRatio, 0, 1), "discard_percent": lost - 100*within(f.LossRatio, 0, 1)}}
	}
}

// delay is how long speech takes from mouth to ear, in ms: a packet has to be filled, travel, and wait in the de-jitter
// buffer. Without proof of synchronised clocks each way is taken for half of the way there and back.
func delay(call *report.Call, f *report.Flow) (ms float64, known bool) {
	ms = packetMS + 1000*within(f.Playout, 0, 10)
	switch {
	case call.Delay != nil && f.Direction == probes.DirectionUp:
		ms += 1000 * within(call.Delay.Up, 0, 60)
	case call.Delay != nil && f.Direction == probes.DirectionDown:
		ms += 1000 * within(call.Delay.Down, 0, 60)
	case call.RTT != nil:
		ms += 1000 * within(call.RTT.Median, 0, 60) / 2
	default:
		return ms, false
	}
	return ms, true
}

func caution(q *report.Quality, code string) {
	for _, c := range q.Cautions {
		if c == code {
			return
		}
	}
	q.Cautions = append(q.Cautions, code)
}
