// Package influxql writes names and texts into InfluxQL queries so that nothing in them can be taken for the query, and
// reads the answers of /query as they come in, column by column, within bounds.
//
// An answer (https://docs.influxdata.com/influxdb/v1/tools/api/#query-http-endpoint) is a row of JSON documents, one for
// each chunk. A series that is longer than a chunk goes on in the next one, under the same name and tags:
//
//	{"results":[{"statement_id":0,"series":[{"name":"icmp","tags":{"site":"s1"},"columns":["time","lost"],
//	 "values":[[1700000000000,0],[1700000030000,null]],"partial":true}],"partial":true}]}
//
// The decoder is our own because encoding/json would hold a chunk twice and make a value of every cell: it reads a
// tenth as fast, and this is what every page of history waits for.
package influxql
