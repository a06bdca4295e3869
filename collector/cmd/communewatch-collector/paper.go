package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector/api/equipment"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/paper"
	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/purchases"

	"github.com/spf13/cobra"
)

func newPurchases(config *configFlag) *cobra.Command {
	return program.Group("purchases", "The purchase phases and their pieces", newPurchasesImport(config), newPurchasesList(config), newPurchasesImports(config),
		newPurchasesUndo(config), newPurchasesRemove(config))
}

func newPurchasesImport(config *configFlag) *cobra.Command {
	var dryRun, replace bool
	var phase, by string
	cmd := &cobra.Command{
		Use: "import FILE --by NAME", Short: "Read a purchase list, CSV or XLSX",
		Long: `Read a purchase list, CSV or XLSX. It is all or nothing: every mistake in the list is printed, and one is enough to
import none of it. New pieces are added and known ones updated; none is removed, since a phase may be kept in several
files. For a list that holds whole phases --replace removes what it does not have; look first with --dry-run. Any import
can be taken back with: inventory purchases undo`,
		Example: `  communewatch-collector inventory purchases import dot1.xlsx --dry-run --by "Nguyễn Thị Lan"`,
		Args:    program.Exactly(1, "the list to import"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, data, err := readFile(args[0])
			if err != nil {
				return err
			}
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				sites, err := reg.SiteNames(cmd.Context(), "") // all, with the names they had
				if err != nil {
					return err
				}
				list, err := reg.Paper().ReadList(cmd.Context(), name, data, purchases.Options{Sites: sites, Phase: phase, Today: inventory.DateOf(time.Now())}, replace)
				if err != nil {
					return err
				}
				for _, p := range list.Warnings {
					fmt.Fprintln(cmd.ErrOrStderr(), "warning:", p)
				}
				if len(list.Problems) > 0 {
					return &inventory.ListError{Problems: list.Problems}
				}
				write := reg.Paper().ImportPurchases
				if replace {
					write = reg.Paper().ReplacePurchases
				}
				result, err := write(cmd.Context(), list.Purchases, name, by, dryRun)
				if err != nil {
					return fmt.Errorf("import %s: %w", args[0], err)
				}
				for _, file := range slices.Sorted(maps.Keys(result.Alike)) {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %d pieces without a serial read like pieces of %s and are taken for those; if they are others, give their serials\n", result.Alike[file], file)
				}
				printPurchaseImport(cmd.OutOrStdout(), args[0], result, dryRun)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	cmd.Flags().BoolVar(&replace, "replace", false, "the list holds whole phases: remove the pieces of them that it does not have")
	cmd.Flags().StringVar(&phase, "phase", "", "the `name` of the phase, for lists that do not say it")
	byFlag(cmd, &by)
	return cmd
}

func printPurchaseImport(w io.Writer, file string, r paper.ImportResult, dryRun bool) {
	would, goes := "", "removed"
	if dryRun {
		would, goes = "would be ", "would be removed"
	}
	fmt.Fprintf(w, "%s: %s: %d pieces %sadded, %d %schanged, %d %sremoved, %d unchanged\n", file, strings.Join(r.Phases, ", "),
		r.Added, would, r.Changed, would, r.Removed, would, r.Unchanged)
	for _, phase := range slices.Sorted(maps.Keys(r.Kept)) {
		fmt.Fprintf(w, "%d pieces of %s are not in this file and are left as they are; --replace removes them\n", r.Kept[phase], phase)
	}
	printRemoved(w, r, goes)
	if r.ID != 0 {
		fmt.Fprintf(w, "this is import %d; to take it back: communewatch-collector inventory purchases undo %d --by NAME\n", r.ID, r.ID)
	}
}

func printRemoved(w io.Writer, r paper.ImportResult, goes string) {
	for _, u := range r.RemovedUnits {
		fmt.Fprintf(w, "  %s  %s %s %s %s %s\n", goes, u.ID, u.Phase, program.Dash(u.Site), strings.TrimSpace(u.Item+" "+u.Model), u.Serial)
	}
}

func newPurchasesImports(config *configFlag) *cobra.Command {
	return &cobra.Command{
		Use: "imports", Short: "Print the imports and removals, the newest first; each can be taken back", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				list, err := reg.Paper().Imports(cmd.Context())
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "IMPORT\tWHEN\tWHO\tWHAT\tFILE\tPHASES\tPIECES TOUCHED\tUNDONE")
				for _, im := range list {
					undone := "-"
					if !im.Undone.IsZero() {
						undone = seenAt(im.Undone)
					}
					fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", im.ID, seenAt(im.At), short(im.By), im.Action, program.Dash(short(im.File)), short(strings.Join(im.Phases, ", ")), im.Pieces, undone)
				}
				return tw.Flush()
			})
		},
	}
}

