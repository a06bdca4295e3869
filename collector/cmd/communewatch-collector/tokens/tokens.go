// Package tokens is the command line's part of tokens: those of writers, of agents without an identity, and of operators.
package tokens

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/registry"

	"github.com/spf13/cobra"
)

// New returns the command `token`.
func New(access program.Access) *cobra.Command {
	return program.Group("token", "The tokens of those who may write", create(access), list(access), revoke(access))
}

func create(access program.Access) *cobra.Command {
	var t registry.Token
	var writer bool
	var kind string
	var sites []string
	cmd := &cobra.Command{
		Use: "create (--site ID [--agent NAME] | --writer [--site ID]... [--measurement NAME]... | --kind operator)", DisableFlagsInUseLine: true,
		Short: "Make a token; it is printed this once and kept only as a hash",
		Example: `  communewatch-collector token create --site s08707 --note "PC at the office"
  communewatch-collector token create --writer --note "telegraf on the file server"
  communewatch-collector token create --writer --site s08707 --site s08710 --measurement cpu --measurement "disk*"
  communewatch-collector token create --kind operator --note "Lan, technical department"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.Kind = registry.TokenKind(kind); writer {
				t.Kind = registry.KindWriter
			}
			if t.Sites = sites; len(sites) == 1 {
				t.Site, t.Sites = sites[0], nil
			}
			switch {
			case t.Kind == registry.KindAgent && len(sites) > 1:
				return errors.New("an agent's token is for one site; give --site once, or --writer for another program")
			case t.Kind == registry.KindWriter && t.Agent != "":
				return errors.New("--agent is for agents' tokens; leave it out, or leave out --writer")
			case t.Kind == registry.KindAgent && t.Site == "":
				return errors.New("give --site ID for a site's agent, --writer for another program such as Telegraf, or --kind operator for who starts rehearsals")
			}
			return access.Registry(cmd, func(reg *registry.Registry) error {
				secret, made, err := reg.CreateToken(cmd.Context(), t)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "token %s made; this is the only time it is shown:\n", made.ID)
				_, err = fmt.Fprintln(cmd.OutOrStdout(), secret) // alone, so that a script can take it
				return err
			})
		},
	}
	cmd.Flags().StringArrayVar(&sites, "site", nil, "the site that it writes for (an `ID` of sites list); a writer may have several, and then each line has to name one in its tag site")
	cmd.Flags().StringArrayVar(&t.Measurements, "measurement", nil, "a `NAME` that a writer may write, or its beginning and *; may be given again (default: any)")
	cmd.Flags().StringVar(&t.Agent, "agent", "", "the one agent that may use it (default: any agent of the site)")
	cmd.Flags().BoolVar(&writer, "writer", false, "for measurements of another program, which are stored and not judged")
	cmd.Flags().StringVar(&kind, "kind", string(registry.KindAgent), "agent, writer (as --writer) or operator: a person who starts and stops rehearsals on the screens, and does nothing else")
	cmd.Flags().StringVar(&t.Note, "note", "", "for people: where it is used")
	return cmd
}

func list(access program.Access) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print all tokens, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return access.Registry(cmd, func(reg *registry.Registry) error {
				all, err := reg.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return program.PrintJSON(cmd.OutOrStdout(), program.Convert(all, newTokenJSON))
				}
				if len(all) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "there are no tokens yet; make one with: communewatch-collector token create --site ID")
					return nil
				}
				return printTokens(cmd.OutOrStdout(), all)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printTokens(w io.Writer, all []registry.Token) error {
	minute := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Local().Format("2006-01-02 15:04")
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tKIND\tSITE\tMEASUREMENTS\tAGENT\tCREATED\tLAST USED\tREVOKED\tNOTE")
	for _, t := range all {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Kind, program.Dash(cmp.Or(t.Site, strings.Join(t.Sites, ","))), program.Dash(strings.Join(t.Measurements, ",")), program.Dash(t.Agent),
			minute(t.Created), minute(t.LastUsed), minute(t.Revoked), program.Dash(t.Note))
	}
	return tw.Flush()
}

type tokenJSON struct {
	ID       string             `json:"id"`
	Kind     registry.TokenKind `json:"kind"`
	Site     string             `json:"site"`                   // "": a writer that belongs to no site, or an operator
	Sites    []string           `json:"sites,omitempty"`        // of a writer with several
	Measures []string           `json:"measurements,omitempty"` // that a writer is restricted to
	Agent    string             `json:"agent"`                  // "": any agent of the site
	Note     string             `json:"note"`
	Created  time.Time          `json:"created"`
	LastUsed *time.Time         `json:"last_used"` // null: never
	Revoked  *time.Time         `json:"revoked"`   // null: in force
}

func newTokenJSON(t registry.Token) tokenJSON {
	out := tokenJSON{ID: t.ID, Kind: t.Kind, Site: t.Site, Sites: t.Sites, Measures: t.Measurements, Agent: t.Agent, Note: t.Note, Created: t.Created}
	if !t.LastUsed.IsZero() {
		out.LastUsed = &t.LastUsed
	}
	if !t.Revoked.IsZero() {
		out.Revoked = &t.Revoked
	}
	return out
}

func revoke(access program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Refuse a token from now on, for good", Args: program.Exactly(1, "the token's id, as token list prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return access.Registry(cmd, func(reg *registry.Registry) error {
				if err := reg.RevokeToken(cmd.Context(), args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "revoked", args[0])
				return err
			})
		},
	}
}
