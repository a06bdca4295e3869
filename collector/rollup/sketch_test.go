package rollup

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// distributions are what numbers to be sketched may look like.
var distributions = map[string]func(*rand.Rand) float64{
	"round trips":      func(r *rand.Rand) float64 { return 0.012 + math.Exp(r.NormFloat64()-8) },
	"two lines":        func(r *rand.Rand) float64 { return []float64{0.002, 0.3}[r.IntN(2)] * (1 + r.Float64()/10) },
	"uniform":          func(r *rand.Rand) float64 { return r.Float64() },
	"negative":         func(r *rand.Rand) float64 { return -math.Exp(3 * r.NormFloat64()) },
	"around zero":      func(r *rand.Rand) float64 { return r.NormFloat64() },
	"mostly zero":      func(r *rand.Rand) float64 { return float64(max(r.IntN(30)-27, 0)) },
	"all zero":         func(*rand.Rand) float64 { return 0 },
	"constant":         func(*rand.Rand) float64 { return 4.35 },
	"nanoseconds":      func(r *rand.Rand) float64 { return float64(r.IntN(1000)+1) / 1e9 },
	"huge":             func(r *rand.Rand) float64 { return math.Exp(r.Float64()*10) * 1e10 },
	"of all sizes":     func(r *rand.Rand) float64 { return math.Pow(10, r.Float64()*23-8.9) * float64(r.IntN(3)-1) },
	"heavy tail":       func(r *rand.Rand) float64 { return 0.01 / math.Pow(1-r.Float64(), 1.5) },
	"bounds of bucket": func(r *rand.Rand) float64 { return math.Pow(gamma, float64(r.IntN(400)-200)) },
	"integers":         func(r *rand.Rand) float64 { return float64(r.IntN(50)) },
}

func draw(r *rand.Rand, n int, one func(*rand.Rand) float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = one(r)
	}
	return v
}

func sketchOf(values []float64) *Sketch {
	s := new(Sketch)
	for _, v := range values {
		s.Add(v)
	}
	return s
}

// TestSketchQuantiles compares with exact quantiles by nearest rank.
func TestSketchQuantiles(t *testing.T) {
	for name, one := range distributions {
		r := rand.New(rand.NewPCG(1, 1))
		for _, n := range []int{1, 2, 3, 10, 100, 3001} {
			values := draw(r, n, one)
			s := sketchOf(values)
			slices.Sort(values)
			for percent := range 101 {
				want := values[max((percent*n+99)/100, 1)-1]
				got := s.Quantile(float64(percent) / 100)
				// A bound is a float's error beyond the last bit; and what is below a nanosecond counts as nothing.
				if math.Abs(got-want) > Accuracy*math.Abs(want)*(1+1e-9) && math.Abs(want) >= tiny {
					t.Errorf("%s: %d %% of %d numbers is %v, sketch says %v", name, percent, n, want, got)
				}
			}
		}
	}
}

func TestSketchOfWhatIsNotMeasured(t *testing.T) {
	s := sketchOf([]float64{math.NaN(), math.Inf(1), math.Inf(-1)})
	if s.Count() != 0 || !math.IsNaN(s.Quantile(0.5)) {
		t.Errorf("numbers that are not finite count: %d", s.Count())
	}
	s = sketchOf([]float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)})
	if s.Count() != 4 || s.Zeros() != 2 {
		t.Errorf("%d numbers, %d zeros; want 4 and 2", s.Count(), s.Zeros())
	}
	if got := s.Quantile(1); math.Abs(got/huge-1) > Accuracy {
		t.Errorf("the largest float counts as %g, want %g", got, float64(huge))
	}
	if got, err := ParseSketch(s.Text()); err != nil || got.Text() != s.Text() {
		t.Errorf("parse of the widest sketch: %v", err)
	}
}

