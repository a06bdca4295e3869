package reflector

import (
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWHIP(t *testing.T) {
	s := newStand(t, Limits{})
	sdp := func(body string) request {
		return request{method: "POST", path: EchoPath, token: shared, kind: "application/sdp", body: body}
	}
	with := func(q request, change func(*request)) request { change(&q); return q }
	here, _ := s.call(t, shared)
	foreign, _ := s.call(t, agent)
	for _, c := range []struct {
		name   string
		in     request
		status int
		says   string            // in the body
		header map[string]string // "": must not be there
	}{
		{"an offer", sdp(goodOffer), 201, "answer", map[string]string{
			"Content-Type": "application/sdp", "Location": "/whip/echo/[0-9a-f]{32}", "Etag": `"[0-9a-f]{16}"`,
			"Communewatch-Session": "[0-9a-f]{16}", "Access-Control-Allow-Origin": `\*`, "Access-Control-Expose-Headers": ".*Location.*ETag.*"}},
		{"media type with a parameter", with(sdp(goodOffer), func(q *request) { q.kind = "Application/SDP; charset=utf-8" }), 201, "", nil},
		{"no token", with(sdp(goodOffer), func(q *request) { q.token = "" }), 401, "Authorization: Bearer", map[string]string{"Www-Authenticate": "Bearer .*", "Access-Control-Allow-Origin": `\*`}},
		{"wrong token", with(sdp(goodOffer), func(q *request) { q.token = "0123456789abcdeF" }), 401, "unknown token", map[string]string{"Www-Authenticate": "Bearer .*"}},
		{"tokens out of reach", with(sdp(goodOffer), func(q *request) { q.token = "broken" }), 503, "can't be looked up", map[string]string{"Retry-After": "10"}},
		{"an agent that was thrown out", with(sdp(goodOffer), func(q *request) { q.token = "thrown-out" }), 401, "it was thrown out", nil},
		{"other scheme", with(sdp(goodOffer), func(q *request) { q.token, q.header = "", map[string]string{"Authorization": "Basic " + shared} }), 401, "Bearer", nil},
		{"wrong media type", with(sdp(goodOffer), func(q *request) { q.kind = "application/json" }), 415, "application/sdp", map[string]string{"Accept-Post": "application/sdp"}},
		{"no media type", with(sdp(goodOffer), func(q *request) { q.kind = "" }), 415, "application/sdp", nil},
		{"empty", sdp(""), 400, "offer: the body is empty", nil},
		{"no SDP", sdp("v=0\r\nhello\r\n"), 400, `offer: line 2: "hello"`, nil},
		{"HTML", sdp("<html>"), 400, `offer: line 1: "<html>"`, nil},
		{"control characters", sdp("v=0\r\ns=\x00\r\n"), 400, "line 2: has the control character", nil},
		{"cut short", sdp(goodOffer[:100]), 400, "cut short", nil},
		{"no media", sdp("v=0\r\ns=-\r\n"), 400, "after line 2: no media section", nil},
		{"other media", sdp(strings.Replace(goodOffer, "m=audio", "m=image", 1)), 400, "line 6", nil},
		{"many sections", sdp(goodOffer + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", 8)), 400, "line 16: more than 8 media sections", nil},
		{"many lines", sdp(goodOffer + strings.Repeat("a=x\n", 3000)), 400, "line 2001: an offer has at most 2000 lines", nil},
		{"too large", sdp(goodOffer + strings.Repeat("a", maxBody)), 413, "larger than 65536 bytes", nil},
		{"GET", request{method: "GET", path: EchoPath, token: shared}, 405, "POST", map[string]string{"Allow": "POST, OPTIONS"}},
		{"PUT", request{method: "PUT", path: EchoPath, token: shared}, 405, "POST", nil},
		{"a page asks first", request{method: "OPTIONS", path: EchoPath}, 204, "", map[string]string{
			"Accept-Post": "application/sdp", "Access-Control-Allow-Methods": "POST, OPTIONS", "Access-Control-Allow-Headers": "Authorization, Content-Type.*"}},
		{"a page asks before it ends", request{method: "OPTIONS", path: here}, 204, "", map[string]string{"Access-Control-Allow-Methods": "DELETE, OPTIONS"}},
		{"trickle", request{method: "PATCH", path: here, token: shared, kind: "application/trickle-ice-sdpfrag"}, 405, "Trickle", map[string]string{"Allow": "DELETE, OPTIONS"}},
		{"GET a call", request{method: "GET", path: here, token: shared}, 405, "DELETE", nil},
		{"end without token", request{method: "DELETE", path: here}, 401, "", nil},
		{"end another's call", request{method: "DELETE", path: foreign, token: shared}, 404, "no such call", nil},
		{"end another call than meant", request{method: "DELETE", path: here, token: shared, header: map[string]string{"If-Match": `"0"`}}, 412, "ETag", nil},
		{"end with nonsense", request{method: "DELETE", path: here, token: shared, kind: "application/json", body: `{"streams":7}`}, 400, "body: ", nil},
		{"end with numbers below zero", request{method: "DELETE", path: here, token: shared, kind: "application/json", body: `{"streams":[{"sent":-1}]}`}, 400, "streams[0]: sent -1", nil},
		{"end with a year of media", request{method: "DELETE", path: here, token: shared, kind: "application/json", body: `{"media_seconds":3e7}`}, 400, "media_seconds", nil},
		{"end with many streams", request{method: "DELETE", path: here, token: shared, kind: "application/json", body: `{"streams":[{},{},{},{},{}]}`}, 400, "at most 3", nil},
		{"end", request{method: "DELETE", path: here, token: shared}, 200, `"ended":"caller"`, nil},
		{"end again", request{method: "DELETE", path: here, token: shared}, 404, "no such call", nil},
		{"end what never was", request{method: "DELETE", path: EchoPath + "/..%2fx", token: shared}, 404, "", nil},
		{"status without token", request{method: "GET", path: StatusPath}, 401, "", nil},
		{"status", request{method: "GET", path: StatusPath, token: agent}, 200, `"accepting":true`, nil},
		{"POST a status", request{method: "POST", path: StatusPath, token: agent}, 405, "GET", nil},
		{"elsewhere", request{method: "GET", path: "/whip/x", token: shared}, 404, "/whip/echo", nil},
	} {
		resp := s.do(c.in)
		body := text(resp)
		if resp.StatusCode != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %q, want %d with %q", c.name, resp.StatusCode, body, c.status, c.says)
		}
		for name, want := range c.header {
			if got := resp.Header.Get(name); !regexp.MustCompile("^" + want + "$").MatchString(got) {
				t.Errorf("%s: %s is %q, want %q", c.name, name, got, want)
			}
		}
	}
}

// What the hub finds wrong with an offer is the caller's fault; what breaks in the hub is not. Neither leaves a call.
func TestOffersThatCantBeAnsweredLeaveNothing(t *testing.T) {
	s := newStand(t, Limits{})
	for _, c := range []struct {
		err    error
		status int
	}{{badOffer{errBroken}, 400}, {errBroken, 500}} {
		s.hub.err = c.err
		if resp := s.offer(shared); resp.StatusCode != c.status {
			t.Errorf("%v: %d, want %d", c.err, resp.StatusCode, c.status)
		}
	}
	if st := s.Status(); st.Sessions != 0 || st.SettingUp != 0 || len(s.sessions) != 0 {
		t.Errorf("left behind: %+v", st)
	}
}

func TestGuessingIsSlowedDownAndHarmsNobodyElse(t *testing.T) {
	s := newStand(t, Limits{})
	try := func(token, from string) int {
		return s.do(request{method: "GET", path: StatusPath, token: token, from: from}).StatusCode
	}
	denied := 0
	for i := range 1000 {
		switch got := try(fmt.Sprintf("guess%d", i), "192.0.2.7:4000"); got {
		case 401:
			denied++
		case 429:
		default:
			t.Fatalf("guess %d: %d", i, got)
		}
	}
	if denied != guesses {
		t.Errorf("%d guesses were looked at, want %d", denied, guesses)
	}
	if got := try(shared, "192.0.2.7:4001"); got != 429 {
		t.Errorf("the right shared token after too many guesses: %d, want 429", got)
	}
	if got := try(agent, "192.0.2.7:4001"); got != 200 {
		t.Errorf("an agent behind the same address: %d, want 200", got)
	}
	if got := try(shared, "192.0.2.8:4000"); got != 200 {
		t.Errorf("another address: %d, want 200", got)
	}
	s.clock.move(time.Minute)
	if got := try(shared, "192.0.2.7:4001"); got != 200 {
		t.Errorf("a minute later: %d, want 200", got)
	}
	// From many addresses: what is remembered of them stays bounded.
	for i := range 3 * mostAddresses {
		try("guess", fmt.Sprintf("10.%d.%d.1:1", i/256, i%256))
	}
	if n := s.wrong.Len(); n > mostAddresses {
		t.Errorf("%d addresses are remembered, at most %d", n, mostAddresses)
	}
}

// refused counts answers by status, and wants a Retry-After with each 429 and 503.
func (s *stand) flood(t *testing.T, token string, n int) map[int]int {
	t.Helper()
	got := map[int]int{}
	for range n {
		resp := s.offer(token)
		got[resp.StatusCode]++
		if resp.StatusCode != 201 && resp.Header.Get("Retry-After") == "" {
			t.Fatalf("%d without Retry-After: %s", resp.StatusCode, text(resp))
		}
	}
	return got
}

func TestFloodsAreBounded(t *testing.T) {
	t.Run("of all", func(t *testing.T) {
		s := newStand(t, Limits{Sessions: 10_000, Handshakes: 10_000})
		if got := s.flood(t, shared, 1000); got[201] != offersBurst || got[503] != 1000-offersBurst {
			t.Errorf("%v, want %d taken", got, offersBurst)
		}
		s.clock.move(time.Second)
		if got := s.flood(t, shared, 1000); got[201] != offersPerSecond {
			t.Errorf("a second later %v, want %d taken", got, offersPerSecond)
		}
	})
	t.Run("of one token", func(t *testing.T) {
		s := newStand(t, Limits{})
		if got := s.flood(t, agent, 100); got[201] != 4 || got[429] != 96 {
			t.Errorf("%v, want 4 taken: the most that this token may have", got)
		}
		if got := s.flood(t, shared, 1); got[201] != 1 {
			t.Errorf("another token: %v", got)
		}
	})
	t.Run("setting up", func(t *testing.T) {
		s := newStand(t, Limits{Handshakes: 5})
		if got := s.flood(t, shared, 20); got[201] != 5 || got[503] != 15 {
			t.Errorf("%v, want 5 taken", got)
		}
		s.hub.legs[0].session.connected()
		if got := s.flood(t, shared, 2); got[201] != 1 {
			t.Errorf("one is connected: %v, want 1 taken", got)
		}
	})
	t.Run("being answered", func(t *testing.T) {
		s := newStand(t, Limits{})
		s.hub.block = make(chan struct{})
		most := answersAtOnce * runtime.GOMAXPROCS(0)
		var wg sync.WaitGroup
		for range most {
			wg.Go(func() {
				if resp := s.offer(shared); resp.StatusCode != 201 {
					t.Errorf("%d", resp.StatusCode)
				}
			})
		}
		for deadline := time.Now().Add(time.Minute); len(s.answers) < most; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("the offers do not get to the hub")
			}
		}
		if got := s.flood(t, shared, 1); got[503] != 1 {
			t.Errorf("%v", got)
		}
		close(s.hub.block)
		wg.Wait()
	})
}

