// Package user is the command line's part of people: accounts, links that work once, API keys (`user`), and the record of
// who changed what (`audit`). It works beside a running collector, which sees each change with the next request. Whoever
// can open the registry's file may do everything; the record has the name of the operating system's user.
package user

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector/authority"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/people"
	"communewatch/collector/people/password"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/people"
	"communewatch/inventory"

	"github.com/spf13/cobra"
)

// New returns the command user with all that are below it.
func New(o program.Access) *cobra.Command {
	return program.Group("user", "Who may sign in, and what they may do",
		newAdd(o), newList(o), newSet(o), newDisable(o, true), newDisable(o, false), newPassword(o), newLink(o), newSignOut(o),
		program.Group("keys", "API keys, with which programs do what people may", newKeyCreate(o), newKeyList(o), newKeyRevoke(o)))
}

// with runs do on the accounts, in the name of who types.
func with(o program.Access, cmd *cobra.Command, do func(ctx context.Context, s *kept.Store) error) error {
	return o.Registry(cmd, func(reg *registry.Registry) error { return do(program.As(cmd.Context()), reg.People()) })
}

// spell writes districts as the list of sites does: one that is written otherwise would match no site.
func spell(o program.Access, cmd *cobra.Command, list []string) error {
	if len(list) == 0 {
		return nil
	}
	known := map[string]string{}
	err := o.Registry(cmd, func(reg *registry.Registry) error {
		sites, err := reg.Sites(cmd.Context(), time.Now())
		for _, s := range sites {
			if s.Parent != "" {
				known[inventory.Fold(s.Parent)] = s.Parent
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(known) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: no site has a district yet; the account sees something once sites come whose district is written just like that")
		return nil
	}
	for i, d := range list {
		real := known[inventory.Fold(d)]
		if real == "" {
			return fmt.Errorf("no site is in the district %q; there are: %s", d, strings.Join(slices.Sorted(maps.Values(known)), ", "))
		}
		list[i] = real
	}
	return nil
}

// link makes a link that works once and prints it.
func link(o program.Access, cmd *cobra.Command, ctx context.Context, s *kept.Store, name string) error {
	cfg, err := o.Config()
	if err != nil {
		return err
	}
	secret, err := s.CreateLink(ctx, name)
	if err != nil {
		return err
	}
	at := "https://(the collector's address)"
	if all := cfg.Reach().AgentAddresses(); len(all) > 0 {
		at = all[0]
	}
	if cfg.TLS.Mode == authority.ModeOff {
		at = "http://" + strings.TrimPrefix(strings.TrimPrefix(at, "https://"), "http://")
		if strings.HasPrefix(cfg.Listen, "127.") || strings.HasPrefix(cfg.Listen, "localhost") {
			at = "http://" + cfg.Listen
		}
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "this link works once, within 24 hours; hand it over by a way that only its owner reads:")
	_, err = fmt.Fprintln(cmd.OutOrStdout(), at+"/first/"+secret) // alone, so that a script can take it
	return err
}

// readPassword reads a password from the first line of the standard input.
func readPassword(cmd *cobra.Command, name string) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	chosen := strings.TrimRight(line, "\r\n")
	if err := password.Check(chosen, name); err != nil {
		return "", err
	}
	return password.New(password.DefaultCost(), 1).Hash(cmd.Context(), chosen)
}

func roleFlag(cmd *cobra.Command, role *string, otherwise string) {
	cmd.Flags().StringVar(role, "role", otherwise, "viewer, operator, procurement or admin (docs/people.md says what each may do)")
}

func newAdd(o program.Access) *cobra.Command {
	var p kept.Person
	var role string
	var stdin bool
	cmd := &cobra.Command{
		Use: "add NAME --role ROLE", Short: "Make an account, and print the link with which its owner chooses a password",
		Example: `  communewatch-collector user add lan --role operator --display "Nguyễn Thị Lan"
  communewatch-collector user add hung --role viewer --district "Vĩnh Yên" --district "Phúc Yên"`,
		Args: program.Exactly(1, "the name to sign in with"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.Name, p.Role = args[0], people.Role(role)
			hash := ""
			if stdin {
				var err error
				if hash, err = readPassword(cmd, p.Name); err != nil {
					return err
				}
				p.MustChange = true
			}
			if !cmd.Flags().Changed("district") {
				p.Districts = nil
			}
			if err := spell(o, cmd, p.Districts); err != nil {
				return err
			}
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
				if err := s.Add(ctx, p, hash); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "account %s (%s) made\n", p.Name, p.Role)
				if p.SSO || stdin {
					return nil
				}
				return link(o, cmd, ctx, s, p.Name)
			})
		},
	}
	roleFlag(cmd, &role, string(people.RoleViewer))
	cmd.Flags().StringVar(&p.Display, "display", "", "the person's full `name`")
	cmd.Flags().StringArrayVar(&p.Districts, "district", nil, "sees the sites of this `district` only; may be given several times (default: all)")
	cmd.Flags().BoolVar(&p.SSO, "sso", false, "signs in with the province's own sign-on, by the same name")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read a first password from the standard input; it has to be changed at the first sign-in")
	return cmd
}

