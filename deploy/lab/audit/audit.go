// Package audit compares what the lab's agents have taken with what the collector's store holds: nothing may be lost,
// nothing counted twice. A result that the store does not hold yet, but the spool of its agent does, is waiting: the
// agent is stopped, cut off, or about to send it.
//
// The truth is the ledger, which each agent's process writes right after its spool has taken a result. A kill between
// the two leaves a result that is stored and not in the ledger; it is reported as unlisted, and it is no fault. A
// stored run that repeats a listed one under another time (its length in seconds, to the bit) is doubled.
package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/deploy/lab"
	"communewatch/probes"
)

// Report is what an audit found.
type Report struct {
	Sites    int
	Taken    int // results in the ledgers
	Stored   int // of those, found in the store
	Lost     int // of those, found nowhere
	Waiting  int // of those, found in the spool of their agent
	Doubled  int
	Unlisted int
	Missing  uint64   // batches that the collector's accounts miss
	Examples []string // of what is lost or doubled, a few
}

// OK reports whether nothing was lost and nothing doubled.
func (r *Report) OK() bool { return r.Lost == 0 && r.Doubled == 0 }

// String is the report in lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "audit: %d agents took %d results; the store holds %d of them\n", r.Sites, r.Taken, r.Stored)
	fmt.Fprintf(&b, "lost %d, doubled %d, waiting %d (in the spools of agents that are stopped or cut off)\n", r.Lost, r.Doubled, r.Waiting)
	fmt.Fprintf(&b, "unlisted %d (taken at the moment of a kill), batches missing in the accounts %d", r.Unlisted, r.Missing)
	for _, e := range r.Examples {
		b.WriteString("\n  " + e)
	}
	return b.String()
}

// maxExamples keeps a report readable.
const maxExamples = 10

// entry is one listed result of a series.
type entry struct {
	boot  string
	clock int
	at    int64 // Unix milliseconds by the agent's clock
}

// ledger is one agent's results by series, as lab.SeriesName writes them.
type ledger map[string][]entry

// again is how long to wait between two looks at a lab whose results are on their way, and start while its collector
// starts or stops.
const (
	again = 5 * time.Second
	start = time.Second
)

