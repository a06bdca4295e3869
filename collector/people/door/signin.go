package door

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/people/door/province"
	"communewatch/collector/people/password"
	kept "communewatch/collector/registry/people"
)

// Errors of signing in; compare with errors.Is.
var (
	// ErrWrong does not say whether it was the name or the password.
	ErrWrong = errors.New("name or password is wrong")
	// ErrNoSignOn is returned where the province's own sign-on is not set up.
	ErrNoSignOn = errors.New("this collector has no sign-on of the province")
	// ErrNotHere is returned for somebody whom the sign-on knows and the collector does not let in.
	ErrNotHere = errors.New("the sign-on knows you, but you have no account here")
	// ErrStale is returned for an answer of the sign-on that the browser did not ask for, or too long ago.
	ErrStale = province.ErrStale
)

// Wait is the error of who has to wait before the next attempt.
type Wait struct{ For time.Duration }

// Error says for how long.
func (w *Wait) Error() string {
	return "too many attempts; try again in " + w.For.Round(time.Second).String()
}

func (w *Wait) header(h http.Header) {
	h.Set("Retry-After", strconv.Itoa(int((w.For+time.Second-1)/time.Second)))
}

func equal(a, b string) bool {
	return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

func count(n int) string { return strconv.Itoa(n) }

// SignIn signs somebody in with a password and sets the session's cookie. It fails with ErrWrong, a *Wait,
// password.ErrBusy, or an error of the registry.
func (d *Door) SignIn(w http.ResponseWriter, r *http.Request, name, secret string) (kept.Person, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	at, from := address(r), origin(r.RemoteAddr)
	if kept.CheckName(name) != nil {
		name = "" // counted together: there is no such account
	}
	p, hash, err := d.store.Secret(r.Context(), name)
	exists := err == nil
	if err != nil && !errors.Is(err, kept.ErrUnknown) {
		return kept.Person{}, err
	}
	known := false
	if exists {
		if known, err = d.store.Came(r.Context(), name, at); err != nil {
			return kept.Person{}, err
		}
	}
	if wait := d.tries.wait(name, from, known); wait > 0 {
		d.record(r, &d.paused, audit.Entry{Act: "sign_in.paused", Who: name, What: name, Via: "screen", Address: at})
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		return kept.Person{}, &Wait{For: wait}
	}
	// Counted before it is looked at, so that many at the same moment are not all free.
	d.tries.failed(name, from)
	ok, old, err := d.hasher.Verify(r.Context(), hash, secret)
	if err != nil {
		return kept.Person{}, err
	}
	if !ok || !exists || !p.Disabled.IsZero() {
		d.record(r, &d.recorded, audit.Entry{Act: "sign_in.failed", Who: name, What: name, Via: "screen", Address: at})
		return kept.Person{}, ErrWrong
	}
	d.tries.passed(name, from)
	if old {
		d.rehash(r.Context(), name, hash, secret)
	}
	return p, d.begin(w, r, kept.Session{Person: name}, "with a password")
}

// rehash keeps the password by today's cost. That it fails is no reason to keep anybody out.
func (d *Door) rehash(ctx context.Context, name, old, secret string) {
	made, err := d.hasher.Hash(ctx, secret)
	if err == nil {
		err = d.store.Rehash(ctx, name, old, made)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("a password is still kept by the former cost", "person", name, "error", err)
	}
}

// begin opens a session. Whatever session the browser brought along ends: its secret may be one that somebody planted.
func (d *Door) begin(w http.ResponseWriter, r *http.Request, in kept.Session, how string) error {
	if before := cookieOf(r); before != "" {
		if err := d.store.End(r.Context(), before); err != nil && !errors.Is(err, kept.ErrNoSession) {
			return err
		}
	}
	in.Address, in.Agent = address(r), r.UserAgent()
	secret, err := d.store.Begin(r.Context(), in, how)
	if err != nil {
		return err
	}
	d.setCookie(w, r, secret)
	return nil
}

// SignOut ends the session of a request.
func (d *Door) SignOut(w http.ResponseWriter, r *http.Request) error {
	secret := cookieOf(r)
	d.setCookie(w, r, "")
	if secret == "" {
		return nil
	}
	if err := d.store.End(r.Context(), secret); err != nil && !errors.Is(err, kept.ErrNoSession) {
		return err
	}
	return nil
}

// ChangePassword sets the caller's own password; the old one is asked for. Other sessions end, and this one gets a new
// secret. It fails like SignIn, and with the errors of password.Check.
func (d *Door) ChangePassword(w http.ResponseWriter, r *http.Request, old, chosen string) error {
	c := people.From(r.Context())
	if c.Via != "session" {
		return ErrWrong
	}
	p, hash, err := d.store.Secret(r.Context(), c.Name)
	if err != nil {
		return err
	}
	if !p.Password {
		return ErrNotHere // of the province's own sign-on: that is where it is changed
	}
	from := origin(r.RemoteAddr)
	if wait := d.tries.wait(c.Name, from, true); wait > 0 {
		return &Wait{For: wait}
	}
	if err := password.Check(chosen, c.Name); err != nil {
		return err
	}
	d.tries.failed(c.Name, from)
	ok, _, err := d.hasher.Verify(r.Context(), hash, old)
	if err != nil {
		return err
	}
	if !ok {
		d.record(r, &d.recorded, audit.Entry{Act: "person.password", What: c.Name})
		return ErrWrong
	}
	d.tries.passed(c.Name, from)
	made, err := d.hasher.Hash(r.Context(), chosen)
	if err != nil {
		return err
	}
	if err := d.store.SetPassword(r.Context(), c.Name, made, false, ""); err != nil {
		return err
	}
	return d.begin(w, r, kept.Session{Person: c.Name}, "with a new password")
}

// EndOthers ends all of the caller's sessions but this one.
func (d *Door) EndOthers(r *http.Request) error {
	c := people.From(r.Context())
	if c.Via != "session" {
		return ErrWrong
	}
	return d.store.EndAll(r.Context(), c.Name, cookieOf(r))
}

// Account is what somebody's own page shows.
type Account struct {
	kept.Person
	Sessions []kept.Session
	Here     int // which of them asks
	Keys     []kept.Key
}

// Account returns the caller's own account.
func (d *Door) Account(r *http.Request) (a Account, err error) {
	c := people.From(r.Context())
	if c.Via != "session" {
		return a, kept.ErrNoSession
	}
	if a.Person, err = d.store.Person(r.Context(), c.Name); err != nil {
		return a, err
	}
	if a.Sessions, err = d.store.Sessions(r.Context(), c.Name); err != nil {
		return a, err
	}
	a.Here = -1
	for i := range a.Sessions {
		if a.Sessions[i].Is(cookieOf(r)) {
			a.Here = i
		}
	}
	a.Keys, err = d.store.Keys(r.Context(), c.Name)
	return a, err
}

// First returns a link that works once, or kept.ErrNoLink. It fails with a *Wait for who tries many.
func (d *Door) First(r *http.Request, secret string) (kept.Link, error) {
	l, err := d.store.Link(r.Context(), secret)
	if errors.Is(err, kept.ErrNoLink) {
		// Like a key, a link can't be guessed: a good one works however many wrong ones came from the same address.
		from := origin(r.RemoteAddr)
		if wait := d.keys.waitFrom(from); wait > 0 {
			return kept.Link{}, &Wait{For: wait}
		}
		d.keys.failed("", from)
	}
	return l, err
}

// UseFirst uses a link up and signs its person in: the administrator called name where the link makes one.
func (d *Door) UseFirst(w http.ResponseWriter, r *http.Request, secret, name, display, chosen string) error {
	l, err := d.First(r, secret)
	if err != nil {
		return err
	}
	if l.Person == "" {
		if err := kept.CheckName(name); err != nil {
			return err
		}
	} else {
		name = l.Person
	}
	if err := password.Check(chosen, name); err != nil {
		return err
	}
	made, err := d.hasher.Hash(r.Context(), chosen)
	if err != nil {
		return err
	}
	if name, err = d.store.UseLink(r.Context(), secret, name, display, made); err != nil {
		return err
	}
	if l.Person == "" {
		d.forgetFirst()
	}
	return d.begin(w, r, kept.Session{Person: name}, "with a link")
}

// HasSignOn reports whether the province's own sign-on is set up; its name is for the button.
func (d *Door) HasSignOn() (name string, ok bool) {
	if d.sso == nil {
		return "", false
	}
	return d.o.Settings.OIDC.Name, true
}

// BeginSignOn sends a browser to the province's own sign-on.
func (d *Door) BeginSignOn(w http.ResponseWriter, r *http.Request, next string) error {
	if d.sso == nil {
		return ErrNoSignOn
	}
	return d.sso.Begin(w, r, Local(next))
}

// EndSignOn signs in whom the province's own sign-on sends back, and returns where they wanted to go.
func (d *Door) EndSignOn(w http.ResponseWriter, r *http.Request) (next string, err error) {
	if d.sso == nil {
		return "", ErrNoSignOn
	}
	said, next, err := d.sso.End(w, r)
	if errors.Is(err, ErrStale) {
		return "", err // nobody's: anybody can open that address, and the record is not theirs to fill
	}
	if err != nil {
		d.record(r, &d.recorded, audit.Entry{Act: "sign_in.failed", What: "sign-on of the province", Via: "screen", Address: address(r), Detail: err.Error()})
		return "", err
	}
	fail := func(err error) (string, error) {
		d.record(r, &d.recorded, audit.Entry{Act: "sign_in.failed", Who: said.Name, What: said.Name, Via: "screen", Address: address(r), Detail: err.Error()})
		return "", errors.Join(ErrNotHere, err)
	}
	rules := d.o.Settings.OIDC
	subject := kept.Subject{Issuer: rules.Issuer, ID: said.Subject}
	// The system does this, whoever is signed in at that browser.
	system := people.With(r.Context(), people.Caller{Name: "system", Via: "system", Address: address(r)})
	want := kept.Person{Name: strings.ToLower(said.Name), Display: said.Display, Role: said.Role, Districts: said.Districts}
	if said.Role == people.RoleNobody && len(rules.Roles) > 0 {
		none := errors.New("none of its groups is named in people.oidc.roles")
		if err := d.store.Shut(system, subject, none.Error()); err != nil {
			d.log.Error("what somebody without a role any more has open is not ended", "error", err)
		}
		return fail(none)
	}
	create := rules.Create && said.Role != people.RoleNobody
	p, err := d.store.Of(system, subject, want, create)
	switch {
	case errors.Is(err, kept.ErrUnknown), errors.Is(err, kept.ErrNotYours):
		return fail(err)
	case err != nil:
		return "", err
	case !p.Disabled.IsZero():
		return fail(errors.New("the account is disabled"))
	}
	if len(rules.Roles) > 0 && (p.Role != said.Role || !sameDistricts(p.Districts, said.Districts)) {
		if err := d.store.Set(system, p.Name, kept.Change{Role: &said.Role, Districts: &said.Districts}); err != nil {
			return fail(err)
		}
	}
	return next, d.begin(w, r, kept.Session{Person: p.Name, SSO: true}, "sign-on of the province")
}

func sameDistricts(a, b []string) bool {
	return len(both(a, b)) == len(a) && len(a) == len(b) && (a == nil) == (b == nil)
}

// Local returns where to go next: an address of this collector's pages, "/" for anything else. What begins with two
// slashes, or with a slash and a backslash, is another host to a browser.
func Local(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > 2000 || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		!strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") ||
		strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.Path, "/sign-") || strings.HasPrefix(u.Path, "/first/") || strings.HasPrefix(u.Path, "/api/") {
		return "/"
	}
	return u.RequestURI()
}
