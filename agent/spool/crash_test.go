package spool

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crashDir asks the test binary to be the process that is killed.
const crashDir = "COMMUNEWATCH_SPOOL_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(dir, os.Getenv("BOOT"))
	}
	os.Exit(m.Run())
}

// crashChild appends numbered lines as fast as it can and writes each number that was taken to its output. It seals,
// reads, acknowledges nothing, and never ends by itself.
func crashChild(dir, boot string) {
	s, err := Open(Options{Dir: dir, Boot: boot, MinFree: -1, SealBytes: 2000})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go func() {
		for {
			if err := s.Seal(rand.IntN(3) == 0); err != nil {
				fmt.Println("error", err)
			}
		}
	}()
	for i := 0; ; i++ {
		var lines []byte
		for j := range 1 + i%3 { // more than one line in one Append
			lines = fmt.Appendf(lines, "crash,boot=%s n=%d,part=%d %s\n", boot, i, j, strings.Repeat("x", i%200))
		}
		if err := s.Append(1+i/500, lines); err != nil {
			fmt.Println("error", err)
		}
		fmt.Println(i)
	}
}

func TestKillLosesNothingThatWasTaken(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]int{} // boot -> highest number taken
	total := 0
	for round := range 24 {
		boot := fmt.Sprintf("boot%02d", round)
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashDir+"="+dir, "BOOT="+boot)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Killed at a random moment after a random number of appends, so that a busy machine changes nothing.
		enough := 20 + rand.IntN(150)
		giveUp := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		var kill *time.Timer
		last := -1
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				break // an unfinished line was not reported whole
			}
			n, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Errorf("child says %q", line)
				continue
			}
			if last = n; n >= enough && kill == nil {
				kill = time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		giveUp.Stop()
		taken[boot] = last
		total += last + 1
	}
	if total < 1000 {
		t.Fatalf("only %d appends in all rounds: the test proves nothing", total)
	}

	s := mustOpen(t, options(dir, "final"))
	seen := map[string]int{} // line -> how often
	ids := map[ID]bool{}
	for _, b := range drain(t, s) {
		if ids[b.ID] {
			t.Errorf("batch %s comes twice", b.ID)
		}
		ids[b.ID] = true
		for line := range bytes.Lines(b.Body) {
			fields := strings.SplitN(string(line), " ", 3)
			if len(fields) != 3 || !strings.HasSuffix(fields[2], "\n") {
				t.Fatalf("broken line %q", line)
			}
			seen[fields[0]+" "+fields[1]]++
		}
	}
	for boot, last := range taken {
		for i := range last + 1 {
			for j := range 1 + i%3 {
				key := fmt.Sprintf("crash,boot=%s n=%d,part=%d", boot, i, j)
				if seen[key] != 1 {
					t.Fatalf("%s is there %d times", key, seen[key])
				}
			}
		}
	}
	for key, n := range seen { // what was written but not reported before the kill may be there, but once
		if n != 1 {
			t.Errorf("%s is there %d times", key, n)
		}
	}
	if st := s.Stats(); st.Quarantined+st.Dropped > 0 {
		t.Errorf("%+v", st)
	}
	t.Logf("%d appends over %d kills, %d batches", total, len(taken), len(ids))
}
