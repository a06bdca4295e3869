package calls

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"communewatch/deploy/lab/lifeline"
	"communewatch/deploy/lab/relay"
	"communewatch/probes"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/webrtc/whip"
)

//go:embed testdata/publish.html
var publishPage []byte

// browserStat is the part of a WebRTC statistics object (W3C webrtc-stats) that is looked at.
type browserStat struct {
	Type            string  `json:"type"`
	Kind            string  `json:"kind"`
	PacketsSent     int     `json:"packetsSent"`
	PacketsReceived int     `json:"packetsReceived"`
	PacketsLost     int     `json:"packetsLost"`
	FramesDecoded   int     `json:"framesDecoded"`
	Nominated       bool    `json:"nominated"`
	RTT             float64 `json:"roundTripTime"`
	RTTs            int     `json:"roundTripTimeMeasurements"`
	PairRTT         float64 `json:"currentRoundTripTime"`
	TotalRTT        float64 `json:"totalRoundTripTime"`
	Responses       int     `json:"responsesReceived"`
	NACKs           int     `json:"nackCount"`
	DTLS            string  `json:"dtlsState"`
	TLS             string  `json:"tlsVersion"`
	DTLSCipher      string  `json:"dtlsCipher"`
	SRTPCipher      string  `json:"srtpCipher"`
}

// published is what the page has to say.
type published struct {
	ConnectedMS float64       `json:"connected_ms"`
	Stats       []browserStat `json:"stats"`
	Ending      whip.Ending   `json:"ending"`
}

func (p *published) stat(t *testing.T, kind, media string) browserStat {
	t.Helper()
	for _, s := range p.Stats {
		if s.Type == kind && (media == "" || s.Kind == media) && (kind != "candidate-pair" || s.Nominated) {
			return s
		}
	}
	t.Fatalf("the browser has no %s of %s", kind, media)
	return browserStat{}
}

// browse opens a page in a browser without a screen, with a made-up camera and microphone. It ends with the test.
func browse(t *testing.T, url string) {
	t.Helper()
	program := os.Getenv("CHROMIUM")
	if program == "" {
		program = "/usr/bin/chromium"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("no browser at " + program + "; install Debian's chromium or set CHROMIUM; `make test` installs it")
	}
	// Helper processes may still write for a moment after the browser has ended, which t.TempDir would not forgive.
	profile, err := os.MkdirTemp("", "communewatch-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--user-data-dir="+profile, "--disable-gpu", "--no-first-run",
		"--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required",
		"--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns", "--disable-component-update",
		"--disable-background-networking", "--disable-sync", "--disable-quic", "--disable-background-timer-throttling", url)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	lifeline.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Asked kindly, it takes its helper processes along.
		cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
		if t.Failed() {
			t.Logf("the browser says\n%s", out.String())
		}
	})
}

