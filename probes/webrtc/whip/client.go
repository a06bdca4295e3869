package whip

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"communewatch/probes"
)

// MaxBody is how many bytes of an answer are read. A longer one is an error.
const MaxBody = 64 << 10

// Signalling sets a call up and ends it. Offer is called once, End at most once after it, also when Offer failed.
type Signalling interface {
	// Offer carries an offer to the service and returns its answer.
	Offer(ctx context.Context, offer string) (answer string, err error)
	// Session is the number of the call for the stamps of its packets; false if the service gave none.
	Session() (uint64, bool)
	// KeepAlive tells the service that the call is still wanted. It is to be called every 20 s.
	KeepAlive(ctx context.Context) error
	// End ends the call. Only a reflector has an Ending to give; for other services it is nil.
	End(ctx context.Context, sent *Sent) (*Ending, error)
}

// Client calls a WHIP or WHEP endpoint: for the client they differ in nothing but which way media go. It is one call's,
// and not safe for concurrent use.
type Client struct {
	URL   *url.URL
	Token string       // sent as a bearer token; "" for none
	HTTP  *http.Client // must not follow redirects: the token is for one origin
	// Member says that HTTP shows the service a certificate, by which it knows the caller.
	Member bool

	resource *url.URL // nil before there is one
	session  uint64
	numbered bool
}

