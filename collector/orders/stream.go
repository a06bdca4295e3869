package orders

import (
	"net/http"
	"strings"
	"time"

	"communewatch/probes"
)

// stream is one open channel.
type stream struct {
	agent    Agent
	queue    chan []byte   // lines to write
	replaced chan struct{} // closed when the agent has opened another one, or was thrown out
	control  *http.ResponseController
}

// join makes a stream the agent's one. refusal, if it is not empty, says why it can't be.
func (h *Hub) join(s *stream) (refusal string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return "the collector is stopping"
	}
	site, now := h.sites[s.agent.Site], time.Now()
	old := site[s.agent.Agent]
	if old == nil {
		switch {
		case h.streams >= h.o.MaxStreams:
			return "too many agents are connected"
		case len(site) >= h.o.MaxSiteStreams:
			return "too many agents of the site are connected"
		}
	}
	again := h.unreported(s.agent.Site, s.agent.Agent, now)
	s.queue = make(chan []byte, queueLength)
	for _, line := range again[max(0, len(again)-queueLength):] {
		s.queue <- line
	}
	if site == nil {
		site = map[string]*stream{}
		h.sites[s.agent.Site] = site
	}
	site[s.agent.Agent] = s
	if old != nil {
		close(old.replaced)
		old.hurry()
	} else {
		h.streams++
	}
	h.open.Add(1)
	return ""
}

func (h *Hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sites[s.agent.Site][s.agent.Agent] == s {
		h.remove(s)
	}
	// The request is over but for the answer's last bytes, by which the agent knows this end from a broken line.
	_ = s.control.SetWriteDeadline(time.Now().Add(time.Second))
	s.control = nil
	h.open.Done()
}

// remove takes a stream that is an agent's one out of the books. The caller holds h.mu.
func (h *Hub) remove(s *stream) {
	site := h.sites[s.agent.Site]
	h.streams--
	if delete(site, s.agent.Agent); len(site) == 0 {
		delete(h.sites, s.agent.Site)
	}
}

// hurry ends a write that is under way. The caller holds the hub's lock, by which the request is not over yet.
func (s *stream) hurry() {
	if s.control != nil {
		_ = s.control.SetWriteDeadline(time.Unix(1, 0)) // long ago
	}
}

// serve writes to the stream until it is over.
func (h *Hub) serve(w http.ResponseWriter, r *http.Request, s *stream, control *http.ResponseController) {
	beat := time.NewTicker(h.o.Heartbeat)
	defer beat.Stop()
	over := func() bool {
		select {
		case <-h.done:
		case <-s.replaced:
		default:
			return false
		}
		return true
	}
	write := func(line []byte) bool {
		_ = control.SetWriteDeadline(time.Now().Add(writeWait))
		if over() { // looked at after the deadline was set, which hurry may have set before
			return false
		}
		if _, err := w.Write(line); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	if !write([]byte("\n")) { // the answer's header with it: the agent sees that it has a channel
		return
	}
	for beats := 1; ; {
		select {
		case <-r.Context().Done():
			return
		case <-h.done:
			return
		case <-s.replaced:
			return
		case line := <-s.queue:
			if !write(line) {
				return
			}
		case <-beat.C:
			if beats%recheck == 0 && h.revoked(r) {
				return
			}
			beats++
			if !write([]byte("\n")) {
				return
			}
		}
	}
}

// parseChecks reads the header in which an agent says what it can call with. What is wrong in it is left out.
func parseChecks(header string) (list []Check) {
	for _, word := range strings.SplitN(header, ",", maxChecks+1) {
		name, path, _ := strings.Cut(strings.TrimSpace(word), "/")
		if len(list) < maxChecks && probes.CheckName(name) == nil && probes.Path(path).Valid() {
			list = append(list, Check{Name: name, Path: probes.Path(path)})
		}
	}
	return list
}

// maxChecks is how many checks of an agent are kept.
const maxChecks = 16
