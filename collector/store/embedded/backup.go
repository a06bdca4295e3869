package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"communewatch/collector/store/embedded/disk"
)

// backupTemp is the folder inside the store in which a backup is put together, by hard links.
const backupTemp = "backup.tmp"

// Backup writes a copy of the store into the empty or new folder dir; see store.Store. A store opened on the copy
// holds every row whose Append returned before the call, and all rollups that were put before it.
//
// Rollups are copied after the rows. They may rest on rows that the copy lacks, which does no harm: what is worked out
// from fewer rows later is not stored over them. Whoever notes elsewhere how far rollups were worked out must copy those
// notes before, so that they never promise more than the copy has.
//
// Files that never change again are linked rather than copied if dir is on the store's own disk.
func (s *Store) Backup(ctx context.Context, dir string) (err error) {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	s.backing.Lock()
	defer s.backing.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("backup: %w", err)
		}
	}()

	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if there, err := os.ReadDir(dir); err != nil {
		return err
	} else if len(there) > 0 {
		return fmt.Errorf("folder %s is not empty; name a new one", dir)
	}
	temp := filepath.Join(s.dir, backupTemp)
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if err := os.Mkdir(temp, 0o755); err != nil {
		return err
	}
	// A snapshot holds blocks and what is in memory in order, but not what is in memory out of order.
	if err := s.db.CompactOOOHead(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	hasHead := s.db.Head().MinTime() != math.MaxInt64
	if err := s.db.Snapshot(temp, hasHead); err != nil {
		return err
	}
	if err := disk.CopyTree(ctx, temp, filepath.Join(dir, "series")); err != nil {
		return err
	}
	if err := s.rolls.Backup(ctx, filepath.Join(dir, filepath.Base(s.rollupsFile()))); err != nil {
		return err
	}
	// After the series: the dictionary only grows, so it knows every text they use.
	return s.dict.CopyTo(filepath.Join(dir, filepath.Base(s.dictFile())))
}
