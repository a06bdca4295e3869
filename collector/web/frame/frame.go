package frame

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"communewatch/collector/people"
	"communewatch/collector/phrase"
	"communewatch/collector/phrase/book"
)

// templateFuncs are the few things that templates cannot say themselves.
var templateFuncs = template.FuncMap{
	"glyph": Glyph,
	"has":   func(facts map[string]float64, name string) bool { _, ok := facts[name]; return ok },
}

// outlines are the shapes of the states: ● ▲ ✕ ◇ ◌ –. They are drawn rather than typed, since fonts differ in how
// large they make these characters, and some PCs lack half of them. ui/src/glyph.ts has the same ones.
var outlines = map[string]string{
	"ok":       "M.62 0A.62 .62 0 1 1-.62 0A.62 .62 0 1 1 .62 0Z",
	"degraded": "M0-.95L.98 .78L-.98 .78Z",
	"down":     "M-.85-.5L-.5-.85L0-.35L.5-.85L.85-.5L.35 0L.85 .5L.5 .85L0 .35L-.5 .85L-.85 .5L-.35 0Z",
	"no_data":  "M0-1L1 0L0 1L-1 0ZM0-.5L-.5 0L0 .5L.5 0Z",
	"muted":    "M.8 0A.8 .8 0 1 1-.8 0A.8 .8 0 1 1 .8 0ZM.45 0A.45 .45 0 1 0-.45 0A.45 .45 0 1 0 .45 0Z",
	"none":     "M-.6-.16H.6V.16H-.6Z",

	// Of rehearsals; unknown is below.
	"go":    "M.62 0A.62 .62 0 1 1-.62 0A.62 .62 0 1 1 .62 0Z",
	"risk":  "M0-.95L.98 .78L-.98 .78Z",
	"no_go": "M-.85-.5L-.5-.85L0-.35L.5-.85L.85-.5L.35 0L.85 .5L.5 .85L0 .35L-.5 .85L-.85 .5L-.35 0Z",

	// Of equipment: technical states ✕ ▲ ◌ ● ◇ –, as above; legal ones are squares: full, half and hollow.
	"outdated":       "M-.85-.5L-.5-.85L0-.35L.5-.85L.85-.5L.35 0L.85 .5L.5 .85L0 .35L-.5 .85L-.85 .5L-.35 0Z",
	"due_soon":       "M0-.95L.98 .78L-.98 .78Z",
	"review":         "M.8 0A.8 .8 0 1 1-.8 0A.8 .8 0 1 1 .8 0ZM.45 0A.45 .45 0 1 0-.45 0A.45 .45 0 1 0 .45 0Z",
	"fine":           "M.62 0A.62 .62 0 1 1-.62 0A.62 .62 0 1 1 .62 0Z",
	"unknown":        "M0-1L1 0L0 1L-1 0ZM0-.5L-.5 0L0 .5L.5 0Z",
	"not_applicable": "M-.6-.16H.6V.16H-.6Z",
	"eligible":       "M-.75-.75H.75V.75H-.75Z",
	"not_yet":        "M-.75-.75H.75V.75H-.75ZM0-.5V.5H.5V-.5Z",
	"not_allowed":    "M-.75-.75H.75V.75H-.75ZM-.5-.17V.17H.5V-.17Z",
	"untold":         "M-.75-.75H.75V.75H-.75ZM-.5-.5V.5H.5V-.5Z",
}

// Outline is a state's shape as the path of an SVG two units wide; "" for what is no state.
func Outline(state string) string { return outlines[state] }

// Glyph draws a state's shape; the words beside it say the same, so it is hidden from those who listen.
func Glyph(state string) template.HTML {
	return template.HTML(`<svg class="glyph" viewBox="-1.1 -1.1 2.2 2.2" aria-hidden="true"><path d="` + outlines[state] + `"/></svg>`)
}

