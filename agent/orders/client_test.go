package orders

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"communewatch/agent/ship"
	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// centre is a collector without sockets, with one or more addresses.
type centre struct {
	t     *testing.T
	begin time.Time

	mu      sync.Mutex // guards the fields below
	down    map[string]bool
	answer  map[string]func(*http.Request) *http.Response // of an address that is no collector
	refuse  int                                           // status of the answer to reports; 0: they are taken
	line    *io.PipeWriter                                // of the newest channel
	opened  []string                                      // when and where channels were opened
	tried   []string
	reports []string
	results int
}

func newCentre(t *testing.T) *centre {
	return &centre{t: t, begin: time.Now(), down: map[string]bool{}, answer: map[string]func(*http.Request) *http.Response{}}
}

func (c *centre) since() time.Duration { return time.Since(c.begin).Round(time.Second) }

func respond(status int, kind string, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body)}
}

func (c *centre) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	host := req.URL.Host
	if req.Method == http.MethodGet {
		c.tried = append(c.tried, fmt.Sprint(host, " ", c.since()))
	}
	if c.down[host] {
		return nil, errors.New("connection refused")
	}
	if f := c.answer[host]; f != nil {
		return f(req), nil
	}
	if req.Header.Get("Authorization") != "Bearer secret" || req.Header.Get(wire.HeaderAgent) != "pc" {
		c.t.Errorf("a request with %v", req.Header)
	}
	switch req.Method + " " + req.URL.Path {
	case "GET " + orders.Path:
		r, w := io.Pipe()
		context.AfterFunc(req.Context(), func() { r.CloseWithError(req.Context().Err()) })
		c.line = w
		c.opened = append(c.opened, fmt.Sprint(host, " ", c.since()))
		resp := respond(200, orders.ContentType, nil)
		resp.Body = r
		return resp, nil
	case "POST " + orders.ReportPath:
		data, _ := io.ReadAll(req.Body)
		rep, err := orders.ReadReport(data)
		if err != nil {
			c.t.Errorf("%s: %v", data, err)
		}
		text := fmt.Sprint(c.since(), " ", rep.Order, " ", rep.Phase)
		for _, more := range []string{rep.Outcome, rep.Reason} {
			if more != "" {
				text += " " + more
			}
		}
		if rep.Result != nil {
			c.results++
		}
		c.reports = append(c.reports, text)
		status := 204
		if c.refuse != 0 {
			status = c.refuse
		}
		resp := respond(status, "application/json", strings.NewReader("{}"))
		resp.Header.Set(wire.HeaderReceivedAt, "1")
		return resp, nil
	}
	c.t.Errorf("%s %s", req.Method, req.URL)
	return respond(404, "text/plain", strings.NewReader("")), nil
}

// write writes to the open channel, and lets the client do what it can about it.
func (c *centre) write(text string) {
	c.mu.Lock()
	w := c.line
	c.mu.Unlock()
	_, _ = io.WriteString(w, text) // the channel may have ended
	synctest.Wait()
}

func (c *centre) tell(o orders.Order) {
	line, err := orders.AppendLine(nil, &o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(string(line))
}

// pass lets time pass with heartbeats.
func (c *centre) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			synctest.Wait()
			return
		}
		time.Sleep(min(left, 10*time.Second))
		synctest.Wait()
		c.write("\n")
	}
}

func (c *centre) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// channels lists where and when channels were opened.
func (c *centre) channels() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.opened)
}

// cut ends the open channel.
func (c *centre) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line.Close()
}

// take returns and forgets what was reported.
func (c *centre) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := strings.Join(c.reports, "; ")
	c.reports = nil
	return got
}

func (c *centre) expect(want string) {
	c.t.Helper()
	if got := c.take(); got != want {
		c.t.Errorf("reported\n%s\nwant\n%s", got, want)
	}
}

// office is what a client calls with.
type office struct {
	mu    sync.Mutex
	calls []string
	begin time.Time
	setup time.Duration
	res   Result
}

func (f *office) caller(name string) Caller {
	return Caller{Check: name, Path: probes.PathDedicated, Spare: 10 * time.Second, Call: func(ctx context.Context, c orders.Call, started func()) Result {
		f.mu.Lock()
		f.calls = append(f.calls, fmt.Sprint(time.Since(f.begin).Round(time.Second), " ", name, " ", c.Profile.Name))
		f.mu.Unlock()
		wait(ctx, f.setup)
		if ctx.Err() == nil {
			started()
		}
		wait(ctx, time.Duration(c.Duration))
		if ctx.Err() != nil {
			return Result{Outcome: probes.OutcomeCanceled, Reason: "canceled", Call: &report.Call{}}
		}
		return f.res
	}}
}

