package health

import (
	"communewatch/collector/health/queue"
)

// event says when to look at a check again. Each check has one live event in the queue (check.queued); an observation
// does not touch the queue: when the time comes and the check has reported since, it is queued anew.
type event struct {
	at    int64
	check *check
	site  *site
}

type events = queue.Queue[event, *event]

// Before orders events by time, and by check where that is equal, so that a replay does the same as the life it
// repeats.
func (e *event) Before(o *event) bool {
	if e.at != o.at {
		return e.at < o.at
	}
	if e.site != o.site {
		return e.site.id < o.site.id
	}
	return compareChecks(e.check.id, o.check.id) < 0
}
