// Package setup makes what the collector needs in an InfluxDB and says what is wrong with one: databases (2.x: buckets)
// with their retention, the mappings that InfluxQL needs in 2.x, and a user or token with no more rights than those. It
// speaks plain HTTP as the public documentation of each generation describes it.
//
// Nothing is changed that is there already, unless that is asked for: a shorter retention deletes rows. So Setup may be
// run as often as one likes; the second time it makes nothing.
//
//	generation  databases                      credentials
//	1.8         CREATE DATABASE .. DURATION    a user with ALL on these databases, user:password in the token file
//	2.x         /api/v2/buckets and /dbrps     /api/v2/authorizations: read and write on these buckets
//	3.x         /api/v3/configure/database     Enterprise: a token for these databases; Core knows only tokens that may
//	                                           do everything, so one of our own is made there, to be revoked alone
//
// On 3.x a database's retention can't be read by a documented call, and on Core not be changed: it is right from the
// beginning, or the database is made anew.
package setup