// Frame is what every page has around its own matter.
type Frame struct {
	reader
	Title     string // whose pages these are, such as the province; may be empty
	PageTitle string
	Wall      bool
	Now       time.Time
	Zone      *time.Location
	Notice    Notice
	Watched   bool // a script looks for notices
	Caller    people.Caller

	fleet  bool // there are pages of the fleet
	doored bool // somebody asks who sends requests, so that there is something to sign in to
	assets *assets
	path   string

	sentences *book.Book
}

// Notice is what a page says of the collector itself, such as that its database is away. The zero Notice is that all is
// well.
type Notice struct {
	Text    string
	Away    bool     // what is on screen is not up to date
	Since   int64    // when it last was, in milliseconds since 1970; 0: not known
	Details []string // for engineers
}

// Frame makes the frame of an answer. A choice of language or theme in the address is remembered in cookies.
func (h *House) Frame(rw http.ResponseWriter, r *http.Request) Frame {
	f := Frame{reader: h.reader(rw, r), Title: h.title, Now: h.now(), Zone: h.zone, assets: h.assets, path: r.URL.Path, fleet: h.fleet, sentences: h.sentences}
	f.Wall = f.query.Get("wall") == "1"
	f.Caller = people.From(r.Context())
	_, f.doored = people.Told(r.Context())
	if h.notice != nil {
		f.Notice, f.Watched = h.notice(f.Lang), true
	}
	f.PageTitle = f.T("app.title")
	if f.Title != "" {
		f.PageTitle += " – " + f.Title
	}
	return f
}

// Query is what the address asks for, without language and theme.
func (f Frame) Query() url.Values { return f.query }

// The methods below are the vocabulary of the templates.

func (f Frame) T(key string, pairs ...any) string { return f.cat.T(key, pairs...) }

// StateWord names a state by what it comes from: who said that they stop are switched off, not lost. The islands of script
// have the same (ui/src/api.ts).
func (f Frame) StateWord(state, reason string) string {
	if state == "no_data" && reason == "stopped" {
		return f.T("state.off")
	}
	return f.T("state." + state)
}

// Say is a sentence of the rooms behind in the reader's language; what is not known stays as it is.
func (f Frame) Say(text string) string {
	said, _ := f.sentences.Say(phrase.Lang(f.Lang), text)
	return said
}

// Knows tells whether Say says all of a text.
func (f Frame) Knows(text string) bool {
	_, known := f.sentences.Say(phrase.Lang(f.Lang), text)
	return known
}

// Said is Say for texts of programs: what is not known is marked as what it is, a detail for engineers in English.
func (f Frame) Said(text string) template.HTML {
	said, known := f.sentences.Say(phrase.Lang(f.Lang), text)
	if said = template.HTMLEscapeString(said); known {
		return template.HTML(said)
	}
	return template.HTML(`<span class="technical">` + template.HTMLEscapeString(f.T("app.technical")) + ` <code lang="en">` + said + `</code></span>`)
}

func (f Frame) Asset(name string) string { return f.assets.path(name) }
func (f Frame) Built() bool              { return f.assets.built() }
func (f Frame) ZoneName() string         { return f.Zone.String() }
func (f Frame) Themes() []string         { return themes }

// ReaderMay tells whether who reads may do an act of package people, such as "inventory": pages hide what they may not.
func (f Frame) ReaderMay(act string) bool { return f.Caller.May(people.Act(act)) }

// HasFleet tells whether there are pages of the fleet that the reader may open.
func (f Frame) HasFleet() bool { return f.fleet && f.Caller.May(people.ActFleet) }

// Everywhere tells whether who reads sees all sites.
func (f Frame) Everywhere() bool { return f.Caller.Everywhere() }

// Operates tells whether who reads may start and stop rehearsals by their account, without an operator's code.
func (f Frame) Operates() bool {
	return f.doored && f.Caller.May(people.ActOperate) && f.Caller.Everywhere()
}

