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
// Jobs may be replaced while the schedule runs. One that keeps its name keeps its place: what it was is never run beside
// what it has become. A job can also be run out of turn; that too waits for the run under way, and a slot that comes
// meanwhile is not missed, since it would have found out the same.
//
// Runner is the other half: it makes one run of one check into points. It fences panics, maps errors to outcomes and
// writes the verdict row, so a probe can neither forget nor fake its own success.
package schedule

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"runtime/debug"
	"slices"
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
	fixed    int // limit of runs at once that was asked for; 0: none
	log      *slog.Logger
	owner    string
	overruns atomic.Uint64
	news     chan struct{} // jobs or wishes have changed
	over     chan struct{} // closed when Run is

	mu      sync.Mutex // guards the fields below
	jobs    []Job
	renewed bool      // jobs are others than Run knows
	wishes  []*wish   // that Run has not seen yet
	turn    time.Time // when Run looks at the slots next; zero: it has none to look at
	hung    bool      // slots came for a run that should long be over, and none has ended since
}

// spareRuns is how many runs may go at once beyond the load to be expected: hashes bunch up.
const spareRuns = 8

// New returns a schedule that does nothing until Run. Names of jobs must be unique.
func New(jobs []Job, o Options) *Schedule {
	return &Schedule{fixed: max(o.Limit, 0), log: o.Log, owner: o.Owner, jobs: jobs, news: make(chan struct{}, 1), over: make(chan struct{})}
}

// Replace puts other jobs in the place of all there are. Runs under way go on to their end, also those of jobs that are
// not among the new ones.
func (s *Schedule) Replace(jobs []Job) {
	s.mu.Lock()
	s.jobs, s.renewed = jobs, true
	s.mu.Unlock()
	s.wake()
}

func (s *Schedule) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// wish is a run out of turn.
type wish struct {
	name  string
	run   func(ctx context.Context)
	begun atomic.Bool
	done  chan struct{}
	err   error // set before done is closed
}

func (w *wish) end(err error) {
	w.err = err
	close(w.done)
}

// Errors of RunNow.
var (
	ErrNoJob = errors.New("there is no such check")
	ErrOver  = errors.New("the agent is stopping")
)

// RunNow does run in the place of a run of the named job: now, or when the run under way has ended. It has the job's
// timeout. RunNow returns when run has, or with an error if run was not begun. ctx may end the wait for that; a run that
// was cut off because nobody waits any more would speak against its target.
func (s *Schedule) RunNow(ctx context.Context, name string, run func(ctx context.Context)) error {
	w := &wish{name: name, run: run, done: make(chan struct{})}
	s.mu.Lock()
	s.wishes = append(s.wishes, w)
	s.mu.Unlock()
	s.wake()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	case <-s.over:
	}
	if w.begun.CompareAndSwap(false, true) { // so that nobody else begins it
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return ErrOver
	}
	<-w.done
	return w.err
}

// patience is how late the schedule may be, and a run may end after its timeout, before that is no mere slowness.
const patience = time.Minute

// Alive says whether the schedule gets on: it has looked at the slots that came, and runs come to their ends. One check
// that hangs while others go on is not its death; that shows in the check's overruns.
func (s *Schedule) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.hung && (s.turn.IsZero() || time.Since(s.turn) < patience)
}

// Overruns is the number of slots missed so far.
func (s *Schedule) Overruns() uint64 { return s.overruns.Load() }

// entry is a job with its state, which the goroutine of Run alone touches.
type entry struct {
	Job
	phase  time.Duration
	next   time.Duration // its next slot
	busy   bool          // running, or waiting for a free place
	runs   bool          // running
	over   time.Duration // when what runs should be over
	wished bool          // what it is busy with is a run out of turn
	wishes []*wish       // wait for the end of that
}

// start is a run that waits for a free place.
type start struct {
	e *entry
	w *wish // nil: by schedule
}

// round is the state of Run.
type round struct {
	*Schedule
	ctx     context.Context
	began   time.Time
	queue   slots
	byName  map[string]*entry
	gone    map[string]*entry // run still, but are not among the jobs any more
	limit   int
	running sync.WaitGroup
	active  int
	waiting []start
	ended   chan *entry
}

func (r *round) now() time.Duration { return time.Duration(r.began.UnixNano()) + time.Since(r.began) }

// Run runs the jobs until ctx ends. Then it ends the contexts of the runs under way and returns when all are over. It is
// to be called once.
func (s *Schedule) Run(ctx context.Context) error {
	r := &round{Schedule: s, ctx: ctx, began: time.Now(), byName: map[string]*entry{}, gone: map[string]*entry{}, ended: make(chan *entry)}
	defer close(s.over)
	defer r.running.Wait()
	s.mu.Lock()
	s.renewed = true
	s.mu.Unlock()
	r.look()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		r.tell()
		select {
		case <-ctx.Done():
			return nil
		case <-s.news:
			r.look()
		case e := <-r.ended:
			r.finished(e)
			continue
		case <-timer.C:
			r.due()
		}
		if len(r.queue) > 0 {
			timer.Reset(r.queue[0].next - r.now())
		}
	}
}

