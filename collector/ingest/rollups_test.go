package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/probes/wire"
)

// touched is a keeper of rollups that writes down what it was told.
type touched struct {
	store *memory
	told  []string
	fail  error
}

func (k *touched) Touch(_ context.Context, site string, times []int64) error {
	if len(k.store.stored()) == 0 {
		return errors.New("told before the rows were stored")
	}
	for _, t := range times {
		k.told = append(k.told, fmt.Sprint(site, " ", time.UnixMilli(t).UTC().Format("02T15:04")))
	}
	return k.fail
}

// Whoever keeps rollups is told of each hour that got rows, after they are stored and before the agent is answered; if he
// can't note it, the agent must send the batch again.
func TestRollupsAreToldBeforeTheAnswer(t *testing.T) {
	h := open(t, ingest.Limits{})
	keeper := &touched{store: h.store}
	h.in = ingest.New(ingest.Options{Store: h.store, Registry: h.clerk, Judge: h.judge, Rules: health.DefaultRules(), Rollups: keeper,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	h.server.Config.Handler = h.in.Handler()
	line := func(at time.Time) string {
		return "tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=0.25 " + stamp(at) + "\n"
	}
	hour := now.Truncate(time.Hour)
	body := line(hour.Add(-time.Minute)) + line(hour.Add(-2*time.Minute)) + line(hour.Add(-25*time.Hour)) + line(hour.Add(-30*time.Minute)) + line(hour.Add(-40*24*time.Hour))
	if a := h.send("secret", []byte(body)); a.status != http.StatusBadRequest { // the last one is too old
		t.Fatalf("%d %s", a.status, a.message)
	}
	want := []string{"s1 " + hour.Add(-time.Hour).Format("02T15:04"), "s1 " + hour.Add(-25*time.Hour).Format("02T15:04")}
	if !slices.Equal(keeper.told, want) {
		t.Errorf("told %q, want %q", keeper.told, want)
	}
	keeper.fail = errors.New("disk full")
	if a := h.send("secret", []byte(line(hour.Add(-time.Minute)))); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.message)
	}
	keeper.fail, keeper.told = nil, nil
	if a := h.send("telegraf", []byte("own,x=1 v=1 "+stamp(now))); a.status != http.StatusNoContent || len(keeper.told) > 0 {
		t.Errorf("a writer's rows: %d, told %q", a.status, keeper.told)
	}
}

// What time it is on agents' machines is told of batches that are refused too: that is when it is asked for.
func TestTimeOfAgentsIsTold(t *testing.T) {
	h := open(t, ingest.Limits{})
	told := map[string]time.Time{}
	h.in = ingest.New(ingest.Options{Store: h.store, Registry: h.clerk, Ready: func() bool { return false }, Now: func() time.Time { return now },
		Told: func(site string, at time.Time) { told[site] = at }, Log: slog.New(slog.DiscardHandler)})
	h.server.Config.Handler = h.in.Handler()
	at := now.Add(-5 * 365 * 24 * time.Hour)
	numbered := func(r *http.Request) {
		for name, value := range map[string]string{wire.HeaderAgent: "a1", wire.HeaderBoot: "b1", wire.HeaderSeq: "1", wire.HeaderClock: "1",
			wire.HeaderSentAt: fmt.Sprint(at.UnixMilli())} {
			r.Header.Set(name, value)
		}
	}
	line := []byte("tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=0.25 " + stamp(now))
	for _, secret := range []string{"wrong", "telegraf"} {
		h.send(secret, line, numbered)
	}
	if len(told) > 0 {
		t.Errorf("told by who is no agent: %v", told)
	}
	a := h.send("secret", line, numbered)
	if a.status != http.StatusServiceUnavailable || a.header.Get(wire.HeaderReceivedAt) != "" {
		t.Errorf("%d, and it is told that it is %q", a.status, a.header.Get(wire.HeaderReceivedAt))
	}
	if len(told) != 1 || told["s1"].Sub(at).Abs() > time.Second {
		t.Errorf("told %v, want %v", told, at)
	}
}

// While the collector still reads the past it refuses batches in a way that makes agents send them again.
func TestBatchesWaitUntilThePastWasRead(t *testing.T) {
	h := open(t, ingest.Limits{})
	var ready atomic.Bool
	h.in = ingest.New(ingest.Options{Store: h.store, Registry: h.clerk, Ready: ready.Load, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	h.server.Config.Handler = h.in.Handler()
	line := []byte("tcp,agent=a1,path=lan,site=s1,target=gw connect_seconds=0.25 " + stamp(now))
	if a := h.send("secret", line); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || len(h.store.stored()) > 0 {
		t.Errorf("%d %q, %v", a.status, a.header.Get("Retry-After"), h.store.stored())
	}
	if a := h.send("wrong", line); a.status != http.StatusUnauthorized {
		t.Errorf("a wrong token is told so at once: %d", a.status)
	}
	ready.Store(true)
	if a := h.send("secret", line); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.message)
	}
}
