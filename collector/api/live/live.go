// Package live fans events out to browsers as server-sent events. Each client has a short queue; one that cannot keep
// up loses what is in it and is told to load everything anew, so one slow phone costs neither memory nor the others'
// time.
package live

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/collector/people"
	"communewatch/collector/phrase"
)

const (
	// heartbeat keeps proxies from closing a quiet connection.
	heartbeat = 15 * time.Second
	// maxClients bounds the open event streams.
	maxClients = 2000
	// clientQueue is how many sends a client may lag behind before it is told to load everything anew.
	clientQueue = 16
	// writeWait is how long one write to a client may take.
	writeWait = 10 * time.Second
)

// Why a client is not served.
var (
	ErrFull  = errors.New("too many open event streams")
	ErrEnded = errors.New("no more events")
)

// Reset is the event that tells a client to load everything anew.
var Reset = []byte("event: reset\ndata: {}\n\n")

// A Hub fans events out. Make it with NewHub.
type Hub struct {
	done chan struct{} // closed by End
	open sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	clients map[*client]bool
	ended   bool
}

// client is one open event stream.
type client struct {
	lang  phrase.Lang
	who   people.Caller
	queue chan []byte
	lost  atomic.Bool // something did not fit into the queue
}

// NewHub returns a Hub without clients.
func NewHub() *Hub {
	return &Hub{clients: map[*client]bool{}, done: make(chan struct{})}
}

// Clients is the number of open streams.
func (h *Hub) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients)
}

// Send hands events, written out in each language, to every client that has room for them.
func (h *Hub) Send(events map[phrase.Lang][]byte) { h.SendSeen(events, nil) }

// SendSeen is Send, but for those who see some districts only: they get what narrow returns, which may be nothing. Without
// narrow they get the same as all.
func (h *Hub) SendSeen(events map[phrase.Lang][]byte, narrow func(who people.Caller, lang phrase.Lang) []byte) {
	if events == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		text := events[c.lang]
		if narrow != nil && !c.who.Everywhere() {
			if text = narrow(c.who, c.lang); len(text) == 0 {
				continue
			}
		}
		select {
		case c.queue <- text:
		default:
			c.lost.Store(true)
		}
	}
}

// End ends every stream and waits for it. It is to be called once.
func (h *Hub) End() {
	h.mu.Lock()
	h.ended = true
	close(h.done)
	h.mu.Unlock()
	h.open.Wait()
}

func (h *Hub) join(lang phrase.Lang, who people.Caller) (*client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return nil, ErrEnded
	case len(h.clients) >= maxClients:
		return nil, ErrFull
	}
	c := &client{lang: lang, who: who, queue: make(chan []byte, clientQueue)}
	h.clients[c] = true
	h.open.Add(1)
	return c, nil
}

func (h *Hub) leave(c *client) {
	h.mu.Lock()
	delete(h.clients, c)
	h.mu.Unlock()
	h.open.Done()
}

// next returns what to write: the queue's next, or the order to load everything anew when something was lost.
func (c *client) next(text []byte) []byte {
	if !c.lost.Swap(false) {
		return text
	}
	for {
		select {
		case <-c.queue:
		default:
			return Reset
		}
	}
}

// Serve writes events to a client until it goes away or the Hub ends. The first thing it writes is what hello returns,
// which is asked when no event can be missed any more. An error means that nothing was written.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, lang phrase.Lang, hello func() []byte) error {
	c, err := h.join(lang, people.From(r.Context()))
	if err != nil {
		return err
	}
	defer h.leave(c)
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("X-Accel-Buffering", "no") // for nginx in front
	control := http.NewResponseController(w)
	write := func(text []byte) bool {
		// Not every server can set deadlines; the write then takes as long as it takes.
		_ = control.SetWriteDeadline(time.Now().Add(writeWait))
		if _, err := w.Write(text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	if !write(hello()) {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-h.done:
			return nil
		case text := <-c.queue:
			if !write(c.next(text)) {
				return nil
			}
		case <-beat.C:
			if !write([]byte(": still here\n\n")) {
				return nil
			}
		}
	}
}
