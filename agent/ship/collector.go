package ship

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"

	"communewatch/agent/spool"
	"communewatch/agent/spool/pack"
	"communewatch/probes/bind"
	"communewatch/probes/wire"
)

// Collector is one address of a collector and the way to it.
type Collector struct {
	URL     string       // base URL, such as https://monitor.example.vn:8443
	Token   string       // "" where a certificate says who the agent is
	Binding bind.Binding // the path its connections take; the zero Binding leaves that to the system
	TLS     *tls.Config  // nil for the system's authorities
	// Renewed, if not nil, returns a channel that is closed once connections of before the call are out of date, because
	// the agent has another certificate. They are used for no further request.
	Renewed func() <-chan struct{}
}

// Validate reports what is wrong with the URL.
func (c Collector) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return fmt.Errorf("collector URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("collector URL %q: write it as https://host:port", c.URL)
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("collector URL of host %q: leave out user, query and fragment; the token has a setting of its own", u.Host)
	}
	return nil
}

// Host is the host of the URL, or "" of one that Validate refuses.
func (c Collector) Host() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

const (
	requestTimeout = 20 * time.Second // a batch of 256 KiB over a line of 128 kbit/s, packed, with time to spare
	maxAnswer      = 64 << 10         // answers are empty or a short error; a portal's page need not be read
)

// peer is a collector in use.
type peer struct {
	Collector
	client   api.WriteAPIBlocking
	http     *http.Client
	line     *line // nil for a transport that makes its own connections
	identity *identity
	clock    Clock
	agent    string
	fails    int       // in a row
	notUntil time.Time // backing off
	took     bool      // a batch since it last denied us

	trouble verdict // what it was last logged with; taken when all is well
	since   time.Time
	logged  time.Time
	unsaid  int // failures since the last log line
}

func newPeer(c Collector, o *Options, clock Clock) (*peer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &peer{Collector: c, clock: clock, agent: o.Agent, identity: c.identity()}
	var way http.RoundTripper
	if o.transport != nil {
		way = o.transport(c)
	} else {
		var err error
		if p.line, err = newLine(c); err != nil {
			return nil, err
		}
		way = p.line.transport()
	}
	p.http = &http.Client{
		Transport: way,
		Timeout:   requestTimeout,
		// A collector does not redirect. Who does would be handed the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	options := influxdb2.DefaultOptions().SetPrecision(time.Nanosecond).SetApplicationName("communewatch-agent")
	options.SetUseGZip(false) // peer.Do packs: with a known length, which some proxies ask for, and with lent tables
	options.HTTPOptions().SetHTTPDoer(p)
	p.client = influxdb2.NewClientWithOptions(c.URL, c.Token, options).WriteAPIBlocking(o.Org, o.Bucket)
	return p, nil
}

// exchange travels in a request's context: what identifies the batch on the way out, the answer on the way back.
type exchange struct {
	id     spool.ID
	answer answer
	offset time.Duration // collector's clock minus ours
	timed  bool          // offset is known
}

type exchangeKey struct{}

// post sends lines as, or as a part of, the batch id.
func (p *peer) post(ctx context.Context, id spool.ID, lines []byte) *exchange {
	x := &exchange{id: id}
	err := p.client.WriteRecord(context.WithValue(ctx, exchangeKey{}, x), string(lines))
	if err == nil {
		return x
	}
	x.answer.message = clean(err.Error())
	var e *influxhttp.Error
	if errors.As(err, &e) && e.Message != "" {
		x.answer.message = clean(e.Message)
	}
	if x.answer.status == 0 {
		p.hangUp() // the next try dials anew, maybe by another route
	}
	return x
}

// Do is called by the InfluxDB client with each request. It packs the body, adds the headers of the batch, and reads
// the answer, in bounds, before the client does.
func (p *peer) Do(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("ship: a request that is not a batch's")
	}
	if err := packBody(req); err != nil {
		return nil, err
	}
	x.answer.sent = int(req.ContentLength)
	h := req.Header
	h.Set(wire.HeaderAgent, p.agent)
	h.Set(wire.HeaderBoot, x.id.Boot)
	h.Set(wire.HeaderSeq, strconv.FormatUint(x.id.Seq, 10))
	h.Set(wire.HeaderClock, strconv.Itoa(x.id.Clock))
	h["Idempotency-Key"] = nil // not sent; it lets the transport repeat a request that met a connection just closed

	s, err := p.roundTrip(req, x.id)
	if err != nil {
		x.answer.stranger = errors.As(err, new(*tls.CertificateVerificationError))
		return nil, err
	}
	resp := s.resp
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	if err != nil && resp.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))

	x.answer.status, x.answer.header = resp.StatusCode, resp.Header
	x.answer.genuine = isGenuine(resp.Header, body)
	x.answer.message = resp.Status
	if received, ok := x.answer.receivedAt(); ok {
		if _, now := p.clock.Now(); now == s.clock {
			x.offset, x.timed = received.Sub(s.at.Add(s.took/2)), true
		}
	}
	return resp, nil
}

