package service

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/agent/service"
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
	cmd := New(m, "agent.yaml")
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
