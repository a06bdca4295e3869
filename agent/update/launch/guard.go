package launch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"communewatch/agent/update/course"
	"communewatch/probes/release"
)

const (
	guardLook   = time.Second      // how often a guard looks
	guardReady  = 30 * time.Second // for a guard to be there, on an old PC with a busy disk
	stopTime    = 5 * time.Second  // for a release to stop in order, before it is ended by force
	guardIsHere = "guard"          // what a guard writes when it has the process in view
)

// GuardFlags are the arguments by which a guard is told what to do.
type GuardFlags struct {
	Dir     string
	Version string
	PID     int
	Window  time.Duration
	Stay    bool // this is the guard, not who starts it
}

func (g GuardFlags) args() []string {
	list := []string{"--dir", g.Dir, "--version", g.Version, "--pid", strconv.Itoa(g.PID), "--window", g.Window.String()}
	if g.Stay {
		list = append(list, "--stay")
	}
	return list
}

// startGuard starts a guard over this process, and returns when it is on its post. The guard's parent ends at once, so
// that this process, which soon is another program, never has to wait for a child that it does not know.
func startGuard(ctx context.Context, o *Options, self string, v release.Version, after time.Duration) error {
	g := GuardFlags{Dir: o.Dir, Version: v.String(), PID: os.Getpid(), Window: after}
	return runToWord(ctx, self, append(append([]string{}, o.Guard...), g.args()...), true)
}

// runToWord starts a program and waits until it says that the guard is here; with wait, also until it has ended.
func runToWord(ctx context.Context, program string, args []string, wait bool) error {
	ctx, cancel := context.WithTimeout(ctx, guardReady)
	defer cancel()
	cmd := exec.Command(program, args...) // not ended by ctx: a guard stays
	cmd.Env = Environment()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	said := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil && line != guardIsHere+"\n" {
			err = fmt.Errorf("it said %.100q", line)
		}
		said <- err
	}()
	select {
	case err = <-said:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(err, cmd.Wait())
	}
	if wait {
		return cmd.Wait()
	}
	return cmd.Process.Release()
}

// Guard watches over a release on trial in another process: when it has not proved itself in time, it is given up and
// ended. The service manager then starts the package's binary.
func Guard(ctx context.Context, g GuardFlags, self []string) error {
	v, err := release.ParseVersion(g.Version)
	if err != nil {
		return err
	}
	if !g.Stay {
		g.Stay = true
		if err := runToWord(ctx, self[0], append(append([]string{}, self[1:]...), g.args()...), false); err != nil {
			return err
		}
		_, err = fmt.Println(guardIsHere)
		return err
	}
	process, err := os.FindProcess(g.PID) // on Linux by a handle that can't come to mean another process
	if err != nil {
		return err
	}
	defer process.Release()
	if _, err := fmt.Println(guardIsHere); err != nil {
		return err
	}
	timer := time.NewTimer(g.Window)
	defer timer.Stop()
	tick := time.NewTicker(guardLook)
	defer tick.Stop()
	file := course.File{Dir: g.Dir}
	over := func() bool {
		s, err := file.Load()
		return err == nil && (s.Trial == nil || s.Trial.Version != v) || process.Signal(syscall.Signal(0)) != nil
	}
	for timeUp := false; !timeUp; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if over() {
				return nil
			}
		case <-timer.C:
			timeUp = true
		}
	}
	// The state first: should writing it fail, ending the process still counts as a start in vain.
	_, failed := file.Change(func(s course.State) (course.State, error) {
		return s.GiveUp(v, fmt.Sprintf("its results did not arrive within %v, and it did not stop by itself", g.Window.Round(time.Second))), nil
	})
	_ = process.Signal(os.Interrupt)
	for begin := time.Now(); time.Since(begin) < stopTime; {
		if process.Signal(syscall.Signal(0)) != nil {
			return failed
		}
		pause(ctx, guardLook/4)
	}
	return errors.Join(failed, process.Kill())
}