func (f *office) made() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, ", ")
}

// start runs a client in a bubble until the test ends.
func start(t *testing.T, hosts []string, f *office, gate *Gate, checks ...string) *centre {
	c := newCentre(t)
	f.begin = c.begin
	if gate == nil {
		gate = NewGate(nil, time.Now)
	}
	o := Options{Agent: "pc", Gate: gate, MaxBPS: 6e6, Log: slog.New(slog.DiscardHandler),
		transport: func(ship.Collector) (http.RoundTripper, error) { return c, nil }}
	for _, h := range hosts {
		o.Collectors = append(o.Collectors, ship.Collector{URL: "https://" + h, Token: "secret"})
	}
	for _, check := range checks {
		o.Callers = append(o.Callers, f.caller(check))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	client := New(o)
	go func() { done <- client.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return c
}

func seconds(s float64) orders.Seconds { return orders.Seconds(s * float64(time.Second)) }

var p360 = orders.Profile{Name: "360p", AudioBPS: 32_000, VideoBPS: 600_000, FPS: 30}

func callOf(id string, in, length float64) orders.Order {
	return orders.Order{ID: id, Kind: orders.KindCall, Expires: seconds(in + 5), Call: &orders.Call{StartIn: seconds(in), Duration: seconds(length), Profile: p360}}
}

func stopOf(id, of string) orders.Order {
	return orders.Order{ID: id, Kind: orders.KindStop, Expires: seconds(30), Stop: of}
}

func holdOf(id string, d float64) orders.Order {
	return orders.Order{ID: id, Kind: orders.KindHold, Expires: seconds(30), Hold: &orders.Hold{For: seconds(d), Note: "Họp tỉnh"}}
}

// bubble runs a test in a bubble whose cleanups, which wait for the client, run inside it.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestCallIsMadeOnceAndReportedStepByStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &office{setup: time.Second, res: Result{Outcome: probes.OutcomeOK, Proof: probes.ProofProved, Call: &report.Call{Profile: "360p"}}}
		c := start(t, []string{"hub"}, f, nil, "first", "second")
		o := callOf("r1", 20, 15)
		o.Call.Check = "second"
		c.tell(o)
		c.expect("0s r1 accepted")
		c.tell(o) // the line blinked, and the collector tells again
		c.expect("0s r1 accepted")
		c.pass(20 * time.Second)
		c.expect("")
		c.pass(time.Second)
		c.expect("21s r1 started")
		c.pass(15 * time.Second)
		c.expect("36s r1 done ok")
		c.tell(o)
		c.expect("36s r1 done ok")
		c.pass(time.Hour)
		if got := f.made(); got != "20s second 360p" || c.results != 2 { // nothing runs any more
			t.Errorf("calls made: %q, results %d", got, c.results)
		}
	})
}

func TestWhatMayNotBeIsRefusedWithItsReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, []string{"hub"}, &office{}, nil)
		c.tell(callOf("r1", 0, 15))
		c.expect("0s r1 refused the agent's settings have no check of kind webrtc to call with")
	})
	bubble(t, func(t *testing.T) {
		at := time.Now() // where bubbles begin: midnight UTC, 07:00 in Vietnam
		m, err := ParseMeeting(nil, at.Add(10*time.Minute).UTC().Format(time.RFC3339), at.Add(time.Hour).UTC().Format(time.RFC3339), "", "Giao ban")
		if err != nil {
			t.Fatal(err)
		}
		f := &office{res: Result{Outcome: probes.OutcomeFailed, Reason: "no answer", Call: nil}}
		c := start(t, []string{"hub"}, f, NewGate(Meetings{m}, time.Now), "hub")
		unknown, fat, odd := callOf("r1", 0, 15), callOf("r2", 0, 15), callOf("r3", 0, 15)
		unknown.Call.Check = "elsewhere"
		fat.Call.Profile.VideoBPS = 7_000_000
		odd.Call.Profile.AudioBPS = 100
		c.tell(unknown)
		c.expect("0s r1 refused the agent's settings have no check of kind webrtc called elsewhere")
		c.tell(fat)
		if got := c.take(); !strings.Contains(got, "r2 refused") || !strings.Contains(got, "orders.max_kbps") {
			t.Errorf("got %q", got)
		}
		c.tell(odd)
		if got := c.take(); !strings.Contains(got, "r3 refused") || !strings.Contains(got, "audio of 100") {
			t.Errorf("got %q", got)
		}
		c.tell(callOf("r4", 5, 10))
		c.tell(callOf("r5", 5, 10))
		c.expect("0s r4 accepted; 0s r5 refused another ordered call is planned or under way")
		c.pass(20 * time.Second)
		c.expect("5s r4 started; 15s r4 done failed no answer")
		c.pass(8 * time.Minute)
		c.tell(callOf("r6", 30, 61)) // with its spare, a second into the meeting
		c.expect("8m20s r6 refused not run: a meeting is on, or near, by the agent's settings (Giao ban)")
		c.pass(2 * time.Hour)
		c.tell(callOf("r7", 0, 1))
		c.tell(holdOf("h", 600))
		c.pass(time.Second)
		c.tell(callOf("r8", 0, 1))
		if got := c.take(); !strings.Contains(got, "r7 done held") || !strings.Contains(got, "h done ok") ||
			!strings.Contains(got, "r8 refused not run: a meeting is on by the collector's word, for another 9m59s (Họp tỉnh)") {
			t.Errorf("got %q", got)
		}
		c.tell(holdOf("h2", 0))
		c.tell(callOf("r9", 0, 1))
		c.pass(time.Second)
		if got := c.take(); !strings.Contains(got, "r9 done failed") {
			t.Errorf("after the hold: %q", got)
		}
	})
}

