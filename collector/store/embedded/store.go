// Package embedded is the time-series store that comes with the collector: Prometheus's storage engine
// (prometheus/tsdb) behind the store.Store interface, in one folder and without another process.
//
// # What lies in the folder
//
//	series/       the engine: blocks of sealed data, wal/ and wbl/ (logs of what is not in a block yet), chunks_head/
//	rollups.db    windows of five minutes and more (see the room rolled)
//	texts.dict    texts by number, and the class of each field (see the room texts)
//	lock          held while the store is open
//	clean         there while the engine is closed, if it was closed in good order
//	damaged/      what was unreadable at a start and was set aside, never deleted
//
// Each field of a series is a series of the engine: label __name__ is the measurement, __field__ the field's key
// behind '#' (numbers) or '$' (texts), the other labels are the tags.
//
// # What a point is
//
// A point is its measurement, tags, field and millisecond. Storing it again with the same value changes nothing, in
// whatever order and however late. Storing it again with another value is no error either, but here this engine
// differs from InfluxDB, where the last value wins: the one that was there first is kept as long as it is the newest
// of its series or still in memory among the late ones; beyond that, one of the two is kept, and which one is not
// defined. Agents never do this, because a run's time is stamped once.
//
// A field is of one class, number or text, in all series of a measurement; a row that brings the other is rejected.
//
// A query that runs beside an Append may see some of its rows already.
//
// # Time
//
// Rows may be as late as Options.LateWindow and arrive in any order; what is older is rejected. A row more than an
// hour ahead of the clock is rejected too: the engine takes its bearings from the newest sample, so one stray row
// from the year 2100 would make everybody else's too old.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/fileutil"
	"github.com/prometheus/prometheus/util/compression"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded/disk"
	"communewatch/collector/store/embedded/repair"
	"communewatch/collector/store/embedded/rolled"
	"communewatch/collector/store/embedded/texts"
)

// Options says where and how to store. Zero values mean the defaults named here.
type Options struct {
	Dir string // required
	// Retention is how long rows are kept, counted from the newest; 90 d. What is older goes by whole blocks, at opening
	// already and then for good: a store that holds older rows which are needed yet, for rollups that were never
	// worked out, is to be opened with a retention that spares them, which SetRetention shortens later.
	Retention  time.Duration
	Keep       map[rollup.Level]time.Duration // how long rollups are kept, by level; a level that is missing is kept for ever
	LateWindow time.Duration                  // how late a row may be; 30 d, the longest an agent spools
	MaxSeries  int                            // live series at most, rows with new ones beyond are rejected; 3 million (about 2 GB of memory)
	Texts      []string                       // texts that must be told apart for ever: they get their numbers before the dictionary can fill up
	Reserve    int64                          // rows are refused while fewer bytes are free on the disk; 256 MiB, negative means 0
	Now        func() time.Time
	Log        *slog.Logger
	Metrics    prometheus.Registerer // nil: the engine's metrics are not exported
}

const (
	defaultRetention  = 90 * 24 * time.Hour
	defaultLateWindow = 30 * 24 * time.Hour
	defaultMaxSeries  = 3_000_000

	// maxAhead bounds how far ahead of the clock a row may be. Ingest allows minutes; this is the fence behind it.
	maxAhead = time.Hour

	// cacheKeys bounds the cache of line keys, at some 250 bytes each.
	cacheKeys = 400_000

	// logFileBytes is the size of a file of the logs. They are dropped by whole files, and the newest third is always
	// kept: small files, less to read at a start.
	logFileBytes = 32 << 20

	// logCompression takes a third off the logs (from 11.1 to 7.2 bytes a value, measured with round-trip times in
	// nanoseconds) for a tenth more CPU per value appended. Zstd takes another fifth off (5.8) for half as much again.
	logCompression = compression.Snappy

	// defaultReserve is room for what the engine still writes by itself when no row is taken any more: at most the
	// chunk that each live series has in memory, a few hundred bytes. It is an estimate, and holds for some hundred
	// thousand series. The engine panics if it can't write them.
	defaultReserve = 256 << 20

	// reopenEvery is how often a store whose log could not be written tries to start over.
	reopenEvery = 10 * time.Second
)

const reasonFuture = "time is more than an hour ahead of the collector's clock; check the sender's clock"

