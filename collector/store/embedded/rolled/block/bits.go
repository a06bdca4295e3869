package block

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// writer writes bits, the lowest first.
type writer struct {
	b   []byte
	acc uint64
	n   uint // bits in acc, below 8 after each call
}

// bits writes the lowest n bits of v, n up to 64.
func (w *writer) bits(v uint64, n uint) {
	if n > 32 {
		w.bits(v&math.MaxUint32, 32)
		v, n = v>>32, n-32
	}
	w.acc |= v & (1<<n - 1) << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.acc))
		w.acc >>= 8
	}
}

// number writes a number of any size.
func (w *writer) number(v uint64) {
	n := uint(bits.Len64(v))
	w.bits(uint64(n), 7)
	w.bits(v, n)
}

// end fills the last byte.
func (w *writer) end() []byte {
	if w.n > 0 {
		w.b = append(w.b, byte(w.acc))
		w.acc, w.n = 0, 0
	}
	return w.b
}

// reader reads what writer wrote. Beyond the end it reads zeros, and over is true.
type reader struct {
	b  []byte
	at uint // in bits
}

func (r *reader) over() bool { return r.at > uint(len(r.b))*8 }

// peek returns at least the next 57 bits.
func (r *reader) peek() uint64 {
	i := r.at >> 3
	if i+8 <= uint(len(r.b)) {
		return binary.LittleEndian.Uint64(r.b[i:]) >> (r.at & 7)
	}
	var last [8]byte
	if i < uint(len(r.b)) {
		copy(last[:], r.b[i:])
	}
	return binary.LittleEndian.Uint64(last[:]) >> (r.at & 7)
}

func (r *reader) bits(n uint) uint64 {
	if n > 32 {
		low := r.bits(32)
		return low | r.bits(n-32)<<32
	}
	v := r.peek() & (1<<n - 1)
	r.at += n
	return v
}

func (r *reader) number() uint64 { return r.bits(min(uint(r.bits(7)), 64)) }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// rice is the state of an adaptive Golomb-Rice code: a number is written as its quotient by 2^k in ones, a zero, and the
// remainder in k bits, where k follows the mean of the numbers before. It comes within half a bit of what numbers that
// get exponentially rarer need at best. (Golomb 1966; Weinberger, Seroussi, Sapiro: LOCO-I, HPL-98-193, section 3.3.)
type rice struct{ sum, n uint64 }

func newRice(k uint) rice { return rice{1 << min(k, 58), 1} }

// unaryMost is how many ones a quotient has at most. So many stand for a number in full.
const unaryMost = 24

// k is the smallest for which n<<k is no less than sum. (A division would take a fifth of the time of reading a block.)
func (c *rice) k() uint {
	if c.n >= c.sum {
		return 0
	}
	k := uint(bits.Len64(c.sum) - bits.Len64(c.n))
	if c.n<<k < c.sum {
		k++
	}
	return k
}

func (c *rice) learn(u uint64) {
	c.sum += min(u, 1<<58)
	if c.n++; c.n == 32 {
		c.sum, c.n = c.sum>>1, c.n>>1
	}
}

func (w *writer) rice(c *rice, u uint64) {
	k := c.k()
	if q := u >> k; q < unaryMost {
		w.bits(1<<q-1, uint(q)+1)
		w.bits(u, k)
	} else {
		w.bits(1<<unaryMost-1, unaryMost)
		w.bits(u, 64)
	}
	c.learn(u)
}

func (r *reader) rice(c *rice) uint64 {
	k := c.k()
	q := uint(bits.TrailingZeros64(^r.peek()))
	var u uint64
	if q < unaryMost {
		r.at += q + 1
		u = uint64(q)<<k | r.bits(k)
	} else {
		r.at += unaryMost
		u = r.bits(64)
	}
	c.learn(u)
	return u
}

// How a column of integers is written: all the same; each as the difference from the one before; from the smallest; from
// their mean. The last two are for noise, which has no memory.
const (
	asConstant = iota
	asSteps
	asAboveMin
	asAroundMean
)

// integers writes a column. All arithmetic wraps around, so that no column is impossible.
func (w *writer) integers(v []int64) {
	if len(v) == 0 {
		return
	}
	same := true
	low, mean := v[0], 0.0
	for _, x := range v {
		same = same && x == v[0]
		low = min(low, x)
		mean += float64(x)
	}
	if same {
		w.bits(asConstant, 2)
		w.number(zigzag(v[0]))
		return
	}
	if mean /= float64(len(v)); math.Abs(mean) > 1<<62 {
		mean = 0
	}
	middle := int64(mean)
	var steps, above, around int // bits
	for i, x := range v {
		if i > 0 {
			steps += bits.Len64(zigzag(x - v[i-1]))
		}
		above += bits.Len64(uint64(x) - uint64(low))
		around += bits.Len64(zigzag(x - middle))
	}
	base, how, cost, n := v[0], asSteps, steps, len(v)-1
	if above < cost {
		base, how, cost, n = low, asAboveMin, above, len(v)
	}
	if around < cost {
		base, how, cost, n = middle, asAroundMean, around, len(v)
	}
	w.bits(uint64(how), 2)
	w.number(zigzag(base))
	k := uint(min(cost/n, 58))
	w.bits(uint64(k), 6)
	c := newRice(k)
	for i, x := range v {
		switch {
		case how == asAboveMin:
			w.rice(&c, uint64(x)-uint64(base))
		case how == asAroundMean:
			w.rice(&c, zigzag(x-base))
		case i > 0:
			w.rice(&c, zigzag(x-v[i-1]))
		}
	}
}

// integers reads a column into v, all of it.
func (r *reader) integers(v []int64) {
	if len(v) == 0 {
		return
	}
	how, base := r.bits(2), unzigzag(r.number())
	if how == asConstant {
		for i := range v {
			v[i] = base
		}
		return
	}
	c := newRice(uint(r.bits(6)))
	switch how {
	case asSteps:
		v[0] = base
		for i := 1; i < len(v); i++ {
			v[i] = v[i-1] + unzigzag(r.rice(&c))
		}
	case asAboveMin:
		for i := range v {
			v[i] = int64(uint64(base) + r.rice(&c))
		}
	case asAroundMean:
		for i := range v {
			v[i] = base + unzigzag(r.rice(&c))
		}
	}
}

// place numbers all floats in their order, so that neighbours differ by one; -0 is just below 0.
func place(v float64) int64 {
	b := int64(math.Float64bits(v))
	return b ^ (b >> 63 & math.MaxInt64)
}

func atPlace(p int64) float64 { return math.Float64frombits(uint64(p ^ (p >> 63 & math.MaxInt64))) }

var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12}

// noPower stands for floats that are no short decimal fractions.
const noPower = 15

// mostOff is how many floats a sum of decimal fractions may be off the fraction that it should be.
const mostOff = 1 << 12

// decimal returns n and off such that v is off floats above n/power: what was measured in nanoseconds is a whole number
// of them, but for what adding up lost.
func decimal(v, power float64) (n, off int64, ok bool) {
	scaled := math.RoundToEven(v * power)
	if !(math.Abs(scaled) < 1<<53) {
		return 0, 0, false
	}
	n = int64(scaled)
	off = place(v) - place(float64(n)/power)
	return n, off, off >= -mostOff && off <= mostOff
}

// power is the smallest that all of the columns are fractions of, as an index; or noPower.
func power(columns ...[]float64) int {
next:
	for p := range powers {
		for _, c := range columns {
			for _, v := range c {
				if _, _, ok := decimal(v, powers[p]); !ok {
					continue next
				}
			}
		}
		return p
	}
	return noPower
}
