// Package ingest is the agents' door: an HTTP handler that speaks the write side of the InfluxDB API well enough that
// influxdb-client-go and Telegraf work unchanged, and that knows who may write what.
//
// # The way of a batch
//
// A request is authenticated by its header alone. Its body is read under a deadline and a memory budget, inflated, and
// parsed in portions. Every line is then checked: its site and agent must be those of the token, its measurement,
// tags, fields and types those of the contract (probes.Schema), its time neither ahead of the clock nor older than
// what the store takes. Good lines go to the store, bad ones are counted and the first is named in the answer, which
// is then 400 as InfluxDB does it. What was stored is handed to the judge, the batch's number is booked, and the
// answer says with which number this acknowledgement can be recognised as durable.
//
// # Two kinds of tokens
//
// An agent's token writes the measurements of the contract, for one site, perhaps for one agent. A writer's token is
// for Telegraf and its like: measurements of their own, which are never judged.
//
// Both bring a bounded number of field series, agents by site and writers by token. Past it rows of new series are
// refused and those of known ones taken.
//
// # Statuses
//
//	204  all is stored
//	400  some or all lines are refused (the others are stored), or the request makes no sense: don't send it again
//	401  no token, an unknown or a revoked one
//	403  the token is good, but not for this site or agent
//	404  no such bucket
//	413  too large, as sent or inflated: send smaller batches
//	415  an encoding other than gzip
//	429  this token has too many requests or bytes under way; 503 all have, or the store is not working, or the body
//	     did not arrive in full or in time. Nothing may be assumed about the batch: send it again, after Retry-After
//
// A body that breaks off is answered 503 rather than 400 or 408, because to every client those mean "give it up".
//
// # Speed
//
// A series that was seen before costs one map lookup per line (see package contract); a body is parsed without an
// allocation per line, and portions of it are handed to the store as they were parsed. There are as many workers as
// processors and one more, and none is held while the store takes rows: a database far away meets the batches of many
// agents at once and can write them together, up to a bound in rows.
package ingest
