package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/phrase"
)

const (
	// eventsEvery is how often changes are sent: changes within it are one.
	eventsEvery = 500 * time.Millisecond
	// heartbeat keeps proxies from closing a quiet connection.
	heartbeat = 15 * time.Second
	// maxClients bounds the open event streams.
	maxClients = 2000
	// clientQueue is how many sends a client may lag behind before it is told to load the list again.
	clientQueue = 16
	// maxSites is the number of sites from which one send says "load the list" instead of listing them all.
	maxSites = 1000
	// writeWait is how long one write to a client may take.
	writeWait = 10 * time.Second
)

// hub fans events out.
type hub struct {
	mu      sync.Mutex // guards the fields below
	clients map[*client]bool
	done    chan struct{} // closed when Run ends
	ended   bool
	open    sync.WaitGroup
}

// client is one open event stream.
type client struct {
	lang  phrase.Lang
	queue chan []byte
	lost  atomic.Bool // something did not fit into the queue
}

// face is what of a site an event is about: not when it was last seen.
type face struct {
	state   health.State
	since   time.Time
	reason  health.Reason
	layers  [4]health.State
	trouble health.Reason
	names   uint64
}

func faceOf(e *entry) face {
	f := face{state: e.status.State, since: e.status.Since, reason: e.status.Reason, trouble: trouble(&e.status), names: e.names}
	for i := range f.layers {
		f.layers[i] = e.status.Layers[i].State
	}
	return f
}

// Run sends live events until ctx ends, then ends every stream and waits for it.
func (a *API) Run(ctx context.Context) error {
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	a.changes(ctx) // what is true now is no event
	for {
		select {
		case <-ctx.Done():
			a.hub.mu.Lock()
			a.hub.ended = true
			close(a.hub.done)
			a.hub.mu.Unlock()
			a.hub.open.Wait()
			return nil
		case <-tick.C:
			a.hub.send(a.changes(ctx))
		}
	}
}

// changes returns the events since the last call, by language, ready to be written.
func (a *API) changes(ctx context.Context) map[phrase.Lang][]byte {
	l := &a.list
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := a.catchUp(ctx); err != nil {
		return nil
	}
	var changed []*entry
	for _, e := range l.order {
		if !e.dirty {
			continue
		}
		e.dirty = false
		if f := faceOf(e); f != e.face {
			e.face = f
			changed = append(changed, e)
		}
	}
	if l.shrunk { // only a whole list says that a site is gone
		l.shrunk = false
		return resetAll()
	}
	switch {
	case len(changed) == 0:
		return nil
	case len(changed) > maxSites:
		return resetAll()
	}
	out := map[phrase.Lang][]byte{}
	now := a.now()
	for _, lang := range phrase.Langs() {
		var text []byte
		for _, e := range changed {
			text = append(text, "event: site\ndata: "...)
			text = append(text, e.encoded(lang, now)...)
			text = append(text, "\n\n"...)
		}
		out[lang] = text
	}
	return out
}

var reset = []byte("event: reset\ndata: {}\n\n")

func resetAll() map[phrase.Lang][]byte {
	out := map[phrase.Lang][]byte{}
	for _, lang := range phrase.Langs() {
		out[lang] = reset
	}
	return out
}

// send hands events to every client that has room for them.
func (h *hub) send(events map[phrase.Lang][]byte) {
	if events == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		select {
		case c.queue <- events[c.lang]:
		default:
			c.lost.Store(true)
		}
	}
}

func (h *hub) join(lang phrase.Lang) (*client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return nil, &problem{http.StatusServiceUnavailable, "unavailable", "the collector is stopping; try again in a moment"}
	case len(h.clients) >= maxClients:
		return nil, &problem{http.StatusServiceUnavailable, "unavailable", "too many open event streams; close some or ask /api/v1/sites now and then"}
	}
	c := &client{lang: lang, queue: make(chan []byte, clientQueue)}
	h.clients[c] = true
	h.open.Add(1)
	return c, nil
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	delete(h.clients, c)
	h.mu.Unlock()
	h.open.Done()
}

// next returns what to write: the queue's next, or the order to load the list anew when something was lost.
func (c *client) next(text []byte) []byte {
	if !c.lost.Swap(false) {
		return text
	}
	for {
		select {
		case <-c.queue:
		default:
			return reset
		}
	}
}

func (a *API) getEvents(w http.ResponseWriter, r *http.Request) error {
	lang, err := langOf(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return nil
	}
	c, err := a.hub.join(lang)
	if err != nil {
		return err
	}
	defer a.hub.leave(c)
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
	_, version := a.judge.Since(^uint64(0))
	if !write(fmt.Appendf(nil, "retry: 3000\nevent: hello\ndata: {\"version\":%d}\n\n", version)) {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-a.hub.done:
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
