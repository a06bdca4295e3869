package health

import "math"

// window sums a ratio's counts over the newest runs.
//
// Few packets say little: with ten pings one lost is 10 %. So counts are summed over several runs, and one run with
// losses is not yet a fault (see window.lossy). On the other side a window remembers: after a minute of heavy loss it
// would stay above the limit until that minute has left it, long after the line is well. So the window is emptied
// once so many packets in a row got through that this would happen by chance, at the loss seen before them, less than
// once in twenty times.
type window struct {
	ring  []counts
	next  int
	n     int
	sent  uint32 // sums over the ring
	lost  uint32
	lossy int    // runs with losses in the ring
	clean uint32 // sent since the last loss
}

type counts struct{ sent, lost uint16 }

// chance is the probability below which a clean streak is not taken for luck.
const chance = 0.05

func (w *window) add(size int, sent, lost float64) {
	if !(sent >= 1 && sent <= math.MaxUint16 && lost >= 0 && lost <= sent) {
		return // nothing sent, or nonsense
	}
	if w.ring == nil {
		w.ring = make([]counts, size)
	}
	if w.n == len(w.ring) {
		old := w.ring[w.next]
		w.sent -= uint32(old.sent)
		w.lost -= uint32(old.lost)
		if old.lost > 0 {
			w.lossy--
		}
	} else {
		w.n++
	}
	c := counts{uint16(sent), uint16(lost)}
	w.ring[w.next] = c
	w.next = (w.next + 1) % len(w.ring)
	w.sent += uint32(c.sent)
	w.lost += uint32(c.lost)
	if c.lost > 0 {
		w.lossy++
		w.clean = 0
		return
	}
	w.clean += uint32(c.sent)
	if w.lost == 0 || w.clean >= w.sent {
		return
	}
	before := float64(w.lost) / float64(w.sent-w.clean)
	if before >= 1 || float64(w.clean)*math.Log1p(-before) < math.Log(chance) {
		w.clear()
	}
}

func (w *window) clear() {
	w.next, w.n, w.sent, w.lost, w.lossy, w.clean = 0, 0, 0, 0, 0, 0
}

func (w *window) ratio() float64 {
	if w.sent == 0 {
		return 0
	}
	return float64(w.lost) / float64(w.sent)
}
