package spool

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"communewatch/agent/spool/disk"
)

// Newest returns the newest batch that waits, without taking it. It is false when none does. Damaged batches on the
// way are set aside.
func (s *Spool) Newest() (Batch, bool, error) { return s.peek(s.last) }

// Oldest returns the oldest batch that waits, without taking it.
func (s *Spool) Oldest() (Batch, bool, error) { return s.peek(s.first) }

func (s *Spool) peek(which func() (int, bool)) (Batch, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		i, ok := which()
		if !ok || s.closed {
			return Batch{}, false, nil
		}
		e := s.entries[i]
		b := Batch{ID: s.id(&e), Sealed: time.UnixMilli(e.sealed)}
		var packed []byte
		var err error
		if m := s.memory[b.ID]; m != nil {
			packed = m.packed
		} else {
			packed, err = s.disk.Read(s.path(&e), maxFile)
		}
		if err == nil {
			b.Body, err = unpack(packed)
		}
		switch {
		case err == nil:
			return b, true, nil
		case isMissing(err):
			s.o.Log.Warn("spool: a batch was removed by someone else", "batch", b.ID.String())
			s.stats.Dropped++
			s.drop(i)
		case errors.Is(err, disk.ErrDamaged):
			s.quarantine(i, err.Error())
		default: // out of file descriptors, no permission, ...: it may be readable later
			return Batch{}, false, fmt.Errorf("spool: read batch: %w", err)
		}
	}
}

// Acknowledged says that the collector's store, as opened under the given identity, has taken the batch under a
// number. The batch is kept until Durable says that it is on disk there, or until another store answers.
func (s *Spool) Acknowledged(id ID, store string, commit uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastAck = s.odo.total
	s.lose(store)
	i, ok := s.find(id)
	if !ok {
		return
	}
	s.set(i, unsynced)
	s.acks[id] = ack{store, commit}
	if len(s.acks) > maxUnsynced {
		if i, ok := s.oldestUnsynced(); ok {
			s.drop(i)
		}
	}
}

// Durable says that what the store acknowledged under numbers up to through is on its disk, so it is forgotten here.
// What other stores acknowledged waits to be sent again: a store that was opened anew may have lost it.
func (s *Spool) Durable(store string, through uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose(store)
	for id, a := range s.acks {
		if a.commit > through {
			continue
		}
		if i, ok := s.find(id); ok {
			s.drop(i)
		} else {
			delete(s.acks, id)
		}
	}
}

// lose makes wait again what stores other than this one acknowledged.
func (s *Spool) lose(store string) {
	n := 0
	for id, a := range s.acks {
		if a.store == store {
			continue
		}
		if i, ok := s.find(id); ok {
			s.set(i, pending)
			n++
		}
		delete(s.acks, id)
	}
	if n > 0 {
		s.o.Log.Info("the collector's store was opened anew; batches that may not have been on its disk are sent again", "batches", n)
		s.notify()
	}
}

// Forget removes a batch: a receiver without durability headers has taken it.
func (s *Spool) Forget(id ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastAck = s.odo.total
	if i, ok := s.find(id); ok {
		s.drop(i)
	}
	return nil
}

// Quarantine sets a batch aside that no collector will take, with the reason beside it.
func (s *Spool) Quarantine(id ID, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastAck = s.odo.total
	if i, ok := s.find(id); ok {
		s.quarantine(i, reason)
	}
	return nil
}

