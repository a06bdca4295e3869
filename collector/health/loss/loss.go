// Package loss judges packet loss over several runs.
//
// Few packets say little: with ten pings one lost is 10 %. So counts are summed over several runs, never percentages
// averaged, and one run with losses is not yet a fault (see Window.Lossy). On the other side a sum remembers: after a
// minute of heavy loss it would stay above a limit until that minute has left it, long after the line is well. So the
// window is emptied once so many packets in a row got through that this would happen by chance, at the loss seen
// before them, less than once in twenty times.
package loss

import "math"

// Window sums sent and lost packets over the newest runs. The zero Window is empty.
type Window struct {
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

// Add takes in a run. size is how many runs the window holds, the same at each call. Counts that make no sense, or of a
// run that sent nothing, are left out.
func (w *Window) Add(size int, sent, lost float64) {
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
		w.Clear()
	}
}

// Clear empties the window.
func (w *Window) Clear() {
	w.next, w.n, w.sent, w.lost, w.lossy, w.clean = 0, 0, 0, 0, 0, 0
}

// Lossy is how many of the runs lost something.
func (w *Window) Lossy() int { return w.lossy }

// Ratio is lost packets per packet sent over all runs of the window, 0 when it is empty.
func (w *Window) Ratio() float64 {
	if w.sent == 0 {
		return 0
	}
	return float64(w.lost) / float64(w.sent)
}
