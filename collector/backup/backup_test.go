package backup

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// direct brings requests to a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestOrdersArriveAndErrorsComeBack(t *testing.T) {
	var copied []string
	fail := error(nil)
	h := Handler(func(_ context.Context, dir string) error { copied = append(copied, dir); return fail }, slog.New(slog.DiscardHandler))
	client := &http.Client{Transport: direct{h}}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := Ask(t.Context(), client, dir); err != nil || len(copied) != 1 || copied[0] != dir {
		t.Fatalf("copied %q, %v", copied, err)
	}
	fail = errors.New("the disk is full")
	if err := Ask(t.Context(), client, dir); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("what went wrong is not told: %v", err)
	}
	copied = nil
	for _, bad := range []string{"", "copy", "../copy"} {
		if err := Ask(t.Context(), client, bad); err == nil || !strings.Contains(err.Error(), "absolute") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(`{"dir":"`+strings.Repeat("x", maxOrder)+`"}`)))
	if w.Code == http.StatusNoContent || len(copied) != 0 {
		t.Errorf("an endless order: %d, copied %q", w.Code, copied)
	}
}
