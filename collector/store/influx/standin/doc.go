// Package standin answers HTTP as InfluxDB 2.x or 3.x does by its public documentation, for tests. It is no InfluxDB:
// passing against it proves that we do what the documentation asks for, and nothing about real servers. What it stores
// and every answer to InfluxQL comes from a real InfluxDB 1.8 behind it (store/influxd), so reads are real InfluxQL of
// that version.
//
//	backend, _ := influxd.New(influxd.Options{Dir: t.TempDir()})
//	_ = backend.Start(ctx)
//	s := standin.New(standin.Options{Generation: standin.V2, Backend: backend.URL(), Prefix: "t1_"})
//	server := httptest.NewServer(s)         // s is a handler: wrap it to answer 503, to be slow, to go away
//	s.MakeDatabase("communewatch", 0)       // what `influx setup` makes, for tests that are not about that
//	token := s.MakeToken("communewatch")    // reads and writes these buckets alone; 3 Core: an admin token, there are no others
//
// Several stand-ins may share a backend when each has another Prefix.
//
// # What of 2.x it has
//
//   - GET /ping and /health: 204 and 200 with X-Influxdb-Version and X-Influxdb-Build: OSS, without a token.
//   - Tokens ("Token T", "Bearer T", and for /query also Basic and u, p) with permissions; without one, or with an
//     unknown one, 401. One organisation.
//   - /api/v2/orgs, /buckets (retentionRules), /dbrps, /authorizations: list, make; change and remove of buckets.
//     A list shows what the token may read.
//   - POST /api/v2/write: 204; 400 for a body with a malformed line, of which nothing is stored then; 422 for points
//     that conflict with a field's type or are older than the bucket keeps, the others are stored; 401, 403, 404 for a
//     bucket that is not there, 413; gzip. The v1 door /write is not there.
//   - /query takes InfluxQL through DBRP mappings and no other way: mappings that a real server makes up from buckets'
//     names ("virtual" ones) are left out on purpose. Statements outside the documented list are refused.
//
// # What of 3.x it has
//
//   - GET /ping: 200 with X-Influxdb-Version, X-Influxdb-Build (Core or Enterprise) and the same as JSON; a token is
//     needed, as for everything; HEAD is 404. /health: 200.
//   - /api/v3/configure/database: POST (200, 409 when it is there, 422 above five databases on Core), GET, DELETE; PUT
//     changes retention on Enterprise alone.
//   - /api/v3/configure/token/named_admin makes tokens for everything; /api/v3/enterprise/configure/token, on Enterprise
//     alone, such that read and write named databases and do nothing else.
//   - POST /api/v2/write and /write: a database that is not there is made, without retention; a table's tags are those
//     of its first row; a column is a tag or a field of one type for good; 500 columns a table. Lines that do not fit
//     are refused with 400 and named, the others are stored.
//   - /query takes InfluxQL: SELECT, SHOW MEASUREMENTS, RETENTION POLICIES, TAG KEYS, TAG VALUES, FIELD KEYS; functions
//     that are documented as missing are refused. On Core a SELECT over more than 72 hours is refused. A real server
//     counts files of ten minutes, 432 at most, so it may allow more; it never has to.
//
// Not documented, so a guess: the status and words of some refusals (403 for a token without permission, 400 for a
// query over too long a time, what a query says of a database without a mapping).
package standin
