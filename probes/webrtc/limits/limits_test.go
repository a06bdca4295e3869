package limits

import (
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/report"
)

func TestWhatABusyEndDoesToAVerdict(t *testing.T) {
	n := func(v int) *int { return &v }
	residence := func(p99 float64) *report.Spread { return &report.Spread{P99: p99} }
	for name, c := range map[string]struct {
		lost, down int // of 10,000
		change     func(*report.Call, *Inputs)
		by         string
		says       string
		overloaded bool
	}{
		"nobody busy":             {by: "none"},
		"the line loses":          {lost: 3000, by: "none"},
		"a collection of garbage": {change: func(c *report.Call, _ *Inputs) { c.Reflector.Residence = residence(0.027) }, by: "none"},
		"packets stay":            {change: func(c *report.Call, _ *Inputs) { c.Reflector.Residence = residence(0.031) }, by: "reflector", says: "31 ms"},
		"packets stay, a short one": {change: func(c *report.Call, in *Inputs) {
			c.Reflector.Residence, in.Playout = residence(0.012), 20*time.Millisecond
		}, by: "reflector", says: "12 ms"},
		"packets stay long, clean":    {lost: 99, change: func(c *report.Call, _ *Inputs) { c.Reflector.Residence = residence(1) }, by: "reflector"},
		"packets stay, some lost":     {lost: 100, change: func(c *report.Call, _ *Inputs) { c.Reflector.Residence = residence(0.1) }, by: "reflector", overloaded: true},
		"late, clean":                 {change: func(c *report.Call, _ *Inputs) { c.Agent.PacingP95 = 0.08 }, by: "agent", says: "80 ms late"},
		"late, some lost":             {down: 200, change: func(c *report.Call, _ *Inputs) { c.Agent.PacingP95 = 0.08 }, by: "agent", overloaded: true},
		"late, some too late":         {change: func(c *report.Call, _ *Inputs) { c.Agent.PacingP95, c.Flows[1].DiscardRatio = 0.08, 0.02 }, by: "agent", overloaded: true},
		"stood still for a moment":    {change: func(_ *report.Call, in *Inputs) { in.Shifted = 300 * time.Millisecond }, by: "agent"},
		"stood still":                 {change: func(_ *report.Call, in *Inputs) { in.Shifted = time.Second }, by: "agent", says: "1.0 s", overloaded: true},
		"no memory":                   {lost: 100, change: func(_ *report.Call, in *Inputs) { in.Unsent = 100 }, by: "agent", says: "want of memory", overloaded: true},
		"a processor of its own":      {change: func(c *report.Call, in *Inputs) { c.Agent.CPURatio, in.Alone = 0.9, true }, by: "agent", says: "90 % of a processor"},
		"everybody's processors":      {lost: 200, change: func(c *report.Call, _ *Inputs) { c.Agent.CPURatio = 2 }, by: "none"},
		"the reflector's processors":  {change: func(c *report.Call, _ *Inputs) { c.Reflector.CPURatio = 0.9 }, by: "reflector", says: "90 %"},
		"hub dropped others'":         {change: func(c *report.Call, _ *Inputs) { c.Reflector.Dropped = n(5000) }, by: "reflector", says: "dropped 5000 packets"},
		"hub dropped a few of many":   {lost: 90, change: func(c *report.Call, _ *Inputs) { c.Reflector.Dropped = n(3) }, by: "reflector"},
		"hub dropped what is missing": {lost: 20, change: func(c *report.Call, _ *Inputs) { c.Reflector.Dropped = n(20) }, by: "reflector", overloaded: true},
		"hub dropped a share":         {lost: 90, change: func(c *report.Call, _ *Inputs) { c.Reflector.Dropped = n(50) }, by: "reflector", overloaded: true},
		"hub dropped none":            {lost: 90, change: func(c *report.Call, _ *Inputs) { c.Reflector.Dropped = n(0) }, by: "none"},
		"hub's don't explain down":    {down: 50, change: func(c *report.Call, _ *Inputs) { c.Reflector.Dropped = n(50) }, by: "reflector"},
		"agent dropped":               {down: 50, change: func(c *report.Call, _ *Inputs) { c.Agent.Dropped = n(50) }, by: "agent", says: "dropped 50 packets", overloaded: true},
		"agent's don't explain up":    {lost: 50, change: func(c *report.Call, _ *Inputs) { c.Agent.Dropped = n(50) }, by: "agent"},
		"the worse one is named": {lost: 50, change: func(c *report.Call, _ *Inputs) {
			c.Agent.PacingP95, c.Reflector.Dropped = 0.04, n(50)
		}, by: "reflector", says: "reflector's machine dropped", overloaded: true},
	} {
		ratio := func(n int) float64 { return float64(n) / 10_000 }
		rep := &report.Call{MediaSeconds: 15, Reflector: &report.Reflector{Residence: residence(0.001)}, Flows: []report.Flow{
			{Direction: probes.DirectionUp, Sent: 10_000, Lost: c.lost, LossRatio: ratio(c.lost)},
			{Direction: probes.DirectionDown, Sent: 10_000, Lost: c.down, LossRatio: ratio(c.down)},
		}}
		in := Inputs{}
		if c.change != nil {
			c.change(rep, &in)
		}
		v := Of(rep, in)
		text := strings.Join(v.Texts, "\n")
		if v.By != c.by || (v.Overloaded != "") != c.overloaded || !strings.Contains(text, c.says) || (v.By == "none") != (len(v.Texts) == 0) {
			t.Errorf("%s: by %s, overloaded %q: %s", name, v.By, v.Overloaded, text)
		}
		if c.says != "" && c.overloaded && !strings.Contains(v.Overloaded, c.says) {
			t.Errorf("%s: overloaded %q, want %q", name, v.Overloaded, c.says)
		}
	}
	if v := Of(&report.Call{}, Inputs{}); v.By != "none" || v.Overloaded != "" {
		t.Errorf("a call without flows: %+v", v)
	}
}
