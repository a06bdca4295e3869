package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/probes"
	"communewatch/probes/webrtc/call"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/reflector"
	"communewatch/probes/webrtc/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-of-the-tests"

// far is a reflector that can be taken away.
type far struct {
	url   string
	inner http.Handler
	halt  func() // the reflector, but not its door
	stop  func()
}

func newFar(t *testing.T, limits reflector.Limits) *far {
	t.Helper()
	limits.CPU, limits.Residence, limits.Connect = 100, time.Hour, time.Minute // however busy the machine is
	r, err := reflector.Open(reflector.Options{Media: "127.0.0.1:0", Tokens: []string{token}, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	s := httptest.NewServer(r.Handler())
	f := &far{url: s.URL + reflector.EchoPath, inner: r.Handler(), halt: func() { cancel(); <-done }}
	f.stop = sync.OnceFunc(func() {
		s.Close()
		f.halt()
		r.Close()
	})
	t.Cleanup(f.stop)
	return f
}

func spec(t *testing.T, url, profile string, d time.Duration) call.Spec {
	t.Helper()
	p, ok := media.Named(profile)
	if !ok {
		t.Fatalf("no profile %q", profile)
	}
	return call.Spec{Address: url, Service: call.Auto, Token: token, Path: probes.PathLAN, Profile: p, Duration: d, Data: true, Timeout: 30 * time.Second}
}

// tell prints a report when a test fails.
func tell(t *testing.T, c *report.Call) {
	t.Cleanup(func() {
		if t.Failed() {
			j, _ := json.MarshalIndent(c, "", " ")
			t.Logf("%s", j)
		}
	})
}

func flowOf(t *testing.T, c *report.Call, d probes.Direction, m probes.Media) report.Flow {
	t.Helper()
	for _, f := range c.Flows {
		if f.Direction == d && f.Media == m {
			return f
		}
	}
	t.Fatalf("no flow %s %s", d, m)
	return report.Flow{}
}

// good fails if a call went wrong for another reason than a busy machine.
func good(t *testing.T, err error) {
	t.Helper()
	if o := probes.OutcomeOf(err); o != probes.OutcomeOK && o != probes.OutcomeOverloaded {
		t.Fatalf("%v: %v", o, err)
	}
}

// dropped says whether packets were lost because a starved machine did not read them in time.
func dropped(c *report.Call) bool {
	return c.Agent.Dropped != nil && *c.Agent.Dropped > 0 || c.Reflector != nil && c.Reflector.Dropped != nil && *c.Reflector.Dropped > 0
}

func TestAPerfectLineReadsPerfect(t *testing.T) {
	f := newFar(t, reflector.Limits{})
	started := false
	c, err := call.Run(t.Context(), spec(t, f.url, "360p", 3*time.Second), func() { started = true })
	tell(t, c)
	good(t, err)
	if !started || c.Service != call.Reflector || c.Transport != "udp" || c.Profile != "360p" {
		t.Errorf("started %v, service %q over %q, profile %q", started, c.Service, c.Transport, c.Profile)
	}
	if len(c.Flows) != 4 {
		t.Errorf("%d flows, want audio and video each way", len(c.Flows))
	}
	for _, fl := range c.Flows {
		if dropped(c) {
			continue // not by the loopback
		}
		if fl.Lost != 0 || fl.Received != fl.Sent || fl.Duplicates != 0 || fl.Reordered != 0 || fl.LossRuns != 0 {
			t.Errorf("%s %s: %d of %d lost, %d duplicates, %d reordered on a loopback", fl.Direction, fl.Media, fl.Lost, fl.Sent, fl.Duplicates, fl.Reordered)
		}
	}
	// One packet every 20 ms and three every 33: counts are exact but where the machine did not let the test run.
	if len(c.Limits) == 0 {
		if a := flowOf(t, c, probes.DirectionUp, probes.MediaAudio); a.Sent != 150 {
			t.Errorf("%d packets of audio in 3 s, want 150", a.Sent)
		}
		if v := flowOf(t, c, probes.DirectionUp, probes.MediaVideo); *v.Frames < 90 || *v.Frames > 91 || v.Sent != 3**v.Frames {
			t.Errorf("%d packets, %d frames of video in 3 s", v.Sent, *v.Frames)
		}
	}
	p := c.Phases
	if p.Signalling == nil || p.ICE == nil || p.DTLS == nil || p.FirstMedia == nil || p.Setup == nil || *p.Setup <= *p.Signalling {
		t.Errorf("phases %+v", p)
	}
	if c.RTT == nil || c.RTT.Median <= 0 || c.RTT.Max < c.RTT.Median || c.Data == nil || c.Data.Lost != 0 && len(c.Limits) == 0 || c.Data.Sent < 5 || c.Data.RTT == nil {
		t.Errorf("rtt %+v, data channel %+v", c.RTT, c.Data)
	}
	if a := c.Agent; a.SendWait <= 0 || runtime.GOOS == "linux" && (a.Queue == nil || a.Dropped == nil) {
		t.Errorf("what the agent took: %+v", a)
	}
	if c.Reflector == nil || c.Reflector.Residence == nil || c.Reflector.Sessions != 1 || c.Foreign != 0 || c.Agent.SendErrors != 0 {
		t.Errorf("reflector %+v, foreign %d, agent %+v", c.Reflector, c.Foreign, c.Agent)
	}
	if c.Quality == nil || c.Quality.Audio == nil || c.Quality.Video == nil || c.Quality.Grade == "" {
		t.Errorf("quality %+v", c.Quality)
	}
}

func TestARampOverAPerfectLineIsClimbedToTheBudget(t *testing.T) {
	f := newFar(t, reflector.Limits{})
	s := spec(t, f.url, "audio", 3*time.Second)
	s.Steps, s.StepFor, s.BudgetBPS = []int{200_000, 400_000, 4_000_000}, time.Second, 1_000_000
	var c *report.Call
	for range 4 { // a machine that is busy with other tests makes steps late, and says so or not
		var err error
		c, err = call.Run(t.Context(), s, nil)
		good(t, err)
		if c.Ramp == nil {
			t.Fatal("no ramp")
		}
		if c.Ramp.End == "budget" {
			break
		}
	}
	tell(t, c)
	if c.Ramp.End == "pacing" {
		t.Skip("this machine is too busy to send on time")
	}
	if c.Ramp.BPS != 400_000 || c.Ramp.End != "budget" || len(c.Ramp.Steps) != 2 {
		t.Errorf("ramp %+v", c.Ramp)
	}
	if len(c.Flows) != 2 {
		t.Errorf("%d flows: the ramp's are to be left out", len(c.Flows))
	}
}

func TestAReflectorThatDiesLeavesWhatWasMeasured(t *testing.T) {
	f := newFar(t, reflector.Limits{})
	s := spec(t, f.url, "low", 3*time.Second)
	c, err := call.Run(t.Context(), s, func() { time.AfterFunc(2*time.Second, f.stop) })
	tell(t, c)
	if o := probes.OutcomeOf(err); o == probes.OutcomeOK || o.Own() {
		t.Errorf("%v: %v, want the far end's trouble", o, err)
	}
	up, down := flowOf(t, c, probes.DirectionUp, probes.MediaAudio), flowOf(t, c, probes.DirectionDown, probes.MediaAudio)
	if up.Received == 0 || down.Received == 0 || c.RTT == nil {
		t.Errorf("up %+v down %+v", up, down)
	}
	if c.Quality != nil {
		t.Errorf("a call that broke off was graded: %+v", c.Quality)
	}
	if c.Data != nil {
		t.Errorf("messages of a call that broke off were counted: %+v", c.Data)
	}
	if !dropped(c) && (up.Lost != 0 || down.Lost != 0) {
		t.Errorf("lost %d up and %d down of what was told of", up.Lost, down.Lost)
	}
}

func TestACallThatIsCutShortEndsInGoodOrder(t *testing.T) {
	f := newFar(t, reflector.Limits{Sessions: 1})
	ctx, cancel := context.WithCancel(t.Context())
	c, err := call.Run(ctx, spec(t, f.url, "low", time.Minute), func() { time.AfterFunc(2*time.Second, cancel) })
	tell(t, c)
	if probes.OutcomeOf(err) != probes.OutcomeCanceled {
		t.Errorf("err = %v", err)
	}
	if a := flowOf(t, c, probes.DirectionUp, probes.MediaAudio); a.Received == 0 || c.MediaSeconds > 30 {
		t.Errorf("%+v after %v s", a, c.MediaSeconds)
	}
	// The reflector, which takes one call, was told: the next one is taken.
	_, err = call.Run(t.Context(), spec(t, f.url, "low", 3*time.Second), nil)
	good(t, err)
}

func TestRefusals(t *testing.T) {
	f := newFar(t, reflector.Limits{Sessions: 1})
	gone := newFar(t, reflector.Limits{})
	gone.stop()
	garbage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/sdp")
		w.WriteHeader(201)
		w.Write([]byte("v=0\r\nm=audio 9 \x00\x01 nonsense"))
	}))
	t.Cleanup(garbage.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)

	busy := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		call.Run(ctx, spec(t, f.url, "low", time.Minute), func() { close(busy) })
	}()
	defer func() { cancel(); <-over }()
	select {
	case <-busy:
	case <-time.After(time.Minute):
		t.Fatal("the first call was not taken")
	}
	for name, c := range map[string]struct {
		url     string
		change  func(*call.Spec)
		outcome probes.Outcome
		says    string
	}{
		"full":          {f.url, nil, probes.OutcomeBusy, "takes no call now"},
		"wrong token":   {f.url, func(s *call.Spec) { s.Token = "wrong" }, probes.OutcomeBadConfig, "token"},
		"no token":      {f.url, func(s *call.Spec) { s.Token = "" }, probes.OutcomeBadConfig, "set token_file or token"},
		"off":           {gone.url, nil, probes.OutcomeRefused, "refused"},
		"garbage":       {garbage.URL, nil, probes.OutcomeFailed, "session description"},
		"no reflector":  {garbage.URL, func(s *call.Spec) { s.Service = call.Reflector }, probes.OutcomeFailed, "no reflector"},
		"not there":     {plain.URL, nil, probes.OutcomeFailed, "nothing at this URL"},
		"no janus":      {plain.URL + "/janus", nil, probes.OutcomeFailed, "nothing at this URL"},
		"no such name":  {"http://nowhere.invalid/whip/echo", nil, probes.OutcomeUnresolved, "nowhere.invalid"},
		"no such card":  {f.url, func(s *call.Spec) { s.Device = "nocard0" }, probes.OutcomeUnbound, "nocard0"},
		"not an URL":    {"10.1.2.3", nil, probes.OutcomeBadConfig, "want the URL"},
		"bad authority": {f.url, func(s *call.Spec) { s.CA = []byte("x") }, probes.OutcomeBadConfig, "ca_file"},
	} {
		s := spec(t, c.url, "audio", 3*time.Second)
		if c.change != nil {
			c.change(&s)
		}
		rep, err := call.Run(t.Context(), s, func() { t.Errorf("%s: media were sent", name) })
		if o := probes.OutcomeOf(err); o != c.outcome || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v: %v\nwant %v and %q", name, o, err, c.outcome, c.says)
		}
		if rep == nil || len(rep.Flows) != 0 || rep.Quality != nil {
			t.Errorf("%s: report %+v", name, rep)
		}
	}
}

