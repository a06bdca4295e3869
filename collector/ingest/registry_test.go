package ingest_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
	"communewatch/inventory"
)

// TestWithRealStores takes one batch all the way: a token made in the real registry, rows in the real store, the
// account of batches, and the times of a clock that is an hour slow, which a replay must not double.
func TestWithRealStores(t *testing.T) {
	ctx := context.Background()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	clock := func() time.Time { return now }
	r, err := registry.Open(ctx, filepath.Join(t.TempDir(), "registry.sqlite"), registry.Options{Log: quiet, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Log: quiet, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := r.ImportSites(ctx, []inventory.Site{{ID: "s1", Name: "Tích Sơn", Code: "08707"}}, false); err != nil {
		t.Fatal(err)
	}
	secret, made, err := r.CreateToken(ctx, registry.Token{Kind: registry.KindAgent, Site: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, ingest.Limits{})
	h.in = ingest.New(ingest.Options{Store: s, Registry: r, Judge: h.judge, Rules: health.DefaultRules(), Now: clock, Log: quiet})
	h.server.Config.Handler = h.in.Handler()

	hour := now.Add(-time.Hour)
	line := "tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=0.25 " + stamp(hour.Add(-time.Minute))
	headers := append(numbered("2"), header("Communewatch-Sent-At", stamp(hour)))
	for range 3 {
		if a := h.send(secret, []byte(line), headers...); a.status != 204 {
			t.Fatalf("%d %q", a.status, a.message)
		}
		headers[1] = header("Communewatch-Sent-At", "") // as a later boot replays it
	}
	if err := h.in.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	var times []int64
	err = s.Select(ctx, store.Query{Measurement: "tcp", From: now.Add(-48 * time.Hour), To: now.Add(time.Hour)}, func(series store.Series) error {
		times = append(times, series.Times...)
		return nil
	})
	if err != nil || len(times) != 1 || times[0] != now.Add(-time.Minute).UnixMilli() {
		t.Errorf("stored at %v (%v), want once at %d", times, err, now.Add(-time.Minute).UnixMilli())
	}
	accounts, err := r.Accounts(ctx, "s1")
	if err != nil || len(accounts) != 1 || accounts[0].Highest != 2 || accounts[0].Received != 1 || accounts[0].Missing != 1 {
		t.Errorf("accounts %+v, %v", accounts, err)
	}
	if err := r.RevokeToken(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Authenticate(ctx, secret); !errors.Is(err, registry.ErrRevoked) {
		t.Errorf("after revocation: %v", err)
	}
	if a := h.send(secret, []byte(line)); a.status != 401 || !strings.Contains(a.message, "revoked") {
		t.Errorf("%d %q", a.status, a.message)
	}
}

func stamp(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
