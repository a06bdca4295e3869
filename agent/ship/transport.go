package ship

import (
	"context"
	"net"
	"net/http"
)

// Transport returns a transport whose connections go the way of batches to this address: over its path, with its
// authorities, through no proxy. It is for requests that are not batches.
func (c Collector) Transport() (*http.Transport, error) {
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
	return t, nil
}
