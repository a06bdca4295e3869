package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"

	"communewatch/collector/ingest/contract"
	"communewatch/collector/ingest/refusal"
	"communewatch/collector/ingest/writers"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/probes/wire"
)

// bodyScratch is the memory a body is read into, used again by later requests. Every request has the little that comes
// first; more is given for what has arrived, and booked.
type bodyScratch struct {
	first   [4 << 10]byte
	grown   *grown // nil while first is enough
	taken   int    // of the budget
	inflate *gzip.Reader
}

type grown struct{ bytes []byte }

// keepBody is the largest body whose memory is kept for the next: 5,000 lines of a large client fit.
const keepBody = 2 << 20

// release gives back what a body held, and lets go of what must not outlive the request.
func (in *Ingest) release(g *guest, s *bodyScratch) {
	in.budget.give(g, s.taken)
	if s.grown != nil && cap(s.grown.bytes) <= keepBody {
		in.grown.Put(s.grown)
	}
	s.grown, s.taken = nil, 0
	if s.inflate != nil {
		_ = s.inflate.Reset(empty{}) // or it would hold on to the request; it fails, for nothing is nothing to inflate
	}
	in.bodies.Put(s)
}

// rowScratch is the memory for parsed rows.
type rowScratch struct {
	parser   *wire.Parser
	series   []*contract.Series
	good     []wire.Row
	hours    []int64 // that the good ones are of
	reporter contract.Reporter
}

// portion is how many lines are parsed, checked and stored at a time: a batch of any usual client in one go, and few
// enough that their fields stay within some megabytes.
const portion = 5000

// job is one batch on its way, and what became of it.
type job struct {
	id        registry.Identity
	batch     *batch
	received  time.Time
	shift     time.Duration
	precision time.Duration

	lines, stored, rejected int
	foreign                 int // of rejected: another site's or agent's
	first                   rejection
	byClass                 [refusal.Classes]int
}

// rejection is a line that was not stored.
type rejection struct {
	line   int
	reason string
}

func (j *job) reject(line int, reason string, class refusal.Class) {
	if j.rejected == 0 || line < j.first.line {
		j.first = rejection{line, reason}
	}
	j.rejected++
	j.byClass[class]++
}

// problem is the answer to a batch that was taken in.
func (j *job) problem() *problem {
	if j.rejected == 0 {
		return nil
	}
	status := http.StatusBadRequest
	if j.foreign == j.lines {
		status = http.StatusForbidden // nothing is wrong with the lines: who sends them may not
	}
	return &problem{status, fmt.Sprintf("partial write: %d of %d lines rejected; first: line %d: %s", j.rejected, j.lines, j.first.line, j.first.reason), 0}
}

// take parses, checks, stores and judges a body. An error means that it must be sent again.
func (in *Ingest) take(ctx context.Context, j *job, body []byte) error {
	select {
	case in.workers <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the batches before: %w", ctx.Err())
	}
	defer func() { <-in.workers }()
	s := in.rows.Get().(*rowScratch)
	if cap(body) <= keepBody { // the parser holds on to its last body, so it must be one that is kept anyway
		defer in.rows.Put(s)
	}
	s.parser.Reset(body, j.precision, j.received.UnixNano()-int64(j.shift))
	for more := true; more; {
		rejectedBefore := s.parser.Rejected()
		var rows []wire.Row
		var bad []wire.BadLine
		rows, bad, more = s.parser.Next(portion)
		for _, b := range bad {
			j.reject(b.Line, fmt.Sprintf("%s: %q", b.Reason, b.Text), refusal.Syntax)
		}
		undescribed := s.parser.Rejected() - rejectedBefore - len(bad)
		j.rejected += undescribed
		j.byClass[refusal.Syntax] += undescribed
		if err := in.store(ctx, j, s, rows); err != nil {
			return err
		}
	}
	j.lines = s.parser.Lines()
	in.metrics.lines.Add(float64(j.lines))
	for class, n := range j.byClass {
		if n > 0 {
			in.metrics.rejected.WithLabelValues(refusal.Class(class).String()).Add(float64(n))
			in.refused.Note(j.id.Token, refusal.Class(class), n, j.first.reason)
		}
	}
	return nil
}

