// Package answers says what is asked of an InfluxDB for series of rows and of windows, and puts the stretches of series in
// its answers together again. Names go out as they lie in the database and come back as they came in.
package answers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"communewatch/collector/store/influx/influxql"
	"communewatch/collector/store/influx/lines"
	"communewatch/probes"
)

// Question asks for series of one measurement.
type Question struct {
	Database    string
	Measurement string
	Columns     []string // fields as they lie in the database; empty: all
	Above       string   // a column that must be above zero; empty: none
	Tags        map[string]string
	From, To    int64 // [From, To), Unix milliseconds
}

// Choose asks for the fields of some names alone; false if none of them can be there.
func (q *Question) Choose(stored []string) bool {
	for _, c := range stored {
		if c != "" && influxql.Quotable(c) && !slices.Contains(q.Columns, c) {
			q.Columns = append(q.Columns, c)
		}
	}
	return len(q.Columns) > 0
}

// never are keys that no tag has, because the server means something else by them.
var never = []string{"time", "_name", "_field", "_measurement", "_tagKey", "_tagValue", "_fieldKey", "_seriesKey"}

// Text is the question for a part of the range; false if nothing can match.
func (q *Question) Text(from, to int64) (string, bool) {
	if !influxql.Quotable(q.Measurement) {
		return "", false
	}
	var b strings.Builder
	b.WriteString("SELECT ")
	if len(q.Columns) == 0 {
		b.WriteString("*::field")
	}
	for i, c := range q.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(influxql.Name(c) + "::field") // and not a tag of the same name
	}
	fmt.Fprintf(&b, " FROM %s WHERE time >= %s AND time < %s", influxql.Name(lines.Stored(q.Measurement)),
		influxql.Time(time.UnixMilli(from)), influxql.Time(time.UnixMilli(to)))
	for key, value := range q.Tags {
		switch {
		case !influxql.Quotable(key) || !influxql.Quotable(value):
			return "", false
		case key == "" || slices.Contains(never, key):
			if value != "" {
				return "", false
			}
			continue // an absent tag is an empty one
		}
		b.WriteString(" AND " + influxql.Name(lines.Stored(key)) + "::tag = " + influxql.Literal(lines.Stored(value)))
	}
	if q.Above != "" {
		if !influxql.Quotable(q.Above) {
			return "", false
		}
		b.WriteString(" AND " + influxql.Name(q.Above) + "::field > 0")
	}
	b.WriteString(" GROUP BY *")
	return b.String(), true
}

// mine reports whether a series has the tags that were asked for, and gives its names back as they came in. The server
// was asked the same, but it has tags of its own reckoning.
func (q *Question) mine(c *influxql.Chunk) (probes.Tags, bool) {
	tags := make(probes.Tags, len(c.Tags))
	for i, t := range c.Tags {
		tags[i] = probes.Tag{Key: lines.Named(t.Key), Value: lines.Named(t.Value)}
	}
	for key, value := range q.Tags {
		if tags.Get(key) != value {
			return nil, false
		}
	}
	return tags, true
}
