package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"communewatch/probes"
)

// ledger writes down what an agent has taken: one line per point, by one write each, so that a kill tears at most
// the last line. A line is the boot and the clock that stamped the point, the time in Unix milliseconds, and the
// series.
type ledger struct {
	mu sync.Mutex // guards the fields below
	f  *os.File
	// err is the first failure. A ledger with a hole is worth nothing, so it is set aside under a name that the audit
	// refuses: on a full disk a file can't grow, but it can be renamed.
	err    error
	failed func() // called once, at the first failure
}

// BrokenLedger ends the name of a ledger that does not list all that its agent has taken.
const BrokenLedger = ".broken"

func openLedger(file string, failed func()) (*ledger, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &ledger{f: f, failed: failed}, nil
}

// taken is an agent's OnTaken.
func (l *ledger) taken(boot string, clock int, points []probes.Point) {
	var b strings.Builder
	for i := range points {
		fmt.Fprintf(&b, "%s %d %d %s\n", boot, clock, points[i].Time.UnixMilli(), SeriesName(points[i].Measurement, points[i].Tags))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	if _, err := l.f.WriteString(b.String()); err != nil {
		l.err = errors.Join(fmt.Errorf("ledger: %w", err), os.Rename(l.f.Name(), l.f.Name()+BrokenLedger))
		l.failed()
	}
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.f.Close(); l.err == nil {
		l.err = err
	}
	return l.err
}

// SeriesName writes a series on one line. Names hold no spaces, commas or equals signs, so nothing is escaped.
func SeriesName(measurement string, tags probes.Tags) string {
	var b strings.Builder
	b.WriteString(measurement)
	for _, t := range tags {
		b.WriteByte(',')
		b.WriteString(t.Key)
		b.WriteByte('=')
		b.WriteString(t.Value)
	}
	return b.String()
}
