//go:build !windows

package service

import (
	"context"
	"errors"
)

// System is this machine's service manager.
func System() Manager { return packaged{} }

// Supported says whether the agent may run on this release of the system.
func Supported() error { return nil }

// managed says whether a manager started this process that calls it. systemd does not: it sends signals.
func managed() bool { return false }

func runManaged(context.Context, Options, Program) error {
	return errors.New("no service manager calls on this system")
}
