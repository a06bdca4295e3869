package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/collector/clock"
	"communewatch/probes/wire"
)

// A collector whose machine wakes up five years ahead takes nothing in and removes nothing, says so, tells agents no time,
// and goes on once the clock is right.
func TestClockThatIsYearsAheadChangesNothing(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(t, dir)
	secret := register(t, cfg, "s1")
	client := &http.Client{Timeout: 10 * time.Second}
	row := func(at time.Time) string {
		return fmt.Sprintf("icmp,agent=pc,path=lan,site=s1,target=hub sent=5i,lost=0i %d", at.UnixNano())
	}
	first := run(t, cfg, client)
	if status, said := first.write(t, secret, row(time.Now())); status != http.StatusNoContent {
		t.Fatalf("%d: %s", status, said)
	}
	first.stop()
	certificate, err := os.ReadFile(filepath.Join(cfg.AuthorityDir(), "authorities.json"))
	if err != nil {
		t.Fatal(err)
	}

	var ahead atomic.Int64
	ahead.Store(int64(5 * 365 * 24 * time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	c := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Version: "test", Ready: func(a string) { ready <- a },
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	go func() { done <- c.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.CloseIdleConnections()
	}()
	r := running{url: "http://" + <-ready, client: client}

	req, err := http.NewRequest(http.MethodPost, r.url+"/api/v2/write?org=communewatch&bucket=communewatch", strings.NewReader(row(time.Now())))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+secret)
	for name, value := range map[string]string{wire.HeaderAgent: "pc", wire.HeaderBoot: "b1", wire.HeaderSeq: "1", wire.HeaderClock: "1",
		wire.HeaderSentAt: strconv.FormatInt(time.Now().UnixMilli(), 10)} {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || resp.Header.Get(wire.HeaderReceivedAt) != "" {
		t.Errorf("a batch: %d, %v", resp.StatusCode, resp.Header)
	}
	var said struct {
		Clock *struct {
			Differ int `json:"differ"`
		} `json:"clock"`
		Store struct {
			Text string `json:"text"`
		} `json:"store"`
	}
	get := func(path string) string {
		resp, err := client.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	if err := json.Unmarshal([]byte(get("/api/v1/status?lang=vi")), &said); err != nil || said.Clock == nil || said.Clock.Differ != 1 || !strings.HasPrefix(said.Store.Text, "Đồng hồ máy chủ") {
		t.Errorf("%v, %+v", err, said)
	}
	if page := get("/?lang=vi"); !strings.Contains(page, "Đồng hồ máy chủ chưa đáng tin") {
		t.Error("the map does not say that the clock is in doubt")
	}
	if metrics := get("/metrics"); !strings.Contains(metrics, "communewatch_clock_doubted 1") {
		t.Error("metrics don't tell of the doubt")
	}
	if d, err := clock.Status(t.Context(), Socket(cfg)); err != nil || d == nil {
		t.Errorf("the command line is told %+v, %v", d, err)
	}
	if now := c.o.Now(); now.Sub(time.Now()) > time.Hour {
		t.Errorf("the collector goes by %v", now)
	}
	if after, err := os.ReadFile(filepath.Join(cfg.AuthorityDir(), "authorities.json")); err != nil || string(after) != string(certificate) {
		t.Errorf("the authority has changed: %v", err)
	}

	ahead.Store(0)
	if status, said := r.write(t, secret, row(time.Now())); status != http.StatusNoContent {
		t.Errorf("the clock is right again: %d: %s", status, said)
	}
}
