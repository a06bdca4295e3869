// Package peertest gives tests of probes somebody to talk to on this machine: servers of other people, to know whether a
// probe and they understand each other (`make needs` installs them), and listeners that do what a test wants.
package peertest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How long a server may take to answer its first question, and to end. A loaded machine is slow at both.
const (
	startTime = 30 * time.Second
	endTime   = 10 * time.Second
	tries     = 3 // ports, should another program be faster at taking one
)

// Need returns the path of a program, and skips the test where there is none.
func Need(t testing.TB, program string) string {
	t.Helper()
	for _, name := range []string{program, filepath.Join("/usr/sbin", program)} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed; make needs does it", program)
	return ""
}

// Serve starts the program that command makes for a port of 127.0.0.1, which is free for TCP and UDP as is the next
// one, and returns the port as soon as ready reports true for it. A program that ends before, or stays silent, is begun
// again with other ports, since another one may have been faster at taking them. The program ends with the test. What it
// said is shown when it does not start.
func Serve(t testing.TB, command func(port int) *exec.Cmd, ready func(port int) bool) int {
	t.Helper()
	var said string
	for range tries {
		port := freePorts(t)
		cmd := command(port)
		out := &output{}
		cmd.Stdout, cmd.Stderr = out, out
		cmd.SysProcAttr = ownGroup()
		cmd.WaitDelay = time.Second // children may hold the pipe
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() { defer close(gone); _ = cmd.Wait() }()
		stop := func() {
			signalGroup(cmd.Process.Pid, syscall.SIGTERM)
			select {
			case <-gone:
			case <-time.After(endTime):
			}
			signalGroup(cmd.Process.Pid, syscall.SIGKILL) // children that outlived it
			<-gone
		}
		if wait(gone, func() bool { return ready(port) }) {
			t.Cleanup(stop)
			return port
		}
		stop()
		said = fmt.Sprintf("%s\n%s", cmd, out)
	}
	t.Fatalf("does not answer: %s", said)
	return 0
}

// wait asks ready until it says yes, the program is gone, or it took too long.
func wait(gone <-chan struct{}, ready func() bool) bool {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(startTime)
	for {
		select {
		case <-gone:
			return false
		case <-late:
			return false
		case <-again.C:
			if ready() {
				return true
			}
		}
	}
}

// ServeTCP listens on a port of 127.0.0.1 until the test ends, and returns its address; see Accept.
func ServeTCP(t testing.TB, serve func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	Accept(t, l, serve)
	return l.Addr().String()
}

// Accept hands each connection to serve, one after the other, and closes it afterwards. The listener is closed with the
// test, which waits for serve to return.
func Accept(t testing.TB, l net.Listener, serve func(conn net.Conn)) {
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
}

// The ports that servers get: above those that the lab's services have (21081 to 21200), and below those that the system
// gives to whoever asks for any, so that other tests don't get them in the meantime.
const (
	portsFrom = 22000
	portsTo   = 32000
)

// freePorts finds two ports that follow each other.
func freePorts(t testing.TB) int {
	t.Helper()
	for range 1000 {
		if port := portsFrom + 2*mathrand.IntN((portsTo-portsFrom)/2); free(port) && free(port+1) {
			return port
		}
	}
	t.Fatal("found no free ports")
	return 0
}

// free reports whether nobody has the port. TCP is dialed: had this process listened there, a child that is being forked
// just then would hold the port a moment longer.
func free(port int) bool {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	u, err := net.ListenPacket("udp", address) // who does not listen on UDP does not answer either way
	if err != nil {
		return false
	}
	u.Close()
	return true
}

// output is what a program said. Its processes write while the test may read.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Certificate makes a certificate for 127.0.0.1 that is its own authority, good for a day, and returns the files of
// certificate and key.
func Certificate(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}