// TestSketchMerge: parts merged in any way are the whole, exactly, and stay as they were.
func TestSketchMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for name, one := range distributions {
		for range 20 {
			values := draw(r, r.IntN(400), one)
			whole := sketchOf(values)
			r.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
			var parts []*Sketch
			for at := 0; at < len(values); {
				n := min(1+r.IntN(60), len(values)-at)
				parts = append(parts, sketchOf(values[at:at+n]))
				at += n
			}
			parts = append(parts, new(Sketch))
			var merged Sketch
			for _, p := range parts {
				before := p.Text()
				merged.Merge(p)
				if p.Text() != before {
					t.Fatalf("%s: merging changed a part", name)
				}
			}
			// And as a tree: pairs, pairs of pairs.
			for len(parts) > 1 {
				parts[0].Merge(parts[1])
				parts = append(parts[2:], parts[0])
			}
			if merged.Text() != whole.Text() || parts[0].Text() != whole.Text() {
				t.Fatalf("%s: merged parts are not the whole", name)
			}
			clone := whole.Clone()
			clone.Add(1)
			clone.Merge(clone.Clone())
			if merged.Text() != whole.Text() {
				t.Fatalf("%s: a clone shares memory", name)
			}
		}
	}
}

func TestSketchText(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for name, one := range distributions {
		s := sketchOf(draw(r, 500, one))
		got, err := ParseSketch(s.Text())
		if err != nil || got.Text() != s.Text() || got.Count() != s.Count() || got.Quantile(0.9) != s.Quantile(0.9) {
			t.Errorf("%s: %v, %d numbers of %d", name, err, got.Count(), s.Count())
		}
	}
	if got, err := ParseSketch(new(Sketch).Text()); err != nil || got.Count() != 0 {
		t.Errorf("parse of an empty sketch: %v", err)
	}
}

// sketchText writes numbers the way Text does, whatever they mean.
func sketchText(numbers ...any) string {
	var b []byte
	for _, n := range numbers {
		switch n := n.(type) {
		case int:
			b = binary.AppendUvarint(b, uint64(n))
		case int64: // a step
			b = binary.AppendVarint(b, n)
		case []byte:
			b = append(b, n...)
		}
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

func TestParseSketchRefuses(t *testing.T) {
	one := int64(1500)
	good := sketchText(0, 2, one, 1, int64(1), 3)
	if _, err := ParseSketch(good); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, text := range map[string]string{
		"empty":                    "",
		"no base64":                "!!!",
		"padded":                   good + "==",
		"broken over lines":        good[:3] + "\n" + good[3:],
		"ends early":               sketchText(0, 2, one, 1, int64(1)),
		"more than it says":        sketchText(0, 1, one, 1, int64(1), 3),
		"an empty bucket":          sketchText(0, 1, one, 0),
		"falling buckets":          sketchText(0, 2, one, 1, int64(-1), 3),
		"the same bucket twice":    sketchText(0, 2, one, 1, int64(0), 3),
		"bucket 0":                 sketchText(0, 1, int64(0), 3),
		"a bucket below all":       sketchText(0, 1, -int64(maxKey)-1, 3),
		"a bucket above all":       sketchText(0, 1, int64(maxKey)+1, 3),
		"a bucket of less than ns": sketchText(0, 1, int64(minKey)-1, 3),
		"a giant step":             sketchText(0, 1, int64(math.MinInt64), 3),
		"a billion buckets":        sketchText(0, 1<<30, one, 1),
		"too many numbers":         sketchText(1<<53, 1, one, 1),
		"a long number":            sketchText([]byte{0x80, 0}, 0),
		"a long step":              sketchText(0, 1, []byte{0x80, 0x90, 0}, 1),
		"a count without end":      sketchText([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}),
		"too long":                 fmt.Sprintf("%0*d", 20*maxBuckets+1, 0),
	} {
		if s, err := ParseSketch(text); err == nil {
			t.Errorf("%s: no error; read as %d numbers", name, s.Count())
		}
	}
}

// FuzzParseSketch: nothing panics, and what is accepted is the one text of its sketch.
func FuzzParseSketch(f *testing.F) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, one := range distributions {
		f.Add(sketchOf(draw(r, 30, one)).Text())
	}
	f.Add(sketchText([]byte{0x80, 0}, 0))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSketch(text)
		if err != nil {
			return
		}
		if s.Text() != text {
			t.Errorf("%q is read as %q", text, s.Text())
		}
		for _, q := range []float64{0, 0.5, 0.95, 1} {
			if v := s.Quantile(q); s.Count() > 0 && v-v != 0 {
				t.Errorf("quantile %v of %q is %v", q, text, v)
			}
		}
		m := s.Clone()
		m.Merge(s)
		if m.Count() != 2*s.Count() {
			t.Errorf("%q merged with itself has %d numbers, not twice %d", text, m.Count(), s.Count())
		}
	})
}
