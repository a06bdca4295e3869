package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"communewatch/agent/spool/disk"
	"communewatch/agent/spool/pack"
)

const (
	lockName       = "lock"
	quarantineName = "quarantine"
)

var dirPattern = regexp.MustCompile(`^([0-9]{8})-(.+)$`)

// bootDir is the folder of one boot.
type bootDir struct {
	number int
	boot   string
	path   string
}

// leftover is an open file of an earlier boot.
type leftover struct {
	id   ID
	boot int // index into Spool.boots
	path string
}

// load builds the index from what is on disk and seals what earlier boots left open.
func (s *Spool) load() error {
	dirs, err := s.bootDirs()
	if err != nil {
		return err
	}
	var foreign []string
	var left []leftover
	number := 0
	for _, d := range dirs {
		number = max(number, d.number)
		if slices.Contains(s.boots, d.boot) {
			foreign = append(foreign, d.path)
			continue
		}
		s.boots = append(s.boots, d.boot)
		s.dirs = append(s.dirs, d.path)
		l, f, err := s.loadDir(len(s.boots)-1, d)
		if err != nil {
			return err
		}
		left, foreign = append(left, l...), append(foreign, f...)
	}
	s.noteForeign(foreign)
	// This boot is the last. A boot that comes again (it should not) goes on in its folder.
	if n := len(s.boots); n == 0 || s.boots[n-1] != s.o.Boot {
		if slices.Contains(s.boots, s.o.Boot) {
			return fmt.Errorf("boot %q was used before the last one; every start needs a new one", s.o.Boot)
		}
		s.boots = append(s.boots, s.o.Boot)
		s.dirs = append(s.dirs, filepath.Join(s.o.Dir, fmt.Sprintf("%08d-%s", number+1, s.o.Boot)))
	}
	entries, twice := sortEntries(s.entries)
	s.entries = nil
	for _, e := range entries {
		s.add(e)
	}
	for i := range twice {
		s.setAside(s.path(&twice[i]), "another file holds the batch of the same identity")
	}
	for _, l := range left {
		if err := s.recover(l); err != nil {
			return err
		}
	}
	s.entries, _ = sortEntries(s.entries)
	s.age()
	this := uint32(len(s.boots) - 1)
	for i := range s.entries {
		if e := &s.entries[i]; e.boot == this {
			s.seq = max(s.seq, e.seq)
		}
	}
	for _, dir := range s.dirs[:this] {
		_ = os.Remove(dir) // succeeds only when it is empty
	}
	return nil
}

// bootDirs lists the folders of boots in order, and notes what else is there.
func (s *Spool) bootDirs() ([]bootDir, error) {
	list, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return nil, err
	}
	var dirs []bootDir
	var foreign []string
	for _, d := range list {
		name := d.Name()
		m := dirPattern.FindStringSubmatch(name)
		switch {
		case d.IsDir() && m != nil && bootPattern.MatchString(m[2]):
			n, _ := strconv.Atoi(m[1])
			dirs = append(dirs, bootDir{n, m[2], filepath.Join(s.o.Dir, name)})
		case name != lockName && name != quarantineName:
			foreign = append(foreign, filepath.Join(s.o.Dir, name))
		}
	}
	slices.SortFunc(dirs, func(a, b bootDir) int {
		if a.number != b.number {
			return a.number - b.number
		}
		return strings.Compare(a.boot, b.boot)
	})
	s.noteForeign(foreign)
	return dirs, nil
}

// noteForeign counts files that are not ours and names the first few. They are left alone.
func (s *Spool) noteForeign(names []string) {
	if len(names) == 0 {
		return
	}
	s.stats.Foreign += len(names)
	s.o.Log.Warn("spool: found files that are not its own; they are left alone", "count", len(names), "first", names[:min(len(names), 5)])
}

