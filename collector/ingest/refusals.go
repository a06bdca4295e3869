package ingest

import (
	"log/slog"
	"sync"
)

// refusal is why lines are refused, in classes.
type refusal uint8

const (
	refusedSyntax   refusal = iota // not line protocol, or past a limit of it
	refusedSchema                  // not in the contract
	refusedIdentity                // another site's or agent's
	refusedTime                    // ahead of the clock or too old
	refusedSeries                  // one series too many for a site or a writer
	refusedStore                   // by the store
	refusedToken                   // the whole request: unknown or revoked token
	refusals_
)

var refusalNames = [...]string{"syntax", "schema", "identity", "time", "series_limit", "store", "token"}

func (r refusal) String() string { return refusalNames[r] }

// refusals logs the first refusal of each token and class at once, and the number of the others once per minute.
type refusals struct {
	log  *slog.Logger
	mu   sync.Mutex // guards seen
	seen map[refusalKey]*refusalCount
}

type refusalKey struct {
	token string
	class refusal
}

type refusalCount struct {
	more  int // since last told
	quiet int // minutes without
	last  string
}

// forgetRefusals is after how many quiet minutes the next refusal is a first one again.
const forgetRefusals = 10

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, seen: map[refusalKey]*refusalCount{}}
}

func (r *refusals) note(token string, class refusal, n int, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := refusalKey{token, class}
	if c := r.seen[key]; c != nil {
		c.more += n
		c.last = reason
		return
	}
	r.seen[key] = &refusalCount{}
	r.log.Warn("refused", "token", token, "class", class, "count", n, "reason", reason)
}

func (r *refusals) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, c := range r.seen {
		if c.more > 0 {
			r.log.Warn("still refused", "token", key.token, "class", key.class, "count", c.more, "reason", c.last)
			c.more, c.quiet = 0, 0
		} else if c.quiet++; c.quiet >= forgetRefusals {
			delete(r.seen, key)
		}
	}
}
