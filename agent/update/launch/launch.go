// Package launch runs the release that course chooses in the place of the package's binary. It is the first thing that
// the command run does, before there are sockets, files or goroutines.
//
// # Linux
//
// The process becomes the release by execve(2): it keeps its number, its user, its limits and its ambient capabilities,
// so that a service manager and its watchdog see nothing of it. While a release is on trial, the package's binary also
// runs as a guard beside it, which ends it when it has not proved itself in time, however badly it hangs; the service
// manager starts the package's binary again, and that finds the trial given up. The state's folder must not be mounted
// noexec.
//
// # Windows
//
// There is no execve, and the service manager knows one process. So the package's binary stays, starts the release as its
// child, and is its guard itself. Its end, or the end of its wish that the child runs, is told by closing the child's
// standard input (StopOnEOF), as a child has no other signal to stop by.
package launch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"communewatch/agent/update/course"
	"communewatch/probes/presence"
	"communewatch/probes/release"
)

// What a launched release finds in its environment.
const (
	envVersion = "COMMUNEWATCH_RELEASE"         // its version: do not launch again
	envPackage = "COMMUNEWATCH_PACKAGE"         // path of the package's binary
	envOwn     = "COMMUNEWATCH_PACKAGE_VERSION" // and its version
	envReason  = "COMMUNEWATCH_START"           // why it was started, in the words of presence; "" for the usual reasons
)

// ExitAgain is the exit code with which a launched release asks to be started anew, by way of the package's binary.
const ExitAgain = 75

// Window is how long a release on trial has to prove itself, and how much longer a guard waits, so that the release can
// give up in order.
const (
	Window    = 10 * time.Minute
	guardMore = 30 * time.Second
)

// Options of Launch.
type Options struct {
	Dir     string   // of releases: state_dir/releases
	Version string   // of this binary
	Args    []string // of this process, with its name
	Log     *slog.Logger

	Window    time.Duration // 0: what the trial's record says, or else Window
	GuardTime time.Duration // when the guard ends a release that did neither prove itself nor give up; 0: a little after that
	Guard     []string      // arguments with which this binary runs Guard; GuardFlags are put behind them
	Supervise bool          // stay and start the release as a child; always so on Windows
}

// Launched is what is known of how this process was started.
type Launched struct {
	Release string          // version of the release that this process is; "" for the package's binary
	Package release.Version // of the package's binary; zero: it has none
	Path    string          // of the package's binary
	Reason  presence.Reason // why it was started, if that was an update's doing; or ""
}

// Binary is the path of a version's binary.
func Binary(dir string, v release.Version) string {
	name := "communewatch-agent"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(dir, v.String(), name)
}

// ended says that a release that was started as a child has ended.
type ended struct{ code int }

func (e *ended) Error() string { return fmt.Sprintf("the release ended with exit code %d", e.code) }

// Launch runs the chosen release in this process's place. It returns when this binary is to go on itself, which is so
// when there is no release, when it is one itself, and when none can be started. handled says that a release ran as a
// child and ended because ctx did.
func Launch(ctx context.Context, o Options) (l Launched, handled bool, err error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if v := os.Getenv(envVersion); v != "" {
		own, _ := release.ParseVersion(os.Getenv(envOwn))
		return Launched{Release: v, Package: own, Path: os.Getenv(envPackage), Reason: presence.Reason(os.Getenv(envReason))}, false, nil
	}
	l.Path, err = os.Executable()
	if err != nil {
		return l, false, fmt.Errorf("find this program's own file: %w", err)
	}
	own, err := release.ParseVersion(o.Version)
	if err != nil {
		return l, false, nil // built by hand: whoever did that wants to run it
	}
	l.Package = own
	if _, err := os.Stat(o.Dir); err != nil {
		return l, false, nil // no release was ever fetched
	}
	file := course.File{Dir: o.Dir}
	for ctx.Err() == nil {
		l.Reason = ""
		var choice course.Choice
		if _, err := file.Load(); errors.Is(err, course.ErrDamaged) {
			o.Log.Error("updates start anew", "error", err)
		}
		_, err := file.Change(func(s course.State) (course.State, error) {
			s, choice = s.Launch(own)
			return s, nil
		})
		if err != nil {
			// A start that can't be counted must not be a trial's. What was kept is as good as before.
			o.Log.Error("the state of updates can't be written; no release is tried", "error", err)
			s, _ := file.Load()
			s.Trial = nil
			_, choice = s.Launch(own)
		}
		if choice.Back {
			l.Reason = presence.StartBack
			o.Log.Warn("a release was given up or put off; the former version takes over")
		}
		if choice.Run == nil {
			return l, false, nil
		}
		if choice.Trial {
			l.Reason = presence.StartUpdate
		}
		err = start(ctx, &o, l, choice)
		var end *ended
		switch {
		case errors.As(err, &end) && ctx.Err() != nil:
			return l, true, nil
		case errors.As(err, &end):
			if end.code != ExitAgain {
				o.Log.Error("the release ended", "version", choice.Run.Version, "exit_code", end.code)
				pause(ctx, time.Second)
			}
		default: // no memory, a busy disk, a damaged file: what may pass must not end a release for good
			o.Log.Error("the release can't be started; going on without it", "version", choice.Run.Version, "error", err)
			why := fmt.Sprintf("it can't be started: %v", err)
			_, err := file.Change(func(s course.State) (course.State, error) {
				return s.Postpone(choice.Run.Version, why, time.Now()), nil
			})
			if err != nil || !choice.Trial {
				return l, false, nil // or this would go on for ever
			}
		}
	}
	return l, true, nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// start runs a release. On Linux it returns only when it can't; elsewhere, when the release has ended.
func start(ctx context.Context, o *Options, l Launched, c course.Choice) error {
	path := Binary(o.Dir, c.Run.Version)
	if err := Check(path, c.Run.Size, c.Run.SHA256); err != nil {
		return err
	}
	env := append(Environment(), envVersion+"="+c.Run.Version.String(), envPackage+"="+l.Path, envOwn+"="+l.Package.String(), envReason+"="+string(l.Reason))
	o.Log.Info("running a release", "version", c.Run.Version, "trial", c.Trial, "package", l.Package)
	window := cmp.Or(o.Window, c.Window, Window)
	guard := cmp.Or(o.GuardTime, window+guardMore)
	if o.Supervise || runtime.GOOS == "windows" {
		return supervise(ctx, o, path, env, c, guard)
	}
	if c.Trial {
		if err := startGuard(ctx, o, l.Path, c.Run.Version, guard); err != nil {
			return fmt.Errorf("no guard for its trial: %w", err)
		}
	}
	return become(path, o.Args, env)
}

// Restart runs the package's binary in this process's place, so that it launches what is chosen now. It returns where
// that is the service manager's to do, or a parent's: then the process has to end, with ExitAgain.
func Restart(l Launched, args []string) error {
	if os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("INVOCATION_ID") != "" || runtime.GOOS == "windows" || l.Path == "" || IsChild() {
		return nil
	}
	return become(l.Path, args, Environment())
}

// Environment is this process's, without what is said to a launched release.
func Environment() []string { return clean(os.Environ()) }

// clean is an environment without what is said to a launched release.
func clean(env []string) []string {
	return slices.DeleteFunc(env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{envVersion, envPackage, envOwn, envReason, envChild}, name)
	})
}

// Check compares a file with its size and SHA-256.
func Check(path string, size int64, sha string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, size+1))
	if err != nil {
		return err
	}
	if n != size || hex.EncodeToString(sum.Sum(nil)) != sha {
		return fmt.Errorf("%s is damaged", path)
	}
	return nil
}
