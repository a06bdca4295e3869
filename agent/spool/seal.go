package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"communewatch/agent/spool/pack"
)

// Append takes whole lines, each with its '\n', into the open batch. When it returns nil they survive a kill of the
// process. An error that is ErrMemory means that they were taken but wait in memory, because the disk takes no
// writes; any other error means that they were not taken. A batch holds lines of one clock only.
func (s *Spool) Append(clock int, lines []byte) error {
	switch {
	case len(lines) == 0:
		return nil
	case len(lines) > MaxAppend:
		return fmt.Errorf("spool: %d bytes in one Append; at most %d", len(lines), MaxAppend)
	case lines[len(lines)-1] != '\n':
		return errors.New("spool: the last line does not end with a newline")
	case clock < 0:
		return fmt.Errorf("spool: clock %d is negative", clock)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	now := s.odo.tick(s.o.Now())
	if b := s.open; b != nil && (b.id.Clock != clock || b.size+int64(len(b.tail)+len(lines)) > int64(s.o.SealBytes)) {
		s.rotate()
	}
	if s.open == nil {
		s.seq++
		id := ID{Boot: s.o.Boot, Seq: s.seq, Clock: clock}
		s.open = &openBatch{id: id, path: filepath.Join(s.dir(), openName(id)), began: now}
	}
	return s.append(s.open, lines)
}

// append puts lines behind what b holds: on disk if at all possible, else in memory.
func (s *Spool) append(b *openBatch, lines []byte) error {
	err := s.write(b, lines)
	if err == nil {
		return nil
	}
	for s.memBytes+len(lines) > MaxMemory && s.dropMemory() {
	}
	if s.memBytes+len(lines) > MaxMemory {
		s.stats.LostBytes += uint64(len(lines))
		return fmt.Errorf("spool: %w: %w", ErrLost, err)
	}
	b.tail = append(b.tail, lines...)
	s.memBytes += len(lines)
	return fmt.Errorf("spool: %w: %w", ErrMemory, err)
}

// write appends b's tail and lines to its file, in one write.
func (s *Spool) write(b *openBatch, lines []byte) error {
	if b.torn {
		return fmt.Errorf("%s: a failed write could not be undone", b.path)
	}
	if b.file == nil {
		f, err := s.disk.CreateOpen(b.path)
		if err != nil {
			return err
		}
		b.file = f
	}
	data := lines
	if len(b.tail) > 0 {
		data = append(b.tail[:len(b.tail):len(b.tail)], lines...)
	}
	if err := s.disk.Append(b.file, data); err != nil {
		// A part may have been written; without it the next line would continue a broken one.
		if terr := s.disk.Truncate(b.file, b.size); terr != nil {
			b.torn = true
		}
		return err
	}
	b.size += int64(len(data))
	s.memBytes -= len(b.tail)
	b.tail = nil
	return nil
}

// rotate puts the open batch among those that wait to be sealed.
func (s *Spool) rotate() {
	s.full = append(s.full, s.open)
	s.open = nil
}

// Seal seals the open batch when it is old enough, or anyway if force is set, and every batch that became full since
// the last call. It is to be called every second or so. A batch that the disk does not take stays in memory, can be
// sent from there, and is tried again at the next call; the error says so.
func (s *Spool) Seal(force bool) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	now := s.odo.tick(s.o.Now())
	if s.open != nil && (force || now-s.open.began >= s.sealAfter(now)) {
		s.rotate()
	}
	work := s.full
	s.mu.Unlock()

	var errs []error
	for _, b := range work {
		errs = append(errs, s.sealOne(b))
	}
	errs = append(errs, s.rescue())

	s.mu.Lock()
	defer s.mu.Unlock()
	s.enforce()
	s.notify()
	return errors.Join(errs...)
}

// sealAfter is how old an open batch may get.
func (s *Spool) sealAfter(now time.Duration) time.Duration {
	if s.counts[pending] > 0 && now-s.lastAck >= idleAfter {
		return idleFactor * s.o.SealAfter
	}
	return s.o.SealAfter
}