// minute writes a time as listings do.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

func districts(list []string) string {
	if list == nil {
		return "all"
	}
	return strings.Join(list, ", ")
}

func newList(o program.Access) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print all accounts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
				all, err := s.All(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					out := make([]personJSON, len(all))
					for i, p := range all {
						out[i] = personJSON{p.Name, p.Display, p.Role, p.Districts, p.Password, p.SSO, p.Created, p.CreatedBy, known(p.SignedIn), known(p.Disabled)}
					}
					return program.PrintJSON(cmd.OutOrStdout(), out)
				}
				if len(all) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "there are no accounts yet; `communewatch-collector user link` makes a link for the first administrator")
					return nil
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "NAME\tROLE\tDISTRICTS\tSIGNS IN WITH\tLAST SIGN-IN\tDISABLED\tFULL NAME")
				for _, p := range all {
					by := "nothing yet"
					switch {
					case p.Password && p.SSO:
						by = "password, sign-on"
					case p.Password:
						by = "password"
					case p.SSO:
						by = "sign-on"
					}
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.Role, districts(p.Districts), by, minute(p.SignedIn), minute(p.Disabled), cmp.Or(p.Display, "-"))
				}
				return tw.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type personJSON struct {
	Name      string      `json:"name"`
	Display   string      `json:"display"`
	Role      people.Role `json:"role"`
	Districts []string    `json:"districts"` // null: all
	Password  bool        `json:"password"`  // has one
	SSO       bool        `json:"sso"`
	Created   time.Time   `json:"created"`
	CreatedBy string      `json:"created_by"`
	SignedIn  *time.Time  `json:"signed_in"` // null: never
	Disabled  *time.Time  `json:"disabled"`  // null: may sign in
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func newSet(o program.Access) *cobra.Command {
	var display, role string
	var list []string
	var everywhere, sso bool
	cmd := &cobra.Command{
		Use: "set NAME [--role ROLE] [--display NAME] [--district NAME | --everywhere] [--sso]", DisableFlagsInUseLine: true,
		Short: "Change an account; it acts with the person's next click", Args: program.Exactly(1, "the account's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var change kept.Change
			flags := cmd.Flags()
			if flags.Changed("display") {
				change.Display = &display
			}
			if flags.Changed("role") {
				r := people.Role(role)
				change.Role = &r
			}
			switch {
			case everywhere && flags.Changed("district"):
				return errors.New("--district and --everywhere exclude each other")
			case everywhere:
				change.Districts = new([]string)
			case flags.Changed("district"):
				if err := spell(o, cmd, list); err != nil {
					return err
				}
				change.Districts = &list
			}
			if change == (kept.Change{}) && !flags.Changed("sso") {
				return errors.New("say what to change: --role, --display, --district, --everywhere or --sso")
			}
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
				if change != (kept.Change{}) {
					if err := s.Set(ctx, args[0], change); err != nil {
						return err
					}
				}
				if flags.Changed("sso") {
					if err := s.AllowSSO(ctx, args[0], sso); err != nil {
						return err
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "account %s changed\n", args[0])
				return nil
			})
		},
	}
	roleFlag(cmd, &role, "")
	cmd.Flags().StringVar(&display, "display", "", "the person's full `name`")
	cmd.Flags().StringArrayVar(&list, "district", nil, "sees the sites of this `district` only; may be given several times")
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "sees all sites")
	cmd.Flags().BoolVar(&sso, "sso", false, "may sign in with the province's own sign-on, by the same name; --sso=false takes it back")
	return cmd
}

