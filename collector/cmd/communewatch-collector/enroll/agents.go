package enroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/authority"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/fleet"
	"communewatch/collector/registry/agents"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"

	"github.com/spf13/cobra"
)

// NewAgents returns the command agents with all that are below it.
func NewAgents(o program.Access) *cobra.Command {
	var why string
	reason := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().StringVar(&why, "why", "", "for the record, and for the person at the machine")
		return cmd
	}
	return program.Group("agents", "The agents that have an identity of their own", newAgentsList(o),
		newChange(o, "approve", "Let an agent in that waits for it", "approved", func(ctx context.Context, d *agents.Desk, site, agent string) error {
			return d.Approve(ctx, site, agent, "")
		}),
		reason(newChange(o, "reject", "Refuse an agent that waits for approval", "rejected", func(ctx context.Context, d *agents.Desk, site, agent string) error {
			return d.Reject(ctx, site, agent, "", why)
		})),
		reason(newChange(o, "revoke", "Throw an agent out, at once and for good", "revoked", func(ctx context.Context, d *agents.Desk, site, agent string) error {
			return d.Revoke(ctx, site, agent, "", why)
		})),
		newChange(o, "cleared", "Take the mark off an agent of which two machines were seen, after somebody looked", "cleared", func(ctx context.Context, d *agents.Desk, site, agent string) error {
			return d.Cleared(ctx, site, agent, "")
		}))
}

// newChange returns a command that does something to one agent.
func newChange(o program.Access, use, short, done string, do func(ctx context.Context, d *agents.Desk, site, agent string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " SITE AGENT", Short: short, Args: program.Exactly(2, "the site's id and the agent's name, as agents list prints them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return open(cmd, o, func(p opened) error {
				if err := do(p.ctx, p.desk(), args[0], args[1]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s/%s\n", done, args[0], args[1])
				return err
			})
		},
	}
}

// agentJSON is an agent as `agents list --json` prints it. Times that are null never were.
type agentJSON struct {
	Site     string         `json:"site"`
	Agent    string         `json:"agent"`
	State    fleet.State    `json:"state"`
	Machine  enroll.Machine `json:"machine"`
	Code     string         `json:"code"` // that it came with
	Asked    *time.Time     `json:"asked"`
	Approved *time.Time     `json:"approved"`
	Revoked  *time.Time     `json:"revoked"`
	By       string         `json:"by"`
	Why      string         `json:"why"`
	Serial   string         `json:"serial"`
	Issued   *time.Time     `json:"issued"`
	Expires  *time.Time     `json:"expires"`
	Clone    *time.Time     `json:"clone"`
	CloneWhy string         `json:"clone_why"`
	Heard    *time.Time     `json:"heard"`
	Stopped  *time.Time     `json:"stopped"`

	Presence *presence.Presence `json:"presence"`
}

