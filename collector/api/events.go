package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/api/live"
	"communewatch/collector/health"
	"communewatch/collector/people"
	"communewatch/collector/phrase"
)

const (
	// eventsEvery is how often changes are sent: changes within it are one.
	eventsEvery = 500 * time.Millisecond
	// maxSites is the number of sites from which one send says "load the list" instead of listing them all.
	maxSites = 1000
)

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
	if a.meet != nil {
		ended := make(chan struct{})
		defer func() { <-ended }()
		go func() {
			defer close(ended)
			_ = a.meet.Run(ctx) // nil: it ends when ctx does
		}()
	}
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	a.changes(ctx) // what is true now is no event
	for {
		select {
		case <-ctx.Done():
			a.hub.End()
			return nil
		case <-tick.C:
			a.hub.SendSeen(a.changes(ctx))
		}
	}
}

// changes returns the events since the last call, by language, ready to be written; and what of them somebody sees.
func (a *API) changes(ctx context.Context) (all map[phrase.Lang][]byte, narrow func(people.Caller, phrase.Lang) []byte) {
	l := &a.list
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := a.catchUp(ctx); err != nil {
		return nil, nil
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
		return resetAll(), nil
	}
	switch {
	case len(changed) == 0:
		return nil, nil
	case len(changed) > maxSites:
		return resetAll(), nil
	}
	out := map[phrase.Lang][]byte{}
	ends := map[phrase.Lang][]int{} // of each site's event
	districts := make([]string, len(changed))
	now := a.now()
	for _, lang := range phrase.Langs() {
		var text []byte
		for i, e := range changed {
			text = append(text, "event: site\ndata: "...)
			text = append(text, e.encoded(lang, now)...)
			text = append(text, "\n\n"...)
			ends[lang] = append(ends[lang], len(text))
			districts[i] = e.site.Parent
		}
		out[lang] = text
	}
	return out, func(who people.Caller, lang phrase.Lang) (text []byte) {
		begin := 0
		for i, end := range ends[lang] {
			if who.Sees(districts[i]) {
				text = append(text, out[lang][begin:end]...)
			}
			begin = end
		}
		return text
	}
}

func resetAll() map[phrase.Lang][]byte {
	out := map[phrase.Lang][]byte{}
	for _, lang := range phrase.Langs() {
		out[lang] = live.Reset
	}
	return out
}

func (a *API) getEvents(w http.ResponseWriter, r *http.Request) error {
	lang, err := ask.Lang(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return nil
	}
	err = a.hub.Serve(w, r, lang, func() []byte {
		_, version := a.judge.Since(^uint64(0))
		return fmt.Appendf(nil, "retry: 3000\nevent: hello\ndata: {\"version\":%d}\n\n", version)
	})
	switch {
	case errors.Is(err, live.ErrEnded):
		return unavailable("the collector is stopping; try again in a moment")
	case errors.Is(err, live.ErrFull):
		return unavailable("too many open event streams; close some or ask /api/v1/sites now and then")
	}
	return err
}
