// Package agent is the program that stands in a commune office: it runs checks, keeps their results on disk and sends
// them to a collector.
//
// A result travels one way. The schedule runs a check and makes points of it; the points are encoded and appended to
// the spool, and from then on they survive a kill; the shipper sends sealed batches and forgets them only when the
// collector has them. The agent's report about itself takes the same way, so that it arrives late rather than never.
//
// Nothing here is global: any number of agents run in one process.
package agent
