package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/rehearsal"
)

// A server lingers half a second over a connection whose request was too large.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// service answers what it is told to, and notes what it was asked.
type service struct {
	rehearsal.Service // panics where nothing is to be asked
	asked             any
	err               error
	events            chan rehearsal.Event
	cancelled         chan struct{}
}

func (s *service) Draft(_ context.Context, r rehearsal.Request) (rehearsal.Plan, error) {
	s.asked = r
	return rehearsal.Plan{Meeting: r.Meeting, Steps: []int{1}}, s.err
}

func (s *service) Start(_ context.Context, r rehearsal.Request) (rehearsal.ID, error) {
	s.asked = r
	return 12, s.err
}

func (s *service) Stop(_ context.Context, id rehearsal.ID, by string) error {
	s.asked = fmt.Sprint(id, by)
	return s.err
}

func (s *service) Status(_ context.Context, id rehearsal.ID) (rehearsal.Status, error) {
	s.asked = id
	return rehearsal.Status{Summary: rehearsal.Summary{ID: 3, State: rehearsal.StateRunning}, Step: 2}, s.err
}

func (s *service) Hold(_ context.Context, h rehearsal.Hold) (rehearsal.Hold, error) {
	s.asked = h
	h.Told = 136
	return h, s.err
}

func (s *service) Subscribe() (<-chan rehearsal.Event, func()) {
	return s.events, func() { close(s.cancelled) }
}

func open(t *testing.T, s *service) Client {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: Handler(s)}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", file)
	}}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
		<-done
	})
	return Client{client}
}

func TestWhatIsAskedArrives(t *testing.T) {
	s := &service{}
	c := open(t, s)
	at := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	r := rehearsal.Request{Meeting: "Giao ban", Steps: "10,all", VideoKbps: 500, FPS: 15, At: &at, Force: true}
	if p, err := c.Draft(t.Context(), r); err != nil || p.Meeting != "Giao ban" || !reflect.DeepEqual(s.asked, r) {
		t.Errorf("%+v %v, asked %+v", p, err, s.asked)
	}
	if id, err := c.Start(t.Context(), r); err != nil || id != 12 || !reflect.DeepEqual(s.asked, r) {
		t.Error(id, err)
	}
	if err := c.Stop(t.Context(), 7, "Lan"); err != nil || s.asked != "r7Lan" {
		t.Error(err, s.asked)
	}
	if st, err := c.Status(t.Context(), 3); err != nil || st.Step != 2 || st.State != rehearsal.StateRunning || s.asked != rehearsal.ID(3) {
		t.Error(st, err, s.asked)
	}
	if h, err := c.Hold(t.Context(), rehearsal.Hold{Meeting: "m", By: "Lan", For: 3 * time.Hour}); err != nil || h.Told != 136 || s.asked.(rehearsal.Hold).For != 3*time.Hour {
		t.Error(h, err, s.asked)
	}
}

func TestErrorsAreThemselves(t *testing.T) {
	for _, want := range []error{rehearsal.ErrRunning, rehearsal.ErrHeld, rehearsal.ErrUnknown, rehearsal.ErrNotRunning, rehearsal.ErrClosing} {
		c := open(t, &service{err: fmt.Errorf("r7: %w", want)})
		_, err := c.Start(t.Context(), rehearsal.Request{})
		if !errors.Is(err, want) || err.Error() != "r7: "+want.Error() {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	c := open(t, &service{err: &rehearsal.Refused{Problems: []rehearsal.Problem{{Field: "steps", Text: "too many", Force: true}}}})
	var refused *rehearsal.Refused
	if _, err := c.Start(t.Context(), rehearsal.Request{}); !errors.As(err, &refused) || !refused.Problems[0].Force {
		t.Error(err)
	}
	c = open(t, &service{err: errors.New("disk full")})
	if err := c.Stop(t.Context(), 1, ""); err == nil || err.Error() != "disk full" {
		t.Error(err)
	}
}

func TestBadRequests(t *testing.T) {
	c := open(t, &service{})
	for _, body := range []string{"", "{", `{"meting": "x"}`, `{"meeting": "` + strings.Repeat("x", maxRequest) + `"}`, `[]`} {
		resp, err := c.HTTP.Post("http://collector"+Prefix+"start", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%.20q: %s", body, resp.Status)
		}
	}
}

func TestWatching(t *testing.T) {
	s := &service{events: make(chan rehearsal.Event, 4), cancelled: make(chan struct{})}
	c := open(t, s)
	next, closer, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.events <- rehearsal.Event{Kind: rehearsal.EventStep, ID: 3, Step: 2, Sites: 34}
	if e, err := next(); err != nil || e.Kind != rehearsal.EventStep || e.Sites != 34 {
		t.Errorf("%+v %v", e, err)
	}
	close(s.events) // the collector stops
	if _, err := next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	closer()
	<-s.cancelled

	// A reader that goes away is noticed.
	s = &service{events: make(chan rehearsal.Event), cancelled: make(chan struct{})}
	c = open(t, s)
	_, closer, err = c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closer()
	<-s.cancelled
}

// A collector that is killed ends what is watched as one that stops does, in the middle of a line too.
func TestWatchingACollectorThatIsKilled(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, out, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = out.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"kind\":\r\n")
		_ = out.Flush()
		_ = conn.Close()
	}))
	defer server.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}
	defer transport.CloseIdleConnections()
	next, closer, err := Client{HTTP: &http.Client{Transport: transport}}.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closer()
	if _, err := next(); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
}
