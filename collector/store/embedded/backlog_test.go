package embedded

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/probes/wire"
)

// TestBacklogOfAFleet lets every site of a province send weeks of backlog, newest first, while all go on measuring:
// nothing is rejected or lost, and live rows never wait long for the compactions that follow from it.
//
// COMMUNEWATCH_BACKLOG_DAYS makes it bigger, up to 27: live time moves on meanwhile, and more would be too late.
func TestBacklogOfAFleet(t *testing.T) {
	const (
		sites    = 136
		fields   = 4
		interval = time.Minute
		perBatch = 10 // rows of a site's backlog that come with each of its live rows
	)
	days, _ := strconv.Atoi(os.Getenv("COMMUNEWATCH_BACKLOG_DAYS"))
	if days == 0 {
		days = 2
	}
	var now atomic.Int64
	now.Store(testNow.UnixMilli())
	o := testOptions(t.TempDir())
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	s := mustOpen(t, o)

	keys := make([][]byte, sites)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "m,agent=a%d,kind=icmp,path=dedicated,site=s%d", i, i)
	}
	var names [fields][]byte
	for f := range names {
		names[f] = fmt.Appendf(nil, "field_%d", f)
	}
	row := func(site int, at time.Time) wire.Row {
		r := wire.Row{Key: keys[site], Time: at.UnixNano()}
		for f := range names {
			r.Fields = append(r.Fields, wire.Field{Key: names[f], Num: float64(at.Unix()*7919%1_000_003) / float64(f+3)})
		}
		return r
	}
	var mu sync.Mutex // guards the two below
	var longest time.Duration
	blocks := 0
	add := func(rows []wire.Row) {
		start := time.Now()
		if err := s.Append(t.Context(), rows); err != nil {
			t.Error(err)
		}
		took := time.Since(start)
		mu.Lock()
		defer mu.Unlock()
		longest = max(longest, took)
		blocks = max(blocks, len(s.db.Blocks()))
	}

	batches := days * int(24*time.Hour/interval) / perBatch
	started := time.Now()
	for b := range batches {
		at := testNow.Add(time.Duration(b) * interval)
		now.Store(at.UnixMilli())
		var wg sync.WaitGroup
		for w := range 4 { // senders
			wg.Go(func() {
				for site := w; site < sites; site += 4 {
					add([]wire.Row{row(site, at)})
					rows := make([]wire.Row, 0, perBatch)
					for i := range perBatch {
						rows = append(rows, row(site, testNow.Add(-time.Duration((b+1)*perBatch-i)*interval)))
					}
					add(rows)
				}
			})
		}
		wg.Wait()
	}
	loaded := time.Since(started)
	must(t, s.db.Compact(t.Context())) // waits for the one under way
	must(t, s.db.CompactOOOHead(t.Context()))
	must(t, s.db.Compact(t.Context()))
	t.Logf("%d values in %.1fs (%.2f million/s); longest append %v; at most %d blocks, %d in the end; compacted %.1fs later; %.0f MB resident; %.2f bytes/value on disk",
		s.Stats().Appended, loaded.Seconds(), float64(s.Stats().Appended)/loaded.Seconds()/1e6, longest.Round(time.Millisecond), blocks,
		len(s.db.Blocks()), (time.Since(started) - loaded).Seconds(), rssBytes()/1e6, float64(s.Stats().Bytes)/float64(s.Stats().Appended))
	if got, want := count(t, s), sites*fields*batches*(perBatch+1); got != want {
		t.Errorf("%d values, want %d", got, want)
	}
	if longest > 5*time.Second { // generous, for loaded machines: some 20 ms are usual
		t.Errorf("an append took %v", longest)
	}
	if n := len(s.db.Blocks()); n > days*2+12 {
		t.Errorf("%d blocks are left of %d days", n, days)
	}
}
