package changes

import (
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/probes"
)

// What was announced before a restart is known after it as what it was.
func TestTransitionsComeBack(t *testing.T) {
	at := time.Date(2026, 11, 26, 7, 0, 0, 0, time.UTC)
	for _, want := range []health.Transition{
		{Site: "s1", From: health.StateOK, To: health.StateDown, At: at},
		{Site: "s1", Layer: probes.LayerDedicated, From: health.StateNoData, To: health.StateDegraded, At: at},
		{Site: "s1", Layer: probes.LayerLAN, Check: health.CheckID{Agent: "pc", Target: "gw/2"}, From: health.StateDown, To: health.StateOK, At: at},
	} {
		if got := Transition(Of([]health.Transition{want})[0]); got != want {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
	}
}
