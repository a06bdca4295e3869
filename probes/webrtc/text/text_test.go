package text_test

import (
	"strings"
	"testing"

	"communewatch/probes"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/webrtc/text"
)

func TestACallReadsWellWhateverIsMissing(t *testing.T) {
	v, n, queued := 0.0123, 4, int64(2300)
	whole := report.Call{
		Service: "reflector", Profile: "720p", MediaSeconds: 15, Transport: "tcp", LimitedBy: "reflector", Limits: []string{"it was busy"},
		Phases: report.Phases{Signalling: &v, ICE: &v}, RTT: &report.Spread{Median: v, P95: v, Max: 1.5},
		Data: &report.Data{Sent: 10, Lost: 1}, Delay: &report.Delay{Up: v, Down: v, Error: v}, Foreign: 3,
		Agent:     report.Agent{SendWait: v, Queue: &queued, Dropped: &n},
		Ramp:      &report.Ramp{BPS: 1e6, End: "loss", Steps: []report.RampStep{{BPS: 2e6, Loss: 0.05}}},
		Reflector: &report.Reflector{Sessions: 2, CPURatio: 0.5, Residence: &report.Spread{Median: v, P99: v}},
		Flows: []report.Flow{
			{Direction: probes.DirectionUp, Media: probes.MediaVideo, Sent: 200, Lost: 4, LossRatio: 0.02, LossRuns: 2, LongestLossRun: 3, Playout: 0.12, Frames: &n, FramesLost: &n},
			{Direction: probes.DirectionDown, Media: probes.MediaVideo, Sent: 196, Playout: 0.12},
		},
		Quality: &report.Quality{Grade: "degraded", Cautions: []string{"tcp"}, Shares: &report.Shares{Loss: 8},
			Audio: &report.Score{Model: "a model", MOS: 3.5, R: 100, Direction: "up", Inputs: map[string]float64{"delay_ms": 80}}},
	}
	var out strings.Builder
	if err := text.Write(&out, &whole); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"TCP", "signalling 12.30 ms, ICE 12.30 ms", "longest 1.5 s", "1 of 10 messages lost\n", "each to within 12.30 ms",
		"video up", "4 (2.00 %)", "2, 3", "4 of 4", "usable video  1000 kbit/s: the next step lost packets", "2000 kbit/s  lost 5.00 %",
		"MOS 3.50 (R 100.0 of 148), delay 80 ms, direction up: estimated by a model", "loss 8.0", "note: media went over TCP", "it was busy", "2 calls at most", "took 12.30 ms to send, 2.3 kB at most waited to be sent, 4 packets dropped", "720p, 15.0 s of media", "3 packets that were not"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not said: %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
	out.Reset()
	if err := text.Write(&out, &report.Call{Service: "auto", Profile: "720p"}); err != nil || out.String() != "" {
		t.Errorf("%v: a call that was not answered:\n%s", err, out.String())
	}
	if err := text.Write(&out, &report.Call{Service: "auto", Profile: "720p", Phases: report.Phases{Signalling: &v}}); err != nil || strings.Contains(out.String(), "auto") || strings.Contains(out.String(), "0.0 s") {
		t.Errorf("%v: a call that was not connected:\n%s", err, out.String())
	}
	out.Reset()
	if err := text.Write(&out, &report.Call{Service: "whip", Profile: "low", Phases: report.Phases{Signalling: &v}}); err != nil || strings.Contains(out.String(), "limited by") || strings.Contains(out.String(), "lost") {
		t.Errorf("%v: a call that never came to be:\n%s", err, out.String())
	}
}
