// Package influxdb is the command line's part of an InfluxDB that the collector stores in: it makes what is needed
// there, and looks whether all is well.
package influxdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"

	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/transfer"

	"github.com/spf13/cobra"
)

// New returns the command influx with all that are below it. file returns the settings file's name, once flags are
// parsed.
func New(file func() string) *cobra.Command {
	return program.Group("influx", "The InfluxDB that results are kept in: make what is needed there, look whether all is well", newSetup(file), newCheck(file))
}

// options are those that the settings hold. The database may be made ready before the collector is told to use it.
func options(file string) (setup.Options, error) {
	cfg, err := collector.ReadConfigForSetup(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; name the settings file with --config FILE", err)
	}
	if err != nil {
		return setup.Options{}, err
	}
	if cfg.Store != collector.StoreInflux {
		var wrong []error
		cfg.Influx.Validate(func(at, format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("%s: influx.%s: %s", file, at, fmt.Sprintf(format, args...)))
		})
		if err := errors.Join(wrong...); err != nil {
			return setup.Options{}, err
		}
	}
	return transfer.SetupOptions(cfg), nil
}

func newSetup(file func() string) *cobra.Command {
	var adminFile, passwordFile, user string
	var alter, dryRun, asJSON bool
	cmd := &cobra.Command{
		Use: "setup", Short: "Make databases with their retention, and a user or token for the collector",
		Long: "Makes what the settings under influx, retention and rollups ask for, whatever generation answers: databases (2.x:\n" +
			"buckets and the mappings that InfluxQL needs), each with its retention, and a token or user that may read and write\n" +
			"these and nothing else, kept in influx.token_file. 3 Core has no such tokens: there it makes one that may do\n" +
			"everything, but can be revoked alone.\n\n" +
			"What is there already is left as it is, so it may be run again at any time; what differs is told, and changed with\n" +
			"--alter. A shorter retention deletes results: see what would be lost without --alter first. Run it as the collector's\n" +
			"user, so that the collector can read the token file.",
		Example: `  communewatch-collector influx setup --dry-run
  communewatch-collector influx setup --admin-token-file admin-token                 # 2.x, 3.x
  communewatch-collector influx setup --admin-token-file admin-login --user collector  # 1.8 with users: admin-login holds user:password`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := options(file())
			if err != nil {
				return err
			}
			o.User, o.Alter, o.DryRun = user, alter, dryRun
			for flag, read := range map[string]struct {
				file string
				into *string
			}{"--admin-token-file": {adminFile, &o.Admin}, "--password-file": {passwordFile, &o.Password}} {
				if read.file == "" {
					continue
				}
				if *read.into, err = setup.ReadSecret(read.file); err != nil {
					return fmt.Errorf("%s: %w", flag, err)
				}
			}
			if passwordFile != "" && user == "" {
				return errors.New("--password-file goes with --user")
			}
			return setUp(cmd.Context(), cmd.OutOrStdout(), o, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&adminFile, "admin-token-file", "", "`file` with a token (2.x, 3.x) or user:password (1.8) that may make databases; without it what is in influx.token_file")
	f.StringVar(&user, "user", "", "1.8: make this user for the collector, its `name` and password kept in influx.token_file")
	f.StringVar(&passwordFile, "password-file", "", "`file` with the user's password; without it one is made up")
	f.BoolVar(&alter, "alter", false, "change what is there and differs; a shorter retention deletes results")
	f.BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func setUp(ctx context.Context, w io.Writer, o setup.Options, asJSON bool) error {
	report, err := setup.Setup(ctx, o)
	if asJSON {
		err = errors.Join(err, program.PrintJSON(w, report))
	} else if len(report.Steps) > 0 {
		fmt.Fprintln(w, report.Server)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, s := range report.Steps {
			fmt.Fprintf(tw, "%s\t%s %s\t%s\n", s.State, s.Part, s.Name, s.Is)
			if s.Fix != "" {
				fmt.Fprintf(tw, "\t\t  %s\n", s.Fix)
			}
		}
		_ = tw.Flush()
	}
	switch {
	case err != nil:
		return err
	case report.Differs():
		return errors.New("something differs and was left as it is; see above")
	case !asJSON && !o.DryRun && !report.Changed():
		fmt.Fprintln(w, "nothing had to be made or changed")
	}
	return nil
}

func newCheck(file func() string) *cobra.Command {
	var asJSON bool
	maxSeries := 500_000
	cmd := &cobra.Command{
		Use: "check", Short: "Look whether the InfluxDB is reachable, complete, and written to by nobody else",
		Long: "Looks at the server, its clock, the token (may it read and write?), each database and its retention, and for\n" +
			"traces of others that write into them: measurements, tags and types that can't have come through the collector,\n" +
			"rows without a site, more series than a province has. It changes nothing and leaves nothing behind. The exit code\n" +
			"is 1 when something must be put right.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := options(file())
			if err != nil {
				return err
			}
			o.MaxSeries = maxSeries
			return look(cmd.Context(), cmd.OutOrStdout(), o, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().IntVar(&maxSeries, "max-series", maxSeries, "series of one database above which somebody else must be writing to it")
	return cmd
}

func look(ctx context.Context, w io.Writer, o setup.Options, asJSON bool) error {
	v := setup.Check(ctx, o)
	if asJSON {
		if err := program.PrintJSON(w, struct {
			OK bool `json:"ok"`
			setup.Verdict
		}{!v.Wrong(), v}); err != nil {
			return err
		}
	} else {
		for _, f := range v.Findings {
			fmt.Fprintf(w, "%-5s  %s\n", f.Severity, strings.TrimSpace(f.Part+" "+f.Name)+": "+f.What)
			if f.Fix != "" {
				fmt.Fprintf(w, "       -> %s\n", f.Fix)
			}
		}
	}
	if v.Wrong() {
		return errors.New("something must be put right; see above")
	}
	return nil
}
