package systemd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen stands in for systemd.
func listen(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, name
}

// next is what systemd was told next; "" when nothing comes within the time.
func next(t *testing.T, conn *net.UnixConn, within time.Duration) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(within))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

func environment(pairs ...string) func(string) string {
	return func(key string) string {
		for _, p := range pairs {
			if v, ok := strings.CutPrefix(p, key+"="); ok {
				return v
			}
		}
		return ""
	}
}

func TestSystemdIsToldOfStartAndStop(t *testing.T) {
	conn, name := listen(t)
	n, err := New(environment("NOTIFY_SOCKET="+name), 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		say  func() error
		want string
	}{
		{n.Ready, "READY=1"},
		{func() error { return n.Status("chờ\nmã") }, "STATUS=chờ mã"},
		{n.Stopping, "STOPPING=1"},
	} {
		if err := step.say(); err != nil {
			t.Fatal(err)
		}
		if got := next(t, conn, time.Second); got != step.want {
			t.Errorf("systemd was told %q, want %q", got, step.want)
		}
	}
}

func TestWithoutSystemdNothingIsSaid(t *testing.T) {
	n, err := New(environment(), 7)
	if n != nil || err != nil {
		t.Fatalf("got %v, %v", n, err)
	}
	if err := n.Ready(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Watch(ctx, func() bool { t.Error("asked without a watchdog"); return true }, slog.New(slog.DiscardHandler))
}

func TestSignsOfLifeCeaseWithProgress(t *testing.T) {
	conn, name := listen(t)
	n, err := New(environment("NOTIFY_SOCKET="+name, "WATCHDOG_USEC=60000", "WATCHDOG_PID=7"), 7)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	var alive atomic.Bool
	asked := make(chan struct{}, 100)
	alive.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Watch(ctx, func() bool { a := alive.Load(); asked <- struct{}{}; return a }, slog.New(slog.NewTextHandler(&logged, nil)))
	}()
	for range 3 {
		if got := next(t, conn, 5*time.Second); got != "WATCHDOG=1" {
			t.Fatalf("told %q", got)
		}
	}
	alive.Store(false)
	for len(asked) > 0 {
		<-asked
	}
	<-asked // may still have seen the work alive
	<-asked
	for next(t, conn, time.Millisecond) != "" {
	}
	<-asked
	<-asked
	if got := next(t, conn, time.Millisecond); got != "" {
		t.Errorf("told %q while nothing moved", got)
	}
	alive.Store(true)
	if got := next(t, conn, 5*time.Second); got != "WATCHDOG=1" {
		t.Errorf("told %q after work went on", got)
	}
	cancel()
	<-done
	if got := strings.Count(logged.String(), "makes no progress"); got != 1 || strings.Count(logged.String(), "progress again") != 1 {
		t.Errorf("want one line for each change, got:\n%s", logged.String())
	}
}

func TestEnvironmentThatMakesNoSenseIsRefused(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"NOTIFY_SOCKET=relative", "neither a path nor"},
		{"NOTIFY_SOCKET=/run/x|WATCHDOG_USEC=soon", "microseconds"},
		{"NOTIFY_SOCKET=/run/x|WATCHDOG_USEC=-1", "microseconds"},
		{"NOTIFY_SOCKET=/run/x|WATCHDOG_USEC=99999999999999999", "at most a day"},
	} {
		if _, err := New(environment(strings.Split(c.env, "|")...), 7); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.env, err, c.want)
		}
	}
	if n, err := New(environment("NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=5", "WATCHDOG_PID=8"), 7); err != nil || n.watchdog != 0 {
		t.Errorf("another process's watchdog: %v, %v", n, err)
	}
}

func TestAPulseBeatsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pulse
		time.Sleep(time.Hour)
		if !p.Beats(time.Minute) {
			t.Error("dead before it was ever beaten")
		}
		p.Beat()
		time.Sleep(59 * time.Second)
		if !p.Beats(time.Minute) {
			t.Error("dead within the minute")
		}
		time.Sleep(2 * time.Second)
		if p.Beats(time.Minute) {
			t.Error("alive after the minute")
		}
	})
}

func TestServeTellsOfReadinessOnceAndOfTheStop(t *testing.T) {
	conn, name := listen(t)
	n, err := New(environment("NOTIFY_SOCKET="+name), 7)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	err = n.Serve(ctx, func() bool { return true }, slog.New(slog.DiscardHandler), func(ctx context.Context, ready func()) error {
		ready()
		ready()
		stop()
		return context.Cause(ctx)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("returned %v", err)
	}
	for _, want := range []string{"READY=1", "STOPPING=1", ""} {
		if got := next(t, conn, 20*time.Millisecond); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}
