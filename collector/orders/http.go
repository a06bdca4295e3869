package orders

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/wire"
)

// Bounds of reports.
const (
	reportTime     = 20 * time.Second // for a report to arrive: 64 KiB over 32 kbit/s
	maxReports     = 256              // under way at once; each takes MaxReport bytes and a little
	maxSiteReports = 4                // the same of one site
)

// Retry-After of a 503.
const (
	retryFull = 30 * time.Second
	retryBusy = 2 * time.Second
)

// problem is an answer other than success.
type problem struct {
	status  int
	code    string
	message string
	retry   time.Duration // for Retry-After
}

// Handler serves the channel: probes/orders.Path and ReportPath.
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	door := func(method string, serve func(http.ResponseWriter, *http.Request) *problem) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(wire.HeaderReceivedAt, strconv.FormatInt(h.o.Now().UnixMilli(), 10))
			p := &problem{http.StatusMethodNotAllowed, "method not allowed", "method not allowed; use " + method, 0}
			if r.Method == method {
				p = serve(w, r)
			} else {
				w.Header().Set("Allow", method)
			}
			if p != nil {
				h.refuse(w, p)
			}
		}
	}
	mux.HandleFunc(orders.Path, door(http.MethodGet, h.orders))
	mux.HandleFunc(orders.ReportPath, door(http.MethodPost, h.report))
	return mux
}

// refuse answers with an error document of the form that the write API has too.
func (h *Hub) refuse(w http.ResponseWriter, p *problem) {
	h.metrics.refused.WithLabelValues(strconv.Itoa(p.status)).Inc()
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.retry/time.Second)))
	}
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="communewatch"`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": p.code, "message": p.message}) // who is gone needs no answer
}

func forbidden(format string, args ...any) *problem {
	return &problem{http.StatusForbidden, "forbidden", fmt.Sprintf(format, args...), 0}
}

func unavailable(retry time.Duration, message string) *problem {
	return &problem{http.StatusServiceUnavailable, "unavailable", message, retry}
}

// who finds out which agent of which site sends the request.
func (h *Hub) who(r *http.Request) (site, agent string, p *problem) {
	id, err := h.o.Who(r)
	switch {
	case errors.Is(err, ErrUnauthorized):
		return "", "", &problem{http.StatusUnauthorized, "unauthorized", err.Error(), 0}
	case errors.Is(err, ErrForbidden):
		return "", "", forbidden("%v", err)
	case err != nil:
		h.log.Warn("order channel: can't look an agent up", "error", err)
		return "", "", unavailable(retryFull, "the collector can't look the agent up now")
	}
	agent = r.Header.Get(wire.HeaderAgent)
	if err := probes.CheckName(agent); err != nil {
		return "", "", &problem{http.StatusBadRequest, "invalid", wire.HeaderAgent + ": " + err.Error(), 0}
	}
	if id.Agent != "" && id.Agent != agent {
		return "", "", forbidden("this is agent %s of site %s, not agent %s", id.Agent, id.Site, agent)
	}
	return id.Site, agent, nil
}

// orders is GET orders.Path.
func (h *Hub) orders(w http.ResponseWriter, r *http.Request) *problem {
	site, agent, p := h.who(r)
	if p != nil {
		return p
	}
	control := http.NewResponseController(w)
	s := &stream{
		agent:    Agent{Site: site, Agent: agent, Since: h.o.Now(), Checks: parseChecks(r.Header.Get(orders.HeaderChecks))},
		replaced: make(chan struct{}), control: control,
	}
	if refusal := h.join(s); refusal != "" {
		return unavailable(retryFull, refusal)
	}
	defer h.leave(s)
	watchPeer(r.Context())
	head := w.Header()
	head.Set("Content-Type", orders.ContentType)
	head.Set("Cache-Control", "no-store")
	head.Set("X-Accel-Buffering", "no") // for nginx in front
	if r.ProtoMajor == 1 {
		head.Set("Connection", "close") // it keeps the deadlines set here, so it must not be used again
	}
	h.serve(w, r, s, control)
	return nil
}

// revoked reports whether a stream's agent may report no longer. Trouble of the registry is no reason to end a stream.
func (h *Hub) revoked(r *http.Request) bool {
	_, err := h.o.Who(r)
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrForbidden)
}

// report is POST orders.ReportPath.
func (h *Hub) report(w http.ResponseWriter, r *http.Request) *problem {
	// The server reads what is left of a body after an early answer too, and must not wait for it for ever.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(reportTime))
	site, agent, p := h.who(r)
	if p != nil {
		return p
	}
	if !h.reports.enter(site) {
		return unavailable(retryBusy, "too many reports at once")
	}
	defer h.reports.leave(site)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, orders.MaxReport))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &problem{http.StatusRequestEntityTooLarge, "request too large", fmt.Sprintf("a report has at most %d bytes", orders.MaxReport), 0}
	case err != nil:
		return &problem{http.StatusBadRequest, "invalid", "the report did not arrive whole", 0}
	}
	rep, err := orders.ReadReport(body)
	if err != nil {
		return &problem{http.StatusBadRequest, "invalid", err.Error(), 0}
	}
	hear, known := h.count(site, agent, &rep)
	if !known {
		return &problem{http.StatusNotFound, "not found", fmt.Sprintf("order %s was not told to agent %s of site %s, or long ago", rep.Order, agent, site), 0}
	}
	h.metrics.reports.WithLabelValues(string(rep.Phase)).Inc()
	for _, f := range hear {
		f(site, agent, rep)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// gate bounds the reports under way.
type gate struct {
	mu     sync.Mutex     // guards the fields below
	inside map[string]int // by site
	all    int
}

func (g *gate) enter(site string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= maxReports || g.inside[site] >= maxSiteReports {
		return false
	}
	g.all++
	g.inside[site]++
	return true
}

func (g *gate) leave(site string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.inside[site]--; g.inside[site] == 0 {
		delete(g.inside, site)
	}
}
