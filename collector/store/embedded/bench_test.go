package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/collector/store"
	"communewatch/probes/wire"
)

// load makes batches of rows of 9 fields, the shape of an icmp run: keys series keys, each of which gets a row every
// interval of the load's own time.
type load struct {
	keys     [][]byte
	fields   [][]byte
	interval time.Duration
	at       int // the next key
	time     time.Time
	rng      *rand.Rand
	rows     []wire.Row
	values   []wire.Field
}

const benchFields = 9

func newLoad(first, keys int, start time.Time) *load {
	l := &load{interval: 30 * time.Second, time: start, rng: rand.New(rand.NewPCG(uint64(first), 1))}
	for k := first; k < first+keys; k++ {
		l.keys = append(l.keys, fmt.Appendf(nil, "icmp,agent=agent-1,kind=icmp,layer=dedicated,path=dedicated,site=s%05d,target=check-%d", k/10, k%10))
	}
	for f := range benchFields {
		l.fields = append(l.fields, fmt.Appendf(nil, "rtt_%d_seconds", f))
	}
	return l
}

// batch returns the next n rows, valid until the next call.
func (l *load) batch(n int) []wire.Row {
	if cap(l.rows) < n {
		l.rows, l.values = make([]wire.Row, n), make([]wire.Field, n*benchFields)
	}
	rows := l.rows[:n]
	for i := range rows {
		fields := l.values[i*benchFields : (i+1)*benchFields]
		for f := range fields {
			fields[f] = wire.Field{Key: l.fields[f], Num: float64(l.rng.IntN(1000)) / 8}
		}
		rows[i] = wire.Row{Key: l.keys[l.at], Fields: fields, Time: l.time.UnixNano()}
		if l.at++; l.at == len(l.keys) {
			l.at, l.time = 0, l.time.Add(l.interval)
		}
	}
	return rows
}

// rssBytes returns the resident memory of this process.
func rssBytes() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kb float64
	fmt.Sscan(rest, &kb)
	return kb * 1024
}

// BenchmarkAppend measures known series. One operation is one batch.
func BenchmarkAppend(b *testing.B) {
	for _, keys := range []int{400, 136_000} {
		for _, writers := range []int{1, 4} {
			for _, size := range []int{10, 100, 1000, 5000} {
				b.Run(fmt.Sprintf("keys=%d/writers=%d/batch=%d", keys, writers, size), func(b *testing.B) {
					benchAppend(b, keys, writers, size)
				})
			}
		}
	}
}

func benchAppend(b *testing.B, keys, writers, size int) {
	var now atomic.Int64
	start := testNow.UnixMilli()
	now.Store(start)
	o := testOptions(b.TempDir())
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	loads := make([]*load, writers)
	for w := range loads {
		loads[w] = newLoad(w*keys/writers, keys/writers, testNow)
		for n := 0; n < keys/writers; n += size { // make the series
			if err := s.Append(context.Background(), loads[w].batch(size)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for _, l := range loads {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				rows := l.batch(size)
				for at := now.Load(); at < l.time.UnixMilli() && !now.CompareAndSwap(at, l.time.UnixMilli()); at = now.Load() {
				}
				if err := s.Append(context.Background(), rows); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*size*benchFields)/b.Elapsed().Seconds(), "values/s")
	b.ReportMetric(rssBytes()/1e6, "RSS-MB")
}

// BenchmarkNewSeries measures batches that meet only unknown series.
func BenchmarkNewSeries(b *testing.B) {
	s, err := Open(testOptions(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const size = 1000
	l := newLoad(0, b.N*size, testNow)
	b.ResetTimer()
	for range b.N {
		if err := s.Append(context.Background(), l.batch(size)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*size*benchFields)/b.Elapsed().Seconds(), "series/s")
	b.ReportMetric(rssBytes()/1e6, "RSS-MB")
}

// BenchmarkWindows measures what a chart asks for: one field of 20 series at 30 s, cut into some 300 windows.
func BenchmarkWindows(b *testing.B) {
	dir := b.TempDir()
	var now atomic.Int64
	o := testOptions(dir)
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	l := newLoad(0, 20, testNow.Add(-30*24*time.Hour))
	for l.time.Before(testNow) {
		now.Store(l.time.Add(2 * time.Hour).UnixMilli())
		if err := s.Append(context.Background(), l.batch(5000)); err != nil {
			b.Fatal(err)
		}
	}
	now.Store(l.time.UnixMilli())
	if err := s.db.Compact(context.Background()); err != nil {
		b.Fatal(err)
	}
	for _, days := range []float64{1. / 24, 1, 7, 30} {
		b.Run(fmt.Sprintf("hours=%.0f", days*24), func(b *testing.B) {
			length := time.Duration(days * 24 * float64(time.Hour))
			q := store.Query{Measurement: "icmp", Fields: []string{"rtt_0_seconds"}, From: testNow.Add(-length), To: testNow}
			points := 0
			for b.Loop() {
				points = 0
				err := s.Windows(context.Background(), q, length/300, func(w store.WindowSeries) error {
					for _, w := range w.Windows {
						points += w.Count
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(points), "points")
		})
	}
}
