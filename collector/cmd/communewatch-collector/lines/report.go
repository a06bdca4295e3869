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
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/report/sheets"
	"communewatch/collector/web/report/wording"
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
func NewReport(o program.Access) *cobra.Command {
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
			if len(r.Unknown) > 0 {
				return fmt.Errorf("--%s: %w", r.Unknown[0].What, r.Unknown[0])
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
	flags.StringVar(&f.from, "from", "", "first `DAY`, such as 2026-10-01 or 01/10/2026, in place of --period")
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
	if err := period.Begun(f.query.Period, now); err != nil {
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

// notesShown is how many of a report's notes say of when and which hours it is; the others say what figures mean.
const notesShown = 5

// write writes a report in one of the formats.
func write(w io.Writer, r *reports.Report, format string, o sheets.Options) error {
	switch format {
	case "csv":
		return sheets.Lines(r, o).WriteCSV(w, ',')
	case "xlsx":
		return sheet.WriteXLSX(w, sheets.Sheets(r, o)...)
	case "json":
		return program.PrintJSON(w, r)
	}
	return writeText(w, r, o)
}

// writeText prints the summary, the providers and the lines, with the figures that fit a terminal.
func writeText(w io.Writer, r *reports.Report, o sheets.Options) error {
	say := wording.In(o.Lang)
	fmt.Fprintln(w, say.Title(r.Period))
	for _, n := range sheets.Notes(r, o)[:notesShown] {
		fmt.Fprintf(w, "%s: %s\n", n.Item, n.Text)
	}
	columns := func(first ...string) []string {
		for _, key := range []string{"availability", "known", "outages", "downtime_minutes", "loss", "rtt_p95"} {
			first = append(first, say.Say("report.col_"+key))
		}
		return first
	}
	cells := func(f *reports.Figures, first ...string) []string {
		return append(first, say.Availability(f.Availability), say.Share(f.OK+f.Degraded+f.Down, f.Period), strconv.FormatInt(f.Outages, 10),
			frame.Number(o.Lang, f.Down/60, 1), say.Ratio(f.Loss), say.Millis(wording.P95(f.RTT)))
	}
	table := func(rows [][]string) error {
		fmt.Fprintln(w)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range rows {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		return tw.Flush()
	}
	paths := [][]string{columns(say.Say("report.col_layer"), say.Say("report.col_lines"))}
	for i := range r.Paths {
		g := &r.Paths[i]
		paths = append(paths, cells(&g.Figures, say.Layer(g.Layer), strconv.Itoa(g.Lines)))
	}
	providers := [][]string{columns(say.Say("report.col_provider"), say.Say("report.col_layer"), say.Say("report.col_lines"))}
	for i := range r.Providers {
		g := &r.Providers[i]
		providers = append(providers, cells(&g.Figures, say.ProviderName(g.Name), say.Layer(g.Layer), strconv.Itoa(g.Lines)))
	}
	lines := [][]string{append(columns(say.Say("report.col_code"), say.Say("report.col_site"), say.Say("report.col_layer")), say.Say("report.col_agreed"))}
	for i := range r.Lines {
		l := &r.Lines[i]
		lines = append(lines, append(cells(&l.Figures, l.Site, l.Name, say.Layer(l.Layer)), say.OutcomeName(l.Against)))
	}
	return errors.Join(table(paths), table(providers), table(lines))
}
