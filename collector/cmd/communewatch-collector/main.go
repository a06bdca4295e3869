// Command communewatch-collector is the centre of the fleet: agents report to it, people watch the map it serves. It
// holds flags, files and signals; everything else is in package collector and the rooms below it. See
// docs/collector.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"communewatch/collector"
	"communewatch/collector/authority"
	"communewatch/collector/cmd/communewatch-collector/alone"
	"communewatch/collector/cmd/communewatch-collector/clocks"
	"communewatch/collector/cmd/communewatch-collector/copies"
	"communewatch/collector/cmd/communewatch-collector/enroll"
	"communewatch/collector/cmd/communewatch-collector/influxdb"
	"communewatch/collector/cmd/communewatch-collector/lines"
	"communewatch/collector/cmd/communewatch-collector/onsite"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/cmd/communewatch-collector/rehearse"
	"communewatch/collector/cmd/communewatch-collector/release"
	"communewatch/collector/cmd/communewatch-collector/rollups"
	"communewatch/collector/cmd/communewatch-collector/tokens"
	"communewatch/collector/cmd/communewatch-collector/user"
	"communewatch/collector/cmd/communewatch-collector/work"
	"communewatch/collector/registry"
	"communewatch/inventory"
	"communewatch/probes/settings"
	"communewatch/probes/systemd"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=...".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs the command line and returns its exit code: 0, or 1 when anything went wrong.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var badSettings *settings.Error
	var badList *inventory.ListError
	if errors.As(err, &badSettings) || errors.As(err, &badList) {
		fmt.Fprintln(stderr, err) // one mistake per line, each with its file
	} else {
		fmt.Fprintf(stderr, "communewatch-collector: %v\n", err)
	}
	return 1
}

// defaultConfigFile is where packages put the settings.
const defaultConfigFile = "/etc/communewatch/collector.yaml"

// configFlag is the flag --config, which all commands share.
type configFlag struct{ file string }

func (f *configFlag) read() (collector.Config, error) {
	cfg, err := collector.ReadConfig(f.file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; name the settings file with --config FILE", err)
	}
	return cfg, err
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "communewatch-collector",
		Short:         "Collects what the sites' agents measure, judges it and shows it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	var config configFlag
	root.PersistentFlags().StringVar(&config.file, "config", defaultConfigFile, "settings `file`")
	open := func(cmd *cobra.Command, do func(*registry.Registry) error) error {
		return withRegistry(cmd, &config, do)
	}
	access := program.Access{Config: config.read, Registry: open}
	root.AddCommand(newServe(&config), newCheckConfig(&config), newSites(&config), newInventory(&config), tokens.New(access), enroll.New(access), enroll.NewAgents(access), enroll.NewAuthority(access), user.New(access), user.NewAudit(access), rehearse.New(access), lines.New(access), lines.NewReport(access),
		copies.Backup(config.read), influxdb.New(func() string { return config.file }), copies.Migrate(config.read), copies.Export(config.read), rollups.New(access), work.New(access), release.New(access), onsite.New(config.read, time.Now), clocks.New(access), alone.Command(), newVersion())
	return root
}

func newLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// pulseWithin is how long the judge may take for one look around, writing to a slow disk included, before that counts as
// standing still.
const pulseWithin = time.Minute

func newServe(config *configFlag) *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the collector until it is told to stop", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.read()
			if err != nil {
				return err
			}
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			manager, err := systemd.New(os.Getenv, os.Getpid())
			if err != nil {
				return fmt.Errorf("systemd's environment: %w", err)
			}
			log := newLog(cmd.ErrOrStderr(), level)
			var pulse systemd.Pulse
			return manager.Serve(cmd.Context(), func() bool { return pulse.Beats(pulseWithin) }, log, func(ctx context.Context, ready func()) error {
				c := collector.New(cfg, collector.Options{
					Log: log, Version: versionText(), Beat: pulse.Beat, Ready: func(string) { ready() },
				})
				return c.Run(ctx)
			})
		},
	}
	cmd.Flags().BoolVar(&verbose, "debug", false, "log more")
	return cmd
}

func newCheckConfig(config *configFlag) *cobra.Command {
	return &cobra.Command{
		Use: "check-config", Short: "Report every mistake in the settings file", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.read()
			if err != nil {
				return err
			}
			encrypted := map[authority.Mode]string{
				authority.ModeOff: "plain HTTP", authority.ModeOwn: "TLS by the fleet's own authority", authority.ModeFiles: "TLS by " + cfg.TLS.CertFile,
			}[cfg.TLS.Mode]
			fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s on %s, data in %s\n", config.file, encrypted, cfg.Listen, cfg.DataDir)
			return nil
		},
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), "communewatch-collector", versionText())
		},
	}
}

// versionText is what the build stamped, or what the module was built as.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// withRegistry opens the registry for one command. A running collector may have it open too.
func withRegistry(cmd *cobra.Command, config *configFlag, do func(*registry.Registry) error) error {
	cfg, err := config.read()
	if err != nil {
		return err
	}
	reg, err := registry.Open(cmd.Context(), cfg.RegistryFile(), registry.Options{Log: newLog(cmd.ErrOrStderr(), slog.LevelInfo)})
	if err != nil {
		return err
	}
	cmd.SetContext(program.As(cmd.Context())) // who typed it, for the record
	return errors.Join(do(reg), reg.Close())
}
