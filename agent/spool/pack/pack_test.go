package pack

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestPackedAtOnceAndUnpackedAgain(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				want := fmt.Appendf(nil, "%d %d %s\n", i, n, strings.Repeat("x", n*i*100))
				packed := Pack(want)
				if got, err := Unpack(packed, 1<<20); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes became %d: %v", len(want), len(got), err)
				}
				if _, err := Unpack(packed[:len(packed)-1], 1<<20); err == nil {
					t.Error("a cut batch was taken for whole")
				}
			}
		})
	}
	wg.Wait()
}

func TestUnpackIsBounded(t *testing.T) {
	bomb := Pack(make([]byte, 10<<20))
	if _, err := Unpack(bomb, 1<<20); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("unpacked %d packed bytes to 10 MB: %v", len(bomb), err)
	}
	for _, bad := range [][]byte{nil, []byte("no gzip"), Pack(nil)} {
		if _, err := Unpack(bad, 1<<20); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// An idle agent must not hold a packer's tables: hundreds run on one machine in the lab.
func TestNothingIsHeldWhenIdle(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // the pool lets go at the second
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range 20 {
		Pack([]byte("a line\n"))
	}
	if after := heap(); after > before+200<<10 {
		t.Errorf("%d bytes are still held", after-before)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(Pack([]byte("line\n")))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		data, err := Unpack(packed, 1<<16)
		if err == nil && (len(data) == 0 || len(data) > 1<<16) {
			t.Errorf("%d bytes", len(data))
		}
		// What came before, damaged or not, must not show.
		if got, err := Unpack(Pack([]byte("good\n")), 100); err != nil || string(got) != "good\n" {
			t.Errorf("%q %v", got, err)
		}
	})
}
