package rolledtest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"communewatch/collector/rollup"
)

// rolledSizes puts windows of a few bytes beside windows of many thousands, in every order: a long one last, first, alone.
func rolledSizes(t *testing.T, b *Bench) {
	small := func(n int) rollup.Row { return rolledRow(b.back(rollup.Hour, n), fmt.Sprint("s", n), float64(n)) }
	large := func(n int) rollup.Row {
		r := rolledRow(b.back(rollup.Hour, n), fmt.Sprint("s", n, strings.Repeat("x", 4000)), 0)
		r.Fields = nil
		for f := range 60 {
			a := number(true)
			for v := range 400 {
				a.Add(math.Pow(1.05, float64(v-200)) + float64(f))
			}
			r.Fields = append(r.Fields, rollup.Field{Key: fmt.Sprintf("field%02d_seconds", f), Value: a})
		}
		return r
	}
	var all []rollup.Row
	for _, sizes := range []string{"sL", "Ls", "sssssL", "Lsssss", "ssLss", "L", "LLs"} {
		var rows []rollup.Row
		for _, size := range sizes {
			n := len(all) + len(rows) + 1
			if size == 'L' {
				rows = append(rows, large(n))
			} else {
				rows = append(rows, small(n))
			}
		}
		b.put(rollup.Hour, rows...)
		all = append(all, rows...)
		b.expect("after "+sizes, b.rolledAll(rollup.Hour, "m"), all...)
	}
}

// rolledNothing puts windows that no value was in: a count of zero is one, and a total of zero too.
func rolledNothing(t *testing.T, b *Bench) {
	at := b.back(rollup.Hour, 1)
	none, some, sketched, totals := rolledRow(at, "s1", 1), rolledRow(at, "s2", 1), rolledRow(at, "s3", 1), rolledRow(at, "s4", 1)
	none.Fields = []rollup.Field{{Key: "v", Value: rollup.Aggregate{}}}
	some.Fields = []rollup.Field{{Key: "a", Value: number(false, 5)}, {Key: "v", Value: rollup.Aggregate{}}}
	sketched.Fields = []rollup.Field{{Key: "v", Value: number(true)}}
	totals.Fields = []rollup.Field{{Key: "v", Value: total(0)}}
	rows := []rollup.Row{none, some, sketched, totals}
	b.put(rollup.Hour, rows...)
	q := b.rolledAll(rollup.Hour, "m")
	b.expect("windows of nothing", q, rows...)
	q.Fields = []string{"v"}
	some.Fields = some.Fields[1:]
	b.expect("one field of them", q, none, some, sketched, totals)
	// What had nothing gets something, and loses it again.
	full := rolledRow(at, "s1", 7)
	b.put(rollup.Hour, full)
	b.expect("filled", q, full, some, sketched, totals)
	b.put(rollup.Hour, none)
	b.expect("emptied", q, none, some, sketched, totals)
}
