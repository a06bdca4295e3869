// Package rehearsals is the part of the JSON API about rehearsals: what package rehearsal's Service does, with the
// sentences of room words beside its codes.
//
// Who may view may read, as with the rest of the API, and ask what a plan would cost. Who starts, stops or holds is an
// operator by their account, or shows an operator's code (Door). Nothing here judges or measures.
package rehearsals

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/api/live"
	"communewatch/collector/people"
	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
	"communewatch/probes"
)

// maxBody bounds the body of a POST: a plan of a thousand named sites has 12 kB.
const maxBody = 64 << 10

// Options are what New needs. Service must be set.
type Options struct {
	Service   rehearsal.Service
	Operators Operators // nil: nobody may start, stop or hold
	// Sites are the sites' names by id, as lists show them; nil: none are known.
	Sites func(ctx context.Context) (map[string]Name, error)
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: slog.Default
}

// Name is what a site is called.
type Name struct{ Name, Type, Code, District string }

// API answers questions about rehearsals, and takes orders. Make it with New; live events need Run.
type API struct {
	service rehearsal.Service
	door    *Door
	sites   func(ctx context.Context) (map[string]Name, error)
	now     func() time.Time
	log     *slog.Logger
	hub     *live.Hub
}

// New returns an API. It starts nothing.
func New(o Options) *API {
	a := &API{service: o.Service, door: NewDoor(o.Operators, o.Now), sites: o.Sites, now: o.Now, log: o.Log, hub: live.NewHub()}
	if a.sites == nil {
		a.sites = func(context.Context) (map[string]Name, error) { return nil, nil }
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	return a
}

// Service is who does what is asked.
func (a *API) Service() rehearsal.Service { return a.service }

// Door is who lets operators in; the pages have the same one.
func (a *API) Door() *Door { return a.door }

// Run sends live events until ctx ends, then ends every stream and waits for it.
func (a *API) Run(ctx context.Context) error {
	defer a.hub.End()
	for ctx.Err() == nil {
		events, cancel := a.service.Subscribe()
		a.pump(ctx, events)
		cancel()
		if ctx.Err() != nil {
			break
		}
		// The service closed the channel: this reader was too slow, or the service is ending and so is ctx, soon.
		a.send(live.Reset)
		select {
		case <-ctx.Done():
		case <-time.After(resubscribe):
		}
	}
	return nil
}

// resubscribe keeps a service that is ending from being asked in a tight loop.
const resubscribe = 100 * time.Millisecond

func (a *API) pump(ctx context.Context, events <-chan rehearsal.Event) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			a.tell(e)
		}
	}
}

// tell sends an event to all who listen. Its numbers are the same in every language, its sentences are not.
func (a *API) tell(e rehearsal.Event) {
	out := map[phrase.Lang][]byte{}
	for _, lang := range phrase.Langs() {
		data, err := json.Marshal(EventOf(lang, e))
		if err != nil {
			a.log.Error("event not written", "error", err)
			return
		}
		out[lang] = fmt.Appendf(nil, "event: rehearsal\ndata: %s\n\n", data)
	}
	a.hub.SendSeen(out, func(_ people.Caller, lang phrase.Lang) []byte {
		if e.Site != nil {
			return nil // who sees some districts only asks for the status, which leaves out the others
		}
		return out[lang]
	})
}

func (a *API) send(text []byte) {
	out := map[phrase.Lang][]byte{}
	for _, lang := range phrase.Langs() {
		out[lang] = text
	}
	a.hub.Send(out)
}

// Events serves the live stream of what happens to rehearsals.
func (a *API) Events(w http.ResponseWriter, r *http.Request, lang phrase.Lang) error {
	err := a.hub.Serve(w, r, lang, func() []byte { return []byte("retry: 3000\nevent: hello\ndata: {}\n\n") })
	switch {
	case errors.Is(err, live.ErrEnded):
		return unavailable("the collector is stopping; try again in a moment")
	case errors.Is(err, live.ErrFull):
		return unavailable("too many open event streams; close some or ask for the status now and then")
	}
	return err
}

