// Package program runs programs under measurement, each as a process of its own, and tells what they take of the machine.
package program

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"communewatch/deploy/lab/lifeline"
	"communewatch/deploy/lab/usage"
)

// Program is a program under measurement. Make it with Start.
type Program struct {
	cmd  *exec.Cmd
	done chan error
	out  strings.Builder
}

// Start runs a program.
func Start(name string, args ...string) (*Program, error) {
	p := &Program{cmd: exec.Command(name, args...), done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	lifeline.DieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p, nil
}

// Stop ends the process in good order.
func (p *Program) Stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// Ready waits until url answers.
func (p *Program) Ready(ctx context.Context, url string) error {
	deadline := time.After(60 * time.Second)
	for {
		if resp, err := http.Get(url); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode < 500 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.done:
			p.done <- err
			return fmt.Errorf("%s ended: %w\n%s", p.cmd.Path, err, p.out.String())
		case <-deadline:
			return fmt.Errorf("%s does not answer at %s", p.cmd.Path, url)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// CPU is the processor time that the process has used.
func (p *Program) CPU() (time.Duration, error) { return usage.CPU(p.cmd.Process.Pid) }

// Memory is the process's resident set in bytes, now and at its highest.
func (p *Program) Memory() (now, peak float64, err error) { return usage.Memory(p.cmd.Process.Pid) }

// FreeAddress finds a port on loopback.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// PID is its process.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Output is what it has said.
func (p *Program) Output() string { return p.out.String() }
