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
//	keys                                   the fields of the window, by name: writing a window again leaves what it had
//	                                       before where it is, and this tells what is of now
//
// So lost by sent over any range is SUM("lost_sum")/SUM("sent_sum").
//
// A backslash in a name or tag value is U+F05C there where servers would misread it (see the room lines).
//
// # What is stored
//
// Rows of Appends that run at once go out in one request, and each Append returns when the server has answered 204 for
// its rows: it has written them to its log by then, and that to disk, unless its wal-fsync-delay was raised. Storing a
// row again changes nothing; of two values for one time the last one wins. Rows that the server refuses are found by
// sending halves, so one writer's mistake costs nobody else's rows. Whatever else it answers, nothing is taken for
// stored: agents keep what they have, and Condition says what is wrong and what to do about it.
//
// A field that is a number to the collector is one in all series of a measurement, and a text that comes under its name
// is refused, and the other way round.
package influx
