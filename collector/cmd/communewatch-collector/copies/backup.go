package copies

import (
	"fmt"
	"path/filepath"

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
			dir, err := filepath.Abs(args[0]) // what is left to do may be done from elsewhere, by another user
			if err != nil {
				return err
			}
			if err := collector.Backup(cmd.Context(), cfg, dir); err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "backup complete in", dir)
			if left := collector.NotInBackup(cfg, dir); left != "" {
				fmt.Fprintln(cmd.OutOrStdout(), left)
			}
			return nil
		},
	}
}