// A figure for the docs: COMMUNEWATCH_FIGURES=1 go test -run Figures -v
func TestFigures(t *testing.T) {
	if os.Getenv("COMMUNEWATCH_FIGURES") == "" {
		t.Skip("COMMUNEWATCH_FIGURES is not set")
	}
	f := newFar(t, reflector.Limits{})
	c, err := call.Run(t.Context(), spec(t, f.url, "720p", 15*time.Second), nil)
	j, _ := json.MarshalIndent(c, "", " ")
	t.Logf("%v\n%s", err, j)
}

func TestNothingComesFromAnotherCall(t *testing.T) {
	// Whoever echoes packets of a call that is not ours is not believed.
	f := newFar(t, reflector.Limits{})
	lying := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := http.NewRequest(r.Method, strings.TrimSuffix(f.url, reflector.EchoPath)+r.URL.Path, r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		to.Header = r.Header
		resp, err := http.DefaultTransport.RoundTrip(to)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		if r.Method == http.MethodPost {
			w.Header().Set("Communewatch-Session", "00000000000000aa")
		}
		w.WriteHeader(resp.StatusCode)
		buf := make([]byte, 64<<10)
		for {
			n, err := resp.Body.Read(buf)
			w.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}))
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	t.Cleanup(lying.Close)
	c, err := call.Run(t.Context(), spec(t, lying.URL+reflector.EchoPath, "audio", 3*time.Second), nil)
	tell(t, c)
	if probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("err = %v, want that no media came through", err)
	}
	if c.Foreign == 0 {
		t.Error("the reflector counted no foreign packets")
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		t.Error("that was the resolver")
	}
}
