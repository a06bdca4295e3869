package orders

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/agent/ship"
)

// A channel shows for as long as it lasts the certificate that it was opened with; a new certificate opens another at
// once.
func TestRenewedAgentOpensAnotherChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCentre(t)
		renewed := make(chan struct{})
		client := New(Options{
			Agent: "pc", Gate: NewGate(nil, time.Now), Log: slog.New(slog.DiscardHandler),
			transport: func(ship.Collector) (http.RoundTripper, error) { return c, nil },
			Collectors: []ship.Collector{{URL: "https://a", Token: "secret", Renewed: func() <-chan struct{} {
				return renewed
			}}},
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- client.Run(ctx) }()
		c.pass(time.Minute)
		old := renewed
		renewed = make(chan struct{})
		close(old)
		synctest.Wait()
		c.pass(time.Minute)
		if got := c.channels(); len(got) != 2 || got[0] != "a 0s" || got[1] != "a 60s" && got[1] != "a 1m0s" {
			t.Errorf("channels %v, want another one in the moment of the new certificate", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
