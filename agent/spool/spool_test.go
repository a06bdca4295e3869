package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeTime is a wall clock that tests set.
type fakeTime struct{ t time.Time }

func (f *fakeTime) now() time.Time { return f.t }

func newTime() *fakeTime { return &fakeTime{time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)} }

func options(dir, boot string) Options {
	return Options{Dir: dir, Boot: boot, MinFree: -1, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func mustOpen(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t testing.TB, s *Spool, clock int, lines string) {
	t.Helper()
	if err := s.Append(clock, []byte(lines)); err != nil {
		t.Fatal(err)
	}
	if err := s.Seal(true); err != nil {
		t.Fatal(err)
	}
}

// drain takes everything that waits, oldest first.
func drain(t testing.TB, s *Spool) []Batch {
	t.Helper()
	var all []Batch
	for {
		b, ok, err := s.Oldest()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, b)
		if err := s.Forget(b.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func bodies(batches []Batch) string {
	var b strings.Builder
	for _, batch := range batches {
		fmt.Fprintf(&b, "%d/%d:%s", batch.ID.Seq, batch.ID.Clock, batch.Body)
	}
	return b.String()
}

func files(t testing.TB, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestBatchesComeBackInOrderFromBothEnds(t *testing.T) {
	s := mustOpen(t, options(t.TempDir(), "b1"))
	for i := range 3 {
		put(t, s, 1, fmt.Sprintf("line %d\n", i))
	}
	newest, ok, err := s.Newest()
	if err != nil || !ok || string(newest.Body) != "line 2\n" || newest.ID != (ID{"b1", 3, 1}) {
		t.Fatalf("newest = %+v %v %v", newest, ok, err)
	}
	if again, _, _ := s.Newest(); again.ID != newest.ID {
		t.Error("a peek took the batch away")
	}
	if got, want := bodies(drain(t, s)), "1/1:line 0\n2/1:line 1\n3/1:line 2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if st := s.Stats(); st.Batches != 0 || st.Bytes != 0 || !st.Oldest.IsZero() {
		t.Errorf("stats of an empty spool: %+v", st)
	}
}

func TestAppendRefusesWhatCouldNotBeSplitIntoLines(t *testing.T) {
	s := mustOpen(t, options(t.TempDir(), "b1"))
	if err := s.Append(1, []byte("no newline")); err == nil {
		t.Error("a line without its end was taken")
	}
	if err := s.Append(1, make([]byte, MaxAppend+1)); err == nil {
		t.Error("more than MaxAppend was taken")
	}
	if err := s.Append(1, nil); err != nil {
		t.Errorf("nothing at all: %v", err)
	}
	if err := s.Seal(true); err != nil || s.Stats().Batches != 0 {
		t.Errorf("an empty batch was made: %v", err)
	}
}

func TestBatchEndsByAgeBySizeAndByClock(t *testing.T) {
	clock := newTime()
	o := options(t.TempDir(), "b1")
	o.Now, o.SealBytes, o.SealAfter = clock.now, 20, 10*time.Second
	s := mustOpen(t, o)
	seal := func() int {
		t.Helper()
		if err := s.Seal(false); err != nil {
			t.Fatal(err)
		}
		return s.Stats().Batches
	}
	_ = s.Append(1, []byte("aaaa\n"))
	if n := seal(); n != 0 {
		t.Fatalf("sealed at once: %d", n)
	}
	clock.t = clock.t.Add(10 * time.Second)
	if n := seal(); n != 1 {
		t.Fatalf("not sealed after SealAfter: %d", n)
	}
	_ = s.Append(1, []byte("bbbbbbbbbbbb\n"))
	_ = s.Append(1, []byte("cccccccccccc\n")) // would be above SealBytes
	if n := seal(); n != 2 {
		t.Fatalf("not sealed by size: %d", n)
	}
	_ = s.Append(2, []byte("d\n"))
	if n := seal(); n != 3 {
		t.Fatalf("not sealed at a change of clock: %d", n)
	}
	_ = s.Close()
	o.Boot = "b2"
	got := bodies(drain(t, mustOpen(t, o)))
	if want := "1/1:aaaa\n2/1:bbbbbbbbbbbb\n3/1:cccccccccccc\n4/2:d\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadySignalsBatchesIncludingThoseOfEarlierBoots(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, options(dir, "b1"))
	select {
	case <-s.Ready():
		t.Fatal("an empty spool says ready")
	default:
	}
	put(t, s, 1, "a\n")
	select {
	case <-s.Ready():
	default:
		t.Fatal("no signal after a seal")
	}
	_ = s.Close()
	select {
	case <-mustOpen(t, options(dir, "b2")).Ready():
	default:
		t.Fatal("no signal for what an earlier boot left")
	}
}

func TestTwoAgentsNeverShareASpool(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, options(dir, "b1"))
	if _, err := Open(options(dir, "b2")); !errors.Is(err, ErrLocked) {
		t.Fatalf("second Open: %v", err)
	}
	_ = s.Close()
	mustOpen(t, options(dir, "b2"))
}

func TestAcknowledgedBatchesAreKeptUntilDurable(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, options(dir, "b1"))
	for range 3 {
		put(t, s, 1, "x\n")
	}
	for seq := range uint64(3) {
		s.Acknowledged(ID{"b1", seq + 1, 1}, "store1", 10+seq)
	}
	if _, ok, _ := s.Newest(); ok {
		t.Fatal("an acknowledged batch is offered again")
	}
	if st := s.Stats(); st.Unsynced != 3 || st.Batches != 0 {
		t.Fatalf("%+v", st)
	}
	s.Durable("store1", 10)
	if st := s.Stats(); st.Unsynced != 2 {
		t.Fatalf("after durable through 10: %+v", st)
	}
	s.Durable("store2", 99) // the store was opened anew: 11 and 12 may be gone, whatever number it is at
	if st := s.Stats(); st.Unsynced != 0 || st.Batches != 2 {
		t.Fatalf("after a new store: %+v", st)
	}
	s.Acknowledged(ID{"b1", 2, 1}, "store2", 1)
	_ = s.Close()
	s = mustOpen(t, options(dir, "b2"))
	if st := s.Stats(); st.Batches != 2 {
		t.Fatalf("after a restart everything that is not durable waits: %+v", st)
	}
}

func TestANewStoreInAnAcknowledgementFreesTheOthers(t *testing.T) {
	s := mustOpen(t, options(t.TempDir(), "b1"))
	put(t, s, 1, "a\n")
	put(t, s, 1, "b\n")
	s.Acknowledged(ID{"b1", 2, 1}, "store1", 1)
	<-s.Ready()
	s.Acknowledged(ID{"b1", 1, 1}, "store2", 1)
	if b, ok, _ := s.Oldest(); !ok || b.ID.Seq != 2 {
		t.Fatalf("the batch of the lost store does not wait: %v %v", b.ID, ok)
	}
	select {
	case <-s.Ready():
	default:
		t.Error("no signal for it")
	}
}

func TestUnsyncedIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("seals 4,100 batches; runs without -short")
	}
	s := mustOpen(t, options(t.TempDir(), "b1"))
	for i := range uint64(maxUnsynced + 4) {
		put(t, s, 1, "x\n")
		s.Acknowledged(ID{"b1", i + 1, 1}, "store1", i)
	}
	if st := s.Stats(); st.Unsynced != maxUnsynced || st.Dropped != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestOldestAreDroppedForSpaceAndCounted(t *testing.T) {
	o := options(t.TempDir(), "b1")
	o.MaxBytes = 4 * blockSize
	s := mustOpen(t, o)
	for i := range 10 {
		put(t, s, 1, fmt.Sprintf("%d\n", i))
	}
	_ = s.Append(1, []byte("open\n"))
	st := s.Stats()
	if st.Batches != 4 || st.Dropped != 6 || st.Bytes > o.MaxBytes {
		t.Fatalf("%+v", st)
	}
	got := drain(t, s)
	if string(got[0].Body) != "6\n" {
		t.Errorf("oldest left is %q, want 6", got[0].Body)
	}
	_ = s.Seal(true)
	if got := bodies(drain(t, s)); got != "11/1:open\n" {
		t.Errorf("open batch: %q", got)
	}
}

func TestAcknowledgedBatchesGoBeforeUnsentOnes(t *testing.T) {
	o := options(t.TempDir(), "b1")
	o.MaxBytes = 2 * blockSize
	s := mustOpen(t, o)
	put(t, s, 1, "old\n")
	put(t, s, 1, "sent\n")
	s.Acknowledged(ID{"b1", 2, 1}, "store1", 1)
	put(t, s, 1, "new\n")
	if st := s.Stats(); st.Dropped != 0 || st.Batches != 2 || st.Unsynced != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestAgeIsRunningTimeSoAClockNeverDropsGoodData(t *testing.T) {
	dir := t.TempDir()
	clock := newTime()
	o := options(dir, "b1")
	o.Now, o.MaxAge = clock.now, 24*time.Hour
	s := mustOpen(t, o)
	step := func(d time.Duration) { clock.t = clock.t.Add(d) }
	for i, d := range []time.Duration{0, 10 * 365 * 24 * time.Hour, -20 * 365 * 24 * time.Hour, 10 * time.Second} {
		step(d)
		put(t, s, i+1, fmt.Sprintf("%d\n", i))
	}
	for i, boot := range []string{"b2", "b3", "b4"} { // and the same over restarts, in every direction
		_ = s.Close()
		step([]time.Duration{30 * 365 * 24 * time.Hour, -40 * 365 * 24 * time.Hour, 3 * time.Hour}[i])
		o.Boot = boot
		s = mustOpen(t, o)
		put(t, s, 1, boot+"\n")
	}
	st := s.Stats()
	if st.Dropped != 0 || st.Batches != 7 {
		t.Fatalf("a clock dropped batches: %+v", st)
	}
	for range 24*60 + 10 { // a day of running does age them
		step(time.Minute)
		_ = s.Seal(false)
	}
	if st := s.Stats(); st.Batches != 0 || st.Dropped != 7 {
		t.Fatalf("a day later: %+v", st)
	}
}

func TestOrderIsThatOfBootsNotOfClocks(t *testing.T) {
	dir := t.TempDir()
	clock := newTime()
	for i, boot := range []string{"zz", "mm", "aa"} {
		o := options(dir, boot)
		o.Now = clock.now
		s := mustOpen(t, o)
		put(t, s, 1, fmt.Sprintf("%d\n", i))
		_ = s.Close()
		clock.t = clock.t.Add(-365 * 24 * time.Hour)
	}
	s := mustOpen(t, options(dir, "last"))
	var got string
	for _, b := range drain(t, s) {
		got += string(b.Body)
	}
	if got != "0\n1\n2\n" {
		t.Errorf("order %q", got)
	}
	_ = s.Close()
	mustOpen(t, options(dir, "next"))
	if left := files(t, dir, "0*"); len(left) > 1 {
		t.Errorf("empty folders of earlier boots stay: %v", left)
	}
}

func TestOutageSealsLessOften(t *testing.T) {
	clock := newTime()
	o := options(t.TempDir(), "b1")
	o.Now = clock.now
	s := mustOpen(t, o)
	run := func(d time.Duration) int {
		before := s.seq
		for range int(d / time.Second) {
			clock.t = clock.t.Add(time.Second)
			_ = s.Append(1, []byte("x\n"))
			if err := s.Seal(false); err != nil {
				t.Fatal(err)
			}
		}
		return int(s.seq - before)
	}
	if n := run(10 * time.Minute); n < 50 || n > 61 {
		t.Fatalf("%d batches in the first ten minutes", n)
	}
	if n := run(10 * time.Minute); n > 12 {
		t.Errorf("%d batches in ten minutes of outage", n)
	}
	b, _, _ := s.Newest()
	_ = s.Forget(b.ID)
	if n := run(time.Minute); n < 5 {
		t.Errorf("%d batches in the minute after the outage", n)
	}
}

func TestRecoveryOfAnOpenBatch(t *testing.T) {
	for name, tc := range map[string]struct {
		left, want string
		torn       int
		aside      uint64
	}{
		"whole lines":      {"a\nb\n", "1/1:a\nb\n", 0, 0},
		"torn last line":   {"a\nb\nccc", "1/1:a\nb\n", 3, 0},
		"only a torn line": {"ccc", "", 3, 0},
		"empty":            {"", "", 0, 0},
		"zeros at the end": {"a\n\x00\x00\x00\x00", "1/1:a\n", 0, 1},
		"binary between":   {"a\n\xff\xfe\x01\nb\n", "1/1:a\nb\n", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			boot := filepath.Join(dir, "00000001-old")
			if err := os.MkdirAll(boot, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(boot, "open-old-1-1.lp"), []byte(tc.left), 0o640); err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t, options(dir, "new"))
			if got := bodies(drain(t, s)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if st := s.Stats(); int(st.TornBytes) != tc.torn || st.Quarantined != tc.aside {
				t.Errorf("%+v", st)
			}
			if left := files(t, dir, "0*/open-*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if aside := files(t, dir, "quarantine/*.bad"); len(aside) != int(tc.aside) {
				t.Errorf("aside: %v", aside)
			}
		})
	}
}

func TestCrashBetweenRenameAndRemovalMakesNoSecondBatch(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, options(dir, "b1"))
	put(t, s, 1, "a\n")
	open := filepath.Join(s.dir(), "open-b1-1-1.lp")
	if err := os.WriteFile(open, []byte("a\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir(), "1-b1-1-1.lp.gz.tmp"), []byte("junk"), 0o640); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = mustOpen(t, options(dir, "b2"))
	if got := bodies(drain(t, s)); got != "1/1:a\n" {
		t.Errorf("got %q", got)
	}
	if left := append(files(t, dir, "0*/open-*"), files(t, dir, "0*/*.tmp")...); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDamageToTheTailOfAFileCostsThatFile(t *testing.T) {
	body := strings.Repeat("icmp,site=s08707 rtt_median_seconds=0.0123 1700000000000000000\n", 50)
	for name, harm := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)-9] },
		"emptied": func([]byte) []byte { return nil },
		"zeroed":  func(b []byte) []byte { clear(b[len(b)-12:]); return b },
		"flipped": func(b []byte) []byte { b[len(b)-6] ^= 0x10; return b },
		"longer":  func(b []byte) []byte { return append(b, make([]byte, 100)...) },
		"middle":  func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, options(dir, "b1"))
			for range 3 {
				put(t, s, 1, body)
			}
			_ = s.Close()
			victim := files(t, dir, "0*/*-b1-2-1.lp.gz")[0]
			data, err := os.ReadFile(victim)
			if err != nil {
				t.Fatal(err)
			}
			want := harm(bytes.Clone(data))
			if err := os.WriteFile(victim, want, 0o640); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, options(dir, "b2"))
			got := drain(t, s)
			if len(got) != 2 || got[0].ID.Seq != 1 || got[1].ID.Seq != 3 || string(got[1].Body) != body {
				t.Fatalf("%d batches left", len(got))
			}
			if st := s.Stats(); st.Quarantined != 1 || st.Batches != 0 {
				t.Errorf("%+v", st)
			}
			aside, err := os.ReadFile(filepath.Join(dir, quarantineName, filepath.Base(victim)))
			if err != nil || !bytes.Equal(aside, want) {
				t.Errorf("the damaged file was not kept as it is: %v", err)
			}
		})
	}
}

func TestForeignFilesAreReportedOnceAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	_ = os.MkdirAll(filepath.Join(dir, "00000001-old", "folder.lp.gz"), 0o750)
	_ = os.MkdirAll(filepath.Join(dir, "photos"), 0o750)
	foreign := []string{"notes.txt", "x.tmp", "photos/a.jpg", "00000001-old/1-other-1-1.lp.gz", "00000001-old/open-old-0-1.lp", "00000001-old/01-old-1-1.lp.gz"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	o := options(dir, "b1")
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := mustOpen(t, o)
	put(t, s, 1, "a\n")
	drain(t, s)
	if st := s.Stats(); st.Foreign != 7 {
		t.Errorf("foreign = %d, want 7", st.Foreign)
	}
	if n := strings.Count(log.String(), "not its own"); n > 2 {
		t.Errorf("reported %d times:\n%s", n, log.String())
	}
	for _, name := range foreign {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != "mine" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedBatchesAreSetAsideWithTheReason(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, options(dir, "b1"))
	put(t, s, 1, "bad\n")
	put(t, s, 1, "good\n")
	if err := s.Quarantine(ID{"b1", 1, 1}, "line 1: no fields"); err != nil {
		t.Fatal(err)
	}
	if got := bodies(drain(t, s)); got != "2/1:good\n" {
		t.Errorf("got %q", got)
	}
	why := files(t, dir, "quarantine/*.txt")
	if len(why) != 1 {
		t.Fatalf("reasons: %v", why)
	}
	if text, _ := os.ReadFile(why[0]); !strings.Contains(string(text), "no fields") {
		t.Errorf("reason file: %q", text)
	}
}

func TestRefusedInPartIsSetAsideAndKept(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, options(dir, "b1"))
	put(t, s, 1, "good\nbad\n")
	id := ID{"b1", 1, 1}
	for range 2 { // the second time after a power cut of the collector
		if err := s.QuarantineCopy(id, "line 2: no fields"); err != nil {
			t.Fatal(err)
		}
		s.Acknowledged(id, "store", 1)
	}
	if st := s.Stats(); st.Quarantined != 1 || st.Unsynced != 1 {
		t.Errorf("%+v", st)
	}
	s.Durable("store", 1)
	if st := s.Stats(); st.Unsynced+st.Batches != 0 {
		t.Errorf("%+v", st)
	}
	if aside := files(t, dir, "quarantine/*"); len(aside) != 2 {
		t.Errorf("aside: %v", aside)
	}
}

func TestNames(t *testing.T) {
	for _, id := range []ID{{"b1", 1, 0}, {"a-b-c", 18446744073709551615, 7}, {"open-x.lp", 3, 2}} {
		if got, ok := parseOpen(openName(id)); !ok || got != id {
			t.Errorf("open name of %v: %v %v", id, got, ok)
		}
		if got, ms, ok := parseSealed(sealedName(id, 1700000000000)); !ok || got != id || ms != 1700000000000 {
			t.Errorf("sealed name of %v: %v %v %v", id, got, ms, ok)
		}
	}
	for _, name := range []string{"", ".lp.gz", "1-b-1.lp.gz", "1-b-0-1.lp.gz", "1-b-01-1.lp.gz", "1--1-1.lp.gz", "1-b/c-1-1.lp.gz", "x-b-1-1.lp.gz", "1-b-1-99999999999.lp.gz"} {
		if id, _, ok := parseSealed(name); ok {
			t.Errorf("%q was taken as %v", name, id)
		}
	}
}

func TestIndexSurvivesRandomRemovals(t *testing.T) {
	s := mustOpen(t, options(t.TempDir(), "b1"))
	var want []uint64
	for i := range uint64(300) {
		put(t, s, 1, "x\n")
		if i%7 == 3 {
			want = append(want, i+1)
			continue
		}
		if i > 20 && i%2 == 0 {
			_ = s.Forget(ID{"b1", i + 1, 1})
		} else {
			s.Acknowledged(ID{"b1", i + 1, 1}, "s", i)
		}
	}
	s.Durable("s", 1000)
	var got []uint64
	for _, b := range drain(t, s) {
		got = append(got, b.ID.Seq)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if len(s.entries) != 0 || s.blocks != 0 {
		t.Errorf("%d entries and %d blocks left of an empty spool", len(s.entries), s.blocks)
	}
}

func BenchmarkAppendSeal(b *testing.B) {
	s := mustOpen(b, options(b.TempDir(), "b1"))
	lines := bytes.Repeat([]byte("icmp,agent=a,path=lan,site=s08707,target=gw received=20i,rtt_median_seconds=0.0123,sent=20i 1700000000000000000\n"), 20)
	b.SetBytes(int64(len(lines)))
	for b.Loop() {
		if err := s.Append(1, lines); err != nil {
			b.Fatal(err)
		}
		if err := s.Seal(true); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "batches/s")
}

func BenchmarkAppend(b *testing.B) {
	s := mustOpen(b, options(b.TempDir(), "b1"))
	line := []byte("icmp,agent=a,path=lan,site=s08707,target=gw received=20i,rtt_median_seconds=0.0123,sent=20i 1700000000000000000\n")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if err := s.Append(1, line); err != nil {
			b.Fatal(err)
		}
	}
}
