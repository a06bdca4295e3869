package relay

import (
	"fmt"
	"math"
	"slices"
	"time"

	"communewatch/probes"
)

// Line is what a line does to packets. The zero Line passes everything at once.
type Line struct {
	Up   Way `yaml:"up" json:"up"`     // from the site to the hub
	Down Way `yaml:"down" json:"down"` // from the hub to the site
}

// Both is a line that is the same in both directions.
func Both(w Way) Line { return Line{Up: w, Down: w} }

// Validate says what is wrong with a line, or nil.
func (l Line) Validate() error {
	if err := l.Up.Validate(); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	if err := l.Down.Validate(); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	return nil
}

// Spread is how the delay that Jitter adds is distributed.
type Spread string

// The spreads. Exponential is what queues of many make of it: mostly little, now and then much.
const (
	Uniform     Spread = "uniform"     // 0 to Jitter
	Exponential Spread = "exponential" // Jitter on average, ten times that at most
	Normal      Spread = "normal"      // Delay is the middle and Jitter the standard deviation, cut at zero
)

// Way is what a line does to packets in one direction, in the order of its fields.
type Way struct {
	Cut bool `yaml:"cut" json:"cut,omitempty"` // nothing passes

	Script []Rule `yaml:"-" json:"-"` // of each call's own streams

	Loss  float64 `yaml:"loss" json:"loss,omitempty"`   // share of packets lost at random, 0..1; of all kinds, not of media alone
	Burst float64 `yaml:"burst" json:"burst,omitempty"` // mean length of a run of them (Gilbert's model); below 1: as chance has it

	BPS   float64 `yaml:"bps" json:"bps,omitempty"`     // bits per second that pass, IP and UDP headers counted; 0: no limit
	Queue int     `yaml:"queue" json:"queue,omitempty"` // bytes that may wait for it, what comes then is dropped; 0: a fifth of a second's worth

	Delay     time.Duration `yaml:"delay" json:"delay,omitempty"`
	Jitter    time.Duration `yaml:"jitter" json:"jitter,omitempty"`
	Spread    Spread        `yaml:"spread" json:"spread,omitempty"`       // "": Uniform
	Unordered bool          `yaml:"unordered" json:"unordered,omitempty"` // jitter may let packets of a call overtake each other
}

// Rule is what happens to packets of one stream of a call. Packets are numbered from 0 in the order of their sequence
// numbers, beginning with the first that the relay saw.
type Rule struct {
	Media    probes.Media // "": any
	Stream   int          // of several of that kind, in the order in which they began
	From, To int          // packets, both included
	Do       Act
	Count    int // of Duplicate and Late; below 1: 1
}

// Act is what happens to a packet.
type Act string

// The acts.
const (
	Drop      Act = "drop"
	Duplicate Act = "duplicate" // Count further copies follow it at once
	// Late lets Count later packets of the stream pass first. At a stream's end, where they don't come, it is sent
	// after lateAtMost.
	Late Act = "late"
)

const (
	lateAtMost = time.Second
	maxDelay   = 10 * time.Second
	minBPS     = 1000
	maxBPS     = 10e9
	maxQueue   = 16 << 20
	maxRules   = 10_000
	maxCount   = 100
	// overhead is what IPv4 and UDP add to a datagram.
	overhead = 28
)

// Validate says what is wrong with a way, or nil.
func (w Way) Validate() error {
	switch {
	case !(w.Loss >= 0 && w.Loss <= 1):
		return fmt.Errorf("loss %v: a share from 0 to 1", w.Loss)
	case !(w.Burst >= 0 && w.Burst <= 1000):
		return fmt.Errorf("burst %v: 1 to 1000 packets", w.Burst)
	case w.Burst > 1 && w.Loss < 1 && w.Loss > w.Burst/(w.Burst+1):
		return fmt.Errorf("loss %v in bursts of %v: at most %.3f", w.Loss, w.Burst, w.Burst/(w.Burst+1))
	case w.BPS != 0 && !(w.BPS >= minBPS && w.BPS <= maxBPS):
		return fmt.Errorf("rate %v: %v to %v bit/s", w.BPS, minBPS, maxBPS)
	case w.Queue < 0 || w.Queue > maxQueue:
		return fmt.Errorf("queue %d: at most %d bytes", w.Queue, maxQueue)
	case w.Delay < 0 || w.Delay > maxDelay:
		return fmt.Errorf("delay %v: at most %v", w.Delay, maxDelay)
	case w.Jitter < 0 || w.Jitter > maxDelay:
		return fmt.Errorf("jitter %v: at most %v", w.Jitter, maxDelay)
	case !slices.Contains([]Spread{"", Uniform, Exponential, Normal}, w.Spread):
		return fmt.Errorf("spread %q: use uniform, exponential or normal", w.Spread)
	case len(w.Script) > maxRules:
		return fmt.Errorf("%d rules: at most %d", len(w.Script), maxRules)
	}
	for i, r := range w.Script {
		switch {
		case !slices.Contains([]Act{Drop, Duplicate, Late}, r.Do):
			return fmt.Errorf("rule %d: %q is not drop, duplicate or late", i, r.Do)
		case r.From < 0 || r.To < r.From || r.To > math.MaxInt32:
			return fmt.Errorf("rule %d: packets %d to %d", i, r.From, r.To)
		case r.Count < 0 || r.Count > maxCount:
			return fmt.Errorf("rule %d: count %d: at most %d", i, r.Count, maxCount)
		case r.Stream < 0:
			return fmt.Errorf("rule %d: stream %d", i, r.Stream)
		}
	}
	return nil
}

// match returns the first rule for a packet, or nil.
func (w *Way) match(media probes.Media, nth, number int) *Rule {
	for i := range w.Script {
		r := &w.Script[i]
		if (r.Media == "" || r.Media == media) && r.Stream == nth && number >= r.From && number <= r.To {
			return r
		}
	}
	return nil
}

// times is how often a rule does its act.
func (r *Rule) times() int { return max(1, r.Count) }

// queue is how many bytes may wait.
func (w *Way) queue() float64 {
	if w.Queue > 0 {
		return float64(w.Queue)
	}
	return w.BPS / 8 / 5
}
