package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"communewatch/agent/update/launch"
	"communewatch/probes/presence"

	"github.com/kardianos/service"
	win "golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"
)

// System is this machine's service manager.
func System() Manager { return controlManager{} }

// workstation is VER_NT_WORKSTATION; every other type of product is a server.
const workstation = 1

// Supported says whether the agent may run on this release of the system.
func Supported() error {
	v := win.RtlGetVersion()
	return windows{major: v.MajorVersion, minor: v.MinorVersion, build: v.BuildNumber, server: v.ProductType != workstation}.supported()
}

// managed says whether the service manager started this process. A release that runs in the place of the package's
// binary is its child, and none of the manager's.
func managed() bool { return !launch.IsChild() && !service.Interactive() }

// runManaged runs the program for the service manager.
func runManaged(ctx context.Context, o Options, p Program) error {
	s, err := service.New(nil, &service.Config{Name: Name})
	if err != nil {
		return err
	}
	log := o.Log
	events, err := s.SystemLogger(nil)
	if err == nil {
		log = slog.New(newEventHandler(events, o.Level))
	}
	c := newControl(&Session{log: log}, p, o.StopWithin, func(err error) {
		log.Error("the agent ended by itself; the service manager starts it again", "error", err)
		o.exit(1)
	})
	if s, err = service.New(calls{ctx, c}, &service.Config{Name: Name}); err != nil {
		return err
	}
	if err := s.Run(); err != nil {
		return fmt.Errorf("run as a service of Windows: %w", err)
	}
	return nil
}

// calls is a control as the library calls it.
type calls struct {
	ctx     context.Context
	control *control
}

func (c calls) Start(service.Service) error {
	c.control.start(c.ctx)
	return nil
}
func (c calls) Stop(service.Service) error     { return c.control.stop(presence.StopService) }
func (c calls) Shutdown(service.Service) error { return c.control.stop(presence.StopShutdown) }

// controlManager is the service manager of Windows.
type controlManager struct{}

func (controlManager) open(d Definition) (service.Service, error) {
	return service.New(nil, &service.Config{
		Name: d.Name, DisplayName: d.DisplayName, Description: d.Description, Arguments: d.Arguments,
		Option: service.KeyValue{"DelayedAutoStart": d.Delayed},
	})
}

// Install makes the service and its source in the event log. It runs as LocalSystem: pings from Windows need it.
func (m controlManager) Install(d Definition) error {
	if err := Supported(); err != nil {
		return err
	}
	s, err := m.open(d)
	if err != nil {
		return err
	}
	if err := s.Install(); err != nil {
		return advise(err)
	}
	if err := setRecovery(d); err != nil {
		return errors.Join(fmt.Errorf("recovery options: %w", err), s.Uninstall())
	}
	return nil
}

// setRecovery has the manager start the service again after failures, also after those that the service itself reports.
// The library knows one pause only.
func setRecovery(d Definition) error {
	m, err := mgr.Connect()
	if err != nil {
		return err
	}
	defer m.Disconnect()
	s, err := m.OpenService(d.Name)
	if err != nil {
		return err
	}
	defer s.Close()
	var actions []mgr.RecoveryAction
	for _, pause := range d.Restarts {
		actions = append(actions, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: pause})
	}
	if err := s.SetRecoveryActions(actions, uint32(d.ResetAfter/time.Second)); err != nil {
		return err
	}
	return s.SetRecoveryActionsOnNonCrashFailures(true)
}

// Uninstall stops and removes the service. Settings and state stay.
func (m controlManager) Uninstall() error {
	s, err := m.open(Definition{Name: Name})
	if err != nil {
		return err
	}
	if status, err := m.Status(); err == nil && status == StatusRunning {
		if err := m.Stop(); err != nil {
			return err
		}
	}
	return advise(s.Uninstall())
}

// Start starts the service.
func (m controlManager) Start() error {
	s, err := m.open(Definition{Name: Name})
	if err != nil {
		return err
	}
	return advise(s.Start())
}

// Stop stops the service and waits until it has. The library would wait for ever for one that does not.
func (m controlManager) Stop() error {
	s, err := m.open(Definition{Name: Name})
	if err != nil {
		return err
	}
	stopped := make(chan error, 1) // the library's own wait may outlive this function; the command that calls it ends
	go func() { stopped <- s.Stop() }()
	select {
	case err := <-stopped:
		return advise(err)
	case <-time.After(2 * stopWithin):
		return fmt.Errorf("the service has not stopped within %s; end communewatch-agent.exe in the task manager", 2*stopWithin)
	}
}

// Status says whether the service is there and runs.
func (m controlManager) Status() (Status, error) {
	s, err := m.open(Definition{Name: Name})
	if err != nil {
		return "", err
	}
	switch status, err := s.Status(); {
	case errors.Is(err, service.ErrNotInstalled):
		return StatusAbsent, nil
	case err != nil:
		return "", advise(err)
	case status == service.StatusRunning:
		return StatusRunning, nil
	}
	return StatusStopped, nil
}

// advise adds what to do to the errors that people meet.
func advise(err error) error {
	switch {
	case errors.Is(err, win.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%w; run it in a window that was opened with \"Run as administrator\" (Chạy với quyền quản trị)", err)
	case errors.Is(err, win.ERROR_SERVICE_DOES_NOT_EXIST):
		return fmt.Errorf("%w; install it first: communewatch-agent service install", err)
	}
	return err
}
