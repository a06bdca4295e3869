// Package dispatch is the door at which agents fetch their work (probes/work): what to check, and the secrets that it needs.
//
// Who asks is known from the request's certificate or token, and an agent gets its own work and no other. Each work has an
// ETag (RFC 9110, section 8.8.3), so that an agent which has it is answered 304, and no secret is opened for it. Work with
// secrets goes over TLS, or stays on this machine.
package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/callers"
	"communewatch/collector/registry"
	"communewatch/probes"
	"communewatch/probes/enroll"
	"communewatch/probes/webrtc/reflector/throttle"
	"communewatch/probes/wire"
	"communewatch/probes/work"

	"github.com/prometheus/client_golang/prometheus"
)

// Options of a Door. Agent and Work are required.
type Options struct {
	// Agent says which agent sends a request; callers.Callers does it.
	Agent func(r *http.Request) (registry.Identity, error)
	// Work returns an agent's work and its ETag, nil where nothing is assigned to it; of a work that has the ETag etag
	// already the version alone. plans.Service does it.
	Work func(ctx context.Context, site, agent, etag string) (*work.Work, string, error)
	// Plaintext lets secrets go over plain HTTP beyond this machine: TLS ends at a proxy.
	Plaintext bool
	Log       *slog.Logger          // nil: slog.Default
	Metrics   prometheus.Registerer // nil: none
	Now       func() time.Time      // nil: time.Now
}

// An agent asks when it starts, every ten minutes, and when it is told to.
const (
	askRate, askBurst = 1.0 / 20, 20 // per second, of one agent
	maxAgents         = 5000         // remembered for that
	retryStore        = 30 * time.Second
	maxTag            = 200              // bytes of If-None-Match that are looked at
	takeTime          = 45 * time.Second // in which an agent has to have taken its answer; it gives up after 30 itself
	bodyTime          = 5 * time.Second  // for a body, which nobody needs to send
)

type agentName struct{ site, agent string }

// Door serves work.Path. Make it with New.
type Door struct {
	o       Options
	asked   *throttle.Buckets[agentName]
	answers *prometheus.CounterVec
}

// New returns a Door.
func New(o Options) *Door {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Door{o: o, asked: throttle.New[agentName](askRate, askBurst, maxAgents),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "communewatch", Subsystem: "work", Name: "requests_total",
			Help: "Requests of agents for their work, by status."}, []string{"status"})}
	if o.Metrics != nil {
		o.Metrics.MustRegister(d.answers)
	}
	return d
}

// refusal is why a request is not answered with work.
type refusal struct {
	status int
	enroll.Refusal
	retry time.Duration // 0: not said
}

func refuse(status int, code, message string) *refusal {
	return &refusal{status: status, Refusal: enroll.Refusal{Code: code, Message: message}}
}

// ServeHTTP answers GET work.Path.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(wire.HeaderReceivedAt, strconv.FormatInt(d.o.Now().UnixMilli(), 10))
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusOK
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(takeTime)) // not every writer can; the port's can
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	if no := d.serve(w, r, &status); no != nil {
		status = no.status
		if no.retry > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(no.retry.Seconds())))
		}
		d.write(w, no.status, no.Refusal)
	}
	d.answers.WithLabelValues(strconv.Itoa(status)).Inc()
}

