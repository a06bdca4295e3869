// Package keep keeps an agent's identity fresh: it renews the certificate when two thirds of its life are over, learns
// of new authorities before the collector begins to use them, and asks for the time when no certificate seems valid.
//
// Nothing waits for it. Where it fails it tries again, a minute later at first and an hour later at last; the agent goes
// on with what it has.
package keep

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"communewatch/agent/identity"
	"communewatch/agent/ship"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/wire"
	"communewatch/probes/work"
)

// Options of a Keeper.
type Options struct {
	Identity   *identity.Identity
	Collectors []ship.Collector // those that the identity is for, in order of preference; at least one
	Machine    enroll.Machine
	Changed    func() // nil, or called after the certificate, the authorities or the trouble has changed
	Log        *slog.Logger
}

const (
	askTimeout = 30 * time.Second
	// trustEvery is how often the authorities are asked for, and with them the time; spread, so that a fleet does not
	// come at once.
	trustEvery  = 24 * time.Hour
	trustSpread = 2 * time.Hour
	firstSpread = time.Minute // before the first time

	retryMin = time.Minute
	retryMax = time.Hour
	// clockEvery is how often the time is asked for while it is in doubt.
	clockEvery = time.Minute
	// ahead is how far the collector's clock may be ahead of what the time is believed to be.
	ahead = 24 * time.Hour
	// lookEvery is how often the clock is looked at: it may jump.
	lookEvery = 10 * time.Minute
)

// Keeper keeps an identity fresh. Make it with New.
type Keeper struct {
	o    Options
	look chan struct{}

	// The state of Run's loop. Times are monotonic: they are about pauses, not about dates.
	trustAt time.Time
	retryAt time.Time
	clockAt time.Time
	fails   int
	doubt   bool
	etag    string
	early   float64 // share of a certificate's life by which it is renewed before two thirds of it

	mu      sync.Mutex // guards the field below
	problem string
}

// New returns a Keeper that does nothing until Run.
func New(o Options) *Keeper {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Keeper{o: o, look: make(chan struct{}, 1), early: rand.Float64() / 20}
}

// Look makes the keeper ask for the authorities soon; it does not wait for the answer.
func (k *Keeper) Look(context.Context) error {
	select {
	case k.look <- struct{}{}:
	default:
	}
	return nil
}

// Certificate is what is to be said of the certificate.
func (k *Keeper) Certificate() presence.Certificate {
	cert := k.o.Identity.Set().Certificate
	k.mu.Lock()
	defer k.mu.Unlock()
	return presence.Certificate{Serial: cert.SerialNumber.Text(16), Expires: cert.NotAfter.UTC(), Problem: k.problem}
}

// Run keeps the identity fresh until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	k.trustAt = time.Now().Add(rand.N(firstSpread))
	for {
		wait := k.step(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-k.look:
			k.trustAt = time.Time{}
			k.retryAt = time.Time{}
		case <-k.o.Identity.Doubt():
			k.doubt = true
		}
		timer.Stop()
	}
}

// step does what is due and returns how long there is nothing to do.
func (k *Keeper) step(ctx context.Context) time.Duration {
	k.o.Identity.Keep()
	now := time.Now()
	if k.doubt && !now.Before(k.clockAt) {
		k.clockAt = now.Add(clockEvery)
		if err := k.askTime(ctx); err == nil {
			k.doubt, k.retryAt = false, time.Time{}
		} else if ctx.Err() == nil {
			k.o.Log.Info("no certificate of the collector's seems valid, and it can't be asked for the time", "error", err)
		}
	}
	due := k.renewal().Sub(k.o.Identity.Now()) <= 0
	if (due || !now.Before(k.trustAt)) && !now.Before(k.retryAt) {
		var err error
		if due {
			err = k.renew(ctx)
		}
		if !now.Before(k.trustAt) && (!due || err != nil) { // a renewal brings the authorities too
			err = errors.Join(err, k.trust(ctx))
		}
		if ctx.Err() != nil {
			return 0
		}
		k.settle(err)
	}
	// What is due next, or a look at the clock.
	now = time.Now()
	wait := lookEvery
	if k.doubt {
		wait = min(wait, k.clockAt.Sub(now))
	}
	next := k.trustAt
	if until := k.renewal().Sub(k.o.Identity.Now()); until < next.Sub(now) {
		next = now.Add(until)
	}
	if k.retryAt.After(next) {
		next = k.retryAt
	}
	return max(min(wait, next.Sub(now)), 0)
}

