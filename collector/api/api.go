package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	_ "embed"

	"communewatch/collector/api/ask"
	"communewatch/collector/api/condition"
	"communewatch/collector/api/equipment"
	"communewatch/collector/api/fleet"
	"communewatch/collector/api/live"
	"communewatch/collector/api/rehearsals"
	lines "communewatch/collector/api/reports"
	"communewatch/collector/audit"
	"communewatch/collector/health"
	"communewatch/collector/phrase"
	"communewatch/collector/registry"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/guard"
	"communewatch/collector/reports"
	"communewatch/collector/status"
	"communewatch/collector/stock"
	"communewatch/collector/store"
	"communewatch/inventory"
)

// Judge is who knows the states; *health.Judge does.
type Judge interface {
	Since(version uint64) ([]health.SiteStatus, uint64)
	Site(id string) (health.SiteStatus, []health.CheckStatus, bool)
	Rules() health.Rules
}

// Registry is who knows the sites' names and what arrived; *registry.Registry does.
type Registry interface {
	Sites(ctx context.Context, asOf time.Time) ([]inventory.Site, error)
	SiteNames(ctx context.Context, id string) ([]inventory.Site, error)
	Accounts(ctx context.Context, site string) ([]registry.Account, error)
	Changes(ctx context.Context, site string, from, to time.Time, limit int) ([]registry.Change, error)
}

// Store is where the measurements are.
type Store interface {
	Select(ctx context.Context, q store.Query, each func(store.Series) error) error
	Windows(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) error
	Stats() store.Stats
}

// Options are what New needs. Judge, Store and Registry must be set.
type Options struct {
	Judge     Judge
	Store     Store
	Registry  Registry
	Inventory stock.Reader // nil: /api/v1/inventory is not there
	// Rehearsals runs rehearsals; nil: /api/v1/rehearsals is not there. Operators may start and stop them; nil: nobody may.
	Rehearsals rehearsal.Service
	Operators  rehearsals.Operators
	Audit      audit.Recorder       // of what people order; nil: nothing is recorded
	Reports    reports.Reporter     // nil: /api/v1/reports is not there
	Status     status.Source        // nil: /api/v1/status is not there
	Fleet      *fleet.Sources       // nil: /api/v1/fleet, /api/v1/people and /api/v1/audit are not there
	Zone       *time.Location       // in which days of reports begin; nil: Indochina Time
	Now        func() time.Time     // nil: time.Now
	Log        *slog.Logger         // nil: slog.Default
	Metrics    *prometheus.Registry // served at /metrics, with what others registered; nil: one of its own
	Version    string               // of the program, as /metrics and the OpenAPI description say it
}

// API answers questions. Make it with New.
type API struct {
	judge   Judge
	store   Store
	reg     Registry
	stock   stock.Reader
	now     func() time.Time
	log     *slog.Logger
	metrics *prometheus.Registry
	version string
	meet    *rehearsals.API // nil without rehearsals
	reports reports.Reporter
	status  status.Source
	fleet   *fleet.Sources
	zone    *time.Location
	birth   string // tells this process's ETags from another's

	list    list
	hub     *live.Hub
	answers answers       // to questions of the past
	heavy   chan struct{} // a place for each long query that may run at once
}

// heavyQueries is how many histories and series are worked out at once; further ones wait.
const heavyQueries = 4

// ErrNoSite says that there is no site of that id.
var ErrNoSite = errors.New("no such site")

