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

// Numbers smaller than tiny count as zero: a nanosecond is the finest that is measured. Those above huge count as huge.
const (
	tiny = 1e-9
	huge = 1e15
)

// Sketch counts numbers in buckets whose bounds grow by a fixed ratio. Sketches merge without error: the sketch of all
// numbers is the merge of the sketches of any parts. The zero value is that of no numbers.
type Sketch struct {
	zero    int64
	buckets []Bucket // by rising key
}

// Bucket counts the numbers in (gamma^(index-1), gamma^index], negated for negative numbers. Key orders buckets as
// their numbers: index above the smallest for positive ones, mirrored for negative ones; it is never 0.
type Bucket struct {
	Key   int32
	Count int64
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

// Add takes one number in. What is not finite is left out.
func (s *Sketch) Add(v float64) { s.addAll([]float64{v}, nil) }

// addAll takes numbers in. keys is scratch; it comes back to be used again.
func (s *Sketch) addAll(values []float64, keys []int32) []int32 {
	keys = keys[:0]
	for _, v := range values {
		switch {
		case v-v != 0:
		case math.Abs(v) < tiny:
			s.zero++
		default:
			keys = append(keys, keyOf(v))
		}
	}
	if len(keys) > 1 {
		slices.Sort(keys)
	}
	if len(s.buckets) == 0 && len(keys) > 0 {
		distinct := 1
		for i := 1; i < len(keys); i++ {
			if keys[i] != keys[i-1] {
				distinct++
			}
		}
		s.buckets = make([]Bucket, 0, distinct)
	}
	for i := 0; i < len(keys); {
		j := i + 1
		for j < len(keys) && keys[j] == keys[i] {
			j++
		}
		s.put(keys[i], int64(j-i))
		i = j
	}
	return keys
}

func (s *Sketch) put(key int32, n int64) {
	if len(s.buckets) == 0 || s.buckets[len(s.buckets)-1].Key < key {
		s.buckets = append(s.buckets, Bucket{key, n})
		return
	}
	i, ok := slices.BinarySearchFunc(s.buckets, key, func(b Bucket, key int32) int { return int(b.Key) - int(key) })
	if ok {
		s.buckets[i].Count += n
		return
	}
	s.buckets = slices.Insert(s.buckets, i, Bucket{key, n})
}

// Merge takes all of o in. o is not changed.
func (s *Sketch) Merge(o *Sketch) {
	s.zero += o.zero
	if len(s.buckets) == 0 {
		s.buckets = slices.Clone(o.buckets)
		return
	}
	fresh, i := 0, 0 // how many buckets s does not have
	for _, b := range o.buckets {
		for i < len(s.buckets) && s.buckets[i].Key < b.Key {
			i++
		}
		if i == len(s.buckets) || s.buckets[i].Key != b.Key {
			fresh++
		}
	}
	// From the last to the first, so that what is moved up is never overwritten before.
	i = len(s.buckets) - 1
	s.buckets = slices.Grow(s.buckets, fresh)[:len(s.buckets)+fresh]
	at := len(s.buckets) - 1
	for j := len(o.buckets) - 1; j >= 0; at-- {
		switch b := o.buckets[j]; {
		case i >= 0 && s.buckets[i].Key > b.Key:
			s.buckets[at] = s.buckets[i]
			i--
		case i >= 0 && s.buckets[i].Key == b.Key:
			s.buckets[at] = Bucket{b.Key, s.buckets[i].Count + b.Count}
			i--
			j--
		default:
			s.buckets[at] = b
			j--
		}
	}
}

// Clone returns a copy that shares nothing.
func (s *Sketch) Clone() *Sketch { return &Sketch{s.zero, slices.Clone(s.buckets)} }

// Count is how many numbers were taken in.
func (s *Sketch) Count() int64 {
	n := s.zero
	for _, b := range s.buckets {
		n += b.Count
	}
	return n
}

// Quantile is the q-th quantile, 0 to 1, by nearest rank; NaN of no numbers.
func (s *Sketch) Quantile(q float64) float64 {
	n := s.Count()
	if n == 0 {
		return math.NaN()
	}
	// 0.07 of 100 is 7.000000000000001 by floats; the 7th is meant.
	rank := max(int64(math.Ceil(q*float64(n)*(1-1e-15))), 1)
	for i, b := range s.buckets {
		if b.Key > 0 && (i == 0 || s.buckets[i-1].Key < 0) {
			if rank -= s.zero; rank <= 0 {
				return 0
			}
		}
		if rank -= b.Count; rank <= 0 {
			return valueOf(b.Key)
		}
	}
	return 0 // all that is left are the zeros, above the last negative number
}

// Len is how many buckets hold something, zeros not counted.
func (s *Sketch) Len() int { return len(s.buckets) }

// Zeros is how many of the numbers count as zero.
func (s *Sketch) Zeros() int64 { return s.zero }

// Bucket returns the ith bucket, by rising key.
func (s *Sketch) Bucket(i int) Bucket { return s.buckets[i] }

// MakeSketch is the inverse of Zeros and Bucket, for those who write sketches down in a form of their own. buckets is
// kept. What no sketch can be is an error.
func MakeSketch(zeros int64, buckets []Bucket) (*Sketch, error) {
	if zeros < 0 || len(buckets) > maxBuckets {
		return nil, fmt.Errorf("%w: %d zeros, %d buckets", errSketch, zeros, len(buckets))
	}
	total := zeros
	for i, b := range buckets {
		switch {
		case i > 0 && b.Key <= buckets[i-1].Key:
			return nil, fmt.Errorf("%w: buckets don't rise", errSketch)
		case b.Key > maxKey || b.Key < -maxKey || b.Key > -minKey && b.Key < minKey:
			return nil, fmt.Errorf("%w: bucket %d is of numbers that are not measured", errSketch, i)
		case b.Count <= 0:
			return nil, fmt.Errorf("%w: bucket %d is empty", errSketch, i)
		case b.Count > maxCount-total || total > maxCount:
			return nil, fmt.Errorf("%w: counts too large", errSketch)
		}
		total += b.Count
	}
	if total > maxCount {
		return nil, fmt.Errorf("%w: counts too large", errSketch)
	}
	return &Sketch{zeros, buckets}, nil
}

// Text writes the sketch so that a text field can hold it: base64 (no padding) of the varints zero, number of buckets,
// and for each bucket the distance of its key from the one before (the first from 0, zigzag) and its count. The same
// sketch always gives the same text.
func (s *Sketch) Text() string {
	b := binary.AppendUvarint(make([]byte, 0, 16+3*len(s.buckets)), uint64(s.zero))
	b = binary.AppendUvarint(b, uint64(len(s.buckets)))
	last := int32(0)
	for _, k := range s.buckets {
		b = binary.AppendVarint(b, int64(k.Key)-int64(last))
		b = binary.AppendUvarint(b, uint64(k.Count))
		last = k.Key
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

// errSketch is what is wrong with a text that is none of ours.
var errSketch = errors.New("not a sketch")

const (
	// maxBuckets is more than there are between -huge and huge.
	maxBuckets = 8192
	// maxCount bounds the numbers in a sketch that is read. More can't be counted by a float exactly, and so many have
	// never been measured.
	maxCount = 1 << 53
)

// minKey and maxKey bound the keys of positive numbers.
var minKey, maxKey = keyOf(tiny), keyOf(huge)

// ParseSketch is the inverse of Text. A sketch has one text: any other is refused.
func ParseSketch(text string) (*Sketch, error) {
	if len(text) > 20*maxBuckets {
		return nil, fmt.Errorf("%w: longer than any", errSketch)
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSketch, err)
	}
	if base64.RawStdEncoding.EncodedLen(len(b)) != len(text) {
		return nil, fmt.Errorf("%w: broken over lines", errSketch) // the decoder skips line feeds
	}
	// A number in more bytes than it needs ends in a byte without bits.
	minimal := func(n int) bool { return n == 1 || n > 1 && b[n-1] != 0 }
	count := func() (int64, bool) {
		v, n := binary.Uvarint(b)
		if !minimal(n) || v > maxCount {
			return 0, false
		}
		b = b[n:]
		return int64(v), true
	}
	zeros, ok := count()
	if !ok {
		return nil, fmt.Errorf("%w: no count of zeros", errSketch)
	}
	n, ok := count()
	if !ok || n > maxBuckets || 2*n > int64(len(b)) {
		return nil, fmt.Errorf("%w: no number of buckets", errSketch)
	}
	buckets := make([]Bucket, n)
	key := int64(0)
	for i := range buckets {
		step, m := binary.Varint(b)
		if !minimal(m) {
			return nil, fmt.Errorf("%w: ends in bucket %d", errSketch, i)
		}
		b = b[m:]
		if i > 0 && step <= 0 || step < -2*int64(maxKey) || step > 2*int64(maxKey) {
			return nil, fmt.Errorf("%w: buckets don't rise", errSketch)
		}
		if key += step; key < -int64(maxKey) || key > int64(maxKey) {
			return nil, fmt.Errorf("%w: bucket %d", errSketch, i)
		}
		c, ok := count()
		if !ok {
			return nil, fmt.Errorf("%w: no count in bucket %d", errSketch, i)
		}
		buckets[i] = Bucket{int32(key), c}
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", errSketch, len(b))
	}
	return MakeSketch(zeros, buckets)
}
