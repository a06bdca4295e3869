package stun

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/peertest"
)

// coturn's server is asked over UDP, TCP and TLS.
func TestCoturn(t *testing.T) {
	program := peertest.Need(t, "turnserver")
	cert, key := peertest.Certificate(t)
	dir := t.TempDir()
	address := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	alive := func(address, transport string) bool {
		_, err := ask(t, address, func(o *Options) { o.Transport, o.SkipVerify, o.Timeout = transport, true, time.Second })
		return err == nil
	}
	port := peertest.Serve(t, func(port int) *exec.Cmd {
		config := filepath.Join(dir, fmt.Sprintf("turnserver-%d.conf", port))
		text := fmt.Sprintf(`listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port=%d
tls-listening-port=%d
cert=%s
pkey=%s
pidfile=%s
userdb=%s
log-file=stdout
simple-log
no-cli
no-dtls
relay-threads=1
software-attribute
`, port, port+1, cert, key, filepath.Join(dir, "pid"), filepath.Join(dir, "users"))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "-c", config)
		cmd.Dir = dir
		return cmd
	}, func(port int) bool {
		return alive(address(port), "udp") && alive(address(port), "tcp") && alive(address(port+1), "tls")
	})
	for _, tc := range []struct {
		address string
		edit    func(*Options)
	}{
		{"stun:" + address(port), nil},
		{address(port), func(o *Options) { o.Transport = "tcp" }},
		{"stuns:" + address(port+1), func(o *Options) { o.CAFile = cert }},
	} {
		p, err := ask(t, tc.address, tc.edit)
		if err != nil {
			t.Errorf("%s: %v", tc.address, err)
			continue
		}
		nat, ok := p.Field("nat")
		if !ok || nat.Num != 0 || !strings.HasPrefix(text(p, "mapped_address"), "127.0.0.1:") || !strings.HasPrefix(text(p, "software"), "Coturn") {
			t.Errorf("%s: %+v", tc.address, p.Fields)
		}
		if f, ok := p.Field("response_seconds"); !ok || f.Num <= 0 {
			t.Errorf("%s: response_seconds = %+v", tc.address, f)
		}
	}
	if _, err := ask(t, "stuns:"+address(port+1), nil); probes.OutcomeOf(err) != probes.OutcomeFailed || err.Error() != "certificate: signed by an unknown authority, peer" {
		t.Errorf("a certificate of nobody's: %v", err)
	}
}