// New returns an API. Live events need Run.
func New(o Options) *API {
	a := &API{judge: o.Judge, store: o.Store, reg: o.Registry, stock: o.Inventory, now: o.Now, log: o.Log, metrics: o.Metrics, version: o.Version,
		reports: o.Reports, status: o.Status, fleet: o.Fleet, zone: cmp.Or(o.Zone, phrase.Zone)}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	if a.metrics == nil {
		a.metrics = prometheus.NewRegistry()
	}
	a.birth = strconv.FormatInt(a.now().UnixMilli(), 36)
	a.list.entries = map[string]*entry{}
	a.hub = live.NewHub()
	a.heavy = make(chan struct{}, heavyQueries)
	if o.Rehearsals != nil {
		a.meet = rehearsals.New(rehearsals.Options{Service: guard.New(o.Rehearsals, guard.Options{Record: o.Audit, Seen: a.seen}), Operators: o.Operators, Sites: a.siteNames, Now: a.now, Log: a.log})
	}
	a.metrics.MustRegister(newGauges(a), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return a
}

// Rehearsals is the part about rehearsals, nil without them.
func (a *API) Rehearsals() *rehearsals.API { return a.meet }

// siteNames are the sites' names by id.
func (a *API) siteNames(ctx context.Context) (map[string]rehearsals.Name, error) {
	sites, err := a.Sites(ctx, "")
	if err != nil {
		return nil, err
	}
	out := make(map[string]rehearsals.Name, len(sites))
	for _, s := range sites {
		out[s.ID] = rehearsals.Name{Name: s.Name, Type: s.Type, Code: s.Code, District: s.Parent}
	}
	return out, nil
}

//go:embed openapi.json
var openAPI []byte

// seen is which sites a caller sees.
func (a *API) seen(ctx context.Context) (func(site string) bool, error) {
	names, err := a.siteNames(ctx)
	return func(site string) bool { _, ok := names[site]; return ok }, err
}

// Handler serves /api/v1/... and /metrics.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, a.fence(h))
	}
	route("GET /api/v1/sites", a.getSites)
	route("GET /api/v1/sites/{id}", a.getSite)
	route("GET /api/v1/sites/{id}/conference", a.getConference)
	route("GET /api/v1/sites/{id}/history", a.getHistory)
	route("GET /api/v1/sites/{id}/changes", a.getChanges)
	route("GET /api/v1/series", a.getSeries)
	if a.stock != nil {
		for pattern, do := range equipment.Routes(a.stock) {
			route(pattern, a.heavily(do))
		}
	}
	if a.reports != nil {
		for pattern, do := range lines.Routes(a.reports, a.now, a.zone) {
			route(pattern, a.heavily(do))
		}
	}
	if a.status != nil {
		route("GET /api/v1/status", a.getStatus)
	}
	if a.fleet != nil {
		for pattern, do := range fleet.Routes(*a.fleet, a.places, a.now) {
			route(pattern, ofFleet(do))
		}
	}
	if a.meet != nil {
		for pattern, do := range a.meet.Routes() {
			route(pattern, ofRehearsals(do))
		}
	}
	route("GET /api/v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		_, err := w.Write(openAPI)
		return err
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	}))
	route("/", func(_ http.ResponseWriter, r *http.Request) error {
		if strings.HasPrefix(r.URL.Path, "/api/v1/") && r.Method != http.MethodGet && r.Method != http.MethodHead {
			return &problem{http.StatusMethodNotAllowed, "invalid", "this address is read with GET; /api/v1/openapi.json lists what takes POST"}
		}
		return &problem{http.StatusNotFound, "not found", "no such address; /api/v1/openapi.json lists them"}
	})
	pack, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.CompressionLevel(1))
	if err != nil {
		panic(err) // constant options
	}
	packed := pack(mux)
	outer := http.NewServeMux()
	outer.Handle("GET /api/v1/events", a.fence(a.getEvents)) // compression would hold events back
	if a.meet != nil {
		outer.Handle("GET /api/v1/rehearsals/events", a.fence(func(w http.ResponseWriter, r *http.Request) error {
			lang, err := ask.Lang(r)
			if err != nil || r.Method == http.MethodHead {
				return err
			}
			return a.meet.Events(w, r, lang)
		}))
	}
	outer.Handle("/", packed)
	return outer
}

// ofFleet answers a question about the fleet, about people or the record. It waits for no place among heavy questions:
// who has to know which agents are alive asks when much is going on.
func ofFleet(do fleet.Route) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		lang, err := ask.Lang(r)
		if err != nil {
			return err
		}
		v, err := do(r.Context(), r, lang)
		if err == nil {
			writeJSON(w, http.StatusOK, v)
		}
		return err
	}
}

// places are the sites that a caller sees.
func (a *API) places(ctx context.Context) (map[string]fleet.Place, error) {
	sites, err := a.Sites(ctx, "")
	out := make(map[string]fleet.Place, len(sites))
	for _, s := range sites {
		out[s.ID] = fleet.Place{Name: s.Name, District: s.Parent}
	}
	return out, err
}

