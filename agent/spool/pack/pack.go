// Package pack turns batches into gzip and back. A packer's tables take most of a megabyte, and an agent packs for a
// millisecond every ten seconds; so they are lent by a pool that all agents of a process share and that the garbage
// collector empties, and an idle agent holds none.
package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// level packs line protocol as well as the levels above it do, with smaller tables.
const level = 5

// packer is a gzip writer and what it writes into.
type packer struct {
	buf bytes.Buffer
	w   *gzip.Writer
}

var (
	packers   = sync.Pool{New: func() any { return new(packer) }}
	unpackers sync.Pool // of *gzip.Reader; made by the first good input
)

// Pack returns data as gzip. Writing to memory can't fail.
func Pack(data []byte) []byte {
	p := packers.Get().(*packer)
	defer packers.Put(p)
	p.buf.Reset()
	if p.w == nil {
		p.w, _ = gzip.NewWriterLevel(&p.buf, level)
	} else {
		p.w.Reset(&p.buf)
	}
	_, _ = p.w.Write(data)
	_ = p.w.Close()
	return bytes.Clone(p.buf.Bytes())
}

// Unpack returns what was packed, at least one byte and at most limit.
func Unpack(packed []byte, limit int64) ([]byte, error) {
	in := bytes.NewReader(packed)
	r, _ := unpackers.Get().(*gzip.Reader)
	var err error
	if r == nil {
		r, err = gzip.NewReader(in)
	} else {
		err = r.Reset(in)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("unpacks to more than %d bytes", limit)
	case len(data) == 0:
		return nil, errors.New("empty")
	}
	_ = r.Reset(bytes.NewReader(nil)) // lets go of packed
	unpackers.Put(r)
	return data, nil
}
