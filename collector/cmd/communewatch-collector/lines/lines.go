// Package lines is the command line's part of lines: what was agreed with their providers (`lines`), and what they were
// worth (`report`). It holds flags and files; lists are read by collector/reports/contracts, and reports are made by the
// collector that runs, or from the stores where none does.
package lines

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/lines"
	"communewatch/collector/reports"
	"communewatch/collector/reports/contracts"
	"communewatch/inventory"
	"communewatch/probes"

	"github.com/spf13/cobra"
)

// New returns the command lines with all that are below it.
func New(o program.Access) *cobra.Command {
	return program.Group("lines", "What was agreed with the providers of the sites' lines", newImport(o), newList(o), newWithdraw(o))
}

func newImport(o program.Access) *cobra.Command {
	var dryRun bool
	var by string
	cmd := &cobra.Command{
		Use: "import FILE --by NAME", Short: "Add the contracts of a CSV or XLSX list, or change those that are known",
		Long: `Add the contracts of a CSV or XLSX list, or change those that are known (of the same line from the same day). It is all
or nothing: every mistake in the list is printed, and one is enough to import none of it. What was changed stays in the
history (lines list --all). docs/reports.md says which headings are understood.`,
		Example: `  communewatch-collector lines import duong-truyen-2026.xlsx --by "Nguyễn Thị Lan" --dry-run`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give the list to import: lines import FILE (found %d arguments)", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if by == "" {
				return kept.ErrNobody
			}
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			profiles, err := cfg.LineProfiles()
			if err != nil {
				return err
			}
			data, err := readList(args[0])
			if err != nil {
				return err
			}
			return o.Registry(cmd, func(reg *registry.Registry) error {
				sites, err := reg.SiteNames(cmd.Context(), "")
				if err != nil {
					return err
				}
				known, err := reg.Lines().Agreements(cmd.Context())
				if err != nil {
					return err
				}
				name := filepath.Base(args[0])
				list := contracts.Options{Sites: sites, Known: known, Profiles: profiles}.Read(name, data)
				for _, w := range list.Warnings {
					fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
				}
				if len(list.Problems) > 0 {
					return &inventory.ListError{Problems: list.Problems}
				}
				done, err := reg.Lines().Import(cmd.Context(), list.Agreements, name, by, dryRun)
				if err != nil {
					return fmt.Errorf("import %s: %w", args[0], err)
				}
				printImport(cmd.OutOrStdout(), args[0], done, dryRun)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	byFlag(cmd, &by)
	return cmd
}

func byFlag(cmd *cobra.Command, by *string) {
	cmd.Flags().StringVar(by, "by", "", "`NAME` of who enters this")
}

// maxList bounds what of a file is read; longer lists are refused when they are taken apart.
const maxList = 64 << 20

func readList(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxList))
}

// namedAtMost is how many contracts of a kind are named one by one.
const namedAtMost = 20

func printImport(w io.Writer, file string, done kept.Imported, dryRun bool) {
	would := ""
	if dryRun {
		would = "would be "
	}
	fmt.Fprintf(w, "%s: %d %sadded, %d %schanged, %d unchanged\n", file, len(done.Added), would, len(done.Changed), would, done.Unchanged)
	for _, list := range []struct {
		what string
		of   []reports.Agreement
	}{{"added  ", done.Added}, {"changed", done.Changed}} {
		if len(list.of) > namedAtMost {
			continue
		}
		for _, a := range list.of {
			fmt.Fprintf(w, "  %s  %s %s from %s: %s\n", list.what, a.Site, a.Layer, cmp.Or(a.Contract.From, "ever"), a.Contract.Provider)
		}
	}
}

// contractJSON is a contract as `lines list --json` prints it.
type contractJSON struct {
	Site  string       `json:"site"`
	Layer probes.Layer `json:"layer"`
	reports.Contract
	File        string  `json:"file"`
	By          string  `json:"by"`
	At          string  `json:"at"`
	Withdrawn   *string `json:"withdrawn"` // null: in force
	WithdrawnBy string  `json:"withdrawn_by,omitempty"`
}

func newContractJSON(c kept.Contract) contractJSON {
	const layout = "2006-01-02T15:04:05Z"
	out := contractJSON{Site: c.Site, Layer: c.Layer, Contract: c.Contract, File: c.File, By: c.By, At: c.At.Format(layout), WithdrawnBy: c.WithdrawnBy}
	if !c.Withdrawn.IsZero() {
		at := c.Withdrawn.Format(layout)
		out.Withdrawn = &at
	}
	return out
}

func newList(o program.Access) *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print the contracts of lines", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.Registry(cmd, func(reg *registry.Registry) error {
				list, err := reg.Lines().Contracts(cmd.Context(), all)
				switch {
				case err != nil:
					return err
				case asJSON:
					out := make([]contractJSON, len(list))
					for i := range list {
						out[i] = newContractJSON(list[i])
					}
					return program.PrintJSON(cmd.OutOrStdout(), out)
				case len(list) == 0:
					fmt.Fprintln(cmd.ErrOrStderr(), "there are no contracts of lines yet; add them with: communewatch-collector lines import FILE --by NAME")
					return nil
				}
				return printContracts(cmd.OutOrStdout(), list, all)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&all, "all", false, "also those that were replaced or taken back")
	return cmd
}

func printContracts(w io.Writer, list []kept.Contract, all bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "SITE\tLINE\tPROVIDER\tCONTRACT\tDOWN\tUP\tPROFILE\tVND/MONTH\tFROM\tTO\tBY")
	if all {
		fmt.Fprint(tw, "\tWITHDRAWN")
	}
	fmt.Fprintln(tw)
	number := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf("%g", v)
	}
	for _, c := range list {
		a := &c.Contract
		price := "-"
		if a.Monthly > 0 {
			price = fmt.Sprint(a.Monthly)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", c.Site, c.Layer, a.Provider, cmp.Or(a.Number, "-"), number(a.DownMbps), number(a.UpMbps),
			cmp.Or(a.Profile, "-"), price, cmp.Or(a.From, "-"), cmp.Or(a.To, "-"), c.By)
		if all {
			withdrawn := "-"
			if !c.Withdrawn.IsZero() {
				withdrawn = c.Withdrawn.Local().Format("2006-01-02 15:04") + " " + c.WithdrawnBy
			}
			fmt.Fprint(tw, "\t", withdrawn)
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

func newWithdraw(o program.Access) *cobra.Command {
	var site, layer, from, by string
	cmd := &cobra.Command{
		Use: "withdraw --site ID --layer LAYER --from DAY --by NAME", DisableFlagsInUseLine: true,
		Short: "Take a contract back that was entered by mistake; it stays in the history", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := probes.Layer(layer)
			if !l.Valid() {
				return errors.New("--layer: write broadband or dedicated")
			}
			day, err := inventory.ParseDate(from)
			if err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			return o.Registry(cmd, func(reg *registry.Registry) error {
				if err := reg.Lines().Withdraw(cmd.Context(), site, l, day.String(), by); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: the contract of the %s line from %s is withdrawn\n", site, layer, cmp.Or(day.String(), "ever"))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "the office (an `ID` of sites list)")
	cmd.Flags().StringVar(&layer, "layer", "", "broadband or dedicated")
	cmd.Flags().StringVar(&from, "from", "", "first `DAY` of the contract; empty for one without")
	byFlag(cmd, &by)
	return cmd
}
