package orders

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/agent/ship"
	"communewatch/probes"
	"communewatch/probes/orders"
)

// bench is an agent whose checks take as long as their names say, such as c5 for five seconds.
type bench struct {
	mu         sync.Mutex
	ran        []string
	most, here int
	looks      int
	lookErr    error
}

func (b *bench) run(ctx context.Context, check string, started func()) orders.Ran {
	var n int
	if _, err := fmt.Sscanf(check, "c%d", &n); err != nil {
		return orders.Ran{Phase: orders.PhaseRefused, Reason: "the agent has no such check"}
	}
	b.mu.Lock()
	b.ran = append(b.ran, check)
	b.here++
	b.most = max(b.most, b.here)
	b.mu.Unlock()
	started()
	wait(ctx, time.Duration(n)*time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.here--
	if ctx.Err() != nil {
		return orders.Ran{Phase: orders.PhaseDone, Outcome: "canceled", Reason: "the agent was stopping"}
	}
	return orders.Ran{Phase: orders.PhaseDone, Outcome: "ok", Took: orders.Seconds(time.Duration(n) * time.Second), Path: probes.PathLAN, Proof: probes.ProofUnproven}
}

func (b *bench) look(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	return b.lookErr
}

// startBench runs a client that runs checks; stop ends it.
func startBench(t *testing.T, b *bench) (c *centre, client *Client, stop func()) {
	c = newCentre(t)
	o := Options{Agent: "pc", Gate: NewGate(nil, time.Now), Log: slog.New(slog.DiscardHandler), Run: b.run,
		Look:       map[string]func(context.Context) error{orders.LookWork: b.look},
		Collectors: []ship.Collector{{URL: "https://a", Token: "secret"}},
		transport:  func(ship.Collector) (http.RoundTripper, error) { return c, nil }}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	client = New(o)
	go func() { done <- client.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	synctest.Wait()
	return c, client, stop
}

func runOf(id string, checks ...string) orders.Order {
	return orders.Order{ID: id, Kind: orders.KindRun, Expires: seconds(20), Run: &orders.Run{Checks: checks}}
}

func TestChecksRunAtOnceAndAreReportedAsTheyEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &bench{}
		c, _, _ := startBench(t, b)
		c.tell(runOf("r1", "c1", "c30", "other"))
		c.pass(40 * time.Second)
		// What is not sent yet when there is something newer to say is not sent.
		if got := c.take(); !strings.HasSuffix(got, "0s r1 started; 1s r1 started; 30s r1 done ok") || strings.Count(got, ";") > 4 {
			t.Errorf("reported %s", got)
		}
		// The same order again, and the same checks by another one too soon.
		c.tell(runOf("r1", "c1", "c30", "other"))
		c.tell(runOf("r2", "c2", "c1"))
		c.pass(3 * time.Second)
		c.tell(runOf("r3", "c2"))
		c.pass(time.Second)
		got := c.take()
		if !strings.Contains(got, "40s r1 done ok; ") || !strings.Contains(got, "42s r2 done ok") || !strings.Contains(got, "43s r3 refused c2: it was run by order 3s ago; once in 10s is enough") {
			t.Errorf("reported %s", got)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.ran) != 4 {
			t.Errorf("ran %v", b.ran)
		}
	})
}

func TestTwentyChecksAreRunAFewAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &bench{}
		c, _, _ := startBench(t, b)
		var all []string
		for i := range orders.MaxRuns {
			all = append(all, fmt.Sprintf("c%d", i+1))
		}
		c.tell(runOf("r1", all...))
		c.pass(time.Minute)
		if got := c.take(); !strings.HasSuffix(got, "r1 done ok") {
			t.Errorf("reported %s", got)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.ran) != orders.MaxRuns || b.most != runsAtOnce {
			t.Errorf("%d ran, %d at once", len(b.ran), b.most)
		}
	})
}

func TestOrdersToRunChecksAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, _ := startBench(t, &bench{})
		for i := range maxRuns + 1 {
			c.tell(runOf(fmt.Sprintf("r%d", i), fmt.Sprintf("c%d", 20+i)))
		}
		synctest.Wait()
		if got := c.take(); !strings.Contains(got, "r4 refused 4 orders to run checks are under way") {
			t.Errorf("reported %s", got)
		}
		c.pass(time.Minute)
	})
}

// Whoever clicks again and again does not take the line for himself.
func TestRunsWithMediaAreCountedAsCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, client, _ := startBench(t, &bench{})
		client.SetCallers([]Caller{{Check: "c200", Path: probes.PathDedicated}})
		synctest.Wait()
		c.pass(time.Second)
		for i := range 10 {
			c.tell(runOf(fmt.Sprintf("r%d", i), "c200"))
			c.pass(210 * time.Second)
		}
		got := c.take()
		if n := strings.Count(got, "done ok"); n != 9 || !strings.Contains(got, "r9 refused c200: calls by order took 30m0s of the last hour") {
			t.Errorf("reported %s", got)
		}
	})
}

func TestEndOfTheAgentEndsOrderedRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &bench{}
		c, _, stop := startBench(t, b)
		c.tell(runOf("r1", "c100", "c200"))
		time.Sleep(time.Second)
		begin := time.Now()
		stop()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v to end", took)
		}
	})
}

func TestLooksAreToldWhatCameOfThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &bench{}
		c, _, _ := startBench(t, b)
		lookOf := func(id, what string) orders.Order {
			return orders.Order{ID: id, Kind: orders.KindLook, Expires: seconds(20), Look: what}
		}
		c.tell(lookOf("l1", orders.LookWork))
		c.tell(lookOf("l2", orders.LookRelease))
		b.mu.Lock()
		b.lookErr = errors.New("the work was refused: checks[0].address: 8.8.8.8 is forbidden")
		b.mu.Unlock()
		c.tell(lookOf("l3", orders.LookWork))
		synctest.Wait()
		got := c.take()
		for _, want := range []string{"l1 done ok", "l2 refused the agent looks for no release", "l3 done failed the work was refused"} {
			if !strings.Contains(got, want) {
				t.Errorf("reported %s; want %s", got, want)
			}
		}
	})
}

// When other checks can be called with, the collector is told by a new channel; else the old one stays.
func TestOtherCallersOpenTheChannelAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, client, _ := startBench(t, &bench{})
		hub := Caller{Check: "hub", Path: probes.PathDedicated}
		client.SetCallers([]Caller{hub})
		synctest.Wait()
		client.SetCallers([]Caller{hub})
		c.pass(time.Minute)
		if got := c.channels(); len(got) != 2 || got[1] != "a 0s" {
			t.Errorf("channels %v", got)
		}
	})
}
