// Package work is the command line's part of what agents do: the fleet's plan, what sites have, and the secrets that checks
// need. It holds flags and files; everything else is collector/plans'. A collector that runs sees within seconds what these
// commands change, and tells its agents.
package work

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector"
	"communewatch/collector/assign"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/plans"
	"communewatch/collector/registry"
	"communewatch/probes/settings"

	"github.com/spf13/cobra"
)

// New returns the command work with all that are below it.
func New(o program.Access) *cobra.Command {
	c := commands{Access: o}
	return program.Group("work", "What agents do: the plan, what sites have, secrets of checks",
		c.init(), c.show(), c.check(), c.preview(), c.apply(), c.versions(), c.rollback(), c.forSite(),
		program.Group("values", "What sites have, for the plan's checks", c.importValues(), c.listValues()),
		program.Group("secret", "Secrets that checks need, kept sealed", c.setSecret(), c.listSecrets(), c.removeSecret(), c.changeKey()))
}

type commands struct{ program.Access }

// with runs a command on the plans of the registry, as the person at the keyboard.
func (c commands) with(cmd *cobra.Command, do func(ctx context.Context, s *plans.Service, reg *registry.Registry, cfg collector.Config) error) error {
	cfg, err := c.Config()
	if err != nil {
		return err
	}
	return c.Registry(cmd, func(reg *registry.Registry) error {
		o := plans.Options{Loopback: onOneMachine(cfg.Listen), Zone: cfg.Location(), Log: slog.New(slog.DiscardHandler)}
		return do(program.As(cmd.Context()), plans.Of(reg, cfg.DataDir, o), reg, cfg)
	})
}

// onOneMachine reports whether all agents of a collector are on its own machine, as in a lab.
func onOneMachine(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// maxList bounds what of a file is read; longer ones are refused when they are taken apart.
const maxList = 64 << 20

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxList))
}

func (c commands) init() *cobra.Command {
	return &cobra.Command{
		Use: "init FILE", Short: "Write a plan to begin with, with values to fill in", Args: program.Exactly(1, "the file to write"),
		Long: `Write a plan to begin with into a new file: templates for the office network, the lines, conferences and devices, for all
sites. Whatever needs a value that a site does not have yet is left out there, so it can be applied as it is.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s is there already; name a new file", args[0])
			}
			if err != nil {
				return err
			}
			if _, err := f.WriteString(assign.Start()); err != nil {
				return errors.Join(err, f.Close())
			}
			if err := f.Close(); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is written; fill it in, then: communewatch-collector work preview %s\n", args[0], args[0])
			return nil
		},
	}
}

func (c commands) show() *cobra.Command {
	var version int
	cmd := &cobra.Command{
		Use: "show", Short: "Print the plan", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				v, err := s.Current(ctx)
				if version > 0 {
					v, err = s.Version(ctx, version)
				}
				if err != nil {
					return err
				}
				if v.ID == 0 {
					return plans.ErrNoPlan
				}
				_, err = io.WriteString(cmd.OutOrStdout(), v.Plan)
				return err
			})
		},
	}
	cmd.Flags().IntVar(&version, "version", 0, "an old `VERSION`")
	return cmd
}

func (c commands) check() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Report every mistake in a plan", Args: program.Exactly(1, "the plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				p, err := previewFile(ctx, s, args[0])
				if err != nil {
					return err
				}
				if err := mistakes(args[0], p); err != nil {
					return err
				}
				printNotes(cmd.ErrOrStderr(), p)
				fmt.Fprintf(cmd.OutOrStdout(), "%s is valid for %d agents\n", args[0], p.Same+len(p.Agents))
				return nil
			})
		},
	}
}

// previewFile says what a plan in a file would do.
func previewFile(ctx context.Context, s *plans.Service, file string) (*plans.Preview, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	text := string(data)
	return s.Preview(ctx, plans.Draft{Name: filepath.Base(file), Plan: &text, Base: -1})
}

// apply makes a draft the current version, and warns of what agents will not take by themselves.
func apply(ctx context.Context, cmd *cobra.Command, s *plans.Service, what string, d plans.Draft) error {
	p, err := s.Preview(ctx, d)
	if err != nil {
		return err
	}
	v, done, err := s.Apply(ctx, d)
	if no := refused(what, err); no != nil {
		return no
	}
	if err == nil {
		for _, w := range p.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
		}
	}
	return said(cmd, v.ID, done, err)
}

// keptPlan is in the place of a file's name where the plan is the collector's own.
const keptPlan = "the plan with these values"

// mistakes is a plan's problems as those of a settings file.
func mistakes(file string, p *plans.Preview) error {
	if len(p.Problems) == 0 {
		return nil
	}
	e := &settings.Error{}
	for _, q := range p.Problems {
		line := q.Line
		q.Line = 0
		text := q.String()
		if file == keptPlan && line > 0 {
			text, line = fmt.Sprintf("line %d of the plan: %s", line, text), 0
		}
		e.Problems = append(e.Problems, settings.Problem{File: file, Line: line, Text: text})
	}
	return e
}

// shown prints what would change, or what is wrong.
func shown(cmd *cobra.Command, what string, p *plans.Preview, all bool) error {
	if err := mistakes(what, p); err != nil {
		return err
	}
	printPreview(cmd.OutOrStdout(), p, all)
	return nil
}

// refused is the mistakes of a plan that was not taken, as those of a settings file; nil for any other error.
func refused(what string, err error) error {
	var no *plans.Refused
	if !errors.As(err, &no) {
		return nil
	}
	return mistakes(what, &plans.Preview{Problems: no.Problems})
}

func (c commands) preview() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "preview FILE", Short: "Say what a plan would change, at which agents, and what it costs", Args: program.Exactly(1, "the plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				p, err := previewFile(ctx, s, args[0])
				if err != nil {
					return err
				}
				return shown(cmd, args[0], p, all)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "name every agent, also when many change alike")
	return cmd
}

func (c commands) apply() *cobra.Command {
	var note string
	var base int
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Make a plan the current one", Args: program.Exactly(1, "the plan"),
		Example: `  communewatch-collector work apply plan.yaml --note "Thêm điểm đo TSLCD"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readFile(args[0])
			if err != nil {
				return err
			}
			text := string(data)
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				return apply(ctx, cmd, s, args[0], plans.Draft{Name: filepath.Base(args[0]), Plan: &text, Note: note, Base: base})
			})
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for those who read the versions later")
	cmd.Flags().IntVar(&base, "base", -1, "refuse if the current `VERSION` is another one (default: any)")
	return cmd
}

