// Package influxd runs a real InfluxDB 1.8 on loopback for tests, benchmarks and the lab. The server is built with the
// Go toolchain from the module that deploy/influxdb pins, so it needs no package of the system and no download page.
package influxd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Version is what deploy/influxdb pins.
const Version = "1.8.10"

// Options of a server.
type Options struct {
	Dir     string   // of all its files; it is made
	Address string   // of its door; "": a free one
	Binary  string   // "": Build makes it
	Auth    bool     // requests need a user; the first one made by CREATE USER must be an admin
	Extra   []string // further settings, as environment variables: "INFLUXDB_DATA_MAX_SERIES_PER_DATABASE=10"
}

// Server is a process that may be killed and started again on the same files and the same port.
type Server struct {
	o       Options
	address string
	file    string // of its settings

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// built makes one build serve all tests of a process.
var built = sync.OnceValues(build)

// Build makes the server's program in bin/ of the project, if it is not there, and returns its path.
func Build() (string, error) { return built() }

func build() (string, error) {
	root, err := projectRoot()
	if err != nil {
		return "", err
	}
	file := filepath.Join(root, "bin", "influxd")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	// Several test processes may come here at once: the last one renames the same program into place.
	tmp, err := os.MkdirTemp(filepath.Dir(file), ".influxd-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(tmp, "influxd"), "github.com/influxdata/influxdb/cmd/influxd")
	cmd.Dir = filepath.Join(root, "deploy", "influxdb")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build InfluxDB %s: %w\n%s", Version, err, out)
	}
	return file, os.Rename(filepath.Join(tmp, "influxd"), file)
}

// projectRoot is the folder with go.mod above the working directory, or above this file where that is not in it.
func projectRoot() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{wd, filepath.Dir(here)} {
		for ; filepath.IsAbs(dir); dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "deploy", "influxdb", "go.mod")); err == nil {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("the project's folder was not found; run this inside it, or name the program")
}

// New prepares a server that does not run yet. Its port is free now and its own for as long as nobody else takes it
// while it is down.
func New(o Options) (*Server, error) {
	if o.Binary == "" {
		var err error
		if o.Binary, err = Build(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	address, err := o.Address, error(nil)
	if address == "" {
		address, err = freeAddress()
	}
	if err != nil {
		return nil, err
	}
	rpc, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, address: address, file: filepath.Join(o.Dir, "influxdb.conf")}
	text := fmt.Sprintf(`reporting-disabled = true
bind-address = %q
[meta]
dir = %q
[data]
dir = %q
wal-dir = %q
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = %q
log-enabled = false
auth-enabled = %v
[logging]
level = "warn"
`, rpc, filepath.Join(o.Dir, "meta"), filepath.Join(o.Dir, "data"), filepath.Join(o.Dir, "wal"), address, o.Auth)
	return s, os.WriteFile(s.file, []byte(text), 0o600)
}

// The ports to choose from are below those that systems give to outgoing connections: a server that was killed must
// find its port again when it comes back.
const firstPort, ports = 23000, 9000

func freeAddress() (string, error) {
	var err error
	for range 50 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(ports))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("no free port: %w", err)
}

// URL is the address of the server's door.
func (s *Server) URL() string { return "http://" + s.address }

// Dir is where its files are.
func (s *Server) Dir() string { return s.o.Dir }

// startWithin bounds how long a server may take to answer.
const startWithin = 60 * time.Second

// Start starts the server and returns when it answers.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return errors.New("influxd runs already")
	}
	log, err := os.OpenFile(filepath.Join(s.o.Dir, "influxd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(s.o.Binary, "run", "-config", s.file)
	cmd.Env = append(os.Environ(), s.o.Extra...)
	cmd.Stdout, cmd.Stderr = log, log
	endWithParent(cmd)
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	s.cmd, s.done = cmd, done
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/ping", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return nil
			}
		}
		select {
		case <-done:
			s.cmd = nil
			return fmt.Errorf("influxd ended at once:\n%s", s.logTail())
		case <-ctx.Done():
			s.end(syscall.SIGKILL)
			return fmt.Errorf("influxd does not answer: %w\n%s", ctx.Err(), s.logTail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) logTail() string {
	b, _ := os.ReadFile(filepath.Join(s.o.Dir, "influxd.log"))
	return strings.TrimSpace(string(b[max(len(b)-2000, 0):]))
}

// end signals the process and waits until it is gone. mu is held.
func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	select {
	case <-s.done:
	case <-time.After(startWithin):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	s.cmd = nil
}

// Kill ends the server by SIGKILL.
func (s *Server) Kill() { s.mu.Lock(); defer s.mu.Unlock(); s.end(syscall.SIGKILL) }

// Ended is closed once the process that was started last is gone; nil before the first Start.
func (s *Server) Ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Stop ends the server in good order. Its files stay.
func (s *Server) Stop() { s.mu.Lock(); defer s.mu.Unlock(); s.end(syscall.SIGTERM) }

// PID is the process's number, 0 while it does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}
