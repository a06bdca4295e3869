// Package rollups is the command line's part of windows: having hours worked out anew, and saying how far the collector
// is. A collector that runs does it; where none does, this program opens the stores itself.
package rollups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/history"
	"communewatch/collector/history/desk"
	"communewatch/collector/registry"
	"communewatch/collector/reports/period"
	"communewatch/inventory"

	"github.com/spf13/cobra"
)

// New returns the command rollups with all that are below it.
func New(o program.Access) *cobra.Command {
	return program.Group("rollups", "The windows that long charts and reports are made of", newRebuild(o), newStatus(o))
}

func newRebuild(o program.Access) *cobra.Command {
	var from, to string
	var sites []string
	cmd := &cobra.Command{
		Use: "rebuild --from DAY --to DAY", Short: "Work hours out anew from raw results, and the days and months they are in",
		Long: `Work hours out anew from raw results, and the days and months they are in: after maintenance, office hours or holidays
were entered for the past, or results were brought into the database by hand. It reaches as far back as raw results are
kept (retention). Late results need no command.`,
		Example: `  communewatch-collector rollups rebuild --from 2026-10-01 --to 2026-10-03
  communewatch-collector rollups rebuild --from 2026-10-01 --to 2026-10-31 --site s08707`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			days, err := period.Days(from, to, cfg.Location())
			if err != nil {
				return fmt.Errorf("--from and --to: %w", err)
			}
			slices.Sort(sites)
			order := desk.Order{From: days.From, To: days.To, Sites: slices.Compact(sites)}
			return o.Registry(cmd, func(reg *registry.Registry) error {
				if err := known(cmd.Context(), reg, order.Sites); err != nil {
					return err
				}
				client := collector.Socket(cfg)
				defer client.CloseIdleConnections()
				n, err := desk.Rebuild(cmd.Context(), client, order)
				said := "%d hours of sites are marked; the collector works them out now, `rollups status` says how far it is\n"
				if collector.NotRunning(err) {
					n, err = alone(cmd.Context(), &cfg, reg, order, cmd.ErrOrStderr())
					said = "%d hours of sites were worked out\n"
				}
				if err != nil {
					return err
				}
				if n == 0 {
					return fmt.Errorf("nothing to work out: no hour of these days is over, was worked out before, and has raw results yet, which are kept for %.0f days", cfg.Retention.Hours()/24)
				}
				fmt.Fprintf(cmd.OutOrStdout(), said, n)
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "first `DAY`, such as 2026-10-01")
	flags.StringVar(&to, "to", "", "last `DAY`")
	flags.StringArrayVar(&sites, "site", nil, "only this site's `ID`; may be given several times")
	return cmd
}

// known returns an error that names the sites that are not in the registry.
func known(ctx context.Context, reg *registry.Registry, sites []string) error {
	if len(sites) == 0 {
		return nil
	}
	list, err := reg.Sites(ctx, time.Now())
	if err != nil {
		return err
	}
	unknown := slices.DeleteFunc(slices.Clone(sites), func(id string) bool {
		return slices.ContainsFunc(list, func(s inventory.Site) bool { return s.ID == id })
	})
	if len(unknown) > 0 {
		return fmt.Errorf("--site: %.200s is not in the registry; `sites list` says which are", strings.Join(unknown, ", "))
	}
	return nil
}

// sayEvery is how often somebody who waits is told how far it is.
const sayEvery = 10 * time.Second

// alone does the work of a collector that does not run.
func alone(ctx context.Context, cfg *collector.Config, reg *registry.Registry, o desk.Order, progress io.Writer) (n int, err error) {
	log := slog.New(slog.NewTextHandler(progress, &slog.HandlerOptions{Level: slog.LevelWarn}))
	st, err := collector.OpenStore(ctx, *cfg, time.Now, log)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	k := collector.NewKeeper(cfg, reg, st, time.Now, log, nil)
	work := func() (time.Duration, error) {
		wait := k.Work(ctx)
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("%w; what is left stays marked", err)
		}
		if p := k.Progress(); p.Failed != "" {
			return 0, fmt.Errorf("%s; %d hours stay marked, a collector that runs tries them again", p.Failed, p.Pending)
		}
		return wait, nil
	}
	if _, err := work(); err != nil { // what was marked before is known from here on
		return 0, err
	}
	if n, err = k.Rebuild(ctx, o.From, o.To, o.Sites); err != nil {
		return 0, err
	}
	said := time.Now()
	for k.Progress().Pending > 0 {
		wait, err := work()
		if err != nil {
			return 0, err
		}
		if now := time.Now(); now.Sub(said) >= sayEvery {
			said = now
			fmt.Fprintf(progress, "%d hours to go\n", k.Progress().Pending)
		}
		if k.Progress().Pending == 0 {
			break
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return n, nil
}

func newStatus(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say how far windows are worked out, and what waits", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			client := collector.Socket(cfg)
			defer client.CloseIdleConnections()
			p, err := desk.Status(cmd.Context(), client)
			if collector.NotRunning(err) {
				fmt.Fprintln(cmd.ErrOrStderr(), "no collector runs with these settings; as the last one left it:")
				err = o.Registry(cmd, func(reg *registry.Registry) (err error) {
					p, err = collector.StoredProgress(cmd.Context(), cfg, reg)
					return err
				})
			}
			if err != nil {
				return err
			}
			printProgress(cmd.OutOrStdout(), p, cfg.Location())
			return nil
		},
	}
}

func printProgress(w io.Writer, p history.Progress, zone *time.Location) {
	at := func(t time.Time) string { return t.In(zone).Format("02/01/2006 15:04") }
	if p.To.IsZero() {
		fmt.Fprintln(w, "no hour was worked out yet")
	} else {
		fmt.Fprintf(w, "worked out up to %s\n", at(p.To))
	}
	if p.Pending == 0 {
		fmt.Fprintln(w, "no hour waits to be worked out anew")
	} else {
		fmt.Fprintf(w, "%d hours of sites wait to be worked out anew, the oldest of %s\n", p.Pending, at(p.Oldest))
	}
	if p.Failed != "" {
		fmt.Fprintf(w, "failing since %s: %s\n", at(p.Since), p.Failed)
	}
}
