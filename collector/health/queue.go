package health

// event says when to look at a check again.
type event struct {
	at    int64
	check *check
	site  *site
}

// before orders events by time, and by check where that is equal, so that a replay does the same as the life it
// repeats.
func (e *event) before(o *event) bool {
	if e.at != o.at {
		return e.at < o.at
	}
	if e.site != o.site {
		return e.site.id < o.site.id
	}
	return compareChecks(e.check.id, o.check.id) < 0
}

// queue is a binary heap of events, the earliest first. Each check has one live event in it (check.queued); an
// observation does not touch the queue: when the time comes and the check has reported since, it is queued anew.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	*q = h
}

func (q *queue) pop() event {
	h := *q
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h[last] = event{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for kid := 2*i + 1; kid <= 2*i+2 && kid < last; kid++ {
			if h[kid].before(&h[least]) {
				least = kid
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return top
}
