// Package copies is the command line's part of what is copied out of a store: into another store, or into files.
package copies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"communewatch/collector"
	"communewatch/collector/migrate"
	"communewatch/collector/rollup"
	"communewatch/collector/transfer"

	"github.com/spf13/cobra"
)

// sayEvery is how often progress is told: often enough to see that it goes on, seldom enough for a log.
const sayEvery = 5 * time.Second

// Migrate returns the command migrate. config reads the settings.
func Migrate(config func() (collector.Config, error)) *cobra.Command {
	var o transfer.MigrateOptions
	cmd := &cobra.Command{
		Use: "migrate --from STORE --to STORE", Short: "Copy everything from one store into the other, and compare them",
		Long: "Copies rows and rollups of all levels from the embedded store into InfluxDB or back, reads the copy and compares it.\n" +
			"It may be stopped at any moment; the same command goes on where it ended. The collector must not run meanwhile.",
		Example: "  communewatch-collector migrate --from embedded --to influx\n  communewatch-collector migrate --from embedded --to influx --verify",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config()
			if err != nil {
				return err
			}
			errs := cmd.ErrOrStderr()
			// An embedded store that takes months in minutes warns of every compaction that it puts off for more.
			o.Log = slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelError}))
			o.Progress = sayProgress(errs)
			o.Warn = func(text string) { fmt.Fprintln(errs, "warning:", text) }
			begin := time.Now()
			result, err := transfer.Migrate(cmd.Context(), cfg, o)
			if errors.Is(err, context.Canceled) {
				return fmt.Errorf("stopped; the same command goes on where this one ended: %w", err)
			}
			sayResult(cmd.OutOrStdout(), &result, &o, time.Since(begin))
			switch {
			case errors.Is(err, migrate.ErrDiffer) && !o.Verify:
				return fmt.Errorf("%w, so the migration is not finished; run it again, or look at the target's log", err)
			case err != nil:
				return err
			case !o.Verify:
				fmt.Fprintf(cmd.OutOrStdout(), "now set store: %s in the settings and start the collector; the old store stays as it is until you remove it\n", o.To)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "", "`store` to copy: embedded or influx")
	f.StringVar(&o.To, "to", "", "`store` to copy into: embedded or influx")
	f.BoolVar(&o.Verify, "verify", false, "compare the two, and copy nothing")
	f.BoolVar(&o.IntoExisting, "into-existing", false, "copy into a store that holds something already")
	f.BoolVar(&o.DropOld, "drop-old", false, "leave behind what the target does not keep")
	return cmd
}

// levelName is what is copied, for people.
func levelName(l rollup.Level) string {
	if l == rollup.Raw {
		return "rows"
	}
	return l.String() + " windows"
}

// sayProgress tells how far a migration is: when something begins, now and then, and when it is through.
func sayProgress(w io.Writer) func(migrate.Progress) {
	var said time.Time
	var last migrate.Progress
	return func(p migrate.Progress) {
		begins := p.Level != last.Level || p.Comparing != last.Comparing || p.Side != last.Side
		ends := p.Share >= 1 && (begins || last.Share < 1)
		last = p
		if now := time.Now(); begins || ends || now.Sub(said) >= sayEvery {
			said = now
			doing, of := "copy", ""
			if p.Comparing {
				doing, of = "compare", " of "+p.Side
			}
			text := fmt.Sprintf("%s %s%s: %.1f %%, %d, %.0f/s", doing, levelName(p.Level), of, 100*p.Share, p.Rows, p.PerSecond)
			if p.Left > 0 && !begins {
				text += ", about " + p.Left.Round(time.Second).String() + " left"
			}
			fmt.Fprintln(w, text)
		}
	}
}

// maxDifferences is how many are printed: more say no more.
const maxDifferences = 50

func sayResult(w io.Writer, r *migrate.Result, o *transfer.MigrateOptions, took time.Duration) {
	if r.Copied > 0 {
		done := "copied and compared"
		if o.Verify {
			done = "compared"
		}
		fmt.Fprintf(w, "%d rows and windows %s in %v\n", r.Copied, done, took.Round(time.Second))
	}
	if r.Old > 0 {
		fmt.Fprintf(w, "%d are older than the target keeps\n", r.Old)
	}
	if r.Kept > 0 {
		fmt.Fprintf(w, "%d windows of the target rest on more rows than the source's, and stay\n", r.Kept)
	}
	if r.Expired > 0 {
		fmt.Fprintf(w, "%d became too old under way\n", r.Expired)
	}
	if r.Refused > 0 {
		fmt.Fprintf(w, "%d were refused by the target:\n", r.Refused)
		for _, reason := range r.Reasons {
			fmt.Fprintln(w, "  "+reason)
		}
	}
	for i := range r.Differences {
		if i == maxDifferences {
			fmt.Fprintf(w, "... and %d more differences\n", len(r.Differences)-i)
			break
		}
		fmt.Fprintln(w, "differs:", r.Differences[i].String())
	}
}
