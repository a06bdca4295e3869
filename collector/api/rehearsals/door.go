package rehearsals

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"communewatch/collector/people"
	"communewatch/collector/registry"
)

const (
	// A secret has 256 random bits, so nobody guesses one. The limit keeps who tries all the same from filling the log and
	// from being worth an attempt.
	mostFailures  = 10
	failureWindow = time.Minute
	// mostAddresses bounds what is remembered of strangers; beyond it all share one count.
	mostAddresses = 4096
)

// Operators knows operators' codes; *registry.Registry does.
type Operators interface {
	Authenticate(ctx context.Context, secret string) (registry.Identity, error)
	Tokens(ctx context.Context) ([]registry.Token, error)
}

// Door lets operators in: whoever starts, stops or holds is an operator by their account (collector/people/door), or
// shows an operator's code, with every request anew.
type Door struct {
	operators Operators
	now       func() time.Time

	mu       sync.Mutex // guards the fields below
	failures map[netip.Prefix]failure
	swept    time.Time // when old failures were last forgotten
}

type failure struct {
	n     int
	since time.Time
}

// NewDoor returns a Door. Without operators nobody is let in.
func NewDoor(o Operators, now func() time.Time) *Door {
	if now == nil {
		now = time.Now
	}
	return &Door{operators: o, now: now, failures: map[netip.Prefix]failure{}}
}

// Enter says who shows the code, or who may operate by their account without one; or it returns a *Problem: 401 for a code that is none, 403 for one of an agent or a
// writer, 429 after too many failures from the same address.
func (d *Door) Enter(r *http.Request, code string) (who string, err error) {
	if c, told := people.Told(r.Context()); told && (code == "" || c.Via == "key") && c.May(people.ActOperate) && c.Everywhere() {
		return c.Who(), nil
	}
	from := origin(r)
	// A code can't be guessed, so that a right one counts however many wrong ones came from the same address.
	wrong := func(as *Problem) error {
		if wait := d.blocked(from); wait > 0 {
			return &Problem{Status: http.StatusTooManyRequests, Code: "too many", RetryAfter: wait,
				Message: "too many wrong codes from this address; wait a minute, or use `communewatch-collector rehearsal` on the collector's machine"}
		}
		d.fail(from)
		return as
	}
	switch {
	case code == "":
		return "", &Problem{Status: http.StatusUnauthorized, Code: "unauthorized", Message: "an operator's code is needed: " + makeOne}
	case d.operators == nil:
		return "", &Problem{Status: http.StatusUnauthorized, Code: "unauthorized", Message: "this collector takes no operators' codes; use `communewatch-collector rehearsal` on its machine"}
	}
	id, err := d.operators.Authenticate(r.Context(), code)
	switch {
	case errors.Is(err, registry.ErrUnknownToken), errors.Is(err, registry.ErrRevoked):
		return "", wrong(&Problem{Status: http.StatusUnauthorized, Code: "unauthorized", Message: "the operator's code is not known or was revoked: " + makeOne})
	case err != nil:
		return "", err
	case id.Kind != registry.KindOperator:
		return "", wrong(&Problem{Status: http.StatusForbidden, Code: "forbidden", Message: "this is a code of an agent or a writer; rehearsals are for operators: " + makeOne})
	}
	return d.name(r.Context(), id.Token)
}

// name is who an operator's code was made for, as its note says.
func (d *Door) name(ctx context.Context, id string) (string, error) {
	all, err := d.operators.Tokens(ctx)
	if err != nil {
		return "", err
	}
	for _, t := range all {
		if t.ID == id && t.Note != "" {
			return t.Note, nil
		}
	}
	return id, nil
}

const makeOne = "`communewatch-collector token create --kind operator --note NAME` makes one"

// Bearer returns the code in a request's Authorization header, "" without one.
func Bearer(r *http.Request) string {
	scheme, code, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(code)
}

// origin is where a request came from: an address, or the /64 that a host has of IPv6.
func origin(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{} // all that can't be told apart
	}
	addr, bits := at.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // fits both
	return p
}

// blocked returns for how long an address is not let in.
func (d *Door) blocked(from netip.Prefix) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, known := d.failures[from]
	if !known && len(d.failures) >= mostAddresses {
		f = d.failures[netip.Prefix{}]
	}
	if left := failureWindow - d.now().Sub(f.since); f.n >= mostFailures && left > 0 {
		return left
	}
	return 0
}

func (d *Door) fail(from netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if _, known := d.failures[from]; !known && len(d.failures) >= mostAddresses {
		if now.Sub(d.swept) >= failureWindow/10 { // not for each of a flood
			d.swept = now
			for k, f := range d.failures {
				if now.Sub(f.since) >= failureWindow {
					delete(d.failures, k)
				}
			}
		}
		if len(d.failures) >= mostAddresses {
			from = netip.Prefix{}
		}
	}
	f := d.failures[from]
	if now.Sub(f.since) >= failureWindow {
		f = failure{since: now}
	}
	f.n++
	d.failures[from] = f
}

// Problem is an error that the client is told.
type Problem struct {
	Status     int
	Code       string // as in the answers' JSON
	Message    string // with the fix
	RetryAfter time.Duration
}

// Error is the message.
func (p *Problem) Error() string { return p.Message }

// Header sets what the answer's head has to say of it.
func (p *Problem) Header(h http.Header) {
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="operators"`)
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
}
