// Package systemd tells Linux's service manager how a program fares: that it is ready, that it is stopping, and, as long
// as it really gets on with its work, that it is alive.
//
// systemd hands a service of Type=notify the address of a datagram socket in NOTIFY_SOCKET; lines such as READY=1 are
// sent there. With WatchdogSec= it also hands over WATCHDOG_USEC, and kills the service when WATCHDOG=1 has not come for
// so long. So the one thing that matters is who says WATCHDOG=1: not a timer of its own, which would go on while
// everything else hangs, but a timer that asks the work first. See sd_notify(3) and sd_watchdog_enabled(3).
//
// Agent and collector both use it, so it belongs to neither. Where no systemd asked for it, nothing is sent.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Notifier talks to the service manager. Make it with New; a nil one says nothing.
type Notifier struct {
	socket   string
	watchdog time.Duration // 0: nobody waits for signs of life
}

// New reads the environment of process pid. A nil Notifier is returned where systemd did not start the process.
func New(getenv func(string) string, pid int) (*Notifier, error) {
	socket := getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil
	}
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q: neither a path nor an abstract address", socket)
	}
	n := &Notifier{socket: socket}
	text := getenv("WATCHDOG_USEC")
	if forPID := getenv("WATCHDOG_PID"); text == "" || forPID != "" && forPID != strconv.Itoa(pid) {
		return n, nil // no watchdog, or another process's
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
		return nil, fmt.Errorf("WATCHDOG_USEC is %q: want microseconds, at most a day", text)
	}
	n.watchdog = time.Duration(usec) * time.Microsecond
	return n, nil
}

// Ready says that the service has started.
func (n *Notifier) Ready() error { return n.say("READY=1") }

// Stopping says that the service is about to end.
func (n *Notifier) Stopping() error { return n.say("STOPPING=1") }

// Status is one line that `systemctl status` shows.
func (n *Notifier) Status(text string) error {
	return n.say("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

func (n *Notifier) say(line string) error {
	if n == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd %s: %w", line, err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(line)); err != nil {
		return fmt.Errorf("tell systemd %s: %w", line, err)
	}
	return nil
}

// asksPerWatchdog is how often the work is asked within the time that the watchdog waits: twice would do (that is what
// sd_watchdog_enabled(3) advises), a third question forgives a machine that is slow just then.
const asksPerWatchdog = 3

// Watch says WATCHDOG=1 as long as alive says so, until ctx ends. While it does not, nothing is said, and if that lasts
// systemd ends the process and starts it anew.
func (n *Notifier) Watch(ctx context.Context, alive func() bool, log *slog.Logger) {
	if n == nil || n.watchdog == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(n.watchdog / asksPerWatchdog)
	defer tick.Stop()
	stuck, mute := false, false
	for {
		was := stuck
		if stuck = !alive(); stuck && !was {
			log.Error("work makes no progress; systemd will start this program anew if that lasts", "within", n.watchdog)
		} else if was && !stuck {
			log.Info("work makes progress again")
		}
		if !stuck {
			err := n.say("WATCHDOG=1")
			if err != nil && !mute {
				log.Error("can't tell systemd that all is well", "error", err)
			}
			mute = err != nil
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Serve runs a program as a service: once the program calls ready, the manager is told, and alive is asked from then on;
// when ctx ends the manager is told of the stop. Serve returns what the program does, when nothing of it runs any more.
func (n *Notifier) Serve(ctx context.Context, alive func() bool, log *slog.Logger, program func(ctx context.Context, ready func()) error) error {
	tell := func(err error) {
		if err != nil {
			log.Error("systemd does not hear how this service fares", "error", err)
		}
	}
	var watching sync.WaitGroup
	watched, end := context.WithCancel(context.WithoutCancel(ctx))
	defer watching.Wait()
	defer end()
	var once sync.Once
	ready := func() {
		once.Do(func() {
			tell(n.Ready())
			watching.Go(func() { n.Watch(watched, alive, log) })
		})
	}
	stopping := make(chan struct{})
	unstopped := context.AfterFunc(ctx, func() {
		defer close(stopping)
		tell(n.Stopping())
	})
	err := program(ctx, ready)
	if !unstopped() {
		<-stopping
	} else if ctx.Err() != nil { // the program was quicker than who tells of the stop
		tell(n.Stopping())
	}
	return err
}

// Pulse is a sign of life that work gives by the way, and a watchdog looks at. The zero Pulse has never been beaten.
type Pulse struct{ last atomic.Pointer[time.Time] }

// Beat says that the work gets on.
func (p *Pulse) Beat() {
	now := time.Now() // with its monotonic part: a clock that jumps is no death
	p.last.Store(&now)
}

// Beats says whether there was a beat within a time. Before the first it does: work has not begun.
func (p *Pulse) Beats(within time.Duration) bool {
	last := p.last.Load()
	return last == nil || time.Since(*last) < within
}
