package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"communewatch/agent/update/course"
	"communewatch/agent/update/launch"
	"communewatch/probes/release"
)

const (
	tryTime   = 30 * time.Second // on an old PC with a busy disk
	maxOutput = 16 << 10
	shown     = 300 // bytes of it that are shown
)

// errBusy says that the file was still open for writing in a process that was just being started; the next round may try.
var errBusy = errors.New("the release's file is still in use")

// errPassing says that what went wrong may be the machine's doing, and may pass: no memory, a busy disk.
var errPassing = errors.New("the machine may be to blame")

// try finds out whether a release is a program for this machine, is the version it should be, and understands the
// agent's settings.
func (u *Updater) try(ctx context.Context, v release.Version, f release.File, rollout int64) error {
	path := launch.Binary(u.o.Dir, v)
	err := u.tries(ctx, path, v, f)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, errBusy) {
		return err
	}
	if errors.Is(err, errPassing) {
		_, failed := u.change(func(s course.State) (course.State, error) { return s.Postpone(v, err.Error(), time.Now()), nil })
		return errors.Join(err, failed)
	}
	if err != nil {
		return errors.Join(u.refuse(v, rollout, err, true), errRefused)
	}
	_, err = u.change(func(s course.State) (course.State, error) { return s.Fetched(v), nil })
	return err
}

func (u *Updater) tries(ctx context.Context, path string, v release.Version, f release.File) error {
	bin, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errPassing, err)
	}
	err = errors.Join(release.CheckBinary(bin, f.OS, f.Arch), bin.Close())
	if err != nil {
		return err
	}
	out, err := brief(ctx, path, nil, "version")
	if err != nil {
		return fmt.Errorf("it does not start: %w", err)
	}
	words := strings.Fields(out)
	if len(words) < 2 {
		return fmt.Errorf("it does not say its version, but %.100q", out)
	}
	if got, err := release.ParseVersion(words[1]); err != nil || got != v {
		return fmt.Errorf("it says that it is version %.60q, and should be %v", words[1], v)
	}
	if u.o.Config == "" {
		return nil
	}
	// Settings may take tokens from the environment (token_env), and would be no good without.
	if _, err := brief(ctx, path, launch.Environment(), "check-config", "--config", u.o.Config); err != nil {
		return fmt.Errorf("it does not understand the agent's settings: %w", err)
	}
	return nil
}

// brief runs a program for a short while, with nothing in its environment but env and what systems want, and returns what
// it says.
func brief(ctx context.Context, path string, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(slices.Clone(env), "GOMEMLIMIT=64MiB")
	if runtime.GOOS == "windows" {
		cmd.Env = append(cmd.Env, "SystemRoot="+os.Getenv("SystemRoot"), "ProgramData="+os.Getenv("ProgramData"))
	}
	var out, errs capped
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second // its children, if it has any, may hold on to its output
	err := cmd.Run()
	if errors.Is(err, syscall.ETXTBSY) && ctx.Err() == nil {
		return "", errBusy
	}
	if err != nil {
		var exit *exec.ExitError
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: it did not end within %v", errPassing, tryTime)
		} else if !errors.As(err, &exit) || !exit.Exited() { // it did not begin, or somebody else ended it
			err = fmt.Errorf("%w: %w", errPassing, err)
		}
		said := strings.TrimSpace(errs.String())
		return "", fmt.Errorf("%w: %s", err, said[:min(len(said), shown)])
	}
	return out.String(), nil
}

// capped keeps the beginning of what is written.
type capped struct{ bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	_, _ = c.Buffer.Write(p[:min(len(p), maxOutput-min(c.Len(), maxOutput))]) // a Buffer takes all
	return len(p), nil
}
