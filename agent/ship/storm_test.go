package ship

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestStormLosesNothing sends through two doors of a collector that fails in every way that may pass, whose power is
// cut now and then, while the agent restarts: in the end every line is on the collector's disk.
func TestStormLosesNothing(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func storm(t *testing.T, rnd *rand.Rand) {
	d := &durableCollector{collector: newCollector(nil), store: "store0", disk: map[string]bool{}}
	whims := rand.New(rand.NewPCG(rnd.Uint64(), 2)) // the collector's own, used under its lock
	d.set(func(w http.ResponseWriter, p post) bool {
		switch whims.IntN(8) {
		case 0:
			return answerWith([]int{200, 302, 400, 401, 429, 500, 502, 503}[whims.IntN(8)])(w, p)
		case 1: // taken, but the answer is lost
			d.reply(discard{http.Header{}}, p)
			return answerWith(502)(w, p)
		}
		return d.reply(w, p)
	})
	hosts := handlers{"one": d, "two": d}
	dir := t.TempDir()
	var lines []string
	cuts := 0
	for boot := range 6 {
		name := fmt.Sprintf("boot%d", boot)
		sp := openSpool(t, dir, name)
		_, stop := startAs(t, name, with(hosts, "one", "two"), sp)
		for range 40 {
			line := fmt.Sprintf("m n=%d 1\n", len(lines))
			lines = append(lines, line)
			if err := sp.Append(1, []byte(line)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rnd.IntN(8000)) * time.Millisecond)
			switch rnd.IntN(12) {
			case 0:
				cuts++
				d.powerCut(fmt.Sprintf("store%d", cuts))
			case 1, 2, 3:
				d.sync()
			}
		}
		if boot == 5 {
			d.set(d.reply)
			for range 3 { // every answer after a sync says that what came before is durable
				time.Sleep(10 * time.Minute)
				d.sync()
				put(t, sp, 1, "calm f=1 1\n")
			}
			time.Sleep(time.Minute)
			d.sync()
			if st := sp.Stats(); st.Batches != 0 || st.Unsynced > 1 {
				t.Errorf("left in the spool: %+v", st)
			}
		}
		stop()
		if err := sp.Close(); err != nil {
			t.Fatal(err)
		}
	}
	lost := 0
	for _, l := range lines {
		if !d.disk[l] {
			lost++
		}
	}
	if lost > 0 || cuts == 0 {
		t.Errorf("%d of %d lines lost over %d power cuts", lost, len(lines), cuts)
	}
}

// discard is an answer that never arrives.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