// SignedIn tells whether somebody is signed in.
func (f Frame) SignedIn() bool { return f.doored && f.Caller.Via == "session" }

// CanSignIn tells whether there is something to sign in to, and nobody is signed in.
func (f Frame) CanSignIn() bool { return f.doored && f.Caller.Name == "" }

// Proof is what forms carry in a field of that name while somebody is signed in; else "".
func (f Frame) Proof() string { return f.Caller.Proof }

// Reader is who is signed in, as they are called.
func (f Frame) Reader() string { return cmp.Or(f.Caller.Display, f.Caller.Name) }

// Doer words the name that was kept of who did something: who was not signed in has none.
func (f Frame) Doer(who string) string {
	from, unnamed := people.Unnamed(who)
	switch {
	case who == "system":
		return f.T("app.system")
	case !unnamed:
		return who
	case from == "":
		return f.T("app.unnamed")
	}
	return f.T("app.unnamed_from", "address", from)
}

// Section is the part of the product that the page belongs to: "map", "rehearsals", "reports", "inventory", "fleet" or
// "account".
func (f Frame) Section() string {
	for _, section := range []string{"account", "sign-in", "first"} {
		if f.path == "/"+section || strings.HasPrefix(f.path, "/"+section+"/") {
			return "account"
		}
	}
	for _, section := range []string{"inventory", "rehearsals", "reports", "fleet"} {
		if f.path == "/"+section || strings.HasPrefix(f.path, "/"+section+"/") {
			return section
		}
	}
	return "map"
}

// OtherLang is the language to switch to.
func (f Frame) OtherLang() string {
	if f.Lang == "vi" {
		return "en"
	}
	return "vi"
}

// With is the address of this page with one parameter changed; an empty value drops it.
func (f Frame) With(name, value string) string {
	q := url.Values{}
	for k, v := range f.query {
		q[k] = v
	}
	if value == "" {
		q.Del(name)
	} else {
		q.Set(name, value)
	}
	if len(q) == 0 {
		return f.path
	}
	return f.path + "?" + q.Encode()
}

// Time writes a moment as people here do.
func (f Frame) Time(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "–"
	}
	return t.In(f.Zone).Format("02/01/2006 15:04:05")
}

// NowText is the moment this page was made.
func (f Frame) NowText() string { return f.Time(&f.Now) }

// For is the length of time since t, in words.
func (f Frame) For(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "–"
	}
	return f.cat.Duration(f.Now.Sub(*t))
}

// Number writes a number as the language does.
func (f Frame) Number(v float64, decimals int) string { return Number(f.Lang, v, decimals) }

// Percent writes a ratio (0..1) with two digits that matter: 0,04 %, 2,1 %, 35 %.
func (f Frame) Percent(v float64) string { return Percent(f.Lang, v) }

// Millis writes a length of time in milliseconds.
func (f Frame) Millis(seconds float64) string { return Millis(f.Lang, seconds) }

// BitRate writes a rate in bit/s in the unit that suits it.
func (f Frame) BitRate(bps float64) string { return BitRate(f.Lang, bps) }

// Count writes a whole number as the language does.
func (f Frame) Count(n int) string { return Number(f.Lang, float64(n), 0) }

// Seconds words a length of time that an agent told as a number.
func (f Frame) Seconds(v float64) string {
	return f.cat.Duration(time.Duration(v * float64(time.Second)))
}

// Whole writes a count as the language does.
func (f Frame) Whole(n uint64) string { return Number(f.Lang, float64(n), 0) }

// Mebibytes writes a number of bytes in MiB.
func (f Frame) Mebibytes(v float64) string { return Number(f.Lang, v/(1<<20), 1) }

// Day writes a date of the registry (2025-01-31) as people here do.
func (f Frame) Day(iso *string) string {
	day, err := time.Parse(time.DateOnly, *iso)
	if err != nil {
		return *iso
	}
	return day.Format("02/01/2006")
}
