package main

import (
	"fmt"
	"text/tabwriter"

	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/registry"
	"communewatch/collector/registry/paper"

	"github.com/spf13/cobra"
)

func newOffice(config *configFlag) *cobra.Command {
	return program.Group("site", "What people know of an office: how many people the norms count there", newOfficeSet(config), newOfficeWithdraw(config), newOfficeList(config))
}

func newOfficeSet(config *configFlag) *cobra.Command {
	var o paper.Office
	cmd := &cobra.Command{
		Use: "set --site ID --fact NAME --value NUMBER --source DOCUMENT --by NAME", DisableFlagsInUseLine: true,
		Short: "Say how many people work at an office, so that what it has can be held against the norms",
		Long: `Say how many people work at an office, so that what it has can be held against the norms (rule L04). What the office has
is counted from the inventory: everything of the kind that was seen in the last 30 days, or is on paper alone.`,
		Example: `  communewatch-collector inventory site set --site s08707 --fact staff --value 14 --source "quyết định biên chế 5/QĐ-UBND, 2026-01-15" --by "Nguyễn Thị Lan"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				if err := reg.Paper().SayOffice(cmd.Context(), o); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s is %d (%s, %s)\n", o.Site, o.Name, o.Value, o.Source, o.By)
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Site, "site", "", "the office (an `ID` of sites list)")
	flags.StringVar(&o.Name, "fact", paper.SaysStaff, officeNames())
	flags.IntVar(&o.Value, "value", 0, "the `NUMBER` of people")
	flags.StringVar(&o.Source, "source", "", "the `document` that says so, with number and date")
	byFlag(cmd, &o.By)
	return cmd
}

// officeNames is what can be said of an office, as a flag's help.
func officeNames() string {
	out := "`NAME` of what is said:"
	for _, s := range paper.OfficeSayings() {
		out += " " + s.Name + " (" + s.Doc + ");"
	}
	return out[:len(out)-1]
}

func newOfficeWithdraw(config *configFlag) *cobra.Command {
	var site, name, by string
	cmd := &cobra.Command{
		Use: "withdraw --site ID --fact NAME --by NAME", DisableFlagsInUseLine: true,
		Short: "Take back what was said of an office; it stays in the audit", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				return changed(reg.Paper().WithdrawOffice(cmd.Context(), site, name, by), site+": nobody says anything of "+name)
			})
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "the office")
	cmd.Flags().StringVar(&name, "fact", paper.SaysStaff, "what")
	byFlag(cmd, &by)
	return cmd
}

func newOfficeList(config *configFlag) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Print what is said of offices", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				p, err := reg.Paper().Read(cmd.Context())
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "SITE\tFACT\tVALUE\tDOCUMENT\tBY\tWRITTEN")
				for _, o := range p.Offices {
					fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\n", o.Site, o.Name, o.Value, short(o.Source), short(o.By), seenAt(o.At))
				}
				return tw.Flush()
			})
		},
	}
}
