package ship

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes/wire"
)

// with puts scripted collectors behind made-up hosts; no sockets.
func with(hosts handlers, names ...string) Options {
	o := Options{BacklogBytesPerSecond: -1, transport: func(Collector) http.RoundTripper { return hosts }}
	for _, n := range names {
		o.Collectors = append(o.Collectors, Collector{URL: "http://" + n})
	}
	return o
}

func TestNewestGoFirstAndTheBacklogClosesFromBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(take)
		sp := openSpool(t, t.TempDir(), "b1")
		for range 12 {
			put(t, sp, 1, "a f=1 1\n")
		}
		_, stop := start(t, with(handlers{"one": c}, "one"), sp)
		synctest.Wait()
		if got, want := seqs(c.seen()), "12 11 10 9 1 8 7 6 2 5 4 3"; got != want {
			t.Errorf("order %s, want %s", got, want)
		}
		stop()
	})
}

func TestNewBatchesDoNotWaitForABoundedBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(take)
		sp := openSpool(t, t.TempDir(), "b1")
		for i := range 200 {
			put(t, sp, 1, noise(i))
		}
		o := with(handlers{"one": c}, "one")
		o.BacklogBytesPerSecond = 500
		sh, stop := start(t, o, sp)
		began := time.Now()
		for sp.Stats().Batches > 0 {
			time.Sleep(10 * time.Second)
			put(t, sp, 1, "new f=1 1\n")
			synctest.Wait()
			posts := c.seen()
			if last := posts[len(posts)-1]; !strings.HasPrefix(last.lines, "new") {
				t.Fatalf("after %v: a new batch waits behind %q", time.Since(began), last.lines)
			}
			if time.Since(began) > time.Hour {
				t.Fatal("the backlog never ends")
			}
		}
		took, bytes := time.Since(began).Seconds(), float64(sh.Stats().SentBytes)
		if speed := bytes / took; speed > 700 || speed < 300 {
			t.Errorf("%.0f bytes in %.0f s", bytes, took)
		}
		stop()
	})
}

// noise makes a line that gzip can't shorten much.
func noise(i int) string {
	var b strings.Builder
	x := uint32(i*2654435761 + 1)
	for range 60 {
		x = x*1664525 + 1013904223
		fmt.Fprintf(&b, "%08x", x)
	}
	return fmt.Sprintf("m s=%q 1\n", b.String())
}

func TestBackoffGrowsAndEndsWithTheTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(answerWith(500))
		sp := openSpool(t, t.TempDir(), "b1")
		put(t, sp, 1, "a f=1 1\n")
		_, stop := start(t, with(handlers{"one": c}, "one"), sp)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		early := len(c.seen())
		time.Sleep(time.Hour)
		n := len(c.seen()) - early
		if early < 2 || early > 5 || n < 60 || n > 200 {
			t.Errorf("%d tries in 5 s, %d in the hour after", early, n)
		}
		c.set(take)
		time.Sleep(backoffMax + time.Second)
		synctest.Wait()
		if sp.Stats().Batches != 0 {
			t.Error("not sent within a minute of the collector's return")
		}
		stop()
	})
}

// TestShortAbsenceIsFollowedByAShortPause: a collector that was away for some seconds, to restart, is found again within
// as many.
func TestShortAbsenceIsFollowedByAShortPause(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			const away = 16 * time.Second
			c := newCollector(answerWith(500))
			sp := openSpool(t, t.TempDir(), "b1")
			put(t, sp, 1, "a f=1 1\n")
			_, stop := start(t, with(handlers{"one": c}, "one"), sp)
			time.Sleep(away)
			c.set(take)
			time.Sleep(away + time.Second)
			synctest.Wait()
			if sp.Stats().Batches != 0 {
				t.Errorf("not sent %v after a collector returned that was away for %v", away+time.Second, away)
			}
			stop()
		})
	}
}

