package collector

import (
	"io"
	"net/http"
	"testing"
	"time"

	"communewatch/probes/orders"
	"communewatch/probes/wire"
)

// An agent's channel is open as long as the collector runs, and does not hold up its end.
func TestOrderChannelEndsWithTheCollector(t *testing.T) {
	cfg := openConfig(t)
	secret := register(t, cfg, "s1")
	c := run(t, cfg, &http.Client{Transport: &http.Transport{}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+orders.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set(wire.HeaderAgent, "pc")
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := orders.NewReader(resp.Body)
	if o, err := in.Next(); resp.StatusCode != http.StatusOK || o != nil || err != nil {
		t.Fatalf("%s: %v, %v", resp.Status, o, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := in.Next()
		ended <- err
	}()
	c.stop()
	select {
	case err := <-ended:
		if err != io.EOF { // what the server cuts off after waiting in vain has no proper end
			t.Errorf("the channel ended with %v, want a clean end", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the channel has not ended")
	}
}