func unavailable(message string) error {
	return &Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Message: message}
}

func invalid(format string, args ...any) error {
	return &Problem{Status: http.StatusBadRequest, Code: "invalid", Message: fmt.Sprintf(format, args...)}
}

// Answer is what a route answers with: a status and what is to be written as JSON.
type Answer struct {
	Status int
	Value  any
}

// Route is one question or order. An error is a *Problem, or the collector's own.
type Route func(r *http.Request, lang phrase.Lang) (Answer, error)

// Routes lists what is asked under which pattern; Events is apart.
func (a *API) Routes() map[string]Route {
	ok := func(ask func(r *http.Request, lang phrase.Lang) (any, error), known ...string) Route {
		return func(r *http.Request, lang phrase.Lang) (Answer, error) {
			if err := onlyKnown(r.URL, append(known, "lang")); err != nil {
				return Answer{}, err
			}
			v, err := ask(r, lang)
			return Answer{http.StatusOK, v}, problemOf(err)
		}
	}
	return map[string]Route{
		"GET /api/v1/rehearsals":                   ok(a.list),
		"GET /api/v1/rehearsals/plan":              ok(a.plan, planParameters()...),
		"GET /api/v1/rehearsals/compare":           ok(a.compare, "a", "b"),
		"GET /api/v1/rehearsals/{id}":              ok(a.get),
		"GET /api/v1/rehearsals/{id}/status":       ok(a.status),
		"GET /api/v1/rehearsals/{id}/sites/{site}": ok(a.site),
		"POST /api/v1/rehearsals":                  a.order(a.start),
		"POST /api/v1/rehearsals/{id}/stop":        a.order(a.stop),
		"POST /api/v1/rehearsals/hold":             a.order(a.hold),
	}
}

// order makes a route of what only operators may do.
func (a *API) order(do func(r *http.Request, who string) (Answer, error)) Route {
	return func(r *http.Request, _ phrase.Lang) (Answer, error) {
		if err := onlyKnown(r.URL, []string{"lang"}); err != nil {
			return Answer{}, err
		}
		who, err := a.door.Enter(r, Bearer(r))
		if err != nil {
			return Answer{}, err
		}
		answer, err := do(r, who)
		if err == nil {
			a.log.Info("ordered", "what", r.URL.Path, "by", who)
		}
		return answer, problemOf(err)
	}
}

// problemOf tells the errors of a service that are the client's to know.
func problemOf(err error) error {
	var refused *rehearsal.Refused
	p := func(status int, code string) error { return &Problem{Status: status, Code: code, Message: err.Error()} }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return p(http.StatusUnprocessableEntity, "refused")
	case errors.Is(err, rehearsal.ErrUnknown):
		return p(http.StatusNotFound, "not found")
	case errors.Is(err, rehearsal.ErrRunning), errors.Is(err, rehearsal.ErrHeld), errors.Is(err, rehearsal.ErrNotRunning):
		return p(http.StatusConflict, "conflict")
	case errors.Is(err, rehearsal.ErrClosing):
		return p(http.StatusServiceUnavailable, "unavailable")
	}
	return err
}

// onlyKnown refuses parameters that a question does not have: who misspells step_seconds would start another rehearsal
// than the one meant.
func onlyKnown(u *url.URL, known []string) error {
	v, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("the query can't be read; write it as name=value&name=value, with special characters as %%XX")
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		switch {
		case !slices.Contains(known, name):
			return invalid("%.40q is no parameter of this address; it has %s", name, strings.Join(known, ", "))
		case len(v[name]) > 1:
			return invalid("%s is given %d times; give it once", name, len(v[name]))
		}
	}
	return nil
}

// pathID reads the rehearsal that an address names; "current" is 0, the one that runs or else ran last.
func pathID(r *http.Request, current bool) (rehearsal.ID, error) {
	text := r.PathValue("id")
	if current && text == "current" {
		return 0, nil
	}
	id, err := rehearsal.ParseID(text)
	if err != nil {
		return 0, &Problem{Status: http.StatusNotFound, Code: "not found", Message: err.Error()}
	}
	return id, nil
}

