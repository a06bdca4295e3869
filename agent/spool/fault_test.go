package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"communewatch/agent/spool/disk"
)

// faulty opens a spool whose disk fails the named operations while on is set.
func faulty(t *testing.T, dir string, on *bool, ops ...string) *Spool {
	t.Helper()
	s := mustOpen(t, options(dir, "b1"))
	s.disk.Fault = func(op, _ string) error {
		for _, o := range ops {
			if *on && o == op {
				return syscall.ENOSPC
			}
		}
		return nil
	}
	return s
}

func TestResultsWaitInMemoryWhileTheDiskTakesNoWrites(t *testing.T) {
	for _, ops := range []string{"append", "append truncate", "create", "create append write sync rename syncdir truncate"} {
		t.Run(ops, func(t *testing.T) {
			dir, on := t.TempDir(), false
			s := faulty(t, dir, &on, strings.Fields(ops)...)
			if err := s.Append(1, []byte("before\n")); err != nil {
				t.Fatal(err)
			}
			on = true
			if ops == "create" {
				put1 := s.Append(2, []byte("x\n")) // a new batch needs a new file
				if !errors.Is(put1, ErrMemory) {
					t.Fatalf("Append on a full disk: %v", put1)
				}
			} else if err := s.Append(1, []byte("during\n")); !errors.Is(err, ErrMemory) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Append on a full disk: %v", err)
			}
			if st := s.Stats(); st.MemoryBytes == 0 || st.LostBytes != 0 {
				t.Errorf("%+v", st)
			}
			on = false
			if err := s.Append(2, []byte("after\n")); err != nil {
				t.Fatalf("Append when there is room again: %v", err)
			}
			if err := s.Seal(true); err != nil {
				t.Fatal(err)
			}
			_ = s.Close()
			o := options(dir, "b2")
			var got string
			for _, b := range drain(t, mustOpen(t, o)) {
				got += string(b.Body)
			}
			want := "before\nduring\nafter\n"
			if ops == "create" {
				want = "before\nx\nafter\n"
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestDeliveryGoesOnFromMemoryWhileTheDiskIsFull(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename", "syncdir"} {
		t.Run(op, func(t *testing.T) {
			dir, on := t.TempDir(), false
			s := faulty(t, dir, &on, op)
			_ = s.Append(1, []byte("a\n"))
			on = true
			if err := s.Seal(true); err == nil {
				t.Fatal("a seal that failed was not reported")
			}
			_ = s.Append(1, []byte("b\n"))
			_ = s.Seal(true)
			b, ok, err := s.Newest()
			if err != nil || !ok || string(b.Body) != "b\n" {
				t.Fatalf("newest from memory: %q %v %v", b.Body, ok, err)
			}
			_ = s.Forget(b.ID)
			if got := files(t, dir, "0*/*.tmp"); len(got) > 0 {
				t.Errorf("left behind: %v", got)
			}
			// What was on disk before the fault is still there for the next start, should the process die now.
			if got := files(t, dir, "0*/open-b1-1-1.lp"); len(got) != 1 {
				t.Errorf("the open file is gone before its batch is sealed: %v", got)
			}
			on = false
			if err := s.Seal(false); err != nil {
				t.Fatal(err)
			}
			if st := s.Stats(); st.MemoryBytes != 0 || st.Batches != 1 {
				t.Errorf("not rescued: %+v", st)
			}
			if got := files(t, dir, "0*/*"); len(got) != 1 {
				t.Errorf("want one sealed file, have %v", got)
			}
			if got := bodies(drain(t, s)); got != "1/1:a\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestMemoryIsBoundedAndWhatItLosesIsCounted(t *testing.T) {
	on := true
	s := faulty(t, t.TempDir(), &on, "create", "append", "write")
	chunk := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	var lost int
	for range 6 {
		if err := s.Append(1, chunk); errors.Is(err, ErrLost) {
			lost++
		}
	}
	if st := s.Stats(); st.MemoryBytes > MaxMemory || st.LostBytes != 2<<20 || lost != 2 {
		t.Fatalf("lost %d, %+v", lost, st)
	}
	// Once sealed in memory, the oldest go in favour of the newest.
	_ = s.Seal(true)
	for i := range 12 {
		noise := make([]byte, 600<<10)
		for j := range noise {
			noise[j] = 'a' + byte((j*j*(i+3)+j>>3)%23)
		}
		noise[len(noise)-1] = '\n'
		if err := s.Append(1, noise); errors.Is(err, ErrLost) {
			t.Fatal(err)
		}
		_ = s.Seal(true)
		if m := s.Stats().MemoryBytes; m > MaxMemory {
			t.Fatalf("%d bytes in memory", m)
		}
	}
	for {
		b, ok, err := s.Newest()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		_ = s.Forget(b.ID)
	}
	if st := s.Stats(); st.MemoryBytes != 0 || st.Bytes != 0 {
		t.Errorf("memory not given back: %+v", st)
	}
}

func TestAFailedWriteLeavesNoBrokenLine(t *testing.T) {
	dir, on := t.TempDir(), false
	s := faulty(t, dir, &on, "append")
	_ = s.Append(1, []byte("first\n"))
	on = true
	_ = s.Append(1, []byte("second line\n")) // half of it reaches the disk
	on = false
	data, err := os.ReadFile(filepath.Join(s.dir(), "open-b1-1-1.lp"))
	if err != nil || string(data) != "first\n" {
		t.Fatalf("open file holds %q (%v)", data, err)
	}
}

// On Windows a file that is still open can't be set aside, and an agent that meets this often runs out of files.
func TestAnOpenFileThatCannotBeReadBackIsClosedAndSetAside(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, options(dir, "b1"))
	if err := s.Append(1, []byte("a\n")); err != nil {
		t.Fatal(err)
	}
	f := s.open.file
	if err := os.Truncate(f.Name(), 1); err != nil { // a disk that lost what it said it had
		t.Fatal(err)
	}
	if err := s.Seal(true); err == nil {
		t.Error("the loss was not reported")
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file was left open (%v)", err)
	}
	if _, err := os.Stat(f.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still in its place (%v)", err)
	}
	if st := s.Stats(); st.Quarantined != 1 || st.Batches != 0 {
		t.Errorf("%+v", st)
	}
}

func TestReadErrorsThatMayPassDropNothing(t *testing.T) {
	s := mustOpen(t, options(t.TempDir(), "b1"))
	put(t, s, 1, "a\n")
	s.disk.Fault = func(op, _ string) error {
		if op == "read" {
			return syscall.EMFILE
		}
		return nil
	}
	if _, _, err := s.Newest(); err == nil {
		t.Fatal("no error")
	}
	s.disk.Fault = nil
	if got := bodies(drain(t, s)); got != "1/1:a\n" {
		t.Errorf("got %q", got)
	}
}

func TestFilesThatCannotBeRemovedOrSetAsideDoNotBlockTheQueue(t *testing.T) {
	dir, on := t.TempDir(), true
	s := faulty(t, dir, &on, "remove", "rename")
	on = false
	for i := range 3 {
		put(t, s, 1, fmt.Sprintf("%d\n", i))
	}
	_ = os.WriteFile(files(t, dir, "0*/*-b1-2-1.lp.gz")[0], []byte("junk"), 0o640)
	on = true
	if got := bodies(drain(t, s)); got != "1/1:0\n3/1:2\n" {
		t.Errorf("got %q", got)
	}
}

func TestRecoveryOnAFullDiskStillStartsTheAgent(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "00000001-old")
	_ = os.MkdirAll(old, 0o750)
	_ = os.WriteFile(filepath.Join(old, "open-old-1-1.lp"), []byte("a\n"), 0o640)
	full := true
	s, err := open(options(dir, "b1"), disk.Disk{Fault: func(op, _ string) error {
		if full && op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, ok, err := s.Newest()
	if err != nil || !ok || string(b.Body) != "a\n" || b.ID.Boot != "old" {
		t.Fatalf("%+v %v %v", b, ok, err)
	}
	full = false
	if err := s.Seal(false); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir, "00000001-old/*"); len(got) != 1 || !strings.HasSuffix(got[0], sealedSuffix) {
		t.Errorf("have %v", got)
	}
}
