package enroll

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"communewatch/collector/authority"
	"communewatch/collector/callers"
	"communewatch/collector/fleet"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/probes"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/webrtc/reflector/throttle"
	"communewatch/probes/wire"

	"github.com/prometheus/client_golang/prometheus"
)

// Authority signs agents' certificates; collector/authority is it.
type Authority interface {
	Sign(csr *x509.CertificateRequest, name enroll.Name, now time.Time) (*x509.Certificate, error)
	Roots() string     // PEM of whom agents are to believe
	Fleet() enroll.Pin // the fleet's name
}

// Agents is who may be an agent; collector/registry/agents is it.
type Agents interface {
	Knows(ctx context.Context, secret [enroll.SecretBytes]byte) (bool, error)
	Ask(ctx context.Context, a agents.Asking) (agents.Admitted, error)
	Issued(ctx context.Context, c agents.Certificate) error
	Heard(ctx context.Context, h agents.Hearing) error
}

// Judge is told which agents are stopped and which run.
type Judge interface {
	// ObserveStop says that an agent stopped at a time, and why; the zero time says that it runs.
	ObserveStop(site, agent string, at time.Time, reason string)
}

// Callers knows who sends a request; collector/callers is it.
type Callers interface {
	Agent(r *http.Request) (registry.Identity, error)
	RenewableAgent(r *http.Request) (*callers.Certificate, error)
}

// Options of a Door. All are required but those from Judge on.
type Options struct {
	Authority Authority
	Agents    Agents
	Callers   Callers
	Addresses func() []string // of the collector, for agents
	Approve   bool            // somebody has to approve each agent

	Judge   Judge
	Log     *slog.Logger
	Now     func() time.Time
	Metrics prometheus.Registerer
	// Believed says whether it is Now: otherwise agents are not told so, and no certificate is made; nil: always.
	Believed func() bool
}

// How much may come. Rates are per second.
const (
	guessRate, guessBurst       = 1.0 / 60, 20 // of unknown join codes, of one network
	guessesRate, guessesBurst   = 5, 500       // of all
	askRate, askBurst           = 5, 300       // of requests at the door of join codes, of one network
	renewRate, renewBurst       = 1.0 / 600, 10
	presenceRate, presenceBurst = 1.0 / 10, 20 // of one agent
	stopRate, stopBurst         = 1.0 / 30, 5  // of last words of one agent: they have a measure of their own
	trustRate, trustBurst       = 1.0 / 60, 20
	maxNetworks                 = 10_000
	maxAgents                   = 5_000
)

const (
	// bodyTime is for a message to arrive: 64 KiB over 32 kbit/s.
	bodyTime = 20 * time.Second
	// storeTime bounds what is done with it. What is begun is finished, also when the agent goes away.
	storeTime = 15 * time.Second
	// retryPending is when an agent that waits for approval may ask again.
	retryPending = 30 * time.Second
	retryStore   = 30 * time.Second
)

type agentName struct{ site, agent string }

// Door serves the agents' paths. Make it with New.
type Door struct {
	o       Options
	mux     *http.ServeMux
	metrics *prometheus.CounterVec

	guesses                      *throttle.Buckets[netip.Prefix]
	allGuesses                   *throttle.Buckets[struct{}]
	asks                         *throttle.Buckets[netip.Prefix]
	renewals, told, stops, trust *throttle.Buckets[agentName]
}

