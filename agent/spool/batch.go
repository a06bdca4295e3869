package spool

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"communewatch/agent/spool/disk"
	"communewatch/agent/spool/pack"
)

// ID is the identity of a batch: unique for ever, as long as boots are.
type ID struct {
	Boot  string // random identity of the agent's start that made the batch
	Seq   uint64 // counts that start's batches from 1
	Clock int    // number of the stretch within the boot during which the clock did not jump
}

// String formats the identity as it stands in file names.
func (id ID) String() string { return fmt.Sprintf("%s-%d-%d", id.Boot, id.Seq, id.Clock) }

// Batch is a sealed batch.
type Batch struct {
	ID     ID
	Sealed time.Time // by the wall clock of that moment, which may have been wrong
	Body   []byte    // plain lines
}

const (
	// maxFile bounds a sealed file that will be read, compressed and plain. Batches have SealBytes, some more when one
	// Append alone is larger; a file above these bounds is not ours or damaged.
	maxFile  = 16 << 20
	maxPlain = 64 << 20

	sealedSuffix = ".lp.gz"
	openPrefix   = "open-"
	openSuffix   = ".lp"
)

// bootPattern keeps boots fit for file names on every system.
var bootPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func sealedName(id ID, sealedMilli int64) string {
	return fmt.Sprintf("%d-%s%s", sealedMilli, id, sealedSuffix)
}

func openName(id ID) string { return openPrefix + id.String() + openSuffix }

// parseSealed is the inverse of sealedName. Names that sealedName would not write are refused.
func parseSealed(name string) (id ID, sealedMilli int64, ok bool) {
	rest, ok := strings.CutSuffix(name, sealedSuffix)
	if !ok {
		return ID{}, 0, false
	}
	ms, rest, ok := strings.Cut(rest, "-")
	if !ok {
		return ID{}, 0, false
	}
	sealedMilli, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return ID{}, 0, false
	}
	id, ok = parseID(rest)
	return id, sealedMilli, ok && sealedName(id, sealedMilli) == name
}

func parseOpen(name string) (ID, bool) {
	rest, ok := strings.CutPrefix(name, openPrefix)
	if !ok {
		return ID{}, false
	}
	if rest, ok = strings.CutSuffix(rest, openSuffix); !ok {
		return ID{}, false
	}
	id, ok := parseID(rest)
	return id, ok && openName(id) == name
}

// parseID reads boot-seq-clock from the end, since a boot may hold dashes.
func parseID(s string) (ID, bool) {
	c := strings.LastIndexByte(s, '-')
	if c < 0 {
		return ID{}, false
	}
	q := strings.LastIndexByte(s[:c], '-')
	if q < 0 {
		return ID{}, false
	}
	seq, err1 := strconv.ParseUint(s[q+1:c], 10, 64)
	clock, err2 := strconv.ParseInt(s[c+1:], 10, 32)
	id := ID{Boot: s[:q], Seq: seq, Clock: int(clock)}
	return id, err1 == nil && err2 == nil && seq > 0 && clock >= 0 && bootPattern.MatchString(id.Boot)
}

// unpack returns the plain body of a sealed file, or an error that is disk.ErrDamaged.
func unpack(packed []byte) ([]byte, error) {
	body, err := pack.Unpack(packed, maxPlain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", disk.ErrDamaged, err)
	}
	return body, nil
}

// entry is what the index keeps of a sealed batch: some 40 bytes, so that a month of batches stays in a few MB.
type entry struct {
	seq    uint64
	sealed int64  // Unix milliseconds, from the file's name
	born   uint32 // odometer when it was sealed, in seconds
	boot   uint32 // index into Spool.boots, which is in order of boots
	clock  int32
	blocks uint16 // size on disk in blocks, 0 for a batch in memory
	state  state
}

type state uint8

const (
	pending  state = iota // waits to be sent
	unsynced              // acknowledged, kept until it is on disk over there
	gone                  // removed; the entry is cut off when it reaches an end of the index
)

func (e *entry) compare(o *entry) int {
	return cmp.Or(cmp.Compare(e.boot, o.boot), cmp.Compare(e.seq, o.seq))
}
