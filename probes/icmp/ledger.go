package icmp

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"communewatch/probes"
)

// ledger is the account of one burst of requests, in order of the attempts to send them. It is the only source of
// the figures: what a library counts as "sent" leaves out the attempts that the system refused, and so would call
// a dead line loss-free.
type ledger struct {
	attempts []attempt
	expected int // one above the latest attempt answered so far: NextExp of RFC 4737
}

// attempt is one request: refused by the system, answered, or neither. The fields below answered are meaningful if
// it was.
type attempt struct {
	at         time.Time
	refused    error // why the system did not send it; nil if it did
	answered   bool
	rtt        time.Duration
	reordered  bool // the answer to a later request came first
	stepped    bool // the wall clock was stepped meanwhile
	duplicates int  // further answers
}

// send enters a request that was sent and returns its number.
func (l *ledger) send(at time.Time) int {
	l.attempts = append(l.attempts, attempt{at: at})
	return len(l.attempts) - 1
}

// refuse enters a request that the system would not send.
func (l *ledger) refuse(at time.Time, why error) {
	l.attempts = append(l.attempts, attempt{at: at, refused: why})
}

// answer enters the answer to request i; stepped says that the wall clock was stepped meanwhile. Answers are to be
// entered in the order in which they came.
func (l *ledger) answer(i int, rtt time.Duration, stepped bool) {
	a := &l.attempts[i]
	if a.answered {
		a.duplicates++
		return
	}
	a.answered, a.rtt, a.stepped = true, rtt, stepped
	a.reordered = i < l.expected
	l.expected = max(l.expected, i+1)
}

// settle strikes out the requests that had less than wait to be answered when the burst was broken off at end. Those
// of them that were answered go too: to keep only them would make a lossy line look better than it is.
func (l *ledger) settle(end time.Time, wait time.Duration) {
	l.attempts = slices.DeleteFunc(l.attempts, func(a attempt) bool { return end.Sub(a.at) < wait })
}

// received counts the requests answered.
func (l *ledger) received() (n int) {
	for i := range l.attempts {
		if l.attempts[i].answered {
			n++
		}
	}
	return n
}

// refusals counts the requests that the system would not send, and returns the last reason.
func (l *ledger) refusals() (n int, last error) {
	for i := range l.attempts {
		if err := l.attempts[i].refused; err != nil {
			n, last = n+1, err
		}
	}
	return n, last
}

// tooLong reports whether the system refused a request because it is too long for the way and may not be cut.
func (l *ledger) tooLong() bool {
	return slices.ContainsFunc(l.attempts, func(a attempt) bool { return errors.Is(a.refused, syscall.EMSGSIZE) })
}

// answeredLast reports whether the last request was answered.
func (l *ledger) answeredLast() bool {
	return len(l.attempts) > 0 && l.attempts[len(l.attempts)-1].answered
}

// fields are the figures of the measurement "icmp", without those of the don't-fragment check.
func (l *ledger) fields() []probes.Field {
	sent, received := len(l.attempts), l.received()
	refused, _ := l.refusals()
	runs, longest := l.lossRuns()
	duplicates, reordered, steps := 0, 0, 0
	for i := range l.attempts {
		a := &l.attempts[i]
		duplicates += a.duplicates
		if a.reordered {
			reordered++
		}
		if a.stepped {
			steps++
		}
	}
	f := []probes.Field{
		probes.Int("sent", int64(sent)),
		probes.Int("send_errors", int64(refused)),
		probes.Int("received", int64(received)),
		probes.Int("lost", int64(sent-received)),
		probes.Int("duplicates", int64(duplicates)),
		probes.Int("reordered", int64(reordered)),
		probes.Int("loss_runs", int64(runs)),
		probes.Int("longest_loss_run", int64(longest)),
		probes.Int("clock_steps", int64(steps)),
	}
	if sent > 0 {
		f = append(f, probes.Float("loss_ratio", float64(sent-received)/float64(sent)))
	}
	if received > 0 {
		f = append(f, l.rttFields(received)...)
	}
	if jitter, ok := l.jitter(); ok {
		f = append(f, probes.Seconds("jitter_seconds", jitter))
	}
	return f
}

func (l *ledger) rttFields(received int) []probes.Field {
	rtts := make([]time.Duration, 0, received)
	var sum time.Duration
	for i := range l.attempts {
		if a := &l.attempts[i]; a.answered {
			rtts = append(rtts, a.rtt)
			sum += a.rtt
		}
	}
	slices.Sort(rtts)
	return []probes.Field{
		probes.Seconds("rtt_min_seconds", rtts[0]),
		probes.Seconds("rtt_mean_seconds", sum/time.Duration(received)),
		probes.Seconds("rtt_median_seconds", nearestRank(rtts, 50)),
		probes.Seconds("rtt_p95_seconds", nearestRank(rtts, 95)),
		probes.Seconds("rtt_max_seconds", rtts[received-1]),
	}
}

// nearestRank is the smallest value that at least percent of sorted are not above: always a value that was really
// measured, never one in between.
func nearestRank(sorted []time.Duration, percent int) time.Duration {
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// lossRuns returns the number of unbroken runs of unanswered requests and the length of the longest.
func (l *ledger) lossRuns() (runs, longest int) {
	length := 0
	for i := range l.attempts {
		if l.attempts[i].answered {
			length = 0
			continue
		}
		if length == 0 {
			runs++
		}
		length++
		longest = max(longest, length)
	}
	return runs, longest
}

// jitter is the mean difference between the round-trip times of requests sent one after the other (RFC 3393's
// inter-packet delay variation, of the round trip). A pair with a loss in it does not count: its two packets were
// not neighbours on the line.
func (l *ledger) jitter() (time.Duration, bool) {
	var sum time.Duration
	pairs := 0
	for i := 1; i < len(l.attempts); i++ {
		before, after := &l.attempts[i-1], &l.attempts[i]
		if before.answered && after.answered {
			sum += (after.rtt - before.rtt).Abs()
			pairs++
		}
	}
	if pairs == 0 {
		return 0, false
	}
	return sum / time.Duration(pairs), true
}

const (
	// stepTolerance is how far the wall clock may drift from the monotonic one during a round trip before it was
	// stepped. Slewing stays far below it (0.05 % at most); reading the two clocks is not atomic, so a busy machine
	// needs some room.
	stepTolerance = 5 * time.Millisecond

	// guardTolerance is how much longer or shorter than the time that the program saw pass a round-trip time may
	// be. The difference is the system call that sends, and below 0.1 ms. More is a machine that was busy just
	// then, a clock that was set just then, or a host that forges the time stamp which the request carries.
	guardTolerance = 20 * time.Millisecond
)

// guardRTT decides on a round-trip time. wall comes from the time stamp within the packet, taken by the wall clock
// just before sending; moved and elapsed say how far the wall clock and the monotonic clock went from just after
// sending. If they disagree the clock was stepped. If wall can't be right, elapsed is taken, though it is short by
// the time that sending took.
func guardRTT(wall, moved, elapsed time.Duration) (rtt time.Duration, stepped bool) {
	stepped = (moved - elapsed).Abs() > stepTolerance
	if stepped || wall < 0 || (wall-elapsed).Abs() > guardTolerance {
		return elapsed, stepped
	}
	return wall, false
}
