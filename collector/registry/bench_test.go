package registry

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkTake is 64 agents that hand in batches as fast as they are acknowledged.
func BenchmarkTake(b *testing.B) {
	const callers = 64
	r := openNew(b)
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for c := range callers {
		wg.Go(func() {
			rc := Receipt{Site: fmt.Sprintf("s%05d", c), Agent: "a", Boot: "0123456789abcdef", Points: 200, ReceivedAt: t0}
			for left.Add(-1) >= 0 {
				rc.Seq++
				if err := r.Take(b.Context(), rc); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "receipts/s")
}

func BenchmarkAuthenticate(b *testing.B) {
	r := openNew(b)
	importSites(b, r, "s1")
	secret, _, err := r.CreateToken(b.Context(), Token{Kind: KindAgent, Site: "s1"})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Authenticate(b.Context(), secret); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkClockShift(b *testing.B) {
	r := openNew(b)
	id := ClockID{"s1", "a", "b1", 1}
	if _, err := r.SetClockShift(b.Context(), id, time.Second); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, ok, err := r.ClockShift(b.Context(), id); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkCreateToken is one after the other, each on disk before the next.
func BenchmarkCreateToken(b *testing.B) {
	r := openNew(b)
	importSites(b, r, "s1")
	for b.Loop() {
		if _, _, err := r.CreateToken(b.Context(), Token{Kind: KindAgent, Site: "s1"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSetClockShift is a fleet that comes back after a power cut: many new clocks at once, each on disk.
func BenchmarkSetClockShift(b *testing.B) {
	r := openNew(b)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := ClockID{"s1", "a", fmt.Sprint("b", n.Add(1)), 1}
			if _, err := r.SetClockShift(b.Context(), id, time.Second); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAccounts reads what a hundred days of 136 sites leave behind.
func BenchmarkAccounts(b *testing.B) {
	r := openNew(b)
	var wg sync.WaitGroup
	for c := range 136 {
		wg.Go(func() {
			for day := range 100 {
				rc := Receipt{Site: fmt.Sprintf("s%05d", c), Agent: "a", Boot: fmt.Sprint("b", day), Seq: 1, ReceivedAt: t0}
				if err := r.Take(b.Context(), rc); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		if all, err := r.Accounts(b.Context(), ""); err != nil || len(all) != 13_600 {
			b.Fatal(len(all), err)
		}
	}
}