// loadDir reads one boot's folder. A month of batches is read in pieces, so that its names are never all in memory.
func (s *Spool) loadDir(boot int, d bootDir) (left []leftover, foreign []string, err error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	for {
		list, err := f.ReadDir(512)
		for _, de := range list {
			name := de.Name()
			path := filepath.Join(d.path, name)
			if !de.Type().IsRegular() {
				foreign = append(foreign, path)
				continue
			}
			if base, ok := strings.CutSuffix(name, disk.TmpSuffix); ok {
				if id, _, ok := parseSealed(base); ok && id.Boot == d.boot {
					s.removeFile(path) // never acknowledged: its open file is still there
					continue
				}
			}
			if id, sealed, ok := parseSealed(name); ok && id.Boot == d.boot {
				e := entry{seq: id.Seq, sealed: sealed, boot: uint32(boot), clock: int32(id.Clock)}
				if info, err := de.Info(); err == nil {
					e.blocks = blocksOf(info.Size())
					s.entries = append(s.entries, e)
				}
				continue
			}
			if id, ok := parseOpen(name); ok && id.Boot == d.boot {
				left = append(left, leftover{id, boot, path})
				continue
			}
			foreign = append(foreign, path)
		}
		if errors.Is(err, io.EOF) {
			return left, foreign, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// recover seals an open file that a boot left behind.
func (s *Spool) recover(l leftover) error {
	if i, ok := s.find(l.id); ok {
		// The crash came between the rename and the removal of the open file, so the batch is there already. Unless it
		// was damaged since: then the open file is the better copy.
		e := s.entries[i]
		packed, err := s.disk.Read(s.path(&e), maxFile)
		if err == nil {
			_, err = unpack(packed)
		}
		if err == nil {
			s.removeFile(l.path)
			return nil
		}
		s.quarantine(i, err.Error())
	}
	data, err := s.disk.Read(l.path, maxFile)
	if err != nil {
		if !errors.Is(err, disk.ErrDamaged) && !isMissing(err) {
			return fmt.Errorf("recover %s: %w", l.path, err)
		}
		s.setAside(l.path, err.Error())
		return nil
	}
	good, bad, torn := sift(data)
	if torn > 0 {
		s.stats.TornBytes += uint64(torn)
		s.o.Log.Info("spool: cut off the line that was being written when the agent died", "file", l.path, "bytes", torn)
	}
	if len(bad) > 0 {
		name := filepath.Join(filepath.Dir(l.path), l.id.String()+".bad")
		if err := s.disk.WriteFile(name, bad); err != nil {
			return fmt.Errorf("recover %s: %w", l.path, err)
		}
		s.setAside(name, fmt.Sprintf("%d bytes of an open batch are not lines of text", len(bad)))
	}
	if len(good) > 0 {
		e := entry{seq: l.id.Seq, sealed: s.o.Now().UnixMilli(), boot: uint32(l.boot), clock: int32(l.id.Clock)}
		packed := pack.Pack(good)
		if err := s.disk.WriteFile(s.path(&e), packed); err != nil {
			// A full disk must not keep an agent from starting: the batch is recovered to memory, its file stays.
			if s.memBytes+len(packed) > MaxMemory {
				s.o.Log.Error("spool: an open batch can't be sealed; it is left for the next start", "file", l.path, "error", err)
				return nil
			}
			s.memory[l.id] = &memBatch{packed: packed, file: l.path}
			s.memBytes += len(packed)
			s.insert(e)
			return nil
		}
		e.blocks = blocksOf(int64(len(packed)))
		s.insert(e)
	}
	s.removeFile(l.path)
	return nil
}

// insert puts a recovered entry in its place.
func (s *Spool) insert(e entry) {
	i, _ := slices.BinarySearchFunc(s.entries, e, func(a, t entry) int { return a.compare(&t) })
	s.entries = slices.Insert(s.entries, i, e)
	s.counts[e.state]++
	s.blocks += int64(e.blocks)
}

// sift parts what a dead process left in an open file: whole lines of text, what is not text (a power cut may leave
// zeros or blocks of other files), and the length of an unfinished last line.
func sift(data []byte) (good, bad []byte, torn int) {
	end := bytes.LastIndexByte(data, '\n') + 1
	tail := data[end:]
	if isText(tail) {
		torn = len(tail)
	} else {
		bad = append(bad, tail...)
	}
	for line := range bytes.Lines(data[:end]) {
		if isText(line[:len(line)-1]) {
			good = append(good, line...)
		} else {
			bad = append(bad, line...)
		}
	}
	return good, bad, torn
}

func isText(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(line)
}

// age runs the odometer over the batches found, by the times in their names: gaps count up to maxStep, so a name
// years ahead or behind makes no batch old.
func (s *Spool) age() {
	for i := range s.entries {
		e := &s.entries[i]
		at := time.UnixMilli(e.sealed)
		if i == 0 {
			s.odo.last = at
		}
		e.born = uint32(s.odo.tick(at) / time.Second)
	}
	s.odo.tick(s.o.Now())
}
