// Package catalog asks an InfluxDB what is in a database: measurements, fields, how many series, since when. It hides that
// the generations tell it in different ways, or not at all.
package catalog

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"communewatch/collector/store/influx/client"
	"communewatch/collector/store/influx/influxql"
	"communewatch/collector/store/influx/lines"
)

// Catalog is of one server, as it was when it was asked last.
type Catalog struct {
	Client *client.Client
	Server client.Server
}

// maxNames bounds lists of measurements and fields. A database that others fill may have more.
const maxNames = 100_000

// shortOf3 is how long a range InfluxDB 3 Core can be asked for at once: it opens no more than 432 files of ten minutes
// for a query.
const shortOf3 = 72 * time.Hour

// Piece is how much of a range of some milliseconds can be asked for at once.
func (c Catalog) Piece(span int64) int64 {
	if c.Server.Generation == 3 {
		return min(span, shortOf3.Milliseconds())
	}
	return span
}

// Exists returns nil if a database is there. 1.8 answers most questions about one that is not as if it were empty.
func (c Catalog) Exists(ctx context.Context, database string) error {
	if c.Server.Generation == 1 {
		_, _, err := c.Client.Retention(ctx, c.Server, database)
		return err
	}
	_, err := c.Client.Rows(ctx, database, "SHOW MEASUREMENTS LIMIT 1", 1)
	return err
}

// Measurements lists those that have rows, by name. A database that is not there is an error.
func (c Catalog) Measurements(ctx context.Context, database string) ([]string, error) {
	rows, err := c.Client.Rows(ctx, database, "SHOW MEASUREMENTS", maxNames)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 && c.Server.Generation == 1 {
		return nil, c.Exists(ctx, database)
	}
	var names []string
	for _, row := range rows {
		if name, ok := row[len(row)-1].(string); ok && name != "" {
			names = append(names, lines.Named(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Fields returns the fields of a measurement as the database knows them. One that is a number in some shards and a text
// in others is a number to us.
func (c Catalog) Fields(ctx context.Context, database, measurement string) (map[string]lines.Class, error) {
	rows, err := c.Client.Rows(ctx, database, "SHOW FIELD KEYS FROM "+influxql.Name(lines.Stored(measurement)), maxNames)
	if kind, ok := client.KindOf(err); ok && kind == client.Refused {
		return nil, nil // a measurement that is not there yet, in some generations
	}
	if err != nil {
		return nil, err
	}
	fields := map[string]lines.Class{}
	for _, row := range rows { // series, key, type
		if len(row) < 3 {
			continue
		}
		key, _ := row[1].(string)
		class := lines.Number
		if kind, _ := row[2].(string); kind == "string" {
			class = lines.Text
		}
		if have, ok := fields[lines.Named(key)]; !ok || have == lines.Text {
			fields[lines.Named(key)] = class
		}
	}
	return fields, nil
}

// Series counts the series of a measurement, times its fields. InfluxDB 3 has no statement for it: there the last rows
// of the series of the last days are counted.
func (c Catalog) Series(ctx context.Context, database, measurement string, now time.Time) (int, error) {
	quoted := influxql.Name(lines.Stored(measurement))
	if c.Server.Generation == 3 {
		n := 0
		// An open end would be the server's clock, and the range longer than it takes where ours is behind.
		end := now.Add(time.Hour)
		q := fmt.Sprintf("SELECT *::field FROM %s WHERE time >= %s AND time < %s GROUP BY * ORDER BY time DESC LIMIT 1",
			quoted, influxql.Time(end.Add(-shortOf3)), influxql.Time(end))
		err := c.Client.Query(ctx, database, q, func(chunk *influxql.Chunk) error {
			for i := 1; i < len(chunk.Columns); i++ {
				for _, kind := range chunk.Columns[i].Kinds {
					if kind != influxql.Null {
						n++
					}
				}
			}
			return nil
		})
		return n, err
	}
	fields, err := c.Fields(ctx, database, measurement)
	if err != nil {
		return 0, err
	}
	rows, err := c.Client.Rows(ctx, database, "SHOW SERIES EXACT CARDINALITY FROM "+quoted, 1)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	n, _ := rows[0][len(rows[0])-1].(float64)
	return int(n) * len(fields), nil
}

// First returns when the oldest row of a measurement in [from, to) is from; MaxInt64 if there is none. All are Unix
// milliseconds.
func (c Catalog) First(ctx context.Context, database, measurement string, from, to int64) (int64, error) {
	first := int64(math.MaxInt64)
	for piece := c.Piece(to - from); from < to && first == math.MaxInt64; from += piece {
		rows, err := c.Client.Rows(ctx, database, fmt.Sprintf("SELECT *::field FROM %s WHERE time >= %s AND time < %s ORDER BY time LIMIT 1",
			influxql.Name(lines.Stored(measurement)), influxql.Time(time.UnixMilli(from)), influxql.Time(time.UnixMilli(min(from+piece, to)))), 1)
		if err != nil {
			return 0, err
		}
		if len(rows) == 1 && len(rows[0]) > 1 { // behind the name of the series
			if t, ok := rows[0][1].(float64); ok {
				first = int64(t)
			}
		}
	}
	return first, nil
}