// store checks the rows of one portion, appends the good ones and hands them to the judge.
func (in *Ingest) store(ctx context.Context, j *job, s *rowScratch, rows []wire.Row) error {
	if len(rows) == 0 {
		return nil
	}
	s.good = s.good[:0]
	agents := j.id.Kind == registry.KindAgent
	s.series = s.series[:0]
	var writer *writers.Writer
	if agents {
		s.series = in.series.Find(rows, s.series)
	} else {
		writer = in.writers.Of(j.id.Token)
	}
	defer func() { clear(s.good); clear(s.series) }()
	earliest := j.received.Add(-in.limits.MaxAge).UnixNano()
	latest := j.received.Add(in.limits.MaxAhead).UnixNano()
	values := 0
	for i := range rows {
		row := &rows[i]
		var reason string
		var class refusal.Class
		row.Time, reason = j.time(row.Time, earliest, latest) // first: a row that is refused for it takes no series' place
		switch {
		case reason != "":
			class = refusal.Time
		case agents:
			reason, class = in.checkAgentRow(&j.id, &s.series[i], row)
		default:
			reason, class = in.writers.Check(writer, &j.id, row)
		}
		if reason != "" {
			j.reject(row.Line, reason, class)
			if class == refusal.Identity {
				j.foreign++
			}
			continue
		}
		if agents {
			s.series[len(s.good)] = s.series[i]
		}
		s.good = append(s.good, *row)
		values += len(row.Fields)
	}
	if len(s.good) == 0 {
		return nil
	}
	err := in.append(ctx, s.good)
	var partial *store.PartialError
	if errors.As(err, &partial) {
		for _, r := range partial.Rejected {
			if r.Index < 0 || r.Index >= len(s.good) || s.good[r.Index].Fields == nil {
				continue
			}
			j.reject(s.good[r.Index].Line, r.Reason, refusal.Store)
			values -= len(s.good[r.Index].Fields)
			s.good[r.Index].Fields = nil // not for the judge
			j.stored--
		}
	} else if err != nil {
		return err
	}
	j.stored += len(s.good)
	in.metrics.values.Add(float64(values))
	if agents && in.o.Rollups != nil {
		// After the rows are stored and before anybody is told so: see package history.
		if s.hours = hoursOf(s.good, s.hours[:0]); len(s.hours) > 0 {
			if err := in.o.Rollups.Touch(ctx, j.id.Site, s.hours); err != nil {
				return err
			}
		}
	}
	if agents && in.o.Devices != nil {
		// Before the judge: what fails here comes again as a whole.
		if err := in.o.Devices.See(ctx, contract.Sightings(s.good, s.series)); err != nil {
			return err
		}
	}
	if agents && in.o.Judge != nil {
		s.reporter.Report(s.good, s.series, in.o.Judge)
	}
	return nil
}

// append stores rows, and leaves the worker to others for as long: a database far away takes its time, and writes the
// rows of many batches in the time of one. What waits is bounded in rows, because their fields are in no budget.
func (in *Ingest) append(ctx context.Context, rows []wire.Row) error {
	<-in.workers
	defer func() { in.workers <- struct{}{} }()
	if err := in.appending.Acquire(ctx, int64(len(rows))); err != nil {
		return fmt.Errorf("wait for the batches before: %w", err)
	}
	defer in.appending.Release(int64(len(rows)))
	return in.o.Store.Append(ctx, rows)
}

// hoursOf appends a time in Unix milliseconds for each hour that rows are of. Rows come nearly in order, and span few.
func hoursOf(rows []wire.Row, hours []int64) []int64 {
	last := int64(math.MinInt64)
	for i := range rows {
		if rows[i].Fields == nil {
			continue // rejected by the store
		}
		if hour := rows[i].Time / int64(time.Hour) * int64(time.Hour/time.Millisecond); hour != last {
			if last = hour; !slices.Contains(hours, hour) {
				hours = append(hours, hour)
			}
		}
	}
	return hours
}

// time corrects a row's time by the clock's shift, cuts it to milliseconds and says what is wrong with it.
func (j *job) time(t, earliest, latest int64) (int64, string) {
	shifted := t + int64(j.shift)
	if (shifted > t) != (j.shift > 0) && j.shift != 0 { // past what 64 bits hold
		return 0, "timestamp out of range"
	}
	switch {
	case shifted > latest:
		return 0, fmt.Sprintf("timestamp %s is %s ahead of the collector's clock; set the sender's clock or check the precision",
			stamp(shifted), time.Duration(shifted-j.received.UnixNano()).Round(time.Second))
	case shifted < earliest:
		return 0, fmt.Sprintf("timestamp %s is too old; the store takes nothing from before %s (check the precision if it is not)",
			stamp(shifted), stamp(earliest))
	}
	return shifted - shifted%int64(time.Millisecond), ""
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

// checkAgentRow holds a row against the contract, the token and the site's number of series. A series that is not known
// yet is known from its first good row on.
func (in *Ingest) checkAgentRow(id *registry.Identity, known **contract.Series, row *wire.Row) (reason string, class refusal.Class) {
	if *known == nil {
		*known = in.series.Get(row.Key) // a row before it may just have made it known
	}
	s := *known
	if s == nil {
		if s, reason = in.rules.CheckKey(row.Key); reason != "" {
			return reason, refusal.Schema
		}
	}
	if s.Site != id.Site {
		return fmt.Sprintf("the %s is for site %s, the line for %s", id.Shown(), id.Site, s.Site), refusal.Identity
	}
	if id.Agent != "" && s.Agent != id.Agent {
		return fmt.Sprintf("the %s is for agent %s of site %s, the line for agent %s", id.Shown(), id.Agent, id.Site, s.Agent), refusal.Identity
	}
	fields, reason := s.CheckFields(row.Fields)
	if reason != "" {
		return reason, refusal.Schema
	}
	if reason = in.agents.admit(s, row.Key, fields); reason != "" {
		return reason, refusal.Series
	}
	if *known == nil {
		*known = s
		in.series.Add(s)
	}
	return "", 0
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, errors.New("empty") }
