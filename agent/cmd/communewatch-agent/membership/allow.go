package membership

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"communewatch/agent/allow"

	"github.com/spf13/cobra"
)

// newAllow returns the command allow with what is below it.
func newAllow() *cobra.Command {
	group := &cobra.Command{
		Use: "allow", Short: "What checks from the collector may speak to, beside private networks and what the settings allow",
		Long: "What checks from the collector may speak to, beside private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10,\n" +
			"fc00::/7), or allow.addresses of the settings in their place. communewatch-agent enroll --allow says it as a machine joins.",
		Args: cobra.NoArgs, // so that a mistyped command is an error
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(
		changeAllow("show", "Show what this machine allows", cobra.NoArgs, nil),
		changeAllow("add PREFIX...", "Let checks from the collector speak to addresses or prefixes", cobra.MinimumNArgs(1), func(list, named []netip.Prefix) ([]netip.Prefix, error) {
			return append(list, slices.DeleteFunc(named, func(p netip.Prefix) bool { return slices.Contains(list, p) })...), nil
		}),
		changeAllow("remove PREFIX...", "Let them no more", cobra.MinimumNArgs(1), func(list, named []netip.Prefix) ([]netip.Prefix, error) {
			for _, p := range named {
				i := slices.Index(list, p)
				if i < 0 {
					return nil, fmt.Errorf("%s is not among them; `communewatch-agent allow show` lists them", p)
				}
				list = slices.Delete(list, i, i+1)
			}
			return list, nil
		}))
	return group
}

// changeAllow returns a command that changes the list, unless change is nil, and shows it.
func changeAllow(use, short string, args cobra.PositionalArgs, change func(list, named []netip.Prefix) ([]netip.Prefix, error)) *cobra.Command {
	var at place
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			named, err := allow.Parse(args)
			if err != nil {
				return err
			}
			dir, err := at.folder()
			if err != nil {
				return err
			}
			list, err := allow.Kept(dir)
			switch {
			case change == nil:
			case err != nil && !errors.Is(err, os.ErrPermission):
				list, err = nil, nil // what is damaged is said again
				fallthrough
			case err == nil:
				if list, err = change(list, named); err == nil {
					err = allow.Keep(dir, list)
				}
			}
			if errors.Is(err, os.ErrPermission) {
				return fmt.Errorf("%w; run this command as root (Windows: as administrator), or name another folder with --state-dir", err)
			}
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, p := range list {
				fmt.Fprintln(out, p)
			}
			if len(list) == 0 {
				fmt.Fprintln(out, "nothing beside private networks and what the settings allow")
			}
			if change != nil {
				fmt.Fprintln(out, "restart the agent, so that it keeps to that")
			}
			return nil
		},
	}
	at.flags(cmd)
	return cmd
}
