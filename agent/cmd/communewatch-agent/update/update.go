// Package update is the command line's part of updates: running whichever release is chosen in the place of the binary
// that was started, and telling how updates fare on this machine.
package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"communewatch/agent"
	"communewatch/agent/identity"
	updates "communewatch/agent/update"
	"communewatch/agent/update/course"
	"communewatch/agent/update/launch"
	"communewatch/probes/release"

	"github.com/spf13/cobra"
)

// guard is the hidden command below update that watches over a trial.
const guard = "guard"

// ErrAgain says that the process has to end with launch.ExitAgain, so that whoever started it does so again.
var ErrAgain = errors.New("another release takes over; start the agent again")

// Run runs the release that is chosen in this process's place (see launch.Launch), or the agent itself, which is told how
// it was started. The settings file is read for the state folder alone: the package's binary may be older than what the
// file says.
func Run(ctx context.Context, file, version string, log *slog.Logger, run func(context.Context, launch.Launched) error) error {
	ctx, end := launch.StopOnEOF(ctx)
	defer end()
	for {
		var l launch.Launched
		if dir, _ := agent.StateDir(file); dir != "" { // whoever reads the file next says what is wrong with it
			var handled bool
			var err error
			l, handled, err = launch.Launch(ctx, launch.Options{Dir: agent.ReleasesDir(dir), Version: version, Args: os.Args, Log: log, Guard: []string{"update", guard}})
			if handled || err != nil {
				return err
			}
		}
		if err := run(ctx, l); !errors.Is(err, updates.ErrSwitch) {
			return err
		}
		if runtime.GOOS == "windows" && l.Release == "" {
			continue // this process is the service, and stays it
		}
		if err := launch.Restart(l, os.Args); err != nil {
			log.Error("the other release can't take this process's place", "error", err)
		}
		return ErrAgain
	}
}

// New returns the command update with all that are below it.
func New() *cobra.Command {
	group := &cobra.Command{
		Use: "update", Short: "How updates of the agent fare on this machine",
		Args: cobra.NoArgs, // so that a mistyped command is an error
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(newStatus(), newPin(), newUnpin(), newGuard())
	return group
}

// place is where the state folder is: given, or by the settings that name it.
type place struct{ dir, config string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.dir, "state-dir", "", "state `folder` of the agent (default "+agent.DefaultConfig().StateDir+")")
	cmd.Flags().StringVar(&p.config, "config", "", "settings `file` that names the state folder")
	cmd.MarkFlagsMutuallyExclusive("state-dir", "config")
}

func (p *place) folder() (string, error) {
	if p.config != "" {
		return agent.StateDir(p.config)
	}
	return cmp.Or(p.dir, agent.DefaultConfig().StateDir), nil
}

func newStatus() *cobra.Command {
	var at place
	cmd := &cobra.Command{
		Use: "status [--config FILE]", Short: "Say which release runs, which is on trial and which were given up", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := at.folder()
			if dir == "" {
				return err
			}
			s, err := course.File{Dir: agent.ReleasesDir(dir)}.Load()
			if err != nil {
				return err
			}
			if keys, err := updates.Pinned(identity.Folder(dir)); err != nil || len(keys) > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "pinned     %s\n", cmp.Or(strings.Join(keys, ", "), fmt.Sprint(err)))
			}
			return show(cmd.OutOrStdout(), &s)
		},
	}
	at.flags(cmd)
	return cmd
}

// Keys are the maker's public keys that a person names: each is one, or a file of them.
func Keys(named []string) (keys []string, err error) {
	for _, name := range named {
		list := []string{name}
		if _, bad := release.ParseKeys(list); bad != nil {
			if list, err = updates.ReadKeys(name); err != nil {
				return nil, fmt.Errorf("%.60q is neither a public key of minisign, which begins with RW, nor a file of them: %w", name, err)
			}
		}
		keys = append(keys, list...)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key is in there")
	}
	_, err = release.ParseKeys(keys)
	return keys, err
}

func newPin() *cobra.Command {
	var at place
	cmd := &cobra.Command{
		Use: "pin KEY|FILE...", Short: "Take releases that are signed with a key, unless the settings say otherwise", Args: cobra.MinimumNArgs(1),
		Long: "Take releases that are signed with a public key of minisign, in the place of those that were pinned before, unless the settings\n" +
			"say otherwise (updates.enabled). communewatch-agent enroll --updates KEY does the same as a machine joins.",
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := Keys(args)
			if err != nil {
				return err
			}
			return pin(cmd, at, keys, "pinned; restart the agent, so that it takes releases\n")
		},
	}
	at.flags(cmd)
	return cmd
}

func newUnpin() *cobra.Command {
	var at place
	cmd := &cobra.Command{
		Use: "unpin", Short: "Take no releases any more, unless the settings say otherwise", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return pin(cmd, at, nil, "unpinned; restart the agent, so that it takes no more releases\n")
		},
	}
	at.flags(cmd)
	return cmd
}

func pin(cmd *cobra.Command, at place, keys []string, done string) error {
	dir, err := at.folder()
	if dir == "" {
		return err
	}
	if err := updates.Pin(identity.Folder(dir), keys); err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), done)
	return err
}

func show(w io.Writer, s *course.State) error {
	if s.Kept != nil {
		fmt.Fprintf(w, "runs       %v, in the place of the package's %v\n", s.Kept.Version, s.Kept.Package)
	} else {
		fmt.Fprintln(w, "runs       the package's own binary")
	}
	if s.Trial != nil {
		fmt.Fprintf(w, "on trial   %v since %s, start %d of %d\n", s.Trial.Version, s.Trial.Since.Local().Format("2006-01-02 15:04"), s.Trial.Starts, course.MaxStarts)
	}
	if s.Former != nil {
		fmt.Fprintf(w, "before it  %v, which takes over should it crash\n", s.Former.Version)
	}
	if s.PutOff != nil {
		fmt.Fprintf(w, "put off    %v, tried %d of %d times\n", s.PutOff.Version, s.PutOff.Tries, course.MaxTries)
	}
	if s.Last.State != "" {
		fmt.Fprintf(w, "last       %v: %s\n", s.Last.Version, words[s.Last.State])
		if s.Last.Problem != "" {
			fmt.Fprintf(w, "           %s\n", s.Last.Problem)
		}
	}
	for _, f := range s.Failed {
		if _, err := fmt.Fprintf(w, "given up   %v: %s\n", f.Version, f.Why); err != nil {
			return err
		}
	}
	return nil
}

// words says the states.
var words = map[release.State]string{
	release.StateFetched: "fetched and verified", release.StateTrying: "on trial", release.StateKept: "proved itself and is kept",
	release.StateRolledBack: "rolled back", release.StateRefused: "refused",
}

func newGuard() *cobra.Command {
	var g launch.GuardFlags
	cmd := &cobra.Command{
		Use: guard, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return launch.Guard(cmd.Context(), g, []string{self, "update", guard})
		},
	}
	cmd.Flags().StringVar(&g.Dir, "dir", "", "folder of releases")
	cmd.Flags().StringVar(&g.Version, "version", "", "that is on trial")
	cmd.Flags().IntVar(&g.PID, "pid", 0, "process")
	cmd.Flags().DurationVar(&g.Window, "window", 0, "in which it has to prove itself")
	cmd.Flags().BoolVar(&g.Stay, "stay", false, "this is the guard")
	return cmd
}