func TestRetryAfterIsObeyedWithinReason(t *testing.T) {
	for value, want := range map[string]struct{ min, max time.Duration }{
		"30":        {30 * time.Second, 34 * time.Second},
		"999999999": {10 * time.Minute, 12 * time.Minute},
		"-5":        {time.Second, 3 * time.Second},
		"junk":      {time.Second, 3 * time.Second},
	} {
		t.Run(value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				c := newCollector(func(w http.ResponseWriter, _ post) bool {
					at = append(at, time.Now())
					w.Header().Set("Retry-After", value)
					w.WriteHeader(http.StatusServiceUnavailable)
					return false
				})
				sp := openSpool(t, t.TempDir(), "b1")
				put(t, sp, 1, "a f=1 1\n")
				_, stop := start(t, with(handlers{"one": c}, "one"), sp)
				time.Sleep(15 * time.Minute)
				stop()
				if gap := at[1].Sub(at[0]); gap < want.min || gap > want.max {
					t.Errorf("asked again after %v, want %v to %v", gap, want.min, want.max)
				}
			})
		})
	}
}

func TestFailoverIsAtOnceStickyAndReturnsWithHysteresis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newCollector(take), newCollector(take)
		hosts := handlers{"one": one, "two": two}
		sp := openSpool(t, t.TempDir(), "b1")
		sh, stop := start(t, with(hosts, "one", "two"), sp)
		send := func() {
			t.Helper()
			put(t, sp, 1, "a f=1 1\n")
			synctest.Wait()
			if n := sp.Stats().Batches; n != 0 {
				t.Fatalf("%d batches wait although a collector works", n)
			}
		}
		run := func(d time.Duration) (first, second int) {
			a, b := len(one.seen()), len(two.seen())
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
				send()
			}
			return len(one.seen()) - a, len(two.seen()) - b
		}
		if a, b := run(time.Minute); a != 6 || b != 0 {
			t.Fatalf("at first: %d to the preferred, %d to the other", a, b)
		}
		one.set(answerWith(500))
		a, b := run(time.Hour)
		if b != 360 {
			t.Errorf("the other got %d of 360 batches", b)
		}
		if a < 4 || a > 10 { // the failure, then after 1, 2, 4, 8, 16, 30 minutes
			t.Errorf("the broken one was tried %d times in an hour", a)
		}
		if got := sh.Stats().Current; got != "http://two" {
			t.Errorf("current is %s", got)
		}
		one.set(take)
		run(returnMax + time.Minute)
		if got := sh.Stats().Current; got != "http://one" {
			t.Errorf("half an hour after it was repaired, current is %s", got)
		}
		// A line that flaps must not drag the agent along: every return that does not last makes the next one later.
		flips, last := 0, sh.Stats().Current
		for i := range 360 * 2 {
			if i%12 == 6 {
				one.set(answerWith(500))
			} else if i%12 == 0 {
				one.set(take)
			}
			send()
			if now := sh.Stats().Current; now != last {
				flips, last = flips+1, now
			}
			time.Sleep(10 * time.Second)
		}
		if flips > 14 {
			t.Errorf("%d changes in two hours of flapping", flips)
		}
		stop()
	})
}

func TestDeniedByOneTheOtherIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newCollector(apiError(401, "unauthorized")), newCollector(take)
		sp := openSpool(t, t.TempDir(), "b1")
		put(t, sp, 1, "a f=1 1\n")
		_, stop := start(t, with(handlers{"one": one, "two": two}, "one", "two"), sp)
		synctest.Wait()
		if !two.has("a f=1 1\n") || sp.Stats().Batches != 0 {
			t.Error("not sent to the other collector")
		}
		stop()
	})
}

func TestLastAttemptDoesNotWaitForABackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newCollector(answerWith(500)), newCollector(apiError(401, "unauthorized"))
		sp := openSpool(t, t.TempDir(), "b1")
		for range 3 {
			put(t, sp, 1, "a f=1 1\n")
		}
		_, stop := start(t, with(handlers{"one": one, "two": two}, "one", "two"), sp)
		time.Sleep(10 * time.Minute)
		two.set(take) // while both are being left alone
		stop()
		if n := sp.Stats().Batches; n != 0 {
			t.Errorf("%d batches were not sent at the end", n)
		}
	})
}

func TestCollectorThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := newCollector(take)
		sp := openSpool(t, t.TempDir(), "b1")
		put(t, sp, 1, "a f=1 1\n")
		_, stop := start(t, with(handlers{"hang": nil, "two": two}, "hang", "two"), sp)
		time.Sleep(requestTimeout + time.Second)
		synctest.Wait()
		if !two.has("a f=1 1\n") {
			t.Error("not sent to the other collector after the timeout")
		}
		stop()
	})
}

func TestPortalOnThePreferredLineLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := newCollector(func(w http.ResponseWriter, _ post) bool {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>log in</html>")
			return false
		})
		two := newCollector(take)
		sp := openSpool(t, t.TempDir(), "b1")
		_, stop := start(t, with(handlers{"portal": portal, "two": two}, "portal", "two"), sp)
		for i := range 100 {
			line := fmt.Sprintf("a n=%d 1\n", i)
			put(t, sp, 1, line)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if !two.has(line) {
				t.Fatalf("batch %d did not arrive", i)
			}
		}
		stop()
	})
}

func TestNoBatchIsOnItsWayTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := map[string]bool{}
		slow := func(host string) *collector {
			c := newCollector(nil)
			c.reply = func(w http.ResponseWriter, p post) bool {
				if len(busy) > 0 {
					t.Errorf("batch %d is sent to %s while another is under way", p.seq, host)
				}
				busy[host] = true
				time.Sleep(3 * time.Second)
				delete(busy, host)
				if p.seq%3 == 0 {
					return answerWith(503)(w, p)
				}
				return take(w, p)
			}
			return c
		}
		one, two := slow("one"), slow("two")
		sp := openSpool(t, t.TempDir(), "b1")
		_, stop := start(t, with(handlers{"one": one, "two": two}, "one", "two"), sp)
		for range 30 {
			put(t, sp, 1, "a f=1 1\n")
			time.Sleep(2 * time.Second)
		}
		time.Sleep(time.Minute)
		stop()
		if len(one.seen()) == 0 || len(two.seen()) == 0 {
			t.Error("one collector was never used: the test proves nothing")
		}
	})
}

func TestAcknowledgedBatchIsNotSentAgainWhileItsStoreLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(func(w http.ResponseWriter, p post) bool {
			w.Header().Set(wire.HeaderStore, "store1")
			w.Header().Set(wire.HeaderCommit, fmt.Sprint(p.seq))
			w.Header().Set(wire.HeaderDurable, "0") // its disk never syncs
			return take(w, p)
		})
		sp := openSpool(t, t.TempDir(), "b1")
		_, stop := start(t, with(handlers{"one": c}, "one"), sp)
		for range 20 {
			put(t, sp, 1, "a f=1 1\n")
			time.Sleep(time.Minute)
		}
		stop()
		if n := len(c.seen()); n != 20 {
			t.Errorf("%d posts for 20 batches", n)
		}
		if n := sp.Stats().Unsynced; n != 20 {
			t.Errorf("%d unsynced, want 20", n)
		}
	})
}

func TestLogSaysEachTroubleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(answerWith(500))
		sp := openSpool(t, t.TempDir(), "b1")
		put(t, sp, 1, "a f=1 1\n")
		o := with(handlers{"one": c}, "one")
		lines := &logLines{}
		o.Log = lines.logger()
		_, stop := start(t, o, sp)
		time.Sleep(time.Hour)
		if n := lines.count("takes no batches"); n < 1 || n > 7 {
			t.Errorf("%d lines about an hour of the same trouble", n)
		}
		c.set(take)
		time.Sleep(2 * time.Minute)
		if n := lines.count("takes batches again"); n != 1 {
			t.Errorf("%d lines about its end", n)
		}
		stop()
		if text := lines.String(); strings.Contains(text, "secret") {
			t.Error("the token is in the log")
		}
	})
}

