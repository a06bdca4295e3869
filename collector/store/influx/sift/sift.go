// Package sift finds out which rows an InfluxDB refuses. It says that it refuses some of a request, how many at best, but
// not which; so those of each measurement are sent alone, because mistakes are made in one, and halves of what is refused
// then until they are taken or single. Lines are sent several times then, which is harmless.
package sift

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

// maxRequests bounds how many requests one Lines may take.
const maxRequests = 1000

// Server is who refuses.
type Server struct {
	Write  func(ctx context.Context, body string, rows int) error // the client's
	Forget func(measurement string)                               // its fields are not what they were taken for
}

// Lines finds out which of the lines from..to of b the server refuses, and stores the others. An error says that nothing
// may be assumed of any.
func Lines(ctx context.Context, s Server, b *lines.Batch, from, to int) ([]store.Rejected, error) {
	v := sieve{s: s, b: b, left: maxRequests}
	if err := v.sift(ctx, from, to); err != nil {
		return nil, err
	}
	return v.rejected, nil
}

// TooOld reports whether an error says that the server has stored all rows but some, which are older than it keeps rows.
func TooOld(err error) bool {
	kind, ok := client.KindOf(err)
	return ok && kind == client.Refused && droppedOld.MatchString(err.Error())
}

type sieve struct {
	s        Server
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
	err = v.s.Write(ctx, string(body), len(all))
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
	case n > 0 && n <= len(all) && TooOld(err):
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
		v.s.Forget(lines.MeasurementOf(v.b.Line(all[0], all[0]+1)))
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