// Run audits the lab in dir. What is listed when it begins has wait to arrive; a running lab goes on meanwhile.
func Run(ctx context.Context, dir string, wait time.Duration, log *slog.Logger) (Report, error) {
	ledgers, err := readLedgers(filepath.Join(dir, "ledger"))
	if err != nil {
		return Report{}, err
	}
	if len(ledgers) == 0 {
		return Report{}, fmt.Errorf("%s holds no ledgers; name the folder of a lab with --data", dir)
	}
	deadline := time.Now().Add(wait)
	for {
		r, err := compare(ctx, dir, ledgers, log)
		starting := isBetween(err)
		if err == nil && r.OK() && r.Waiting == 0 || err != nil && !starting {
			return r, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return r, err
		}
		pause := min(again, left)
		if starting {
			pause = min(start, left)
			log.Info("the collector or its database is starting or stopping")
		} else {
			log.Info("results are still on their way", "missing", r.Lost, "in spools", r.Waiting, "until", deadline.Format(time.TimeOnly))
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// isBetween reports that no copy of the stores was to be had because the collector had opened them and did not listen
// for orders yet, or ended while it made the copy; or that the database does not answer at the moment.
func isBetween(err error) bool {
	return errors.Is(err, errAway) || errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
}

func readLedgers(dir string) (map[string]ledger, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	out := map[string]ledger{}
	for _, f := range files {
		if site, ok := strings.CutSuffix(f.Name(), lab.BrokenLedger); ok {
			return nil, fmt.Errorf("the ledger of %s could not be written (%s): it does not list all that was taken, so nothing can be audited; begin with a new folder", site, filepath.Join(dir, f.Name()))
		}
		l, err := readLedger(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		out[f.Name()] = l
	}
	return out, nil
}

func readLedger(file string) (ledger, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	l := ledger{}
	// A line without its end was torn by a kill; the results in it count as unlisted.
	whole := data[:strings.LastIndexByte(string(data), '\n')+1]
	sc := bufio.NewScanner(strings.NewReader(string(whole)))
	for n := 1; sc.Scan(); n++ {
		w := strings.Fields(sc.Text())
		if len(w) != 4 {
			return nil, fmt.Errorf("%s:%d: not a line of a ledger", file, n)
		}
		clock, err1 := strconv.Atoi(w[1])
		at, err2 := strconv.ParseInt(w[2], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%s:%d: not a line of a ledger", file, n)
		}
		l[w[3]] = append(l[w[3]], entry{w[0], clock, at})
	}
	return l, sc.Err()
}

// compare looks every listed result up in the collector's stores, and what is not there in the spools. The spools are
// read first; see readSpool.
func compare(ctx context.Context, dir string, ledgers map[string]ledger, log *slog.Logger) (r Report, err error) {
	spools := map[string]spooled{}
	for site := range ledgers {
		if spools[site], err = readSpool(dir, site); err != nil {
			return r, err
		}
	}
	reg, st, release, err := open(ctx, dir)
	if err != nil {
		return r, err
	}
	defer release()
	accounts, err := reg.Accounts(ctx, "")
	if err != nil {
		return r, err
	}
	for _, a := range accounts {
		r.Missing += a.Missing
	}
	past, err := lab.ReadPast(dir)
	if err != nil {
		return r, err
	}
	since := time.UnixMilli(0)
	if !past.To.IsZero() {
		since = past.To
	}
	for site, l := range ledgers {
		r.Sites++
		if err := r.auditSite(ctx, site, l, spools[site], source{st, since}, reg); err != nil {
			if st.Condition().Away {
				err = fmt.Errorf("%w: %w", errAway, err)
			}
			return r, fmt.Errorf("site %s: %w", site, err)
		}
	}
	return r, nil
}

// stored is what the store holds of one series: how often each time occurs, and the length of the runs.
type stored struct {
	times map[int64]int
	took  map[int64]float64 // measurement check only
}

func (r *Report) auditSite(ctx context.Context, site string, l ledger, waiting spooled, st source, reg *registry.Registry) error {
	held, err := readStored(ctx, site, st)
	if err != nil {
		return err
	}
	for series, entries := range l {
		s := held[series]
		if s == nil {
			s = &stored{}
		}
		listed := map[int64]bool{}
		lengths := map[float64]bool{}
		var last int64
		for _, e := range entries {
			at, err := storedTime(ctx, reg, site, series, e)
			if err != nil {
				return err
			}
			r.Taken++
			listed[at] = true
			last = max(last, at)
			if s.times[at] == 0 && waiting[result{series, e}] {
				r.Waiting++
				continue
			}
			if s.times[at] == 0 {
				r.Lost++
				r.example("lost: %s at %d (boot %s clock %d)", series, at, e.boot, e.clock)
				continue
			}
			r.Stored++
			if took := s.took[at]; took > 0 {
				lengths[took] = true
			}
		}
		for at, n := range s.times {
			switch {
			case n > 1:
				r.Doubled += n - 1
				r.example("doubled: %s at %d is stored %d times", series, at, n)
			case listed[at] || at > last: // later ones were taken after the ledger was read
			case s.took[at] > 0 && lengths[s.took[at]]:
				r.Doubled++
				r.example("doubled: %s at %d repeats a listed run", series, at)
			default:
				r.Unlisted++
			}
		}
	}
	return nil
}

func (r *Report) example(format string, args ...any) {
	if len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
	}
}

// storedTime is the time under which a listed result is stored: the collector corrects clocks that are far off.
func storedTime(ctx context.Context, reg *registry.Registry, site, series string, e entry) (int64, error) {
	_, after, _ := strings.Cut(series, ",agent=")
	agent, _, _ := strings.Cut(after, ",")
	shift, _, err := reg.ClockShift(ctx, registry.ClockID{Site: site, Agent: agent, Boot: e.boot, Clock: e.clock})
	if err != nil {
		return 0, err
	}
	return e.at + shift.Milliseconds(), nil
}

// source is a store of a lab. Of what is older than since nobody has a ledger: it is made up.
type source struct {
	store.Store
	since time.Time
}

// readStored reads all series of a site. A row counts as often as the field that occurs most.
func readStored(ctx context.Context, site string, st source) (map[string]*stored, error) {
	held := map[string]*stored{}
	for _, m := range probes.Schema() {
		q := store.Query{
			Measurement: m.Name, Tags: map[string]string{"site": site},
			From: st.since, To: time.Now().Add(24 * time.Hour),
		}
		err := st.Select(ctx, q, func(s store.Series) error {
			name := lab.SeriesName(s.Measurement, s.Tags)
			h := held[name]
			if h == nil {
				h = &stored{times: map[int64]int{}, took: map[int64]float64{}}
				held[name] = h
			}
			count := map[int64]int{}
			for i, t := range s.Times {
				count[t]++
				if s.Measurement == "check" && s.Field == "took_seconds" {
					h.took[t] = s.Values[i]
				}
			}
			for t, n := range count {
				h.times[t] = max(h.times[t], n)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return held, nil
}