func (a *API) list(r *http.Request, lang phrase.Lang) (any, error) {
	all, err := a.service.List(r.Context())
	if err != nil {
		return nil, err
	}
	out := List{Rehearsals: make([]Summary, len(all))}
	for i := range all {
		out.Rehearsals[i] = SummaryOf(lang, all[i])
	}
	if h, on := a.service.Held(); on {
		out.Held = &h
	}
	return out, nil
}

func (a *API) get(r *http.Request, lang phrase.Lang) (any, error) {
	id, err := pathID(r, false)
	if err != nil {
		return nil, err
	}
	rep, err := a.service.Get(r.Context(), id)
	if err != nil {
		return nil, err
	}
	names, err := a.sites(r.Context())
	if err != nil {
		return nil, err
	}
	return DetailOf(lang, &rep, names, a.now()), nil
}

func (a *API) status(r *http.Request, lang phrase.Lang) (any, error) {
	id, err := pathID(r, true)
	if err != nil {
		return nil, err
	}
	s, err := a.service.Status(r.Context(), id)
	return Status{Status: s, WhyText: notes(lang, s.Why)}, err
}

// site answers with all that was measured at one site.
func (a *API) site(r *http.Request, _ phrase.Lang) (any, error) {
	id, err := pathID(r, false)
	if err != nil {
		return nil, err
	}
	site := r.PathValue("site")
	if probes.CheckName(site) != nil {
		return nil, &Problem{Status: http.StatusNotFound, Code: "not found", Message: "no site has that id; /api/v1/sites lists them"}
	}
	rep, err := a.service.Get(r.Context(), id)
	if err != nil {
		return nil, err
	}
	out := SiteResults{Results: []rehearsal.Result{}}
	for _, res := range rep.Results {
		if res.Site == site {
			out.Results = append(out.Results, res)
		}
	}
	if len(out.Results) == 0 && rep.Plan.Joins(site) < 0 {
		return nil, &Problem{Status: http.StatusNotFound, Code: "not found", Message: "that site was no part of the rehearsal"}
	}
	return out, nil
}

func (a *API) compare(r *http.Request, lang phrase.Lang) (any, error) {
	var ids [2]rehearsal.ID
	for i, name := range []string{"a", "b"} {
		var err error
		if ids[i], err = rehearsal.ParseID(r.URL.Query().Get(name)); err != nil {
			return nil, invalid("%s: %v", name, err)
		}
	}
	c, err := a.service.Compare(r.Context(), ids[0], ids[1])
	if err != nil {
		return nil, err
	}
	return ComparisonOf(lang, &c, a.now()), nil
}

func (a *API) plan(r *http.Request, lang phrase.Lang) (any, error) {
	req, err := RequestOf(r.URL.Query())
	if err != nil {
		return nil, err
	}
	p, err := a.service.Draft(r.Context(), req)
	if p.Sites == nil {
		p.Sites = []string{}
	}
	if p.Steps == nil {
		p.Steps = []int{}
	}
	return Plan{Plan: p, WarningsText: notes(lang, p.Warnings)}, err
}

// planParameters are those of a plan's question: the names of a request's JSON.
func planParameters() []string {
	return []string{"meeting", "profile", "audio_kbps", "video_kbps", "fps", "sites", "steps", "step_seconds", "check", "at", "force"}
}

// maxText bounds a text of a request, in bytes; a list of sites may be longer.
const (
	maxText  = 200
	maxSites = 48 << 10
)

