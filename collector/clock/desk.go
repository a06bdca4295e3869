package clock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"communewatch/collector/audit"
)

// Prefix is where Handler is mounted, on the socket for programs of the collector's user.
const Prefix = "/clock/"

const (
	maxAnswer = 64 << 10 // bytes
	maxName   = 200      // bytes of who confirms
)

// order is who confirms.
type order struct {
	By string `json:"by"`
}

// Answer says how it stands with the clock.
type Answer struct {
	Doubt *Doubt `json:"doubt,omitempty"` // nil: it is believed
}

// Handler answers the command line below Prefix. That a person confirmed a clock is recorded.
func Handler(c *Clock, record audit.Recorder) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, a Answer) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a) // who asked is gone
	}
	mux.HandleFunc("GET "+Prefix+"status", func(w http.ResponseWriter, _ *http.Request) { answer(w, Answer{c.Doubt()}) })
	mux.HandleFunc("POST "+Prefix+"confirm", func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAnswer)).Decode(&o); err != nil || o.By == "" || len(o.By) > maxName {
			http.Error(w, "say who confirms", http.StatusBadRequest)
			return
		}
		was := c.Doubt()
		err := c.Confirm(o.By)
		if was != nil {
			// Recorded under the time that was confirmed.
			err = errors.Join(err, record.Record(context.WithoutCancel(r.Context()), audit.Entry{At: c.Now(), Who: o.By, Via: "command", Act: "clock.confirm",
				What: was.Machine.Format("2006-01-02 15:04 UTC"), Detail: "expected " + was.Believed.Format("2006-01-02 15:04 UTC"), OK: true}))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, Answer{was})
	})
	return mux
}

// Status asks a running collector how it stands with its clock. client reaches it.
func Status(ctx context.Context, client *http.Client) (*Doubt, error) {
	return ask(ctx, client, http.MethodGet, "status", "")
}

// Confirm tells a running collector that its clock is right, and returns the doubt that this ended; nil: there was none.
func Confirm(ctx context.Context, client *http.Client, by string) (*Doubt, error) {
	body, err := json.Marshal(order{by})
	if err != nil {
		return nil, err
	}
	return ask(ctx, client, http.MethodPost, "confirm", string(body))
}

func ask(ctx context.Context, client *http.Client, method, what, body string) (*Doubt, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://collector"+Prefix+what, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running collector: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask the running collector: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the running collector could not: %s", strings.TrimSpace(string(text)))
	}
	var a Answer
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("the running collector's answer can't be read; are both of one version? %w", err)
	}
	return a.Doubt, nil
}
