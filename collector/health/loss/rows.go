package loss

import (
	"math"
	"slices"
)

// Enough is how many packets tell a loss of one per cent by themselves: five are lost of 500 then, give or take two.
// A run that sent as many is judged by itself, without a Window.
const Enough = 500

// MaxRows is how many rows of a run are told apart; a call has four.
const MaxRows = 16

// Rows is the loss of a check whose runs may have several rows. Each direction of a call is a line of its own, and
// what gets lost on one must not be watered down by the others. The zero Rows is empty.
type Rows struct{ rows []row }

type row struct {
	name       string
	sent, lost float64 // of the newest run; NaN where there is none
	window     Window
}

// Begin forgets the counts of the run before.
func (r *Rows) Begin() {
	for i := range r.rows {
		r.rows[i].sent, r.rows[i].lost = math.NaN(), math.NaN()
	}
}

// Sent takes in how many packets a row of the newest run sent; rows beyond MaxRows are left out.
func (r *Rows) Sent(name string, n float64) {
	if l := r.row(name); l != nil {
		l.sent = n
	}
}

// Lost takes in how many of them it lost.
func (r *Rows) Lost(name string, n float64) {
	if l := r.row(name); l != nil {
		l.lost = n
	}
}

func (r *Rows) row(name string) *row {
	i := slices.IndexFunc(r.rows, func(l row) bool { return l.name == name })
	if i < 0 {
		if len(r.rows) == MaxRows {
			return nil
		}
		i = len(r.rows)
		r.rows = append(r.rows, row{name: name, sent: math.NaN(), lost: math.NaN()})
	}
	return &r.rows[i]
}

// Judge returns the ratio to judge the newest run by, that of the row which loses most, over as many runs as size
// where it alone sent too little to tell. long says that the ratio is over several runs, worse of them with losses, so
// that it has lasted already. Rows of which nothing can be told are left out; ok is false if there are no others.
func (r *Rows) Judge(size, worse int) (ratio float64, name string, long, ok bool) {
	for i := range r.rows {
		l := &r.rows[i]
		v, over := 0.0, false
		switch {
		case math.IsNaN(l.sent) || math.IsNaN(l.lost):
			continue
		case l.sent >= Enough && l.lost <= l.sent:
			l.window.Clear()
			v = l.lost / l.sent
		default:
			l.window.Add(size, l.sent, l.lost)
			if l.window.Lossy() < worse {
				continue
			}
			v, over = l.window.Ratio(), true
		}
		if !ok || v > ratio {
			ratio, name, long, ok = v, l.name, over, true
		}
	}
	return ratio, name, long, ok
}

// Clear empties all windows.
func (r *Rows) Clear() {
	for i := range r.rows {
		r.rows[i].window.Clear()
	}
}

// Len is how many rows are kept.
func (r *Rows) Len() int { return len(r.rows) }
