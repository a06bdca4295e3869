package orders

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes"
)

// Two calls at once would take twice what one may of the line, and each would find the other's load there.
func TestOneTestAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := NewGate(nil, time.Now)
		begin := time.Now()
		at := func() string { return fmt.Sprint(time.Since(begin)) }
		_, leave, err := g.Test(t.Context(), time.Minute, Patience)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Second, leave)
		_, next, err := g.Test(t.Context(), time.Minute, Patience)
		if err != nil || at() != "20s" {
			t.Fatalf("the second began after %s, %v; the first was over after 20 s", at(), err)
		}
		_, _, err = g.Test(t.Context(), time.Minute, Patience)
		if probes.OutcomeOf(err) != probes.OutcomeHeld || !strings.Contains(err.Error(), "another test with media is under way") || at() != "50s" {
			t.Errorf("the third got %v after %s, want held after 30 s more", err, at())
		}
		_, _, err = g.Test(t.Context(), time.Minute, 0)
		if probes.OutcomeOf(err) != probes.OutcomeHeld || at() != "50s" {
			t.Errorf("without patience: %v after %s", err, at())
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, _, err := g.Test(ctx, time.Minute, Patience); err != context.Canceled || at() != "51s" {
			t.Errorf("stopped while it waits: %v after %s", err, at())
		}
		next()
		if _, leave, err := g.Test(t.Context(), time.Minute, 0); err != nil {
			t.Errorf("with the line free: %v", err)
		} else {
			leave()
		}
	})
}

// What came up while a test waited for its turn holds it all the same.
func TestWaitingTestIsHeldByWhatComesUp(t *testing.T) {
	for name, arise := range map[string]func(g *Gate){
		"a meeting begins":     func(g *Gate) { g.hold(time.Hour, "Giao ban") },
		"a call comes first":   func(g *Gate) { _ = g.plan(time.Minute); g.clear() },
		"neither, so it tests": func(*Gate) {},
	} {
		bubble(t, func(t *testing.T) {
			g := NewGate(nil, time.Now)
			testing, leave, err := g.Test(t.Context(), time.Minute, Patience)
			if err != nil {
				t.Fatal(err)
			}
			context.AfterFunc(testing, leave) // it ends when it is told to
			got := make(chan error, 1)
			go func() {
				_, leave, err := g.Test(t.Context(), time.Minute, Patience)
				if err == nil {
					leave()
				}
				got <- err
			}()
			synctest.Wait()
			arise(g)
			if name == "neither, so it tests" {
				leave()
			}
			synctest.Wait()
			want := map[bool]probes.Outcome{true: probes.OutcomeOK, false: probes.OutcomeHeld}[name == "neither, so it tests"]
			if err := <-got; probes.OutcomeOf(err) != want {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// A restart in the middle of a meeting, with the collector out of reach, starts no media tests.
func TestHoldOutlivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "state", "hold.json")
		started := func() *Gate {
			g := NewGate(nil, time.Now)
			g.KeepHold(file, quiet)
			return g
		}
		test := func(g *Gate) string {
			_, leave, err := g.Test(t.Context(), time.Second, 0)
			if err != nil {
				return err.Error()
			}
			leave()
			return "tests"
		}
		expect := func(g *Gate, want string) {
			t.Helper()
			if got := test(g); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		expect(started(), "tests")
		started().hold(3*time.Hour, "Giao ban")
		time.Sleep(time.Hour)
		expect(started(), "not run: a meeting is on by the collector's word, for another 2h0m0s (Giao ban)")
		started().hold(30*time.Minute, "") // another one takes its place
		expect(started(), "not run: a meeting is on by the collector's word, for another 30m0s")
		time.Sleep(30 * time.Minute)
		expect(started(), "tests") // it was over
		started().hold(time.Hour, "")
		started().hold(0, "")
		expect(started(), "tests") // it was ended
		started().hold(0, "")
		if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 0 {
			t.Errorf("files are left: %v", left)
		}
	})
}

func TestDamagedHoldIsIgnoredAndSaid(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		text string
		says string // "" if there is nothing to be said
	}{
		"none":               {"", "unexpected end"},
		"half":               {`{"until":"2026-`, "unexpected end"},
		"nothing in it":      {`{}`, ""},
		"past":               {fmt.Sprintf(`{"until":%q}`, now.Add(-time.Second).Format(time.RFC3339)), ""},
		"over a day ahead":   {fmt.Sprintf(`{"until":%q}`, now.Add(25*time.Hour).Format(time.RFC3339)), "for_seconds"},
		"years ahead":        {`{"until":"9999-12-31T00:00:00Z"}`, "for_seconds"},
		"note of many bytes": {fmt.Sprintf(`{"until":%q,"note":%q}`, now.Add(time.Hour).Format(time.RFC3339), strings.Repeat("x", 1000)), "note"},
		"note of two lines":  {fmt.Sprintf(`{"until":%q,"note":"a\nb"}`, now.Add(time.Hour).Format(time.RFC3339)), "note"},
		"huge":               {`"` + strings.Repeat("x", 1<<20) + `"`, "more than"},
		"binary":             {"\x00\x01\x02", "invalid character"},
	} {
		file := filepath.Join(t.TempDir(), "hold.json")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		g := NewGate(nil, func() time.Time { return now })
		g.KeepHold(file, slog.New(slog.NewTextHandler(&said, nil)))
		if _, leave, err := g.Test(t.Context(), time.Second, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			leave()
		}
		if got := said.String(); !strings.Contains(got, c.says) || (got == "") != (c.says == "") {
			t.Errorf("%s: said %q, want %q", name, got, c.says)
		}
	}
}

// A disk that takes nothing does not keep a hold from being in force.
func TestHoldWithoutADisk(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	g := NewGate(nil, time.Now)
	g.KeepHold(filepath.Join(blocked, "hold.json"), slog.New(slog.NewTextHandler(&said, nil)))
	g.hold(time.Hour, "")
	if _, _, err := g.Test(t.Context(), time.Second, 0); probes.OutcomeOf(err) != probes.OutcomeHeld {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(said.String(), "can't keep the hold") {
		t.Errorf("said %q", said.String())
	}
}
