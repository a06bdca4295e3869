package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"communewatch/agent"
	"communewatch/agent/cmd/communewatch-agent/call"
	"communewatch/agent/cmd/communewatch-agent/exit"
	"communewatch/probes"

	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check --config FILE", Short: "Run every check of a settings file once and show the results", Args: cobra.NoArgs,
		Long: "Run every check of a settings file once and show the results. Nothing is sent.\n\n" +
			"The exit code is 0 if all checks are up, 1 if any is not, and 2 if the settings file is wrong.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agent.ReadConfig(file)
			if err != nil {
				return exit.Own(err)
			}
			results, err := agent.Once(cmd.Context(), cfg, agent.Options{Log: slog.New(slog.DiscardHandler), Version: versionText(), Child: call.Process()})
			if err != nil {
				return exit.Own(err)
			}
			if asJSON {
				list := make([]report, len(results))
				for i, r := range results {
					list[i] = newReport(r)
				}
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(list)
			} else {
				err = printTable(cmd.OutOrStdout(), results)
			}
			if err != nil {
				return fmt.Errorf("print results: %w", err)
			}
			for _, r := range results {
				if r.Outcome != probes.OutcomeOK {
					return exit.Silent(exit.CodeNotUp)
				}
			}
			return nil
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, one object per check")
	return cmd
}