// sending is one round trip.
type sending struct {
	resp  *http.Response
	at    time.Time // when a connection was there and the request went out, by the agent's clock
	clock int
	took  time.Duration // from then to the answer
}

// connects is how often a connection is made for one request: the transport may find an old one dead more than once.
const connects = 3

// roundTrip sends a request, stamped when there is a connection to send it on.
func (p *peer) roundTrip(req *http.Request, id spool.ID) (s sending, err error) {
	if p.identity.changed() {
		p.hangUp()
	}
	for try := range connects {
		if p.line != nil {
			if err := p.line.connect(req.Context(), try > 0); err != nil {
				return s, err
			}
		}
		if req.Body, err = req.GetBody(); err != nil {
			return s, err
		}
		begin := time.Now()
		s.at, s.clock = p.clock.Now()
		req.Header.Del(wire.HeaderSentAt)
		if id.Boot == p.clock.Boot() && id.Clock == s.clock {
			req.Header.Set(wire.HeaderSentAt, strconv.FormatInt(s.at.UnixMilli(), 10))
		}
		s.resp, err = p.http.Do(req)
		s.took = time.Since(begin)
		if !errors.Is(err, errNoLine) {
			break
		}
	}
	return s, err
}

// hangUp closes what connections are not in use.
func (p *peer) hangUp() {
	p.http.CloseIdleConnections()
	if p.line != nil {
		p.line.drop()
	}
}

// packBody replaces a request's body by its gzip.
func packBody(req *http.Request) error {
	plain, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return err
	}
	packed := pack.Pack(plain)
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	req.Body, _ = req.GetBody()
	req.ContentLength = int64(len(packed))
	req.Header.Set("Content-Encoding", "gzip")
	return nil
}

// How long the same trouble is kept quiet. Access is put right by people, who need not be told more than once a day.
const (
	again       = 10 * time.Minute
	againDenied = 24 * time.Hour
)

// failed notes a failure and logs it when it is a new kind of trouble, or from time to time.
func (p *peer) failed(log *slog.Logger, v verdict, message string, now time.Time) {
	p.fails++
	p.unsaid++
	quiet := again
	if v == denied {
		quiet = againDenied
	}
	if p.trouble == v && now.Sub(p.logged) < quiet {
		return
	}
	if p.trouble == taken {
		p.since = now
	}
	log.Warn("collector takes no batches; they wait in the spool", "collector", p.URL, "why", v.String(), "error", message,
		"failures", p.unsaid, "retry_in", p.notUntil.Sub(now).Round(time.Second))
	p.trouble, p.logged, p.unsaid = v, now, 0
}

// worked notes an answer of a working collector.
func (p *peer) worked(log *slog.Logger, now time.Time) {
	if p.trouble != taken {
		log.Info("collector takes batches again", "collector", p.URL, "failures", p.fails, "after", now.Sub(p.since).Round(time.Second))
	}
	p.fails, p.unsaid, p.trouble, p.notUntil = 0, 0, taken, time.Time{}
}