func newDisable(o program.Access, disable bool) *cobra.Command {
	cmd := &cobra.Command{Use: "disable NAME", Short: "Let nobody sign in with an account any more, and end its sessions and keys at once"}
	if !disable {
		cmd = &cobra.Command{Use: "enable NAME", Short: "Let an account be used again"}
	}
	cmd.Args = program.Exactly(1, "the account's name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
			if err := s.Set(ctx, args[0], kept.Change{Disabled: &disable}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "account %s is %sd\n", args[0], strings.TrimSuffix(strings.Fields(cmd.Use)[0], "d"))
			return nil
		})
	}
	return cmd
}

func newPassword(o program.Access) *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use: "password NAME", Short: "Print a link with which somebody chooses a new password",
		Long: `Print a link with which somebody chooses a new password. The old one works until then. With --stdin a password is read
from the standard input instead; it works at once, ends the account's sessions, and has to be changed at the next sign-in.`,
		Args: program.Exactly(1, "the account's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			hash := ""
			if stdin {
				var err error
				if hash, err = readPassword(cmd, args[0]); err != nil {
					return err
				}
			}
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
				if !stdin {
					return link(o, cmd, ctx, s, args[0])
				}
				if err := s.SetPassword(ctx, args[0], hash, true, ""); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "password of %s set; it has to be changed at the next sign-in\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&stdin, "stdin", false, "read the password from the standard input")
	return cmd
}

func newLink(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "link", Short: "Print a link that makes an administrator: the first one, or when nobody knows a password any more", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error { return link(o, cmd, ctx, s, "") })
		},
	}
}

func newSignOut(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "sign-out NAME", Short: "End all sessions of somebody", Args: program.Exactly(1, "the account's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
				if _, err := s.Person(ctx, args[0]); err != nil {
					return err
				}
				return s.EndAll(ctx, args[0], "")
			})
		},
	}
}

func newKeyCreate(o program.Access) *cobra.Command {
	var k kept.Key
	var role string
	var valid time.Duration
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make an API key of an account; it is printed this once and kept only as a hash",
		Example: `  communewatch-collector user keys create lan --role viewer --note "grafana" --valid 365d
  sudo cat /var/lib/communewatch-collector/authority/roots.pem > roots.pem    # whom to believe, where tls.mode is own
  curl --cacert roots.pem -H "Authorization: Bearer $KEY" https://collector:8787/api/v1/sites`,
		Args: program.Exactly(1, "the account that it belongs to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k.Person, k.Role, k.Expires = args[0], people.Role(role), time.Now().Add(valid)
			if !cmd.Flags().Changed("district") {
				k.Districts = nil
			}
			if err := spell(o, cmd, k.Districts); err != nil {
				return err
			}
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
				secret, made, err := s.CreateKey(ctx, k)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "API key %s of %s made, good until %s; this is the only time it is shown:\n", made.ID, made.Person, minute(made.Expires))
				_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
				return err
			})
		},
	}
	roleFlag(cmd, &role, string(people.RoleViewer))
	cmd.Flags().StringArrayVar(&k.Districts, "district", nil, "sees the sites of this `district` only; may be given several times (default: all that the account sees)")
	cmd.Flags().StringVar(&k.Note, "note", "", "for people: where it is used")
	valid = 365 * 24 * time.Hour
	cmd.Flags().Var(program.Span{Of: &valid}, "valid", "how long it is good for, such as 90d, at most two years")
	return cmd
}

func newKeyList(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "list [NAME]", Short: "Print API keys, without their secrets", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
				all, err := s.Keys(ctx, strings.Join(args, ""))
				if err != nil {
					return err
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "ID\tOF\tROLE\tDISTRICTS\tCREATED\tEXPIRES\tLAST USED\tREVOKED\tNOTE")
				for _, k := range all {
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Person, k.Role, districts(k.Districts),
						minute(k.Created), minute(k.Expires), minute(k.LastUsed), minute(k.Revoked), cmp.Or(k.Note, "-"))
				}
				return tw.Flush()
			})
		},
	}
}

func newKeyRevoke(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End an API key for good, at once", Args: program.Exactly(1, "the key's ID, of keys list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error { return s.RevokeKey(ctx, args[0], "") })
		},
	}
}

// oldestFirst turns the record's order around.
func oldestFirst[T any](list []T) []T {
	slices.Reverse(list)
	return list
}
