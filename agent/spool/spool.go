package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"communewatch/agent/spool/disk"
)

// Options says where and how large a spool is. Zero values mean the defaults.
type Options struct {
	Dir  string // required; made if missing. It should hold nothing else
	Boot string // required; random identity of this start of the agent, never used before

	MaxBytes  int64         // disk space in whole blocks; default 512 MiB
	MaxAge    time.Duration // of running time; default 30 days
	MinFree   float64       // least part of the disk to leave free, 0..1; default 0.05; negative for none
	SealAfter time.Duration // default 10 s
	SealBytes int           // default 256 KiB

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

const (
	// A month of an office's results: one batch a minute while nobody takes them (see idleFactor), one block each.
	defaultMaxBytes = 512 << 20
	defaultMaxAge   = 30 * 24 * time.Hour // a collector refuses older rows by default

	// A monitor must not be what fills an office machine's disk: at 5 % systems begin to warn.
	defaultMinFree = 0.05

	// keepBytes is never dropped for the sake of MinFree. Where the disk was filled by others, a spool that gives up
	// its last megabytes loses results and helps nobody.
	keepBytes = 16 << 20

	defaultSealAfter = 10 * time.Second // how late the map may be
	defaultSealBytes = 256 << 10        // a batch that a slow line carries in seconds

	// idleAfter and idleFactor: while nothing has been acknowledged for ten minutes, nobody waits for fresh batches,
	// and sealing six times less often makes an outage cost a sixth of the files.
	idleAfter  = 10 * time.Minute
	idleFactor = 6

	// MaxAppend bounds the lines of one Append.
	MaxAppend = 8 << 20

	// MaxMemory bounds what waits in memory while the disk takes no writes: hours of one office's results.
	MaxMemory = 4 << 20

	// maxUnsynced bounds what is kept after its acknowledgement. Collectors sync every second or so; one that never
	// says that anything is durable must not fill the disk.
	maxUnsynced = 4096

	// blockSize is what a file's size is rounded up to. Small files are many, and what they cost is blocks.
	blockSize = 4096

	// maxStep is the longest stretch between two looks at the clock that counts as running time. Batches follow each
	// other faster while the agent runs, so a longer gap means that it slept or that the clock jumped.
	maxStep = time.Minute
)

// Errors of a spool.
var (
	ErrLocked = errors.New("another process uses this spool; give each agent a folder of its own")
	ErrClosed = errors.New("spool is closed")

	// ErrMemory says that lines were taken, but only into memory: the disk takes no writes.
	ErrMemory = errors.New("kept in memory only")
	// ErrLost says that lines could be put neither on disk nor in memory.
	ErrLost = errors.New("lost: neither disk nor memory has room")
)

// Stats describes a spool. Counters count since Open.
type Stats struct {
	Batches     int       // waiting to be sent; the open batch is not among them
	Bytes       int64     // disk space of all sealed batches, and the memory of those that the disk did not take
	Oldest      time.Time // when the oldest waiting batch was sealed; zero when none waits
	Unsynced    int       // acknowledged, but not yet known to be on disk over there
	MemoryBytes int       // waiting in memory because the disk takes no writes

	Dropped     uint64 // batches dropped unsent, for space or age
	Quarantined uint64 // batches set aside, damaged or refused
	LostBytes   uint64 // lines lost because neither disk nor memory had room
	TornBytes   uint64 // cut off from open files of earlier boots: the line being written when the agent died
	Foreign     int    // files and folders found at Open that are not the spool's
}

// Spool is a queue of batches on disk. Its methods may be called concurrently.
type Spool struct {
	o    Options
	disk disk.Disk
	lock *os.File

	sealing sync.Mutex // held while batches are sealed, so that they stay in order; taken before mu
	ready   chan struct{}

	mu       sync.Mutex // guards the fields below
	closed   bool
	seq      uint64       // last number given out
	open     *openBatch   // nil until the first Append after a seal
	full     []*openBatch // wait to be sealed, oldest first
	boots    []string     // in order; this boot is the last
	dirs     []string     // their folders
	entries  []entry      // sealed batches, in order
	counts   [gone + 1]int
	blocks   int64 // of entries on disk
	acks     map[ID]ack
	memory   map[ID]*memBatch // sealed batches that the disk did not take
	memBytes int              // of memory and of open batches' tails
	stats    Stats            // the counters of it
	odo      odometer
	lastAck  time.Duration // odometer at the last acknowledgement
}

// openBatch is a batch that is being filled.
type openBatch struct {
	id    ID
	path  string
	file  *os.File      // nil while it could not be made
	size  int64         // what is good in file
	torn  bool          // a failed write left something behind size that could not be cut off
	tail  []byte        // lines that the disk did not take; they come after those in file
	began time.Duration // odometer
}

type memBatch struct {
	packed []byte
	file   string // open file that still holds a part of it; "" for none
}

type ack struct {
	store  string
	commit uint64
}

// odometer counts running time. Steps between two looks at the clock count up to maxStep and never backwards, so a
// clock that jumps adds at most a minute.
type odometer struct {
	total time.Duration
	last  time.Time
}

func (o *odometer) tick(now time.Time) time.Duration {
	o.total += min(max(now.Sub(o.last), 0), maxStep)
	o.last = now
	return o.total
}

// Open opens the spool in o.Dir, for this process alone, and recovers what earlier boots left.
func Open(o Options) (*Spool, error) { return open(o, disk.Disk{}) }

func open(o Options, d disk.Disk) (*Spool, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("spool folder: %w (make it, and let the agent's user write there)", err)
	}
	lock, err := disk.Lock(filepath.Join(o.Dir, lockName))
	if errors.Is(err, disk.ErrLocked) {
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", o.Dir, err)
	}
	s := &Spool{
		o: o, disk: d, lock: lock,
		ready:  make(chan struct{}, 1),
		acks:   map[ID]ack{},
		memory: map[ID]*memBatch{},
	}
	if err := s.load(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("spool %s: %w", o.Dir, err)
	}
	s.odo.last = o.Now()
	s.lastAck = s.odo.total
	s.enforce()
	s.notify()
	return s, nil
}

