// Package export writes what a store holds into files that other programs read: line protocol, CSV and Parquet. It
// streams: a portion is read, written and forgotten (see store/portion), in order of time within each file.
//
// Numbers get their types back on the way out. A store keeps every number as a float; the contract knows which were
// integers and truth values. What is not in the contract stays a float or a text.
//
// An export that was cut off can't be taken for a whole one. Files get their names when they are complete, line protocol
// ends with a comment that counts its lines, and the command's exit code tells the rest.
package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/portion"
	"communewatch/probes"
)

// Format is a kind of file.
type Format string

// The formats.
const (
	LP      Format = "lp"      // line protocol, all measurements in one stream
	CSV     Format = "csv"     // RFC 4180, a file for each measurement
	Parquet Format = "parquet" // a file for each measurement
)

// Stdout is the output that is no file.
const Stdout = "-"

// Request says what to export.
type Request struct {
	Format Format
	Level  rollup.Level // rollup.Raw: rows; else windows of that level
	Range  portion.Range
	Output string // Stdout, a file for line protocol, or for single measurements; else a folder, new or empty

	Stdout   io.Writer
	Progress func(Progress) // called for each portion; nil: nobody watches
}

// Progress is how far an export is.
type Progress struct {
	Measurement string  // what is being written; empty for all of them
	Share       float64 // of it, 0..1, by time
	Rows        int64   // so far, of all
}

// Result is what was written.
type Result struct {
	Rows      int64
	Files     []string // none when it went to Stdout
	NothingOf []string // of the sites that were asked for, those that nothing is of
}

// Validate says what is wrong with a request.
func (r *Request) Validate() error {
	switch {
	case !slices.Contains([]Format{LP, CSV, Parquet}, r.Format):
		return fmt.Errorf("--format: %.40q is none of lp, csv and parquet", r.Format)
	case !r.Range.From.Before(r.Range.To):
		return errors.New("--from: must be before --to")
	case r.Output == "":
		return errors.New("--output: name a file or a folder, or - for standard output")
	case r.Format == Parquet && r.Output == Stdout:
		return errors.New("--output: Parquet is not written to standard output; name a folder")
	case r.Format == CSV && r.Output == Stdout && len(r.Range.Measurements) != 1:
		return errors.New("--output: standard output takes the CSV of one measurement; name it with --measurement, or name a folder")
	}
	return nil
}

// Write exports. What it wrote before an error is not left behind under its final name.
func Write(ctx context.Context, src portion.Source, r Request) (Result, error) {
	if err := r.Validate(); err != nil {
		return Result{}, err
	}
	known, err := src.Measurements(ctx)
	if err != nil {
		return Result{}, err
	}
	if r.Level == rollup.Raw { // there are windows of what no rows are left of
		for _, m := range r.Range.Measurements {
			if !slices.Contains(known, m) {
				return Result{}, fmt.Errorf("--measurement: there is no %.80q; there are %s", m, strings.Join(known, ", "))
			}
		}
	}
	e := &exporter{src: src, r: r}
	if len(r.Range.Sites) > 0 {
		e.sites = map[string]bool{}
	}
	if r.Format == LP {
		err = e.lines(ctx)
	} else {
		err = e.tables(ctx, known)
	}
	for _, site := range r.Range.Sites {
		if !e.sites[site] {
			e.result.NothingOf = append(e.result.NothingOf, site)
		}
	}
	return e.result, err
}

// exporter is an export under way.
type exporter struct {
	src    portion.Source
	r      Request
	result Result
	sites  map[string]bool // that were found; nil where none are asked for
}

// each calls add for all rows or windows of a range, as entries.
func (e *exporter) each(ctx context.Context, r portion.Range, name string, add func(*entry) error) error {
	done := func(to time.Time) error {
		if e.r.Progress != nil {
			e.r.Progress(Progress{name, float64(to.Sub(r.From)) / float64(r.To.Sub(r.From)), e.result.Rows})
		}
		return nil
	}
	if e.r.Level == rollup.Raw {
		return portion.Rows(ctx, e.src, r, func(_ string, rows []portion.Row) error {
			for i := range rows {
				if err := e.count(&entry{row: &rows[i]}, add); err != nil {
					return err
				}
			}
			return nil
		}, done)
	}
	return portion.Windows(ctx, e.src, e.r.Level, r, func(rows []rollup.Row) error {
		for i := range rows {
			if err := e.count(&entry{window: &rows[i]}, add); err != nil {
				return err
			}
		}
		return nil
	}, done)
}