// Store is an embedded store. It implements store.Store.
type Store struct {
	dir        string
	lateWindow time.Duration
	tooOld     string // the reason given for rows beyond lateWindow
	maxSeries  int
	reserve    int64
	now        func() time.Time
	log        *slog.Logger
	options    tsdb.Options
	next       prometheus.Registerer

	lock  fileutil.Releaser // of the folder
	cache *cache
	dict  *texts.Dict
	rolls *rolled.Rolled

	appended, rejected, commits atomic.Uint64

	retention atomic.Int64 // how long rows are kept, in milliseconds

	oldest atomic.Int64 // Unix milliseconds of the oldest row that was in memory since opening; MaxInt64: none

	// life is held for reading by every call under way, and for writing by what replaces or closes the engine.
	life     sync.RWMutex
	closed   bool
	db       *tsdb.DB // nil while it could not be opened again
	metrics  *metrics
	reopenAt time.Time // not before this

	// mapping is held by the call that moves chunks to disk; mappedTo is the newest sample's time when one did last.
	mapping  sync.Mutex
	mappedTo atomic.Int64 // Unix milliseconds

	// turn is held by the one batch that commits, or meets unknown series; see Append.
	turn sync.Mutex

	// broken is set once the log could not be written, so that it may end in half a record. What is appended behind
	// that would be lost in a replay; nothing more is taken until the engine was opened anew, which repairs the log.
	broken atomic.Pointer[error]

	full atomic.Bool // rows are refused for want of space

	syncing sync.Mutex // guards synced
	synced  syncState

	backing sync.Mutex // one Backup at a time
}

// Open opens or creates the store in o.Dir and starts the engine's background work, which Close ends.
func Open(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("open store: no folder given")
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.LateWindow == 0 {
		o.LateWindow = defaultLateWindow
	}
	if o.MaxSeries == 0 {
		o.MaxSeries = defaultMaxSeries
	}
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		dir:        o.Dir,
		lateWindow: o.LateWindow,
		tooOld:     fmt.Sprintf("older than %s, the longest a row may be late", o.LateWindow),
		maxSeries:  o.MaxSeries,
		reserve:    o.Reserve,
		now:        o.Now,
		log:        o.Log,
		options:    engineOptions(o),
		next:       o.Metrics,
		cache:      newCache(cacheKeys),
	}
	s.oldest.Store(math.MaxInt64)
	s.SetRetention(o.Retention)
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	// Our own lock, because the engine takes its own only after we have prepared its files.
	var err error
	if s.lock, _, err = fileutil.Flock(filepath.Join(o.Dir, "lock")); err != nil {
		return nil, fmt.Errorf("open store %s: another process has it open, stop that first: %w", o.Dir, err)
	}
	if err := s.openEngine(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", o.Dir, err), s.lock.Release())
	}
	if err := os.RemoveAll(filepath.Join(o.Dir, backupTemp)); err != nil {
		s.log.Warn("can't remove the rest of an interrupted backup", "err", err)
	}
	if s.dict, err = openTexts(s, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", o.Dir, err), s.closeEngine(), s.lock.Release())
	}
	if s.rolls, err = rolled.Open(context.Background(), s.rollupsFile(), rolled.Options{Keep: o.Keep, Room: s.room, Now: o.Now, Log: o.Log}); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", o.Dir, err), s.dict.Close(), s.closeEngine(), s.lock.Release())
	}
	return s, nil
}

// engineOptions tunes the engine for what a monitoring fleet is: rather many series, one sample each per half minute,
// little memory, data that may be weeks late.
func engineOptions(o Options) tsdb.Options {
	e := *tsdb.DefaultOptions()
	// The engine counts from its newest sample, which may be ahead of the clock; ours is the rule that decides.
	e.OutOfOrderTimeWindow = (o.LateWindow + 2*maxAhead).Milliseconds()
	e.MinBlockDuration = (2 * time.Hour).Milliseconds()
	// Blocks grow by threes to a week. Late rows make the block they fall into be written again, so bigger blocks
	// would make each straggler expensive; smaller ones would make a year 400 files to open.
	e.MaxBlockDuration = (162 * time.Hour).Milliseconds()
	e.WALSegmentSize = logFileBytes
	e.WALCompression = logCompression
	// The default of 16,384 stripes takes megabytes even for an empty store; 2,048 hold a million series well.
	e.StripeSize = 2048
	// Isolation hides the rows of a batch from readers until the last one is stored, at 60 bytes a series. Nobody here
	// needs it; and that compaction waits for batches under way, its other use, is ensured by turns (see Append).
	e.IsolationDisabled = true
	// Chunks of live series go to disk once a minute in one sweep; 4 MiB of buffer, the default, gain nothing.
	e.HeadChunksWriteBufferSize = 256 << 10
	return e
}