// sealOne seals the oldest full batch. Nobody else touches b: it has left s.open, and sealing is held.
func (s *Spool) sealOne(b *openBatch) error {
	body := make([]byte, b.size, b.size+int64(len(b.tail)))
	if b.file != nil {
		n, err := b.file.ReadAt(body, 0)
		if cerr := b.file.Close(); cerr != nil {
			s.o.Log.Warn("spool: close open batch", "error", cerr)
		}
		if int64(n) < b.size {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.finish(b)
			s.setAside(b.path, fmt.Sprintf("open batch can't be read back: %v", err))
			return fmt.Errorf("read open batch: %w", err)
		}
	}
	body = append(body, b.tail...)
	if len(body) == 0 { // nothing but a failed Append
		s.mu.Lock()
		defer s.mu.Unlock()
		s.finish(b)
		s.removeFile(b.path)
		return nil
	}
	packed := pack.Pack(body)
	sealed := s.o.Now().UnixMilli()
	err := s.disk.WriteFile(filepath.Join(s.dir(), sealedName(b.id, sealed)), packed)
	if err == nil && b.file != nil {
		s.removeFile(b.path)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish(b)
	e := entry{seq: b.id.Seq, sealed: sealed, boot: uint32(len(s.boots) - 1), clock: int32(b.id.Clock)}
	e.born = uint32(s.odo.total / time.Second)
	if err == nil {
		e.blocks = blocksOf(int64(len(packed)))
		s.add(e)
		return nil
	}
	m := &memBatch{packed: packed}
	if b.file != nil {
		m.file = b.path
	}
	for s.memBytes+len(m.packed) > MaxMemory && s.dropMemory() {
	}
	s.memory[b.id] = m
	s.memBytes += len(m.packed)
	s.add(e)
	return fmt.Errorf("seal batch %s (it stays in memory for now): %w", b.id, err)
}

// finish takes b, the oldest full batch, off the list.
func (s *Spool) finish(b *openBatch) {
	s.full = s.full[1:]
	s.memBytes -= len(b.tail)
}

// rescue tries to put batches from memory on disk.
func (s *Spool) rescue() error {
	for {
		s.mu.Lock()
		i, m := s.oldestInMemory()
		if m == nil {
			s.mu.Unlock()
			return nil
		}
		e := s.entries[i]
		id, name := s.id(&e), s.path(&e)
		s.mu.Unlock()

		if err := s.disk.WriteFile(name, m.packed); err != nil {
			return fmt.Errorf("batches wait in memory: %w", err)
		}

		s.mu.Lock()
		if s.memory[id] == nil { // sent or dropped in the meantime
			s.mu.Unlock()
			s.removeFile(name)
			continue
		}
		if i, ok := s.find(id); ok {
			s.entries[i].blocks = blocksOf(int64(len(m.packed)))
			s.blocks += int64(s.entries[i].blocks)
		}
		delete(s.memory, id)
		s.memBytes -= len(m.packed)
		s.mu.Unlock()
		if m.file != "" {
			s.removeFile(m.file)
		}
	}
}

// oldestInMemory returns the oldest sealed batch that the disk did not take, or nil.
func (s *Spool) oldestInMemory() (int, *memBatch) {
	if len(s.memory) == 0 {
		return 0, nil
	}
	for i := range s.entries {
		if e := &s.entries[i]; e.blocks == 0 && e.state != gone {
			if m := s.memory[s.id(e)]; m != nil {
				return i, m
			}
		}
	}
	return 0, nil
}

// dropMemory drops the oldest batch that waits in memory, and reports whether there was one.
func (s *Spool) dropMemory() bool {
	i, m := s.oldestInMemory()
	if m == nil {
		return false
	}
	if s.entries[i].state == pending {
		s.stats.Dropped++
	}
	s.drop(i)
	return true
}

func blocksOf(size int64) uint16 {
	return uint16(min(max((size+blockSize-1)/blockSize, 1), 1<<16-1))
}

// isMissing reports that a file is not there.
func isMissing(err error) bool { return errors.Is(err, os.ErrNotExist) }
