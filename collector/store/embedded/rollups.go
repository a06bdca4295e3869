package embedded

import (
	"context"
	"fmt"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded/disk"
)

// PutRollups stores windows; see store.Rolled. They are refused while the disk is almost full, as rows are.
func (s *Store) PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error {
	if err := s.enterWriter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	return s.rolls.PutRollups(ctx, level, rows)
}

// Rollups reads windows; see store.Rolled.
func (s *Store) Rollups(ctx context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	return s.rolls.Rollups(ctx, q, each)
}

// room returns an error while fewer bytes are free than are held back.
func (s *Store) room() error {
	if free, err := disk.Free(s.dir); err == nil && free < s.reserve {
		return fmt.Errorf("%w: %d MiB are free", errDiskFull, free>>20)
	}
	return nil
}

// Condition is that of a database in the same process: it is away while it could not be opened again after a write
// error.
func (s *Store) Condition() store.Condition {
	cause := s.broken.Load()
	if cause == nil {
		return store.Condition{}
	}
	return store.Condition{Away: true, Reason: (*cause).Error(), Fix: "make room on the disk of data_dir"}
}
