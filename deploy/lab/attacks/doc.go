// Package attacks is the table of attacks on a fleet, and holds no code but tests: each row of the table is something
// that somebody will try, is tried here on a real collector and real agents over real sockets, or names the tests of
// other rooms that try it more thoroughly than could be done here. docs/security-table.md is made from it.
//
// The last thing that is done is to search all logs of the run for the secrets that were in use.
package attacks
