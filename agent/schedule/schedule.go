// Package schedule decides when checks run, and turns each run into its points.
//
// A job has a slot once per interval, at a place in the interval that a hash of its name gives (see Phase). Slots are
// laid out by the wall clock once, when the schedule starts, and from then on by monotonic time alone: a clock that
// jumps neither hurries nor starves a check. A machine that slept wakes up to the next slots, not to all those it
// slept through.
//
// A job never overlaps with itself. If its slot comes while the run before is still going, the slot is missed: it is
// counted, and the job is told, so that the gap in the data has a row that explains it.
//
// Runner is the other half: it makes one run of one check into points. It fences panics, maps errors to outcomes and
// writes the verdict row, so a probe can neither forget nor fake its own success.
package schedule

import (
	"container/heap"
	"context"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Job is something done once per interval.
type Job struct {
	Name     string
	Interval time.Duration
	Timeout  time.Duration             // the context of a run ends this long after its start
	Run      func(ctx context.Context) // must return soon after ctx ends
	Missed   func()                    // called, if not nil, for a slot that came while the run before was going; must be quick
}

// Options of a schedule.
type Options struct {
	Owner string // who runs the jobs, such as "site/agent"; part of the hash that spreads them
	Limit int    // runs at once; 0 means as many as it takes if every run lasts until its timeout, and a few more
	Log   *slog.Logger
}

// Schedule runs jobs. Make it with New.
type Schedule struct {
	limit    int
	log      *slog.Logger
	owner    string
	jobs     []Job
	overruns atomic.Uint64
}

// spareRuns is how many runs may go at once beyond the load to be expected: hashes bunch up.
const spareRuns = 8

// New returns a schedule that does nothing until Run.
func New(jobs []Job, o Options) *Schedule {
	s := &Schedule{limit: o.Limit, log: o.Log, owner: o.Owner, jobs: jobs}
	if s.limit <= 0 {
		// When a line is down every run lasts until its timeout. Were the limit below that load, checks of the other
		// lines would wait in the queue and be missed, just when they are needed.
		var load float64
		for _, j := range jobs {
			load += j.Timeout.Seconds() / j.Interval.Seconds()
		}
		s.limit = spareRuns + int(math.Ceil(load))
	}
	return s
}

// Overruns is the number of slots missed so far.
func (s *Schedule) Overruns() uint64 { return s.overruns.Load() }

// entry is a job with its state, which the goroutine of Run alone touches.
type entry struct {
	Job
	phase time.Duration
	next  time.Duration // its next slot
	busy  bool          // running, or waiting for a free place
}

// Run runs the jobs until ctx ends. Then it ends the contexts of the runs under way and returns when all are over.
func (s *Schedule) Run(ctx context.Context) error {
	if len(s.jobs) == 0 {
		<-ctx.Done()
		return nil
	}
	start := time.Now()
	origin := time.Duration(start.UnixNano())
	now := func() time.Duration { return origin + time.Since(start) }

	queue := make(slots, len(s.jobs))
	for i, j := range s.jobs {
		phase := Phase(s.owner, j.Name, j.Interval)
		queue[i] = &entry{Job: j, phase: phase, next: nextSlot(origin, phase, j.Interval)}
	}
	heap.Init(&queue)

	var (
		running sync.WaitGroup
		active  int
		waiting []*entry
		ended   = make(chan *entry, len(s.jobs)) // never full: a job is in it once at most
	)
	defer running.Wait()
	begin := func(e *entry) {
		active++
		running.Go(func() {
			defer func() { ended <- e }()
			s.run(ctx, e.Job)
		})
	}

	timer := time.NewTimer(queue[0].next - now())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-ended:
			e.busy = false
			active--
			if len(waiting) > 0 && active < s.limit {
				begin(waiting[0])
				waiting = waiting[1:]
			}
			continue
		case <-timer.C:
		}
		for at := now(); queue[0].next <= at; at = now() {
			e := queue[0]
			late := at - e.next
			e.next = nextSlot(at, e.phase, e.Interval)
			heap.Fix(&queue, 0)
			switch {
			case late >= e.Interval:
				s.log.Warn("skipped slots: the machine slept or was far too slow", "job", e.Name, "late", late.Round(time.Millisecond))
			case e.busy:
				s.overruns.Add(1)
				s.missed(e.Job)
			case active >= s.limit:
				e.busy = true
				waiting = append(waiting, e)
			default:
				e.busy = true
				begin(e)
			}
		}
		timer.Reset(queue[0].next - now())
	}
}

// run runs a job once.
func (s *Schedule) run(ctx context.Context, j Job) {
	defer s.fence(j)
	ctx, cancel := context.WithTimeout(ctx, j.Timeout)
	defer cancel()
	j.Run(ctx)
}

func (s *Schedule) missed(j Job) {
	if j.Missed != nil {
		defer s.fence(j)
		j.Missed()
	}
}

// fence keeps a job that panics from taking the agent with it.
func (s *Schedule) fence(j Job) {
	if p := recover(); p != nil {
		s.log.Error("job panicked", "job", j.Name, "panic", p, "stack", string(debug.Stack()))
	}
}

// slots is a heap of entries by next slot.
type slots []*entry

func (q slots) Len() int           { return len(q) }
func (q slots) Less(i, j int) bool { return q[i].next < q[j].next }
func (q slots) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *slots) Push(x any)        { *q = append(*q, x.(*entry)) }
func (q *slots) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}