func TestCallsTakeHalfOfAnHourAtMost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &office{}
		c := start(t, []string{"hub"}, f, nil, "hub")
		for i := range 16 {
			c.tell(callOf(fmt.Sprint("r", i), 0, 120))
			c.pass(2 * time.Minute)
		}
		if got := c.take(); strings.Count(got, "done ok") != 15 || !strings.Contains(got, "r15 refused ordered calls took 30m0s of the last hour") {
			t.Errorf("got %q", got)
		}
		c.pass(time.Hour)
		c.tell(callOf("later", 0, 120))
		c.pass(time.Second)
		if got := c.take(); !strings.Contains(got, "later started") {
			t.Errorf("an hour later: %q", got)
		}
	})
}

// Calls that fail at once take no line, but a process each, and the hub's time.
func TestShortCallsAreBoundedToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &office{res: Result{Outcome: probes.OutcomeRefused, Reason: "refused"}}
		c := start(t, []string{"hub"}, f, nil, "hub")
		for i := range 200 {
			c.tell(callOf(fmt.Sprint("r", i), 0, 1))
			c.pass(time.Second)
		}
		if got := c.take(); strings.Count(got, "done refused") != 180 || !strings.Contains(got, "r180 refused ordered calls took 30m0s of the last hour") {
			t.Errorf("%d calls in 200 s: %q", strings.Count(got, "done refused"), got[max(0, len(got)-300):])
		}
	})
}

// What rides along with the media takes of the line too.
func TestWholeCallKeepsToTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, []string{"hub"}, &office{}, nil, "hub") // it may take 6 Mbit/s
		o := callOf("r1", 0, 1)
		for o.Call.Profile.VideoBPS = 5_000_000; media.WireBPS(o.Call.Profile) < 5_990_000; {
			o.Call.Profile.VideoBPS += 1000
		}
		if bps := media.WireBPS(o.Call.Profile); bps > 6_000_000 {
			t.Fatalf("the media alone take %v", bps)
		}
		c.tell(o)
		if got := c.take(); !strings.Contains(got, "r1 refused the call would take 602") || !strings.Contains(got, "allow 6000 (orders.max_kbps)") {
			t.Errorf("got %q", got)
		}
	})
}

func TestStopEndsTheCallAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &office{}
		c := start(t, []string{"hub"}, f, nil, "hub")
		c.tell(callOf("r1", 1, 60))
		c.pass(10 * time.Second)
		c.tell(stopOf("s1", "r0"))
		c.expect("0s r1 accepted; 1s r1 started; 10s s1 done ok")
		c.tell(stopOf("s2", "r1"))
		if got := c.take(); got != "10s s2 done ok; 10s r1 done canceled stopped by order" && got != "10s r1 done canceled stopped by order; 10s s2 done ok" {
			t.Errorf("got %q", got)
		}
		c.tell(callOf("r2", 60, 60)) // stopped before it begins
		c.pass(10 * time.Second)
		c.tell(stopOf("s3", ""))
		c.pass(time.Minute)
		if got := c.take(); !strings.Contains(got, "20s r2 done canceled stopped by order") || f.made() != "1s hub 360p" {
			t.Errorf("got %q, calls %q", got, f.made())
		}
	})
}

