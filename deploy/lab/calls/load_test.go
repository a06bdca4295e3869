package calls

import (
	"testing"
	"time"

	"communewatch/deploy/lab/load"
	"communewatch/deploy/lab/relay"
	"communewatch/probes"
)

// TestLoadCountsWhatTheLineLost: figures of a benchmark are worth what its load generator can count.
func TestLoadCountsWhatTheLineLost(t *testing.T) {
	profile, err := load.Named("low")
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, relay.Line{Up: relay.Way{Delay: 20 * time.Millisecond, Script: []relay.Rule{{Media: probes.MediaAudio, From: 40, To: 42, Do: relay.Drop}}}}, nil)
	begins, ends := 0, 0
	r, err := load.Run(t.Context(), load.Options{
		Service: "reflector", URL: g.relay.URL("/whip/echo"), Token: token, Sessions: 1, Profile: profile,
		Warm: 200 * time.Millisecond, Duration: 2 * time.Second, Hold: 2 * time.Second,
	}, func(begin bool) {
		if begin {
			begins++
		} else {
			ends++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent < 100 || r.Lost != 3 || r.Refused != 0 || r.RTTMedian < 0.02 || r.RTTP99 < r.RTTMedian || begins != 1 || ends != 1 {
		t.Errorf("%+v, measuring began %d and ended %d times", r, begins, ends)
	}
	if up := g.books(t).Of(probes.DirectionUp, probes.MediaAudio, 0); up.Lost() != 3 {
		t.Errorf("the line lost %d", up.Lost())
	}
}
