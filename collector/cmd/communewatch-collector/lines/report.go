package lines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector"
	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/collector/web/report/sheets"
	"communewatch/inventory/sheet"
	"communewatch/probes"

	"github.com/spf13/cobra"
)

// reportFlags are the flags of the command report.
type reportFlags struct {
	period, from, to, hours, layer string
	lang, format, output           string
	query                          reports.Query
}

// NewReport returns the command report.
func NewReport(o Options) *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use: "report", Short: "Say what the lines were worth in a month, a quarter or a year",
		Long: `Say what the lines were worth over a period: how long they worked in the hours that count, what they lost and how long
packets took, held against what was agreed. docs/reports.md says what each figure means.`,
		Example: `  communewatch-collector report --period 2026-10
  communewatch-collector report --period 2026-Q3 --district "Sông Lô" --format xlsx --output quy-3.xlsx
  communewatch-collector report --from 2026-10-01 --to 2026-10-15 --layer broadband --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			if err := f.read(time.Now(), cfg.Location()); err != nil {
				return err
			}
			r, err := collector.LineReport(cmd.Context(), cfg, f.query)
			if err != nil {
				return err
			}
			var out bytes.Buffer
			if err := write(&out, r, f.format, sheets.Options{Lang: f.lang, Title: cfg.Title, Zone: cfg.Location()}); err != nil {
				return err
			}
			if f.output == "" {
				_, err := cmd.OutOrStdout().Write(out.Bytes())
				return err
			}
			if err := os.WriteFile(f.output, out.Bytes(), 0o644); err != nil {
				return fmt.Errorf("--output: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d lines in %s\n", len(r.Lines), f.output)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.period, "period", "", "month 2026-10, quarter 2026-Q3 or year 2026 (default: the month before this one)")
	flags.StringVar(&f.from, "from", "", "first `DAY`, such as 2026-10-01, in place of --period")
	flags.StringVar(&f.to, "to", "", "last `DAY`")
	flags.StringVar(&f.hours, "hours", string(reports.Office), "office, other or all")
	flags.StringVar(&f.query.District, "district", "", "lines of one district alone")
	flags.StringVar(&f.query.Provider, "provider", "", "lines of one provider alone")
	flags.StringVar(&f.query.Site, "site", "", "lines of one site alone (an `ID`)")
	flags.StringVar(&f.layer, "layer", "", "lan, broadband, dedicated or conference alone")
	flags.StringVar(&f.lang, "lang", "vi", "language: vi or en")
	flags.StringVar(&f.format, "format", "text", "text, csv, xlsx or json")
	flags.StringVar(&f.output, "output", "", "write into a `FILE`")
	return cmd
}

// read checks the flags and makes them a question.
func (f *reportFlags) read(now time.Time, zone *time.Location) (err error) {
	switch {
	case f.period != "" && (f.from != "" || f.to != ""):
		return errors.New("give either --period, or --from and --to")
	case f.period != "":
		f.query.Period, err = period.Parse(f.period, zone)
	case f.from != "" || f.to != "":
		f.query.Period, err = period.Days(f.from, f.to, zone)
	default:
		f.query.Period = period.Beside(period.Month(now, zone), -1)
	}
	if err != nil {
		return err
	}
	switch f.query.Hours = reports.Hours(f.hours); f.query.Hours {
	case reports.Office, reports.Other, reports.All:
	default:
		return fmt.Errorf("--hours: %q is not office, other or all", f.hours)
	}
	if f.query.Layer = probes.Layer(f.layer); f.layer != "" && !f.query.Layer.Valid() {
		return fmt.Errorf("--layer: %q is not lan, broadband, dedicated or conference", f.layer)
	}
	if f.lang != "vi" && f.lang != "en" {
		return fmt.Errorf("--lang: %q is neither vi nor en", f.lang)
	}
	switch f.format {
	case "text", "csv", "json":
	case "xlsx":
		if f.output == "" {
			return errors.New("a workbook is no text: name a file with --output FILE")
		}
	default:
		return fmt.Errorf("--format: %q is not text, csv, xlsx or json", f.format)
	}
	return nil
}

// write writes a report in one of the formats.
func write(w io.Writer, r *reports.Report, format string, o sheets.Options) error {
	switch format {
	case "csv":
		return sheets.Lines(r, o).WriteCSV(w, ',')
	case "xlsx":
		return sheet.WriteXLSX(w, sheets.Sheets(r, o)...)
	case "json":
		return printJSON(w, r)
	}
	for i, s := range sheets.Sheets(r, o) {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := writeText(w, s, o.Zone); err != nil {
			return err
		}
	}
	return nil
}

// writeText prints a table for a terminal.
func writeText(w io.Writer, s *sheet.Sheet, zone *time.Location) error {
	fmt.Fprintln(w, s.Title)
	if s.Note != "" {
		fmt.Fprintln(w, s.Note)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	cells := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		cells[i] = c.Heading
	}
	fmt.Fprintln(tw, strings.Join(cells, "\t"))
	for _, row := range s.Rows {
		for i, c := range s.Columns {
			cells[i] = "-"
			if i < len(row) && row[i] != nil {
				cells[i] = cellText(row[i], c.Kind, zone)
			}
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

func cellText(v any, kind sheet.Kind, zone *time.Location) string {
	switch v := v.(type) {
	case float64:
		if kind == sheet.Ratio {
			return strconv.FormatFloat(v*100, 'f', 3, 64) + " %"
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		return v.In(zone).Format("02/01/2006 15:04")
	}
	return fmt.Sprint(v)
}
