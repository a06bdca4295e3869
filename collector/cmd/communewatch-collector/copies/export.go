package copies

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"communewatch/collector"
	"communewatch/collector/export"
	"communewatch/collector/rollup"
	"communewatch/collector/transfer"

	"github.com/spf13/cobra"
)

// Export returns the command export. config reads the settings.
func Export(config func() (collector.Config, error)) *cobra.Command {
	var r export.Request
	var format, resolution, from, to string
	cmd := &cobra.Command{
		Use: "export --format FORMAT --from TIME", Short: "Write what is measured into files, while the collector runs or not",
		Example: `  communewatch-collector export --format csv --from 2026-10-01 --to 2026-11-01 --output october
  communewatch-collector export --format parquet --from 2026-01-01 --resolution 1h --output year --site s08707
  communewatch-collector export --format lp --from 2026-11-26T08:00 | zstd > morning.lp.zst`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config()
			if err != nil {
				return err
			}
			r.Format = export.Format(format)
			if r.Level, err = rollup.ParseLevel(resolution); err != nil {
				return fmt.Errorf("--resolution: %w", err)
			}
			zone, now := cfg.Location(), time.Now()
			if r.Range.From, err = parseTime(from, zone); err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			r.Range.To = now
			if to != "" {
				if r.Range.To, err = parseTime(to, zone); err != nil {
					return fmt.Errorf("--to: %w", err)
				}
			}
			if to == "" && r.Range.From.After(now) {
				return fmt.Errorf("--from: %s is in the future, and nothing was measured there yet", from)
			}
			// The same asked for twice is not written twice.
			for _, list := range []*[]string{&r.Range.Sites, &r.Range.Measurements} {
				slices.Sort(*list)
				*list = slices.Compact(*list)
			}
			r.Stdout = cmd.OutOrStdout()
			r.Progress = sayExport(cmd.ErrOrStderr())
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			result, err := transfer.Export(cmd.Context(), cfg, r, nil, log)
			if err != nil {
				return fmt.Errorf("the export is not complete: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "export complete: %d rows", result.Rows)
			if n := len(result.Files); n > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), " in %d files", n)
			}
			fmt.Fprintln(cmd.ErrOrStderr())
			for _, site := range result.NothingOf {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: there is nothing of site %q in that time; is that its id?\n", site)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "", "lp (line protocol), csv or parquet")
	f.StringVar(&from, "from", "", "first `time`, such as 2026-10-01, 01/10/2026 or 2026-10-01T08:00, in the zone of the settings")
	f.StringVar(&to, "to", "", "first `time` that is not exported any more (default: now)")
	f.StringArrayVar(&r.Range.Sites, "site", nil, "only this site's `id`; may be given several times")
	f.StringArrayVar(&r.Range.Measurements, "measurement", nil, "only the measurement of this `name`; may be given several times")
	f.StringVar(&resolution, "resolution", "raw", "raw, 5m, 1h, 1d or 1mo")
	f.StringVar(&r.Output, "output", export.Stdout, "`file`, or a new folder for csv and parquet; - is standard output")
	return cmd
}

// parseTime reads a day or a time.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02", "02/01/2006", "2006-01-02T15:04", "2006-01-02 15:04", "02/01/2006 15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not a time; write 2026-10-01, 01/10/2026, 2026-10-01T08:00 or 2026-10-01T08:00:00+07:00", s)
}

// sayExport tells now and then how far an export is.
func sayExport(w io.Writer) func(export.Progress) {
	said := time.Now()
	return func(p export.Progress) {
		if now := time.Now(); now.Sub(said) >= sayEvery {
			said = now
			what := p.Measurement
			if what == "" {
				what = "all"
			}
			fmt.Fprintf(w, "export %s: %.1f %%, %d rows\n", what, 100*p.Share, p.Rows)
		}
	}
}
