// Package influx is the time-series store for those who run InfluxDB: 1.8, 2.x or 3.x behind the store.Store
// interface. It writes through influxdb-client-go, one request for the rows of many agents, and reads through InfluxQL,
// which all three generations answer.
//
// # What lies in the database
//
// Rows are in the database (2.x: bucket) called Config.Database, a measurement for each of ours, with tags and fields
// as they came, except that every number is a float: integers, and booleans as 0 and 1. So a field can't be an integer
// to one writer and a float to another, and means can be taken of all of them. Times have milliseconds.
//
// Windows of a level are in a database of their own, so that each has its own retention: Config.DatabaseOf. A row of
// rollup.Row is a row under its start, with fields named after those it was made of:
//
//	KEY_count, KEY_sum, KEY_min, KEY_max   of a number
//	KEY_p95, KEY_sketch                    of a distribution: of this window, to be looked at and not averaged; and the
//	                                       sketch, as rollup.Sketch.Text writes it
//	KEY_total                              of a total
//
// So lost by sent over any range is SUM("lost_sum")/SUM("sent_sum").
package influx
