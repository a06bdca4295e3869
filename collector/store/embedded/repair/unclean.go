package repair

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"

	"communewatch/collector/store/embedded/disk"
)

// AfterUncleanEnd takes away everything in the engine's folder dir by which it would spare itself reading its logs as
// a whole. What can't be read is kept in the folder damaged. The log of late rows is written with files of logFileBytes.
//
// Chunks of the newest data move from memory to chunks_head through a buffer, and the log of late rows then gets a
// marker that says "the rows of this series up to here are in chunks now". After a kill two things go wrong with it,
// each of which loses late rows that were acknowledged:
//
//   - The engine believes a marker if chunks_head has any chunk at or behind the place that it names. Chunks that
//     were still in the buffer are written again by the start that misses them, at other places, through the same
//     buffer; the start after a second kill finds something behind the place, believes, and drops the rows.
//   - When late rows are about to be moved to blocks, the markers name no place at all and are always believed,
//     while the chunks may still be in the buffer and the blocks unwritten.
//
// The log itself has every late row that is not in a block. So without the markers, and without chunks_head, which
// then holds nothing that is not in the logs, the engine makes all chunks anew and loses nothing. That takes some
// seconds more, only after a kill. TestLateRowsSurviveKillAfterKill and TestKill show both losses without it.
func AfterUncleanEnd(dir, damaged string, logFileBytes int, logCompression compression.Type, log *slog.Logger) error {
	if err := rewriteWithoutMarkers(lateLog(dir), damaged, logFileBytes, logCompression, log); err != nil {
		return fmt.Errorf("prepare the log of late rows: %w", err)
	}
	return os.RemoveAll(filepath.Join(dir, "chunks_head"))
}

func lateLog(dir string) string { return filepath.Join(dir, "wbl") }

// Names beside the log of late rows while it is rewritten.
const (
	rewriting = ".rewriting.tmp" // the new one, unfinished
	replaced  = ".replaced"      // the old one, when the new one is finished
)

// Finish brings an AfterUncleanEnd that was interrupted to one of its ends.
func Finish(dir string) error {
	dir = lateLog(dir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(dir+replaced, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(os.RemoveAll(dir+rewriting), os.RemoveAll(dir+replaced))
}

// rewriteWithoutMarkers rewrites the log of late rows. If it can't be read to its end, the old one is kept in the
// folder damaged.
func rewriteWithoutMarkers(dir, damaged string, logFileBytes int, logCompression compression.Type, log *slog.Logger) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	from, err := wlog.NewSegmentsReader(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := wlog.NewSize(log, nil, dir+rewriting, logFileBytes, logCompression)
	if err != nil {
		return err
	}
	r := wlog.NewReader(from)
	types := record.NewDecoder(labels.NewSymbolTable())
	records := 0
	for r.Next() {
		if types.Type(r.Record()) == record.MmapMarkers {
			continue
		}
		if err := to.Log(r.Record()); err != nil {
			return errors.Join(err, to.Close())
		}
		records++
	}
	// Closing syncs; the new log is as durable as the old one before it takes its place.
	if err := errors.Join(to.Close(), disk.SyncDir(dir+rewriting)); err != nil {
		return err
	}
	if err := os.Rename(dir, dir+replaced); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(dir+rewriting, dir), disk.SyncDir(filepath.Dir(dir))); err != nil {
		return err
	}
	if cause := r.Err(); cause != nil {
		aside := filepath.Join(damaged, filepath.Base(dir))
		if err := errors.Join(os.MkdirAll(damaged, 0o755), os.Rename(dir+replaced, aside)); err != nil {
			return err
		}
		log.Warn("the log of late rows could not be read to its end: half a record after a kill, or damage of the disk",
			"records_read", records, "set_aside_as", aside, "err", cause)
	}
	return os.RemoveAll(dir + replaced)
}
