package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRealDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("spooltest", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mount a tmpfs: %v (needs root)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	o := options(filepath.Join(dir, "spool"), "b1")
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	hog := filepath.Join(dir, "hog")
	inMemory := 0
	for i := range 40 {
		if i == 10 { // someone else fills the disk
			f, err := os.Create(hog)
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			_ = f.Close()
		}
		if i == 30 {
			_ = os.Remove(hog)
		}
		err := s.Append(1, fmt.Appendf(nil, "n=%d %s\n", i, strings.Repeat("x", 5000)))
		switch {
		case errors.Is(err, ErrMemory) && errors.Is(err, unix.ENOSPC):
			inMemory++
		case err != nil:
			t.Fatal(err)
		}
		_ = s.Seal(i%5 == 0)
	}
	if inMemory == 0 {
		t.Fatal("the disk was never full")
	}
	if err := s.Seal(true); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range drain(t, s) {
		for line := range strings.Lines(string(b.Body)) {
			n, _, _ := strings.Cut(line, " ")
			got = append(got, n)
		}
	}
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprintf("n=%d", i))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
	if st := s.Stats(); st.MemoryBytes != 0 || st.LostBytes+st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}

func TestMinFreeDropsTheOldestButKeepsTheLast(t *testing.T) {
	o := options(t.TempDir(), "b1")
	o.MinFree = 0.999999 // no disk is that empty
	s := mustOpen(t, o)
	for i := range 5 {
		put(t, s, 1, fmt.Sprintf("%d\n", i))
	}
	if st := s.Stats(); st.Batches != 5 || st.Dropped != 0 {
		t.Fatalf("a disk filled by others took our last results: %+v", st)
	}
	s.blocks += keepBytes / blockSize // as if there were as much as is always kept
	put(t, s, 1, "new\n")
	if st := s.Stats(); st.Dropped == 0 {
		t.Errorf("nothing was dropped on a disk that is too full: %+v", st)
	}
}
