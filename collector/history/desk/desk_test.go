package desk

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/history"
)

type keeper struct {
	got  Order
	fail error
}

func (k *keeper) Rebuild(_ context.Context, from, to time.Time, sites []string) (int, error) {
	k.got = Order{from, to, sites}
	return 48, k.fail
}

func (k *keeper) Progress() history.Progress {
	return history.Progress{To: day, Pending: 3, Oldest: day.Add(-time.Hour), Failed: "disk full", Since: day}
}

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// direct brings requests to a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestOrdersArriveAndErrorsComeBack(t *testing.T) {
	k := &keeper{}
	client := &http.Client{Transport: direct{Handler(k)}}
	want := Order{day, day.Add(24 * time.Hour), []string{"s1", "s2"}}
	n, err := Rebuild(t.Context(), client, want)
	if err != nil || n != 48 || !k.got.From.Equal(want.From) || !k.got.To.Equal(want.To) || !slices.Equal(k.got.Sites, want.Sites) {
		t.Errorf("%d, %v, %+v", n, err, k.got)
	}
	if p, err := Status(t.Context(), client); err != nil || p != k.Progress() {
		t.Errorf("%+v, %v", p, err)
	}
	k.fail = errors.New("too many at once")
	if _, err := Rebuild(t.Context(), client, want); err == nil || !strings.Contains(err.Error(), "too many at once") {
		t.Error(err)
	}
	k.got = Order{}
	if _, err := Rebuild(t.Context(), client, Order{From: day, To: day}); err == nil || !strings.Contains(err.Error(), "from must be before to") {
		t.Error(err)
	}
	for _, body := range []string{"", "{", `{"form":1}`, `{"from":"` + strings.Repeat("x", maxRequest) + `"}`} {
		w := httptest.NewRecorder()
		Handler(k).ServeHTTP(w, httptest.NewRequest(http.MethodPost, Prefix+"rebuild", strings.NewReader(body)))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%.20q: %d", body, w.Code)
		}
	}
	if k.got.Sites != nil || !k.got.From.IsZero() {
		t.Errorf("what is no order arrived: %+v", k.got)
	}
}
