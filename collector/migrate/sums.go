package migrate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"communewatch/collector/rollup"
	"communewatch/collector/store/portion"
	"communewatch/probes"
)

// Sum is what a unit holds. Two stores with the same sums hold the same, whatever the order they were read in.
type Sum struct {
	Rows   int64
	Values int64
	Digest uint64 // sum of the hashes of all values, each with its series and time
}

// unit is what is compared at once: a measurement's rows of a day, its windows of a month, or of a year where they are
// a day or more.
type unit struct {
	Level       rollup.Level
	Measurement string
	Start       int64 // Unix milliseconds
}

func unitOf(level rollup.Level, measurement string, at int64) unit {
	y, m, d := time.UnixMilli(at).UTC().Date()
	if level >= rollup.FiveMinutes {
		d = 1
	}
	if level >= rollup.Day {
		m = time.January
	}
	return unit{level, measurement, time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli()}
}

func (u unit) start() time.Time { return time.UnixMilli(u.Start).UTC() }

func (u unit) end() time.Time {
	switch {
	case u.Level >= rollup.Day:
		return u.start().AddDate(1, 0, 0)
	case u.Level >= rollup.FiveMinutes:
		return u.start().AddDate(0, 1, 0)
	}
	return u.start().AddDate(0, 0, 1)
}

// sums is written as JSON by level and measurement, since a state file is read by people too.
type sums map[unit]Sum

type sumLine struct {
	Level       string `json:"level"`
	Measurement string `json:"measurement"`
	Start       int64  `json:"start"`
	Rows        int64  `json:"rows"`
	Values      int64  `json:"values"`
	Digest      uint64 `json:"digest,string"`
}

func (s sums) MarshalJSON() ([]byte, error) {
	lines := make([]sumLine, 0, len(s))
	for _, u := range units(s, nil) {
		v := s[u]
		lines = append(lines, sumLine{u.Level.String(), u.Measurement, u.Start, v.Rows, v.Values, v.Digest})
	}
	return json.Marshal(lines)
}

func (s *sums) UnmarshalJSON(data []byte) error {
	var lines []sumLine
	if err := json.Unmarshal(data, &lines); err != nil {
		return err
	}
	*s = make(sums, len(lines))
	for _, l := range lines {
		level, err := rollup.ParseLevel(l.Level)
		if err != nil {
			return err
		}
		u := unit{level, l.Measurement, l.Start}
		if unitOf(level, l.Measurement, l.Start) != u || l.Rows < 0 || l.Values < 0 {
			return fmt.Errorf("no unit begins at %d", l.Start)
		}
		(*s)[u] = Sum{l.Rows, l.Values, l.Digest}
	}
	return nil
}

// units lists those of a and b, in order.
func units(a, b map[unit]Sum) []unit {
	all := map[unit]bool{}
	for u := range a {
		all[u] = true
	}
	for u := range b {
		all[u] = true
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b unit) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Start, b.Start), strings.Compare(a.Measurement, b.Measurement))
	})
}

func merge(into, from map[unit]Sum) {
	for u, s := range from {
		t := into[u]
		into[u] = Sum{t.Rows + s.Rows, t.Values + s.Values, t.Digest + s.Digest}
	}
}

// add puts a piece into sums.
func add(into map[unit]Sum, p *piece) {
	hashes(p, func(h *hashed) {
		u := unitOf(p.level, h.measurement, h.at)
		s := into[u]
		s.Rows++
		s.Values += int64(len(h.values))
		for _, v := range h.values {
			s.Digest += v
		}
		into[u] = s
	})
}

// hashed is a row or window as a comparison sees it.
type hashed struct {
	measurement string
	at          int64    // Unix milliseconds
	id          uint64   // of its series and time
	measured    int64    // the rows that a window rests on; of a row 0
	values      []uint64 // of each value with its series and time
}

// hashes calls each for all rows or windows of a piece. What it is given is good until it returns.
func hashes(p *piece, each func(*hashed)) {
	var h hashed
	series := map[*portion.Series]uint64{}
	for i := range p.points {
		r := &p.points[i]
		base, ok := series[r.Series]
		if !ok {
			base = xxhash.Sum64String(rollup.SeriesKey(r.Series.Measurement, r.Series.Tags))
			series[r.Series] = base
		}
		h = hashed{p.measurement, r.Time, mix(base, uint64(r.Time)), 0, h.values[:0]}
		for j := range r.Fields {
			h.values = append(h.values, mix(fieldHash(base, &r.Fields[j]), uint64(r.Time)))
		}
		each(&h)
	}
	for i := range p.windows {
		r := &p.windows[i]
		base := mix(xxhash.Sum64String(rollup.SeriesKey(r.Measurement, r.Tags)), uint64(r.Start))
		h = hashed{r.Measurement, r.Start, base, r.Rows(), h.values[:0]}
		for j := range r.Fields {
			h.values = append(h.values, mix(base, windowHash(&r.Fields[j])))
		}
		each(&h)
	}
}

func fieldHash(base uint64, f *probes.Field) uint64 {
	h := mix(base, xxhash.Sum64String(f.Key))
	if f.Type == probes.TypeString {
		return mix(h, xxhash.Sum64String(f.Str))
	}
	return mix(h, bits(f.Num))
}

func windowHash(f *rollup.Field) uint64 {
	h := xxhash.Sum64String(f.Key)
	a := &f.Value
	if a.Total {
		return mix(h, bits(a.Sum))
	}
	for _, v := range []uint64{uint64(a.Count), bits(a.Sum), bits(a.Min), bits(a.Max)} {
		h = mix(h, v)
	}
	if a.Sketch != nil {
		h = mix(h, xxhash.Sum64String(a.Sketch.Text()))
	}
	return h
}

// bits tells numbers apart to the last bit, but not the two zeros.
func bits(v float64) uint64 {
	if v == 0 {
		return 0
	}
	return math.Float64bits(v)
}

// mix puts two hashes together; the order matters. The constants are those of splitmix64 (Steele, Lea, Flood: Fast
// splittable pseudorandom number generators, OOPSLA 2014).
func mix(a, b uint64) uint64 {
	z := a*0x9e3779b97f4a7c15 + b
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
