package whip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"communewatch/probes"
	"communewatch/probes/webrtc/report"
)

func serve(t *testing.T, h http.HandlerFunc) *url.URL {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL + "/whip/echo")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func client() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func TestACallIsOfferedAndEndedWithWhatBothSidesKnow(t *testing.T) {
	var sent Sent
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s came with %q", r.Method, r.Header.Get("Authorization"))
		}
		switch r.Method + " " + r.URL.Path {
		case "POST /whip/echo":
			if b, _ := io.ReadAll(r.Body); string(b) != "v=0 offer" || r.Header.Get("Content-Type") != MediaTypeSDP {
				t.Errorf("offered %q as %q", b, r.Header.Get("Content-Type"))
			}
			w.Header().Set("Location", "/whip/echo/abc")
			w.Header().Set("Content-Type", MediaTypeSDP)
			w.Header().Set(HeaderSession, "00000000000000ff")
			w.WriteHeader(201)
			io.WriteString(w, "v=0 answer")
		case "DELETE /whip/echo/abc":
			if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
				t.Error(err)
			}
			json.NewEncoder(w).Encode(Ending{Flows: []report.Flow{{Direction: probes.DirectionUp, Media: probes.MediaAudio, Sent: 10, Received: 9, Lost: 1, LossRatio: 0.1}}, Foreign: 3})
		default:
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
	})
	c := &Client{URL: u, Token: "secret", HTTP: client()}
	answer, err := c.Offer(t.Context(), "v=0 offer")
	if err != nil || answer != "v=0 answer" {
		t.Fatalf("answer %q, err %v", answer, err)
	}
	if n, ok := c.Session(); !ok || n != 255 {
		t.Errorf("session %d, %v", n, ok)
	}
	e, err := c.End(t.Context(), &Sent{MediaSeconds: 2, Streams: []SentStream{{Media: probes.MediaAudio, Sent: 10}}})
	if err != nil || e.Flows[0].Lost != 1 || e.Foreign != 3 || sent.Streams[0].Sent != 10 {
		t.Errorf("ending %+v, err %v, the reflector was told %+v", e, err, sent)
	}
}

// A reflector that does not know its own call was started anew; another service has only lost its resource.
func TestAForgottenCall(t *testing.T) {
	for _, numbered := range []bool{true, false} {
		u := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Location", "/whip/echo/abc")
			w.Header().Set("Content-Type", MediaTypeSDP)
			if numbered {
				w.Header().Set(HeaderSession, "00000000000000ff")
			}
			w.WriteHeader(201)
		})
		c := &Client{URL: u, HTTP: client()}
		if _, err := c.Offer(t.Context(), "v=0 offer"); err != nil {
			t.Fatal(err)
		}
		_, err := c.End(t.Context(), &Sent{})
		want := probes.OutcomeFailed
		if numbered {
			want = probes.OutcomeOverloaded
		}
		if probes.OutcomeOf(err) != want || errors.Is(err, ErrForgotten) != numbered {
			t.Errorf("numbered %v: %v", numbered, err)
		}
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status  int
		header  map[string]string
		body    string
		outcome probes.Outcome
		says    string
	}{
		{503, map[string]string{"Retry-After": "7"}, "full", probes.OutcomeBusy, "asked again in 7 s: full"},
		{429, nil, "", probes.OutcomeBusy, "takes no call now (status 429)"},
		{401, nil, "", probes.OutcomeBadConfig, "wants a token (status 401): set token_file or token"},
		{403, nil, "no", probes.OutcomeBadConfig, "status 403"},
		{404, nil, "<html>", probes.OutcomeFailed, "nothing at this URL (status 404)"},
		{405, nil, "", probes.OutcomeFailed, "takes no offers"},
		{400, nil, "offer:\x1b[31m no media\n", probes.OutcomeFailed, "status 400 Bad Request: offer: [31m no media"},
		{307, map[string]string{"Location": "http://elsewhere.test/"}, "", probes.OutcomeFailed, `sends calls on to "http://elsewhere.test/"`},
		{500, nil, "", probes.OutcomeFailed, "status 500"},
		{201, map[string]string{"Content-Type": "text/html"}, "<html>", probes.OutcomeFailed, "no WHIP or WHEP endpoint"},
		{201, map[string]string{"Content-Type": MediaTypeSDP, HeaderSession: "xyz"}, "v=0", probes.OutcomeFailed, "no number of 16"},
		{201, map[string]string{"Content-Type": MediaTypeSDP}, strings.Repeat("a", MaxBody+1), probes.OutcomeFailed, "longer than 65536 bytes"},
	} {
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range c.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		_, err := (&Client{URL: u, HTTP: client()}).Offer(t.Context(), "v=0")
		if probes.OutcomeOf(err) != c.outcome || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("status %d: %v: %v\nwant %v and %q", c.status, probes.OutcomeOf(err), err, c.outcome, c.says)
		}
	}
}

