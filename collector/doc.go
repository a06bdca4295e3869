// Package collector wires the centre of the fleet together: it opens the two stores, replays the recent past through
// the judge, and serves two doors on one address, the agents' (collector/ingest) and the humans' (collector/api and
// collector/web).
//
// New is inert. Run opens everything, serves until its context ends, and then stops in the order in which results
// flow: doors, acknowledgements, judge, stores. A kill at any moment loses nothing that was acknowledged.
package collector
