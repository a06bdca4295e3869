package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// The time series hold floats only, so a text field is stored as the number of its text, and the texts lie beside the
// series in one append-only file, texts.dict. It also remembers of which class each field is, because a series must
// not hold numbers and texts in turn.
//
// A text's number is the low 52 bits of its hash (exact in a float64), not a counter. So a record that is lost, to a
// power cut or a bad sector, makes one text unreadable until it is met again, and can never make a sample show
// another's text.
//
// The file is a sequence of records:
//
//	magic(4) | length of payload(4, little endian) | CRC-32C of payload(4) | payload
//
// A payload is 't', number (8, little endian), text; or 'c', class, measurement, 0, field.
const (
	dictMagic      = "\xd7CWt"
	dictHeaderSize = 12
	dictMaxPayload = 64 << 10 // far above probes.MaxText; guards against lengths that are damage

	recText  = 't'
	recClass = 'c'

	idBits = 52
	idMask = 1<<idBits - 1
)

// What a reader sees where the text itself is not to be had.
const (
	textOverflow = "(too many different texts)"
	textLost     = "(text lost)"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// class is what kind of values a field holds.
type class byte

const (
	classNumber class = 'n'
	classText   class = 't'
)

func (c class) String() string {
	if c == classText {
		return "text"
	}
	return "number"
}

// dictLimits bound a dictionary, which lives in memory as a whole.
type dictLimits struct {
	texts  int   // different texts
	bytes  int64 // of all of them
	fields int   // different fields of all measurements
}

// Errors are few and repeat; a hundred thousand texts are a mistake somewhere (a time or a number in the text).
var defaultDictLimits = dictLimits{texts: 100_000, bytes: 16 << 20, fields: 65_536}

// dict is the dictionary of texts and field classes.
type dict struct {
	file   string
	limits dictLimits
	log    *slog.Logger

	mu       sync.RWMutex // guards the fields below
	f        *os.File
	size     int64 // of good records; whatever lies behind it is the torn rest of a failed write
	dirty    bool  // written since the last sync
	ids      map[string]uint64
	texts    map[uint64]string
	bytes    int64
	classes  map[string]class // by classKey
	overflow uint64           // texts that did not fit
}

// openDict opens or creates the dictionary. What is damaged in it is set aside into the folder damaged; a torn tail,
// the trace of a kill in mid-write, is cut off.
func openDict(file, damaged string, limits dictLimits, log *slog.Logger) (*dict, error) {
	d := &dict{
		file: file, limits: limits, log: log,
		ids: map[string]uint64{}, texts: map[uint64]string{}, classes: map[string]class{},
	}
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read dictionary of texts: %w", err)
	}
	good, bad, torn := d.load(data)
	switch {
	case len(bad) == 0:
	case torn:
		if err := os.Truncate(file, int64(len(data)-len(bad))); err != nil {
			return nil, fmt.Errorf("cut torn tail of dictionary of texts: %w", err)
		}
		log.Info("cut torn tail of the dictionary of texts", "file", file, "bytes", len(bad))
	default:
		aside := filepath.Join(damaged, filepath.Base(file))
		if err := writeFileSynced(aside, data); err != nil {
			return nil, fmt.Errorf("set damaged dictionary of texts aside: %w", err)
		}
		if err := writeFileSynced(file, good); err != nil {
			return nil, fmt.Errorf("write repaired dictionary of texts: %w", err)
		}
		log.Warn("the dictionary of texts was damaged; some texts will read as lost until they are met again",
			"file", file, "damaged_bytes", len(bad), "set_aside_as", aside)
	}
	// Reading and writing: Windows can only flush a file that is open for writing.
	if d.f, err = os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, fmt.Errorf("open dictionary of texts: %w", err)
	}
	if d.size, err = d.f.Seek(0, io.SeekEnd); err != nil {
		d.f.Close()
		return nil, fmt.Errorf("open dictionary of texts: %w", err)
	}
	d.dirty = true // whoever wrote it last may not have synced it
	return d, nil
}

// load takes in all good records of data and returns them, and what is bad; torn says that what is bad looks like the
// rest of one record at the end.
func (d *dict) load(data []byte) (good, bad []byte, torn bool) {
	pos, last := 0, 0 // last: end of the last good record
	for pos < len(data) {
		payload, n := dictRecord(data[pos:])
		if n > 0 && d.take(payload) {
			bad = append(bad, data[last:pos]...) // what we jumped over
			good = append(good, data[pos:pos+n]...)
			pos += n
			last = pos
			continue
		}
		next := bytes.Index(data[pos+1:], []byte(dictMagic))
		if next < 0 {
			break
		}
		pos += 1 + next
	}
	torn = len(bad) == 0 && last > 0 && len(data)-last < dictHeaderSize+dictMaxPayload
	return good, append(bad, data[last:]...), torn
}

