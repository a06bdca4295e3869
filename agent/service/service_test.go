package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes/presence"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// untilTold ends when it is told to, and keeps why.
func untilTold(why *presence.Reason) Program {
	return func(ctx context.Context, s *Session) error {
		<-ctx.Done()
		*why = s.Why()
		return nil
	}
}

// Windows calls Start, then Stop or Shutdown; the program must learn which.
func TestProgramLearnsWhetherTheMachineGoesDown(t *testing.T) {
	for _, want := range []presence.Reason{presence.StopService, presence.StopShutdown} {
		synctest.Test(t, func(t *testing.T) {
			var got presence.Reason
			c := newControl(&Session{log: quiet()}, untilTold(&got), stopWithin, func(err error) { t.Errorf("ended by itself: %v", err) })
			c.start(t.Context())
			synctest.Wait()
			if err := c.stop(want); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("the program was told %q, want %q", got, want)
			}
		})
	}
}

func TestStopWaitsForTheProgramButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Time
		slow := func(ctx context.Context, _ *Session) error {
			<-ctx.Done()
			time.Sleep(10 * time.Second)
			ended = time.Now()
			return errors.New("the spool is full")
		}
		c := newControl(&Session{log: quiet()}, slow, stopWithin, func(error) { t.Error("was told to stop") })
		c.start(t.Context())
		err := c.stop(presence.StopService)
		if ended.IsZero() || err == nil || err.Error() != "the spool is full" {
			t.Errorf("stop returned %v before the program had ended", err)
		}

		begin := time.Now()
		release := make(chan struct{})
		c = newControl(&Session{log: quiet()}, func(context.Context, *Session) error { <-release; return nil }, stopWithin, func(error) {})
		c.start(t.Context())
		if err := c.stop(presence.StopShutdown); err == nil || !strings.Contains(err.Error(), "longer than 15s") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took != stopWithin {
			t.Errorf("stop took %s", took)
		}
		close(release)
		<-c.done
	})
}

// A service that ended by itself must not stay shown as running: the process ends, and recovery starts it again.
func TestFailureIsHandedToTheManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed error
		c := newControl(&Session{log: quiet()}, func(context.Context, *Session) error { return errors.New("no disk") }, stopWithin, func(err error) { failed = err })
		c.start(t.Context())
		synctest.Wait()
		if failed == nil || failed.Error() != "no disk" {
			t.Errorf("got %v", failed)
		}
	})
}

func TestUnderSystemdStartStopAndLifeAreTold(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	told := func() string {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 200)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	marker := filepath.Join(dir, "now")
	env := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "3600000000"}
	ctx, stop := context.WithCancel(t.Context())
	var why presence.Reason
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Log: quiet(), getenv: func(k string) string { return env[k] }, markers: []string{marker}}, func(ctx context.Context, s *Session) error {
			s.Ready(func() bool { return true })
			s.Status("chờ mã")
			<-ctx.Done()
			why = s.Why()
			return errors.New("said so")
		})
	}()
	if got := told(); got != "READY=1" {
		t.Errorf("systemd was told %q first", got)
	}
	said := []string{told(), told()} // by two goroutines
	slices.Sort(said)
	if !slices.Equal(said, []string{"STATUS=chờ mã", "WATCHDOG=1"}) {
		t.Errorf("systemd was told %q", said)
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stop()
	if got := told(); got != "STOPPING=1" {
		t.Errorf("systemd was told %q at the stop", got)
	}
	if err := <-ended; err == nil || err.Error() != "said so" {
		t.Errorf("Run returned %v", err)
	}
	if why != presence.StopShutdown {
		t.Errorf("with the marker of a shutdown the reason was %q", why)
	}
}

func TestInATerminalAStopIsOfTheServiceAlone(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var why presence.Reason
	o := Options{Log: quiet(), getenv: func(string) string { return "" }, markers: []string{filepath.Join(t.TempDir(), "none")}}
	if err := Run(ctx, o, untilTold(&why)); err != nil || why != presence.StopService {
		t.Errorf("reason %q, error %v", why, err)
	}
}

func TestOldWindowsIsRefusedInClearWords(t *testing.T) {
	for _, c := range []struct {
		w    windows
		want string // "" where it may run
	}{
		{windows{6, 1, 7601, false}, "Windows 6.1 (build 7601)"},
		{windows{6, 3, 9600, true}, "Windows Server 6.3"},
		{windows{10, 0, 10239, false}, "needs Windows 10"},
		{windows{10, 0, 10240, false}, ""},
		{windows{10, 0, 10240, true}, "needs Windows 10 or Windows Server 2016"}, // a preview
		{windows{10, 0, 14393, true}, ""},
		{windows{10, 0, 26100, true}, ""},
		{windows{11, 0, 1, false}, ""},
	} {
		err := c.w.supported()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", c.w, err, c.want)
		}
	}
}

func TestTheServiceComesBackAfterFailures(t *testing.T) {
	d := Define(`C:\ProgramData\communewatch-agent\agent.yaml`)
	if got := fmt.Sprint(d.Restarts); got != "[5s 30s 1m0s]" || !d.Delayed || d.ResetAfter < time.Hour {
		t.Errorf("recovery %s, delayed %v, reset after %s", got, d.Delayed, d.ResetAfter)
	}
	if got := strings.Join(d.Arguments, " "); got != `run --config C:\ProgramData\communewatch-agent\agent.yaml` {
		t.Errorf("runs with %q", got)
	}
}

func TestWherePackagesBringTheServiceCommandsSaySo(t *testing.T) {
	m := packaged{}
	_, status := m.Status()
	for want, err := range map[string]error{"apt install": m.Install(Definition{}), "apt remove": m.Uninstall(), "systemctl start": m.Start(), "systemctl stop": m.Stop(), "systemctl status": status} {
		if !errors.Is(err, ErrPackaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want advice to use %q", err, want)
		}
	}
}

// events is an event log.
type events struct{ lines []string }

func (e *events) add(kind string, v []any) error {
	e.lines = append(e.lines, kind+" "+fmt.Sprint(v...))
	return nil
}
func (e *events) Info(v ...any) error    { return e.add("info", v) }
func (e *events) Warning(v ...any) error { return e.add("warning", v) }
func (e *events) Error(v ...any) error   { return e.add("error", v) }

func TestEventLogGetsLinesByTheirSeverity(t *testing.T) {
	e := &events{}
	log := slog.New(newEventHandler(e, slog.LevelInfo))
	log.Debug("too fine")
	log.With("site", "s08707").Info("agent started", "checks", 4)
	log.WithGroup("spool").Warn("nearly full", "time", "kept: it is the caller's")
	log.Error("can't put results on disk", "error", errors.New("full"))
	got := strings.Join(e.lines, "\n")
	want := `info msg="agent started" site=s08707 checks=4
warning msg="nearly full" spool.time="kept: it is the caller's"
error msg="can't put results on disk" error=full`
	if got != want {
		t.Errorf("the event log has\n%s\nwant\n%s", got, want)
	}
}