func TestRowsOfAnotherSiteDoNotBlockTheQueue(t *testing.T) {
	numbered := func(status int) func(http.ResponseWriter, post) bool {
		return func(w http.ResponseWriter, p post) bool {
			w.Header().Set(wire.HeaderStore, "store1")
			w.Header().Set(wire.HeaderCommit, fmt.Sprint(p.seq))
			w.Header().Set(wire.HeaderDurable, fmt.Sprint(p.seq))
			w.WriteHeader(status)
			return status == http.StatusNoContent
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(func(w http.ResponseWriter, p post) bool {
			if strings.HasPrefix(p.lines, "old-site") {
				return numbered(http.StatusForbidden)(w, p)
			}
			return numbered(http.StatusNoContent)(w, p)
		})
		sp := openSpool(t, t.TempDir(), "b1")
		for range 5 {
			put(t, sp, 1, "old-site f=1 1\n")
		}
		put(t, sp, 1, "new-site f=1 1\n")
		sh, stop := start(t, with(handlers{"one": c}, "one"), sp)
		synctest.Wait()
		if st := sp.Stats(); st.Batches != 0 || st.Quarantined != 5 || sh.Stats().Sent != 1 {
			t.Errorf("%+v", st)
		}
		stop()
	})
	synctest.Test(t, func(t *testing.T) { // with a wrong token every batch is kept
		c := newCollector(numbered(http.StatusForbidden))
		sp := openSpool(t, t.TempDir(), "b1")
		for range 5 {
			put(t, sp, 1, "a f=1 1\n")
		}
		_, stop := start(t, with(handlers{"one": c}, "one"), sp)
		time.Sleep(time.Hour)
		if st := sp.Stats(); st.Batches != 5 || st.Quarantined != 0 {
			t.Errorf("%+v", st)
		}
		stop()
	})
}

func TestRequestDamagedOnItsWayIsSentAgain(t *testing.T) {
	damaged := func(w http.ResponseWriter, p post) bool {
		w.Header().Set(wire.HeaderReceivedAt, "1700000000000")
		return apiError(400, "the gzip data is damaged or cut short")(w, p)
	}
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := newCollector(func(w http.ResponseWriter, p post) bool {
			if n++; n < doubts {
				return damaged(w, p)
			}
			return take(w, p)
		})
		sp := openSpool(t, t.TempDir(), "b1")
		put(t, sp, 1, "a f=1 1\n")
		_, stop := start(t, with(handlers{"one": c}, "one"), sp)
		time.Sleep(time.Minute)
		if !c.has("a f=1 1\n") || sp.Stats().Quarantined != 0 {
			t.Errorf("%+v", sp.Stats())
		}
		c.set(damaged) // and one that is refused each time does not block what comes after it
		put(t, sp, 1, "b f=1 1\n")
		time.Sleep(time.Minute)
		if st := sp.Stats(); st.Batches != 0 || st.Quarantined != 1 {
			t.Errorf("%+v", st)
		}
		stop()
	})
}

func TestGoodRowsOfARefusedBatchSurviveAPowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &durableCollector{collector: newCollector(nil), store: "store1", disk: map[string]bool{}}
		d.set(func(w http.ResponseWriter, p post) bool {
			if strings.HasPrefix(p.lines, "partly") {
				d.commit++
				d.memory = append(d.memory, p)
				d.headers(w)
				return apiError(400, "partial write: 1 of 2 lines rejected")(w, p)
			}
			return d.reply(w, p)
		})
		sp := openSpool(t, t.TempDir(), "b1")
		put(t, sp, 1, "partly f=1 1\n", "bad 1\n")
		_, stop := start(t, with(handlers{"one": d}, "one"), sp)
		synctest.Wait()
		d.powerCut("store2")
		put(t, sp, 1, "a f=1 1\n")
		time.Sleep(time.Minute)
		d.sync()
		put(t, sp, 1, "a f=2 1\n")
		time.Sleep(time.Minute)
		if !d.disk["partly f=1 1\n"] {
			t.Error("the good row is lost")
		}
		if st := sp.Stats(); st.Quarantined != 1 || st.Batches != 0 || st.Unsynced != 1 {
			t.Errorf("%+v", st)
		}
		stop()
	})
}