func newPurchasesUndo(config *configFlag) *cobra.Command {
	var dryRun bool
	var by string
	cmd := &cobra.Command{
		Use: "undo [IMPORT] --by NAME", Short: "Take an import or a removal back: the newest, or one of: inventory purchases imports",
		Long: `Take an import or a removal back: what it added is removed, and what it changed or removed is as it was before. Imports
whose pieces a later one changed are taken back after that one.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var id int64
			if len(args) == 1 {
				var err error
				if id, err = strconv.ParseInt(args[0], 10, 64); err != nil || id <= 0 {
					return fmt.Errorf("%.40q is no number of an import; `communewatch-collector inventory purchases imports` lists them", args[0])
				}
			}
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				r, err := reg.Paper().Undo(cmd.Context(), id, by, dryRun)
				if errors.Is(err, devices.ErrUnknown) {
					return errors.New("there is no such import to take back; `communewatch-collector inventory purchases imports` lists them, and `purchases remove --phase NAME` removes what was imported before imports were kept")
				}
				if err != nil {
					return err
				}
				goes := "removed"
				would := ""
				if dryRun {
					goes, would = "would be removed", "would be "
				}
				printRemoved(cmd.OutOrStdout(), r, goes)
				fmt.Fprintf(cmd.OutOrStdout(), "import %d of %s: %d pieces %sremoved again, %d %sas they were, %d %sput back\n", r.ID, strings.Join(r.Phases, ", "),
					r.Removed, would, r.Changed, would, r.Added, would)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	byFlag(cmd, &by)
	return cmd
}

func newPurchasesRemove(config *configFlag) *cobra.Command {
	var dryRun bool
	var phase, by string
	cmd := &cobra.Command{
		Use: "remove --phase NAME --by NAME", Short: "Remove a phase with all its pieces; undo takes that back", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if phase == "" {
				return errors.New("give --phase NAME; `communewatch-collector inventory purchases list` lists them")
			}
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				r, err := reg.Paper().RemovePhase(cmd.Context(), phase, by, dryRun)
				if errors.Is(err, devices.ErrUnknown) {
					return fmt.Errorf("there is no phase %q; `communewatch-collector inventory purchases list` lists them", phase)
				}
				if err != nil {
					return err
				}
				printPurchaseImport(cmd.OutOrStdout(), "remove", r, dryRun)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would go")
	cmd.Flags().StringVar(&phase, "phase", "", "the phase's `name`")
	byFlag(cmd, &by)
	return cmd
}

func newPurchasesList(config *configFlag) *cobra.Command {
	var asJSON, pieces bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print the purchase phases, and how much of them was found", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStock(cmd, config, func(_ *registry.Registry, s *stock.Stock) error {
				p, err := s.Purchases(cmd.Context(), stock.Query{})
				if err != nil {
					return err
				}
				if asJSON {
					return program.PrintJSON(cmd.OutOrStdout(), equipment.NewPurchases(p))
				}
				if len(p.Phases) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "no purchases yet; add them with: communewatch-collector inventory purchases import FILE")
					return nil
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				if pieces {
					fmt.Fprintln(tw, "PIECE\tPHASE\tSITE\tITEM\tMODEL\tSERIAL\tDEVICE\tFOUND BY\tSURE")
					for _, u := range p.Units {
						fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f %%\n", u.ID, short(u.Phase), program.Dash(u.Site), program.Dash(short(u.Item)), program.Dash(short(u.Model)),
							program.Dash(u.Serial), program.Dash(u.Device), program.Dash(string(u.Link)), 100*u.Confidence)
					}
					return tw.Flush()
				}
				fmt.Fprintln(tw, "PHASE\tPIECES\tFOUND\tOF THEM WEAK\tNOT FOUND\tVND\tFILE\tIMPORTED\tBY")
				for _, ph := range p.Phases {
					fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", short(ph.Name), ph.Units, ph.Matched, ph.Weak, ph.Unmatched, ph.Price, short(ph.File), seenAt(ph.Imported), short(ph.ImportedBy))
				}
				if err := tw.Flush(); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d devices belong to no known purchase\n", len(p.Unmatched))
				for _, a := range p.Ambiguous {
					fmt.Fprintf(cmd.OutOrStdout(), "serial %s does not tell pieces %s and devices %s apart; link them by hand\n", a.Serial, strings.Join(a.Purchases, ", "), strings.Join(a.Devices, ", "))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&pieces, "pieces", false, "print each piece with the device it is")
	return cmd
}

func newLink(config *configFlag) *cobra.Command {
	var device string
	var l paper.Link
	cmd := &cobra.Command{
		Use: "link --purchase PIECE --device ID [--not] --source DOCUMENT --by NAME", DisableFlagsInUseLine: true,
		Short: "Say which device a bought piece is, or with --not that it is another", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if l.Device, err = parseDevice(device); err != nil {
				return err
			}
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				return changed(reg.Paper().SetLink(cmd.Context(), l), l.Unit+" or "+device)
			})
		},
	}
	cmd.Flags().StringVar(&l.Unit, "purchase", "", "the `PIECE` of `inventory purchases list --pieces`")
	cmd.Flags().StringVar(&device, "device", "", "the device's `ID`")
	cmd.Flags().BoolVar(&l.Not, "not", false, "they are not the same")
	cmd.Flags().StringVar(&l.Source, "source", "", "the `document` that says so")
	byFlag(cmd, &l.By)
	return cmd
}

func newUnlink(config *configFlag) *cobra.Command {
	var unit, by string
	cmd := &cobra.Command{
		Use: "unlink --purchase PIECE --by NAME", DisableFlagsInUseLine: true,
		Short: "Take back what was said of which device a piece is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				return changed(reg.Paper().RemoveLinks(cmd.Context(), unit, by), unit+": nobody says which device it is")
			})
		},
	}
	cmd.Flags().StringVar(&unit, "purchase", "", "the `PIECE`")
	byFlag(cmd, &by)
	return cmd
}

func newCatalogue(config *configFlag) *cobra.Command {
	return program.Group("catalogue", "What makers say of the end of their products", newCatalogueCheck(), newCatalogueImport(config), newCatalogueAdd(config),
		newCatalogueList(config), newCatalogueRetire(config))
}

func newCatalogueCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Report every mistake in a catalogue file", Args: program.Exactly(1, "the file to check"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := readCatalogue(args[0])
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %d rows\n", args[0], len(rows))
			}
			return err
		},
	}
}

func readCatalogue(file string) ([]*lifecycle.Row, error) {
	name, data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return catalogue.Read(name, data)
}

func newCatalogueImport(config *configFlag) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use: "import FILE --by NAME", Short: "Add the rows of a file to the local catalogue, all or none",
		Long: `Add the rows of a file to the local catalogue, all or none. They stand beside those that come with the program: where
the two disagree, both are shown. Rows need the confidence A(local), the document (number and date), who entered them and
when. Rows that are in force already are left out.`,
		Args: program.Exactly(1, "the file to import"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := readCatalogue(args[0])
			if err != nil {
				return err
			}
			return addRows(cmd, config, args[0], rows, by)
		},
	}
	byFlag(cmd, &by)
	return cmd
}

// addRows adds rows that passed the catalogue's own check.
func addRows(cmd *cobra.Command, config *configFlag, file string, rows []*lifecycle.Row, by string) error {
	var problems []inventory.Problem
	list := make([]lifecycle.Row, len(rows))
	for i, r := range rows {
		list[i] = *r
		if !r.Local() {
			problems = append(problems, inventory.Problem{File: file, Row: r.Line, Column: "confidence", Text: fmt.Sprintf("is %q; rows of reviewers have %s, with their document", r.Confidence, catalogue.ConfLocal)})
		}
	}
	if problems != nil {
		return &inventory.ListError{Problems: problems}
	}
	return withRegistry(cmd, config, func(reg *registry.Registry) error {
		ids, err := reg.Paper().AddCatalogueRows(cmd.Context(), list, by)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d rows added, %d in force already\n", len(ids), len(list)-len(ids))
		for _, id := range ids[:min(len(ids), namedAtMost)] {
			fmt.Fprintln(cmd.OutOrStdout(), "  "+id)
		}
		return nil
	})
}

func newCatalogueAdd(config *configFlag) *cobra.Command {
	r := lifecycle.Row{ID: "local-new", Confidence: catalogue.ConfLocal, Notes: map[string]string{}, Line: 1}
	var match, sale, maint, support, reviewed, document, status, minimum string
	cmd := &cobra.Command{
		Use: "add --kind device --vendor NAME --pattern MODEL [--match glob] --end-of-support DAY --document DOC --source LINK --by NAME", DisableFlagsInUseLine: true,
		Short:   "Add one row to the local catalogue, such as what a maker's letter says",
		Example: `  communewatch-collector inventory catalogue add --vendor Polycom --pattern "HDX 7000" --end-of-support 2019-08-31 --document "công văn 12/PLC, 2026-11-02" --by "Nguyễn Thị Lan"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var problems []error
			for _, d := range []struct {
				flag, text string
				into       *inventory.Date
			}{{"end-of-sale", sale, &r.Sale}, {"end-of-maintenance", maint, &r.Maint}, {"end-of-support", support, &r.Support}, {"reviewed-on", reviewed, &r.ReviewedOn}} {
				day, err := inventory.ParseDate(d.text)
				if *d.into = day; err != nil {
					problems = append(problems, fmt.Errorf("--%s: %w", d.flag, err))
				}
			}
			today := inventory.DateOf(time.Now())
			if r.ReviewedOn.IsZero() {
				r.ReviewedOn = today
			}
			r.Match = lifecycle.MatchKind(match)
			r.Notes["document"], r.Notes["entered_on"] = document, today.String()
			if r.Source == "" {
				r.Source = document
			}
			if status != "" {
				r.Notes["status"] = status
			}
			if minimum != "" {
				r.Notes["min_fw"] = minimum
			}
			for _, p := range catalogue.Check([]*lifecycle.Row{&r}) {
				problems = append(problems, fmt.Errorf("--%s: %s", strings.ReplaceAll(p.Column, "_", "-"), p.Text))
			}
			if len(problems) > 0 {
				return errors.Join(problems...)
			}
			return addRows(cmd, config, "", []*lifecycle.Row{&r}, r.By)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Kind, "kind", catalogue.KindDevice, "device, firmware or os")
	flags.StringVar(&r.Vendor, "vendor", "", "the maker")
	flags.StringVar(&r.Pattern, "pattern", "", "the model, or the product and version")
	flags.StringVar(&match, "match", string(lifecycle.MatchExact), "exact, glob (with * and ?), train or range")
	flags.StringVar(&r.Class, "class", "", "its class, such as videoconference")
	flags.StringVar(&sale, "end-of-sale", "", "the `day` its sale ended")
	flags.StringVar(&maint, "end-of-maintenance", "", "the `day` fixes end")
	flags.StringVar(&support, "end-of-support", "", "the `day` support ends")
	flags.StringVar(&reviewed, "reviewed-on", "", "the `day` the source was looked at (default: today)")
	flags.StringVar(&r.Successor, "successor", "", "what replaces it")
	flags.StringVar(&r.Source, "source", "", "a link, or who says it (default: the document)")
	flags.StringVar(&document, "document", "", "the `document`, with number and date")
	flags.StringVar(&status, "status", "", "such as supported, or none-announced when the maker was asked")
	flags.StringVar(&minimum, "min-fw", "", "the lowest safe `version`")
	byFlag(cmd, &r.By)
	return cmd
}

func newCatalogueList(config *configFlag) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Print the local rows", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				p, err := reg.Paper().Read(cmd.Context())
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "ID\tKIND\tVENDOR\tPATTERN\tEND OF SUPPORT\tDOCUMENT\tBY")
				for _, r := range p.Catalogue {
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Kind, short(r.Vendor), short(r.Pattern), program.Dash(r.Support.String()), short(r.Note("document")), short(r.By))
				}
				return tw.Flush()
			})
		},
	}
}

func newCatalogueRetire(config *configFlag) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use: "retire ID --by NAME", Short: "Take a local row out of force; it stays in the audit", Args: program.Exactly(1, "the row's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				return changed(reg.Paper().RetireCatalogueRow(cmd.Context(), args[0], by), args[0])
			})
		},
	}
	byFlag(cmd, &by)
	return cmd
}
