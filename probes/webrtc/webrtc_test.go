package webrtc_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc"
	"communewatch/probes/webrtc/reflector"
	"communewatch/probes/webrtc/report"
)

// The tests' own program is the process of a call.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "be-the-call":
			if err := webrtc.Serve(os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "be-a-crash":
			panic("a packet of death")
		case "be-garbage":
			fmt.Println(`{"done":true,"call":{"flows":[{"sent":-5}],"phases":{"signalling_seconds":1}}}`)
			os.Exit(0)
		case "be-mute":
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

const token = "a-token-of-the-tests"

func newReflector(t *testing.T) string {
	t.Helper()
	r, err := reflector.Open(reflector.Options{Media: "127.0.0.1:0", Tokens: []string{token}, Limits: reflector.Limits{CPU: 100, Residence: time.Hour, Connect: time.Minute}}) // however busy the machine is
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	s := httptest.NewServer(r.Handler())
	t.Cleanup(func() { s.Close(); cancel(); <-done; r.Close() })
	return s.URL + reflector.EchoPath
}

func open(t *testing.T, url string, change func(*webrtc.Options)) *webrtc.Probe {
	t.Helper()
	o := webrtc.DefaultOptions()
	o.Token, o.Profile, o.Duration, o.Timeout = token, "low", 3*time.Second, time.Minute
	if change != nil {
		change(&o)
	}
	p, err := webrtc.New(probes.Target{Name: "call", Kind: probes.KindWebRTC, Address: url}, bind.Binding{Path: probes.PathLAN}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*webrtc.Probe)
}

func field(t *testing.T, points []probes.Point, key string) probes.Field {
	t.Helper()
	if len(points) == 0 {
		t.Fatal("no points")
	}
	f, ok := points[0].Field(key)
	if !ok {
		t.Fatalf("no field %s in %v", key, points[0].Fields)
	}
	return f
}

func good(t *testing.T, err error) {
	t.Helper()
	if o := probes.OutcomeOf(err); o != probes.OutcomeOK && o != probes.OutcomeOverloaded {
		t.Fatalf("%v: %v", o, err)
	}
}

func TestACallInAProcessOfItsOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, newReflector(t), func(o *webrtc.Options) { o.Token, o.TokenFile = "", file })
	p.RunIn([]string{os.Args[0], "be-the-call"})
	points, err := p.Probe(t.Context())
	good(t, err)
	if len(points) != 5 {
		t.Fatalf("%d points, want one of the call and four flows", len(points))
	}
	for key, want := range map[string]string{"service": "reflector", "profile": "low", "transport": "udp"} {
		if got := field(t, points, key).Str; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if rss := field(t, points, "agent_rss_bytes").Num; rss < 5<<20 {
		t.Errorf("the process had %v bytes of memory", rss)
	}
	if cpu := field(t, points, "agent_cpu_ratio").Num; cpu <= 0 {
		t.Errorf("the process used no processor")
	}
	t.Logf("%v", points[0].Fields)
	holdsToContract(t, points)

	// An ordered call tells when media flow, and needs no ramp.
	started := 0
	profile := orders.Profile{Name: "meeting", AudioBPS: 32_000, VideoBPS: 300_000, FPS: 15}
	points, c, err := p.Call(t.Context(), profile, 2*time.Second, func() { started++ })
	good(t, err)
	if started != 1 || !c.Rehearsal || c.Profile != "meeting" || field(t, points, "rehearsal").Num != 1 {
		t.Errorf("started %d times, call %+v", started, c)
	}
}

func TestWhatTheProcessDoesWrongIsOneFailedTest(t *testing.T) {
	for arg, says := range map[string]string{
		"be-a-crash": "panic: a packet of death",
		"be-garbage": "numbers that can't be",
		"be-mute":    "without a result",
	} {
		p := open(t, "http://127.0.0.1:1/whip/echo", nil)
		p.RunIn([]string{os.Args[0], arg})
		points, err := p.Probe(t.Context())
		if probes.OutcomeOf(err) != probes.OutcomePanic || !strings.Contains(err.Error(), says) || points != nil {
			t.Errorf("%s: %v, %d points", arg, err, len(points))
		}
	}
}

func TestErrorsOfTheProcessKeepTheirOutcome(t *testing.T) {
	p := open(t, newReflector(t), func(o *webrtc.Options) { o.Token = "wrong-token" })
	p.RunIn([]string{os.Args[0], "be-the-call"})
	points, err := p.Probe(t.Context())
	if probes.OutcomeOf(err) != probes.OutcomeBadConfig || !strings.Contains(err.Error(), "token") || len(points) != 0 {
		t.Errorf("%v: %v, points %v", probes.OutcomeOf(err), err, points)
	}
	if strings.Contains(err.Error(), "wrong-token") {
		t.Error("the error tells the token")
	}
}

