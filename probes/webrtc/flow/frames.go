package flow

import (
	"maps"
	"slices"
	"time"

	"communewatch/probes"
)

// pictures tells how many frames were not whole in time, and how often and how long the picture stood still.
//
// The picture is shown from the de-jitter buffer, so whole frames follow each other as they were sent, and only frames
// that are not whole make it stand. It is a freeze by the rule of W3C's webrtc-stats (freezeCount): the time from one
// shown frame to the next is at least three frame times, and at least one frame time and 150 ms. Its length is that
// time. Frames missing before the first whole one are no freeze, since nothing was to be seen yet; frames missing
// after the last one are, until the last one that was sent.
func (f *Flow) pictures(sent, frames int) (lost, freezes int, frozen time.Duration) {
	var whole []bool
	if f.cfg.Direction == probes.DirectionDown {
		whole = f.relayed(sent)
	} else {
		whole = f.whole(sent, frames)
	}
	shown, gap := false, 0
	still := func() {
		length := time.Duration(gap+1) * f.cfg.FrameInterval
		if shown && length >= max(3*f.cfg.FrameInterval, f.cfg.FrameInterval+150*time.Millisecond) {
			freezes++
			frozen += length
		}
		gap = 0
	}
	for _, w := range whole {
		if !w {
			lost++
			gap++
			continue
		}
		still()
		shown = true
	}
	still()
	return min(lost, frames), freezes, frozen
}

// whole tells of each frame whether all of its packets came in time.
func (f *Flow) whole(sent, frames int) []bool {
	base := f.base()
	missing := make([]int, frames) // packets that did not come; -1: nothing is known of the frame
	for i := range missing {
		missing[i] = -1
	}
	for seq := range sent {
		r := f.at(seq)
		if r == nil || int64(r.frame) >= int64(frames) {
			continue
		}
		m := &missing[r.frame]
		if *m < 0 {
			*m = int(r.packets)
		}
		if base.above(r) <= f.cfg.Playout {
			*m--
		}
	}
	whole := make([]bool, frames)
	for i, m := range missing {
		whole[i] = m == 0
	}
	return whole
}

// relayed tells the same of frames on their way back from a reflector. It sends back what it received: a frame that
// lost a packet on the way there can't be whole, and that is not to be said of the way back. So a frame counts as
// lost if one of the packets missing here was of it. Which frame that was is told by its place: it belongs to the
// frame before the gap as long as that has packets to come, then to the next one.
func (f *Flow) relayed(sent int) []bool {
	base := f.base()
	frames := map[uint32]bool{} // whole so far
	var (
		frame   uint32 // that of the packet looked at
		packets uint16 // of it
		seen    uint16
		began   bool
	)
	for seq := range sent {
		r := f.at(seq)
		if r == nil {
			if packets == 0 { // nothing arrived yet: the first packet that did tells how many a frame has
				packets = f.packetsAfter(seq)
			}
			if began && seen >= packets {
				frame++
				seen = 0
			}
			began = true
			seen++
			frames[frame] = false
			continue
		}
		if !began || r.frame != frame {
			seen = 0
		}
		frame, packets, began = r.frame, r.packets, true
		seen++
		if _, known := frames[frame]; !known {
			frames[frame] = true
		}
		if base.above(r) > f.cfg.Playout {
			frames[frame] = false
		}
	}
	whole := make([]bool, 0, len(frames))
	for _, n := range slices.Sorted(maps.Keys(frames)) {
		whole = append(whole, frames[n])
	}
	return whole
}

func (f *Flow) packetsAfter(seq int) uint16 {
	for ; seq <= int(f.highest); seq++ {
		if r := f.at(seq); r != nil {
			return r.packets
		}
	}
	return 1
}
