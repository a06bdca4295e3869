package lab

import (
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
	// err is the first failure; a ledger with a hole is worth nothing, so the audit refuses it.
	err error
}

func openLedger(file string) (*ledger, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &ledger{f: f}, nil
}

// taken is an agent's OnTaken.
func (l *ledger) taken(boot string, clock int, points []probes.Point) {
	var b strings.Builder
	for i := range points {
		fmt.Fprintf(&b, "%s %d %d %s\n", boot, clock, points[i].Time.UnixMilli(), SeriesName(points[i].Measurement, points[i].Tags))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.f.WriteString(b.String()); err != nil && l.err == nil {
		l.err = err
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