// It turns calls away before it is too busy to measure, and says why.
func TestItRefusesBeforeItIsOverloaded(t *testing.T) {
	for _, c := range []struct {
		name string
		load func(*stand)
		says string
	}{
		{"sessions", func(s *stand) { s.flood(t, shared, 3) }, "3 calls at once are the most"},
		{"processors", func(s *stand) { s.setCPU(0.9) }, "90 % of the processors"},
		{"rate", func(s *stand) { s.downBPS.Store(500e6) }, "500 Mbit/s"},
		{"residence", func(s *stand) {
			for i := range 1000 {
				s.residence.Add(time.Duration(i%50) * 10 * time.Millisecond)
			}
		}, "packets stay"},
		{"stopping", func(s *stand) { s.Close() }, "stopping"},
	} {
		s := newStand(t, Limits{Sessions: 3})
		if got := s.offer(shared); got.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d before", c.name, got.StatusCode)
		}
		c.load(s)
		resp := s.offer(shared)
		if body := text(resp); resp.StatusCode != 503 || !strings.Contains(body, c.says) || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %q, want 503 with %q and Retry-After", c.name, resp.StatusCode, body, c.says)
		}
		if st := s.Status(); st.Accepting || !strings.Contains(st.Reason, c.says) {
			t.Errorf("%s: its status is %+v", c.name, st)
		}
	}
	s := newStand(t, Limits{})
	for range 50 {
		s.residence.Add(time.Second) // a few packets are no load
	}
	if !s.Status().Accepting {
		t.Error("few packets made it refuse")
	}
}

// Whatever is sent to the door, the answer is of HTTP, and soon.
func FuzzDoor(f *testing.F) {
	f.Add("POST", "/whip/echo", "application/sdp", "Bearer "+shared, goodOffer)
	f.Add("DELETE", "/whip/echo/1", "application/json", "Bearer "+shared, `{"streams":[{"stream":1,"media":"audio","sent":3}]}`)
	f.Add("PATCH", "/whip/echo/1", "", "", "")
	f.Add("GET", "/whip/status", "", "bearer  x", "")
	s := newStand(f, Limits{})
	methods := regexp.MustCompile("^[A-Z]{1,10}$")
	paths := regexp.MustCompile("^/[a-z0-9/]*$")
	f.Fuzz(func(t *testing.T, method, path, kind, auth, body string) {
		if !methods.MatchString(method) || !paths.MatchString(path) {
			t.Skip()
		}
		s.clock.move(time.Second)
		resp := s.do(request{method: method, path: path, kind: kind, body: body, header: map[string]string{"Authorization": auth}})
		if resp.StatusCode < 200 || resp.StatusCode >= 600 || resp.StatusCode == 500 {
			t.Errorf("%s %s: %d", method, path, resp.StatusCode)
		}
		s.tick(s.clock.Now())
	})
}
