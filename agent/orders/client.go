// Package orders is the agent's end of the order channel (probes/orders). It keeps one connection to the collector
// open, on which the collector tells it to make a call, to stop, or to keep off the line while a meeting is on; and it
// says what became of that.
//
// What the collector may ask for is the agent's own settings' to say: calls go to the targets of the agent's own webrtc
// checks, take no more of the line than they may, are made one at a time and never during a meeting; a check that is to
// run at once is one of the agent's own and runs as its schedule has it, not more often than every ten seconds. So
// whoever holds the collector, or its token, can neither make a scanner of an agent nor flood its line.
//
// An order is carried out once, however often it comes. A call comes before the schedule: scheduled media tests don't
// begin while one is planned, and one that is under way ends shortly before the call begins, with the outcome held.
//
// Times are counted from when an order was received, by monotonic time: no clocks have to agree. Only meetings of the
// settings go by the clock on the wall.
package orders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"communewatch/agent/ship"
	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/report"
)

// Caller is one of the agent's webrtc checks, that calls can be ordered of.
type Caller struct {
	Check string
	Path  probes.Path
	// Spare is how long a call takes at most beyond its media: to be set up and taken down.
	Spare time.Duration
	// Prepare, if not nil, is called before a call is due, to do what needs no media; it must end with its context.
	Prepare func(ctx context.Context)
	// Call makes a call and keeps what it measured. It calls started when media flow, and ends soon after ctx does.
	Call func(ctx context.Context, c orders.Call, started func()) Result
}

// Result is what a call came to.
type Result struct {
	Outcome probes.Outcome
	Reason  string // in words, cleaned; "" if all went well
	Proof   probes.Proof
	Call    *report.Call // nil if nothing was measured
}

// Options of a Client.
type Options struct {
	Collectors []ship.Collector // in order of preference; at least one
	Agent      string
	Callers    []Caller // the first is called where an order names none; see SetCallers
	Gate       *Gate
	MaxBPS     float64 // most that a call may take of the line each way, in bit/s with all headers
	// Run runs a check out of turn and returns what became of it; its Phase is refused if it was not run. It calls started
	// when the run begins; ctx ends the wait for that. Nil: no checks are run by order.
	Run func(ctx context.Context, check string, started func()) orders.Ran
	// Look has what the agent can look for at the collector, by its word. A function returns when that is done.
	Look map[string]func(ctx context.Context) error
	Log  *slog.Logger

	transport func(ship.Collector) (http.RoundTripper, error) // for tests without sockets
}

const (
	// silence is how long a channel is believed to be open without a line; the collector sends one every 10 s.
	silence = 25 * time.Second
	// steady is how long a channel must have lasted to count as one that worked.
	steady     = time.Minute
	backoffMin = time.Second
	backoffMax = time.Minute

	// A collector in its right mind tells a few orders a minute, and shows a sign of life now and then. Who says more is
	// read slowly.
	ordersPerSecond = 5
	ordersBurst     = 32
)

// Client is the agent's end of the channel. Make it with New.
type Client struct {
	o       Options
	life    context.Context // Run's
	peers   []peer
	ledger  ledger
	calls   sync.WaitGroup
	patient *rate.Limiter

	mu      sync.Mutex // guards the fields below
	current *calling   // the ordered call that is planned or under way; nil for none
	spent   []spell    // ordered calls of the last hour
	callers []Caller
	reopen  func()               // ends the open channel, for another to be opened; nil for none
	runs    int                  // orders to run checks that are under way
	ran     map[string]time.Time // when checks were last run by order
}

// peer is one address of the collector.
type peer struct {
	ship.Collector
	http *http.Client
}

// New returns a Client that does nothing until Run.
func New(o Options) *Client {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.transport == nil {
		o.transport = func(c ship.Collector) (http.RoundTripper, error) { return c.Transport() }
	}
	return &Client{o: o, ledger: newLedger(), patient: rate.NewLimiter(ordersPerSecond, ordersBurst), callers: o.Callers, ran: map[string]time.Time{}}
}

// SetCallers puts others in the place of the callers. Where the collector can call by other names than before, the
// channel is opened anew, by which it learns them. A call under way goes on.
func (c *Client) SetCallers(callers []Caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := names(callers) == names(c.callers)
	c.callers = callers
	if !same && c.reopen != nil {
		c.reopen()
	}
}

