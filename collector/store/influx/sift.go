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
// some, but not which; so those of each measurement are sent alone, because mistakes are made in one, and halves of what
// is refused then until they are taken or single. Lines are sent several times then, which is harmless.
func (s *Store) sift(ctx context.Context, b *lines.Batch, from, to int, rejected *[]store.Rejected) error {
	select {
	case s.sifting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.sifting }()
	ctx, cancel := s.bound(ctx)
	defer cancel()
	v := sieve{s: s, b: b, left: siftRequests}
	err := v.sift(ctx, from, to)
	*rejected = append(*rejected, v.rejected...)
	return err
}

type sieve struct {
	s        *Store
	b        *lines.Batch
	left     int    // requests
	words    string // the server's last
	rejected []store.Rejected
}

// What 1.8 and 2.x say when they have stored all but some: how many, and that those are older than the database keeps
// rows.
var (
	dropped    = regexp.MustCompile(`dropped=(\d+)$`)
	droppedOld = regexp.MustCompile(`points beyond retention policy dropped=\d+`)
)

func (v *sieve) sift(ctx context.Context, from, to int) error {
	all := make([]int, 0, to-from)
	var measurements []string
	of := map[string][]int{}
	for i := from; i < to; i++ {
		all = append(all, i)
		m := lines.MeasurementOf(v.b.Line(i, i+1))
		if of[m] == nil {
			measurements = append(measurements, m)
		}
		of[m] = append(of[m], i)
	}
	cut, err := v.try(ctx, all)
	if err != nil || !cut {
		return err
	}
	if len(measurements) == 1 {
		return v.halve(ctx, all)
	}
	var refused [][]int
	for _, m := range measurements {
		if cut, err := v.try(ctx, of[m]); err != nil {
			return err
		} else if cut {
			refused = append(refused, of[m])
		}
	}
	for _, part := range refused {
		if err := v.halve(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// halve sends each half of lines that are refused together.
func (v *sieve) halve(ctx context.Context, all []int) error {
	for _, part := range [][]int{all[:len(all)/2], all[len(all)/2:]} {
		if cut, err := v.try(ctx, part); err != nil {
			return err
		} else if cut {
			if err := v.halve(ctx, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// try sends some lines. It returns true if it is not known yet which of them are refused, and they are more than one.
func (v *sieve) try(ctx context.Context, all []int) (cut bool, err error) {
	if v.left == 0 {
		// Rows that were not looked at may be good ones: nobody may throw them away.
		return false, fmt.Errorf("InfluxDB refuses too many rows to tell which; it says: %s", v.words)
	}
	v.left--
	var body []byte
	for _, i := range all {
		body = append(body, v.b.Line(i, i+1)...)
	}
	err = v.s.write(ctx, v.s.o.Database, string(body), len(all), false)
	kind, ok := client.KindOf(err)
	if !ok || kind != client.Refused && kind != client.TooLarge {
		return false, err
	}
	v.words = err.Error()
	n := 0
	if m := dropped.FindStringSubmatch(v.words); m != nil {
		n, _ = strconv.Atoi(m[1])
	}
	switch {
	case n > 0 && n <= len(all) && droppedOld.MatchString(v.words):
		v.rejectOldest(all, n)
	case len(all) == 1 || n == len(all):
		v.reject(all)
	default:
		return true, nil
	}
	return false, nil
}

func (v *sieve) reject(all []int) {
	reason := v.words
	for _, i := range all {
		v.rejected = append(v.rejected, store.Rejected{Index: v.b.Rows[i], Reason: reason})
	}
	if strings.Contains(reason, "field type conflict") {
		// Ask it what it knows of the fields, before it is asked to store more.
		v.s.encoder.Forget(lines.MeasurementOf(v.b.Line(all[0], all[0]+1)))
	}
}

// rejectOldest rejects the n oldest of some lines.
func (v *sieve) rejectOldest(all []int, n int) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(lines.TimeOf(v.b.Line(a, a+1)), lines.TimeOf(v.b.Line(b, b+1)))
	})
	for _, i := range order[:n] {
		v.rejected = append(v.rejected, store.Rejected{Index: v.b.Rows[i], Reason: "older than InfluxDB keeps rows: " + v.words})
	}
}