// TestABrowserAgrees has Chromium publish to the reflector over a line of which the truth is known, and compares what
// its own statistics say with the reflector and with the line.
func TestABrowserAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a browser for a quarter of a minute; run without -short")
	}
	done, failed := make(chan published, 1), make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /publish", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(publishPage)
	})
	mux.HandleFunc("POST /done", func(_ http.ResponseWriter, r *http.Request) {
		var p published
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			failed <- err.Error()
			return
		}
		done <- p
	})
	mux.HandleFunc("POST /failed", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		failed <- string(text)
	})
	const delay = 30 * time.Millisecond
	rule := func(from, to int) relay.Rule {
		return relay.Rule{Media: probes.MediaAudio, From: from, To: to, Do: relay.Drop}
	}
	g := newRig(t, relay.Line{
		Up:   relay.Way{Delay: delay, Script: []relay.Rule{rule(40, 40), rule(60, 65)}},
		Down: relay.Way{Delay: delay, Script: []relay.Rule{rule(30, 30), rule(50, 50), rule(70, 71)}},
	}, mux)
	browse(t, g.relay.URL(fmt.Sprintf("/publish?token=%s&seconds=5", token)))
	var p published
	select {
	case p = <-done:
	case text := <-failed:
		t.Fatalf("the page failed: %s", text)
	case <-time.After(90 * time.Second):
		t.Fatalf("the page says nothing; %d calls are on", g.relay.Calls())
	}
	books := g.books(t)

	if s := p.stat(t, "transport", ""); s.DTLS != "connected" || s.SRTPCipher == "" {
		t.Errorf("transport: %+v", s)
	} else {
		t.Logf("connected after %.0f ms; DTLS %s %s, SRTP %s", p.ConnectedMS, s.TLS, s.DTLSCipher, s.SRTPCipher)
	}
	for i, media := range []probes.Media{probes.MediaAudio, probes.MediaVideo} {
		kind := string(media)
		sent, remote, back := p.stat(t, "outbound-rtp", kind), p.stat(t, "remote-inbound-rtp", kind), p.stat(t, "inbound-rtp", kind)
		up, down := books.Of(probes.DirectionUp, media, 0), books.Of(probes.DirectionDown, media, 0)
		var f report.Flow
		for _, of := range p.Ending.Flows {
			if of.Media == media {
				f = of
			}
		}
		lostUp, lostDown := [2]int{7, 0}[i], [2]int{4, 0}[i]
		t.Logf("%s: browser sent %d, reports say lost %d, RTT %.1f ms (%d measured); reflector received %d, lost %d in %d runs; browser got back %d, lost %d, decoded %d frames",
			media, sent.PacketsSent, remote.PacketsLost, 1000*remote.RTT, remote.RTTs, f.Received, f.Lost, f.LossRuns, back.PacketsReceived, back.PacketsLost, back.FramesDecoded)
		// One number for one thing, whoever says it.
		if sent.PacketsSent != up.Packets || f.Received != up.Fates[relay.Passed] || f.Lost != lostUp || remote.PacketsLost != lostUp || up.Lost() != lostUp {
			t.Errorf("%s up: browser sent %d, of which the far end's reports say %d are lost; the line carried %d, lost %d; the reflector received %d, lost %d",
				media, sent.PacketsSent, remote.PacketsLost, up.Packets, up.Lost(), f.Received, f.Lost)
		}
		if back.PacketsReceived != down.Fates[relay.Passed] || back.PacketsLost != lostDown || down.Packets != f.Received {
			t.Errorf("%s down: the reflector received %d and sent %d; the line lost %d; the browser received %d, lost %d",
				media, f.Received, down.Packets, down.Lost(), back.PacketsReceived, back.PacketsLost)
		}
		if f.Received < 50 {
			t.Errorf("%s: only %d packets", media, f.Received)
		}
		// Reports are sent once a second, so the round-trip time is of the line and of how late either end was.
		most := 2*delay + 2*books.Lateness.Max + 250*time.Millisecond
		if got := time.Duration(remote.RTT * float64(time.Second)); remote.RTTs == 0 || got < 2*delay-time.Millisecond || got > most {
			t.Errorf("%s: round-trip time by reports %v of %d measurements, the line's is %v", media, got, remote.RTTs, 2*delay)
		}
	}
	if s := p.stat(t, "inbound-rtp", "video"); s.FramesDecoded == 0 {
		t.Errorf("the browser could decode no frame of its own video: %+v", s)
	}
	pair := p.stat(t, "candidate-pair", "")
	if got := time.Duration(pair.TotalRTT / float64(max(1, pair.Responses)) * float64(time.Second)); got < 2*delay-time.Millisecond || got > 2*delay+2*books.Lateness.Max+250*time.Millisecond {
		t.Errorf("mean round-trip time of ICE %v, the line's is %v", got, 2*delay)
	}
	if p.Ending.Foreign != 0 {
		t.Errorf("%d packets were not the call's", p.Ending.Foreign)
	}
}
