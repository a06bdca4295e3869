package reflector

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"communewatch/probes/webrtc/reflector/offers"
	"communewatch/probes/webrtc/reflector/throttle"
	"communewatch/probes/webrtc/whip"
)

// Where the doors are.
const (
	EchoPath   = "/whip/echo"   // POST an offer
	StatusPath = "/whip/status" // GET what Status holds, as JSON
)

const (
	maxBody    = 64 << 10        // bytes; a browser's offer has 5 KiB
	bodyTime   = 5 * time.Second // for the body to arrive
	answerTime = 5 * time.Second // for the answer to be made
)

// Handler serves everything below /whip/. It may be used before Run, and after.
func (r *Reflector) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(EchoPath, r.endpoint)
	mux.HandleFunc(EchoPath+"/{id}", r.resource)
	mux.HandleFunc(StatusPath, r.status)
	mux.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) {
		r.refuse(w, &refusal{404, "path", "nothing here; POST an offer to " + EchoPath, 0})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		allowPages(w.Header())
		mux.ServeHTTP(w, q)
	})
}

// allowPages lets a page of another origin call. Nothing here depends on cookies: who has the token may use it.
func allowPages(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Accept-Post, Retry-After, "+whip.HeaderSession)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// options answers a browser that asks first, and anybody who asks what may be posted.
func options(w http.ResponseWriter, methods string) {
	h := w.Header()
	h.Set("Allow", methods)
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, "+whip.HeaderSession)
	h.Set("Access-Control-Max-Age", "600")
	h.Set("Accept-Post", whip.MediaTypeSDP)
	w.WriteHeader(http.StatusNoContent)
}

func (r *Reflector) refuse(w http.ResponseWriter, no *refusal) {
	h := w.Header()
	if no.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(no.retry.Seconds()))))
	}
	if no.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="communewatch reflector"`)
	}
	r.metrics.refused(no.reason)
	http.Error(w, no.text, no.status)
}

func notAllowed(w http.ResponseWriter, methods, text string) *refusal {
	w.Header().Set("Allow", methods)
	return &refusal{http.StatusMethodNotAllowed, "method", text, 0}
}

// authenticate finds out who asks. Certificates and long random tokens are always looked up. The shared tokens, which might
// be guessed, are not compared for an address that guessed wrong too often.
func (r *Reflector) authenticate(q *http.Request) (Caller, *refusal) {
	scheme, token, _ := strings.Cut(q.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	if r.o.Authenticate != nil {
		caller, err := r.o.Authenticate(q, token)
		switch {
		case err == nil:
			return caller, nil
		case errors.Is(err, ErrRefused):
			return Caller{}, &refusal{401, "caller", err.Error(), 0}
		case !errors.Is(err, ErrUnknown):
			r.log.Error("callers can't be looked up", "error", err)
			return Caller{}, &refusal{503, "tokens", "callers can't be looked up now", 10 * time.Second}
		}
	}
	if token == "" {
		return Caller{}, &refusal{401, "token", `send a token as "Authorization: Bearer ..."`, 0}
	}
	now, from := r.now(), throttle.Network(q.RemoteAddr)
	if empty, wait := r.wrong.Empty(from, now); empty {
		return Caller{}, &refusal{429, "guesses", "too many wrong tokens from this address", wait}
	}
	sum, right := sha256.Sum256([]byte(token)), 0
	for _, t := range r.o.Tokens { // all of them, and hashes of one length: time says nothing
		have := sha256.Sum256([]byte(t))
		right |= subtle.ConstantTimeCompare(sum[:], have[:])
	}
	if right == 1 {
		return Caller{Name: "shared"}, nil
	}
	r.wrong.Take(from, now)
	return Caller{}, &refusal{401, "token", "unknown token", 0}
}

// endpoint takes calls.
func (r *Reflector) endpoint(w http.ResponseWriter, q *http.Request) {
	switch q.Method {
	case http.MethodOptions:
		options(w, "POST, OPTIONS")
		return
	case http.MethodPost:
	default:
		r.refuse(w, notAllowed(w, "POST, OPTIONS", "POST an SDP offer"))
		return
	}
	// The server reads what is left of a body after an early answer too, and must not wait for it for ever.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	if no := r.call(w, q); no != nil {
		r.refuse(w, no)
	}
}

func (r *Reflector) call(w http.ResponseWriter, q *http.Request) *refusal {
	caller, no := r.authenticate(q)
	if no != nil {
		return no
	}
	now := r.now()
	if caller.Sessions > 0 {
		if ok, wait := r.callers.Take(caller.Name, now); !ok {
			return &refusal{429, "caller_rate", "too many offers with this token", wait}
		}
	}
	if ok, wait := r.offers.Take(struct{}{}, now); !ok {
		return &refusal{503, "rate", "busy: too many offers at once", wait}
	}
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != whip.MediaTypeSDP {
		w.Header().Set("Accept-Post", whip.MediaTypeSDP)
		return &refusal{415, "media_type", fmt.Sprintf("Content-Type %.60q: an offer is %s", q.Header.Get("Content-Type"), whip.MediaTypeSDP), 0}
	}
	offer, no := body(w, q, maxBody)
	if no != nil {
		return no
	}
	if err := offers.Check(string(offer)); err != nil {
		return &refusal{400, "offer", "offer: " + err.Error(), 0}
	}
	select {
	case r.answers <- struct{}{}:
		defer func() { <-r.answers }()
	default:
		return &refusal{503, "answers", "busy: too many offers are being answered", time.Second}
	}
	s, no := r.admit(caller, now)
	if no != nil {
		return no
	}
	// End finds the call from here on. An agent that was thrown out while its offer arrived was not found.
	if caller.Agent != "" {
		if _, no := r.authenticate(q); no != nil {
			s.end(endRevoked)
			r.forget(s)
			return no
		}
	}
	ctx, cancel := context.WithTimeout(q.Context(), answerTime)
	defer cancel()
	answer, err := s.answer(ctx, string(offer))
	if err != nil {
		s.end(endSetup)
		r.forget(s)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return &refusal{503, "answer", "busy: the answer took too long", 5 * time.Second}
		}
		if bad := (badOffer{}); errors.As(err, &bad) {
			return &refusal{400, "offer", bad.Error(), 0}
		}
		r.log.Warn("an offer could not be answered", "from", q.RemoteAddr, "error", err)
		return &refusal{500, "answer", "the offer could not be answered; the reflector's log says why", 0}
	}
	r.log.Debug("call taken", "session", s.hex(), "caller", caller.Name, "from", q.RemoteAddr)
	h := w.Header()
	h.Set("Content-Type", whip.MediaTypeSDP)
	h.Set("Location", EchoPath+"/"+s.id) // relative: what stands before this server is not known here
	h.Set("ETag", `"`+s.hex()+`"`)
	h.Set(whip.HeaderSession, s.hex())
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // a caller that is gone by now does not connect, and is ended
	return nil
}

func body(w http.ResponseWriter, q *http.Request, most int64) ([]byte, *refusal) {
	data, err := io.ReadAll(http.MaxBytesReader(w, q.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &refusal{413, "body", fmt.Sprintf("the body is larger than %d bytes", most), 0}
	case err != nil:
		w.Header().Set("Connection", "close")
		return nil, &refusal{400, "body", "the body broke off, or did not arrive in time", 0}
	}
	return data, nil
}

// resource is one call.
func (r *Reflector) resource(w http.ResponseWriter, q *http.Request) {
	const methods = "DELETE, OPTIONS"
	switch q.Method {
	case http.MethodOptions:
		options(w, methods)
		return
	case http.MethodDelete:
	case http.MethodPatch:
		r.refuse(w, notAllowed(w, methods, "neither Trickle ICE nor ICE restarts are supported: offer all candidates, or none"))
		return
	default:
		r.refuse(w, notAllowed(w, methods, "DELETE ends a call"))
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	caller, no := r.authenticate(q)
	if no != nil {
		r.refuse(w, no)
		return
	}
	r.mu.Lock()
	s := r.sessions[q.PathValue("id")]
	r.mu.Unlock()
	if s == nil || s.caller.Name != caller.Name { // whose it is is nobody else's business
		r.refuse(w, &refusal{404, "session", "no such call; it may have ended a while ago", 0})
		return
	}
	if tag := q.Header.Get("If-Match"); tag != "" && tag != "*" && tag != `"`+s.hex()+`"` {
		r.refuse(w, &refusal{412, "etag", "If-Match is not this call's ETag", 0})
		return
	}
	data, no := body(w, q, maxBody)
	if no != nil {
		r.refuse(w, no)
		return
	}
	var sent *whip.Sent
	if len(data) > 0 && strings.HasPrefix(q.Header.Get("Content-Type"), "application/json") {
		sent = new(whip.Sent)
		if err := json.Unmarshal(data, sent); err != nil {
			r.refuse(w, &refusal{400, "sent", "body: " + err.Error(), 0})
			return
		}
		if err := checkSent(sent); err != nil {
			r.refuse(w, &refusal{400, "sent", "body: " + err.Error(), 0})
			return
		}
	}
	s.end(endCaller)
	ending := s.ending(sent)
	r.forget(s)
	reply(w, ending)
}

// checkSent looks over what a caller says it has sent: it only harms itself with lies, but must not harm arithmetic.
func checkSent(sent *whip.Sent) error {
	if !(sent.MediaSeconds >= 0 && sent.MediaSeconds <= 86400) {
		return fmt.Errorf("media_seconds %v: want 0 to a day", sent.MediaSeconds)
	}
	if len(sent.Streams) > maxStreams {
		return fmt.Errorf("streams: has %d, at most %d", len(sent.Streams), maxStreams)
	}
	const most = 1 << 31
	for i, st := range sent.Streams {
		if st.Sent < 0 || st.Sent > most || st.Frames < 0 || st.Frames > most {
			return fmt.Errorf("streams[%d]: sent %d, frames %d: want 0 to %d", i, st.Sent, st.Frames, most)
		}
	}
	return nil
}

func (r *Reflector) status(w http.ResponseWriter, q *http.Request) {
	switch q.Method {
	case http.MethodOptions:
		options(w, "GET, OPTIONS")
		return
	case http.MethodGet:
	default:
		r.refuse(w, notAllowed(w, "GET, OPTIONS", "GET the status"))
		return
	}
	if _, no := r.authenticate(q); no != nil {
		r.refuse(w, no)
		return
	}
	reply(w, r.Status())
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}
