package orders

import (
	"context"
	"crypto/tls"
	"net"
)

type connKey struct{}

// WithConn is for http.Server's ConnContext: it lets a channel have its own connection watched. Without it a channel
// whose agent vanished, its line cut or its machine off, is believed to be open until the system gives up sending,
// which takes a quarter of an hour.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// watchPeer has the system end the request's connection when what was sent on it is not acknowledged in time.
func watchPeer(ctx context.Context) {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		limitSilence(tcp)
	}
}