// renewal is when the certificate is to be renewed.
func (k *Keeper) renewal() time.Time {
	cert := k.o.Identity.Set().Certificate
	life := cert.NotAfter.Sub(cert.NotBefore)
	return cert.NotBefore.Add(time.Duration(float64(life) * (2./3 - k.early)))
}

// settle notes what a try came to.
func (k *Keeper) settle(err error) {
	was := k.Certificate().Problem
	if err == nil {
		k.fails, k.retryAt = 0, time.Time{}
		k.trustAt = time.Now().Add(trustEvery + rand.N(2*trustSpread) - trustSpread)
		k.say("")
		if was != "" {
			k.o.Log.Info("the certificate is kept fresh again")
		}
		return
	}
	pause := min(retryMin<<min(k.fails, 10), retryMax)
	k.fails++
	k.retryAt = time.Now().Add(pause + rand.N(pause/5))
	text := work.Problem(err.Error())
	k.say(text)
	if text != was {
		k.o.Log.Warn("the certificate is not kept fresh; trying on", "expires", k.o.Identity.Set().Certificate.NotAfter.UTC(), "error", err)
	}
}

// say puts a text in the place of the problem.
func (k *Keeper) say(problem string) {
	problem = work.Problem(problem)
	k.mu.Lock()
	changed := problem != k.problem
	k.problem = problem
	k.mu.Unlock()
	if changed {
		k.o.Changed()
	}
}

// renew gets a new certificate, for the same key.
func (k *Keeper) renew(ctx context.Context) error {
	csr, err := k.o.Identity.CSR()
	if err != nil {
		return err
	}
	body, err := json.Marshal(enroll.Renewal{CSR: csr, Machine: k.o.Machine})
	if err != nil {
		return err
	}
	return k.around(ctx, func(ctx context.Context, to *way) error {
		var a enroll.Answer
		if _, err := to.ask(ctx, http.MethodPost, enroll.RenewPath, "", body, &a); err != nil {
			return err
		}
		if a.Pending {
			return errors.New("the renewal waits for somebody's approval")
		}
		if leaf, err := a.Leaf(); err != nil {
			return err
		} else if now := k.o.Identity.Now(); !leaf.NotAfter.After(now) {
			return fmt.Errorf("the collector gave a certificate that ended on %s", leaf.NotAfter.UTC().Format(time.DateOnly))
		} else if leaf.NotBefore.Sub(now) > ahead {
			// Its beginning would count as a time before now, for good. No dates here: they would be new with each try.
			return errors.New("the collector gave a certificate that begins more than a day from now; the present one stays: look at the clocks of the collector and of this machine")
		}
		if err := k.o.Identity.Renew(&a, to.root); err != nil {
			return err
		}
		k.etag = "" // the authorities of the answer may be others
		k.early = rand.Float64() / 20
		cert := k.o.Identity.Set().Certificate
		k.o.Log.Info("certificate renewed", "serial", cert.SerialNumber.Text(16), "expires", cert.NotAfter.UTC())
		k.o.Changed()
		return nil
	})
}

// trust asks for the authorities.
func (k *Keeper) trust(ctx context.Context) error {
	return k.around(ctx, func(ctx context.Context, to *way) error {
		var t enroll.Trust
		etag, err := to.ask(ctx, http.MethodGet, enroll.TrustPath, k.etag, nil, &t)
		if errors.Is(err, errSame) {
			return nil
		}
		if err != nil {
			return err
		}
		changed, err := k.o.Identity.Believe(&t, to.root)
		if err != nil {
			return err
		}
		k.etag = etag
		if changed {
			k.o.Log.Info("the collector's authorities have changed", "pins", k.o.Identity.Pins())
			k.o.Changed()
		}
		return nil
	})
}

