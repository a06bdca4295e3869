package call_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/call"
	"communewatch/probes/webrtc/rtc"
)

// service is a WHIP or WHEP service that is none of ours.
type service struct {
	url     string
	mu      sync.Mutex // guards the field below
	deleted int
}

func newService(t *testing.T, handler rtc.SessionHandler) *service {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hub, err := rtc.NewHub(rtc.HubConfig{UDP: socket})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			s.mu.Lock()
			s.deleted++
			s.mu.Unlock()
			return
		}
		offer, _ := io.ReadAll(r.Body)
		answer, _, err := hub.Answer(r.Context(), string(offer), handler)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		w.Header().Set("Content-Type", "application/sdp")
		w.Header().Set("Location", r.URL.Path+"/1")
		w.WriteHeader(201)
		io.WriteString(w, answer)
	}))
	s.url = server.URL
	t.Cleanup(func() { server.Close(); hub.Close() })
	return s
}

func TestAForeignWHIPServiceTellsByItsReports(t *testing.T) {
	for _, chosen := range []string{call.WHIP, call.Auto} {
		s := newService(t, rtc.SessionHandler{})
		spec := spec(t, s.url+"/live/whip", "low", 4*time.Second)
		spec.Service = chosen
		c, err := call.Run(t.Context(), spec, nil)
		tell(t, c)
		good(t, err)
		if c.Service != call.WHIP || len(c.Flows) != 2 || c.Reflector != nil {
			t.Fatalf("%s: service %q, %d flows", chosen, c.Service, len(c.Flows))
		}
		for _, m := range []probes.Media{probes.MediaAudio, probes.MediaVideo} {
			// The last report may be a second old.
			if f := flowOf(t, c, probes.DirectionUp, m); f.Lost != 0 && len(c.Limits) == 0 || f.Sent == 0 || f.Jitter == nil || f.Playout != 0 {
				t.Errorf("%s %s: %+v", chosen, m, f)
			}
		}
		if c.RTT == nil || c.RTT.Median <= 0 || c.RTT.Median > 10 {
			t.Errorf("%s: round trip %+v", chosen, c.RTT)
		}
		s.mu.Lock()
		if s.deleted != 1 {
			t.Errorf("%s: the call was deleted %d times", chosen, s.deleted)
		}
		s.mu.Unlock()
	}
}

func TestAForeignWHEPServiceIsMeasuredByItsNumbers(t *testing.T) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); wg.Wait() })
	s := newService(t, rtc.SessionHandler{OnState: func(s *rtc.Session, state rtc.State) {
		if state != rtc.Connected {
			return
		}
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			payload := bytes.Repeat([]byte{7}, 100)
			for n := uint32(0); ; n++ {
				select {
				case <-tick.C:
				case <-stop:
					return
				case <-s.Done():
					return
				}
				for track, clock := range []uint32{960, 1800} {
					s.Echo(track, rtc.Packet{RTPTime: n * clock, Payload: payload})
				}
			}
		})
	}})
	c, err := call.Run(t.Context(), spec(t, s.url+"/live/whep", "low", 3*time.Second), nil)
	tell(t, c)
	good(t, err)
	if c.Service != call.WHEP || len(c.Flows) != 2 {
		t.Fatalf("service %q, %d flows", c.Service, len(c.Flows))
	}
	for _, m := range []probes.Media{probes.MediaAudio, probes.MediaVideo} {
		f := flowOf(t, c, probes.DirectionDown, m)
		if f.Lost != 0 && !dropped(c) || f.Received < 20 || f.Frames != nil || f.GoodputBPS <= 0 || f.VariationP95 == nil {
			t.Errorf("%s: %+v", m, f)
		}
	}
	if c.Phases.FirstMedia == nil {
		t.Error("no time of the first media")
	}
}

func TestAServiceThatTellsNothingIsNoSuccess(t *testing.T) {
	s := newService(t, rtc.SessionHandler{})
	c, err := call.Run(t.Context(), spec(t, s.url+"/live/whep", "low", 3*time.Second), nil)
	tell(t, c)
	if probes.OutcomeOf(err) != probes.OutcomeFailed || len(c.Flows) != 0 {
		t.Errorf("err = %v", err)
	}
}