func (s *Store) seriesDir() string   { return filepath.Join(s.dir, "series") }
func (s *Store) dictFile() string    { return filepath.Join(s.dir, "texts.dict") }
func (s *Store) rollupsFile() string { return filepath.Join(s.dir, "rollups.db") }
func (s *Store) cleanFile() string   { return filepath.Join(s.dir, "clean") }
func (s *Store) damagedDir() string {
	return filepath.Join(s.dir, "damaged", s.now().UTC().Format("20060102T150405Z"))
}

// begin prepares the engine's files for being opened.
func (s *Store) begin() error {
	if err := repair.Finish(s.seriesDir()); err != nil {
		return err
	}
	if _, err := os.Stat(s.cleanFile()); err != nil {
		return repair.AfterUncleanEnd(s.seriesDir(), s.damagedDir(), logFileBytes, logCompression, s.log)
	}
	if err := os.Remove(s.cleanFile()); err != nil {
		return err
	}
	return disk.SyncDir(s.dir)
}

// openEngine opens the engine, after repairs where they are needed. life is held for writing, or nobody knows s yet.
func (s *Store) openEngine() error {
	if err := s.begin(); err != nil {
		return err
	}
	m := newMetrics(s.next)
	db, err := repair.Open(s.seriesDir(), s.damagedDir(), s.log, func() (*tsdb.DB, error) {
		m.unregister() // of a try before
		options := s.options
		options.BlocksToDelete = s.expired
		return tsdb.Open(s.seriesDir(), s.log, m, &options, nil)
	})
	if err != nil {
		m.unregister()
		return err
	}
	s.db, s.metrics = db, m
	s.synced = syncState{}
	// Now, and not later, does the engine know the age of late rows exactly: it loses track when it drops some.
	s.reaches(min(db.Head().MinTime(), db.Head().MinOOOTime()))
	return nil
}

func (s *Store) closeEngine() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.metrics.unregister()
	s.db = nil
	if err != nil {
		return err
	}
	return disk.WriteFile(s.cleanFile(), []byte("The engine was closed in good order; see store.go.\n"))
}

// errNotOpen is what calls return while the engine is waiting to be opened again.
var errNotOpen = errors.New("store could not be opened again after a write error; it tries every " + reopenEvery.String())

// enter begins a call. If it returns nil, life is held for reading.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	switch {
	case s.closed:
		s.life.RUnlock()
		return store.ErrClosed
	case s.db == nil:
		s.life.RUnlock()
		return errNotOpen
	}
	return nil
}

// check returns whether a call could begin now.
func (s *Store) check(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.life.RUnlock()
	return nil
}

// enterWriter is enter for calls that write: it refuses them while the disk is almost full, and mends a broken store
// first if it can.
//
// The engine may not meet a full disk: its log would end in half a record, which costs a restart of the engine; and
// where it moves chunks from memory to disk it panics. What is held back is for those chunks.
func (s *Store) enterWriter(ctx context.Context) error {
	free, err := disk.Free(s.dir)
	if err != nil {
		free = math.MaxInt64 // not to be told: writing will show
	}
	if full := free < s.reserve; full != s.full.Swap(full) {
		if full {
			s.log.Error("the disk is almost full, no rows are taken; make room or shorten the retention", "free_bytes", free, "reserve_bytes", s.reserve)
		} else {
			s.log.Info("there is room on the disk again, rows are taken", "free_bytes", free)
		}
	}
	if free < s.reserve {
		return fmt.Errorf("%w: %d MiB are free, rows are taken from %d MiB on; make room or shorten the retention",
			errDiskFull, free>>20, s.reserve>>20)
	}
	if s.broken.Load() != nil {
		if err := s.mend(free); err != nil {
			return err
		}
	}
	return s.enter(ctx)
}

