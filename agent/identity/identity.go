package identity

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"communewatch/agent/spool/disk"
	"communewatch/probes/enroll"
)

const (
	// day is how wrong a machine's clock may be before it is corrected.
	day = 24 * time.Hour
	// floorStep is how far the floor is raised at least before that is written down.
	floorStep = time.Hour
)

// Options of an Identity.
type Options struct {
	Now   func() time.Time // the machine's clock; nil for the real one. It may be wrong by years.
	Build time.Time        // when this program was built; zero for what the toolchain wrote into it
	Log   *slog.Logger     // nil for slog.Default
	Disk  *disk.Disk       // where it is kept; nil for the real one
}

// Identity is an agent's identity in use: connections are made with it, and it can change under way.
type Identity struct {
	dir string
	o   Options

	mu      sync.Mutex // guards the fields below
	set     Set
	renewed chan struct{}             // closed when the certificate is replaced
	unkept  struct{ set, clock bool } // what is newer than on disk
	failing bool                      // to put it there

	doubt chan struct{} // holds a token while it is to be asked for the time
}

// New returns the identity that is kept in a folder as set.
func New(dir string, set *Set, o Options) *Identity {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Build.IsZero() {
		o.Build = built()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Disk == nil {
		o.Disk = private()
	}
	return &Identity{dir: dir, o: o, set: *set, renewed: make(chan struct{}), doubt: make(chan struct{}, 1)}
}

// built is when the commit was made that this program was built from; zero where the toolchain did not write it down.
func built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			at, _ := time.Parse(time.RFC3339, s.Value)
			return at
		}
	}
	return time.Time{}
}

// Set is the identity as it is now.
func (i *Identity) Set() Set {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.set
}

// Pins are those of the authorities that are believed, in hexadecimal digits.
func (i *Identity) Pins() (list []string) {
	for _, c := range i.Set().Roots {
		list = append(list, enroll.PinOf(c).String())
	}
	return list
}

// Renewed returns a channel that is closed once there is a certificate that connections made before do not show.
func (i *Identity) Renewed() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.renewed
}

// Doubt holds a token after a certificate was refused because of its time: the machine's clock may be wrong.
func (i *Identity) Doubt() <-chan struct{} { return i.doubt }

// CSR is a request for a certificate for the key.
func (i *Identity) CSR() (string, error) { s := i.Set(); return s.CSR() }

// CSR is a request for a certificate for the key of the set. It names nobody: who it is for the collector knows.
func (s *Set) CSR() (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, s.Key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// Accept checks the certificate that a collector gave for the key of the set, and makes it the set's, with what else
// the answer says. root is the authority that stands behind the collector on the connection the answer came by: it
// stays believed for as long as the collector shows it.
func (s *Set) Accept(a *enroll.Answer, root *x509.Certificate) error {
	leaf, err := a.Leaf()
	if err != nil {
		return err
	}
	name, err := enroll.NameOf(leaf)
	if err != nil {
		return err
	}
	switch {
	case !s.Key.PublicKey.Equal(leaf.PublicKey):
		return fmt.Errorf("the certificate given is for another key")
	case name.Site != a.Site || name.Agent != a.Agent:
		return fmt.Errorf("the certificate given names %s/%s, the answer %s/%s", name.Site, name.Agent, a.Site, a.Agent)
	case s.Certificate != nil && name != s.Name:
		return fmt.Errorf("the certificate given names agent %s of site %s; this is agent %s of site %s", name.Agent, name.Site, s.Name.Agent, s.Name.Site)
	}
	if err := s.believe(&a.Trust, root); err != nil {
		return err
	}
	s.Certificate, s.Name = leaf, name
	if len(a.Collectors) > 0 {
		s.Collectors = a.Collectors
	}
	return nil
}

// believe takes the authorities that the collector tells.
func (s *Set) believe(t *enroll.Trust, root *x509.Certificate) error {
	roots, err := t.Authorities()
	if err != nil {
		return err
	}
	shown := false
	for _, c := range roots {
		shown = shown || c.Equal(root)
	}
	if !shown { // in the place of the last, where there are as many as there may be
		roots = append(slices.Clip(roots[:min(len(roots), enroll.MaxRoots-1)]), root)
	}
	size := 0
	for _, c := range roots {
		size += len(c.Raw)
	}
	if size > enroll.MaxMessage {
		return fmt.Errorf("the collector's authorities have %d bytes, more than the %d that they may have", size, enroll.MaxMessage)
	}
	s.Roots = roots
	return nil
}

// Renew puts a new certificate in the place of the old one. It counts from now on even if the disk does not take it.
func (i *Identity) Renew(a *enroll.Answer, root *x509.Certificate) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	next := i.set
	if err := next.Accept(a, root); err != nil {
		return err
	}
	i.set = next
	close(i.renewed)
	i.renewed = make(chan struct{})
	i.unkept.set = true
	i.keep()
	return nil
}

