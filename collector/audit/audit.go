// Package audit is the record of who changed what, and who signed in: its words, and how it reads. It is written before
// a change is answered; collector/registry/people keeps it.
package audit

import (
	"context"
	"time"
)

// Entry is one line of the record.
type Entry struct {
	ID      int64 // rises; 0 when it is written
	At      time.Time
	Who     string // a person's or a key's name; "system" for what the collector does by itself
	Via     string // "screen", "api", "command", "agent" or "system"
	Address string // where they came from; "" for the command line
	Act     string // such as "work.apply" or "sign_in.failed"; see docs/people.md
	What    string // what it was done to, such as a site, an agent, a person
	Detail  string // more, in words or JSON; never a secret
	OK      bool   // false: it was tried and refused
}

// Recorder keeps the record.
type Recorder interface {
	Record(ctx context.Context, e Entry) error
}

// Filter chooses entries. The zero Filter chooses all.
type Filter struct {
	From, To time.Time // zero: no bound
	Who, Act string    // exact; "" for all. An Act that ends in "." is all that begin so
	Before   int64     // entries with a lower ID; 0: the newest
	Limit    int       // 0: 200; at most 10,000
}

// Reader reads the record, newest first.
type Reader interface {
	Entries(ctx context.Context, f Filter) ([]Entry, error)
}
