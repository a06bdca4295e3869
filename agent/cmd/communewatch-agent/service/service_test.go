package service

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/agent/service"

	"github.com/spf13/cobra"
)

// manager is a service manager in memory.
type manager struct {
	status service.Status
	got    service.Definition
	fail   error
}

func (m *manager) Install(d service.Definition) error {
	if m.status != service.StatusAbsent {
		return errors.New("service communewatch-agent already exists")
	}
	m.got, m.status = d, service.StatusStopped
	return m.fail
}
func (m *manager) to(s service.Status) error {
	if m.status == service.StatusAbsent {
		return errors.New("the specified service does not exist")
	}
	m.status = s
	return m.fail
}
func (m *manager) Uninstall() error                { return m.to(service.StatusAbsent) }
func (m *manager) Start() error                    { return m.to(service.StatusRunning) }
func (m *manager) Stop() error                     { return m.to(service.StatusStopped) }
func (m *manager) Status() (service.Status, error) { return m.status, m.fail }

func run(m service.Manager, args ...string) (string, error) {
	var out strings.Builder
	cmd := New(m, "agent.yaml", func(c *cobra.Command) *cobra.Command { return c })
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.Execute()
	return out.String(), err
}

func TestAServiceFromInstallToRemoval(t *testing.T) {
	m := &manager{status: service.StatusAbsent}
	for _, step := range []struct {
		args, want string
		bad        bool
	}{
		{"status", "is not installed", false},
		{"start", "start the service: the specified service does not exist", true},
		{"install", "is installed with", false},
		{"install", "already exists", true},
		{"start", "is started", false},
		{"status", "is running", false},
		{"stop", "is stopped", false},
		{"status", "is stopped", false},
		{"uninstall", "is removed", false},
		{"status", "is not installed", false},
		{"remove", "unknown command", true},
	} {
		out, err := run(m, strings.Fields(step.args)...)
		if err != nil {
			out += err.Error()
		}
		if step.bad != (err != nil) || !strings.Contains(out, step.want) {
			t.Errorf("service %s: %q, want %q", step.args, out, step.want)
		}
	}
	if file := m.got.Arguments[2]; !filepath.IsAbs(file) {
		t.Errorf("the service is installed with %q, which it would not find from its own folder", file)
	}
}

func TestInstallSaysThatSettingsAreMissing(t *testing.T) {
	out, err := run(&manager{status: service.StatusAbsent}, "install", "--config", filepath.Join(t.TempDir(), "none.yaml"))
	if err != nil || !strings.Contains(out, "will not run before that file is there") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestOnLinuxCommandsNameWhatDoesIt(t *testing.T) {
	m := &manager{status: service.StatusAbsent, fail: service.ErrPackaged}
	if _, err := run(m, "install"); err == nil || err.Error() != service.ErrPackaged.Error() {
		t.Errorf("got %v", err)
	}
}

// waits runs Await as the service would, and says how long it waited, what it returned and what it logged.
func waits(t *testing.T, ctx context.Context, unenrolled, asked func() bool) (time.Duration, bool, string) {
	t.Helper()
	var logged strings.Builder
	begin, ok := time.Now(), false
	err := service.Run(ctx, service.Options{Log: slog.New(slog.NewTextHandler(&logged, nil))}, func(ctx context.Context, s *service.Session) error {
		ok = Await(ctx, s, unenrolled, asked)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return time.Since(begin), ok, logged.String()
}

func never() bool { return false }

func TestAServiceWaitsForItsMachineToBeEnrolled(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	synctest.Test(t, func(t *testing.T) {
		enrolled := time.Now().Add(time.Hour)
		took, ok, logged := waits(t, t.Context(), func() bool { return time.Now().Before(enrolled) }, never)
		if !ok || took < time.Hour || took > time.Hour+3*time.Second {
			t.Errorf("returned %v after %s", ok, took)
		}
		if strings.Count(logged, "enroll CODE") != 1 || strings.Count(logged, "enrolled now") != 1 {
			t.Errorf("logged:\n%s", logged)
		}
	})
}

func TestAServiceSaysThatItsMachineWaitsForApproval(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		asked := func() bool { return time.Since(begin) > 10*time.Minute && time.Since(begin) < 30*time.Minute }
		_, ok, logged := waits(t, t.Context(), func() bool { return time.Since(begin) < time.Hour }, asked)
		if !ok || strings.Count(logged, "enroll CODE") != 2 || strings.Count(logged, "somebody approves") != 1 {
			t.Errorf("logged:\n%s", logged)
		}
	})
}

func TestAServiceThatWaitsCanBeStopped(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if took, ok, _ := waits(t, ctx, func() bool { return true }, never); ok || took != time.Minute {
			t.Errorf("returned %v after %s", ok, took)
		}
	})
}

func TestAnEnrolledMachineDoesNotWait(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if _, ok, logged := waits(t, t.Context(), func() bool { return false }, never); !ok || logged != "" {
		t.Errorf("returned %v, logged %q", ok, logged)
	}
}
