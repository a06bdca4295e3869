// Command communewatch-agent measures the lines of one site and reports to a collector. It holds flags, files and
// signals; everything else is in package agent and the rooms below it. See docs/agent.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"communewatch/agent"
	"communewatch/agent/cmd/communewatch-agent/call"
	"communewatch/agent/cmd/communewatch-agent/exit"
	"communewatch/agent/cmd/communewatch-agent/identify"
	"communewatch/agent/cmd/communewatch-agent/membership"
	serving "communewatch/agent/cmd/communewatch-agent/service"
	"communewatch/agent/cmd/communewatch-agent/update"
	"communewatch/agent/identity"
	"communewatch/agent/identity/join"
	"communewatch/agent/service"
	"communewatch/agent/update/launch"
	"communewatch/probes/settings"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=...".
var version string

// memoryLimit is where the garbage collector begins to work harder. The live heap is a few MB; without a limit, a
// backlog being sent would let it grow further than it must.
const memoryLimit = 32 << 20

// stopWithin is how long a stop may take before the process ends by force. Nothing that was taken is lost by it.
const stopWithin = 5 * time.Second

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
		time.Sleep(stopWithin)
		fmt.Fprintln(os.Stderr, "communewatch-agent: stopping took too long; ended by force")
		os.Exit(exit.CodeNotUp)
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs the command line and returns its exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	code, err := exit.Of(root.ExecuteContext(ctx))
	var bad *settings.Error
	switch {
	case errors.As(err, &bad):
		fmt.Fprintln(stderr, err) // each line names its file already
	case err != nil:
		fmt.Fprintf(stderr, "communewatch-agent: %v\n", err)
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "communewatch-agent",
		Short:         "Measures the lines of a site and reports to a collector",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newCheckConfig(), newCheck(), newProbe(), identify.New(), newVersion(), call.New(), update.New())
	root.AddCommand(serving.New(service.System(), filepath.Join(agent.DefaultConfig().StateDir, "agent.yaml"), failing))
	for _, cmd := range membership.Commands(versionText()) {
		root.AddCommand(failing(cmd))
	}
	return root
}

// failing gives every failure of a command the exit code of one.
func failing(cmd *cobra.Command) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := run(cmd, args); err != nil {
			return exit.NotUp(err)
		}
		return nil
	}
	return cmd
}

func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "settings `file`")
	_ = cmd.MarkFlagRequired("config") // the flag exists: it was made on the line above
}

func newRun() *cobra.Command {
	var file, level string
	cmd := &cobra.Command{
		Use: "run --config FILE", Short: "Run the checks until told to stop", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, least, err := newLog(cmd.ErrOrStderr(), level)
			if err != nil {
				return exit.Own(err)
			}
			return service.Run(cmd.Context(), service.Options{Log: log, Level: least}, func(ctx context.Context, s *service.Session) error {
				return run(ctx, s, file)
			})
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&level, "log-level", "info", "least `level` that is logged: debug, info, warn or error")
	return cmd
}

// run runs the agent of a settings file, or the release of it that is chosen.
func run(ctx context.Context, s *service.Session, file string) error {
	err := update.Run(ctx, file, versionText(), s.Log(), func(ctx context.Context, l launch.Launched) error { return measure(ctx, s, file, l) })
	if errors.Is(err, update.ErrAgain) {
		return exit.Silent(launch.ExitAgain)
	}
	return err
}

// enrolledEvery is how often it is looked whether the machine was enrolled anew.
const enrolledEvery = 2 * time.Second

// finishEvery is how often the collector is asked whether a machine may join, when the command that wanted it was broken off.
const finishEvery = 30 * time.Second

// measure runs the agent of a settings file, as soon as its machine is enrolled, and starts it again as who the machine is
// when it is enrolled anew.
func measure(ctx context.Context, s *service.Session, file string, l launch.Launched) error {
	for await(ctx, s, file) {
		dir, _ := agent.StateDir(file) // who reads the file next says what is wrong with it
		same, changed := membership.Until(ctx, dir, enrolledEvery)
		err := once(same, s, file, l)
		if !changed() || err != nil || ctx.Err() != nil {
			return err
		}
		s.Log().Info("this machine was enrolled anew; going on as who it is now")
	}
	return nil
}

// once runs the agent of a settings file until ctx ends.
func once(ctx context.Context, s *service.Session, file string, l launch.Launched) error {
	cfg, err := agent.ReadConfig(file)
	if err != nil {
		return exit.Own(err)
	}
	var a *agent.Agent
	a, err = agent.New(cfg, agent.Options{
		Log: s.Log(), Version: versionText(), Child: call.Process(), Life: agent.Life{Stopped: s.Why},
		Releases: agent.Releases{Launched: l, Settings: file},
		OnStart:  func() { s.Ready(a.Alive); s.Status("measuring") },
	})
	if err != nil {
		return exit.Own(err)
	}
	if err := a.Run(ctx); err != nil {
		return exit.NotUp(err)
	}
	return nil
}

// await waits until the machine is enrolled, where the settings leave that open. The office's page says so meanwhile, and a
// request that waits for approval is gone on with.
func await(ctx context.Context, s *service.Session, file string) bool {
	unenrolled := func() bool { return agent.Unenrolled(file) }
	dir, _ := agent.StateDir(file) // who reads the file next says what is wrong with it
	asked := func() bool { return join.Waits(identity.Folder(dir)) }
	if unenrolled() {
		joining, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			join.Finish(joining, join.Options{Dir: identity.Folder(dir), Machine: identity.Machine(versionText()), Say: func(format string, args ...any) {
				s.Log().Warn("this machine can't join yet", "error", fmt.Sprintf(format, args...))
			}}, finishEvery)
		}()
		defer func() { stop(); <-done }()
	}
	if page := agent.OfficeOf(file, asked, s.Log()); page != nil && unenrolled() {
		shown, hide := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := page.Run(shown); err != nil {
				s.Log().Error("the office has no page", "error", err)
			}
		}()
		defer func() { hide(); <-done }()
	}
	return serving.Await(ctx, s, unenrolled, asked)
}

func newLog(w io.Writer, level string) (*slog.Logger, slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, 0, fmt.Errorf("--log-level %q: use debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), l, nil
}

func newCheckConfig() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "check-config --config FILE", Short: "Say what is wrong with a settings file, or that nothing is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agent.ReadConfig(file)
			if err != nil {
				return exit.NotUp(err)
			}
			summarize(cmd.OutOrStdout(), cfg)
			return nil
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "communewatch-agent %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// versionText is the version that the build was given, or else what the toolchain wrote into the binary.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}