// New returns a door.
func New(o Options) *Door {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Door{o: o, mux: http.NewServeMux(),
		metrics: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "communewatch", Subsystem: "enroll", Name: "requests_total",
			Help: "Requests of agents for a certificate, its renewal and trust, and what they said of themselves, by what became of them."}, []string{"door", "result"}),
		guesses:    throttle.New[netip.Prefix](guessRate, guessBurst, maxNetworks),
		allGuesses: throttle.New[struct{}](guessesRate, guessesBurst, 1),
		asks:       throttle.New[netip.Prefix](askRate, askBurst, maxNetworks),
		renewals:   throttle.New[agentName](renewRate, renewBurst, maxAgents),
		told:       throttle.New[agentName](presenceRate, presenceBurst, maxAgents),
		stops:      throttle.New[agentName](stopRate, stopBurst, maxAgents),
		trust:      throttle.New[agentName](trustRate, trustBurst, maxAgents),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(d.metrics)
	}
	d.serve(enroll.Path, "enroll", http.MethodPost, d.ask)
	d.serve(enroll.RenewPath, "renew", http.MethodPost, d.renew)
	d.serve(enroll.TrustPath, "trust", http.MethodGet, d.tellTrust)
	d.serve(presence.Path, "presence", http.MethodPost, d.hear)
	return d
}

// ServeHTTP serves enroll.Path, enroll.RenewPath, enroll.TrustPath and presence.Path.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// problem is an answer other than success.
type problem struct {
	status  int
	code    string // of enroll.Refusal
	message string
	retry   time.Duration
}

func (p *problem) Error() string { return p.message }

func (d *Door) serve(path, door, method string, do func(w http.ResponseWriter, r *http.Request) error) {
	d.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if d.dated() == nil {
			h.Set(wire.HeaderReceivedAt, strconv.FormatInt(d.o.Now().UnixMilli(), 10))
		}
		h.Set("Cache-Control", "no-store")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		var err error
		if r.Method == method {
			err = do(w, r)
		} else {
			h.Set("Allow", method)
			err = &problem{http.StatusMethodNotAllowed, "method", "method not allowed; use " + method, 0}
		}
		if err == nil {
			d.metrics.WithLabelValues(door, "ok").Inc()
			return
		}
		p := d.problem(door, err)
		d.metrics.WithLabelValues(door, p.code).Inc()
		if p.retry > 0 {
			h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retry.Seconds()))))
		}
		answer(w, p.status, enroll.Refusal{Code: p.code, Message: p.message})
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who is gone needs no answer
}

// statuses are those of refusals.
func statusOf(code string) int {
	switch code {
	case enroll.RefusedCode:
		return http.StatusNotFound
	case enroll.RefusedUsed, enroll.RefusedTaken:
		return http.StatusConflict
	case enroll.RefusedExpired:
		return http.StatusGone
	case enroll.RefusedCert:
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// problem words an error. What exactly fails in the collector is in its log and none of the agent's business.
func (d *Door) problem(door string, err error) *problem {
	var p *problem
	var refused *agents.Refused
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refused):
		return &problem{statusOf(refused.Code), refused.Code, refused.Message, 0}
	case errors.Is(err, callers.ErrRevoked), errors.Is(err, registry.ErrRevoked):
		return &problem{http.StatusForbidden, enroll.RefusedRevoked, err.Error(), 0}
	case errors.Is(err, callers.ErrUnauthorized):
		return &problem{http.StatusUnauthorized, enroll.RefusedCert, err.Error(), 0}
	case errors.Is(err, callers.ErrForbidden):
		return &problem{http.StatusForbidden, "forbidden", err.Error(), 0}
	}
	d.o.Log.Error("an agent can't be served", "door", door, "err", err)
	return &problem{http.StatusServiceUnavailable, "unavailable", "the collector can't do this now; ask again later", retryStore}
}

func busy(wait time.Duration, message string) error {
	return &problem{http.StatusTooManyRequests, enroll.RefusedBusy, message, max(wait, time.Second)}
}

func wrong(err error) error {
	return &problem{http.StatusBadRequest, "invalid", err.Error(), 0}
}

// dated is an error while it is not known what time it is: a certificate would be of any time.
func (d *Door) dated() error {
	if d.o.Believed == nil || d.o.Believed() {
		return nil
	}
	return &problem{http.StatusServiceUnavailable, "unavailable", "the clock of the collector's machine is in doubt; ask again when it is set right or confirmed", retryStore}
}

