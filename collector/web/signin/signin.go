// Package signin shows the pages on which people sign in and out, look at their own account, and use a link that works
// once: the first administrator's, or one to set a new password with. They are plain forms that work without script.
//
// Who may come in is decided by room people/door; these pages ask it and say in the reader's words what came of it.
package signin

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"communewatch/collector/people"
	"communewatch/collector/people/door"
	"communewatch/collector/people/password"
	kept "communewatch/collector/registry/people"
	"communewatch/collector/web/frame"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The words of these pages; they add to those of package web.
//
//go:embed i18n/*.json
var wordFiles embed.FS

// Words returns the words of these pages, one file per language.
func Words() (fs.FS, error) { return fs.Sub(wordFiles, "i18n") }

// Pages serves the pages.
type Pages struct {
	house     *frame.House
	door      *door.Door
	log       *slog.Logger
	templates *template.Template
}

// New prepares the pages. It starts nothing.
func New(house *frame.House, d *door.Door, log *slog.Logger) (*Pages, error) {
	p := &Pages{house: house, door: d, log: log}
	if p.log == nil {
		p.log = slog.Default()
	}
	var err error
	p.templates, err = frame.Templates(templateFiles, "templates/*.html")
	return p, err
}

// Register adds the pages to a server's addresses.
func (p *Pages) Register(mux *http.ServeMux) {
	frame.Register(mux, map[string]http.HandlerFunc{
		"GET /sign-in":               p.signInPage,
		"POST /sign-in":              p.signIn,
		"GET /sign-in/oidc":          p.beginSignOn,
		"GET /sign-in/oidc/callback": p.endSignOn,
		"POST /sign-out":             p.signOut,
		"GET /account":               p.accountPage,
		"POST /account":              p.changeAccount,
		"GET /first/{secret}":        p.firstPage,
		"POST /first/{secret}":       p.useFirst,
	}, nil)
}

// page is what all these pages have.
type page struct {
	frame.Frame
	Heading string // key of the page's name
	Bad     string // what went wrong, in the reader's words
	Done    string // what was done

	Next    string // where to go after signing in
	Typed   string // the name, as it was typed
	SignOn  bool   // the province has a sign-on of its own
	SSOName string

	Account    door.Account
	Link       kept.Link
	Secret     string // of the link; it is in the address already
	Gone       bool   // the link works no more
	TypedShown string // the display name, as it was typed
}

func (p *Pages) open(rw http.ResponseWriter, r *http.Request, heading string) page {
	out := page{Frame: p.house.Frame(rw, r), Heading: heading}
	out.PageTitle = out.T(heading) + " – " + out.PageTitle
	out.SSOName, out.SignOn = p.door.HasSignOn()
	if out.SSOName == "" {
		out.SSOName = out.T("signin.sso")
	}
	return out
}

func (p *Pages) render(rw http.ResponseWriter, r *http.Request, status int, name string, out *page) {
	rw.Header().Set("Cache-Control", "no-store")
	p.house.Render(rw, r, status, p.templates, name, out)
}

// says words an error for the page; what is the collector's own is for the log.
func (p *Pages) says(r *http.Request, out *page, err error) (status int) {
	var wait *door.Wait
	for _, known := range []struct {
		err    error
		key    string
		status int
	}{
		{door.ErrWrong, "signin.wrong", http.StatusUnauthorized},
		{password.ErrBusy, "signin.busy", http.StatusServiceUnavailable},
		{password.ErrShort, "signin.short", http.StatusUnprocessableEntity},
		{password.ErrLong, "signin.long", http.StatusUnprocessableEntity},
		{password.ErrKnown, "signin.known", http.StatusUnprocessableEntity},
		{password.ErrLetters, "signin.letters", http.StatusUnprocessableEntity},
		{errTwice, "signin.twice", http.StatusUnprocessableEntity},
		{kept.ErrTaken, "signin.taken", http.StatusConflict},
		{door.ErrNoSignOn, "signin.no_sso", http.StatusNotFound},
		{door.ErrNotHere, "signin.not_here", http.StatusForbidden},
		{context.Canceled, "signin.failed", http.StatusServiceUnavailable},
	} {
		if errors.Is(err, known.err) {
			out.Bad = out.T(known.key)
			return known.status
		}
	}
	if errors.As(err, &wait) {
		out.Bad = out.T("signin.wait", "time", out.Seconds(max(wait.For.Seconds(), 1)))
		return http.StatusTooManyRequests
	}
	p.log.Error("sign-in failed", "path", where(r), "error", err)
	out.Bad = out.T("signin.failed")
	return http.StatusServiceUnavailable
}

// where is the request's address without the secret of a link.
func where(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/first/") {
		return "/first/…"
	}
	return r.URL.Path
}

func (p *Pages) signInPage(rw http.ResponseWriter, r *http.Request) {
	out := p.open(rw, r, "signin.title")
	out.Next = door.Local(out.Query().Get("next"))
	if out.SignedIn() {
		http.Redirect(rw, r, out.Next, http.StatusSeeOther)
		return
	}
	p.render(rw, r, http.StatusOK, "signin", &out)
}

func (p *Pages) signIn(rw http.ResponseWriter, r *http.Request) {
	out := p.open(rw, r, "signin.title")
	out.Next, out.Typed = door.Local(r.PostFormValue("next")), r.PostFormValue("name")
	person, err := p.door.SignIn(rw, r, out.Typed, r.PostFormValue("password"))
	if err != nil {
		out.Typed = out.Typed[:min(len(out.Typed), 64)]
		p.render(rw, r, p.says(r, &out, err), "signin", &out)
		return
	}
	if person.MustChange {
		out.Next = "/account"
	}
	http.Redirect(rw, r, out.Next, http.StatusSeeOther)
}