// around tries one address after the other until one answers. What a collector refuses, another address of it refuses
// too.
func (k *Keeper) around(ctx context.Context, do func(ctx context.Context, to *way) error) (failed error) {
	for _, c := range k.o.Collectors {
		to, err := k.way(c, false)
		if err != nil {
			return err
		}
		err = do(ctx, to)
		to.client.CloseIdleConnections()
		var no *refused
		if err == nil || errors.As(err, &no) {
			return err
		}
		if failed == nil || !errors.Is(err, identity.ErrAuthority) { // a portal on one line says little
			failed = err
		}
	}
	return failed
}

// askTime asks for the time where the machine's clock, or what is known of its error, makes every certificate invalid.
func (k *Keeper) askTime(ctx context.Context) (failed error) {
	for _, c := range k.o.Collectors {
		to, err := k.way(c, true)
		if err != nil {
			return err
		}
		_, err = to.ask(ctx, http.MethodGet, enroll.TrustPath, "", nil, nil)
		to.client.CloseIdleConnections()
		if err == nil {
			return nil
		}
		failed = err
	}
	return failed
}

// way is an address of the collector, asked once.
type way struct {
	ship.Collector
	k      *Keeper
	clock  bool // nothing is taken but the time
	client *http.Client
	root   *x509.Certificate // that stands behind the collector, once it has answered
}

func (k *Keeper) way(c ship.Collector, clock bool) (*way, error) {
	w := &way{Collector: c, k: k, clock: clock}
	if clock {
		w.TLS = k.o.Identity.ClockTLS(w.Host())
	}
	var err error
	w.client, err = w.Client()
	return w, err
}

// errSame says that what was asked for is as it was.
var errSame = errors.New("not modified")

// refused is an error by the collector's word.
type refused struct{ why string }

func (r *refused) Error() string { return r.why }

// ask sends a request and reads its answer. An answer that is an error counts as one, save for whoever asks for the time
// alone.
func (w *way) ask(ctx context.Context, method, path, etag string, body []byte, into interface{ Validate() error }) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := w.Request(ctx, w.k.o.Identity.Set().Name.Agent, method, path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.TLS == nil {
		return "", errors.New("answered without TLS")
	}
	chain := resp.TLS.PeerCertificates
	ms, err := strconv.ParseInt(resp.Header.Get(wire.HeaderReceivedAt), 10, 64)
	told := time.UnixMilli(ms)
	if timed := err == nil && ms > 0; !timed && w.clock {
		return "", fmt.Errorf("answered %s and no time", resp.Status)
	} else if timed {
		if err := identity.ToldBy(chain, told); err == nil {
			w.k.o.Identity.Tell(told)
		} else if w.clock {
			return "", err
		}
	}
	if w.clock {
		return "", nil
	}
	switch {
	case resp.StatusCode == http.StatusNotModified && etag != "":
		return "", errSame
	case resp.StatusCode != http.StatusOK:
		return "", refusal(resp)
	}
	if err := enroll.Read(resp.Body, into); err != nil {
		return "", err
	}
	// By the time just told: the connection may have been made by another.
	if w.root, err = w.k.o.Identity.Root(chain, w.Host()); err != nil {
		return "", err
	}
	return tag(resp.Header.Get("ETag")), nil
}

// tag is an ETag that is fit to be sent back; "" for one that is not.
func tag(s string) string {
	const most = 100 // bytes; it is a hash
	if len(s) > most || work.Problem(s) != s {
		return ""
	}
	return s
}

// refusal is why the collector refused.
func refusal(resp *http.Response) error {
	var r enroll.Refusal
	if err := enroll.Read(resp.Body, &r); err != nil || r.Code == "" {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, enroll.MaxMessage))
		return fmt.Errorf("the collector answered %s", resp.Status)
	}
	switch {
	case r.Code == enroll.RefusedRevoked:
		return &refused{"this agent was thrown out at the collector; what it measures stays here (to come back: `communewatch-agent enroll CODE --again`)"}
	case r.Code == enroll.RefusedCert:
		return &refused{fmt.Sprintf("the collector does not take this agent's certificate (%s); `communewatch-agent enroll CODE --again` gets another", r.Message)}
	case resp.StatusCode >= 500:
		return fmt.Errorf("the collector has trouble of its own: %s", r.Message)
	}
	return &refused{fmt.Sprintf("the collector refuses (%s): %s", r.Code, r.Message)}
}
