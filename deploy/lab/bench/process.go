package bench

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

// process is a program under measurement.
type process struct {
	cmd  *exec.Cmd
	done chan error
	out  strings.Builder
}

func start(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	lifeline.DieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p, nil
}

// stop ends the process in good order.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// ready waits until url answers.
func (p *process) ready(ctx context.Context, url string) error {
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

// cpu is the processor time that the process has used.
func (p *process) cpu() (time.Duration, error) { return usage.CPU(p.cmd.Process.Pid) }

// memory is the process's resident set in bytes, now and at its highest.
func (p *process) memory() (now, peak float64, err error) { return usage.Memory(p.cmd.Process.Pid) }

// freeAddress finds a port on loopback.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func mib(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }
