package reflector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokens of tests.
const (
	shared = "0123456789abcdef"
	agent  = "agent-of-s08707" // known to Authenticate
)

const goodOffer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 00\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"

// fakeHub answers at once, and connects nobody by itself.
type fakeHub struct {
	mu    sync.Mutex // guards the fields below
	legs  []*fakeLeg
	err   error         // of answer
	block chan struct{} // not nil: answers wait for it
}

type fakeLeg struct {
	session  *session
	mu       sync.Mutex // guards the fields below
	echoed   []packet   // payloads copied
	messages []string
	closed   bool
	err      error // of echo
}

func (h *fakeHub) answer(ctx context.Context, offer string, s *session) (string, leg, error) {
	h.mu.Lock()
	err, block := h.err, h.block
	h.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
	if err != nil {
		return "", nil, err
	}
	l := &fakeLeg{session: s}
	h.mu.Lock()
	h.legs = append(h.legs, l)
	h.mu.Unlock()
	return "v=0\r\nanswer\r\n", l, nil
}

func (h *fakeHub) Close() error { return nil }

func (h *fakeHub) open() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.legs {
		if !l.isClosed() {
			n++
		}
	}
	return n
}

func (h *fakeHub) last() *fakeLeg {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.legs[len(h.legs)-1]
}

func (l *fakeLeg) echo(p packet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	p.payload = append([]byte(nil), p.payload...)
	l.echoed = append(l.echoed, p)
	return nil
}

func (l *fakeLeg) sendMessage(data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, string(data))
	return nil
}

func (l *fakeLeg) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

func (l *fakeLeg) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *fakeLeg) sent() []packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]packet(nil), l.echoed...)
}

// hand is a clock that stands still until it is moved.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func newHand() *hand { return &hand{now: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)} }

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) move(d time.Duration) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
	return h.now
}

// stand is a reflector with a fake hub.
type stand struct {
	*Reflector
	hub   *fakeHub
	clock *hand
	door  http.Handler
}

func newStand(t testing.TB, limits Limits) *stand {
	t.Helper()
	s := &stand{hub: &fakeHub{}, clock: newHand()}
	var err error
	s.Reflector, err = prepare(Options{
		Tokens: []string{shared}, Limits: limits, Now: s.clock.Now,
		Authenticate: func(_ *http.Request, token string) (Caller, error) {
			switch token {
			case "broken":
				return Caller{}, errBroken
			case "thrown-out":
				return Caller{}, fmt.Errorf("%w: it was thrown out", ErrRefused)
			case agent:
				return Caller{Name: "s08707", Agent: "s08707/pc", Sessions: 4}, nil
			}
			return Caller{}, ErrUnknown
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Reflector.hub = s.hub
	s.door = s.Handler()
	t.Cleanup(func() { s.Close() })
	return s
}

// request is one request, answered.
type request struct {
	method, path, token, kind, body, from string
	header                                map[string]string
}

func (s *stand) do(q request) *http.Response {
	r := httptest.NewRequest(q.method, q.path, strings.NewReader(q.body))
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.kind != "" {
		r.Header.Set("Content-Type", q.kind)
	}
	if q.from != "" {
		r.RemoteAddr = q.from
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	s.door.ServeHTTP(w, r)
	return w.Result()
}

func (s *stand) offer(token string) *http.Response {
	return s.do(request{method: "POST", path: EchoPath, token: token, kind: "application/sdp", body: goodOffer})
}

// call is an offer that must be taken; it returns the call's URL, and its leg, connected.
func (s *stand) call(t testing.TB, token string) (location string, l *fakeLeg) {
	t.Helper()
	resp := s.offer(token)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", resp.Status, text(resp))
	}
	l = s.hub.last()
	l.session.connected()
	return resp.Header.Get("Location"), l
}

func text(r *http.Response) string {
	b, _ := io.ReadAll(r.Body)
	return strings.TrimSpace(string(b))
}

var errBroken = errors.New("broken")
