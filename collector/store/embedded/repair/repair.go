// Package repair opens the engine of an embedded store on files that may be damaged, or were left behind by a kill.
// Nothing is deleted that could not be read: it is set aside.
package repair

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb"
)

// logLinks is the folder beside the engine's in which the files of its logs are linked while it opens them.
const logLinks = "opening.tmp"

// LogDirs are the folders of the engine's write-ahead logs: of rows in order, and of late ones.
var LogDirs = []string{"wal", "wbl"}

// Open calls open, which opens the engine on dir, and moves into the folder damaged what it can't read: whole blocks,
// and the part of its logs that it would cut off and delete. It calls open again after each such repair.
//
// The engine repairs a log by dropping everything behind the first damage. After a kill that is half a record
// nobody was told is stored; after a bad sector it may be hours. So the files are linked before it opens them, and
// the links of those that it changed or deleted are kept.
func Open(dir, damaged string, log *slog.Logger, open func() (*tsdb.DB, error)) (*tsdb.DB, error) {
	links := filepath.Join(filepath.Dir(dir), logLinks)
	before := linkLogs(dir, links, log)
	defer os.RemoveAll(links)
	for {
		db, err := fenced(open)
		if err == nil {
			keepCut(dir, links, damaged, before, log)
			return db, nil
		}
		moved, moveErr := setBlocksAside(dir, damaged, log)
		if moveErr != nil {
			return nil, errors.Join(err, moveErr)
		}
		if moved == 0 {
			return nil, fmt.Errorf("%w; if it stays so, restore a backup", err)
		}
	}
}

// fenced calls open, which panics rather than fails on some damage.
func fenced(open func() (*tsdb.DB, error)) (db *tsdb.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("engine gave up on its files: %v", p)
		}
	}()
	return open()
}

// setBlocksAside moves the blocks that can't be opened into damaged.
func setBlocksAside(dir, damaged string, log *slog.Logger) (moved int, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if _, err := ulid.ParseStrict(name.Name()); err != nil || !name.IsDir() {
			continue
		}
		block := filepath.Join(dir, name.Name())
		b, err := tsdb.OpenBlock(log, block, nil, nil)
		if err == nil {
			if err := b.Close(); err != nil {
				return moved, err
			}
			continue
		}
		aside := filepath.Join(damaged, name.Name())
		if err := errors.Join(os.MkdirAll(damaged, 0o755), os.Rename(block, aside)); err != nil {
			return moved, fmt.Errorf("set damaged block aside: %w", err)
		}
		moved++
		log.Error("a block of data is damaged and was set aside; its time range is missing until a backup of it is put back",
			"block", name.Name(), "set_aside_as", aside, "err", err)
	}
	return moved, nil
}

// logFile is a file of one of the logs, as it was before the engine opened it.
type logFile struct {
	name string // relative to the engine's folder
	info os.FileInfo
}

// linkLogs links the files of the logs into links. What can't be linked is left out: it costs us the copy of what
// the engine cuts, nothing else.
func linkLogs(dir, links string, log *slog.Logger) []logFile {
	if err := os.RemoveAll(links); err != nil {
		log.Warn("can't make room for links to the log before it is opened", "err", err)
	}
	var linked []logFile
	for _, sub := range LogDirs {
		names, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			continue // not there before the first start
		}
		for _, name := range names {
			if _, err := strconv.Atoi(name.Name()); err != nil {
				continue
			}
			rel := filepath.Join(sub, name.Name())
			info, err := name.Info()
			err = errors.Join(err,
				os.MkdirAll(filepath.Join(links, sub), 0o755),
				os.Link(filepath.Join(dir, rel), filepath.Join(links, rel)))
			if err != nil {
				log.Warn("can't link a file of the log before it is opened; if it is damaged, what can't be read is lost",
					"file", rel, "err", err)
				continue
			}
			linked = append(linked, logFile{rel, info})
		}
	}
	return linked
}

// keepCut moves the links of the files that the engine changed or deleted while it opened into damaged.
func keepCut(dir, links, damaged string, before []logFile, log *slog.Logger) {
	for _, f := range before {
		left := int64(0)
		now, err := os.Stat(filepath.Join(dir, f.name))
		switch {
		case err == nil && os.SameFile(now, f.info) && now.Size() == f.info.Size():
			continue
		case err == nil:
			left = now.Size()
		}
		aside := filepath.Join(damaged, f.name)
		err = errors.Join(os.MkdirAll(filepath.Dir(aside), 0o755), os.Rename(filepath.Join(links, f.name), aside))
		if err != nil {
			log.Warn("can't keep a damaged file of the log", "file", f.name, "err", err)
			continue
		}
		log.Warn("a file of the log could not be read to its end: half a record after a kill, or damage of the disk",
			"file", f.name, "bytes", f.info.Size(), "bytes_read", left, "set_aside_as", aside)
	}
}
