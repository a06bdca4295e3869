// Package rolled keeps rollups beside the embedded engine, in one SQLite file: what the engine itself can't do, since
// windows are written again when late rows come in, and kept for longer than rows are.
//
// Windows of a series lie in blocks of three days (five minutes), 32 days (hours) and more, in the form of the room block.
// What comes in is written to small pieces of a block, which stand over the block; two days after its end they are
// joined. So an hour that comes in costs the same whether it is the latest or one of last month.
//
// # What is damaged
//
// A block that can't be read, by its checksum, is left out of answers and logged, once: the other windows must stay
// readable. When such a piece is to be written again, what is there is set aside in the table damaged. A block of a newer
// form is an error. So is what SQLite finds wrong with the file itself.
//
// # Size
//
// Pruning makes room in the file, which new windows then take. The file does not become smaller.
package rolled

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/sqlite"
	"communewatch/collector/store/embedded/rolled/block"
	"communewatch/probes"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks the file as ours ("CWRU").
const applicationID = 0x43575255

// Options of the file. Zero values mean the defaults named here.
type Options struct {
	Keep map[rollup.Level]time.Duration // how long windows are kept, by level; a level that is missing is kept for ever
	// Room returns an error while the disk is too full for work that can wait; nil: it never is.
	Room func() error
	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: nothing is logged
}

// Rolled is an open file of rollups. It implements store.Rolled.
type Rolled struct {
	db   *sqlite.DB
	path string
	o    Options

	writing *writing // used by the file's writer alone

	naming sync.RWMutex // guards names
	names  map[uint64]string

	writes  atomic.Int64 // transactions committed since opening
	syncing sync.Mutex   // guards synced
	synced  int64        // of the writes, those on disk

	told sync.Map // ids of damaged blocks that were logged

	stop  context.CancelFunc // ends the work in the background
	ended chan struct{}      // closed when it has ended
}

// Open opens or creates the file at path, and starts the work in the background, which Close ends.
func Open(ctx context.Context, path string, o Options) (*Rolled, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Room == nil {
		o.Room = func() error { return nil }
	}
	migrations, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	r := &Rolled{path: path, o: o, names: map[uint64]string{}, ended: make(chan struct{})}
	r.db, err = sqlite.Open(ctx, path, sqlite.Options{
		Name: "rollups", ApplicationID: applicationID, Migrations: migrations, Readers: 4, Log: o.Log, Now: o.Now,
		Cache: func(ctx context.Context, c *sql.Conn) (sqlite.Cache, error) {
			w, err := prepareWriting(ctx, c)
			r.writing = w
			return w, err
		},
	})
	if err != nil {
		return nil, err
	}
	work, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() {
		defer close(r.ended)
		r.tendAll(work)
	}()
	return r, nil
}

// Close ends the background work and closes the file.
func (r *Rolled) Close() error {
	r.stop()
	<-r.ended
	return r.db.Close()
}

// Sync returns when everything stored before the call is on disk.
func (r *Rolled) Sync() error {
	r.syncing.Lock()
	defer r.syncing.Unlock()
	writes := r.writes.Load()
	if writes == r.synced {
		return nil
	}
	if err := r.db.Sync(); err != nil {
		return err
	}
	r.synced = writes
	return nil
}

// Backup writes a copy to file, which must not exist.
func (r *Rolled) Backup(ctx context.Context, file string) error { return r.db.Backup(ctx, file) }

// Bytes is the size on disk.
func (r *Rolled) Bytes() int64 {
	var n int64
	for _, f := range []string{r.path, r.path + "-wal"} {
		if info, err := os.Stat(f); err == nil {
			n += info.Size()
		}
	}
	return n
}

// noteDamage logs a block that can't be read, the first time.
func (r *Rolled) noteDamage(level rollup.Level, series string, id int64, err error) {
	if _, known := r.told.LoadOrStore(id, true); known {
		return
	}
	block, piece := blockOf(id)
	r.o.Log.Error("a block of rollups is damaged, its windows are left out; compute them again from rows, or put back a backup",
		"file", r.path, "level", level.String(), "series", series, "from", time.UnixMilli(layouts[level].begin(block)).UTC(), "piece", piece, "err", err)
}

// writing is what the file's writer keeps: prepared statements, and the numbers of series and names.
type writing struct {
	findSeries, putSeries, dropSeries  *sql.Stmt
	findNumber, findName, putName      *sql.Stmt
	get, rest, put, drop, prune, aside *sql.Stmt
	note, unnote, unnoteOld            *sql.Stmt
	statements                         []*sql.Stmt // all of them

	series  map[string]int64   // by rollup.SeriesKey
	numbers map[string]uint64  // of fields' keys
	names   map[uint64]string  // the inverse
	noted   map[[2]int64]int64 // by level and series, the block last noted in pieces
}

// maxKnown bounds what is remembered of series, at some 200 bytes each.
const maxKnown = 100_000

