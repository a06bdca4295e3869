package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"communewatch/agent/update/course"
)

// envChild says that the release is a child, whose parent starts the next one.
const envChild = "COMMUNEWATCH_CHILD"

// supervise runs a release as a child, and its trial under this process's eyes.
func supervise(ctx context.Context, o *Options, path string, env []string, c course.Choice, within time.Duration) error {
	cmd := exec.Command(path, o.Args[1:]...)
	cmd.Env = append(env, envChild+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	life, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer life.Close()
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	stop := func() error {
		_ = life.Close()
		select {
		case err := <-done:
			return exitOf(err)
		case <-time.After(stopTime):
			_ = cmd.Process.Kill()
			return exitOf(<-done)
		}
	}
	var late <-chan time.Time
	if c.Trial {
		timer := time.NewTimer(within)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case err := <-done:
			return exitOf(err)
		case <-ctx.Done():
			return stop()
		case <-late:
			given := false
			_, err := course.File{Dir: o.Dir}.Change(func(s course.State) (course.State, error) {
				if given = s.Trial != nil && s.Trial.Version == c.Run.Version; given {
					s = s.GiveUp(c.Run.Version, fmt.Sprintf("its results did not arrive within %v, and it did not stop by itself", within))
				}
				return s, nil
			})
			if given || err != nil {
				return stop()
			}
		}
	}
}

func exitOf(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &ended{0}
	case errors.As(err, &exit):
		return &ended{exit.ExitCode()}
	}
	return err
}

// IsChild reports whether supervise started this process. Then it is no service of its own.
func IsChild() bool { return os.Getenv(envChild) != "" }

// StopOnEOF returns a context that also ends when standard input does, in a process that supervise started; in others it
// is ctx.
func StopOnEOF(ctx context.Context) (context.Context, context.CancelFunc) {
	if !IsChild() {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that is told; it lasts as long as the process
		cancel()
	}()
	return ctx, cancel
}
