package conduct

import (
	"communewatch/collector/rehearsal"
)

// backlog is how many events a reader may be behind: a step of a thousand sites, told, begun and done.
const backlog = 4096

// maxReaders bounds who watches at once.
const maxReaders = 1000

type reader struct{ events chan rehearsal.Event }

// Subscribe returns what happens from now on. The channel is closed by cancel, at the collector's end, and for a reader
// who is too slow. Of more than a thousand readers the last get a channel that is closed.
func (s *Service) Subscribe() (<-chan rehearsal.Event, func()) {
	r := &reader{make(chan rehearsal.Event, backlog)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || len(s.readers) >= maxReaders {
		close(r.events)
		return r.events, func() {}
	}
	s.readers[r] = struct{}{}
	return r.events, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drop(r)
	}
}

// drop ends a subscription. s.mu is held.
func (s *Service) drop(r *reader) {
	if _, there := s.readers[r]; there {
		delete(s.readers, r)
		close(r.events)
	}
}

// publish tells all readers. s.mu is held, so that all hear the same in the same order.
func (s *Service) publish(e rehearsal.Event) {
	e.At = s.now()
	for r := range s.readers {
		select {
		case r.events <- e:
		default:
			s.drop(r)
		}
	}
}

func (s *Service) publishSite(ses *session, r *rehearsal.Result) {
	if len(s.readers) == 0 {
		return
	}
	site := siteStatus(r)
	s.publish(rehearsal.Event{Kind: rehearsal.EventSite, ID: ses.id, Step: r.Step + 1, Site: &site})
}
