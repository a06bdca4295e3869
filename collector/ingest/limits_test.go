package ingest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"communewatch/collector/ingest"
)

// stall is a body that brings n bytes of a comment, says so, and then nothing until it is let go.
type stall struct {
	n       int
	arrived func()
	leave   chan struct{}
}

func (s *stall) Read(b []byte) (int, error) {
	if s.n == 0 {
		s.arrived()
		<-s.leave
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(b), s.n)
	copy(b, strings.Repeat("#", n))
	s.n -= n
	return n, nil
}

// stalled opens requests of one token that announce a length, send so many bytes of it and then nothing more. It
// returns how many of them were turned away at once, and a function that ends the others.
func (h *house) stalled(requests, announced, sent int) (refused []int, end func()) {
	leave := make(chan struct{})
	var ready, all sync.WaitGroup
	var mu sync.Mutex
	for range requests {
		ready.Add(1)
		all.Go(func() {
			var once sync.Once
			arrived := func() { once.Do(ready.Done) }
			r := httptest.NewRequest("POST", "/api/v2/write?bucket=communewatch", &stall{sent, arrived, leave})
			r.ContentLength = int64(announced)
			r.Header.Set("Authorization", "Token secret")
			w := httptest.NewRecorder()
			h.in.Handler().ServeHTTP(w, r)
			select {
			case <-leave:
			default:
				mu.Lock()
				refused = append(refused, w.Code)
				mu.Unlock()
			}
			arrived()
		})
	}
	ready.Wait()
	return refused, func() { close(leave); all.Wait() }
}

// TestAnnouncedLengthsHoldNothing: who promises much and sends one byte takes no memory from the others.
func TestAnnouncedLengthsHoldNothing(t *testing.T) {
	h := open(t, ingest.Limits{})
	before := h.in.Budget()
	refused, end := h.stalled(24, 16<<20, 1)
	defer end()
	if len(refused) != 0 {
		t.Errorf("turned away: %v", refused)
	}
	if held := before - h.in.Budget(); held > 1<<20 {
		t.Errorf("24 bytes hold %d bytes of the budget", held)
	}
	line := strings.Replace(good, "site=s1", "site=s2", 1)
	if a := h.send("secret-s2", []byte(line+strings.Repeat("\n"+line, 1000))); a.status != 204 {
		t.Errorf("another site's batch: %d %q", a.status, a.message)
	}
}

// TestTokenShare: one token's bodies take their share of the memory and no more.
func TestTokenShare(t *testing.T) {
	h := open(t, ingest.Limits{BudgetBytes: 4 << 20, TokenBytes: 256 << 10})
	before := h.in.Budget()
	refused, end := h.stalled(8, 200<<10, 50<<10)
	if len(refused) != 4 || refused[0] != http.StatusTooManyRequests {
		t.Errorf("of 8 bodies of 64 KiB in memory, with a share of 256 KiB, were turned away: %v", refused)
	}
	line := strings.Replace(good, "site=s1", "site=s2", 1)
	if a := h.send("secret-s2", []byte(line+strings.Repeat("\n"+line, 1000))); a.status != 204 {
		t.Errorf("another site's batch: %d %q", a.status, a.message)
	}
	end()
	if got := h.in.Budget(); got != before {
		t.Errorf("%d of %d bytes came back", got, before)
	}
	if a := h.send("secret", make([]byte, 256<<10)); a.status != 413 {
		t.Errorf("a body that never fits the share: %d %q, want 413", a.status, a.message)
	}
}