// Run keeps the channel open and carries out orders until ctx ends; then it ends the call under way and returns. An
// error means that it could not begin.
func (c *Client) Run(ctx context.Context) error {
	c.life = ctx
	for _, collector := range c.o.Collectors {
		way, err := c.o.transport(collector)
		if err != nil {
			return fmt.Errorf("order channel: %w", err)
		}
		c.peers = append(c.peers, peer{collector, &http.Client{
			Transport: way,
			// A collector does not redirect. Who does would be handed the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}})
	}
	if len(c.peers) == 0 {
		return errors.New("order channel: no collector is configured")
	}
	var work sync.WaitGroup
	work.Go(func() { c.deliver(ctx) })
	c.listen(ctx)
	work.Wait()
	c.calls.Wait()
	for _, p := range c.peers {
		p.http.CloseIdleConnections()
	}
	return nil
}

// listen keeps a channel open.
func (c *Client) listen(ctx context.Context) {
	fails := 0 // in a row: rounds through all addresses, and channels that soon ended
	trouble := ""
	for i := 0; ctx.Err() == nil; {
		begin := time.Now()
		opened, err := c.channel(ctx, i, &trouble)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRenewed) || errors.Is(err, errCertificate) && opened {
			continue
		}
		if text := err.Error(); text != trouble {
			c.o.Log.Info("no order channel; trying on", "collector", c.peers[i].URL, "error", text)
			trouble = text
		}
		switch {
		case opened && time.Since(begin) >= steady:
			i, fails = 0, 0
		case !opened && i+1 < len(c.peers):
			i++
			continue // the next address at once
		default:
			i = (i + 1) % len(c.peers)
			fails++
		}
		wait(ctx, backoff(fails))
	}
}

// backoff is how long to wait after a number of failures: a second to a minute, spread out.
func backoff(fails int) time.Duration {
	ceiling := min(backoffMin<<min(fails+1, 10), backoffMax)
	return backoffMin + rand.N(ceiling-backoffMin+1)
}

// wait waits for d, or less if ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Causes for which a channel is ended from here.
var (
	errSilent  = fmt.Errorf("no sign of life for %v", silence)
	errRenewed = errors.New("the agent can be told to call with other checks")
	// errCertificate ends a channel that was opened under a certificate since renewed: it would last as long as that one.
	errCertificate = errors.New("the agent has a new certificate")
)

// channel opens the channel at one address, and obeys what comes until it ends. opened says that it was one.
func (c *Client) channel(ctx context.Context, i int, trouble *string) (opened bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alive := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer alive.Stop()
	if renewed := c.peers[i].Renewed; renewed != nil {
		var watch sync.WaitGroup
		defer watch.Wait()
		defer cancel(nil)
		made := renewed()
		watch.Go(func() {
			select {
			case <-made:
				cancel(errCertificate)
			case <-ctx.Done():
			}
		})
	}
	defer func() {
		if why := context.Cause(ctx); errors.Is(why, errSilent) || errors.Is(why, errRenewed) || errors.Is(why, errCertificate) {
			err = why
		}
	}()
	c.mu.Lock()
	checks := names(c.callers)
	c.reopen = func() { cancel(errRenewed) }
	c.mu.Unlock()
	req, err := c.request(ctx, i, http.MethodGet, orders.Path, nil)
	if err != nil {
		return false, err
	}
	if checks != "" {
		req.Header.Set(orders.HeaderChecks, checks)
	}
	resp, err := c.peers[i].http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != orders.ContentType {
		return false, fmt.Errorf("answered %q with %q instead of a stream of orders", resp.Status, kind)
	}
	c.o.Log.Info("order channel open", "collector", c.peers[i].URL)
	*trouble = ""
	for in := orders.NewReader(resp.Body); ; {
		o, err := in.Next()
		bad := errors.Is(err, orders.ErrInvalid)
		if err != nil && !bad {
			return true, fmt.Errorf("the channel ended: %w", err)
		}
		alive.Reset(silence)
		if err := c.patient.Wait(ctx); err != nil {
			return true, err
		}
		switch {
		case o == nil && !bad:
			continue // only a sign of life
		case bad:
			c.o.Log.Warn("order not understood", "collector", c.peers[i].URL, "error", err)
			continue
		}
		c.obey(o, i)
	}
}

func (c *Client) request(ctx context.Context, i int, method, path string, body io.Reader) (*http.Request, error) {
	return c.peers[i].Request(ctx, c.o.Agent, method, path, body)
}

// names is the header that says what this agent can call with.
func names(callers []Caller) string {
	var list []string
	for _, caller := range callers {
		list = append(list, caller.Check+"/"+string(caller.Path))
	}
	return strings.Join(list[:min(len(list), 16)], ", ")
}

// caller finds the check that an order names.
func (c *Client) caller(check string) (*Caller, error) {
	c.mu.Lock()
	callers := c.callers
	c.mu.Unlock()
	if len(callers) == 0 {
		return nil, errors.New("the agent's settings have no check of kind webrtc to call with")
	}
	if check == "" {
		return &callers[0], nil
	}
	i := slices.IndexFunc(callers, func(k Caller) bool { return k.Check == check })
	if i < 0 {
		return nil, fmt.Errorf("the agent's settings have no check of kind webrtc called %s", check)
	}
	return &callers[i], nil
}