func (d *Door) serve(w http.ResponseWriter, r *http.Request, status *int) *refusal {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return refuse(http.StatusMethodNotAllowed, "method", "use GET")
	}
	if r.ContentLength != 0 {
		// The server reads what is left of it, and must not wait for that for ever.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		w.Header().Set("Connection", "close")
		return refuse(http.StatusBadRequest, "body", "a question for work has no body")
	}
	who, no := d.who(r)
	if no != nil {
		return no
	}
	if ok, wait := d.asked.Take(who, d.o.Now()); !ok {
		no := refuse(http.StatusTooManyRequests, "too_many", "this agent asks too often")
		no.retry = max(wait, time.Second)
		return no
	}
	has := tagOf(r.Header.Get("If-None-Match"))
	given, tag, err := d.o.Work(r.Context(), who.site, who.agent, has)
	switch {
	case err != nil:
		if r.Context().Err() == nil {
			d.o.Log.Error("an agent can't be given its work; it goes on with what it has", "site", who.site, "agent", who.agent, "error", err)
		}
		no := refuse(http.StatusServiceUnavailable, "trouble", "the collector has trouble with this agent's work; its log says why")
		no.retry = retryStore
		return no
	case given == nil:
		return refuse(http.StatusNotFound, "nothing_assigned", "nothing is assigned to this agent; it works by its own settings file")
	}
	w.Header().Set("ETag", tag)
	if tag == has {
		*status = http.StatusNotModified
		w.WriteHeader(*status)
		return nil
	}
	if len(given.Secrets) > 0 && r.TLS == nil && !d.o.Plaintext && !local(r) {
		w.Header().Del("ETag")
		return refuse(http.StatusForbidden, "plaintext", "this agent's work holds secrets, which don't go over plain HTTP; connect by https")
	}
	body, err := pack(given)
	if err != nil {
		d.o.Log.Error("an agent's work is not fit to be sent; it goes on with what it has", "site", who.site, "agent", who.agent, "error", err)
		w.Header().Del("ETag")
		return refuse(http.StatusServiceUnavailable, "trouble", "the collector has trouble with this agent's work; its log says why")
	}
	d.send(w, http.StatusOK, body)
	return nil
}

// who says whose work is asked for.
func (d *Door) who(r *http.Request) (agentName, *refusal) {
	id, err := d.o.Agent(r)
	switch {
	case errors.Is(err, callers.ErrUnauthorized):
		return agentName{}, refuse(http.StatusUnauthorized, "unauthorized", err.Error())
	case errors.Is(err, callers.ErrForbidden):
		return agentName{}, refuse(http.StatusForbidden, "forbidden", err.Error())
	case err != nil:
		d.o.Log.Warn("work: can't look an agent up", "error", err)
		no := refuse(http.StatusServiceUnavailable, "trouble", "the collector can't look the agent up now")
		no.retry = retryStore
		return agentName{}, no
	}
	agent := id.Agent
	if said := r.Header.Get(wire.HeaderAgent); agent == "" { // a token that is good for all agents of its site
		if err := probes.CheckName(said); err != nil {
			return agentName{}, refuse(http.StatusBadRequest, "invalid", wire.HeaderAgent+": "+err.Error())
		}
		agent = said
	} else if said != "" && said != agent {
		return agentName{}, refuse(http.StatusForbidden, "forbidden", "this is agent "+agent+" of site "+id.Site+", and no other")
	}
	return agentName{id.Site, agent}, nil
}

// tagOf is the one ETag that an agent says it has; "" for anything else.
func tagOf(header string) string {
	if len(header) > maxTag || strings.Contains(header, ",") {
		return ""
	}
	return strings.TrimSpace(header)
}

// local reports whether a request does not leave this machine.
func local(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// pack writes work as an agent takes it.
func pack(w *work.Work) ([]byte, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	var body bytes.Buffer
	out := json.NewEncoder(&body)
	out.SetEscapeHTML(false) // it is no page, and would be six times as long where it compares
	if err := out.Encode(w); err != nil {
		return nil, err
	}
	if body.Len() > work.MaxWork {
		return nil, fmt.Errorf("it has %d bytes with its secrets, and an agent takes %d at most; give the site fewer checks", body.Len(), work.MaxWork)
	}
	return body.Bytes(), nil
}

func (d *Door) write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		d.o.Log.Error("an answer can't be written", "error", err)
	}
	d.send(w, status, append(body, '\n'))
}

// send answers. What an agent does not take in time is lost with its connection.
func (d *Door) send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	if err == nil {
		err = http.NewResponseController(w).Flush() // while there is a deadline
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		d.o.Log.Debug("an agent went away before it had its work", "error", err)
	}
}