// QuarantineCopy sets a copy of a batch aside, with the reason beside it, and leaves the batch where it is: a collector
// refused some of its rows, took the others, and may yet lose those in a power cut.
func (s *Spool) QuarantineCopy(id ID, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(id)
	if !ok {
		return nil
	}
	e := s.entries[i]
	var packed []byte
	if m := s.memory[id]; m != nil {
		packed = m.packed
	} else {
		var err error
		if packed, err = s.disk.Read(s.path(&e), maxFile); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	dir := filepath.Join(s.o.Dir, quarantineName)
	to := filepath.Join(dir, filepath.Base(s.path(&e)))
	if _, err := os.Stat(to); err == nil {
		return nil // refused before; it is here again because the collector lost the rest
	}
	s.stats.Quarantined++
	if err := s.disk.WriteFile(to, packed); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	s.explain(to, reason)
	return nil
}

// All below is called with mu held.

func (s *Spool) quarantine(i int, reason string) {
	e := s.entries[i]
	if m := s.memory[s.id(&e)]; m != nil {
		if err := s.disk.WriteFile(s.path(&e), m.packed); err != nil {
			s.o.Log.Warn("spool: refused batch could not be kept", "batch", s.id(&e).String(), "reason", reason, "error", err)
		}
	}
	s.setAside(s.path(&e), reason)
	s.drop(i)
}

const (
	// maxAside and maxAsideBytes bound the quarantine: enough to find out what went wrong.
	maxAside      = 1000
	maxAsideBytes = 16 << 20
)

// setAside moves a file to the quarantine, with its reason beside it. The oldest there go when there are too many.
func (s *Spool) setAside(name, reason string) {
	s.stats.Quarantined++
	dir := filepath.Join(s.o.Dir, quarantineName)
	to := filepath.Join(dir, filepath.Base(name))
	err := s.disk.Mkdir(dir)
	if err == nil {
		err = s.disk.Rename(name, to)
	}
	if err != nil {
		s.o.Log.Error("spool: could not set a file aside; it stays where it is until the next start", "file", name, "reason", reason, "error", err)
		return
	}
	s.explain(to, reason)
}

// explain puts the reason beside a file set aside, and keeps their number within bounds.
func (s *Spool) explain(name, reason string) {
	s.o.Log.Warn("spool: set a batch aside", "file", name, "reason", reason)
	_ = os.WriteFile(name+".txt", []byte(reason+"\n"), 0o640)
	s.trimAside(filepath.Dir(name))
}

func (s *Spool) trimAside(dir string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var files []os.FileInfo
	var bytes int64
	for _, d := range list {
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
			bytes += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for len(files) > 2*maxAside || bytes > maxAsideBytes && len(files) > 2 {
		_ = os.Remove(filepath.Join(dir, files[0].Name()))
		bytes -= files[0].Size()
		files = files[1:]
	}
}

// enforce drops the oldest batches until all bounds hold.
func (s *Spool) enforce() {
	excess := s.blocks*blockSize - s.o.MaxBytes
	if s.o.MinFree > 0 {
		if total, free, err := s.disk.Space(s.o.Dir); err == nil {
			lacking := int64(s.o.MinFree*float64(total)) - free
			excess = max(excess, min(lacking, s.blocks*blockSize-keepBytes))
		}
	}
	dropped := 0
	for target := s.blocks*blockSize - excess; excess > 0 && s.blocks*blockSize > target; {
		i, ok := s.oldestUnsynced() // these have been taken over there, most likely for good
		if !ok {
			if i, ok = s.oldestOnDisk(); !ok {
				break
			}
			dropped++
		}
		s.drop(i)
	}
	for i, ok := s.first(); ok; i, ok = s.first() {
		if s.odo.total-time.Duration(s.entries[i].born)*time.Second <= s.o.MaxAge {
			break
		}
		s.drop(i)
		dropped++
	}
	if dropped > 0 {
		s.stats.Dropped += uint64(dropped)
		s.o.Log.Warn("spool: dropped the oldest batches to stay within its bounds", "batches", dropped, "bytes", s.blocks*blockSize)
	}
}

// drop removes the batch at i from disk, memory and the index.
func (s *Spool) drop(i int) {
	e := &s.entries[i]
	id := s.id(e)
	if m := s.memory[id]; m != nil {
		s.memBytes -= len(m.packed)
		delete(s.memory, id)
		if m.file != "" {
			s.removeFile(m.file)
		}
	} else {
		s.removeFile(s.path(e))
	}
	delete(s.acks, id)
	s.blocks -= int64(e.blocks)
	s.set(i, gone)
	for len(s.entries) > 0 && s.entries[0].state == gone {
		s.entries = s.entries[1:]
		s.counts[gone]--
	}
	for n := len(s.entries); n > 0 && s.entries[n-1].state == gone; n-- {
		s.entries = s.entries[:n-1]
		s.counts[gone]--
	}
	// Holes cost memory and time; sweeping when half are holes costs a constant per batch.
	if s.counts[gone] > 64 && s.counts[gone] > len(s.entries)/2 {
		s.entries = slices.DeleteFunc(s.entries, func(e entry) bool { return e.state == gone })
		s.counts[gone] = 0
	}
}

// add puts a newly sealed batch at the end of the index.
func (s *Spool) add(e entry) {
	s.entries = append(s.entries, e)
	s.counts[e.state]++
	s.blocks += int64(e.blocks)
}

func (s *Spool) set(i int, to state) {
	e := &s.entries[i]
	s.counts[e.state]--
	e.state = to
	s.counts[to]++
}

func (s *Spool) first() (int, bool) {
	if s.counts[pending] > 0 {
		for i := range s.entries {
			if s.entries[i].state == pending {
				return i, true
			}
		}
	}
	return 0, false
}

func (s *Spool) last() (int, bool) {
	if s.counts[pending] > 0 {
		for i := len(s.entries) - 1; i >= 0; i-- {
			if s.entries[i].state == pending {
				return i, true
			}
		}
	}
	return 0, false
}

func (s *Spool) oldestOnDisk() (int, bool) {
	for i := range s.entries {
		if s.entries[i].state == pending && s.entries[i].blocks > 0 {
			return i, true
		}
	}
	return 0, false
}

func (s *Spool) oldestUnsynced() (int, bool) {
	best, found := 0, false
	for id := range s.acks {
		if i, ok := s.find(id); ok && (!found || i < best) {
			best, found = i, true
		}
	}
	return best, found
}

// find returns the place of a batch that is not gone.
func (s *Spool) find(id ID) (int, bool) {
	boot := slices.Index(s.boots, id.Boot)
	if boot < 0 {
		return 0, false
	}
	want := entry{boot: uint32(boot), seq: id.Seq}
	i, ok := slices.BinarySearchFunc(s.entries, want, func(e, t entry) int { return e.compare(&t) })
	return i, ok && s.entries[i].state != gone
}

func (s *Spool) id(e *entry) ID {
	return ID{Boot: s.boots[e.boot], Seq: e.seq, Clock: int(e.clock)}
}

func (s *Spool) path(e *entry) string {
	return filepath.Join(s.dirs[e.boot], sealedName(s.id(e), e.sealed))
}

// dir is the folder of this boot.
func (s *Spool) dir() string { return s.dirs[len(s.dirs)-1] }

// sortEntries puts entries in order and returns those whose identity is there twice.
func sortEntries(entries []entry) (sorted, twice []entry) {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.compare(&b), cmp.Compare(a.sealed, b.sealed), cmp.Compare(a.clock, b.clock))
	})
	sorted = entries[:0]
	for _, e := range entries {
		if n := len(sorted); n > 0 && sorted[n-1].compare(&e) == 0 {
			twice = append(twice, e)
			continue
		}
		sorted = append(sorted, e)
	}
	return sorted, twice
}
