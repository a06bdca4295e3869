package flow

import "time"

// base is the line below all transit times: the smallest delay there is, as the two clocks tell it.
type base struct {
	origin time.Duration // sending time at which the line is at
	at     time.Duration
	drift  float64
}

// above is how much longer than the smallest a packet's delay was, not negative.
func (b base) above(r *record) time.Duration {
	return max(0, r.transit-b.at-time.Duration(b.drift*float64(r.sent-b.origin)))
}

// base finds the line below all packets that arrived until now.
func (f *Flow) base() base {
	type point struct{ x, y float64 } // seconds of sending and transit since the first packet's
	var (
		first *record
		hull  []point
		sum   float64
		n     int
		last  time.Duration
	)
	f.each(func(r *record) {
		if first == nil {
			first = r
		} else if r.sent <= last {
			return // sent at the same time: nothing about drift in it; earlier than the one before it: no sender of ours
		}
		last = r.sent
		p := point{(r.sent - first.sent).Seconds(), (r.transit - first.transit).Seconds()}
		sum += p.x
		n++
		for len(hull) >= 2 {
			a, b := hull[len(hull)-2], hull[len(hull)-1]
			if (b.x-a.x)*(p.y-a.y)-(b.y-a.y)*(p.x-a.x) > 0 {
				break
			}
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, p)
	})
	if first == nil {
		return base{}
	}
	b := base{origin: first.sent}
	mean := sum / float64(n)
	for i := 1; i < len(hull); i++ {
		if hull[i].x >= mean {
			b.drift = (hull[i].y - hull[i-1].y) / (hull[i].x - hull[i-1].x)
			break
		}
	}
	b.drift = min(max(b.drift, -maxDrift), maxDrift)
	b.at = first.transit
	f.each(func(r *record) {
		b.at = min(b.at, r.transit-time.Duration(b.drift*float64(r.sent-b.origin)))
	})
	return b
}

func (f *Flow) each(do func(*record)) {
	for _, p := range f.pages {
		if p == nil {
			continue
		}
		for i := range p {
			if p[i].packets != 0 {
				do(&p[i])
			}
		}
	}
}
