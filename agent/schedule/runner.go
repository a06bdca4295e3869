package schedule

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/probes"
)

// Clock stamps runs. The number tells the stretches apart during which the clock ran without a jump.
type Clock interface {
	Now() (t time.Time, clock int)
}

// Check is a probe with what is needed to run it and to name its results.
type Check struct {
	Target   probes.Target
	Interval time.Duration
	Timeout  time.Duration // when the probe's context ends; the probe's own timeouts should come before
	Probe    probes.Probe

	Bound probes.Proof // what the binding of the sockets proves by itself
	Ready func() error // asked before each run: an error means that nothing was sent; nil for always
	// Prove finds out by which path packets to the target leave. The result counts if it says more than Bound; the
	// error explains ProofWrong. Nil where the config names no hop.
	Prove func(ctx context.Context) (probes.Proof, error)

	mu      sync.Mutex     // guards what follows
	stamped time.Time      // of the newest run
	clock   int            // that stamped it
	outcome probes.Outcome // of the newest run; OK before the first
}

// Result is one run of one check.
type Result struct {
	Target  probes.Target
	Start   time.Time // whole milliseconds
	Clock   int       // the number of the clock that Start was read from
	Took    time.Duration
	Late    time.Duration // worst lateness of the agent's own timers meanwhile; whole milliseconds, finer says nothing
	Outcome probes.Outcome
	Proof   probes.Proof
	Error   string // cleaned; "" when Outcome is OK
	// Points is what was measured, ready to be sent: identity tags and time filled in. The row "check" comes last, save
	// of RunAs, which makes none. It is nil for a canceled run, which is no measurement.
	Points []probes.Point

	ran bool // the probe did
}

// Runner makes runs into results.
type Runner struct {
	Site, Agent string
	Clock       Clock
	Log         *slog.Logger

	canary canary
}

// Run runs the check once.
func (r *Runner) Run(ctx context.Context, c *Check) Result {
	res := r.RunAs(ctx, c, c.Probe, c.Timeout)
	if res.Outcome != probes.OutcomeCanceled {
		r.verdict(c, &res)
	}
	return res
}

// RunAs makes a run out of turn, with another probe than the check's own in its place and for at most timeout. What it
// measures carries the check's identity, but there is no row "check": it says nothing about how the target is, since
// what was asked for is not what the check looks at. It may overlap with a run by schedule; their times differ.
func (r *Runner) RunAs(ctx context.Context, c *Check, probe probes.Probe, timeout time.Duration) Result {
	res := Result{Target: c.Target, Proof: c.Bound}
	points, err := r.measure(ctx, c, probe, timeout, &res)
	res.Outcome = probes.OutcomeOf(err)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		// Whatever the error, it was made by stopping the agent.
		res.Outcome = probes.OutcomeCanceled
	case res.Outcome == probes.OutcomeCanceled:
		res.Outcome = probes.OutcomeTimeout // some libraries call a deadline a cancellation
	}
	if res.Outcome == probes.OutcomeCanceled {
		res.Error = "the agent was stopping"
		return res
	}
	if err != nil {
		res.Error = CleanError(err.Error())
	}
	if !res.Outcome.Measured() {
		return res // the agent's own trouble is no evidence about the target
	}
	for i := range points {
		tags := append(points[i].Tags[:len(points[i].Tags):len(points[i].Tags)], r.identity(c.Target)...)
		points[i].Tags = sorted(tags)
		points[i].Time = res.Start
	}
	res.Points = points
	return res
}

// Succeeds makes c go on where another check of its name ends: with stamps that rise, and without the change of outcome
// that a check's first run is. It is to be called before c runs.
func (c *Check) Succeeds(old *Check) {
	old.mu.Lock()
	defer old.mu.Unlock()
	c.stamped, c.clock, c.outcome = old.stamped, old.clock, old.outcome
}

// Missed is the result of a slot in which the check could not run because the run before was still going.
func (r *Runner) Missed(c *Check) Result {
	res := Result{Target: c.Target, Proof: c.Bound, Outcome: probes.OutcomeOverrun}
	res.Start, res.Clock = c.stamp(r.Clock)
	res.Error = "not run: the run before was still going; raise the check's interval or lower its timeouts"
	r.verdict(c, &res)
	return res
}

