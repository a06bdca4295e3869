package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/registry"
	"communewatch/inventory"

	"github.com/spf13/cobra"
)

func newSites(config *configFlag) *cobra.Command {
	return program.Group("sites", "The list of sites", newSitesImport(config), newSitesList(config))
}

func newSitesImport(config *configFlag) *cobra.Command {
	var dryRun bool
	var how inventory.ReadOptions
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Add the sites of a CSV or XLSX list, or change those that are known",
		Long: `Add the sites of a CSV or XLSX list, or change those that are known. It is all or nothing: every mistake in the
list is printed, and one is enough to import none of it. No site is ever removed.`,
		Example: "  communewatch-collector sites import sites.xlsx --dry-run",
		Args:    program.Exactly(1, "the list to import"),
		RunE: func(cmd *cobra.Command, args []string) error {
			how.Warn = func(p inventory.Problem) { fmt.Fprintln(cmd.ErrOrStderr(), "warning:", p) }
			list, err := readSites(args[0], how)
			if err != nil {
				return err
			}
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				result, err := reg.ImportSites(cmd.Context(), list, dryRun)
				if err != nil {
					return fmt.Errorf("import %s: %w", args[0], err)
				}
				printImport(cmd.OutOrStdout(), args[0], result, dryRun)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would change")
	cmd.Flags().BoolVar(&how.Anywhere, "anywhere", false, "allow positions outside Vietnam")
	cmd.Flags().BoolVar(&how.SharedCodes, "shared-codes", false, "allow several sites with one code, as offices of merged communes")
	return cmd
}

// maxSiteList bounds what of a file is read; inventory refuses lists that are smaller already.
const maxSiteList = 64 << 20

func readSites(file string, how inventory.ReadOptions) ([]inventory.Site, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSiteList))
	if err != nil {
		return nil, err
	}
	return how.ReadSites(filepath.Base(file), data)
}

// namedAtMost is how many sites of a kind are named one by one in a summary.
const namedAtMost = 20

func printImport(w io.Writer, file string, r registry.ImportResult, dryRun bool) {
	would := ""
	if dryRun {
		would = "would be "
	}
	fmt.Fprintf(w, "%s: %d %sadded, %d %schanged, %d unchanged\n", file, len(r.Added), would, len(r.Changed), would, r.Unchanged)
	if len(r.Added) <= namedAtMost {
		for _, s := range r.Added {
			fmt.Fprintf(w, "  added    %s\n", called(s))
		}
	}
	if len(r.Changed) <= namedAtMost {
		for _, c := range r.Changed {
			fmt.Fprintf(w, "  changed  %s: %s\n", called(c.Before), strings.Join(differences(c.Before, c.After), ", "))
		}
	}
	if len(r.Missing) == 0 {
		return
	}
	fmt.Fprintf(w, "%d known sites are not in the list; they stay as they are\n", len(r.Missing))
	if len(r.Missing) <= namedAtMost {
		for _, s := range r.Missing {
			fmt.Fprintf(w, "  not in the list  %s\n", called(s))
		}
	}
}

// called is a site as messages call it: s08707 phường Tích Sơn (Vĩnh Yên) from 2025-07-01.
func called(s inventory.Site) string {
	text := s.ID
	if s.Type != "" {
		text += " " + s.Type
	}
	text += " " + s.Name
	if s.Parent != "" {
		text += " (" + s.Parent + ")"
	}
	if !s.ValidFrom.IsZero() {
		text += " from " + s.ValidFrom.String()
	}
	return text
}

func differences(a, b inventory.Site) []string {
	var out []string
	for _, d := range []struct{ what, before, after string }{
		{"name", a.Name, b.Name}, {"type", a.Type, b.Type}, {"code", a.Code, b.Code},
		{"district", a.Parent, b.Parent}, {"district code", a.ParentCode, b.ParentCode},
		{"position", position(a), position(b)},
	} {
		if d.before != d.after {
			out = append(out, fmt.Sprintf("%s %s -> %s", d.what, program.Dash(d.before), program.Dash(d.after)))
		}
	}
	return out
}

func position(s inventory.Site) string {
	if s.Position == nil {
		return ""
	}
	return fmt.Sprint(s.Position.Lat, " ", s.Position.Lon)
}

func newSitesList(config *configFlag) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print the sites as they are called today", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				all, err := reg.Sites(cmd.Context(), time.Now())
				if err != nil {
					return err
				}
				if asJSON {
					return program.PrintJSON(cmd.OutOrStdout(), program.Convert(all, newSiteJSON))
				}
				if len(all) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "there are no sites yet; add them with: communewatch-collector sites import FILE")
					return nil
				}
				return printSites(cmd.OutOrStdout(), all)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printSites(w io.Writer, all []inventory.Site) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tCODE\tTYPE\tNAME\tDISTRICT\tPOSITION\tFROM")
	for _, s := range all {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, program.Dash(s.Code), program.Dash(s.Type), s.Name, program.Dash(s.Parent), program.Dash(position(s)), program.Dash(s.ValidFrom.String()))
	}
	return tw.Flush()
}

type siteJSON struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Code       string   `json:"code"`
	Parent     string   `json:"parent"`
	ParentCode string   `json:"parent_code"`
	Lat        *float64 `json:"lat"` // null with lon: not known
	Lon        *float64 `json:"lon"`
	ValidFrom  *string  `json:"valid_from"` // "2025-07-01"; null: since ever
}

func newSiteJSON(s inventory.Site) siteJSON {
	out := siteJSON{ID: s.ID, Name: s.Name, Type: s.Type, Code: s.Code, Parent: s.Parent, ParentCode: s.ParentCode}
	if s.Position != nil {
		out.Lat, out.Lon = &s.Position.Lat, &s.Position.Lon
	}
	if !s.ValidFrom.IsZero() {
		day := s.ValidFrom.String()
		out.ValidFrom = &day
	}
	return out
}

// convert is never nil, so that an empty list is [] in JSON.