func TestTwoCallsOfACheckDoNotMeasureEachOther(t *testing.T) {
	p := open(t, newReflector(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	var second error
	_, _, err := p.Call(ctx, p.Profile(), time.Minute, func() {
		_, second = p.Probe(ctx)
		cancel()
	})
	if probes.OutcomeOf(second) != probes.OutcomeHeld {
		t.Errorf("the second call: %v", second)
	}
	if probes.OutcomeOf(err) != probes.OutcomeCanceled {
		t.Errorf("the first call: %v", err)
	}
}

func TestWhatTheLineIsNotGivenForIsNotSent(t *testing.T) {
	p := open(t, "http://127.0.0.1:1/whip/echo", func(o *webrtc.Options) { o.LineKbps = 2000 })
	for name, c := range map[string]struct {
		profile orders.Profile
		d       time.Duration
		outcome probes.Outcome
		says    string
	}{
		"too much": {orders.Profile{Name: "big", AudioBPS: 32_000, VideoBPS: 2_000_000, FPS: 30}, time.Minute, probes.OutcomeHeld,
			"profile big takes 2148 kbit/s of the line each way, headers included; it may take 1000: share 0.5 of line_kbps 2000"},
		"nothing":  {orders.Profile{Name: "none"}, time.Minute, probes.OutcomeBadConfig, "neither audio nor video"},
		"no time":  {orders.Profile{Name: "short", AudioBPS: 32_000}, 0, probes.OutcomeBadConfig, "want 1s to 10m"},
		"too long": {orders.Profile{Name: "long", AudioBPS: 32_000}, time.Hour, probes.OutcomeBadConfig, "want 1s to 10m"},
	} {
		points, rep, err := p.Call(t.Context(), c.profile, c.d, nil)
		if probes.OutcomeOf(err) != c.outcome || !strings.Contains(err.Error(), c.says) || points != nil || rep != nil {
			t.Errorf("%s: %v: %v", name, probes.OutcomeOf(err), err)
		}
	}
}

func TestMistakesInOptions(t *testing.T) {
	kbps := func(v float64) *float64 { return &v }
	for want, change := range map[string]func(*webrtc.Options){
		"": nil,
		`service: "zoom" is not one of auto, reflector, whip, whep, janus`: func(o *webrtc.Options) { o.Service = "zoom" },
		`token_file: give the token in one way`:                            func(o *webrtc.Options) { o.TokenFile = "options.go" },
		`token_env: the environment variable "NOWHERE" is not set`:         func(o *webrtc.Options) { o.Token, o.TokenEnv = "", "NOWHERE" },
		`token: a token is made of visible ASCII characters`:               func(o *webrtc.Options) { o.Token = "a b" },
		`token_file: open nowhere: no such file`:                           func(o *webrtc.Options) { o.Token, o.TokenFile = "", "nowhere" },
		`duration: must be between 3s and 60s`:                             func(o *webrtc.Options) { o.Duration = 0 },
		`profile: "8k" is no profile; use one of audio, low, 360p`:         func(o *webrtc.Options) { o.Profile = "8k" },
		`profile: profile 1080p takes 4242 kbit/s of the line each way, headers included; it may take 2000: share 0.5 of line_kbps 4000`: func(o *webrtc.Options) {
			o.Profile, o.LineKbps = "1080p", 4000
		},
		`profiles.meeting: profile "meeting" has neither audio nor video`: func(o *webrtc.Options) {
			o.Profiles = map[string]webrtc.Profile{"meeting": {}}
		},
		`profile: profile "meeting": audio of -1 bit/s`: func(o *webrtc.Options) {
			o.Profile, o.Profiles = "meeting", map[string]webrtc.Profile{"meeting": {AudioKbps: kbps(-3)}}
		},
		`share: must be above 0 and at most 1`:  func(o *webrtc.Options) { o.Share = 1.5 },
		`line_kbps: must be from 64 to`:         func(o *webrtc.Options) { o.LineKbps = 0 },
		`playout.audio: must be between 10ms`:   func(o *webrtc.Options) { o.Playout.Audio = time.Minute },
		`timeout: must be between 1s and 60s`:   func(o *webrtc.Options) { o.Timeout = 0 },
		`ca_file: options.go holds no PEM`:      func(o *webrtc.Options) { o.CAFile = "options.go" },
		`ramp.step: must be between 1s and 10s`: func(o *webrtc.Options) { o.Ramp.Enabled, o.Ramp.Step = true, 0 },
		`ramp.steps_kbps[1]: 500 is not above 500, the step before`: func(o *webrtc.Options) {
			o.Ramp.Enabled, o.Ramp.StepsKbps = true, []int{500, 500}
		},
		`ramp.steps_kbps[0]: the first step takes`: func(o *webrtc.Options) {
			o.Ramp.Enabled, o.Ramp.StepsKbps = true, []int{9000}
		},
		`ramp.enabled: only a reflector or Janus`: func(o *webrtc.Options) { o.Ramp.Enabled, o.Service = true, "whip" },
	} {
		o := webrtc.DefaultOptions()
		o.Token, o.Profile = token, "low"
		if change != nil {
			change(&o)
		}
		var got []string
		o.Validate(probes.Target{Address: "https://10.1.2.3/whip/echo"}, func(at, format string, args ...any) {
			got = append(got, at+": "+fmt.Sprintf(format, args...))
		})
		text := strings.Join(got, "\n")
		if want == "" && text != "" || !strings.Contains(text, want) {
			t.Errorf("got %s\nwant %s", text, want)
		}
	}
	for _, c := range []struct {
		address string
		change  func(*webrtc.Options)
		bad     bool
	}{
		{"http://10.1.2.3/whip/echo", nil, true},
		{"http://hub.example/whip/echo", nil, true},
		{"http://hub.example/whip/echo", func(o *webrtc.Options) { o.AllowPlaintext = true }, false},
		{"http://hub.example/whip/echo", func(o *webrtc.Options) { o.Token = "" }, false},
		{"https://hub.example/whip/echo", nil, false},
		{"http://127.9.0.1:8080/whip/echo", nil, false},
		{"http://[::1]:8080/whip/echo", nil, false},
		{"http://localhost/whip/echo", nil, false},
	} {
		o := webrtc.DefaultOptions()
		o.Token = token
		if c.change != nil {
			c.change(&o)
		}
		bad := false
		o.Validate(probes.Target{Address: c.address}, func(at, format string, args ...any) {
			bad = true
			if text := fmt.Sprintf(format, args...); at != "address" || !strings.Contains(text, "allow_plaintext: true") {
				t.Errorf("%s: %s: %s", c.address, at, text)
			}
		})
		if bad != c.bad {
			t.Errorf("%s with %+v: refused %v", c.address, o, bad)
		}
	}
	for _, address := range []string{"", "10.1.2.3", "ftp://10.1.2.3/", "http://", "http://user:pass@10.1.2.3/", "http://[::1"} {
		bad := false
		webrtc.DefaultOptions().Validate(probes.Target{Address: address}, func(at, _ string, _ ...any) { bad = bad || at == "address" })
		if !bad {
			t.Errorf("address %q was taken", address)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", webrtc.Options{Token: "abc"}, webrtc.Options{Token: "abc"}, webrtc.Options{Token: "abc"}); strings.Contains(s, "abc") {
		t.Errorf("the token is printed: %s", s)
	}
}

// holdsToContract compares points with the contract: every field and tag is in it, with its type, unit and closed set.
func holdsToContract(t *testing.T, points []probes.Point) {
	t.Helper()
	for _, p := range points {
		i := slices.IndexFunc(probes.Schema(), func(m probes.MeasurementSpec) bool { return m.Name == p.Measurement })
		if i < 0 {
			t.Fatalf("measurement %s is not in the contract", p.Measurement)
		}
		spec := probes.Schema()[i]
		for _, f := range p.Fields {
			k := slices.IndexFunc(spec.Fields, func(s probes.FieldSpec) bool { return s.Key == f.Key })
			switch {
			case k < 0:
				t.Errorf("%s.%s is not in the contract", p.Measurement, f.Key)
			case spec.Fields[k].Type != f.Type:
				t.Errorf("%s.%s is of type %v, want %v", p.Measurement, f.Key, f.Type, spec.Fields[k].Type)
			case f.Type == probes.TypeString && spec.Fields[k].Enum != nil && !slices.Contains(spec.Fields[k].Enum, f.Str):
				t.Errorf("%s.%s is %q, want one of %q", p.Measurement, f.Key, f.Str, spec.Fields[k].Enum)
			}
		}
		for _, tag := range p.Tags {
			k := slices.IndexFunc(spec.Tags, func(s probes.TagSpec) bool { return s.Key == tag.Key })
			if k < 0 || spec.Tags[k].Enum != nil && !slices.Contains(spec.Tags[k].Enum, tag.Value) {
				t.Errorf("tag %s=%s of %s is not in the contract", tag.Key, tag.Value, p.Measurement)
			}
		}
	}
}

// fill sets everything in v that can be set, so that no field stays out of the comparison.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func TestPointsAreTheContractsAndAllOfThem(t *testing.T) {
	c := &report.Call{}
	fill(reflect.ValueOf(c).Elem())
	f := report.Flow{}
	fill(reflect.ValueOf(&f).Elem())
	f.Direction, f.Media = probes.DirectionDown, probes.MediaVideo
	c.Flows = []report.Flow{f}
	c.Service, c.Profile, c.Transport, c.LimitedBy, c.Ramp.End, c.Quality.Grade = "janus", "low", "tcp", "agent", "loss", "bad"
	points := webrtc.Points(c)
	holdsToContract(t, points)
	for i, name := range []string{"webrtc", "webrtc_flow"} {
		for _, m := range probes.Schema() {
			if m.Name != name {
				continue
			}
			for _, spec := range m.Fields {
				if _, ok := points[i].Field(spec.Key); !ok {
					t.Errorf("%s.%s is never written", name, spec.Key)
				}
			}
		}
	}
	if p := webrtc.Points(nil); p != nil {
		t.Errorf("points of no call: %v", p)
	}
}
