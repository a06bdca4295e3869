// Package limits says which end of a call was too busy for the call's numbers to be the line's alone.
//
// A busy end only makes numbers worse. So a call in which hardly anything was lost or late is evidence whatever else
// its ends had to do, and says so beside its numbers; but what is missing while an end was busy may be missing because
// of that, and is no evidence against the line.
package limits

import (
	"fmt"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/flow"
	"communewatch/probes/webrtc/report"
)

// Inputs is what a report does not say.
type Inputs struct {
	Playout time.Duration // the shortest de-jitter buffer of the call; zero: that of audio
	Shifted time.Duration // that streams stood still because the test did not get to run
	Unsent  int           // packets that the agent's system would not take for want of memory
	Alone   bool          // the call had a process of its own, so that what it used of the processors is its own
}

// Verdict is what was found.
type Verdict struct {
	By         string   // none, agent or reflector
	Texts      []string // why, in words
	Overloaded string   // the one of Texts for which the call must not be held against the line; "" for none
}

// How busy is busy. What an end adds to the time of a packet matters as soon as the de-jitter buffer is too short for
// it, so times are taken as shares of that: below half of it an end can't make packets late by itself. Garbage
// collection, and the scheduler of a small machine, cost single packets 5 to 30 ms without anybody noticing.
const (
	bufferShare  = 0.5
	standing     = 0.05  // of the call: what stands still for longer did not ask of the line what the profile says
	agentCPU     = 0.9   // of one processor: packets go out one after the other
	reflectorCPU = 0.8   // of all of them
	missing      = 0.01  // of a flow's packets, from which it is not clean: the edge of the grade "good"
	dropped      = 0.005 // of the packets sent: half of that edge
)

// Of looks at the two ends of a call that is over.
func Of(c *report.Call, in Inputs) Verdict {
	v := Verdict{By: "none"}
	limit := func(who string, worst bool, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		v.Texts = append(v.Texts, text)
		worst = worst && v.Overloaded == ""
		if worst {
			v.Overloaded = text
		}
		if worst || v.By == "none" {
			v.By = who
		}
	}
	if in.Playout <= 0 {
		in.Playout = flow.AudioPlayout
	}
	late := bufferShare * in.Playout.Seconds()
	a := &c.Agent
	if a.PacingP95 > late {
		limit("agent", false, "the agent's machine was busy: one packet in twenty was sent %.0f ms late or later", 1000*a.PacingP95)
	}
	if in.Shifted > 0 {
		limit("agent", in.Shifted.Seconds() > standing*c.MediaSeconds, "the agent's machine was busy: streams stood still for %.1f s", in.Shifted.Seconds())
	}
	if in.Unsent > 0 {
		limit("agent", false, "the agent's machine would not take %d packets for want of memory", in.Unsent)
	}
	if in.Alone && a.CPURatio >= agentCPU {
		limit("agent", false, "the agent's machine was busy: the call used %.0f %% of a processor", 100*a.CPURatio)
	}
	if n := a.Dropped; n != nil && *n > 0 {
		limit("agent", explains(c, *n, probes.DirectionDown, probes.DirectionRound), "the agent's machine dropped %d packets that had arrived: they were not read in time", *n)
	}
	if r := c.Reflector; r != nil {
		if n := r.Dropped; n != nil && *n > 0 {
			limit("reflector", explains(c, *n, probes.DirectionUp), "the reflector's machine dropped %d packets that had arrived, of all its calls: they were not read in time", *n)
		}
		if r.Residence != nil && r.Residence.P99 > late {
			limit("reflector", false, "the reflector was busy: one packet in a hundred stayed there for %.0f ms or longer", 1000*r.Residence.P99)
		}
		if r.CPURatio > reflectorCPU {
			limit("reflector", false, "the reflector's machine used %.0f %% of its processors", 100*r.CPURatio)
		}
	}
	if w := c.Worst(); w != nil && w.LossRatio+w.DiscardRatio >= missing && v.By != "none" && v.Overloaded == "" {
		v.Overloaded = v.Texts[0]
	}
	return v
}

// explains says whether packets that an end dropped are too many to tell what the line lost of those directions. How
// many of them were this call's is not known.
func explains(c *report.Call, drops int, directions ...probes.Direction) bool {
	sent, lost := 0, 0
	for _, f := range c.Flows {
		for _, d := range directions {
			if f.Direction == d {
				sent, lost = sent+f.Sent, lost+f.Lost
			}
		}
	}
	return lost > 0 && (float64(drops) >= dropped*float64(sent) || 2*drops >= lost)
}
