// Package door is in front of everything that people ask of the collector over the network: it says who is behind a
// request (a people.Caller in its context), and turns away who may not do what the request asks.
//
// # Who is behind a request
//
// A browser shows the cookie of a session, a program an API key ("Authorization: Bearer cw1k_..."). Both are looked up
// anew for each request, so that a role that was changed, a session that was ended and a key that was revoked act at
// once, whoever changed them. A request with neither is nobody's; the settings may give nobody a role.
//
// # Against requests forged elsewhere
//
// Cookies are HttpOnly and SameSite=Lax. What changes something is refused when the browser says that another site sent
// it (http.CrossOriginProtection), and a form must carry its session's proof (Caller.Proof), which no other site can
// know. Who has no session has nothing to forge.
//
// # Passwords
//
// See package password for how they are kept, and throttle.go for what wrong ones cost. That there is no account of a
// name can't be told from the answer, nor from the time that it takes.
package door

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/people/door/province"
	"communewatch/collector/people/password"
	kept "communewatch/collector/registry/people"
)

// Options are what New needs. Store must be set.
type Options struct {
	Store    *kept.Store
	Settings Settings
	TLS      bool          // the collector speaks TLS itself: no proxy does for it
	Dir      string        // data_dir: where the first administrator's link is written; "": nowhere
	URL      func() string // where people find the collector, such as https://host:8787; nil: links have no host
	Tell     io.Writer     // where the first administrator's link is printed; nil: os.Stderr
	Cost     password.Cost // of new hashes; zero: password.DefaultCost
	Now      func() time.Time
	Log      *slog.Logger // nil: slog.Default
}

// Door lets people in. Make it with New. All methods may be called concurrently.
type Door struct {
	o        Options
	store    *kept.Store
	now      func() time.Time
	log      *slog.Logger
	hasher   *password.Hasher
	tries    *tries
	recorded allowance // what strangers can have written into the record: wrong passwords, what was refused
	paused   allowance // and that they were not even looked at
	keys     *tries    // wrong API keys
	cross    *http.CrossOriginProtection
	table    *table
	look     time.Duration // how often open streams are looked at
	sso      signOn        // nil: there is none
	open     bool          // /metrics, for programs of this machine
}

// signOn is the province's own sign-on; *province.SignOn is.
type signOn interface {
	Begin(w http.ResponseWriter, r *http.Request, next string) error
	End(w http.ResponseWriter, r *http.Request) (said province.Said, next string, err error)
}

// hashesAtOnce is how many passwords are looked at in the same moment: with the default cost 128 MiB.
const hashesAtOnce = 2