// A scheduled test makes way for the call in time, and none begins until the call is over.
func TestScheduleMakesWayForTheCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := NewGate(nil, time.Now)
		f := &office{}
		c := start(t, []string{"hub"}, f, gate, "hub")
		ctx, leave, err := gate.Test(t.Context(), 30*time.Second, 0)
		if err != nil {
			t.Fatal(err)
		}
		var ended time.Duration
		context.AfterFunc(ctx, func() {
			ended = c.since()
			time.Sleep(time.Second) // hangs up
			leave()
		})
		c.tell(callOf("r1", 20, 10))
		_, _, err = gate.Test(t.Context(), time.Second, 0)
		if probes.OutcomeOf(err) != probes.OutcomeHeld {
			t.Errorf("a test while a call is planned: %v", err)
		}
		c.pass(25 * time.Second)
		if ended != 17*time.Second || f.made() != "20s hub 360p" || probes.OutcomeOf(context.Cause(ctx)) != probes.OutcomeHeld {
			t.Errorf("the test ended after %v, by %v; calls %q", ended, context.Cause(ctx), f.made())
		}
		if _, _, err = gate.Test(t.Context(), time.Second, 0); probes.OutcomeOf(err) != probes.OutcomeHeld {
			t.Errorf("a test during a call: %v", err)
		}
		c.pass(10 * time.Second)
		_, leave, err = gate.Test(t.Context(), time.Second, 0)
		if err != nil {
			t.Fatalf("a test after the call: %v", err)
		}
		// One that does not end keeps the call from being begun in time.
		c.take()
		c.tell(callOf("r2", 5, 10))
		c.pass(20 * time.Second)
		if got := c.take(); !strings.Contains(got, "46s r2 refused it could not be begun in time") {
			t.Errorf("got %q", got)
		}
		leave()
	})
}

func TestSilentChannelIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, []string{"hub"}, &office{}, nil)
		c.pass(10 * time.Minute)
		if got := c.channels(); len(got) != 1 {
			t.Fatalf("with heartbeats: opened %v", got)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := c.channels(); len(got) != 2 {
			t.Errorf("after silence: opened %v", got)
		}
	})
}

// The addresses are tried in order at once, and then ever more seldom, once a minute at least.
func TestAddressesAreTriedInTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &office{}
		c := start(t, []string{"one", "two", "three"}, f, nil, "hub")
		c.set(func() { c.down["one"], c.down["three"] = true, true })
		c.cut() // one goes down
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := c.channels(); len(got) != 2 || !strings.HasPrefix(got[1], "two ") {
			t.Fatalf("opened %v", got)
		}
		c.tell(callOf("r1", 0, 60))
		c.set(func() { c.down["two"], c.tried = true, nil })
		c.cut() // mid-call
		time.Sleep(4 * time.Minute)
		c.set(func() {
			if n := len(c.tried); n < 9 || n > 60 {
				t.Errorf("tried %d times in four minutes: %v", n, c.tried)
			}
			c.down["three"] = false
		})
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if got := c.channels(); !strings.HasPrefix(got[len(got)-1], "three ") {
			t.Errorf("opened %v", got)
		}
		// The call went on to its end without a collector, and is reported by the address that is there.
		if got := c.take(); !strings.Contains(got, "r1 done ok") || f.made() == "" {
			t.Errorf("reported %q, calls %q", got, f.made())
		}
	})
}

func TestReportsAreGivenUpWhenTheyAreOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, []string{"hub"}, &office{}, nil, "hub")
		c.set(func() { c.refuse = 503 })
		c.tell(callOf("r1", 0, 10))
		c.pass(20 * time.Minute)
		got := c.take()
		if n := strings.Count(got, "r1"); n < 5 || n > 60 || strings.Contains(got, " 6m") || strings.Contains(got, "1m") && !strings.Contains(got, "done") {
			t.Errorf("got %q", got)
		}
		c.set(func() { c.refuse = 404 }) // a collector that was started anew knows nothing of it
		c.tell(callOf("r2", 0, 10))
		c.pass(20 * time.Minute)
		if got := c.take(); strings.Count(got, "r2") > 3 || strings.Count(got, "r2 done") != 1 {
			t.Errorf("got %q", got)
		}
	})
}

