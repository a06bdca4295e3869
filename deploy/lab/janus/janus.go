// Package janus runs Janus, a WebRTC server that many conference services are built of, as somebody else's far end: its
// EchoTest plugin sends media back to where they came from.
//
// Janus takes no address of the loopback device. So it gets a network of its own (a network namespace) with a cable that
// leads nowhere, whose address it takes; what is to talk with it runs in that network too, by Command. That needs root.
package janus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"communewatch/deploy/lab/lifeline"
)

// address is Janus's own, in a network that nothing else is in.
var address = netip.MustParseAddrPort("198.51.100.1:8088") // RFC 5737

// plugins other than EchoTest, and transports other than HTTP.
var unwanted = map[string][]string{
	"plugins":    {"audiobridge", "duktape", "lua", "nosip", "recordplay", "sip", "streaming", "textroom", "videocall", "videoroom", "voicemail"},
	"transports": {"mqtt", "nanomsg", "pfunix", "rabbitmq", "websockets"},
}

// ErrMissing is returned where Janus can't run: something is not installed, or it wants root.
var ErrMissing = errors.New("can't run Janus here")

// Server is a running Janus.
type Server struct {
	cmd  *exec.Cmd
	out  output
	done chan error
	dir  string
}

// Start runs Janus until Close, and returns when it takes calls.
func Start(ctx context.Context) (*Server, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs root, for a network namespace", ErrMissing)
	}
	for _, program := range []string{"janus", "unshare", "nsenter", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w: there is no %s (Debian's packages janus, util-linux and iproute2)", ErrMissing, program)
		}
	}
	parts, err := filepath.Glob("/usr/lib/*/janus")
	if err != nil || len(parts) == 0 {
		return nil, fmt.Errorf("%w: no plugins in /usr/lib/*/janus", ErrMissing)
	}
	dir, err := os.MkdirTemp("", "communewatch-janus-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, done: make(chan error, 1)}
	if err := s.configure(parts[0]); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	const network = `ip link set lo up && ip link add cable type veth peer name nowhere && ip addr add "$1" dev cable && ip link set cable up && ip link set nowhere up && exec janus -F "$2"`
	s.cmd = exec.Command("unshare", "--net", "sh", "-c", network, "sh", address.Addr().String()+"/24", dir)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	lifeline.DieWithParent(s.cmd)
	s.out.ready = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	go func() { s.done <- s.cmd.Wait() }()
	select {
	case <-s.out.ready:
		return s, nil
	case err := <-s.done:
		s.done <- err
		err = fmt.Errorf("the server ended: %w\n%s", err, s.out.String())
		s.Close()
		return nil, err
	case <-ctx.Done():
		s.Close()
		return nil, fmt.Errorf("the server did not start: %w\n%s", ctx.Err(), s.out.String())
	}
}

// configure writes Janus's settings.
func (s *Server) configure(parts string) error {
	names := func(kind string) string {
		var files []string
		for _, n := range unwanted[kind] {
			files = append(files, "libjanus_"+n+".so")
		}
		return strings.Join(files, ",")
	}
	none := filepath.Join(s.dir, "none")
	for name, text := range map[string]string{
		"janus.jcfg": fmt.Sprintf(`general: {
	configs_folder = %q
	plugins_folder = %q
	transports_folder = %q
	events_folder = %q
	loggers_folder = %q
	interface = %q
	debug_level = 4
	debug_colors = false
}
nat: { ice_enforce_list = %q }
plugins: { disable = %q }
transports: { disable = %q }
`, s.dir, filepath.Join(parts, "plugins"), filepath.Join(parts, "transports"), none, none, address.Addr(), address.Addr(), names("plugins"), names("transports")),
		"janus.transport.http.jcfg":  fmt.Sprintf("general: { base_path = \"/janus\", http = true, port = %d, ip = %q }\nadmin: { admin_http = false }\n", address.Port(), address.Addr()),
		"janus.plugin.echotest.jcfg": "general: { }\n",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// URL is where Janus's API is, in its network.
func (s *Server) URL() string { return "http://" + address.String() + "/janus" }

// Addr is Janus's address, which callers in its network may call from too.
func (s *Server) Addr() netip.Addr { return address.Addr() }

// PID is Janus's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Command is a command that runs in Janus's network.
func (s *Server) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", s.PID()), name}, args...)...)
	lifeline.DieWithParent(cmd)
	return cmd
}

// Close ends Janus and its network.
func (s *Server) Close() {
	s.cmd.Process.Signal(os.Interrupt)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		s.cmd.Process.Kill()
		<-s.done
	}
	os.RemoveAll(s.dir)
}

// Output is what Janus has said so far, its end if that is long.
func (s *Server) Output() string { return s.out.String() }

// output keeps what Janus says, and notices that it is ready.
type output struct {
	mu    sync.Mutex // guards the fields below
	text  []byte
	ready chan struct{}
	told  bool
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	if !o.told && strings.Contains(string(o.text), "JANUS REST (HTTP/HTTPS) transport plugin initialized") {
		o.told = true
		close(o.ready)
	}
	const keep = 64 << 10
	if len(o.text) > 2*keep {
		o.text = append([]byte(nil), o.text[len(o.text)-keep:]...)
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