// RequestOf reads a request from a query or a form, by the names of its JSON. An error is a *Problem. What the texts
// mean is the plan's to judge.
func RequestOf(v url.Values) (rehearsal.Request, error) {
	req := rehearsal.Request{Meeting: v.Get("meeting"), Profile: v.Get("profile"), Sites: v.Get("sites"), Steps: v.Get("steps"), Check: v.Get("check")}
	number := func(name string, into *float64) error {
		text := strings.TrimSpace(v.Get(name))
		if text == "" {
			return nil
		}
		n, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
		if err != nil || !(n >= 0 && n < 1e9) {
			return invalid("%s: %.40q is no number; write it like 2000", name, text)
		}
		*into = n
		return nil
	}
	var fps, seconds float64
	err := errors.Join(number("audio_kbps", &req.AudioKbps), number("video_kbps", &req.VideoKbps), number("fps", &fps), number("step_seconds", &seconds))
	if err != nil {
		return req, invalid("%v", err)
	}
	req.FPS, req.StepSeconds = int(fps), int(seconds)
	if text := v.Get("at"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			if at, err = time.ParseInLocation("2006-01-02T15:04", text, phrase.Zone); err != nil { // a form's date and time
				return req, invalid("at: %.40q is no time; write it like 2026-12-01T07:30:00+07:00", text)
			}
		}
		at = at.UTC()
		req.At = &at
	}
	switch v.Get("force") {
	case "", "0", "false":
	case "1", "true":
		req.Force = true
	default:
		return req, invalid("force is 1 or nothing")
	}
	return req, bounded(&req)
}

// bounded refuses texts that are longer than anybody's.
func bounded(req *rehearsal.Request) error {
	for name, text := range map[string]string{"meeting": req.Meeting, "profile": req.Profile, "steps": req.Steps, "check": req.Check} {
		if len(text) > maxText {
			return invalid("%s has more than %d bytes", name, maxText)
		}
	}
	if len(req.Sites) > maxSites {
		return invalid("sites has more than %d bytes; name districts, or all", maxSites)
	}
	return nil
}

// body reads the JSON of an order, strictly.
func body(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &Problem{Status: http.StatusUnsupportedMediaType, Code: "invalid", Message: "send Content-Type: application/json"}
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return invalid("the body broke off")
	}
	if len(data) > maxBody {
		return &Problem{Status: http.StatusRequestEntityTooLarge, Code: "invalid", Message: fmt.Sprintf("the body has more than %d bytes", maxBody)}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return invalid("the body can't be read: %.200s; /api/v1/openapi.json says what it holds", err.Error())
	}
	if dec.More() {
		return invalid("there is more than one value in the body")
	}
	return nil
}

func (a *API) start(r *http.Request, who string) (Answer, error) {
	var req rehearsal.Request
	if err := body(r, &req); err != nil {
		return Answer{}, err
	}
	if err := bounded(&req); err != nil {
		return Answer{}, err
	}
	req.By = who // who shows the code, whatever the body says
	id, err := a.service.Start(r.Context(), req)
	return Answer{http.StatusCreated, Started{ID: id, Name: id.String()}}, err
}

func (a *API) stop(r *http.Request, who string) (Answer, error) {
	id, err := pathID(r, false)
	if err != nil {
		return Answer{}, err
	}
	return Answer{http.StatusOK, Started{ID: id, Name: id.String()}}, a.service.Stop(r.Context(), id, who)
}

// holdOrder is the body of a hold.
type holdOrder struct {
	Meeting    string  `json:"meeting"`
	ForSeconds float64 `json:"for_seconds"` // 0 ends the hold that is on
}

// longestHold is a day: no meeting takes longer.
const longestHold = 24 * time.Hour

func (a *API) hold(r *http.Request, who string) (Answer, error) {
	var o holdOrder
	if err := body(r, &o); err != nil {
		return Answer{}, err
	}
	switch {
	case !(o.ForSeconds >= 0 && o.ForSeconds <= longestHold.Seconds()):
		return Answer{}, invalid("for_seconds must be from 0 (which ends a hold) to a day, 86400")
	case len(o.Meeting) > maxText:
		return Answer{}, invalid("meeting has more than %d bytes", maxText)
	}
	h, err := a.service.Hold(r.Context(), rehearsal.Hold{Meeting: o.Meeting, By: who, For: time.Duration(o.ForSeconds * float64(time.Second))})
	return Answer{http.StatusOK, h}, err
}
