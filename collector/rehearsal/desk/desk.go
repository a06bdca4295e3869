// Package desk is how the command line reaches the rehearsals of a running collector: HTTP over the collector's socket,
// which only programs of the same user on the same machine can open. So nobody is asked who they are, and what goes
// wrong arrives as the same errors that the Service returned.
package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"communewatch/collector/rehearsal"
)

// Prefix is where Handler is mounted.
const Prefix = "/rehearsal/"

const (
	maxRequest = 1 << 20  // bytes of a request: a list of sites
	maxAnswer  = 64 << 20 // bytes of an answer: a plan or a status of all sites there can be
)

// failure is an error on the wire.
type failure struct {
	Error    string              `json:"error"`
	Code     string              `json:"code,omitempty"`
	Problems []rehearsal.Problem `json:"problems,omitempty"`
}

// known maps the errors that callers tell apart to their codes.
var known = map[string]error{
	"unknown": rehearsal.ErrUnknown, "running": rehearsal.ErrRunning, "held": rehearsal.ErrHeld, "not_running": rehearsal.ErrNotRunning, "closing": rehearsal.ErrClosing,
}

// remote is an error that came over the socket: its own words, and the error it was.
type remote struct {
	text string
	is   error
}

func (r *remote) Error() string { return r.text }
func (r *remote) Unwrap() error { return r.is }

// order is what is asked for with an id, a person or a hold.
type order struct {
	ID      rehearsal.ID  `json:"id,omitempty"`
	By      string        `json:"by,omitempty"`
	Meeting string        `json:"meeting,omitempty"`
	For     time.Duration `json:"for,omitempty"`
}

// Handler serves a Service below Prefix.
func Handler(s rehearsal.Service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Prefix+"plan", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(in *rehearsal.Request) (any, error) { return s.Draft(r.Context(), *in) })
	})
	mux.HandleFunc("POST "+Prefix+"start", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(in *rehearsal.Request) (any, error) { return s.Start(r.Context(), *in) })
	})
	mux.HandleFunc("POST "+Prefix+"stop", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(in *order) (any, error) { return struct{}{}, s.Stop(r.Context(), in.ID, in.By) })
	})
	mux.HandleFunc("POST "+Prefix+"status", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(in *order) (any, error) { return s.Status(r.Context(), in.ID) })
	})
	mux.HandleFunc("POST "+Prefix+"hold", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(in *order) (any, error) {
			return s.Hold(r.Context(), rehearsal.Hold{Meeting: in.Meeting, By: in.By, For: in.For})
		})
	})
	mux.HandleFunc("GET "+Prefix+"watch", func(w http.ResponseWriter, r *http.Request) { watch(w, r, s) })
	return mux
}

func serve[T any](w http.ResponseWriter, r *http.Request, do func(in *T) (any, error)) {
	in := new(T)
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		answer(w, http.StatusBadRequest, failure{Error: "request: " + err.Error()})
		return
	}
	out, err := do(in)
	if err == nil {
		answer(w, http.StatusOK, out)
		return
	}
	f := failure{Error: err.Error()}
	var refused *rehearsal.Refused
	if errors.As(err, &refused) {
		f.Problems = refused.Problems
	}
	for code, e := range known {
		if errors.Is(err, e) {
			f.Code = code
		}
	}
	answer(w, http.StatusConflict, f)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked is gone
}

// watch sends events as lines of JSON until the reader is gone or too slow, or the collector stops.
func watch(w http.ResponseWriter, r *http.Request, s rehearsal.Service) {
	events, cancel := s.Subscribe()
	defer cancel()
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	_ = control.Flush() // so that the reader knows it hears everything from now on
	lines := json.NewEncoder(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case e, open := <-events:
			if !open {
				return
			}
			if lines.Encode(e) != nil || control.Flush() != nil {
				return
			}
		}
	}
}

// Client asks a running collector. Its HTTP client must lead to the socket, whatever the address.
type Client struct{ HTTP *http.Client }

func ask[T any](ctx context.Context, c Client, what string, in any) (out T, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://collector"+Prefix+what, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	d := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode == http.StatusOK {
		if err := d.Decode(&out); err != nil {
			return out, fmt.Errorf("answer of the collector: %w", err)
		}
		return out, nil
	}
	var f failure
	if err := d.Decode(&f); err != nil {
		return out, fmt.Errorf("the collector answers %s; is it an older one?", resp.Status)
	}
	if len(f.Problems) > 0 {
		return out, &rehearsal.Refused{Problems: f.Problems}
	}
	return out, &remote{f.Error, known[f.Code]}
}

// Draft is Service.Draft.
func (c Client) Draft(ctx context.Context, r rehearsal.Request) (rehearsal.Plan, error) {
	return ask[rehearsal.Plan](ctx, c, "plan", r)
}

// Start is Service.Start.
func (c Client) Start(ctx context.Context, r rehearsal.Request) (rehearsal.ID, error) {
	return ask[rehearsal.ID](ctx, c, "start", r)
}

// Stop is Service.Stop.
func (c Client) Stop(ctx context.Context, id rehearsal.ID, by string) error {
	_, err := ask[struct{}](ctx, c, "stop", order{ID: id, By: by})
	return err
}

// Status is Service.Status.
func (c Client) Status(ctx context.Context, id rehearsal.ID) (rehearsal.Status, error) {
	return ask[rehearsal.Status](ctx, c, "status", order{ID: id})
}

// Hold is Service.Hold.
func (c Client) Hold(ctx context.Context, h rehearsal.Hold) (rehearsal.Hold, error) {
	return ask[rehearsal.Hold](ctx, c, "hold", order{Meeting: h.Meeting, By: h.By, For: h.For})
}

// Watch returns what happens from now on; next returns io.EOF at the end. close must be called.
func (c Client) Watch(ctx context.Context) (next func() (rehearsal.Event, error), closer func(), err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://collector"+Prefix+"watch", nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, nil, errors.New("the collector answers " + strconv.Itoa(resp.StatusCode) + "; is it an older one?")
	}
	lines := json.NewDecoder(resp.Body)
	return func() (e rehearsal.Event, err error) {
		err = lines.Decode(&e)
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
			err = io.EOF // killed, rather than stopped
		}
		return e, err
	}, func() { resp.Body.Close() }, nil
}
