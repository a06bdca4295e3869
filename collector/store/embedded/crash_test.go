package embedded

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/embedded/disk"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// crashWriter is the child of TestKill: three goroutines that append to the same series, and print each row's number
// once Append has returned.
const crashWriter = "COMMUNEWATCH_CRASH_WRITER"

const crashWriters = 3

// crashPoint is the nth row of a writer. Its time, place and text all follow from the number, so the parent knows
// what must be there. One writer goes forwards in time, one backwards, one jumps.
func crashPoint(writer, n int) probes.Point {
	const step = 3 * time.Second
	offset := time.Duration(n) * step
	switch writer {
	case 1:
		offset = 20*24*time.Hour - offset
	case 2:
		offset = time.Duration(n*7919%600_011) * step // a prime: no two within 600,011 rows are the same
	}
	at := testNow.Add(-25 * 24 * time.Hour).Add(offset + time.Duration(writer)*time.Second)
	return probes.Point{
		Measurement: "m", Time: at,
		Tags: probes.Tags{{Key: "n", Value: strconv.Itoa(n % 7)}},
		Fields: []probes.Field{
			probes.Float("v", float64(writer*1_000_000+n)),
			probes.String("s", fmt.Sprintf("text %d", n/50)),
		},
	}
}

func TestMainCrashWriter(t *testing.T) {
	dir := os.Getenv(crashWriter)
	if dir == "" {
		t.Skip("only as the child of TestKill")
	}
	from, _ := strconv.Atoi(os.Getenv(crashWriter + "_FROM"))
	s, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("open")
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() {
			for n := from; ; {
				size := 1 + n%40
				var points []byte
				for i := range size {
					p := crashPoint(w, n+i)
					points = wire.Append(points, &p)
				}
				rows, _ := wire.NewParser(wire.DefaultLimits()).Parse(points, time.Nanosecond, 0)
				if err := s.Append(context.Background(), rows); err != nil {
					t.Errorf("append: %v", err)
					return
				}
				n += size
				mu.Lock()
				fmt.Printf("%d %d\n", w, n)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestKill kills a writing process at random moments, again and again on the same store, and then looks for
// everything that was acknowledged.
func TestKill(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	type stretch struct{ writer, from, to int }
	var acknowledged []stretch
	from := 0
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMainCrashWriter$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), crashWriter+"="+dir, fmt.Sprintf("%s_FROM=%d", crashWriter, from))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		opened := make(chan struct{})
		go func() {
			select {
			case <-opened:
				time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
			case <-time.After(30 * time.Second):
			}
			cmd.Process.Kill()
		}()
		last := make([]int, crashWriters)
		var said []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var w, n int
			switch _, err := fmt.Sscanf(lines.Text(), "%d %d", &w, &n); {
			case err == nil:
				last[w] = n
			case lines.Text() == "open":
				close(opened)
			default:
				said = append(said, lines.Text())
			}
		}
		cmd.Wait()
		if len(said) > 0 {
			t.Fatalf("round %d: the writer failed: %s", round, strings.Join(said, "\n"))
		}
		next := from
		for w, n := range last {
			if n > from {
				acknowledged = append(acknowledged, stretch{w, from, n})
			}
			next = max(next, n)
		}
		from = next + 100
	}

	want := map[string]map[int64]float64{}
	texts := map[string]map[int64]string{}
	rows := 0
	for _, a := range acknowledged {
		for n := a.from; n < a.to; n++ {
			p := crashPoint(a.writer, n)
			k := p.Tags.Get("n")
			if want[k] == nil {
				want[k], texts[k] = map[int64]float64{}, map[int64]string{}
			}
			want[k][p.Time.UnixMilli()] = p.Fields[0].Num
			texts[k][p.Time.UnixMilli()] = p.Fields[1].Str
			rows++
		}
	}
	t.Logf("%d rows acknowledged in %d rounds", rows, rounds)
	if rows < rounds*20 {
		t.Fatalf("only %d rows were acknowledged: this proves nothing", rows)
	}
	s, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q := store.Query{Measurement: "m", From: testNow.Add(-30 * 24 * time.Hour), To: testNow.Add(time.Hour)}
	seen := map[string]bool{}
	missing := map[string]int{}
	err = s.Select(t.Context(), q, func(got store.Series) error {
		k := got.Tags.Get("n")
		seen[got.Field+k] = true
		for at, v := range want[k] {
			i, found := slices.BinarySearch(got.Times, at)
			if !found || got.Field == "v" && got.Values[i] != v || got.Field == "s" && got.Texts[i] != texts[k][at] {
				missing[fmt.Sprintf("%s by writer %d", got.Field, int(v)/1_000_000)]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for k := range want {
		if !seen["v"+k] || !seen["s"+k] {
			t.Errorf("series n=%s is missing", k)
		}
	}
	if len(missing) > 0 {
		t.Errorf("of %d acknowledged values are missing or wrong: %v", 2*rows, missing)
	}
}

// TestSyncedSurvivesPowerCut cuts every file of the log back to the size it had when Sync returned, as if nothing
// written later had reached the disk, and looks for all that was appended before that Sync.
func TestSyncedSurvivesPowerCut(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	appendAll := func(from, to int) {
		for n := from; n < to; n++ {
			for w := range crashWriters {
				p := crashPoint(w, n)
				rows, _ := wire.NewParser(wire.DefaultLimits()).Parse(wire.Append(nil, &p), time.Nanosecond, 0)
				if err := s.Append(t.Context(), rows); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const synced = 400
	appendAll(0, synced/2)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendAll(synced/2, synced)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, pattern := range []string{"series/wal/0*", "series/wbl/0*", "texts.dict"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(dir, f)
			sizes[rel] = info.Size()
		}
	}
	appendAll(synced, synced+300) // is lost

	// Nothing else: chunks_head is never synced.
	after := t.TempDir()
	for rel, size := range sizes {
		data, err := os.ReadFile(filepath.Join(dir, rel))
		if err != nil {
			t.Fatal(err)
		}
		if err := disk.WriteFile(filepath.Join(after, rel), data[:size]); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(testOptions(after))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	values := map[float64]bool{}
	texts := map[string]bool{}
	q := store.Query{Measurement: "m", From: testNow.Add(-30 * 24 * time.Hour), To: testNow.Add(time.Hour)}
	err = r.Select(t.Context(), q, func(got store.Series) error {
		for _, v := range got.Values {
			values[v] = true
		}
		for _, s := range got.Texts {
			texts[s] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range synced {
		for w := range crashWriters {
			if p := crashPoint(w, n); !values[p.Fields[0].Num] || !texts[p.Fields[1].Str] {
				t.Fatalf("row %d of writer %d was synced and is missing", n, w)
			}
		}
	}
}

// flip inverts some bytes of a file.
func flip(t *testing.T, file string, at float64) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := int(float64(len(data)-8) * at)
	binary.LittleEndian.PutUint64(data[i:], ^binary.LittleEndian.Uint64(data[i:]))
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyStore copies the files of an open store as they are, which is what a kill leaves behind.
func copyStore(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestLateRowsSurviveKillAfterKill kills a store while late rows are being sent, and again soon after the start that
// replayed them: what the replay itself wrote must not count as safe before it is.
func TestLateRowsSurviveKillAfterKill(t *testing.T) {
	const series, samples = 1000, 70
	dir := t.TempDir()
	open := func() *Store {
		s, err := Open(testOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		s.db.DisableCompactions() // files must not change while they are copied
		return s
	}
	s := open()
	rng := rand.New(rand.NewPCG(5, 6))
	rowsOf := make([]int, series)
	late := func(s *Store, first, last, samples int) {
		for range samples {
			var lines []byte
			for k := first; k < last; k++ {
				at := testNow.Add(-20 * 24 * time.Hour).Add(time.Duration(rowsOf[k]) * 30 * time.Second)
				lines = fmt.Appendf(lines, "m,k=%d v=%d %d\n", k, rng.IntN(1e9), at.UnixNano())
				rowsOf[k]++
			}
			rows, _ := wire.NewParser(wire.DefaultLimits()).Parse(lines, time.Nanosecond, 0)
			if err := s.Append(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Live rows fill chunks that a replay writes before those of the late rows.
	const live = 250
	for n := range live {
		var lines []byte
		for k := range series {
			lines = fmt.Appendf(lines, "m,k=%d v=%d %d\n", k, rng.IntN(1e9), testNow.Add(time.Duration(n-live)*15*time.Second).UnixNano())
		}
		rows, _ := wire.NewParser(wire.DefaultLimits()).Parse(lines, time.Nanosecond, 0)
		if err := s.Append(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	late(s, 0, series, samples)
	for kill := range 4 {
		next := copyStore(t, dir)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		dir = next
		s = open()
		short := 0
		q := store.Query{Measurement: "m", From: testNow.Add(-30 * 24 * time.Hour), To: testNow.Add(time.Hour)}
		err := s.Select(t.Context(), q, func(got store.Series) error {
			k, _ := strconv.Atoi(got.Tags.Get("k"))
			short += rowsOf[k] + live - len(got.Times)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if short > 0 {
			t.Errorf("after kill %d: %d rows are missing", kill+1, short)
		}
		first := rng.IntN(series)
		late(s, first, first+rng.IntN(series-first), rng.IntN(40))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