// errDiskFull says that nothing is taken for want of space.
var errDiskFull = errors.New("the store's disk is almost full")

// mend opens the engine anew after its log could not be written, most often because the disk was full.
func (s *Store) mend(free int64) error {
	s.life.Lock()
	defer s.life.Unlock()
	cause := s.broken.Load()
	if s.closed || cause == nil {
		return nil
	}
	now := s.now()
	if now.Before(s.reopenAt) {
		return fmt.Errorf("store takes nothing after a write error: %w", *cause)
	}
	s.reopenAt = now.Add(reopenEvery)
	// Opening writes: the damaged file of the log once more, all of the log of late rows, and new files.
	if need := disk.Bytes(filepath.Join(s.seriesDir(), "wbl")) + logFileBytes; free < need {
		return fmt.Errorf("store takes nothing after a write error (%w), and needs %d MiB of free space to start over, not %d MiB",
			*cause, need>>20, free>>20)
	}
	if err := s.closeEngine(); err != nil {
		s.log.Warn("closing the store after a write error", "err", err)
	}
	if err := s.openEngine(); err != nil {
		s.log.Error("store can't be opened again after a write error", "err", err)
		return fmt.Errorf("store can't be opened again after a write error: %w", err)
	}
	s.cache.forget()
	s.broken.Store(nil)
	s.log.Info("store takes rows again after a write error", "was", *cause)
	return nil
}

// Stats describes the store.
func (s *Store) Stats() store.Stats {
	st := store.Stats{Appended: s.appended.Load(), Rejected: s.rejected.Load(), TextsLost: s.dict.Overflowed()}
	if s.enter(context.Background()) != nil {
		return st
	}
	defer s.life.RUnlock()
	head := s.db.Head()
	st.Series = int(head.NumSeries())
	st.Bytes = head.Size() + s.rolls.Bytes()
	if info, err := os.Stat(s.dictFile()); err == nil {
		st.Bytes += info.Size()
	}
	oldest := s.oldest.Load()
	for _, b := range s.db.Blocks() {
		st.Bytes += b.Size()
		oldest = min(oldest, b.MinTime())
	}
	if oldest != math.MaxInt64 {
		oldest = max(oldest, s.now().UnixMilli()-s.retention.Load())
		st.Oldest = time.UnixMilli(oldest).UTC()
	}
	return st
}

// SetRetention says anew how long rows are kept. What is older goes within minutes.
func (s *Store) SetRetention(d time.Duration) { s.retention.Store(d.Milliseconds()) }

// expired returns the blocks that the engine is to drop: those that were merged into others, and those that end as long
// before the newest as rows are kept, but none for rows that are of a time to come: those are of a clock that was wrong. The
// engine's own rule can't be told of another retention while it runs.
func (s *Store) expired(blocks []*tsdb.Block) map[ulid.ULID]struct{} {
	newest := int64(math.MinInt64)
	for _, b := range blocks {
		newest = max(newest, b.MaxTime())
	}
	newest = min(newest, s.now().UnixMilli())
	out := map[ulid.ULID]struct{}{}
	for _, b := range blocks {
		if meta := b.Meta(); meta.Compaction.Deletable || newest-meta.MaxTime >= s.retention.Load() {
			out[meta.ULID] = struct{}{}
		}
	}
	return out
}

// reaches notes that there is, or was, a row of this time.
func (s *Store) reaches(t int64) {
	for old := s.oldest.Load(); t < old && !s.oldest.CompareAndSwap(old, t); old = s.oldest.Load() {
	}
}

// Close ends the background work and closes the store, after the calls under way.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	if err := errors.Join(s.closeEngine(), s.rolls.Close(), s.dict.Sync(), s.dict.Close(), s.lock.Release()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

func openTexts(s *Store, o Options) (*texts.Dict, error) {
	dict, err := texts.Open(s.dictFile(), s.damagedDir(), texts.DefaultLimits, o.Log)
	if err != nil {
		return nil, err
	}
	for _, t := range o.Texts {
		if _, err := dict.ID([]byte(t)); err != nil {
			return nil, errors.Join(err, dict.Close())
		}
	}
	return dict, nil
}
