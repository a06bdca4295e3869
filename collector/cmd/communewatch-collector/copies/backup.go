package copies

import (
	"fmt"

	"communewatch/collector"

	"github.com/spf13/cobra"
)

// Backup returns the command backup. config reads the settings.
func Backup(config func() (collector.Config, error)) *cobra.Command {
	return &cobra.Command{
		Use: "backup FOLDER", Short: "Copy registry and measurements into a new folder, while the collector runs or not",
		Example: "  communewatch-collector backup /var/backups/communewatch-2026-11-23",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give the folder to make: %s (found %d arguments)", cmd.UseLine(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config()
			if err != nil {
				return err
			}
			if err := collector.Backup(cmd.Context(), cfg, args[0]); err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "backup complete in", args[0])
			if left := collector.NotInBackup(cfg, args[0]); left != "" {
				fmt.Fprintln(cmd.OutOrStdout(), left)
			}
			return nil
		},
	}
}
