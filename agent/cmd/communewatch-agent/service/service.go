// Package service is the command line's part of the agent as a service: installing, starting and stopping it where no
// package does that, and running it so that whoever started it knows how it fares.
package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"communewatch/agent/service"

	"github.com/spf13/cobra"
)

// enrolledEvery is how often a service that waits looks whether its machine has been enrolled.
const enrolledEvery = 2 * time.Second

// Await waits until the machine is enrolled, so that a package can start its service before anybody has typed a code. It
// returns false when ctx ended first. asked says whether a code was typed and somebody has to approve.
func Await(ctx context.Context, s *service.Session, unenrolled, asked func() bool) bool {
	if !unenrolled() {
		return true
	}
	was := asked()
	s.Ready(func() bool { return true })
	say(s, was)
	tick := time.NewTicker(enrolledEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if !unenrolled() {
			s.Log().Info("this machine is enrolled now")
			return true
		}
		if is := asked(); is != was {
			was = is
			say(s, was)
		}
	}
}

// say says what is waited for.
func say(s *service.Session, asked bool) {
	if asked {
		s.Log().Info("this machine has asked to join; waiting until somebody approves that at the collector")
		s.Status("waiting until somebody at the collector approves that this machine joins")
		return
	}
	s.Log().Warn("this machine is not enrolled; waiting for: communewatch-agent enroll CODE")
	s.Status("waiting for: communewatch-agent enroll CODE")
}

// New returns the command service with all that are below it. settingsFile is the default settings file; failing is put
// around what each command does, to give errors the program's exit codes.
func New(m service.Manager, settingsFile string, failing func(*cobra.Command) *cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: "service", Short: "Install, start and stop the agent as a service of Windows",
		Long: `Install, start and stop the agent as a service of Windows, in a window of an administrator. On Linux the package brings
the service, and these commands say what does the same there.`,
		Args: cobra.NoArgs, // so that a mistyped command is an error
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, cmd := range []*cobra.Command{
		newInstall(m, settingsFile),
		simple("uninstall", "Stop the service and remove it; settings and results stay", m.Uninstall, "removed"),
		simple("start", "Start the service", m.Start, "started"),
		simple("stop", "Stop the service", m.Stop, "stopped"),
		newStatus(m),
	} {
		group.AddCommand(failing(cmd))
	}
	return group
}

func newInstall(m service.Manager, settingsFile string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "install [--config FILE]", Short: "Install the service: it starts with Windows, and again after failures", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := filepath.Abs(file) // a service starts in another folder
			if err != nil {
				return err
			}
			err = m.Install(service.Define(file))
			if errors.Is(err, service.ErrPackaged) {
				return err
			}
			if err != nil {
				return fmt.Errorf("install the service: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "service %s is installed with %s\n", service.Name, file)
			if _, err := os.Stat(file); err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "it will not run before that file is there: %v\n", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", settingsFile, "settings `file`")
	return cmd
}

func simple(name, short string, do func() error, done string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := do(); err != nil {
				if errors.Is(err, service.ErrPackaged) {
					return err
				}
				return fmt.Errorf("%s the service: %w", name, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "service %s is %s\n", service.Name, done)
			return nil
		},
	}
}

func newStatus(m service.Manager) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say whether the service is installed and runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := m.Status()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "service %s is %s\n", service.Name, status)
			return err
		},
	}
}