// Who is no collector gets nothing done: a portal, a redirect, garbage, a line without end.
func TestStrangersAreNotObeyed(t *testing.T) {
	line, _ := orders.AppendLine(nil, new(callOf("r1", 0, 10)))
	for name, answer := range map[string]func(*http.Request) *http.Response{
		"portal": func(*http.Request) *http.Response { return respond(200, "text/html", bytes.NewReader(line)) },
		"redirect": func(*http.Request) *http.Response {
			r := respond(302, orders.ContentType, bytes.NewReader(line))
			r.Header.Set("Location", "https://elsewhere/")
			return r
		},
		"denied": func(*http.Request) *http.Response { return respond(401, "application/json", strings.NewReader("{}")) },
		"garbage": func(*http.Request) *http.Response {
			return respond(200, orders.ContentType, strings.NewReader("\x00{}\n[]\n{\"id\":1}\n"))
		},
		"endless": func(*http.Request) *http.Response {
			return respond(200, orders.ContentType, io.MultiReader(strings.NewReader(strings.Repeat("{", 2*orders.MaxOrder)), bytes.NewReader(line)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := &office{}
				c := start(t, []string{"hub"}, f, nil, "hub")
				c.set(func() { c.answer["hub"] = answer })
				c.cut()
				time.Sleep(10 * time.Minute)
				c.set(func() {
					if n := len(c.tried); n < 8 || n > 60 {
						t.Errorf("tried %d times in ten minutes", n)
					}
				})
				if f.made() != "" {
					t.Errorf("made calls: %s", f.made())
				}
			})
		})
	}
}

// A flood of orders is read slowly, remembered in bounds, and does not lose the call that is under way.
func TestFloodOfOrdersIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &office{}
		c := start(t, []string{"hub"}, f, nil, "hub")
		c.tell(callOf("real", 30, 100))
		go func() {
			for i := range 1000 {
				line, _ := orders.AppendLine(nil, new(callOf(fmt.Sprint("flood", i), 0, 1)))
				c.mu.Lock()
				w := c.line
				c.mu.Unlock()
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}()
		time.Sleep(100 * time.Second)
		synctest.Wait()
		c.set(func() {
			if n := len(c.reports); n > 32+100*ordersPerSecond+10 {
				t.Errorf("%d orders were read in 100 s", n)
			}
		})
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if got := c.take(); !strings.Contains(got, "2m10s real done ok") || !strings.HasPrefix(f.made(), "30s hub 360p, 2m10s hub 360p") {
			at := strings.LastIndex(got, "real")
			t.Errorf("calls %q; the real one was last reported as %q", f.made(), got[max(0, at-10):at+40])
		}
	})
}

// So is a flood of signs of life: reading them would take the machine.
func TestFloodOfSignsOfLifeIsReadSlowly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, []string{"hub"}, &office{}, nil, "hub")
		c.mu.Lock()
		w := c.line
		c.mu.Unlock()
		read := 0
		for end := time.Now().Add(100 * time.Second); time.Now().Before(end); read++ {
			if _, err := w.Write([]byte("\n")); err != nil {
				t.Fatal(err)
			}
			if read > 10_000 {
				t.Fatal("they are read as fast as they come")
			}
		}
		if most := 100*ordersPerSecond + ordersBurst + 10; read > most {
			t.Errorf("%d were read in 100 s, want %d at most", read, most)
		}
	})
}

// What an agent measured may be odd; its report arrives all the same.
func TestOddResultIsReportedWithoutIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &office{res: Result{Outcome: probes.OutcomeOK, Reason: "line\nbreak", Call: &report.Call{Flows: []report.Flow{{LossRatio: 7}}}}}
		c := start(t, []string{"hub"}, f, nil, "hub")
		c.tell(callOf("r1", 0, 1))
		c.pass(time.Second)
		if got := c.take(); !strings.Contains(got, "r1 done ok the result can't be reported") || c.results != 0 {
			t.Errorf("got %q", got)
		}
	})
	big := &orders.Report{Order: "r", Phase: orders.PhaseDone, Outcome: "ok", Result: &report.Call{Limits: make([]string, 5000)}}
	for i := range big.Result.Limits {
		big.Result.Limits[i] = "a long remark"
	}
	text, err := encode(big)
	if err != nil || len(text) > orders.MaxReport || !json.Valid(text) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestClientWithoutCollectorDoesNotBegin(t *testing.T) {
	if err := New(Options{}).Run(t.Context()); err == nil {
		t.Error("it ran")
	}
	if err := New(Options{Collectors: []ship.Collector{{URL: "ftp://x"}}}).Run(t.Context()); err == nil {
		t.Error("it ran")
	}
}
