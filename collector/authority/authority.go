package authority

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/probes/enroll"
)

// Options of an Authority.
type Options struct {
	// Names are the host names and addresses under which the collector is reached. Without any, no certificate of the
	// collector is kept: so does the command line, beside a collector that keeps it.
	Names []string
	Files Files // a certificate from elsewhere

	// Agents lists the fleet, to know whether it is ready for a change of authorities; nil: there is none.
	Agents func(context.Context) ([]fleet.Agent, error)

	Record audit.Recorder // of what Run changes by itself; nil: nobody keeps one

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default
}

// Authority vouches for a fleet. Make it with Open. Its methods may be called concurrently.
type Authority struct {
	dir folder
	o   Options

	view atomic.Pointer[view] // replaced as a whole

	mu      sync.Mutex // held while files are read or changed; guards the fields below
	seen    marks      // of the files that view was made of
	problem string     // what Run said last; "" while all is well
}

// view is what is in force.
type view struct {
	state
	outside    []*x509.Certificate // authorities of a certificate from elsewhere
	server     *tls.Certificate    // nil: none is kept
	pin        enroll.Pin          // of who stands behind server; zero: no authority does
	roots      string
	tls        *tls.Config
	generation uint64
}

// Open reads the authority of a folder, and makes it where there is none yet.
func Open(dir string, o Options) (*Authority, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &Authority{dir: folder(dir), o: o}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.begin(); err != nil {
		return nil, err
	}
	a.warnOfOpenFiles()
	a.dir.sweep(o.Now())
	seen := a.look()
	v, err := a.load()
	if err != nil {
		return nil, err
	}
	a.publish(v, seen)
	return a, nil
}

// begin makes the first authority, if there never was one.
func (a *Authority) begin() error {
	if _, err := a.dir.read(); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A first start that was cut off leaves nothing; whoever has served agents has these.
	for _, file := range []string{serverFile, rootsFile} {
		if _, err := os.Stat(a.dir.path(file)); err == nil {
			return damaged(a.dir.path(stateFile), fmt.Errorf("it is not there, and %s is", file))
		}
	}
	if behind, err := a.agents(context.Background(), func(*fleet.Agent) bool { return true }); err != nil {
		return err
	} else if len(behind) > 0 {
		return fmt.Errorf("authority: the folder %s is not there, and agents have certificates of an authority in it: %s; put it back from its copy, "+
			"or, if there is none, throw these agents out (agents revoke) and enrol them anew", a.dir, some(behind))
	}
	now := a.o.Now()
	cert, key, err := newAuthority(now)
	if err != nil {
		return err
	}
	e := entry{cert: cert, key: key, pin: enroll.PinOf(cert), standing: StandingCurrent, since: now}
	err = a.dir.create(a.dir.path(stateFile), (&state{fleet: e.pin, entries: []entry{e}}).marshal())
	if errors.Is(err, fs.ErrExist) { // another process was quicker, and its authority is the one
		return nil
	}
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	a.o.Log.Info("made the fleet's authority", "pin", e.pin.String(), "expires", cert.NotAfter, "folder", string(a.dir))
	return nil
}

// load reads everything anew. The caller holds a.mu.
func (a *Authority) load() (*view, error) {
	s, err := a.dir.read()
	if err != nil {
		return nil, err
	}
	v := &view{state: *s}
	if err := a.loadOutside(v); err != nil {
		return nil, err
	}
	if a.o.Files.Cert == "" {
		v.pin = v.find(StandingCurrent).pin
		if len(a.o.Names) > 0 {
			if err := a.ownServer(v); err != nil {
				return nil, err
			}
		}
	}
	all := append([]*x509.Certificate(nil), v.outside...)
	pool := x509.NewCertPool()
	for _, e := range v.entries {
		all = append(all, e.cert)
		pool.AddCert(e.cert)
	}
	v.roots = encode(all...)
	v.tls = &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert,
		ClientCAs:  pool, // browsers look whether they have a certificate of these, and stay quiet without
		// A ticket would bring back the certificate of the connection that it was made on, which may have been renewed.
		SessionTicketsDisabled: true,
	}
	if v.server != nil {
		v.tls.Certificates = []tls.Certificate{*v.server}
	}
	return v, nil
}