func (e *exporter) count(en *entry, add func(*entry) error) error {
	e.result.Rows++
	if e.sites != nil {
		e.sites[en.tags().Get("site")] = true
	}
	return add(en)
}

// entry is a row or a window.
type entry struct {
	row    *portion.Row
	window *rollup.Row
}

func (e *entry) measurement() string {
	if e.row != nil {
		return e.row.Series.Measurement
	}
	return e.window.Measurement
}

func (e *entry) tags() probes.Tags {
	if e.row != nil {
		return e.row.Series.Tags
	}
	return e.window.Tags
}

// bufferBytes makes a system call worth its while.
const bufferBytes = 256 << 10

// lines writes line protocol.
func (e *exporter) lines(ctx context.Context) error {
	return e.file(e.r.Output, func(w *bufio.Writer) error {
		lines := newLineWriter()
		err := e.each(ctx, e.r.Range, "", func(en *entry) error {
			line, err := lines.of(en)
			if err == nil {
				_, err = w.Write(line)
			}
			return err
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s%d lines\n", Ending, e.result.Rows)
		return err
	})
}

// Ending begins the last line of a whole export as line protocol; a comment to those who read it in.
const Ending = "# communewatch export complete: "

// file makes a file that has its name only once write has returned nil.
func (e *exporter) file(name string, write func(*bufio.Writer) error) error {
	if name == Stdout {
		w := bufio.NewWriterSize(e.r.Stdout, bufferBytes)
		return errors.Join(write(w), w.Flush())
	}
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("--output: %s is there already; name a new file", name)
	}
	tmp := name + ".part"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, bufferBytes)
	if err = write(w); err == nil {
		err = errors.Join(w.Flush(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	e.result.Files = append(e.result.Files, name)
	return nil
}

// tables writes a file for each measurement, one after the other: so there is one file at a time to be held in memory.
func (e *exporter) tables(ctx context.Context, known []string) error {
	shapes, err := e.shapes(ctx, known)
	if err != nil {
		return err
	}
	single := len(e.r.Range.Measurements) == 1 && strings.HasSuffix(e.r.Output, "."+string(e.r.Format))
	if e.r.Output != Stdout && !single {
		if entries, err := os.ReadDir(e.r.Output); err == nil && len(entries) > 0 {
			return fmt.Errorf("--output: %s is not empty; name a new folder", e.r.Output)
		}
		if err := os.MkdirAll(e.r.Output, 0o750); err != nil {
			return err
		}
	}
	for _, s := range shapes {
		name := e.r.Output
		if e.r.Output != Stdout && !single {
			name = filepath.Join(e.r.Output, fileName(s.measurement)+"."+string(e.r.Format))
		}
		if err := e.file(name, func(w *bufio.Writer) error { return e.table(ctx, w, s) }); err != nil {
			return fmt.Errorf("%s: %w", s.measurement, err)
		}
	}
	return nil
}

// table writes one measurement.
func (e *exporter) table(ctx context.Context, w io.Writer, s *shape) error {
	var t tableWriter
	if e.r.Format == CSV {
		t = newCSV(w, s)
	} else {
		t = newParquet(w, s)
	}
	r := e.r.Range
	r.Measurements = []string{s.measurement}
	cells := make([]cell, len(s.columns))
	err := e.each(ctx, r, s.measurement, func(en *entry) error {
		clear(cells)
		if err := s.fill(cells, en); err != nil {
			return err
		}
		return t.write(cells)
	})
	return errors.Join(err, t.close())
}

// tableWriter writes the rows of one measurement.
type tableWriter interface {
	write(cells []cell) error
	close() error
}

// maxFileName leaves room for endings below what file systems take.
const maxFileName = 150

// fileName makes a file's name of a measurement's: what could mean something to a file system is written as %XX.
func fileName(measurement string) string {
	var b strings.Builder
	for i := range len(measurement) {
		c := measurement[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= maxFileName {
		return b.String()
	}
	return fmt.Sprintf("%s-%016x", b.String()[:maxFileName-17], hashOf(measurement))
}
