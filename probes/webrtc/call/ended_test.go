package call_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/call"
	"communewatch/probes/webrtc/reflector"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/webrtc/whip"
)

// A call that the reflector ends says whose setting it was, and nothing against the line.
func TestACallThatTheReflectorEndsIsNoLossOfTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		limits  reflector.Limits
		profile string
		d       time.Duration
		halt    time.Duration
		outcome probes.Outcome
		says    string
	}{
		"rate":     {limits: reflector.Limits{SessionMBPS: 1}, profile: "720p", d: 5 * time.Second, outcome: probes.OutcomeBadConfig, says: "session_mbps"},
		"lifetime": {limits: reflector.Limits{Lifetime: 3 * time.Second}, profile: "low", d: 7 * time.Second, outcome: probes.OutcomeBadConfig, says: "max_lifetime"},
		"closing":  {profile: "low", d: 4 * time.Second, halt: 2 * time.Second, outcome: probes.OutcomeOverloaded, says: "stopped during the call"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rep *report.Call
			var err error
			for range 4 { // on a starved machine setting up may take longer than the call may last
				f := newFar(t, c.limits)
				rep, err = call.Run(t.Context(), spec(t, f.url, c.profile, c.d), func() {
					if c.halt > 0 {
						time.AfterFunc(c.halt, f.halt)
					}
				})
				if rep.MediaSeconds > 0 && len(rep.Flows) == 4 {
					break
				}
			}
			tell(t, rep)
			if o := probes.OutcomeOf(err); o != c.outcome || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v: %v, want %v and %q", o, err, c.outcome, c.says)
			}
			if rep.Quality != nil || rep.Data != nil {
				t.Errorf("it was graded: %+v, data channel %+v", rep.Quality, rep.Data)
			}
			if c.outcome == probes.OutcomeOverloaded && rep.LimitedBy != "reflector" {
				t.Errorf("limited by %s", rep.LimitedBy)
			}
			if len(rep.Flows) != 4 {
				t.Errorf("%d flows", len(rep.Flows))
			}
			p := spec(t, "", c.profile, c.d).Profile
			for _, fl := range rep.Flows {
				if fl.LossRatio > 0.1 && !dropped(rep) {
					t.Errorf("%s %s: lost %d of %d", fl.Direction, fl.Media, fl.Lost, fl.Sent)
				}
				rate := float64(p.AudioBPS)
				if fl.Media == probes.MediaVideo {
					rate = float64(p.VideoBPS)
				}
				if fl.GoodputBPS < 0.75*rate && !dropped(rep) {
					t.Errorf("%s %s: %.0f of %.0f bit/s came while the call lasted", fl.Direction, fl.Media, fl.GoodputBPS, rate)
				}
			}
		})
	}
}

// before puts a handler before a reflector's own.
func before(t *testing.T, f *far, h func(w http.ResponseWriter, r *http.Request, next http.Handler)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(w, r, f.inner) }))
	t.Cleanup(s.Close)
	return s.URL + reflector.EchoPath
}

func TestAReflectorThatWasStartedAnewIsItsOwnTrouble(t *testing.T) {
	f := newFar(t, reflector.Limits{})
	url := before(t, f, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodDelete {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
	c, err := call.Run(t.Context(), spec(t, url, "low", 3*time.Second), nil)
	tell(t, c)
	if probes.OutcomeOf(err) != probes.OutcomeOverloaded || !strings.Contains(err.Error(), "started anew") || c.LimitedBy != "reflector" {
		t.Errorf("%v: %v, limited by %s", probes.OutcomeOf(err), err, c.LimitedBy)
	}
	if a := flowOf(t, c, probes.DirectionUp, probes.MediaAudio); a.Received == 0 || c.Quality != nil || c.Data != nil {
		t.Errorf("up %+v, quality %+v, data channel %+v", a, c.Quality, c.Data)
	}
}

// An answer that got lost is no new start: asking again gets 404 too, from the reflector that did as it was told.
func TestAnAnswerThatGotLostIsNoNewStart(t *testing.T) {
	f := newFar(t, reflector.Limits{})
	url := before(t, f, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodDelete {
			rec := httptest.NewRecorder()
			if next.ServeHTTP(rec, r); rec.Code == http.StatusOK {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(rec.Code)
			return
		}
		next.ServeHTTP(w, r)
	})
	_, err := call.Run(t.Context(), spec(t, url, "low", 3*time.Second), nil)
	if o := probes.OutcomeOf(err); o != probes.OutcomeFailed || strings.Contains(err.Error(), "anew") {
		t.Errorf("%v: %v", o, err)
	}
}

// What the reflector's kernel dropped is not the site's loss.
func TestWhatTheReflectorsKernelDropsIsNotHeldAgainstTheLine(t *testing.T) {
	f := newFar(t, reflector.Limits{})
	url := before(t, f, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodDelete {
			next.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var e whip.Ending
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil {
			t.Error(err)
		}
		n := uint64(9)
		e.Drops = &n
		for i := range e.Flows {
			fl := &e.Flows[i]
			fl.Received, fl.Lost = fl.Sent-4, 4
			fl.LossRatio = 4 / float64(fl.Sent)
		}
		b, _ := json.Marshal(e)
		io.WriteString(w, string(b))
	})
	c, err := call.Run(t.Context(), spec(t, url, "low", 3*time.Second), nil)
	tell(t, c)
	if probes.OutcomeOf(err) != probes.OutcomeOverloaded {
		t.Fatalf("%v: %v", probes.OutcomeOf(err), err)
	}
	if c.LimitedBy == "none" || !strings.Contains(strings.Join(c.Limits, "\n"), "dropped 9 packets") || c.Reflector.Dropped == nil || *c.Reflector.Dropped != 9 {
		t.Errorf("limited by %s: %q", c.LimitedBy, c.Limits)
	}
	if len(c.Flows) != 4 || c.Quality == nil {
		t.Errorf("%d flows, quality %v: what was measured is to be told", len(c.Flows), c.Quality)
	}
}
