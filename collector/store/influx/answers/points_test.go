package answers_test

import (
	"fmt"
	"slices"
	"testing"

	"communewatch/collector/store"
	"communewatch/collector/store/influx/answers"
	"communewatch/collector/store/influx/influxql"
	"communewatch/probes"
)

// The series of a question that is asked in parts come whole, and in the same order each time.
func TestPointsInParts(t *testing.T) {
	const series, parts = 40, 3
	q := answers.Question{Measurement: "m", From: 0, To: 100}
	var got, want []string
	points := answers.NewPoints(&q, 0, true, func(s store.Series) error {
		got = append(got, fmt.Sprint(s.Tags, s.Times, s.Values))
		return nil
	})
	for part := range parts {
		for n := range series {
			at := float64(10 * part)
			c := &influxql.Chunk{Name: "m", Tags: probes.Tags{{Key: "n", Value: fmt.Sprint(n)}}, Names: []string{"time", "v"}, Rows: 1, Columns: []influxql.Column{
				{Kinds: []influxql.Kind{influxql.Number}, Numbers: []float64{at}}, {Kinds: []influxql.Kind{influxql.Number}, Numbers: []float64{at + 1}}}}
			if err := points.Take(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := points.Finish(); err != nil {
		t.Fatal(err)
	}
	for n := range series {
		want = append(want, fmt.Sprint(probes.Tags{{Key: "n", Value: fmt.Sprint(n)}}, []int64{0, 10, 20}, []float64{1, 11, 21}))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
