package rolled

import (
	"fmt"
	"time"

	"communewatch/collector/rollup"
)

// A block's id is level (3 bits), series (28), block (22) and piece (10).
const (
	pieceBits  = 10
	blockBits  = 22
	seriesBits = 28

	// firstBlock is the number of the block that 1970 begins in, so that numbers of blocks are never negative.
	firstBlock = 1 << (blockBits - 1)
	maxBlock   = 1<<blockBits - 1
	maxPiece   = 1<<pieceBits - 1
	maxSeries  = 1<<seriesBits - 1
)

// layout says how windows of a level are kept: in blocks of so many milliseconds, counted from 1970. Windows are
// written to pieces of a block, which are small, so that an hour that comes in or is put right costs little; when a
// block has been over for a while its pieces are joined (see tend.go).
type layout struct{ block, piece int64 }

const (
	hour = int64(time.Hour / time.Millisecond)
	day  = 24 * hour
)

var layouts = map[rollup.Level]layout{
	rollup.FiveMinutes: {block: 3 * day, piece: hour},
	rollup.Hour:        {block: 32 * day, piece: day},
	rollup.Day:         {block: 512 * day, piece: 32 * day},
	rollup.Month:       {block: 4096 * day, piece: 512 * day},
}

// settled is how long after a block's end its pieces are joined. Most late rows are in by then.
const settled = 2 * day

// place returns block and piece of the window that begins at start.
func (l layout) place(start int64) (block, piece int64, err error) {
	block = start / l.block
	if start%l.block < 0 { // before 1970
		block--
	}
	piece = (start-block*l.block)/l.piece + 1
	if block += firstBlock; block < 0 || block > maxBlock {
		return 0, 0, fmt.Errorf("no window can begin at %v", time.UnixMilli(start).UTC())
	}
	return block, piece, nil
}

// clamped is the block that start is in, or the nearest that there can be.
func (l layout) clamped(start int64) int64 {
	block := start / l.block
	if start%l.block < 0 {
		block--
	}
	return min(max(block, -firstBlock), maxBlock-firstBlock) + firstBlock
}

// begin is the time at which a block begins.
func (l layout) begin(block int64) int64 { return (block - firstBlock) * l.block }

func idOf(level rollup.Level, series, block, piece int64) int64 {
	return ((int64(level)<<seriesBits|series)<<blockBits|block)<<pieceBits | piece
}

// blockOf takes an id apart, but for level and series.
func blockOf(id int64) (block, piece int64) { return id >> pieceBits & maxBlock, id & maxPiece }