// publish puts a view into force. The caller holds a.mu.
func (a *Authority) publish(v *view, seen marks) {
	if old := a.view.Load(); old != nil {
		v.generation = old.generation + 1
	}
	a.view.Store(v)
	a.seen = seen
	// For people: what they can't read tells nobody anything, so an error is no more than a missing convenience.
	if old, err := readFile(a.dir.path(rootsFile)); err != nil || string(old) != v.roots {
		if err := a.dir.write(a.dir.path(rootsFile), []byte(v.roots)); err != nil {
			a.o.Log.Debug("authority: can't write the roots for people", "error", err)
		}
	}
}

// warnOfOpenFiles says which keys others can read. On Windows the folder's access list says who may.
func (a *Authority) warnOfOpenFiles() {
	if runtime.GOOS == "windows" {
		return
	}
	for _, file := range []string{stateFile, serverFile} {
		if info, err := os.Stat(a.dir.path(file)); err == nil && info.Mode().Perm()&0o077 != 0 {
			a.o.Log.Warn("authority: other users can read private keys; close the file with chmod 600", "file", a.dir.path(file))
		}
	}
}

// Roots is PEM of all whom agents are to believe: who vouches for the collector, now or after a change that was
// announced.
func (a *Authority) Roots() string { return a.view.Load().roots }

// Pin tells who stands behind the collector's certificate; the zero Pin where nobody does that agents could be told of.
func (a *Authority) Pin() enroll.Pin { return a.view.Load().pin }

// Fleet is the fleet's name: the pin of its first authority.
func (a *Authority) Fleet() enroll.Pin { return a.view.Load().fleet }

// Generation rises whenever anything changed, so that what was worked out before can be thrown away.
func (a *Authority) Generation() uint64 { return a.view.Load().generation }

// TLSConfig is for the collector's port: it shows the certificate that is in force at the time, and asks for, but does
// not demand, an agent's; whoever takes a request verifies it with Identify.
func (a *Authority) TLSConfig() *tls.Config {
	c := a.view.Load().tls.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return a.view.Load().tls, nil }
	return c
}

// GetCertificate is for a tls.Config: the certificate that is in force.
func (a *Authority) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := a.view.Load().server; c != nil {
		return c, nil
	}
	return nil, errors.New("authority: no certificate of the collector is kept here")
}

// One is an authority as people look at it.
type One struct {
	Pin      enroll.Pin
	Standing Standing
	Since    time.Time // it has that standing
	Expires  time.Time
	Outside  bool // it comes from tls.ca_file; its standing is empty
}

// List lists the authorities that agents are told to believe.
func (a *Authority) List() []One {
	v := a.view.Load()
	var out []One
	for _, e := range v.entries {
		out = append(out, One{Pin: e.pin, Standing: e.standing, Since: e.since, Expires: e.cert.NotAfter})
	}
	for _, c := range v.outside {
		out = append(out, One{Pin: enroll.PinOf(c), Expires: c.NotAfter, Outside: true})
	}
	return out
}

// How often files are looked at, and what may be due.
const (
	lookEvery    = time.Second
	advanceEvery = time.Hour
)

// Run keeps the collector's certificate fresh, takes over what other processes changed, and moves from an authority that
// ends to the next, until ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var advanced time.Time
	for {
		err := a.refresh()
		if now := a.o.Now(); now.Sub(advanced).Abs() >= advanceEvery {
			advanced = now
			err = errors.Join(err, a.advance(ctx))
		}
		a.say(ctx, err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// say logs when something begins to go wrong, changes, or is well again.
func (a *Authority) say(ctx context.Context, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := ""
	if err != nil && ctx.Err() == nil {
		text = err.Error()
	}
	switch {
	case text == a.problem:
		return
	case text == "":
		a.o.Log.Info("certificates are in order again")
	default:
		a.o.Log.Error("certificates can't be kept current; what was in force stays", "error", text)
	}
	a.problem = text
}

// refresh reads the files again if they changed or the collector's certificate is due.
func (a *Authority) refresh() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen, v := a.look(), a.view.Load()
	if seen == a.seen && !a.due(v) {
		return nil
	}
	fresh, err := a.load()
	if err != nil {
		return err // and try again: whoever writes the files may not be done
	}
	a.publish(fresh, seen)
	return nil
}

// marks tell files that were changed from those that were not.
type marks [4]mark

type mark struct {
	size int64
	at   time.Time
}

// look takes the marks of all files that a view is made of but server.pem, which is our own.
func (a *Authority) look() (m marks) {
	for i, file := range []string{a.dir.path(stateFile), a.o.Files.Cert, a.o.Files.Key, a.o.Files.CA} {
		if file == "" {
			continue
		}
		if info, err := os.Stat(file); err == nil {
			m[i] = mark{info.Size(), info.ModTime()}
		}
	}
	return m
}
