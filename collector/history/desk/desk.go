// Package desk is how the command line reaches the rollups of a running collector: HTTP over the collector's socket,
// which only programs of the same user on the same machine can open.
package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"communewatch/collector/history"
)

// Prefix is where Handler is mounted.
const Prefix = "/rollups/"

// maxRequest is above an order that names every site there can be.
const maxRequest = 1 << 20

// Keeper is what orders are for; *history.Keeper is one.
type Keeper interface {
	Rebuild(ctx context.Context, from, to time.Time, sites []string) (int, error)
	Progress() history.Progress
}

// Order has hours in [From, To) worked out anew.
type Order struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Sites []string  `json:"sites,omitempty"` // none: all
}

// marked is the answer to an Order.
type marked struct {
	Hours int `json:"hours"`
}

// Handler answers orders below Prefix.
func Handler(k Keeper) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Prefix+"rebuild", func(w http.ResponseWriter, r *http.Request) {
		var o Order
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			http.Error(w, "order: "+err.Error(), http.StatusBadRequest)
			return
		}
		if !o.From.Before(o.To) {
			http.Error(w, "order: from must be before to", http.StatusBadRequest)
			return
		}
		n, err := k.Rebuild(r.Context(), o.From, o.To, o.Sites)
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		answer(w, marked{n})
	})
	mux.HandleFunc("GET "+Prefix+"status", func(w http.ResponseWriter, _ *http.Request) { answer(w, k.Progress()) })
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked is gone
}

// Rebuild sends an order and returns how many hours of sites were marked. client reaches the collector.
func Rebuild(ctx context.Context, client *http.Client, o Order) (int, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	var m marked
	err = ask(ctx, client, http.MethodPost, "rebuild", body, &m)
	return m.Hours, err
}

// Status asks how far rollups are.
func Status(ctx context.Context, client *http.Client) (p history.Progress, err error) {
	err = ask(ctx, client, http.MethodGet, "status", nil, &p)
	return p, err
}

func ask(ctx context.Context, client *http.Client, method, what string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://collector"+Prefix+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running collector: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("the running collector could not: %s", bytes.TrimSpace(text))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(into); err != nil {
		return errors.Join(errors.New("the running collector's answer can't be read; are both of one version?"), err)
	}
	return nil
}