func prepareWriting(ctx context.Context, c *sql.Conn) (*writing, error) {
	w := &writing{}
	w.Forget()
	for _, p := range []struct {
		into **sql.Stmt
		text string
	}{
		{&w.findSeries, "SELECT id FROM series WHERE key = ?"},
		{&w.putSeries, "INSERT INTO series (key, measurement, site, tags) VALUES (?, ?, ?, ?) RETURNING id"},
		{&w.dropSeries, "DELETE FROM series AS s WHERE id = ? AND " + withoutWindows},
		{&w.findNumber, "SELECT id FROM names WHERE name = ?"},
		{&w.findName, "SELECT name FROM names WHERE id = ?"},
		{&w.putName, "INSERT INTO names (name) VALUES (?) RETURNING id"},
		{&w.get, "SELECT data FROM blocks WHERE id = ?"},
		{&w.put, "INSERT INTO blocks (id, data) VALUES (?, ?) ON CONFLICT DO UPDATE SET data = excluded.data"},
		{&w.rest, "SELECT id, data FROM blocks WHERE id BETWEEN ? AND ? ORDER BY id"},
		{&w.drop, "DELETE FROM blocks WHERE id BETWEEN ? AND ?"},
		{&w.prune, "DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE id BETWEEN ? AND ? LIMIT ?)"},
		{&w.note, "INSERT OR IGNORE INTO pieces (level, block, series) VALUES (?, ?, ?)"},
		{&w.unnote, "DELETE FROM pieces WHERE level = ? AND block = ? AND series = ?"},
		{&w.unnoteOld, "DELETE FROM pieces WHERE level = ? AND block < ?"},
		{&w.aside, "INSERT INTO damaged (id, found, data) SELECT id, ?, data FROM blocks WHERE id = ?"},
	} {
		prepared, err := c.PrepareContext(ctx, p.text)
		if err != nil {
			w.Close()
			return nil, err
		}
		*p.into = prepared
		w.statements = append(w.statements, prepared)
	}
	return w, nil
}

// Store implements sqlite.Cache. Nothing waits to be written.
func (w *writing) Store(context.Context) error { return nil }

// Forget implements sqlite.Cache.
func (w *writing) Forget() {
	w.series, w.noted = map[string]int64{}, map[[2]int64]int64{}
	w.numbers, w.names = map[string]uint64{}, map[uint64]string{}
}

// Close implements sqlite.Cache.
func (w *writing) Close() {
	for _, s := range w.statements {
		_ = s.Close()
	}
}

// write runs do in a transaction. It can't be canceled under way: do may use what its caller owns.
func (r *Rolled) write(ctx context.Context, do func(ctx context.Context, w *writing) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := r.db.Write(context.WithoutCancel(ctx), func(ctx context.Context, _ *sql.Conn) error {
		w := r.writing
		if len(w.series) > maxKnown {
			w.Forget()
		}
		err := do(ctx, w)
		if err != nil {
			w.Forget() // numbers that do made are undone with it
		}
		return err
	})
	if err != nil {
		return r.db.Explain(err)
	}
	r.writes.Add(1)
	return nil
}

// seriesID returns the number of a series, a new one if it has none.
func (w *writing) seriesID(ctx context.Context, measurement string, tags probes.Tags) (int64, error) {
	key := rollup.SeriesKey(measurement, tags)
	if id, ok := w.series[key]; ok {
		return id, nil
	}
	var id int64
	err := w.findSeries.QueryRowContext(ctx, []byte(key)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		var text []byte
		if text, err = json.Marshal(tags); err != nil {
			return 0, err
		}
		err = w.putSeries.QueryRowContext(ctx, []byte(key), measurement, tags.Get("site"), string(text)).Scan(&id)
	}
	if err != nil {
		return 0, err
	}
	if id > maxSeries {
		return 0, fmt.Errorf("more than %d series", maxSeries)
	}
	w.series[key] = id
	return id, nil
}

// nameID returns the number of a field's key, a new one if it has none.
func (w *writing) nameID(ctx context.Context, name string) (uint64, error) {
	if id, ok := w.numbers[name]; ok {
		return id, nil
	}
	var id int64
	err := w.findNumber.QueryRowContext(ctx, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = w.putName.QueryRowContext(ctx, name).Scan(&id)
	}
	if err != nil {
		return 0, err
	}
	w.numbers[name] = uint64(id)
	return uint64(id), nil
}

// name returns the key of a field, also one that is not committed yet.
func (w *writing) name(ctx context.Context) func(number uint64) (string, bool, error) {
	return func(number uint64) (string, bool, error) {
		name, ok := w.names[number]
		if !ok {
			if err := scanName(w.findName.QueryRowContext(ctx, int64(number)), number, &name); err != nil {
				return "", false, err
			}
			w.names[number] = name
		}
		return name, true, nil
	}
}

func scanName(row *sql.Row, number uint64, name *string) error {
	err := row.Scan(name)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: no field has number %d", block.ErrDamaged, number)
	}
	return err
}