// read reads a message.
func read[T interface{ Validate() error }](r *http.Request, into T) error {
	if err := enroll.Read(r.Body, into); err != nil {
		return wrong(err)
	}
	return nil
}

// ask is POST enroll.Path.
func (d *Door) ask(w http.ResponseWriter, r *http.Request) error {
	if r.TLS == nil {
		return &problem{http.StatusForbidden, "plaintext", "agents enrol over TLS only; see tls in the collector's settings", 0}
	}
	if err := d.dated(); err != nil {
		return err
	}
	now, network := d.o.Now(), throttle.Network(r.RemoteAddr)
	if ok, wait := d.asks.Take(network, now); !ok {
		return busy(wait, "too many requests from this address; ask again later")
	}
	var q enroll.Request
	if err := read(r, &q); err != nil {
		return err
	}
	var secret [enroll.SecretBytes]byte
	if n, err := hex.Decode(secret[:], []byte(q.Secret)); err != nil || n != len(secret) {
		return wrong(errors.New("secret: it is not whole"))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTime)
	defer cancel()
	known, err := d.o.Agents.Knows(ctx, secret)
	if err != nil {
		return err
	}
	if !known {
		// Of codes that do not exist alone: others may share the address, and 80 bits are not found by guessing.
		if err := d.mayGuess(network, now); err != nil {
			return err
		}
		d.guesses.Take(network, now)
		d.allGuesses.Take(struct{}{}, now)
		d.o.Log.Warn("an agent came with a join code that does not exist", "address", r.RemoteAddr, "agent", q.Agent)
		return &agents.Refused{Code: enroll.RefusedCode, Message: "the collector does not know this join code; ask for a new one"}
	}
	csr, err := enroll.ParseCSR(q.CSR)
	if err != nil {
		return wrong(err)
	}
	key := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	admitted, err := d.o.Agents.Ask(ctx, agents.Asking{Secret: secret, Key: key, Agent: q.Agent, Machine: q.Machine, Approve: d.o.Approve, Address: network.Addr().String()})
	if err != nil {
		return err
	}
	if admitted.State == fleet.StatePending {
		d.o.Log.Debug("an agent waits for approval", "site", admitted.Site, "agent", admitted.Agent)
		answer(w, http.StatusAccepted, enroll.Answer{Site: admitted.Site, Agent: admitted.Agent, Pending: true, Retry: int(retryPending / time.Second)})
		return nil
	}
	out, err := d.certify(ctx, agentName{admitted.Site, admitted.Agent}, csr, key, key, q.Machine)
	if err != nil {
		return err
	}
	d.o.Log.Info("an agent has enrolled", "site", admitted.Site, "agent", admitted.Agent, "address", r.RemoteAddr)
	answer(w, http.StatusCreated, out)
	return nil
}

// mayGuess says whether a network may come with a join code that may not exist.
func (d *Door) mayGuess(network netip.Prefix, now time.Time) error {
	for _, look := range []func() (bool, time.Duration){
		func() (bool, time.Duration) { return d.guesses.Empty(network, now) },
		func() (bool, time.Duration) { return d.allGuesses.Empty(struct{}{}, now) },
	} {
		if empty, wait := look(); empty {
			return busy(wait, "too many wrong join codes came from this address; wait, and compare the code with the sheet, group by group")
		}
	}
	return nil
}

// certify signs a certificate, and writes it down before it is handed out.
func (d *Door) certify(ctx context.Context, who agentName, csr *x509.CertificateRequest, key, by [sha256.Size]byte, machine enroll.Machine) (*enroll.Answer, error) {
	// Taken before it is signed: an authority that was replaced meanwhile waits for what was issued before it was.
	now := d.o.Now()
	cert, err := d.o.Authority.Sign(csr, enroll.Name{Fleet: d.o.Authority.Fleet().String(), Site: who.site, Agent: who.agent}, now)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s/%s: %w", who.site, who.agent, err)
	}
	if err := d.o.Agents.Issued(ctx, agents.Certificate{Site: who.site, Agent: who.agent, Serial: authority.SerialOf(cert), Key: key, By: by,
		Issued: now, Expires: cert.NotAfter, Machine: machine}); err != nil {
		return nil, err
	}
	return &enroll.Answer{Site: who.site, Agent: who.agent, Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		Trust: enroll.Trust{Roots: d.o.Authority.Roots()}, Collectors: d.o.Addresses()}, nil
}

