// Package doors is where the collector is reached: one TCP port for agents and people alike, with or without TLS, and a
// socket for programs of the same user on the same machine.
//
// Whoever can reach the port can open connections and say nothing, or say it a byte at a time (slow loris). So a
// connection has ten seconds for its TLS handshake and ten for each request's header, a body has to keep coming, and the
// connections that may be open at once are bounded, those of one address and all of them. An address is what a NAT lets
// be seen, and may stand for a whole province; see Limits.
package doors

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"communewatch/collector/orders"
)

const (
	drainTimeout = 5 * time.Second  // for requests under way when the collector stops
	headerWait   = 10 * time.Second // for a TLS handshake, and for a request's header
	idleTimeout  = 2 * time.Minute  // above the agents' sending interval, so that they keep their connection
	headerBytes  = 64 << 10
)

// Doors is a port that was taken. Make it with Open.
type Doors struct {
	listener *counted
	socket   net.Listener // nil: there is none
	log      *slog.Logger
}

// Open takes the port, so that one that is taken is found before anything else is begun. Who connects before Run waits.
func Open(address string, limits Limits, log *slog.Logger) (*Doors, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w (`ss -ltnp` says who has the port)", err)
	}
	return &Doors{listener: count(l, limits, log), log: log}, nil
}

// Addr is the address that was taken.
func (d *Doors) Addr() net.Addr { return d.listener.Addr() }

// OpenSocket makes the socket for programs of the same user. Its folder is closed to others, and belongs to this process
// by now. Without a socket the doors work all the same.
func (d *Doors) OpenSocket(file string) {
	var err error
	if d.socket, err = listenSocket(file); err != nil {
		d.log.Warn("the command line can't reach the running collector: no backup while it runs", "error", err)
	}
}

// Close gives the port and the socket back. It is harmless after Run.
func (d *Doors) Close() error {
	err := d.listener.Close()
	if d.socket != nil {
		err = errors.Join(err, d.socket.Close())
	}
	return err
}

// Serve is what is behind the doors.
type Serve struct {
	Handler http.Handler
	TLS     *tls.Config  // nil: plain HTTP
	Admin   http.Handler // behind the socket
}

// Run serves until ctx ends or the port fails, and then lets requests that are under way end.
func (d *Doors) Run(ctx context.Context, s Serve) error {
	quiet := slog.NewLogLogger(d.log.Handler(), slog.LevelDebug) // scanners and aborted handshakes
	server := &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: headerWait, // also bounds the handshake
		IdleTimeout:       idleTimeout,
		ConnContext:       orders.WithConn,
		ConnState:         d.listener.connState,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          quiet,
		TLSConfig:         s.TLS,
	}
	adminServer := &http.Server{Handler: s.Admin, ReadHeaderTimeout: headerWait, ErrorLog: quiet}

	group, run := errgroup.WithContext(ctx)
	group.Go(func() error {
		var err error
		if s.TLS != nil {
			err = server.ServeTLS(d.listener, "", "")
		} else {
			err = server.Serve(d.listener)
		}
		return unlessClosed(err)
	})
	if d.socket != nil {
		group.Go(func() error { return unlessClosed(adminServer.Serve(d.socket)) })
	}
	group.Go(func() error {
		<-run.Done()
		begin := time.Now()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		_ = adminServer.Shutdown(drain) // what is not over by now is given up
		if err := server.Shutdown(drain); err != nil {
			_ = server.Close()
		}
		d.log.Info("stopped", "part", "doors", "took", time.Since(begin).Round(time.Millisecond))
		return nil
	})
	return group.Wait()
}

func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func listenSocket(file string) (net.Listener, error) {
	// A socket that is still there belongs to nobody: this process has registry and store for itself.
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", file)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
