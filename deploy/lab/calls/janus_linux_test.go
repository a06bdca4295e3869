package calls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"communewatch/deploy/lab/janus"
	"communewatch/probes"
	"communewatch/probes/webrtc/call"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/report"
)

// TestJanusSendsEverythingBack calls the EchoTest of a Janus server, which knows nothing of us.
func TestJanusSendsEverythingBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	s, err := janus.Start(ctx)
	if errors.Is(err, janus.ErrMissing) {
		t.Skipf("%v; `make test` installs what is missing", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	profile, _ := media.Named("360p")
	spec, err := json.Marshal(call.Spec{
		Address: s.URL(), Service: call.Auto, Path: probes.PathLAN, Source: s.Addr(), Profile: profile, Duration: 4 * time.Second, Data: true, Timeout: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var c report.Call
	lost := 0
	// Janus has no obligation to us: on a busy machine it may drop what comes while it still agrees on keys.
	for range 3 {
		cmd := s.Command(ctx, self)
		cmd.Env = append(os.Environ(), specVariable+"="+string(spec))
		var out, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &said
		err := cmd.Run()
		c = report.Call{}
		if derr := json.Unmarshal(out.Bytes(), &c); derr != nil || ctx.Err() != nil {
			t.Fatalf("the call: %v, %v: %s%s\nJanus says\n%s", err, derr, out.String(), said.String(), s.Output())
		}
		if err != nil {
			t.Logf("the call: %s", said.String())
		}
		if lost = 0; len(c.Flows) == 2 {
			for _, f := range c.Flows {
				lost += f.Lost
				t.Logf("%s %s: sent %d, lost %d, duplicates %d, jitter %v", f.Media, f.Direction, f.Sent, f.Lost, f.Duplicates, *f.Jitter)
			}
			if lost == 0 {
				break
			}
		}
	}
	if c.Service != call.Janus || c.Transport != "udp" || len(c.Flows) != 2 || lost != 0 {
		t.Fatalf("%+v", c)
	}
	for _, f := range c.Flows {
		least := map[probes.Media]int{probes.MediaAudio: 100, probes.MediaVideo: 150}[f.Media]
		if f.Direction != probes.DirectionRound || f.Received < least || f.Duplicates != 0 {
			t.Errorf("%+v", f)
		}
	}
	p := c.Phases
	if p.Signalling == nil || p.ICE == nil || p.DTLS == nil || p.FirstMedia == nil || c.RTT == nil || c.RTT.Median <= 0 {
		t.Errorf("phases %+v, round-trip time %+v", p, c.RTT)
	} else {
		t.Logf("signalling %.1f, ICE %.1f, DTLS %.1f, first media %.1f ms; round-trip time median %.2f, p99 %.2f ms", 1000**p.Signalling, 1000**p.ICE, 1000**p.DTLS, 1000**p.FirstMedia, 1000*c.RTT.Median, 1000*c.RTT.P99)
	}
	if c.Reflector != nil {
		t.Errorf("Janus is taken for a reflector of ours: %+v", c.Reflector)
	}
	if c.Data != nil && c.Data.Lost > 0 {
		t.Logf("data channel: %+v", *c.Data)
	}
}
