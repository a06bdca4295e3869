package embedded

import (
	"context"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
)

// PutRollups stores windows; see store.Rolled.
func (s *Store) PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error {
	if err := s.enter(ctx); err != nil {
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

// Condition is that of a database in the same process: it is away while it could not be opened again after a write
// error.
func (s *Store) Condition() store.Condition {
	cause := s.broken.Load()
	if cause == nil {
		return store.Condition{}
	}
	return store.Condition{Away: true, Reason: (*cause).Error(), Fix: "make room on the disk of data_dir"}
}
