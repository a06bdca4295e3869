// Package onsite is the command that explains a code that somebody reads out from an agent's page for the office.
package onsite

import (
	"fmt"
	"time"

	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/probes/phone"

	"github.com/spf13/cobra"
)

var lights = [...]string{phone.Dark: "not known", phone.Green: "good", phone.Yellow: "poor", phone.Red: "down"}

// New returns the command `onsite`. It asks nobody but the settings, for the zone.
func New(config func() (collector.Config, error), now func() time.Time) *cobra.Command {
	return &cobra.Command{
		Use: "onsite CODE", Short: "Explain a code that is read out from an agent's page for the office",
		Args: program.Exactly(1, "the code, such as s08707-4F7K2Q"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config()
			if err != nil {
				return err
			}
			at := now()
			c, err := phone.Parse(args[0], at)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "site %s, page of %s (%v ago)\nLAN:          %s\nlines:        %s\nmeeting room: %s\n",
				c.Site, c.At.In(cfg.Location()).Format("02/01/2006 15:04"), at.Sub(c.At).Round(time.Minute),
				lights[c.Lights.LAN], lights[c.Lights.Line], lights[c.Lights.Conference])
			return err
		},
	}
}
