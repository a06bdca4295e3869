// Package refusal names why lines are refused, and keeps a sender who is refused all day from filling the log.
package refusal

import (
	"log/slog"
	"sync"
)

// Class is why lines are refused.
type Class uint8

// The classes.
const (
	Syntax   Class = iota // not line protocol, or past a limit of it
	Schema                // not in the contract
	Identity              // another site's or agent's
	Time                  // ahead of the clock or too old
	Series                // one series too many for a site or a writer
	Store                 // by the store
	Token                 // the whole request: unknown or revoked token
	Classes               // how many there are
)

var names = [...]string{"syntax", "schema", "identity", "time", "series_limit", "store", "token"}

// String returns the class's name, as logs and metrics write it.
func (r Class) String() string { return names[r] }

// Log logs the first refusal of each token and class at once, and the number of the others once per minute.
type Log struct {
	log  *slog.Logger
	mu   sync.Mutex // guards seen
	seen map[key]*count
}

type key struct {
	token string
	class Class
}

type count struct {
	more  int // since last told
	quiet int // minutes without
	last  string
}

// forget is after how many quiet minutes the next refusal is a first one again.
const forget = 10

// NewLog returns a Log that writes to log.
func NewLog(log *slog.Logger) *Log {
	return &Log{log: log, seen: map[key]*count{}}
}

// Note takes in that lines of a token were refused.
func (r *Log) Note(token string, class Class, n int, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := key{token, class}
	if c := r.seen[id]; c != nil {
		c.more += n
		c.last = reason
		return
	}
	r.seen[id] = &count{}
	r.log.Warn("refused", "token", token, "class", class, "count", n, "reason", reason)
}

// Tell sums up what was refused since it was last called. It is to be called once a minute.
func (r *Log) Tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, c := range r.seen {
		if c.more > 0 {
			r.log.Warn("still refused", "token", id.token, "class", id.class, "count", c.more, "reason", c.last)
			c.more, c.quiet = 0, 0
		} else if c.quiet++; c.quiet >= forget {
			delete(r.seen, id)
		}
	}
}