// dictRecord reads the record at the start of b and says how long it is; 0 if there is no good one.
func dictRecord(b []byte) (payload []byte, n int) {
	if len(b) < dictHeaderSize || string(b[:4]) != dictMagic {
		return nil, 0
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size == 0 || size > dictMaxPayload || int(size) > len(b)-dictHeaderSize {
		return nil, 0
	}
	payload = b[dictHeaderSize : dictHeaderSize+int(size)]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return nil, 0
	}
	return payload, dictHeaderSize + int(size)
}

// take adds a record's payload to the maps. It returns false if the payload makes no sense.
func (d *dict) take(p []byte) bool {
	switch {
	case p[0] == recText && len(p) >= 9:
		d.put(binary.LittleEndian.Uint64(p[1:]), string(p[9:]))
		return true
	case p[0] == recClass && len(p) >= 3 && (class(p[1]) == classNumber || class(p[1]) == classText):
		d.classes[string(p[2:])] = class(p[1])
		return true
	}
	return false
}

func (d *dict) put(id uint64, text string) {
	if _, known := d.texts[id]; known {
		return
	}
	d.ids[text] = id
	d.texts[id] = text
	d.bytes += int64(len(text))
}

// id returns the number of a text. When it returns without an error the text's record has been written, so a sample
// that uses the number may be.
func (d *dict) id(text []byte) (uint64, error) {
	d.mu.RLock()
	id, known := d.ids[string(text)]
	d.mu.RUnlock()
	if known {
		return id, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, known := d.ids[string(text)]; known { // another call was faster
		return id, nil
	}
	s := string(text)
	if len(d.ids) >= d.limits.texts || d.bytes+int64(len(s)) > d.limits.bytes || len(s) > dictMaxPayload-9 {
		if d.overflow++; d.overflow == 1 {
			d.log.Warn("too many different texts; new ones are no longer told apart", "texts", len(d.ids), "bytes", d.bytes)
		}
		s = textOverflow
		if id, known := d.ids[s]; known {
			return id, nil
		}
	}
	id = xxhash.Sum64String(s) & idMask
	for n := uint64(1); ; n++ { // two texts with one hash: try other numbers, the record says which it became
		if _, used := d.texts[id]; !used {
			break
		}
		id = (id + n) & idMask
	}
	p := binary.LittleEndian.AppendUint64([]byte{recText}, id)
	if err := d.write(append(p, s...)); err != nil {
		return 0, err
	}
	d.put(id, s)
	return id, nil
}

// text returns the text of a number.
func (d *dict) text(id uint64) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if s, ok := d.texts[id]; ok {
		return s
	}
	return textLost
}

func classKey(measurement, field string) string { return measurement + "\x00" + field }

// errTooManyFields says that a field can't be taken because there are too many.
var errTooManyFields = errors.New("too many different fields")

// class returns the class of a field and makes it want if the field is new.
func (d *dict) class(measurement string, field string, want class) (class, error) {
	key := classKey(measurement, field)
	d.mu.RLock()
	c, known := d.classes[key]
	d.mu.RUnlock()
	if known {
		return c, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, known := d.classes[key]; known {
		return c, nil
	}
	if len(d.classes) >= d.limits.fields || len(key) > dictMaxPayload-2 {
		return 0, errTooManyFields
	}
	if err := d.write(append([]byte{recClass, byte(want)}, key...)); err != nil {
		return 0, err
	}
	d.classes[key] = want
	return want, nil
}

// write appends one record by one write. mu is held.
func (d *dict) write(payload []byte) error {
	rec := make([]byte, dictHeaderSize, dictHeaderSize+len(payload))
	copy(rec, dictMagic)
	binary.LittleEndian.PutUint32(rec[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(rec[8:], crc32.Checksum(payload, castagnoli))
	// At a known offset: the rest of a write that failed half way is overwritten by the next.
	if _, err := d.f.WriteAt(append(rec, payload...), d.size); err != nil {
		return fmt.Errorf("write dictionary of texts: %w", err)
	}
	d.size += int64(len(rec) + len(payload))
	d.dirty = true
	return nil
}

// sync returns when all that was written before the call is on disk.
func (d *dict) sync() error {
	d.mu.Lock()
	dirty := d.dirty
	d.dirty = false
	d.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := d.f.Sync(); err != nil {
		d.mu.Lock()
		d.dirty = true
		d.mu.Unlock()
		return fmt.Errorf("sync dictionary of texts: %w", err)
	}
	return nil
}

// copyTo writes the good records to file.
func (d *dict) copyTo(file string) error {
	d.mu.RLock()
	size := d.size
	d.mu.RUnlock()
	data := make([]byte, size)
	if _, err := d.f.ReadAt(data, 0); err != nil && size > 0 {
		return fmt.Errorf("copy dictionary of texts: %w", err)
	}
	return writeFileSynced(file, data)
}

func (d *dict) close() error { return d.f.Close() }

// writeFileSynced writes a file so that it is either there as a whole, or not changed.
func writeFileSynced(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	tmp := file + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, file)
	}
	if err != nil {
		os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(file))
}
