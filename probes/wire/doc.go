// Package wire turns points into InfluxDB line protocol and back, and names the HTTP headers that travel with a
// batch. Agents encode with it; the collector parses whatever any InfluxDB client sends.
//
// Line protocol (https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/):
//
//	measurement[,tag=value...] field=value[,field=value...] [timestamp]
//
// Values are floats (1.5), integers (1i), unsigned integers (1u), booleans (t, true, ...) and "strings". Commas,
// spaces and equals signs in names and tag values are escaped with a backslash.
//
// The parser is our own because it must do what no maintained library does at once: hand out the raw series key so
// that a known series costs one map lookup, go on after a bad line and say which it was, keep every bound, and
// allocate nothing per line. It is held against InfluxData's decoder by a differential fuzz test.
package wire