// tell leaves word for Alive.
func (r *round) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn = time.Time{}
	if len(r.queue) > 0 {
		r.turn = time.Now().Add(r.queue[0].next - r.now())
	}
}

func (r *round) setHung(hung bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hung = hung
}

// look takes over what others want: jobs, and runs out of turn.
func (r *round) look() {
	r.mu.Lock()
	wishes, jobs, renewed := r.wishes, r.jobs, r.renewed
	r.wishes, r.renewed = nil, false
	r.mu.Unlock()
	if renewed {
		r.renew(jobs)
	}
	for _, w := range wishes {
		e := r.byName[w.name]
		switch {
		case e == nil:
			if w.begun.CompareAndSwap(false, true) {
				w.end(fmt.Errorf("%s: %w", w.name, ErrNoJob))
			}
		case e.busy:
			e.wishes = append(e.wishes, w)
		default:
			e.busy, e.wished = true, true
			r.waiting = append([]start{{e, w}}, r.waiting...) // somebody waits for it
		}
	}
	r.fill()
}

// renew makes the queue one of other jobs.
func (r *round) renew(jobs []Job) {
	if r.limit = r.fixed; r.limit == 0 {
		// When a line is down every run lasts until its timeout. Were the limit below that load, checks of the other
		// lines would wait in the queue and be missed, just when they are needed.
		var load float64
		for _, j := range jobs {
			load += j.Timeout.Seconds() / j.Interval.Seconds()
		}
		r.limit = spareRuns + int(math.Ceil(load))
	}
	now, before := r.now(), r.byName
	maps.Copy(before, r.gone) // it may have come back
	r.gone = map[string]*entry{}
	r.byName, r.queue = make(map[string]*entry, len(jobs)), make(slots, 0, len(jobs))
	for _, j := range jobs {
		e := before[j.Name]
		delete(before, j.Name)
		if e == nil {
			e = &entry{}
		}
		if e.Interval != j.Interval {
			e.phase = Phase(r.owner, j.Name, j.Interval)
			e.next = nextSlot(now, e.phase, j.Interval)
		}
		e.Job = j
		r.byName[j.Name] = e
		r.queue = append(r.queue, e)
	}
	heap.Init(&r.queue)
	for _, e := range before {
		if r.forgo(e); e.runs {
			r.gone[e.Name] = e
		}
	}
}

// forgo drops what an entry that is no job any more has not begun.
func (r *round) forgo(e *entry) {
	refuse := func(w *wish) {
		if w.begun.CompareAndSwap(false, true) {
			w.end(fmt.Errorf("%s: %w any more", e.Name, ErrNoJob))
		}
	}
	for _, w := range e.wishes {
		refuse(w)
	}
	e.wishes = nil
	r.waiting = slices.DeleteFunc(r.waiting, func(s start) bool {
		if s.e == e && s.w != nil {
			refuse(s.w)
		}
		return s.e == e
	})
}

// due begins, or misses, what is due.
func (r *round) due() {
	for now := r.now(); len(r.queue) > 0 && r.queue[0].next <= now; now = r.now() {
		e := r.queue[0]
		late := now - e.next
		e.next = nextSlot(now, e.phase, e.Interval)
		heap.Fix(&r.queue, 0)
		if e.runs && now > e.over+patience {
			r.setHung(true)
		}
		switch {
		case late >= e.Interval:
			r.log.Warn("skipped slots: the machine slept or was far too slow", "job", e.Name, "late", late.Round(time.Millisecond))
		case e.busy && e.wished:
		case e.busy:
			r.overruns.Add(1)
			r.missed(e.Job)
		default:
			e.busy = true
			r.waiting = append(r.waiting, start{e, nil})
			r.fill()
		}
	}
}

// finished frees the place of a run.
func (r *round) finished(e *entry) {
	r.active--
	r.setHung(false)
	e.busy, e.runs, e.wished = false, false, false
	if r.gone[e.Name] == e {
		delete(r.gone, e.Name)
	}
	if len(e.wishes) > 0 {
		e.busy, e.wished = true, true
		r.waiting = append([]start{{e, e.wishes[0]}}, r.waiting...)
		e.wishes = e.wishes[1:]
	}
	r.fill()
}

// fill gives free places to those that wait.
func (r *round) fill() {
	for len(r.waiting) > 0 && r.active < r.limit {
		next := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.begin(next.e, next.w)
	}
}

func (r *round) begin(e *entry, w *wish) {
	if w != nil && !w.begun.CompareAndSwap(false, true) { // given up meanwhile
		r.active++ // as if it had been run
		r.finished(e)
		return
	}
	r.active++
	e.runs, e.wished = true, w != nil
	e.over = r.now() + e.Timeout
	job := e.Job
	r.running.Go(func() {
		defer func() {
			select {
			case r.ended <- e:
			case <-r.ctx.Done():
			}
		}()
		if w == nil {
			r.run(r.ctx, job)
			return
		}
		defer w.end(nil)
		job.Run = w.run
		r.run(r.ctx, job)
	})
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
