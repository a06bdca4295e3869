package ingest_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/collector/ingest"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/probes/wire"
)

// asking is a registry that looks tokens up for as long as the client is there.
type asking struct{ *clerk }

func (a asking) Authenticate(ctx context.Context, secret string) (registry.Identity, error) {
	if err := ctx.Err(); err != nil {
		return registry.Identity{}, err
	}
	return a.clerk.Authenticate(ctx, secret)
}

// stuck is a store whose disk does not answer.
type stuck struct{ store.Store }

func (stuck) Append(ctx context.Context, _ []wire.Row) error {
	<-ctx.Done()
	return ctx.Err()
}

// leaving is a body whose client goes away with its last byte.
type leaving struct {
	io.Reader
	leave func()
}

func (l leaving) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	if err == io.EOF {
		l.leave()
	}
	return n, err
}

func healthOf(in *ingest.Ingest) int {
	w := httptest.NewRecorder()
	in.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
	return w.Code
}

// TestClientGoes: a client that goes away while its token is looked up is no failure of the registry, and one that
// goes after its last byte has its batch stored.
func TestClientGoes(t *testing.T) {
	h := open(t, ingest.Limits{})
	in := ingest.New(ingest.Options{Store: h.store, Registry: asking{h.clerk}, Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(h.log, nil))})
	ask := func(early bool) int {
		ctx, leave := context.WithCancel(context.Background())
		r := httptest.NewRequestWithContext(ctx, "POST", "/api/v2/write?bucket=communewatch&precision=ms", leaving{strings.NewReader(good), leave})
		r.Header.Set("Authorization", "Token secret")
		if early {
			leave()
		}
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, r)
		return w.Code
	}
	if code := ask(true); code != http.StatusServiceUnavailable || healthOf(in) != 200 || h.log.Len() != 0 {
		t.Errorf("gone before its token was known: %d, /health %d, log %q", code, healthOf(in), h.log)
	}
	if code := ask(false); code != 204 || len(h.store.stored()) != 1 {
		t.Errorf("gone after the last byte: %d, stored %q", code, h.store.stored())
	}
}

// TestStuckStore: a disk that does not answer holds requests for a bounded time, and is seen to fail.
func TestStuckStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := ingest.New(ingest.Options{Store: stuck{}, Registry: newClerk(), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
		answers := make(chan int)
		const clients = 30 // more than may store at once
		for range clients {
			go func() {
				r := httptest.NewRequest("POST", "/api/v2/write?bucket=communewatch&precision=ms", strings.NewReader(good))
				r.Header.Set("Authorization", "Token secret")
				w := httptest.NewRecorder()
				in.Handler().ServeHTTP(w, r)
				answers <- w.Code
			}()
		}
		begin := time.Now()
		for range clients {
			select {
			case code := <-answers:
				if code != 503 {
					t.Errorf("answered %d", code)
				}
			case <-time.After(time.Hour):
				t.Fatal("a request waits for the disk for ever")
			}
		}
		if took := time.Since(begin); took > 2*time.Minute || healthOf(in) != 503 {
			t.Errorf("took %v, /health %d", took, healthOf(in))
		}
	})
}
