package live

import (
	"fmt"
	"testing"

	"communewatch/collector/phrase"
)

func TestSlowClientIsReset(t *testing.T) {
	c := &client{lang: "vi", queue: make(chan []byte, clientQueue)}
	hub := NewHub()
	hub.clients[c] = true
	for i := range clientQueue + 5 {
		hub.Send(map[phrase.Lang][]byte{"vi": fmt.Appendf(nil, "%d", i)})
	}
	if got := c.next(<-c.queue); string(got) != string(Reset) || len(c.queue) != 0 {
		t.Errorf("got %q with %d waiting", got, len(c.queue))
	}
	hub.Send(map[phrase.Lang][]byte{"vi": []byte("later")})
	if got := c.next(<-c.queue); string(got) != "later" {
		t.Errorf("got %q", got)
	}
}
