package keep

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	"communewatch/agent/spool/disk"
)

// A collector whose clock is years ahead must not make its agents believe that year: once its clock is right again they
// would take none of its certificates.
func TestACertificateOfTheFutureIsNotTaken(t *testing.T) {
	e := enrol(t)
	first := e.id.Set().Certificate
	e.pass(61 * day)
	shown := e.c.Get().Authority.Server("127.0.0.1", time.Now(), time.Now().Add(365*day))
	e.c.Set(func(s *identitytest.State) {
		s.Shown, s.Now = &shown, func() time.Time { return time.Now().Add(3650 * day) }
	})
	e.keeper.trustAt = time.Now().Add(time.Hour)
	for range 5 {
		e.keeper.retryAt = time.Time{}
		e.keeper.step(t.Context())
	}
	if !e.id.Set().Certificate.Equal(first) {
		t.Fatalf("has a certificate from %v on", e.id.Set().Certificate.NotBefore)
	}
	if kept, err := identity.Read(e.dir); err != nil || !kept.Certificate.Equal(first) {
		t.Errorf("the old one was lost: %v", err)
	}
	if n := e.log.count("begins more than a day from now"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if p := e.keeper.Certificate().Problem; !strings.Contains(p, "begins more than a day from now") {
		t.Errorf("the problem told is %q", p)
	}
	if d := e.id.Now().Sub(e.clock.now()); d.Abs() > time.Minute {
		t.Errorf("it believes a time that is %v off", d)
	}
	e.c.Set(func(s *identitytest.State) { s.Now = e.world.now })
	e.keeper.retryAt = time.Time{}
	e.keeper.step(t.Context())
	if next := e.id.Set().Certificate; next.Equal(first) || e.keeper.Certificate().Problem != "" {
		t.Errorf("not renewed after the clock was set right: %q", e.keeper.Certificate().Problem)
	}
	if err := e.works(t); err != nil {
		t.Error(err)
	}
}

// A clock that is half a day ahead is no reason.
func TestACertificateOfTodayIsTaken(t *testing.T) {
	e := enrol(t)
	first := e.id.Set().Certificate
	e.clock.set(61 * day)
	e.world.set(61*day + 12*time.Hour)
	e.keeper.trustAt = time.Now().Add(time.Hour)
	e.keeper.step(t.Context())
	if e.id.Set().Certificate.Equal(first) {
		t.Errorf("not renewed: %q", e.keeper.Certificate().Problem)
	}
}

// While the disk is full the agent goes on with what it got, says so once, and puts it on disk when there is room.
func TestAFullDiskCostsNoRenewal(t *testing.T) {
	e := enrol(t)
	set, err := identity.Read(e.dir)
	if err != nil {
		t.Fatal(err)
	}
	var full atomic.Bool
	e.startOn(set, &disk.Disk{Private: true, Fault: func(op, name string) error {
		if op == "write" && full.Load() {
			return errors.New("no space left on device")
		}
		return nil
	}})
	full.Store(true)
	e.pass(61 * day)
	next := identitytest.NewAuthority(t, time.Now().Add(-time.Hour))
	e.c.Set(func(s *identitytest.State) { s.Roots = append(s.Roots, s.Authority.Cert, next.Cert) })
	e.keeper.trustAt = time.Now().Add(time.Hour)
	e.keeper.step(t.Context())
	got := e.id.Set()
	if got.Certificate.Equal(set.Certificate) || len(got.Roots) != 2 || e.c.Get().Renewed != 1 {
		t.Fatalf("renewed %d times, %d authorities, problem %q", e.c.Get().Renewed, len(got.Roots), e.keeper.Certificate().Problem)
	}
	if err := e.works(t); err != nil {
		t.Error(err)
	}
	// Authorities that come alone are believed likewise.
	third := identitytest.NewAuthority(t, time.Now().Add(-time.Hour))
	e.c.Set(func(s *identitytest.State) { s.Roots = append(s.Roots, third.Cert) })
	e.keeper.trustAt, e.keeper.retryAt = time.Time{}, time.Time{}
	e.keeper.step(t.Context())
	if n := len(e.id.Pins()); n != 3 {
		t.Errorf("%d authorities", n)
	}
	for range 3 {
		e.keeper.step(t.Context())
	}
	if n := e.log.count("put the agent's identity on disk"); n != 1 {
		t.Errorf("said %d times that it can't be kept", n)
	}
	if kept, err := identity.Read(e.dir); err != nil || !kept.Certificate.Equal(set.Certificate) {
		t.Errorf("what was on disk is damaged: %v", err)
	}
	if _, err := os.Stat(filepath.Join(e.dir, "identity.json"+disk.TmpSuffix)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part of a file is left: %v", err)
	}

	full.Store(false)
	e.keeper.step(t.Context())
	kept, err := identity.Read(e.dir)
	if err != nil || !kept.Certificate.Equal(got.Certificate) || len(kept.Roots) != 3 {
		t.Errorf("not on disk when there is room: %v", err)
	}
	if n := e.log.count("on disk again"); n != 1 || e.c.Get().Renewed != 1 {
		t.Errorf("said %d times; renewed %d times", n, e.c.Get().Renewed)
	}
}
