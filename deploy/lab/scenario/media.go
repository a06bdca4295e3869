package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"communewatch/deploy/lab/relay"
	"communewatch/probes"
)

// Media is what an order of DoMedia makes of a conference's line.
type Media struct {
	Hub       bool             `yaml:"hub" json:"hub,omitempty"`             // the hub's own line, and so every site's
	Direction probes.Direction `yaml:"direction" json:"direction,omitempty"` // up or down; "": both
	Loss      Share            `yaml:"loss" json:"loss,omitempty"`
	Burst     float64          `yaml:"burst" json:"burst,omitempty"` // mean length of a run of losses, in packets
	Rate      Rate             `yaml:"rate" json:"rate,omitempty"`
}

// Way is what an order of DoMedia sets in its directions.
func (o Order) Way() relay.Way {
	return relay.Way{Cut: o.Mode == "cut", Loss: float64(o.Loss), Burst: o.Burst, BPS: float64(o.Rate), Delay: o.Delay, Jitter: o.Jitter}
}

func (o Order) checkMedia(problem func(key, format string, args ...any)) {
	if !slices.Contains([]probes.Direction{"", probes.DirectionUp, probes.DirectionDown}, o.Direction) {
		problem("direction", "%q is not up or down; leave it out for both", o.Direction)
	}
	if !slices.Contains([]string{"", "up", "cut"}, o.Mode) {
		problem("mode", "%q is not cut or up", o.Mode)
	}
	way := o.Way()
	if err := way.Validate(); err != nil {
		problem("do", "%v", err)
	}
	nothing := !way.Cut && way.Loss == 0 && way.BPS == 0 && way.Delay == 0 && way.Jitter == 0
	if nothing && o.Mode != "up" {
		problem("do", "say what becomes of media: loss, delay, jitter, rate, or the mode cut; up takes it back")
	}
	if !nothing && o.Mode == "up" {
		problem("mode", "up takes everything back; leave it out to set something")
	}
}

func (o Order) describeMedia(b *strings.Builder) {
	if o.Loss > 0 {
		fmt.Fprintf(b, " loss %v", o.Loss)
	}
	if o.Burst > 1 {
		fmt.Fprintf(b, " in runs of %g", o.Burst)
	}
	if o.Rate > 0 {
		fmt.Fprintf(b, " rate %v", o.Rate)
	}
	if o.Jitter > 0 {
		fmt.Fprintf(b, " jitter %v", o.Jitter)
	}
	if o.Direction != "" {
		fmt.Fprintf(b, " on the way %s", o.Direction)
	}
	if o.Hub {
		b.WriteString(" at the hub")
	}
}

// Share is a part of a whole, 0 to 1, written 0.08 or 8%.
type Share float64

// MarshalText writes a percentage.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is a percentage.
func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', 6, 64) + "%" }

// UnmarshalText reads a share.
func (s *Share) UnmarshalText(text []byte) error {
	word, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q: want a share such as 8%% or 0.08", text)
	}
	*s = Share(v)
	return nil
}

// Rate is in bits per second, written 2M, 600k or 600000.
type Rate float64

// MarshalText writes a rate.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String writes a rate as UnmarshalText reads it.
func (r Rate) String() string {
	switch {
	case r >= 1e6:
		return strconv.FormatFloat(float64(r)/1e6, 'g', 6, 64) + "M"
	case r >= 1e3:
		return strconv.FormatFloat(float64(r)/1e3, 'g', 6, 64) + "k"
	}
	return strconv.FormatFloat(float64(r), 'g', 6, 64)
}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	word, times := strings.TrimSpace(string(text)), 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if w, ok := strings.CutSuffix(word, suffix); ok {
			word, times = w, f
			break
		}
	}
	v, err := strconv.ParseFloat(word, 64)
	if err != nil || !(v >= 0 && v*times <= 1e10) {
		return fmt.Errorf("%q: want bits per second such as 2M or 600k", text)
	}
	*r = Rate(v * times)
	return nil
}
