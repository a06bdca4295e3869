package rollup

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Accuracy is how far a quantile of a sketch may be from the true one, as a share of it.
const Accuracy = 0.01

// gamma is the ratio of the bounds of a bucket. With it the middle of a bucket (in the sense of relative errors) is
// never further than Accuracy from anything in it: Masson, Rim, Lee: DDSketch, PVLDB 12(12), 2019, section 2.1.
const gamma = (1 + Accuracy) / (1 - Accuracy)

var logGamma = math.Log(gamma)

// Numbers smaller than tiny count as zero: a nanosecond is below what is measured. Those above huge count as huge.
const (
	tiny = 1e-9
	huge = 1e15
)

// Sketch counts numbers in buckets whose bounds grow by a fixed ratio. Sketches merge without error: the sketch of all
// numbers is the merge of the sketches of any parts. The zero value is that of no numbers.
type Sketch struct {
	zero    int64
	buckets []bucket // by rising key
}

// bucket counts the numbers in (gamma^(index-1), gamma^index], negated for negative numbers. key orders buckets as
// their numbers: index above the smallest for positive ones, mirrored for negative ones.
type bucket struct {
	key   int32
	count int64
}

// offset makes every index positive, so that the sign of a key is that of its numbers.
var offset = int32(math.Ceil(-math.Log(tiny)/logGamma)) + 2

func keyOf(v float64) int32 {
	index := int32(math.Ceil(math.Log(min(math.Abs(v), huge)) / logGamma))
	if v < 0 {
		return -(index + offset)
	}
	return index + offset
}

// valueOf is the number that stands for all of a bucket.
func valueOf(key int32) float64 {
	if key < 0 {
		return -valueOf(-key)
	}
	return math.Pow(gamma, float64(key-offset)) * 2 / (gamma + 1)
}

// Add takes one number in. NaN is left out.
func (s *Sketch) Add(v float64) { s.add(v, 1) }

func (s *Sketch) add(v float64, n int64) {
	switch {
	case v != v:
	case math.Abs(v) < tiny:
		s.zero += n
	default:
		s.put(keyOf(v), n)
	}
}

func (s *Sketch) put(key int32, n int64) {
	i, ok := slices.BinarySearchFunc(s.buckets, key, func(b bucket, key int32) int { return int(b.key) - int(key) })
	if ok {
		s.buckets[i].count += n
		return
	}
	s.buckets = slices.Insert(s.buckets, i, bucket{key, n})
}

// Merge takes all of o in. o is not changed.
func (s *Sketch) Merge(o *Sketch) {
	s.zero += o.zero
	if len(s.buckets) == 0 {
		s.buckets = slices.Clone(o.buckets)
		return
	}
	merged := make([]bucket, 0, len(s.buckets)+len(o.buckets))
	i, j := 0, 0
	for i < len(s.buckets) && j < len(o.buckets) {
		a, b := s.buckets[i], o.buckets[j]
		switch {
		case a.key < b.key:
			merged = append(merged, a)
			i++
		case a.key > b.key:
			merged = append(merged, b)
			j++
		default:
			merged = append(merged, bucket{a.key, a.count + b.count})
			i++
			j++
		}
	}
	merged = append(merged, s.buckets[i:]...)
	s.buckets = append(merged, o.buckets[j:]...)
}

// Clone returns a copy that shares nothing.
func (s *Sketch) Clone() *Sketch { return &Sketch{s.zero, slices.Clone(s.buckets)} }

// Count is how many numbers were taken in.
func (s *Sketch) Count() int64 {
	n := s.zero
	for _, b := range s.buckets {
		n += b.count
	}
	return n
}

// Quantile is the q-th quantile, 0 to 1, by nearest rank; NaN of no numbers.
func (s *Sketch) Quantile(q float64) float64 {
	n := s.Count()
	if n == 0 {
		return math.NaN()
	}
	rank := max(int64(math.Ceil(q*float64(n))), 1)
	for i, b := range s.buckets {
		if b.key > 0 && (i == 0 || s.buckets[i-1].key < 0) {
			if rank -= s.zero; rank <= 0 {
				return 0
			}
		}
		if rank -= b.count; rank <= 0 {
			return valueOf(b.key)
		}
	}
	return 0 // all that is left are the zeros, above the last negative number
}

// Text writes the sketch so that a text field can hold it: base64 (no padding) of the varints zero, number of buckets,
// and for each bucket the distance of its key from the one before (the first from 0, zigzag) and its count. The same
// sketch always gives the same text.
func (s *Sketch) Text() string {
	b := binary.AppendUvarint(nil, uint64(s.zero))
	b = binary.AppendUvarint(b, uint64(len(s.buckets)))
	last := int32(0)
	for _, k := range s.buckets {
		b = binary.AppendVarint(b, int64(k.key)-int64(last))
		b = binary.AppendUvarint(b, uint64(k.count))
		last = k.key
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

// errSketch is what is wrong with a text that is none of ours.
var errSketch = errors.New("not a sketch")

// maxBuckets is more than there are between -huge and huge.
const maxBuckets = 8192

// ParseSketch is the inverse of Text.
func ParseSketch(text string) (*Sketch, error) {
	if len(text) > 20*maxBuckets {
		return nil, fmt.Errorf("%w: longer than any", errSketch)
	}
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSketch, err)
	}
	count := func() (int64, bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > math.MaxInt64/2 {
			return 0, false
		}
		b = b[n:]
		return int64(v), true
	}
	s := &Sketch{}
	var ok bool
	if s.zero, ok = count(); !ok {
		return nil, fmt.Errorf("%w: no count of zeros", errSketch)
	}
	n, ok := count()
	if !ok || n > maxBuckets || n > int64(len(b)) {
		return nil, fmt.Errorf("%w: no number of buckets", errSketch)
	}
	s.buckets = make([]bucket, 0, n)
	limit, total := int64(keyOf(huge)), s.zero
	key := int64(0)
	for i := range n {
		step, m := binary.Varint(b)
		if m <= 0 {
			return nil, fmt.Errorf("%w: ends in bucket %d", errSketch, i)
		}
		b = b[m:]
		if i > 0 && step <= 0 || step < -2*limit || step > 2*limit {
			return nil, fmt.Errorf("%w: buckets don't rise", errSketch)
		}
		key += step
		c, ok := count()
		if !ok || c == 0 || key == 0 || key < -limit || key > limit {
			return nil, fmt.Errorf("%w: bucket %d", errSketch, i)
		}
		if total += c; total > math.MaxInt64/2 {
			return nil, fmt.Errorf("%w: counts too large", errSketch)
		}
		s.buckets = append(s.buckets, bucket{int32(key), c})
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", errSketch, len(b))
	}
	return s, nil
}
