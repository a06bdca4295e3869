package doors

import (
	"io"
	"net/http"
	"time"

	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/work"
)

// Where agents ask for releases, and where calls are made.
const (
	releasePath = "/api/agent/v1/release"
	callPath    = "/whip/"
)

// Routes are the handlers behind the port. A handler that is nil is not there.
type Routes struct {
	// The agents' side. Each handler finds out itself who sends a request.
	Ingest    http.Handler // the write API, and whether it works
	Orders    http.Handler
	Enroll    http.Handler // certificates and presence
	Work      http.Handler
	Releases  http.Handler
	Reflector http.Handler

	// The humans' side. People is in front of all of it: it finds out who sends a request and what they may do.
	API    http.Handler
	Web    http.Handler
	People func(http.Handler) http.Handler
}

// Handler sends each request to its door.
func (r Routes) Handler() http.Handler {
	mux := http.NewServeMux()
	to := func(h http.Handler, paths ...string) {
		if h == nil {
			return
		}
		for _, p := range paths {
			mux.Handle(p, h)
		}
	}
	to(r.Ingest, "/api/v2/", "/write", "/ping", "/health")
	to(r.Orders, "/api/agent/")
	to(r.Enroll, enroll.Path, enroll.RenewPath, enroll.TrustPath, presence.Path)
	to(r.Work, work.Path)
	to(r.Releases, releasePath, releasePath+"/")
	to(r.Reflector, callPath)
	people := func(h http.Handler) http.Handler { return timed(r.People(h)) }
	to(people(r.API), "/api/v1/", "/metrics")
	to(people(r.Web), "/")
	return mux
}

// A body that people send has bodyTime to arrive, and longer by the time that its bytes take at bodyRate bytes a second,
// up to maxBodyTime.
const (
	bodyTime    = 30 * time.Second
	bodyRate    = 16 << 10
	maxBodyTime = 5 * time.Minute
)

// timed gives bodies a time to arrive. The agents' handlers have limits of their own.
func timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && r.Body != nil {
			limit := maxBodyTime
			if r.ContentLength > 0 {
				limit = min(bodyTime+time.Duration(min(r.ContentLength, 1<<30)/bodyRate)*time.Second, maxBodyTime)
			}
			control := http.NewResponseController(w)
			// A server without deadlines, as in tests, has no slow clients either.
			_ = control.SetReadDeadline(time.Now().Add(limit))
			r.Body = &timedBody{r.Body, func() { _ = control.SetReadDeadline(time.Time{}) }}
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody calls arrived when it was read to its end: from then on the server reads on only to notice that the client
// is gone, which takes as long as it takes.
type timedBody struct {
	io.ReadCloser
	arrived func()
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.arrived()
	}
	return n, err
}
