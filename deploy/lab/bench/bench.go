// Package bench measures what the product claims, with the real programs as processes of their own, beside a peer in
// the same run where there is one, and writes the figures down with the machine that they were measured on.
//
// Absolute figures of a shared machine mean little; compare within a run.
package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"communewatch/deploy/lab/bench/calls"
	"communewatch/deploy/lab/bench/station"
	"communewatch/deploy/lab/bench/stores"
)

// Options of a run.
type Options struct {
	Bin    string // folder of the built programs
	Out    io.Writer
	Only   []string // sections to run; empty: all
	Report string   // file to write; "" for none
	Small  bool     // sections about stores with small numbers, to try them
}

// table is one section's result.
type table struct {
	title   string
	about   string // how it was measured
	columns []string
	rows    [][]string
}

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch v := c.(type) {
		case float64:
			row[i] = number(v)
		default:
			row[i] = fmt.Sprint(v)
		}
	}
	t.rows = append(t.rows, row)
}

// number writes three significant digits, and large numbers with their magnitude.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", t.title, t.about)
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.columns, " | "), strings.Repeat("---|", len(t.columns)))
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
	}
	return b.String()
}

func mib(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }

// section is one part of a run.
type section struct {
	name string
	run  func(context.Context, *env) (*table, error)
}

// prepareStation makes the files of a collector with n sites, in a folder of the run.
func prepareStation(ctx context.Context, e *env, name string, n int) (*station.Station, error) {
	return station.Prepare(ctx, filepath.Join(e.dir, name), n, "")
}

// startStation prepares a collector and starts it.
func startStation(ctx context.Context, e *env, name string, n int) (*station.Station, error) {
	s, err := prepareStation(ctx, e, name, n)
	if err != nil {
		return nil, err
	}
	return s, s.Start(ctx, e.bin)
}

// env is what sections share.
type env struct {
	bin string
	dir string // of this run, removed after it
	log *slog.Logger

	stores *stores.Bench
}

func sections() []section {
	return []section{
		{"ingest", benchIngest},
		{"scale", benchScale},
		{"query", benchQuery},
		{"agent", benchAgent},
		{"spool", benchSpool},
		{"rtt", benchRTT},
		{"snmp", benchSNMP},
		{"polls", benchPolls},
		{"judge", benchJudge},
		{"influx", func(ctx context.Context, e *env) (*table, error) { return fromStores(e.stores.Influx(ctx)) }},
		{"stores", func(ctx context.Context, e *env) (*table, error) { return fromStores(e.stores.Stores(ctx)) }},
		{"reports", func(ctx context.Context, e *env) (*table, error) { return fromStores(e.stores.Reports(ctx)) }},
		{"calls", func(ctx context.Context, e *env) (*table, error) {
			about, columns, rows, err := calls.Measure(ctx, e.bin, e.dir)
			return &table{title: "Conference calls", about: about, columns: columns, rows: rows}, err
		}},
	}
}

func fromStores(t stores.Table, err error) (*table, error) {
	return &table{title: t.Title, about: t.About, columns: t.Columns, rows: t.Rows}, err
}

// Run runs the sections and prints their tables.
func Run(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "communewatch-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e := &env{bin: o.Bin, dir: dir, log: slog.New(slog.DiscardHandler), stores: stores.New(o.Bin, dir, o.Out, o.Small)}
	defer e.stores.Close()
	text := fmt.Sprintf("# Benchmarks\n\nThe last results of `make bench`. Compare within a run: %s\n", machine())
	fmt.Fprintln(o.Out, machine())
	begin := time.Now()
	for _, s := range sections() {
		if len(o.Only) > 0 && !contains(o.Only, s.name) {
			continue
		}
		fmt.Fprintf(o.Out, "\n-- %s\n", s.name)
		t, err := s.run(ctx, e)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		md := t.markdown()
		fmt.Fprint(o.Out, md)
		text += "\n" + md
	}
	fmt.Fprintf(o.Out, "\nall in %v\n", time.Since(begin).Round(time.Second))
	if o.Report == "" || len(o.Only) > 0 || o.Small {
		return nil
	}
	return os.WriteFile(o.Report, []byte(text), 0o644)
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// machine describes what the figures were measured on.
func machine() string {
	model := "unknown processor"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	kernel := ""
	if out, err := exec.Command("uname", "-r").Output(); err == nil {
		kernel = strings.TrimSpace(string(out))
	}
	memory := ""
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kb int64
		if _, err := fmt.Sscanf(string(data), "MemTotal: %d kB", &kb); err == nil {
			memory = fmt.Sprintf(", %d GiB", (kb+1<<19)>>20)
		}
	}
	return fmt.Sprintf("%d cores of %s%s, Linux %s, %s, %s.", runtime.NumCPU(), model, memory, kernel, runtime.Version(),
		time.Now().Format("2006-01-02"))
}