func (p *Pages) beginSignOn(rw http.ResponseWriter, r *http.Request) {
	out := p.open(rw, r, "signin.title")
	out.Next = door.Local(out.Query().Get("next"))
	if err := p.door.BeginSignOn(rw, r, out.Next); err != nil {
		p.signOnFailed(rw, r, &out, err)
	}
}

func (p *Pages) endSignOn(rw http.ResponseWriter, r *http.Request) {
	next, err := p.door.EndSignOn(rw, r)
	if err != nil {
		out := p.open(rw, r, "signin.title")
		out.Next = "/"
		p.signOnFailed(rw, r, &out, err)
		return
	}
	http.Redirect(rw, r, next, http.StatusSeeOther)
}

// signOnFailed says that the province's sign-on let nobody in. Why is for the log: it is between two machines.
func (p *Pages) signOnFailed(rw http.ResponseWriter, r *http.Request, out *page, err error) {
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, door.ErrNotHere), errors.Is(err, door.ErrNoSignOn):
		status = p.says(r, out, err)
	case r.Context().Err() != nil:
		return // nobody is waiting
	case errors.Is(err, door.ErrStale):
		out.Bad = out.T("signin.sso_stale")
		p.render(rw, r, http.StatusBadRequest, "signin", out) // and nothing for the log: anybody can open that address
		return
	default:
		out.Bad = out.T("signin.sso_failed")
	}
	p.log.Warn("the province's sign-on lets nobody in", "error", err)
	p.render(rw, r, status, "signin", out)
}

func (p *Pages) signOut(rw http.ResponseWriter, r *http.Request) {
	if err := p.door.SignOut(rw, r); err != nil {
		out := p.open(rw, r, "signin.title")
		p.render(rw, r, p.says(r, &out, err), "signin", &out)
		return
	}
	http.Redirect(rw, r, "/sign-in", http.StatusSeeOther)
}

func (p *Pages) accountPage(rw http.ResponseWriter, r *http.Request) {
	out := p.open(rw, r, "account.title")
	if out.Query().Has("done") {
		out.Done = out.T("account.done")
	}
	p.account(rw, r, http.StatusOK, &out)
}

func (p *Pages) account(rw http.ResponseWriter, r *http.Request, status int, out *page) {
	var err error
	if out.Account, err = p.door.Account(r); err != nil {
		if errors.Is(err, kept.ErrNoSession) { // an API key has no page of its own
			http.Redirect(rw, r, "/sign-in", http.StatusSeeOther)
			return
		}
		status = p.says(r, out, err)
	}
	p.render(rw, r, status, "account", out)
}

// errTwice is returned for a password that was typed in two ways.
var errTwice = errors.New("the new password was not typed the same way twice")

func (p *Pages) changeAccount(rw http.ResponseWriter, r *http.Request) {
	out := p.open(rw, r, "account.title")
	var err error
	switch chosen := r.PostFormValue("new"); {
	case r.PostFormValue("do") == "end-others":
		err = p.door.EndOthers(r)
	case chosen != r.PostFormValue("again"):
		err = errTwice
	default:
		err = p.door.ChangePassword(rw, r, r.PostFormValue("old"), chosen)
	}
	if err != nil {
		status := p.says(r, &out, err)
		if errors.Is(err, door.ErrWrong) {
			out.Bad = out.T("account.wrong")
		}
		p.account(rw, r, status, &out)
		return
	}
	http.Redirect(rw, r, "/account?done=1", http.StatusSeeOther)
}

func (p *Pages) firstPage(rw http.ResponseWriter, r *http.Request) {
	out := p.open(rw, r, "first.title")
	p.first(rw, r, http.StatusOK, &out)
}

func (p *Pages) first(rw http.ResponseWriter, r *http.Request, status int, out *page) {
	rw.Header().Set("Referrer-Policy", "no-referrer")
	out.Secret = r.PathValue("secret")
	var err error
	if out.Link, err = p.door.First(r, out.Secret); err != nil {
		if out.Gone = errors.Is(err, kept.ErrNoLink); out.Gone {
			status = http.StatusNotFound
		} else {
			status = p.says(r, out, err)
			out.Gone = true
		}
	}
	p.render(rw, r, status, "first", out)
}

func (p *Pages) useFirst(rw http.ResponseWriter, r *http.Request) {
	out := p.open(rw, r, "first.title")
	out.Typed, out.TypedShown = strings.ToLower(strings.TrimSpace(r.PostFormValue("name"))), strings.TrimSpace(r.PostFormValue("display"))
	chosen := r.PostFormValue("new")
	err := errTwice
	if chosen == r.PostFormValue("again") {
		err = p.door.UseFirst(rw, r, r.PathValue("secret"), out.Typed, out.TypedShown, chosen)
	}
	switch {
	case err == nil:
		http.Redirect(rw, r, "/", http.StatusSeeOther)
	case errors.Is(err, kept.ErrNoLink):
		p.first(rw, r, http.StatusNotFound, &out)
	case out.Typed != "" && kept.CheckName(out.Typed) != nil:
		out.Bad = out.T("first.name_bad")
		p.first(rw, r, http.StatusUnprocessableEntity, &out)
	default:
		p.first(rw, r, p.says(r, &out, err), &out)
	}
}

// The methods below are the vocabulary of the templates.

// RoleName is a role in the reader's words.
func (p *page) RoleName(r people.Role) string { return p.T("role." + string(r)) }

// Role is the account's.
func (p *page) Role() string { return p.RoleName(p.Account.Role) }

// Districts are those that the account sees.
func (p *page) Districts() string {
	if p.Account.Districts == nil {
		return p.T("account.everywhere")
	}
	return strings.Join(p.Account.Districts, ", ")
}
