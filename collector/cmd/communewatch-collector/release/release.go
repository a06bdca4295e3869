// Package release is the command line's part of the agents' releases: taking them in and letting them go out. It works
// beside a running collector, which takes the steps from one stage to the next.
package release

import (
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/releases"
	"communewatch/collector/releases"
	"communewatch/collector/releases/stages"
	"communewatch/probes/release"

	"github.com/spf13/cobra"
)

// New returns the command release with all that are below it.
func New(o program.Access) *cobra.Command {
	return program.Group("release", "Releases of the agent, and how they go out", newAdd(o), newList(o), newStart(o), newStatus(o),
		simple(o, "pause", "Offer the release to no more agents for now", "paused", (*releases.Keeper).Pause),
		newHalt(o),
		simple(o, "resume", "Go on with a release that was paused or halted, without those agents that failed with it", "goes on", (*releases.Keeper).Resume),
		newWithdraw(o))
}

// open opens the releases for one command.
func open(cmd *cobra.Command, o program.Access, do func(ctx context.Context, k *releases.Keeper) error) error {
	cfg, err := o.Config()
	if err != nil {
		return err
	}
	return o.Registry(cmd, func(reg *registry.Registry) error {
		k, err := releases.New(releases.Options{Dir: cfg.ReleasesDir(), Settings: cfg.Updates, Store: reg.Releases(), Audit: reg.People(), Via: "command",
			Agents: reg.Agents().Agents, Reported: releases.Reported(reg.Accounts)})
		if err != nil {
			return err
		}
		return do(program.As(cmd.Context()), k)
	})
}

func newAdd(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "add FOLDER|FILE.zip", Short: "Take in a release that communewatch-release made and signed", Args: program.Exactly(1, "the folder or ZIP file of the release"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return open(cmd, o, func(ctx context.Context, k *releases.Keeper) error {
				from, closeIt, err := folder(args[0])
				if err != nil {
					return err
				}
				m, err := k.Add(ctx, from)
				if err := errors.Join(err, closeIt()); err != nil {
					return err
				}
				var platforms []string
				for _, f := range m.Files {
					platforms = append(platforms, f.OS+"/"+f.Arch)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "release %v is verified and kept, for %s; let it go out with: communewatch-collector release start %v --first SITE\n",
					m.Version, strings.Join(platforms, ", "), m.Version)
				return err
			})
		},
	}
}

// folder opens a folder, or a ZIP file as one.
func folder(name string) (from fs.FS, closeIt func() error, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return os.DirFS(name), func() error { return nil }, nil
	}
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w; give the folder or the ZIP file that communewatch-release made", name, err)
	}
	return z, z.Close, nil
}

func newList(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Print the releases that were taken in", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return open(cmd, o, func(ctx context.Context, k *releases.Keeper) error {
				list, err := k.Releases(ctx)
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "VERSION\tADDED\tBY\tWITHDRAWN")
				for _, r := range list {
					withdrawn := "-"
					if !r.Withdrawn.IsZero() {
						withdrawn = local(r.Withdrawn) + " " + r.WithdrawnBy
					}
					fmt.Fprintf(tw, "%v\t%s\t%s\t%s\n", r.Version, local(r.Added), r.By, withdrawn)
				}
				return tw.Flush()
			})
		},
	}
}

func local(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func newStart(o program.Access) *cobra.Command {
	var first []string
	var shares []int
	var soak time.Duration
	cmd := &cobra.Command{
		Use: "start VERSION --first SITE", Short: "Let a release go out, stage by stage",
		Long: `Let a release go out: first to the agents of the sites that are named, then to a share of all agents, then to all. Each
stage begins when all agents of the one before run the release and went on reporting for the length of the soak. One agent
that rolls back, refuses the release or falls silent with it halts all.`,
		Example: "  communewatch-collector release start 1.4.0 --first s08824 --shares 10,50,100 --soak 24h",
		Args:    program.Exactly(1, "the version"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := release.ParseVersion(args[0])
			if err != nil {
				return err
			}
			plan := stages.Plan{First: first, Shares: shares, SoakSeconds: int(soak / time.Second)}
			if err := plan.Validate(); err != nil {
				return err
			}
			return open(cmd, o, func(ctx context.Context, k *releases.Keeper) error {
				if err := k.Start(ctx, v, plan); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "release %v goes out, first to %s\n", v, strings.Join(first, ", "))
				return err
			})
		},
	}
	cmd.Flags().StringSliceVar(&first, "first", nil, "`site` of the first stage; may be given several times")
	cmd.Flags().IntSliceVar(&shares, "shares", []int{10, 100}, "`percent` of all agents, for each stage after it")
	cmd.Flags().DurationVar(&soak, "soak", stages.DefaultSoak, "how long each stage has to go well")
	return cmd
}

