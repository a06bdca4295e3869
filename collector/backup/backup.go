// Package backup is how the command line has a running collector copy its databases: HTTP over the collector's socket,
// which only programs of the same user on the same machine can open. A store has one owner, so nobody else can copy it
// meanwhile.
package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
)

// Path is where Handler is mounted.
const Path = "/backup"

const (
	maxOrder  = 64 << 10 // bytes
	maxAnswer = 4 << 10  // bytes of what went wrong
)

// order says where the copy is to be.
type order struct {
	Dir string `json:"dir"`
}

// Handler has copy make the copies that are ordered, each into a folder of its own.
func Handler(copy func(ctx context.Context, dir string) error, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var o order
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&o)
		if err == nil && !filepath.IsAbs(o.Dir) {
			err = fmt.Errorf("%q is not an absolute path", o.Dir)
		}
		if err == nil {
			err = copy(r.Context(), o.Dir)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		log.Info("backup made", "dir", o.Dir)
		w.WriteHeader(http.StatusNoContent)
	})
}

// Ask orders a copy into dir, an absolute path, and waits for it. client reaches the collector.
func Ask(ctx context.Context, client *http.Client, dir string) error {
	body, err := json.Marshal(order{Dir: dir})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://collector"+Path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running collector: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return fmt.Errorf("the running collector could not: %s", text)
	}
	return nil
}
