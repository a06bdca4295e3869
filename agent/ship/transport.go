package ship

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"communewatch/probes/wire"
)

// Transport returns a transport whose connections go the way of batches to this address: over its path, with its
// authorities, through no proxy. It is for requests that are not batches.
func (c Collector) Transport() (*Transport, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l, err := newLine(c)
	if err != nil {
		return nil, err
	}
	t := l.transport()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) }
	t.DialContext, t.DialTLSContext = dial, dial
	return &Transport{Transport: t, identity: c.identity()}, nil
}

// Client is an HTTP client of Transport.
func (c Collector) Client() (*http.Client, error) {
	way, err := c.Transport()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: way,
		// A collector does not redirect. Who does would be handed the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// Request makes a request of an agent to this address.
func (c Collector) Request(ctx context.Context, agent, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, body)
	if err != nil {
		return nil, err
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	req.Header.Set(wire.HeaderAgent, agent)
	req.Header.Set("User-Agent", "communewatch-agent")
	return req, nil
}

// Transport is a transport that begins no request on a connection which was made under a certificate since renewed.
type Transport struct {
	*http.Transport
	identity *identity
}

// RoundTrip sends a request and returns its answer.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.identity.changed() {
		t.CloseIdleConnections()
	}
	return t.Transport.RoundTrip(req)
}

// identity notices that an agent's certificate was renewed.
type identity struct {
	renewed func() <-chan struct{} // nil for an agent without

	mu   sync.Mutex // guards the field below
	seen <-chan struct{}
}

func (c Collector) identity() *identity {
	i := &identity{renewed: c.Renewed}
	i.changed()
	return i
}

// changed reports whether the certificate was renewed since the last call.
func (i *identity) changed() bool {
	if i.renewed == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.seen != nil {
		select {
		case <-i.seen:
		default:
			return false
		}
	}
	first := i.seen == nil
	i.seen = i.renewed()
	return !first
}