// said tells that a version is the current one.
func said(cmd *cobra.Command, version int, done bool, err error) error {
	if err != nil {
		return err
	}
	if !done {
		fmt.Fprintf(cmd.OutOrStdout(), "nothing changes: version %d says the same\n", version)
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "version %d is the current one; agents that are connected get it within seconds\n", version)
	return nil
}

func (c commands) versions() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "versions", Short: "List the versions of the plan, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, cfg collector.Config) error {
				list, err := s.Versions(ctx, max(1, limit))
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "VERSION\tAT\tBY\tNOTE")
				for _, v := range list {
					note := strings.Join(strings.Fields(v.Note), " ")
					if v.Restores > 0 {
						note = strings.TrimSpace(fmt.Sprintf("(version %d again) %s", v.Restores, note))
					}
					fmt.Fprintf(tw, "%d\t%s\t%s\t%s\n", v.ID, v.At.In(cfg.Location()).Format("2006-01-02 15:04"), v.By, note)
				}
				return tw.Flush()
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return cmd
}

func (c commands) rollback() *cobra.Command {
	var note string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "rollback VERSION", Short: "Go back to an old version of the plan and of what sites had", Args: program.Exactly(1, "the version"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var id int
			if _, err := fmt.Sscanf(args[0], "%d", &id); err != nil || id < 1 {
				return fmt.Errorf("%q is no version; `work versions` lists them", args[0])
			}
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				if dryRun {
					p, err := s.PreviewRollback(ctx, id)
					if err != nil {
						return err
					}
					return shown(cmd, "version "+args[0], p, false)
				}
				v, done, err := s.Rollback(ctx, id, note)
				return said(cmd, v.ID, done, err)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	cmd.Flags().StringVar(&note, "note", "", "why, for those who read the versions later")
	return cmd
}

func (c commands) forSite() *cobra.Command {
	var asYAML bool
	cmd := &cobra.Command{
		Use: "for SITE [AGENT]", Short: "Print what an agent gets, with what it costs",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("give a site, and an agent of it if it has a part of its own: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			agent := ""
			if len(args) == 2 {
				agent = args[1]
			}
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				got, err := s.For(ctx, args[0], agent)
				if errors.Is(err, plans.ErrUnknownSite) {
					return fmt.Errorf("there is no site %.63s; `communewatch-collector sites list` shows all", args[0])
				}
				if err != nil {
					return err
				}
				if asYAML {
					_, err := cmd.OutOrStdout().Write(got.Document)
					return err
				}
				return printSite(cmd.OutOrStdout(), got)
			})
		},
	}
	cmd.Flags().BoolVar(&asYAML, "yaml", false, "print the document that the agent gets")
	return cmd
}

// stamp writes a moment of the record.
func stamp(ms int64, zone *time.Location) string {
	return time.UnixMilli(ms).In(zone).Format("2006-01-02 15:04")
}