// simple returns a command that does something to the release that goes out.
func simple(o program.Access, use, short, done string, do func(k *releases.Keeper, ctx context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return open(cmd, o, func(ctx context.Context, k *releases.Keeper) error {
				if err := do(k, ctx); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "the release %s\n", done)
				return err
			})
		},
	}
}

func newHalt(o program.Access) *cobra.Command {
	var why string
	cmd := simple(o, "halt", "Stop a release because something is wrong with it", "is halted", func(k *releases.Keeper, ctx context.Context) error {
		return k.Halt(ctx, why)
	})
	cmd.Flags().StringVar(&why, "why", "", "for the record")
	return cmd
}

func newWithdraw(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "withdraw VERSION", Short: "Take a release back for good; agents that run it go on until they get another one", Args: program.Exactly(1, "the version"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := release.ParseVersion(args[0])
			if err != nil {
				return err
			}
			return open(cmd, o, func(ctx context.Context, k *releases.Keeper) error {
				if err := k.Withdraw(ctx, v); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "release %v is withdrawn\n", v)
				return err
			})
		},
	}
}

func newStatus(o program.Access) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Say how the release that goes out fares, agent by agent", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return open(cmd, o, func(ctx context.Context, k *releases.Keeper) error {
				s, err := k.Status(ctx)
				if errors.Is(err, kept.ErrNone) && !asJSON {
					fmt.Fprintln(cmd.ErrOrStderr(), err)
					return nil
				}
				if err != nil {
					return err
				}
				if asJSON {
					return printStatusJSON(cmd.OutOrStdout(), &s)
				}
				return printStatus(cmd.OutOrStdout(), &s)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(w io.Writer, s *releases.Status) error {
	fmt.Fprintf(w, "release %v: %s, stage %d of %d, begun %s by %s\n", s.Version, s.State, s.Stage+1, s.Stages(), local(s.Started), s.By)
	if s.Why != "" {
		fmt.Fprintf(w, "  %s\n", s.Why)
	}
	if !s.Settled.IsZero() {
		fmt.Fprintf(w, "  all of this stage go well since %s; it is passed after %v\n", local(s.Settled), s.Plan.Soak())
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SITE\tAGENT\tSTAGE\tRUNS\tFARES\tWHY")
	for _, a := range s.Agents {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\n", a.Site, a.Agent, a.Stage+1, cmp.Or(a.Running, "-"), a.Fare, cmp.Or(a.Why, "-"))
	}
	return tw.Flush()
}

// statusJSON is a roll-out as `release status --json` prints it.
type statusJSON struct {
	Version release.Version `json:"version"`
	State   stages.State    `json:"state"`
	Stage   int             `json:"stage"` // from 1
	Stages  int             `json:"stages"`
	Why     string          `json:"why"`
	Plan    stages.Plan     `json:"plan"`
	Started time.Time       `json:"started"`
	By      string          `json:"by"`
	Settled *time.Time      `json:"settled"` // null: not all of the stage go well
	Agents  []agentJSON     `json:"agents"`
}

type agentJSON struct {
	stages.Name
	Stage int         `json:"stage"`
	Runs  string      `json:"runs"`
	Fares stages.Fare `json:"fares"`
	Why   string      `json:"why"`
}

func printStatusJSON(w io.Writer, s *releases.Status) error {
	out := statusJSON{Version: s.Version, State: s.State, Stage: s.Stage + 1, Stages: s.Stages(), Why: s.Why, Plan: s.Plan, Started: s.Started, By: s.By, Agents: []agentJSON{}}
	if !s.Settled.IsZero() {
		out.Settled = &s.Settled
	}
	for _, a := range s.Agents {
		out.Agents = append(out.Agents, agentJSON{a.Name, a.Stage + 1, a.Running, a.Fare, a.Why})
	}
	return program.PrintJSON(w, out)
}
