// Package texts keeps the texts of a store whose time series hold floats only: a text field is stored as the number
// of its text, and the texts lie beside the series in one append-only file. It also remembers of which class each
// field is, because a series must not hold numbers and texts in turn.
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
package texts

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

	"communewatch/collector/store/embedded/disk"
)

const (
	magic      = "\xd7CWt"
	headerSize = 12
	maxPayload = 64 << 10 // far above probes.MaxText; guards against lengths that are damage

	recText  = 't'
	recClass = 'c'

	idBits = 52
	idMask = 1<<idBits - 1
)

// What a reader sees where the text itself is not to be had.
const (
	Overflow = "(too many different texts)"
	Lost     = "(text lost)"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Class is what kind of values a field holds.
type Class byte

// Classes of fields.
const (
	Number Class = 'n'
	Text   Class = 't'
)

func (c Class) String() string {
	if c == Text {
		return "text"
	}
	return "number"
}

// Limits bound a dictionary, which lives in memory as a whole.
type Limits struct {
	Texts  int   // different texts
	Bytes  int64 // of all of them
	Fields int   // different fields of all measurements
}

// DefaultLimits are generous: errors are few and repeat; a hundred thousand texts are a mistake somewhere (a time or a number in the text).
var DefaultLimits = Limits{Texts: 100_000, Bytes: 16 << 20, Fields: 65_536}

// Dict is the dictionary of texts and field classes.
type Dict struct {
	file   string
	limits Limits
	log    *slog.Logger

	mu       sync.RWMutex // guards the fields below
	f        *os.File
	size     int64 // of good records; whatever lies behind it is the torn rest of a failed write
	dirty    bool  // written since the last sync
	ids      map[string]uint64
	texts    map[uint64]string
	bytes    int64
	classes  map[string]Class // by classKey
	overflow uint64           // texts that did not fit
}

// Open opens or creates the dictionary. What is damaged in it is set aside into the folder damaged; a torn tail,
// the trace of a kill in mid-write, is cut off.
func Open(file, damaged string, limits Limits, log *slog.Logger) (*Dict, error) {
	d := &Dict{
		file: file, limits: limits, log: log,
		ids: map[string]uint64{}, texts: map[uint64]string{}, classes: map[string]Class{},
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
		if err := disk.WriteFile(aside, data); err != nil {
			return nil, fmt.Errorf("set damaged dictionary of texts aside: %w", err)
		}
		if err := disk.WriteFile(file, good); err != nil {
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
func (d *Dict) load(data []byte) (good, bad []byte, torn bool) {
	pos, last := 0, 0 // last: end of the last good record
	for pos < len(data) {
		payload, n := readRecord(data[pos:])
		if n > 0 && d.take(payload) {
			bad = append(bad, data[last:pos]...) // what we jumped over
			good = append(good, data[pos:pos+n]...)
			pos += n
			last = pos
			continue
		}
		next := bytes.Index(data[pos+1:], []byte(magic))
		if next < 0 {
			break
		}
		pos += 1 + next
	}
	torn = len(bad) == 0 && last > 0 && len(data)-last < headerSize+maxPayload
	return good, append(bad, data[last:]...), torn
}

// readRecord reads the record at the start of b and says how long it is; 0 if there is no good one.
func readRecord(b []byte) (payload []byte, n int) {
	if len(b) < headerSize || string(b[:4]) != magic {
		return nil, 0
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size == 0 || size > maxPayload || int(size) > len(b)-headerSize {
		return nil, 0
	}
	payload = b[headerSize : headerSize+int(size)]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return nil, 0
	}
	return payload, headerSize + int(size)
}

// take adds a record's payload to the maps. It returns false if the payload makes no sense.
func (d *Dict) take(p []byte) bool {
	switch {
	case p[0] == recText && len(p) >= 9:
		d.put(binary.LittleEndian.Uint64(p[1:]), string(p[9:]))
		return true
	case p[0] == recClass && len(p) >= 3 && (Class(p[1]) == Number || Class(p[1]) == Text):
		d.classes[string(p[2:])] = Class(p[1])
		return true
	}
	return false
}

func (d *Dict) put(id uint64, text string) {
	if _, known := d.texts[id]; known {
		return
	}
	d.ids[text] = id
	d.texts[id] = text
	d.bytes += int64(len(text))
}

// ID returns the number of a text. When it returns without an error the text's record has been written, so a sample
// that uses the number may be.
func (d *Dict) ID(text []byte) (uint64, error) {
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
	if len(d.ids) >= d.limits.Texts || d.bytes+int64(len(s)) > d.limits.Bytes || len(s) > maxPayload-9 {
		if d.overflow++; d.overflow == 1 {
			d.log.Warn("too many different texts; new ones are no longer told apart", "texts", len(d.ids), "bytes", d.bytes)
		}
		s = Overflow
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

// Text returns the text of a number.
func (d *Dict) Text(id uint64) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if s, ok := d.texts[id]; ok {
		return s
	}
	return Lost
}

// Texts returns the texts of numbers that are stored as values.
func (d *Dict) Texts(values []float64) []string {
	out := make([]string, len(values))
	d.mu.RLock()
	defer d.mu.RUnlock()
	var last float64 // a run of one outcome is the usual case
	var text string
	for i, v := range values {
		if i == 0 || v != last {
			s, ok := d.texts[uint64(v)]
			if !ok {
				s = Lost
			}
			last, text = v, s
		}
		out[i] = text
	}
	return out
}

func classKey(measurement, field string) string { return measurement + "\x00" + field }

// ErrTooManyFields says that a field can't be taken because there are too many.
var ErrTooManyFields = errors.New("too many different fields")

// Class returns the class of a field and makes it want if the field is new.
func (d *Dict) Class(measurement string, field string, want Class) (Class, error) {
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
	if len(d.classes) >= d.limits.Fields || len(key) > maxPayload-2 {
		return 0, ErrTooManyFields
	}
	if err := d.write(append([]byte{recClass, byte(want)}, key...)); err != nil {
		return 0, err
	}
	d.classes[key] = want
	return want, nil
}

// write appends one record by one write. mu is held.
func (d *Dict) write(payload []byte) error {
	rec := make([]byte, headerSize, headerSize+len(payload))
	copy(rec, magic)
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

// Sync returns when all that was written before the call is on disk.
func (d *Dict) Sync() error {
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

// CopyTo writes the good records to file.
func (d *Dict) CopyTo(file string) error {
	d.mu.RLock()
	size := d.size
	d.mu.RUnlock()
	data := make([]byte, size)
	if _, err := d.f.ReadAt(data, 0); err != nil && size > 0 {
		return fmt.Errorf("copy dictionary of texts: %w", err)
	}
	return disk.WriteFile(file, data)
}

// Close closes the file, without syncing it.
func (d *Dict) Close() error { return d.f.Close() }

// Overflowed returns how many texts were replaced since opening because there were too many different ones.
func (d *Dict) Overflowed() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.overflow
}