// measure runs the probe if it may run, and fills in start, clock, length, lateness and proof.
func (r *Runner) measure(ctx context.Context, c *Check, probe probes.Probe, timeout time.Duration, res *Result) (points []probes.Point, err error) {
	if c.Ready != nil {
		if err := c.Ready(); err != nil {
			res.Proof = probes.ProofUnproven // nothing was sent
			res.Start, res.Clock = c.stamp(r.Clock)
			return nil, err
		}
	}
	if c.Prove != nil {
		switch proof, err := c.Prove(ctx); proof {
		case probes.ProofWrong:
			res.Proof = proof
			res.Start, res.Clock = c.stamp(r.Clock)
			return nil, &probes.Error{Outcome: probes.OutcomeWrongPath, Err: err}
		case probes.ProofProved:
			res.Proof = proof
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res.Start, res.Clock = c.stamp(r.Clock)
	begin, watch := time.Now(), r.canary.begin()
	defer func() {
		res.Took, res.Late, res.ran = time.Since(begin), r.canary.end(watch).Round(time.Millisecond), true
		if p := recover(); p != nil {
			points, err = nil, probes.Errorf(probes.OutcomePanic, "probe crashed: %v", p)
			r.Log.Error("probe panicked", "check", c.Target.Name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return probe.Probe(ctx)
}

// stamp returns the present time in whole milliseconds. Within a clock the stamps of a check always rise, so that no
// row of a series takes the place of another.
func (c *Check) stamp(clock Clock) (time.Time, int) {
	now, n := clock.Now()
	now = now.Truncate(time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == c.clock && !now.After(c.stamped) {
		now = c.stamped.Add(time.Millisecond)
	}
	c.stamped, c.clock = now, n
	return now, n
}

// verdict adds the row "check" to what a run measured, and logs a change of outcome.
func (r *Runner) verdict(c *Check, res *Result) {
	t := c.Target
	row := probes.Point{
		Measurement: "check",
		Tags:        sorted(append(r.identity(t), probes.Tag{Key: "kind", Value: string(t.Kind)}, probes.Tag{Key: "layer", Value: string(t.Layer)})),
		Time:        res.Start,
		Fields: []probes.Field{
			probes.String("outcome", res.Outcome.String()),
			probes.Bool("up", res.Outcome == probes.OutcomeOK),
			probes.Seconds("took_seconds", res.Took),
		},
	}
	if res.ran {
		row.Fields = append(row.Fields, probes.Seconds("late_seconds", res.Late))
	}
	row.Fields = append(row.Fields,
		probes.Seconds("interval_seconds", c.Interval),
		probes.String("path_proof", string(res.Proof)),
	)
	if res.Error != "" {
		row.Fields = append(row.Fields, probes.String("error", res.Error))
	}
	res.Points = append(res.Points, row)

	c.mu.Lock()
	changed := res.Outcome != c.outcome
	c.outcome = res.Outcome
	c.mu.Unlock()
	if changed {
		r.Log.Info("outcome changed", "check", t.Name, "path", string(t.Path), "outcome", res.Outcome.String(), "error", res.Error)
	}
}

func (r *Runner) identity(t probes.Target) probes.Tags {
	return probes.Tags{
		{Key: "agent", Value: r.Agent}, {Key: "path", Value: string(t.Path)},
		{Key: "site", Value: r.Site}, {Key: "target", Value: t.Name},
	}
}

// ephemeral is the local end of a connection as Go's errors print it, with a port that differs every time.
var ephemeral = regexp.MustCompile(`(\[[0-9A-Fa-f:.%a-z]+\]|[0-9.]+):[0-9]+->`)

// moment is a time of day as Go's errors print it.
var moment = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?( ?(Z|[+-][0-9]{2}:?[0-9]{2}))?`)

// CleanError makes the text of an error fit to be a field: the same trouble is the same text, since ephemeral ports
// and times of day are taken out, on one line without control characters, at most probes.MaxText bytes.
func CleanError(s string) string {
	s = ephemeral.ReplaceAllString(s, "")
	s = moment.ReplaceAllString(s, "[time]")
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") // joined errors
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= probes.MaxText {
		return s
	}
	cut := probes.MaxText - len("...")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

func sorted(t probes.Tags) probes.Tags {
	slices.SortFunc(t, func(a, b probes.Tag) int { return strings.Compare(a.Key, b.Key) })
	return t
}