// Offer posts the offer (RFC 9725 4.2). Errors carry outcomes: busy for 503 and 429, bad_config for 401 and 403.
func (c *Client) Offer(ctx context.Context, offer string) (string, error) {
	resp, body, err := c.do(ctx, http.MethodPost, c.URL, MediaTypeSDP, []byte(offer))
	if err != nil {
		return "", fmt.Errorf("signalling: %w", err)
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return "", c.refusal(resp, body)
	}
	// The resource is remembered before anything else, so that a call with a bad answer is ended too.
	if at := resp.Header.Get("Location"); at != "" {
		if u, err := c.URL.Parse(at); err == nil && u.Scheme == c.URL.Scheme && u.Host == c.URL.Host && u.User == nil {
			c.resource = u
		}
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != MediaTypeSDP {
		return "", probes.Errorf(probes.OutcomeFailed, "signalling: status %d with content of type %.60q: this is no WHIP or WHEP endpoint", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	if text := resp.Header.Get(HeaderSession); text != "" {
		n, err := strconv.ParseUint(text, 16, 64)
		if err != nil || len(text) != 16 {
			return "", probes.Errorf(probes.OutcomeFailed, "signalling: %s: %.40q is no number of 16 hexadecimal digits", HeaderSession, text)
		}
		c.session, c.numbered = n, true
	}
	return string(body), nil
}

// Session is the number that a reflector gave the call.
func (c *Client) Session() (uint64, bool) { return c.session, c.numbered }

// KeepAlive does nothing: WHIP needs none.
func (c *Client) KeepAlive(context.Context) error { return nil }

// ErrNoResource is returned by End when the service named no address of its own at which a call could be ended.
var ErrNoResource = errors.New("the service named no resource of the call at its own address (Location)")

// ErrForgotten is returned by End when a reflector does not know the call that it took.
var ErrForgotten = errors.New("the reflector does not know the call any more: it was started anew during it")

// End deletes the call's resource (RFC 9725 4.2). Towards a reflector it says what was sent, and returns the Ending.
func (c *Client) End(ctx context.Context, sent *Sent) (*Ending, error) {
	if c.resource == nil {
		return nil, ErrNoResource
	}
	var body []byte
	kind := ""
	if c.numbered && sent != nil {
		var err error
		if body, err = json.Marshal(sent); err != nil {
			return nil, err
		}
		kind = "application/json"
	}
	resp, answer, err := c.do(ctx, http.MethodDelete, c.resource, kind, body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ending the call: %w", err)
	case c.numbered && (resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone):
		return nil, probes.Errorf(probes.OutcomeOverloaded, "ending the call: %w (status %d)", ErrForgotten, resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, fmt.Errorf("ending the call: %w", c.refusal(resp, answer))
	case !c.numbered:
		return nil, nil
	}
	return ParseEnding(answer)
}

func (c *Client) do(ctx context.Context, method string, u *url.URL, kind string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	req.Header.Set("User-Agent", "communewatch-agent")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return exchange(c.HTTP, req)
}

// exchange makes a request and reads the bounded answer. Errors don't repeat the URL.
func exchange(client *http.Client, req *http.Request) (*http.Response, []byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		if ctx := req.Context(); ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, nil, fmt.Errorf("the answer was cut short: %w", err)
	}
	if len(body) > MaxBody {
		return nil, nil, probes.Errorf(probes.OutcomeFailed, "the answer is longer than %d bytes", MaxBody)
	}
	return resp, body, nil
}

// refusal is why a service said no.
func (c *Client) refusal(resp *http.Response, body []byte) error {
	if code := resp.StatusCode; c.Member && (code == http.StatusUnauthorized || code == http.StatusForbidden) {
		return probes.Errorf(probes.OutcomeBadConfig, "the collector refuses this agent (status %d): %s", code, plain(body))
	}
	return refusal(resp, body, c.Token != "")
}

// refusal makes an error of an answer that is no success.
func refusal(resp *http.Response, body []byte, token bool) error {
	said := ""
	if text := plain(body); text != "" {
		said = ": " + text
	}
	switch code := resp.StatusCode; {
	case code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests:
		if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && after >= 0 {
			said = fmt.Sprintf("; it wants to be asked again in %d s%s", after, said)
		}
		return probes.Errorf(probes.OutcomeBusy, "the service takes no call now (status %d)%s", code, said)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		if token {
			return probes.Errorf(probes.OutcomeBadConfig, "the service refuses the token (status %d): correct token or token_file%s", code, said)
		}
		return probes.Errorf(probes.OutcomeBadConfig, "the service wants a token (status %d): set token_file or token%s", code, said)
	case code == http.StatusNotFound || code == http.StatusGone:
		return probes.Errorf(probes.OutcomeFailed, "there is nothing at this URL (status %d)%s", code, said)
	case code == http.StatusMethodNotAllowed || code == http.StatusNotImplemented || code == http.StatusNotAcceptable:
		return probes.Errorf(probes.OutcomeFailed, "the URL takes no offers (status %d): is it the endpoint itself?%s", code, said)
	case code >= 300 && code <= 399:
		return probes.Errorf(probes.OutcomeFailed, "the service sends calls on to %.200q (status %d): set that as the address, if it is right", resp.Header.Get("Location"), code)
	default:
		return probes.Errorf(probes.OutcomeFailed, "signalling: status %d %s%s", code, http.StatusText(code), said)
	}
}

// plain is the start of an answer as text for an error: one line, nothing but what can be printed, no web page.
func plain(body []byte) string {
	text := strings.ToValidUTF8(string(body[:min(len(body), 300)]), "")
	if strings.HasPrefix(strings.TrimSpace(text), "<") {
		return ""
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// ParseEnding reads an Ending and refuses one whose numbers can't be.
func ParseEnding(data []byte) (*Ending, error) {
	bad := func(err error) (*Ending, error) {
		return nil, probes.Errorf(probes.OutcomeFailed, "what the reflector says of the call can't be read: %w", err)
	}
	if len(data) > MaxBody {
		return bad(fmt.Errorf("longer than %d bytes", MaxBody))
	}
	var e Ending
	if err := json.Unmarshal(data, &e); err != nil {
		return bad(err)
	}
	if len(e.Flows) > maxStreams || len(e.Streams) > maxStreams {
		return bad(fmt.Errorf("%d flows and %d streams, more than %d", len(e.Flows), len(e.Streams), maxStreams))
	}
	for i, f := range e.Flows {
		if f.Direction != probes.DirectionUp || f.Media != probes.MediaAudio && f.Media != probes.MediaVideo {
			return bad(fmt.Errorf("flows[%d] is %q %q", i, f.Direction, f.Media))
		}
		whole := []int{f.Sent, f.Received, f.Lost, f.LossRuns, f.LongestLossRun, f.Discarded, f.Reordered, f.Duplicates,
			deref(f.Frames), deref(f.FramesLost), deref(f.Freezes)}
		parts := []float64{f.LossRatio, f.DiscardRatio, f.Playout, f.GoodputBPS, deref(f.Burstiness), deref(f.Jitter), deref(f.IPDVMean),
			deref(f.IPDVP95), deref(f.VariationP95), deref(f.VariationMax), deref(f.FrameLossRatio), deref(f.Frozen)}
		if !sensible(whole) || !sensible(parts) || f.LossRatio > 1 || f.DiscardRatio > 1 || deref(f.FrameLossRatio) > 1 ||
			f.Received > f.Sent || f.Lost != f.Sent-f.Received {
			return bad(fmt.Errorf("flows[%d] has numbers that can't be", i))
		}
	}
	r := e.Reflector
	numbers := []float64{r.CPURatio, e.Clock.MaxError}
	if r.Residence != nil {
		numbers = append(numbers, r.Residence.Median, r.Residence.P95, r.Residence.P99, r.Residence.Max)
	}
	if !sensible(numbers) || !sensible([]int{r.Sessions, e.Foreign}) || e.Drops != nil && *e.Drops > 1<<40 {
		return bad(errors.New("it has numbers that can't be"))
	}
	return &e, nil
}

const maxStreams = 8

// sensible refuses negative numbers and those beyond anything that is counted or timed here.
func sensible[T int | float64](values []T) bool {
	for _, v := range values {
		if !(v >= 0 && float64(v) <= 1<<40) { // an int may have 32 bits
			return false
		}
	}
	return true
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
