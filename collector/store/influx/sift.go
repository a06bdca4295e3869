package influx

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"communewatch/collector/store"
	"communewatch/collector/store/influx/client"
	"communewatch/collector/store/influx/lines"
)

// siftRequests bounds how many requests one Append may take to find the rows that the server refuses.
const siftRequests = 1000

// sift finds out which of the lines from..to the server refuses, and stores the others. The server says that it refuses
// some, but not which; so halves are sent until they are taken or single. Lines are sent several times then, which is
// harmless.
func (s *Store) sift(ctx context.Context, b *lines.Batch, from, to int, rejected *[]store.Rejected) error {
	select {
	case s.sifting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.sifting }()
	ctx, cancel := s.bound(ctx)
	defer cancel()
	sieve := sieve{s: s, b: b, left: siftRequests}
	err := sieve.try(ctx, from, to)
	*rejected = append(*rejected, sieve.rejected...)
	return err
}

type sieve struct {
	s        *Store
	b        *lines.Batch
	left     int    // requests
	words    string // the server's last
	rejected []store.Rejected
}

// droppedOld is what 1.8 and 2.x say of rows that are older than their database keeps rows: how many, and they have
// stored the others.
var droppedOld = regexp.MustCompile(`points beyond retention policy dropped=(\d+)`)

func (v *sieve) try(ctx context.Context, from, to int) error {
	if v.left == 0 {
		for i := from; i < to; i++ {
			v.reject(i, fmt.Sprintf("InfluxDB refuses too many rows to tell which; it says: %s", v.words))
		}
		return nil
	}
	v.left--
	err := v.s.write(ctx, v.s.o.Database, string(v.b.Line(from, to)), to-from, false)
	kind, ok := client.KindOf(err)
	if !ok || kind != client.Refused && kind != client.TooLarge {
		return err
	}
	v.words = err.Error()
	if m := droppedOld.FindStringSubmatch(v.words); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 && n <= to-from {
			v.rejectOldest(from, to, n)
			return nil
		}
	}
	if to-from == 1 {
		if strings.Contains(v.words, "field type conflict") {
			v.s.encoder.Forget(lines.MeasurementOf(v.b.Line(from, to))) // ask it what it knows of the fields, before it is asked to store more
		}
		v.reject(from, v.words)
		return nil
	}
	middle := from + (to-from)/2
	if err := v.try(ctx, from, middle); err != nil {
		return err
	}
	return v.try(ctx, middle, to)
}

func (v *sieve) reject(line int, reason string) {
	v.rejected = append(v.rejected, store.Rejected{Index: v.b.Rows[line], Reason: reason})
}

// rejectOldest rejects the n oldest of some lines.
func (v *sieve) rejectOldest(from, to, n int) {
	order := make([]int, 0, to-from)
	times := make(map[int]int64, to-from)
	for i := from; i < to; i++ {
		line := v.b.Line(i, i+1)
		times[i] = lines.TimeOf(line)
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(times[a], times[b]) })
	for _, i := range order[:n] {
		v.reject(i, "older than InfluxDB keeps rows: "+v.words)
	}
}