func (o *Options) complete() error {
	switch {
	case o.Dir == "":
		return errors.New("spool: no folder given")
	case !bootPattern.MatchString(o.Boot):
		return fmt.Errorf("spool: boot %q: use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit", o.Boot)
	case o.SealBytes > MaxAppend:
		return fmt.Errorf("spool: SealBytes %d is above %d", o.SealBytes, MaxAppend)
	case o.MinFree >= 1:
		return fmt.Errorf("spool: MinFree %v is a ratio below 1, for example 0.05", o.MinFree)
	}
	setDefault(&o.MaxBytes, defaultMaxBytes)
	setDefault(&o.MaxAge, defaultMaxAge)
	setDefault(&o.SealAfter, defaultSealAfter)
	setDefault(&o.SealBytes, defaultSealBytes)
	if o.MinFree == 0 {
		o.MinFree = defaultMinFree
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return nil
}

func setDefault[T int | int64 | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// Ready signals that a batch waits. It is a hint: one signal may stand for many batches, or for one that is gone.
func (s *Spool) Ready() <-chan struct{} { return s.ready }

// notify is called with mu held or before anyone else has s.
func (s *Spool) notify() {
	if s.counts[pending] == 0 {
		return
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Stats describes the spool at this moment. It touches no disk.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Batches = s.counts[pending]
	st.Unsynced = s.counts[unsynced]
	st.MemoryBytes = s.memBytes
	st.Bytes = s.blocks * blockSize
	for _, m := range s.memory {
		st.Bytes += int64(len(m.packed))
	}
	if i, ok := s.first(); ok {
		st.Oldest = time.UnixMilli(s.entries[i].sealed)
	}
	return st
}

// Close seals the open batch and gives the spool back. What the disk does not take now is lost with the process.
func (s *Spool) Close() error {
	err := s.Seal(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, b := range s.full {
		if b.file != nil {
			_ = b.file.Close()
		}
	}
	if s.memBytes > 0 {
		s.o.Log.Error("spool closed while the disk takes no writes; what was in memory is lost", "bytes", s.memBytes)
	}
	return errors.Join(err, s.lock.Close())
}

// removeFile removes a file of ours. One that can't be removed is found again at the next start, and sent again.
func (s *Spool) removeFile(name string) {
	if err := s.disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.o.Log.Warn("spool file not removed; it will be sent again after a restart", "file", name, "error", err)
	}
}