// who is the agent that sends a request, by its certificate, which has a serial number, or a token, which may leave the
// agent's name to the header.
func (d *Door) who(r *http.Request) (who agentName, serial string, err error) {
	id, err := d.o.Callers.Agent(r)
	if err != nil {
		return agentName{}, "", err
	}
	name := cmp.Or(r.Header.Get(wire.HeaderAgent), id.Agent)
	if err := probes.CheckName(name); err != nil {
		return agentName{}, "", wrong(fmt.Errorf("%s: %w", wire.HeaderAgent, err))
	}
	if id.Agent != "" && name != id.Agent {
		return agentName{}, "", fmt.Errorf("%w: this is the identity of agent %s of site %s, not of agent %s", callers.ErrForbidden, id.Agent, id.Site, name)
	}
	return agentName{id.Site, name}, id.Serial(), nil
}

// renew is POST enroll.RenewPath.
func (d *Door) renew(w http.ResponseWriter, r *http.Request) error {
	cert, err := d.o.Callers.RenewableAgent(r)
	if err == nil {
		err = d.dated()
	}
	if err != nil {
		return err
	}
	who := agentName{cert.Site, cert.Agent}
	if ok, wait := d.renewals.Take(who, d.o.Now()); !ok {
		return busy(wait, "too many renewals; ask again later")
	}
	var q enroll.Renewal
	if err := read(r, &q); err != nil {
		return err
	}
	csr, err := enroll.ParseCSR(q.CSR)
	if err != nil {
		return wrong(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTime)
	defer cancel()
	out, err := d.certify(ctx, who, csr, sha256.Sum256(csr.RawSubjectPublicKeyInfo), cert.Key, q.Machine)
	if err != nil {
		return err
	}
	d.o.Log.Debug("an agent's certificate was renewed", "site", who.site, "agent", who.agent)
	answer(w, http.StatusOK, out)
	return nil
}

// tellTrust is GET enroll.TrustPath.
func (d *Door) tellTrust(w http.ResponseWriter, r *http.Request) error {
	who, _, err := d.who(r)
	if err != nil {
		return err
	}
	if ok, wait := d.trust.Take(who, d.o.Now()); !ok {
		return busy(wait, "too many requests; ask again later")
	}
	roots := d.o.Authority.Roots()
	sum := sha256.Sum256([]byte(roots))
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	answer(w, http.StatusOK, enroll.Trust{Roots: roots})
	return nil
}

// hear is POST presence.Path.
func (d *Door) hear(w http.ResponseWriter, r *http.Request) error {
	who, serial, err := d.who(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, presence.MaxPresence+1))
	if err != nil {
		return wrong(err)
	}
	p, err := presence.Read(bytes.NewReader(body))
	if err != nil {
		return wrong(err)
	}
	measure := d.told
	if p.Phase == presence.PhaseStopping {
		measure = d.stops
	}
	if ok, wait := measure.Take(who, d.o.Now()); !ok {
		return busy(wait, "too much is said; say it again later")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTime)
	defer cancel()
	switch err := d.o.Agents.Heard(ctx, agents.Hearing{Site: who.site, Agent: who.agent, Serial: serial, Presence: p}); {
	case errors.Is(err, agents.ErrCrowded):
		return busy(retryStore, err.Error())
	case err != nil:
		return err
	}
	if d.o.Judge != nil {
		var stopped time.Time
		if p.Phase == presence.PhaseStopping {
			stopped = d.o.Now()
		}
		d.o.Judge.ObserveStop(who.site, who.agent, stopped, string(p.Reason))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