// New returns a Door. It asks nobody: a sign-on of the province that does not answer stops nothing but itself.
func New(o Options) (*Door, error) {
	d := &Door{o: o, store: o.Store, now: o.Now, log: o.Log, cross: http.NewCrossOriginProtection(), table: newTable(addresses()), look: watchEvery,
		recorded: allowance{burst: 60, every: 30 * time.Second}, paused: allowance{burst: 20, every: 10 * time.Minute}}
	if d.store == nil {
		return nil, errors.New("people: no store of accounts is given")
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	if d.o.Tell == nil {
		d.o.Tell = os.Stderr
	}
	if d.o.Cost == (password.Cost{}) {
		d.o.Cost = password.DefaultCost()
	}
	d.hasher = password.New(d.o.Cost, hashesAtOnce)
	d.tries, d.keys = newTries(d.now), newTries(d.now)
	if o.Settings.OIDC.Issuer != "" {
		sso, err := province.New(o.Settings.OIDC, d.now)
		if err != nil {
			return nil, err
		}
		d.sso = sso
	}
	if d.open = o.TLS; o.Settings.MetricsOnLoopback != nil {
		d.open = *o.Settings.MetricsOnLoopback
	}
	return d, nil
}

// pruneEvery is how often what is old is removed.
const pruneEvery = time.Hour

// Run tells the first administrator's link where one is needed, and then removes what is old, until ctx ends.
func (d *Door) Run(ctx context.Context) error {
	if err := d.first(ctx); err != nil && ctx.Err() == nil {
		d.log.Error("no link for a first administrator; make one with: communewatch-collector user link", "error", err)
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	failing := false
	for {
		err := d.store.Prune(ctx, d.o.Settings.AuditKeep)
		if err != nil && !failing && ctx.Err() == nil {
			d.log.Error("old sessions are not removed; trying on", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Middleware puts who is behind a request into its context, and lets through to next what they may ask.
func (d *Door) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.cross.Check(r); err != nil {
			d.refuse(w, r, http.StatusForbidden, "forbidden", "another site sent this request; open the collector's own page and try again")
			return
		}
		if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), "/"); strings.EqualFold(strings.TrimSpace(kind), "multipart") {
			// Nothing here takes files, and who parses such a body puts what is large of it on the disk.
			d.refuse(w, r, http.StatusUnsupportedMediaType, "invalid", "files are not taken here; send the form as application/x-www-form-urlencoded")
			return
		}
		if isForm(r) {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		}
		c, must, err := d.caller(r)
		var wait *Wait
		switch {
		case errors.Is(err, kept.ErrNoKey):
			d.refuse(w, r, http.StatusUnauthorized, "unauthorized", err.Error()+"; `communewatch-collector user keys create` makes one")
			return
		case errors.As(err, &wait):
			wait.header(w.Header())
			d.refuse(w, r, http.StatusTooManyRequests, "too many", wait.Error())
			return
		case r.Context().Err() != nil:
			return // nobody is waiting
		case err != nil:
			d.log.Error("can't tell who asks", "error", err)
			d.refuse(w, r, http.StatusServiceUnavailable, "unavailable", "the collector can't look at accounts at the moment; its log says why")
			return
		}
		n := d.table.of(r)
		if !safe(r.Method) && c.Via == "session" && !n.bare && !d.proven(r, c) {
			d.refuse(w, r, http.StatusForbidden, "forbidden", "the form is not of this session: it was open while you signed in or out; load the page again")
			return
		}
		ctx := people.With(r.Context(), c)
		if must && !n.open && !n.own {
			d.refuse(w, r.WithContext(ctx), http.StatusForbidden, "forbidden", mustChange)
			return
		}
		if !d.may(r, &c, n) {
			d.turnAway(w, r.WithContext(ctx), c, n)
			return
		}
		if isStream(r) && c.Via != "" {
			var stop context.CancelFunc
			ctx, stop = context.WithCancel(ctx)
			var watching sync.WaitGroup
			watching.Go(func() { d.watch(ctx, stop, r, c) })
			defer watching.Wait()
			defer stop()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

const mustChange = "your password was set by somebody else; choose your own first, at /account"

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// may reports whether the caller may do what a request takes.
func (d *Door) may(r *http.Request, c *people.Caller, n need) bool {
	switch {
	case n.open:
		return true
	case n.own:
		return c.Name != ""
	case c.May(n.act) && (!n.whole || c.Everywhere()):
		return true
	case r.URL.Path == "/metrics" && c.Name == "":
		return d.open && ofThisMachine(r)
	case n.code:
		return showsCode(r)
	}
	return false
}

// ofThisMachine reports whether a program on this machine asks, by itself: a monitoring system that reads /metrics, the
// browser of a demonstration. What a proxy on this machine brings is its clients', as far as it says that it is one. Nor is
// it believed under a name: a page elsewhere can have a browser of this machine take its own name for this address (DNS
// rebinding), and then asks as if it were the collector's.
func ofThisMachine(r *http.Request) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	for _, h := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	host := r.Host
	if name, _, split := net.SplitHostPort(host); split == nil {
		host = name
	}
	_, named := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && at.Addr().Unmap().IsLoopback() && (named == nil || strings.EqualFold(host, "localhost"))
}

// showsCode reports whether a request shows an operator's code (collector/api/rehearsals looks at it). Programs do so in
// the head, forms in their field.
func showsCode(r *http.Request) bool {
	if code := bearer(r); code != "" {
		return !kept.IsKey(code)
	}
	return isForm(r) && r.PostFormValue("code") != ""
}

func bearer(r *http.Request) string {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// caller says who is behind a request, and whether they have to choose a password before anything else.
func (d *Door) caller(r *http.Request) (c people.Caller, must bool, err error) {
	nobody := people.Caller{Role: d.o.Settings.Anonymous, Address: address(r)}
	if nobody.Role != people.RoleViewer && !ofThisMachine(r) {
		nobody.Role = people.RoleNobody // more than viewer is for loopback: a proxy was put in front of a demonstration
	}
	if secret := bearer(r); kept.IsKey(secret) {
		c, err := d.ofKey(r, secret)
		return c, false, err
	}
	secret := cookieOf(r)
	if secret == "" {
		return nobody, false, nil
	}
	_, p, err := d.store.Open(r.Context(), secret, d.o.Settings.lives())
	if errors.Is(err, kept.ErrNoSession) {
		return nobody, false, nil
	}
	if err != nil {
		return people.Caller{}, false, err
	}
	return people.Caller{Name: p.Name, Display: p.Display, Role: p.Role, Districts: p.Districts, Via: "session", Address: address(r), Proof: proofOf(secret)},
		p.MustChange && p.Password, nil
}

func (d *Door) ofKey(r *http.Request, secret string) (people.Caller, error) {
	k, p, err := d.store.Key(r.Context(), secret)
	if err == nil && !k.Role.Within(p.Role) {
		err = kept.ErrNoKey // its owner may do less than when it was made
	}
	if err == nil && d.sso != nil && p.SSO && !p.Password && d.now().Sub(latest(p.SignedIn, p.Created)) > d.o.Settings.OIDC.Keys {
		err = kept.ErrNoKey // whether the province's own sign-on still knows them, nobody has heard for long
	}
	if errors.Is(err, kept.ErrNoKey) {
		// A key can't be guessed, so a good one counts wherever wrong ones came from: others may share the address.
		from := origin(r.RemoteAddr)
		if wait := d.keys.waitFrom(from); wait > 0 {
			return people.Caller{}, &Wait{For: wait}
		}
		d.keys.failed("", from)
	}
	if err != nil {
		return people.Caller{}, err
	}
	return people.Caller{Name: p.Name + "/" + k.ID, Display: k.Note, Role: k.Role, Districts: both(p.Districts, k.Districts), Via: "key", Address: address(r)}, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// both is the districts that are in two lists, of which nil has all.
func both(a, b []string) []string {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	out := []string{} // not nil: none of them is not all of them
	for _, v := range a {
		if slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}

func address(r *http.Request) string {
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return at.Addr().Unmap().String()
	}
	return ""
}

// Cookies. The name with __Host- can be set by this host over TLS alone, and for all of its addresses.
const (
	cookieTLS   = "__Host-communewatch"
	cookiePlain = "communewatch-session"
)

func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return cookieTLS
	}
	return cookiePlain
}

func cookieOf(r *http.Request) string {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return ""
	}
	return c.Value
}

func (d *Door) setCookie(w http.ResponseWriter, r *http.Request, secret string) {
	c := &http.Cookie{Name: cookieName(r), Value: secret, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
		MaxAge: int(d.o.Settings.Absolute / time.Second)}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// proofOf is what forms of a session carry. It tells nothing of the session's secret.
func proofOf(secret string) string {
	h := sha256.Sum256([]byte("form of session " + secret))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h[:20])
}

// ProofField is the name of the form's field that carries Caller.Proof, and ProofHeader the header of scripts.
const (
	ProofField  = "proof"
	ProofHeader = "X-Communewatch-Proof"
)

// maxForm bounds a form, such as the text of a template.
const maxForm = 1 << 20

func isForm(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// proven reports whether a change that a session asks for comes from a page of that session. JSON needs no proof: no
// page of another site can send it without asking first (CORS), and that is never allowed.
func (d *Door) proven(r *http.Request, c people.Caller) bool {
	shown := r.Header.Get(ProofHeader)
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case shown != "":
	case strings.EqualFold(strings.TrimSpace(kind), "application/json"):
		return true
	case isForm(r):
		if r.ParseForm() != nil {
			return false
		}
		shown = r.PostForm.Get(ProofField)
	}
	return equal(shown, c.Proof)
}

// turnAway answers who may not do what they ask.
func (d *Door) turnAway(w http.ResponseWriter, r *http.Request, c people.Caller, n need) {
	if c.Name == "" {
		if !isAPI(r) {
			next := r.URL.RequestURI()
			if !safe(r.Method) {
				next = "/" // a form can't be sent again by itself
			}
			http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(next), http.StatusSeeOther)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="communewatch"`)
		d.refuse(w, r, http.StatusUnauthorized, "unauthorized", "sign in, or show an API key: `communewatch-collector user keys create` makes one")
		return
	}
	if !safe(r.Method) {
		// Who asks for a page by its address is curious; who sends a form did not get it from us.
		d.record(r, &d.recorded, audit.Entry{Act: "refused", What: r.Method + " " + r.URL.Path, Detail: "needs " + string(n.act)})
	}
	d.refuse(w, r, http.StatusForbidden, "forbidden", "your account may not do this")
}

func isAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/metrics" || bearer(r) != ""
}

func isStream(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/events") }

// refuse answers with what is wrong: programs in the API's form, people in words.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	if isAPI(r) {
		body, _ := json.Marshal(struct { // two strings
			Code    string `json:"code"`
			Message string `json:"message"`
		}{code, message})
		h.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(append(body, '\n')) // a client that went away is no news
		return
	}
	if message == mustChange {
		http.Redirect(w, r, "/account", http.StatusSeeOther)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, refusal(status))
}

// refusal is a page that needs nothing else of the collector, in both languages.
func refusal(status int) string {
	vi, en := "Tài khoản của bạn không được phép làm việc này.", "Your account may not do this."
	switch status {
	case http.StatusUnauthorized:
		vi, en = "Hãy đăng nhập.", "Please sign in."
	case http.StatusTooManyRequests:
		vi, en = "Quá nhiều lần thử. Hãy thử lại sau ít phút.", "Too many attempts. Try again in a few minutes."
	case http.StatusServiceUnavailable:
		vi, en = "Hệ thống chưa kiểm tra được tài khoản. Hãy thử lại sau ít phút.", "Accounts can't be looked at for the moment. Try again in a few minutes."
	}
	return `<!doctype html><html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>communewatch</title></head>` +
		`<body><h1>` + vi + `</h1><p lang="en">` + en + `</p><p>Nếu bạn vừa đăng nhập hoặc đăng xuất ở một trang khác, hãy mở lại trang trước và làm lại. <span lang="en">If you just signed in or out in another window, load the page again.</span></p>` +
		`<p><a href="/">communewatch</a> · <a href="/sign-in">Đăng nhập / Sign in</a></p></body></html>`
}

// watchEvery is how soon an open stream ends when its session has.
const watchEvery = 5 * time.Second

// watch ends a stream of events when who asked for it may not any more: a stream stays open for days.
func (d *Door) watch(ctx context.Context, stop context.CancelFunc, r *http.Request, was people.Caller) {
	tick := time.NewTicker(d.look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, _, err := d.caller(r.WithContext(ctx))
		var wait *Wait
		if errors.As(err, &wait) || err == nil && (now.Name != was.Name || now.Role != was.Role || !slices.Equal(now.Districts, was.Districts) || now.Everywhere() != was.Everywhere()) ||
			errors.Is(err, kept.ErrNoKey) {
			stop()
			return
		}
	}
}

// record writes a line into the record; of what strangers can cause without end only so much.
func (d *Door) record(r *http.Request, of *allowance, e audit.Entry) {
	ok, held := of.take(d.now())
	if !ok {
		return
	}
	if held > 0 {
		e.Detail = strings.TrimPrefix(e.Detail+"; before it "+count(held)+" more that are not listed", "; ")
	}
	if err := d.store.Record(r.Context(), e); err != nil && r.Context().Err() == nil {
		d.log.Error("the record of changes is not written", "error", err)
	}
}

// FirstFile is the name of the file in data_dir that holds the first administrator's link until it is used.
const FirstFile = "first-admin"

// first makes the link for the first administrator where there is none and nobody may do everything without one.
func (d *Door) first(ctx context.Context) error {
	have, err := d.store.AnyAdmin(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(d.o.Dir, FirstFile)
	if have || d.o.Settings.Anonymous == people.RoleAdmin {
		d.forgetFirst()
		return nil
	}
	secret, err := d.store.CreateLink(ctx, "")
	if err != nil {
		return err
	}
	link := d.Link(secret)
	if d.o.Dir != "" {
		// Made anew, so that nobody who had an old file open reads along.
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(file, []byte(link+"\n"), 0o600); err != nil {
			return err
		}
	}
	_, err = io.WriteString(d.o.Tell, "\nThere is no administrator yet. Open this address within 24 hours to make the first account:\n\n    "+link+"\n\n")
	return err
}

// Link is the address of a link that works once.
func (d *Door) Link(secret string) string {
	at := ""
	if d.o.URL != nil {
		at = strings.TrimSuffix(d.o.URL(), "/")
	}
	return at + "/first/" + secret
}

func (d *Door) forgetFirst() {
	if d.o.Dir == "" {
		return
	}
	if err := os.Remove(filepath.Join(d.o.Dir, FirstFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("the first administrator's link, which works no more, is not removed", "error", err)
	}
}