func newAgentsList(o program.Access) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print the agents, those that wait for approval and those that were thrown out too", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return open(cmd, o, func(p opened) error {
				all, err := p.desk().Agents(p.ctx)
				if err != nil {
					return err
				}
				if asJSON {
					out := make([]agentJSON, len(all))
					for i, a := range all {
						out[i] = agentJSON{a.Site, a.Agent, a.State, a.Machine, a.Code, given(a.Asked), given(a.Approved), given(a.Revoked), a.By, a.Why, a.Serial,
							given(a.Issued), given(a.Expires), given(a.Clone), a.CloneWhy, given(a.Heard), given(a.Stopped), a.Presence}
					}
					return program.PrintJSON(cmd.OutOrStdout(), out)
				}
				if len(all) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "no agent has enrolled yet; make a join code with: communewatch-collector enroll create --site ID")
					return nil
				}
				return printAgents(cmd.OutOrStdout(), all, p.cfg.Location())
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printAgents(w io.Writer, all []fleet.Agent, zone *time.Location) error {
	at := func(t time.Time, layout string) string {
		if t.IsZero() {
			return "-"
		}
		return t.In(zone).Format(layout)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SITE\tAGENT\tSTATE\tHOST\tSYSTEM\tVERSION\tHEARD\tCERTIFICATE UNTIL\tREMARKS")
	for _, a := range all {
		machine := a.Machine
		if a.Presence != nil {
			machine = a.Presence.Machine
		}
		remarks := a.Why
		switch {
		case !a.Clone.IsZero():
			remarks = "TWO MACHINES: " + a.CloneWhy
		case !a.Stopped.IsZero():
			remarks = "stopped (" + string(a.Presence.Reason) + ")"
		}
		if remarks == "" && a.State == fleet.StateActive && a.Serial == "" {
			remarks = "let in; its machine has not come for the certificate yet"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.Site, a.Agent, a.State, cmp.Or(machine.Host, "-"), cmp.Or(machine.System, "-"), cmp.Or(machine.Version, "-"),
			at(a.Heard, minute), at(a.Expires, time.DateOnly), cmp.Or(remarks, "-"))
	}
	return tw.Flush()
}

// NewAuthority returns the command authority with all that are below it.
func NewAuthority(o program.Access) *cobra.Command {
	var force bool
	forced := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().BoolVar(&force, "force", false, "also where agents are left behind, that then need a visit")
		return cmd
	}
	return program.Group("authority", "Who vouches for the collector and its agents; changed in three steps: announce, switch, retire", newAuthorityShow(o),
		newStep(o, "announce", "Make the next authority and let agents hear of it", func(p opened, a *authority.Authority) (string, error) {
			pin, err := a.Announce()
			return fmt.Sprintf("announced %s; switch to it when agents have heard of it (authority show)", pin), err
		}),
		forced(newStep(o, "switch", "Let the announced authority sign from now on", func(p opened, a *authority.Authority) (string, error) {
			return "the next authority signs from now on; retire the former one when agents have renewed their certificates", hint(a.Switch(p.ctx, force))
		})),
		forced(newStep(o, "retire", "Trust the former authority no more", func(p opened, a *authority.Authority) (string, error) {
			return "the former authority is trusted no more", hint(a.Retire(p.ctx, force))
		})))
}

func hint(err error) error {
	if errors.Is(err, authority.ErrNotReady) {
		return fmt.Errorf("%w; wait, or go on without them with --force", err)
	}
	return err
}

// newStep returns a command that changes the authority, and records it.
func newStep(o program.Access, use, short string, do func(p opened, a *authority.Authority) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return open(cmd, o, func(p opened) error {
				a, err := p.authority()
				if err != nil {
					return err
				}
				text, err := do(p, a)
				entry := audit.Entry{Act: "authority." + use, What: a.Fleet().String(), OK: err == nil}
				if err := errors.Join(err, p.reg.People().Record(p.ctx, entry)); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
				return err
			})
		},
	}
}

func newAuthorityShow(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Print the authorities that agents are told to believe", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return open(cmd, o, func(p opened) error {
				a, err := p.authority()
				if err != nil {
					return err
				}
				out := cmd.OutOrStdout()
				fmt.Fprintf(out, "fleet %s\n", a.Fleet())
				tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "PIN\tSTANDING\tSINCE\tUNTIL")
				for _, one := range a.List() {
					standing, since := string(one.Standing), one.Since.Local().Format(time.DateOnly)
					if one.Outside {
						standing, since = "of tls.ca_file", "-"
					}
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", one.Pin, standing, since, one.Expires.Local().Format(time.DateOnly))
				}
				if err := tw.Flush(); err != nil {
					return err
				}
				lacking, err := a.Lacking(p.ctx)
				if err != nil {
					return err
				}
				if len(lacking) > 0 {
					fmt.Fprintf(out, "%d agents have not heard of the next one yet:\n", len(lacking))
					for _, name := range lacking {
						fmt.Fprintln(out, " ", name)
					}
				}
				return nil
			})
		},
	}
}
