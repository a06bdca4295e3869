package whip

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"communewatch/probes"
)

// Janus calls the EchoTest of a Janus server over its JSON API (plain HTTP, answers fetched by long polls): a service
// that is there to send back what it gets. It is one call's, and not safe for concurrent use.
type Janus struct {
	URL   *url.URL // of the API, such as http://10.1.2.3:8088/janus
	Token string   // the API's secret or a token; "" for none
	Audio bool
	Video bool
	HTTP  *http.Client

	session, handle uint64 // 0 before there is one
}

// maxPolls bounds how many events are read while waiting for the answer.
const maxPolls = 20

type janusMessage struct {
	Janus       string          `json:"janus"`
	Transaction string          `json:"transaction,omitempty"`
	Token       string          `json:"token,omitempty"`
	Secret      string          `json:"apisecret,omitempty"`
	Plugin      string          `json:"plugin,omitempty"`
	Body        map[string]bool `json:"body,omitempty"`
	JSEP        *jsep           `json:"jsep,omitempty"`
}

type jsep struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// janusAnswer is what is needed of an answer or an event.
type janusAnswer struct {
	Janus string `json:"janus"`
	Data  struct {
		ID uint64 `json:"id"`
	} `json:"data"`
	Error struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	} `json:"error"`
	PluginData struct {
		Data struct {
			Code  int    `json:"error_code"`
			Error string `json:"error"`
		} `json:"data"`
	} `json:"plugindata"`
	JSEP   *jsep  `json:"jsep"`
	Reason string `json:"reason"` // of a hangup
}

// parseJanus reads an answer. One that says error is an error.
func parseJanus(body []byte) (janusAnswer, error) {
	var a janusAnswer
	if err := json.Unmarshal(body, &a); err != nil || a.Janus == "" {
		return a, probes.Errorf(probes.OutcomeFailed, "signalling: this is no Janus API: the answer is %.60q", plain(body))
	}
	if a.Janus == "error" {
		outcome := probes.OutcomeFailed
		fix := ""
		if a.Error.Code == 403 { // JANUS_ERROR_UNAUTHORIZED
			outcome, fix = probes.OutcomeBadConfig, ": set token_file or token to the API's secret"
		}
		return a, probes.Errorf(outcome, "signalling: Janus says %d %s%s", a.Error.Code, plain([]byte(a.Error.Reason)), fix)
	}
	if d := a.PluginData.Data; d.Code != 0 {
		return a, probes.Errorf(probes.OutcomeFailed, "signalling: Janus EchoTest says %d %s", d.Code, plain([]byte(d.Error)))
	}
	return a, nil
}

// Offer creates a session, attaches to EchoTest and carries the offer.
func (j *Janus) Offer(ctx context.Context, offer string) (string, error) {
	a, err := j.post(ctx, janusMessage{Janus: "create"})
	if err != nil {
		return "", err
	}
	if j.session = a.Data.ID; j.session == 0 {
		return "", probes.Errorf(probes.OutcomeFailed, "signalling: Janus made no session")
	}
	if a, err = j.post(ctx, janusMessage{Janus: "attach", Plugin: "janus.plugin.echotest"}); err != nil {
		return "", err
	}
	if j.handle = a.Data.ID; j.handle == 0 {
		return "", probes.Errorf(probes.OutcomeFailed, "signalling: Janus gave no handle of EchoTest")
	}
	a, err = j.post(ctx, janusMessage{Janus: "message", Body: map[string]bool{"audio": j.Audio, "video": j.Video}, JSEP: &jsep{"offer", offer}})
	for range maxPolls {
		switch {
		case err != nil:
			return "", err
		case a.Janus == "hangup":
			return "", probes.Errorf(probes.OutcomeFailed, "signalling: Janus hung up: %s", plain([]byte(a.Reason)))
		case a.JSEP != nil && a.JSEP.Type == "answer":
			return a.JSEP.SDP, nil
		}
		a, err = j.poll(ctx)
	}
	return "", probes.Errorf(probes.OutcomeFailed, "signalling: Janus gave no answer within %d events", maxPolls)
}

// Session is none: Janus sends packets back as they are, and numbers no calls.
func (j *Janus) Session() (uint64, bool) { return 0, false }

// KeepAlive keeps the session, which ends after a minute without a request.
func (j *Janus) KeepAlive(ctx context.Context) error {
	_, err := j.say(ctx, j.at(j.session), janusMessage{Janus: "keepalive"})
	return err
}

// End hangs up and destroys the session.
func (j *Janus) End(ctx context.Context, _ *Sent) (*Ending, error) {
	if j.session == 0 {
		return nil, nil
	}
	var hangup error
	if j.handle != 0 {
		_, hangup = j.post(ctx, janusMessage{Janus: "hangup"})
	}
	_, err := j.say(ctx, j.at(j.session), janusMessage{Janus: "destroy"})
	return nil, errors.Join(hangup, err)
}

func (j *Janus) at(ids ...uint64) *url.URL {
	u := j.URL
	for _, id := range ids {
		if id != 0 {
			u = u.JoinPath(fmt.Sprint(id))
		}
	}
	return u
}

// post says something to the handle, or where there is none yet to the session or the server.
func (j *Janus) post(ctx context.Context, m janusMessage) (janusAnswer, error) {
	return j.say(ctx, j.at(j.session, j.handle), m)
}

func (j *Janus) say(ctx context.Context, u *url.URL, m janusMessage) (janusAnswer, error) {
	m.Transaction, m.Token, m.Secret = rand.Text(), j.Token, j.Token
	body, err := json.Marshal(m)
	if err != nil {
		return janusAnswer{}, err
	}
	return j.do(ctx, http.MethodPost, u, body)
}

// poll waits for the next event; one that says "keepalive" means that there was none for half a minute.
func (j *Janus) poll(ctx context.Context) (janusAnswer, error) {
	u := *j.at(j.session)
	q := url.Values{"maxev": {"1"}}
	if j.Token != "" {
		q.Set("token", j.Token)
		q.Set("apisecret", j.Token)
	}
	u.RawQuery = q.Encode()
	return j.do(ctx, http.MethodGet, &u, nil)
}

func (j *Janus) do(ctx context.Context, method string, u *url.URL, body []byte) (janusAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return janusAnswer{}, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	req.Header.Set("User-Agent", "communewatch-agent")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, answer, err := exchange(j.HTTP, req)
	if err != nil {
		return janusAnswer{}, fmt.Errorf("signalling: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return janusAnswer{}, refusal(resp, answer, j.Token != "")
	}
	return parseJanus(answer)
}