// Keep puts on disk what could not be put there before. It does nothing where all is.
func (i *Identity) Keep() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keep()
}

// keep puts on disk what is not there yet. A disk that is full must cost an agent nothing for as long as it runs. The
// caller holds i.mu.
func (i *Identity) keep() {
	var failed error
	for _, part := range []struct {
		unkept *bool
		write  func(*disk.Disk, string) error
	}{{&i.unkept.set, i.set.write}, {&i.unkept.clock, i.set.clock.write}} {
		if !*part.unkept {
			continue
		}
		if i.replaced() { // it would take the place of who the machine is now
			*part.unkept = false
			continue
		}
		if err := part.write(i.o.Disk, i.dir); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		*part.unkept = false
	}
	switch {
	case failed != nil && !i.failing:
		i.o.Log.Error("can't put the agent's identity on disk; going on with it, and trying on", "error", failed)
	case failed == nil && i.failing:
		i.o.Log.Info("the agent's identity is on disk again")
	}
	i.failing = failed != nil
}

// replaced reports whether the machine was enrolled anew, beside an agent that goes on with this identity until it notices.
// The caller holds i.mu.
func (i *Identity) replaced() bool {
	now, err := Read(i.dir)
	return err == nil && !now.Key.Equal(i.set.Key)
}

// Believe takes the authorities that the collector tells, over a connection that root stands behind. It reports whether
// they are others than before.
func (i *Identity) Believe(t *enroll.Trust, root *x509.Certificate) (changed bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	next := i.set
	if err := next.believe(t, root); err != nil {
		return false, err
	}
	if same(next.Roots, i.set.Roots) {
		return false, nil
	}
	i.set = next
	i.unkept.set = true
	i.keep()
	return true, nil
}

func same(a, b []*x509.Certificate) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

// Now is the time by which certificates are judged. It is never before the floor, and says nothing of when results were
// measured.
func (i *Identity) Now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now()
}

func (i *Identity) now() time.Time {
	at := i.o.Now().Add(seconds(i.set.clock.Offset))
	return latest(at, i.floor())
}

// floor is before now, whatever the machine's clock says. The caller holds i.mu.
func (i *Identity) floor() time.Time {
	return latest(i.o.Build, i.set.Certificate.NotBefore, i.set.clock.Told)
}

// Tell takes the time that a collector told, over a connection on which it was believed.
func (i *Identity) Tell(told time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	was, next := i.set.clock, i.set.clock.told(told, i.o.Now(), i.floor())
	i.set.clock = next
	if math.Abs(next.Offset-was.Offset) > floorStep.Seconds() {
		if next.Offset != 0 {
			i.o.Log.Warn("this machine's clock is wrong; certificates are judged by the collector's", "machine", i.o.Now().UTC(), "collector", told.UTC())
		} else {
			i.o.Log.Info("this machine's clock agrees with the collector's again")
		}
	} else if next.Told.Sub(was.Told) < floorStep {
		return // not worth a write
	}
	i.unkept.clock = true
	i.keep()
}

// told is the clock after a collector told the time, while the machine's own says now.
func (c clock) told(told, now, floor time.Time) clock {
	c.Offset = 0
	if d := told.Sub(now); d.Abs() > day {
		c.Offset = d.Seconds()
	}
	// A collector whose own clock is years ahead must not raise the floor for good: that takes two clocks that agree, or
	// a machine's that is behind for certain.
	if told.After(c.Told) && (told.Sub(now) <= day || now.Before(floor)) {
		c.Told = told.UTC().Truncate(time.Second)
	}
	return c
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func latest(at time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.After(at) {
			at = o
		}
	}
	return at
}

// Learn begins a set's clock with the time that a collector told at enrolment.
func (s *Set) Learn(dir string, told, now time.Time) error {
	s.clock = clock{}.told(told, now, latest(built(), s.Certificate.NotBefore))
	return s.clock.write(private(), dir)
}
