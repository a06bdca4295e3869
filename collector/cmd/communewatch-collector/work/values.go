package work

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"communewatch/collector"
	"communewatch/collector/assign/lists"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/plans"
	"communewatch/collector/registry"
	"communewatch/inventory"

	"github.com/spf13/cobra"
)

func (c commands) importValues() *cobra.Command {
	var note string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take in what sites have from a CSV or XLSX list", Args: program.Exactly(1, "the list"),
		Long: `Take in what sites have from a CSV or XLSX list: a site a row, a value of the plan a column. An empty cell leaves a value
as it is, "-" takes it away, several entries of a list are separated by commas or lines. It is all or nothing: every mistake
in the list is printed, and one is enough to take in none of it. docs/work.md says more.`,
		Example: `  communewatch-collector work values import danh-sach.xlsx --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readFile(args[0])
			if err != nil {
				return err
			}
			return c.with(cmd, func(ctx context.Context, s *plans.Service, reg *registry.Registry, _ collector.Config) error {
				declared, _, err := s.Declared(ctx)
				if err != nil {
					return err
				}
				sites, err := reg.SiteNames(ctx, "")
				if err != nil {
					return err
				}
				name := filepath.Base(args[0])
				list := lists.Options{Sites: sites, Values: declared}.Read(name, data)
				for _, w := range list.Warnings {
					fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
				}
				if len(list.Problems) > 0 {
					return &inventory.ListError{Problems: list.Problems}
				}
				d := plans.Draft{Values: list.Values, Note: strings.TrimSpace("values of " + name + " " + note), Base: -1}
				if dryRun {
					p, err := s.Preview(ctx, d)
					if err != nil {
						return err
					}
					return shown(cmd, args[0], p, false)
				}
				return apply(ctx, cmd, s, keptPlan, d)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	cmd.Flags().StringVar(&note, "note", "", "why, for those who read the versions later")
	return cmd
}

func (c commands) listValues() *cobra.Command {
	return &cobra.Command{
		Use: "list [SITE]", Short: "Print what sites have", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				table, err := s.Values(ctx)
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "SITE\tVALUE\tIS")
				for _, site := range slices.Sorted(maps.Keys(table)) {
					if len(args) == 1 && args[0] != site {
						continue
					}
					for _, name := range slices.Sorted(maps.Keys(table[site])) {
						fmt.Fprintf(tw, "%s\t%s\t%s\n", site, name, strings.Join(table[site][name], ", "))
					}
				}
				return tw.Flush()
			})
		},
	}
}

func (c commands) setSecret() *cobra.Command {
	return &cobra.Command{
		Use: "set NAME", Short: "Keep a secret, read from standard input", Args: program.Exactly(1, "the secret's name"),
		Long: `Keep a secret, read from standard input: its first line. A plan names it as ${secret:NAME}. It is sealed, shown nowhere,
and given to agents whose checks need it.`,
		Example: `  communewatch-collector work secret set snmp-doc < community.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := firstLine(cmd.InOrStdin())
			if err != nil {
				return err
			}
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				if err := s.SetSecret(ctx, args[0], value); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "secret %s is kept\n", args[0])
				return nil
			})
		},
	}
}

// firstLine reads a secret. Errors hold nothing of it.
func firstLine(r io.Reader) (string, error) {
	const most = 8192
	lines := bufio.NewScanner(io.LimitReader(r, most))
	lines.Buffer(make([]byte, 0, most), most)
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return "", fmt.Errorf("read the secret from standard input: %w", err)
		}
		return "", errors.New("give the secret on standard input, such as: work secret set NAME < FILE")
	}
	value := strings.TrimRight(lines.Text(), "\r")
	if lines.Scan() && lines.Text() != "" {
		return "", errors.New("standard input has several lines; a secret is one")
	}
	return value, nil
}

func (c commands) listSecrets() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the names of secrets, and where they are needed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, cfg collector.Config) error {
				list, err := s.Secrets(ctx)
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "SECRET\tSET\tBY\tNEEDED AT")
				for _, k := range list {
					fmt.Fprintf(tw, "%s\t%s\t%s\t%d sites\n", k.Name, stamp(k.At, cfg.Location()), k.By, k.Sites)
				}
				return tw.Flush()
			})
		},
	}
}

func (c commands) removeSecret() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Forget a secret that no check needs", Args: program.Exactly(1, "the secret's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, _ collector.Config) error {
				if err := s.RemoveSecret(ctx, args[0]); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "secret %s is forgotten\n", args[0])
				return nil
			})
		},
	}
}

func (c commands) changeKey() *cobra.Command {
	return &cobra.Command{
		Use: "new-key", Short: "Seal all secrets with a new key", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(ctx context.Context, s *plans.Service, _ *registry.Registry, cfg collector.Config) error {
				n, err := s.ChangeKey(ctx)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d secrets are sealed with a new key; keep a copy of %s apart from backups\n", n, plans.SealFile(cfg.DataDir))
				return nil
			})
		},
	}
}
