package embedded

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

// rolledHour are the windows of the nth hour of some series. What they hold follows from the number.
func rolledHour(n int) []rollup.Row {
	var rows []rollup.Row
	for series := range 20 {
		a := rollup.Aggregate{Sketch: new(rollup.Sketch)}
		a.Add(float64(n))
		rows = append(rows, rollup.Row{
			Measurement: "m", Tags: probes.Tags{{Key: "site", Value: fmt.Sprint("s", series)}},
			Start:  testNow.Truncate(time.Hour).Add(-time.Duration(n%1000) * time.Hour).UnixMilli(),
			Fields: []rollup.Field{{Key: "n", Value: a}, {Key: "outcome_ok", Value: rollup.Aggregate{Total: true, Sum: float64(series)}}},
		})
	}
	return rows
}

// missingHours is how many windows of the hours from 0 to n are not as rolledHour made them.
func missingHours(t *testing.T, s *Store, n int) int {
	t.Helper()
	found := map[string]bool{}
	q := store.RollupQuery{Level: rollup.Hour, Measurement: "m", From: testNow.Add(-50 * 24 * time.Hour), To: testNow.Add(time.Hour)}
	must(t, s.Rollups(t.Context(), q, func(s store.RollupSeries) error {
		for i := range s.Rows {
			a, _ := s.Rows[i].Field("n")
			if median, _ := a.Quantile(0.5); a.Count != 1 || median != a.Sum {
				return fmt.Errorf("half a window: %+v", s.Rows[i])
			}
			found[fmt.Sprint(s.Tags.Get("site"), " ", s.Rows[i].Start, " ", a.Sum)] = true
		}
		return nil
	}))
	missing := 0
	for h := range n {
		for _, r := range rolledHour(h) {
			if !found[fmt.Sprint(r.Tags.Get("site"), " ", r.Start, " ", r.Fields[0].Value.Sum)] {
				missing++
			}
		}
	}
	return missing
}

const crashRoller = "COMMUNEWATCH_CRASH_ROLLER"

func TestMainCrashRoller(t *testing.T) {
	dir := os.Getenv(crashRoller)
	if dir == "" {
		t.Skip("only as the child of TestKillDuringPuts")
	}
	from, _ := strconv.Atoi(os.Getenv(crashRoller + "_FROM"))
	s, err := Open(testOptions(dir))
	must(t, err)
	fmt.Println("open")
	for n := from; n < 1000; n++ {
		if err := s.PutRollups(context.Background(), rollup.Hour, rolledHour(n)); err != nil {
			t.Errorf("put: %v", err)
			return
		}
		fmt.Println(n + 1)
	}
}

// TestKillDuringPuts kills a process that puts windows, again and again on the same store: every put that returned is
// there afterwards.
func TestKillDuringPuts(t *testing.T) {
	dir := t.TempDir()
	done := 0
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMainCrashRoller$", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), crashRoller+"="+dir, fmt.Sprintf("%s_FROM=%d", crashRoller, done))
		out, err := cmd.StdoutPipe()
		must(t, err)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		before, until := done, done+1+rand.IntN(40) // killed when so many puts were told, in the midst of the next
		var said []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				if done = n; done >= until {
					must(t, cmd.Process.Kill())
					until = 1 << 30
				}
			} else if lines.Text() != "open" {
				said = append(said, lines.Text())
			}
		}
		_ = cmd.Wait()
		if len(said) > 0 || done == before {
			t.Fatalf("round %d: the writer failed after %d puts: %s", round, done-before, strings.Join(said, "\n"))
		}
	}
	s := mustOpen(t, testOptions(dir))
	if n := missingHours(t, s, done); n > 0 {
		t.Errorf("%d windows of %d puts that returned are missing", n, done)
	}
}

// TestRollupsCount: a store's size counts its rollups, and its oldest row is none of them.
func TestRollupsCount(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	before := s.Stats().Bytes
	for n := range 200 {
		must(t, s.PutRollups(t.Context(), rollup.Hour, rolledHour(n)))
	}
	st := s.Stats()
	if st.Bytes < before+100<<10 {
		t.Errorf("%d bytes before 4,000 windows, %d after", before, st.Bytes)
	}
	if !st.Oldest.IsZero() || st.Series != 0 {
		t.Errorf("rollups count as rows: %+v", st)
	}
}
