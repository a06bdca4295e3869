// Package clocks is the command line's part of the collector's own clock: how it stands with it, and a person's word that
// it is right.
package clocks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"communewatch/collector"
	"communewatch/collector/clock"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/people"

	"github.com/spf13/cobra"
)

// New returns the command clock with what is below it.
func New(o program.Access) *cobra.Command {
	status := &cobra.Command{
		Use: "status", Short: "Say whether the running collector believes this machine's clock", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd, o, func(ctx context.Context, client *http.Client, zone *time.Location) error {
				d, err := clock.Status(ctx, client)
				if err == nil {
					say(cmd.OutOrStdout(), d, zone)
				}
				return err
			})
		},
	}
	confirm := &cobra.Command{
		Use: "confirm", Short: "Tell the running collector that this machine's clock is right", Args: cobra.NoArgs,
		Long: `Tell the running collector that this machine's clock is right. Compare it with another clock first: what is older than it
is kept goes by it, and results are filed under it. docs/collector.md says when a clock is not believed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd, o, func(ctx context.Context, client *http.Client, zone *time.Location) error {
				d, err := clock.Confirm(ctx, client, people.From(program.As(ctx)).Name)
				switch {
				case err != nil:
					return err
				case d == nil:
					fmt.Fprintln(cmd.OutOrStdout(), "the clock was not in doubt")
				default:
					fmt.Fprintf(cmd.OutOrStdout(), "the collector goes by this clock again: %s\n", moment(d.Machine, zone))
				}
				return nil
			})
		},
	}
	group := program.Group("clock", "Whether the collector believes this machine's clock", status, confirm)
	group.RunE = status.RunE
	return group
}

func with(cmd *cobra.Command, o program.Access, do func(ctx context.Context, client *http.Client, zone *time.Location) error) error {
	cfg, err := o.Config()
	if err != nil {
		return err
	}
	client := collector.Socket(cfg)
	defer client.CloseIdleConnections()
	if err = do(cmd.Context(), client, cfg.Location()); collector.NotRunning(err) {
		return errors.New("no collector runs with these settings; it looks at the clock when it starts")
	}
	return err
}

func say(w io.Writer, d *clock.Doubt, zone *time.Location) {
	if d == nil {
		fmt.Fprintln(w, "the clock is believed")
		return
	}
	fmt.Fprintf(w, "the clock is NOT believed; nothing is taken in or removed by it\n  this machine says      %s\n  known to have passed   %s\n", moment(d.Machine, zone), moment(d.Believed, zone))
	if !d.Agents.IsZero() {
		fmt.Fprintf(w, "  agents say             %s (%d sites agree with this machine, %d don't)\n", moment(d.Agents, zone), d.Agree, d.Differ)
	}
	wait := "wait for agents to confirm it, or "
	if d.Far {
		wait = ""
	}
	fmt.Fprintf(w, "set this machine's clock right; if it is, %ssay so: communewatch-collector clock confirm\n", wait)
}

func moment(t time.Time, zone *time.Location) string { return t.In(zone).Format("02/01/2006 15:04") }