// ofRehearsals answers a question about rehearsals, or carries out an order.
func ofRehearsals(do rehearsals.Route) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		lang, err := ask.Lang(r)
		if err != nil {
			return err
		}
		answer, err := do(r, lang)
		if err != nil {
			return err
		}
		writeJSON(w, answer.Status, answer.Value)
		return nil
	}
}

// getStatus says whether the database answers. It waits for no place: one that hangs has them all.
func (a *API) getStatus(w http.ResponseWriter, r *http.Request) error {
	lang, err := ask.Lang(r)
	if err == nil {
		writeJSON(w, http.StatusOK, condition.Of(a.status.Status(), lang, a.now(), a.zone))
	}
	return err
}

// heavily answers a question about the inventory or about lines. Judging ten thousand devices for another day is heavy
// work, and so is a year of a province.
func (a *API) heavily(do func(context.Context, *http.Request, string) (any, error)) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		lang, err := ask.Lang(r)
		if err != nil {
			return err
		}
		end, err := a.begin(r.Context())
		if err != nil {
			return err
		}
		defer end()
		v, err := do(r.Context(), r, string(lang))
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, v)
		return nil
	}
}

// problem is an error that the client is told.
type problem struct {
	status  int
	code    string
	message string
}

func (p *problem) Error() string { return p.message }

func invalid(message string) error { return &problem{http.StatusBadRequest, "invalid", message} }

func unavailable(message string) error {
	return &problem{http.StatusServiceUnavailable, "unavailable", message}
}

// maxQuery bounds the query string, in bytes.
const maxQuery = 4096

// fence sets the headers of every answer and turns errors into answers.
func (a *API) fence(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Cache-Control", "no-store")
		head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		head.Set("Referrer-Policy", "no-referrer")
		var err error
		if len(r.URL.RawQuery) > maxQuery {
			err = invalid("the query is longer than " + strconv.Itoa(maxQuery) + " bytes")
		} else {
			err = h(w, r)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	var mistake *ask.Mistake
	var question *equipment.Mistake
	var order *rehearsals.Problem
	switch {
	case errors.As(err, &p):
	case errors.As(err, &mistake):
		p = &problem{http.StatusBadRequest, "invalid", mistake.Error()}
	case errors.As(err, &order):
		order.Header(w.Header())
		p = &problem{order.Status, order.Code, order.Message}
	case r.Context().Err() != nil:
		return // nobody is waiting
	case errors.As(err, &question):
		p = &problem{http.StatusBadRequest, "invalid", question.Error()}
	case errors.Is(err, fleet.ErrForbidden):
		p = &problem{http.StatusForbidden, "forbidden", err.Error()}
	case errors.Is(err, equipment.ErrNoDevice):
		p = &problem{http.StatusNotFound, "not found", "no device has that id; /api/v1/inventory/devices lists them"}
	case errors.Is(err, ErrNoSite):
		p = &problem{http.StatusNotFound, "not found", "no site has that id; /api/v1/sites lists them"}
	case errors.Is(err, store.ErrTooMany):
		p = &problem{http.StatusUnprocessableEntity, "too many", store.ErrTooMany.Error()}
	case errors.Is(err, store.ErrClosed):
		p = &problem{http.StatusServiceUnavailable, "unavailable", "the collector is stopping; try again in a moment"}
	case errors.Is(err, store.ErrAway), a.status != nil && a.status.Status().Store.Away: // ErrAway may be of a part of it
		p = &problem{http.StatusServiceUnavailable, "unavailable", "the database does not answer; /api/v1/status says what is wrong, and since when"}
	default:
		a.log.Error("request failed", "path", r.URL.Path, "error", err)
		p = &problem{http.StatusInternalServerError, "internal error", "the collector could not answer; its log says why"}
	}
	writeJSON(w, p.status, struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{p.code, p.message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"code":"internal error","message":"the answer could not be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that went away is no news
}

// begin waits for a place among the heavy queries.
func (a *API) begin(ctx context.Context) (end func(), err error) {
	select {
	case a.heavy <- struct{}{}:
		return func() { <-a.heavy }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
