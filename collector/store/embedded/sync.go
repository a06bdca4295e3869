package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"communewatch/collector/store/embedded/disk"
	"communewatch/collector/store/embedded/repair"
)

// syncState is what Sync knows to be on disk.
type syncState struct {
	commits uint64         // all up to this one
	segment map[string]int // by log folder: its segments below this number
}

// Sync returns when everything appended before the call is on disk.
//
// The engine never syncs its log by itself but hands every batch to the operating system before Append returns
// (each call of wlog.Log ends by writing the page it is in). So it is enough to sync the log's files: which were
// written since the last time is told by their numbers, for only the highest grows. What left the log by then is
// in blocks, which the engine syncs before it drops the log; and chunks_head, which it syncs late, is not looked at after
// anything but an end in good order (see Store.begin).
func (s *Store) Sync(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	s.syncing.Lock()
	defer s.syncing.Unlock()

	if cause := s.broken.Load(); cause != nil {
		return fmt.Errorf("sync: %w", *cause)
	}
	if err := s.rolls.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	commits := s.commits.Load()
	if s.synced.segment != nil && commits == s.synced.commits {
		return nil
	}
	// The dictionary first: a sample on disk without its text is worse than the reverse.
	if err := s.dict.Sync(); err != nil {
		return err
	}
	first := s.synced.segment == nil
	next := make(map[string]int, len(repair.LogDirs))
	for _, name := range repair.LogDirs {
		last, err := syncSegments(filepath.Join(s.seriesDir(), name), s.synced.segment[name])
		if err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		next[name] = last
	}
	if first { // the folders themselves may be new
		for _, dir := range []string{s.seriesDir(), s.dir, filepath.Dir(s.dir)} {
			if err := disk.SyncDir(dir); err != nil {
				return fmt.Errorf("sync: %w", err)
			}
		}
	}
	s.synced = syncState{commits: commits, segment: next}
	return nil
}

// syncSegments syncs the log files in dir numbered from or higher, and returns the highest number.
func syncSegments(dir string, from int) (last int, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	last = from
	for _, f := range files {
		n, err := strconv.Atoi(f.Name())
		if err != nil || n < from {
			continue // a checkpoint, which the engine synced, or an old file
		}
		last = max(last, n)
		err = disk.SyncFile(filepath.Join(dir, f.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // dropped meanwhile: its rows are in a block
		}
		if err != nil {
			return 0, err
		}
	}
	return last, disk.SyncDir(dir)
}