func TestATokenIsNeverSentElsewhere(t *testing.T) {
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("%s went elsewhere", r.Method) })
	for _, location := range []string{elsewhere.String(), "//" + elsewhere.Host + "/x", "", "http://[::1"} {
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.Header().Set("Content-Type", MediaTypeSDP)
			w.WriteHeader(201)
			io.WriteString(w, "v=0")
		})
		c := &Client{URL: u, Token: "secret", HTTP: client()}
		if _, err := c.Offer(t.Context(), "v=0"); err != nil {
			t.Error(err)
		}
		if _, err := c.End(t.Context(), nil); err != ErrNoResource {
			t.Errorf("Location %q: err = %v", location, err)
		}
	}
}

// janus is a server of the JSON API, as far as EchoTest needs it.
func janus(t *testing.T, said *[]string) *url.URL {
	polls := 0
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		var m janusMessage
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.Transaction == "" {
				t.Errorf("%v %+v", err, m)
			}
			if m.Secret != "s" {
				io.WriteString(w, `{"janus":"error","error":{"code":403,"reason":"Unauthorized request"}}`)
				return
			}
			*said = append(*said, m.Janus+" "+r.URL.Path)
		}
		switch {
		case r.Method == http.MethodGet:
			if polls++; polls == 1 {
				io.WriteString(w, `{"janus":"keepalive"}`)
				return
			}
			io.WriteString(w, `{"janus":"event","plugindata":{"plugin":"janus.plugin.echotest","data":{"result":"ok"}},"jsep":{"type":"answer","sdp":"v=0 janus"}}`)
		case m.Janus == "create":
			io.WriteString(w, `{"janus":"success","data":{"id":4611686018427387905}}`)
		case m.Janus == "attach":
			io.WriteString(w, `{"janus":"success","data":{"id":12}}`)
		default:
			io.WriteString(w, `{"janus":"ack"}`)
		}
	})
}

func TestJanusEchoTestIsCalledAndLeft(t *testing.T) {
	var said []string
	j := &Janus{URL: janus(t, &said), Token: "s", Audio: true, HTTP: client()}
	answer, err := j.Offer(t.Context(), "v=0 offer")
	if err != nil || answer != "v=0 janus" {
		t.Fatalf("answer %q, err %v", answer, err)
	}
	if err := j.KeepAlive(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := j.End(t.Context(), nil); err != nil {
		t.Error(err)
	}
	at := "/whip/echo/4611686018427387905"
	want := []string{"create /whip/echo", "attach " + at, "message " + at + "/12", "keepalive " + at, "hangup " + at + "/12", "destroy " + at}
	if strings.Join(said, ", ") != strings.Join(want, ", ") {
		t.Errorf("said %v\nwant %v", said, want)
	}
	_, err = (&Janus{URL: j.URL, HTTP: client()}).Offer(context.Background(), "v=0")
	if probes.OutcomeOf(err) != probes.OutcomeBadConfig {
		t.Errorf("without the secret: %v", err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"flows":[{"direction":"up","media":"audio","sent":10,"received":9,"lost":1,"loss_ratio":0.1}],"reflector":{"residence":{"median_seconds":1}}}`))
	f.Add([]byte(`{"janus":"event","plugindata":{"data":{"error_code":1}},"jsep":{"type":"answer","sdp":"v=0"}}`))
	f.Add([]byte(`{"flows":[{"direction":"up","media":"audio","sent":-1}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := ParseEnding(data); err == nil {
			for _, f := range e.Flows {
				if f.Sent < 0 || f.Lost < 0 || f.Received > f.Sent || !(f.LossRatio >= 0 && f.LossRatio <= 1) {
					t.Errorf("taken: %+v", f)
				}
			}
		}
		if a, err := parseJanus(data); err == nil && a.Janus == "" {
			t.Error("an answer that says nothing was taken")
		}
	})
}
