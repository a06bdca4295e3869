package influx

import (
	"context"

	"communewatch/collector/store"
	"communewatch/collector/store/influx/lines"
	"communewatch/collector/store/influx/sift"
)

// sift finds out which of the lines from..to the server refuses, and stores the others.
func (s *Store) sift(ctx context.Context, b *lines.Batch, from, to int, rejected *[]store.Rejected) error {
	select {
	case s.sifting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.sifting }()
	ctx, cancel := s.bound(ctx)
	defer cancel()
	server := sift.Server{Forget: s.encoder.Forget, Write: func(ctx context.Context, body string, rows int) error {
		return s.write(ctx, s.o.Database, body, rows, false)
	}}
	found, err := sift.Lines(ctx, server, b, from, to)
	*rejected = append(*rejected, found...)
	return err
}
