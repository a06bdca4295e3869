package keep

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	"communewatch/agent/spool/disk"
	"communewatch/probes/enroll"
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

	// The next time it is authorities alone.
	full.Store(true)
	e.c.Set(func(s *identitytest.State) { s.Roots = s.Roots[:2] })
	e.keeper.trustAt = time.Time{}
	e.keeper.step(t.Context())
	full.Store(false)
	e.keeper.step(t.Context())
	if kept, err := identity.Read(e.dir); err != nil || len(kept.Roots) != 2 {
		t.Errorf("authorities that came alone are not on disk: %v", err)
	}
	if n := e.log.count("on disk again"); n != 2 {
		t.Errorf("said %d times", n)
	}
}

// Whoever answers an agent that wants to renew: what is said of it is short and plain, and what is sent back fits a header.
func FuzzRefusal(f *testing.F) {
	f.Add(403, `"abc"`, []byte(`{"code":"agent_revoked","message":"stolen"}`))
	f.Add(401, "", []byte(`{"code":"certificate","message":"\u0000\u202e"}`))
	f.Add(500, strings.Repeat("x", 200), []byte(`{"code":"x","message":"`+strings.Repeat("é", 9000)+`"}`))
	f.Add(200, "\x00", []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, etag string, body []byte) {
		rest := bytes.NewReader(body)
		err := refusal(&http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(rest)})
		if err == nil {
			t.Fatal("it is none")
		}
		if text := err.Error(); len(text) > 5000 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%q is shown as %q", body, text)
		}
		if read := len(body) - rest.Len(); read > 2*enroll.MaxMessage+1 {
			t.Errorf("%d bytes were read", read)
		}
		if s := tag(etag); s != "" && (s != etag || len(s) > 100 || strings.ContainsFunc(s, unicode.IsControl)) {
			t.Errorf("%q is sent back as %q", etag, s)
		}
	})
}
