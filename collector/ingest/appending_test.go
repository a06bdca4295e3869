package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/probes/wire"
)

// hall is a store whose Appends wait until enough of them are inside at once.
type hall struct {
	store.Store // the methods that ingest does not call
	enough      int
	open        chan struct{}

	mu                  sync.Mutex
	came, inside, crowd int // Appends so far; rows inside, now and at most
}

func (h *hall) Append(_ context.Context, rows []wire.Row) error {
	h.mu.Lock()
	h.came++
	h.inside += len(rows)
	h.crowd = max(h.crowd, h.inside)
	if h.came == h.enough { // Appends of later ones find it open
		close(h.open)
	}
	h.mu.Unlock()
	defer func() { h.mu.Lock(); h.inside -= len(rows); h.mu.Unlock() }()
	select {
	case <-h.open:
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("alone: %d of %d came", h.came, h.enough)
	}
}

// crowdIn lets clients send a batch of lines each at the same time, and fails the test if one is not taken.
func (h *hall) crowdIn(t *testing.T, clients, lines int) {
	t.Helper()
	h.open = make(chan struct{})
	clerk := newClerk()
	in := ingest.New(ingest.Options{Store: h, Registry: clerk, Rules: health.DefaultRules(), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	handler := in.Handler()
	clerk.tokens = map[string]registry.Identity{}
	for c := range clients {
		clerk.tokens[fmt.Sprint("k", c)] = registry.Identity{Token: fmt.Sprint("k", c), Kind: registry.KindAgent, Site: fmt.Sprint("k", c)}
	}
	var all sync.WaitGroup
	for secret := range clerk.tokens {
		all.Go(func() {
			body := strings.Repeat(fmt.Sprintf("tcp,agent=a1,path=lan,site=%s,target=gw connect_seconds=1\n", secret), lines)
			r := httptest.NewRequest("POST", "/api/v2/write?bucket=communewatch", strings.NewReader(body))
			r.Header.Set("Authorization", "Token "+secret)
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, r); w.Code != http.StatusNoContent {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
}

// A store that waits, as one does that is a database on the network, gets the batches of as many agents at once as there
// are: it can store them together.
func TestStoreMeetsManyBatchesAtOnce(t *testing.T) {
	clients := runtime.GOMAXPROCS(0) + 20
	h := &hall{enough: clients}
	h.crowdIn(t, clients, 3)
}

// The rows that wait in a store are bounded, however many agents come.
func TestRowsInStoreAreBounded(t *testing.T) {
	const most, batch = 40_000, 5000
	h := &hall{enough: most / batch}
	h.crowdIn(t, 3*most/batch, batch)
	if h.crowd != most {
		t.Errorf("%d rows were in the store at once, want %d", h.crowd, most)
	}
}
