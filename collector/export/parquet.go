package export

import (
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// parquetWriter writes Parquet: the time as a timestamp of milliseconds in UTC, tags and texts as strings with a
// dictionary, whole numbers as int64, truth values as booleans, all else as doubles. Every column but the time may be
// null. Columns are by name, as the format's Go library orders them.
type parquetWriter struct {
	w       *parquet.Writer
	columns []column
	at      []int // column of the file by column of the shape
	row     parquet.Row
	rows    int // of the row group under way
}

// groupRows bounds a row group, which is held in memory until it is complete: with fifty columns some 20 MB.
const groupRows = 32_768

func newParquet(w io.Writer, s *shape) *parquetWriter {
	root := parquet.Group{}
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.name
		root[c.name] = node(c.kind)
	}
	slices.Sort(names)
	p := &parquetWriter{columns: s.columns, row: make(parquet.Row, len(s.columns))}
	for _, c := range s.columns {
		at, _ := slices.BinarySearch(names, c.name)
		p.at = append(p.at, at)
	}
	p.w = parquet.NewWriter(w, parquet.NewSchema("rows", root), parquet.Compression(&parquet.Zstd), parquet.CreatedBy("communewatch", "1", ""),
		parquet.KeyValueMetadata("communewatch.measurement", s.measurement))
	return p
}

func node(k kind) parquet.Node {
	switch k {
	case kindTime:
		return parquet.Timestamp(parquet.Millisecond)
	case kindInt:
		return parquet.Optional(parquet.Int(64))
	case kindBool:
		return parquet.Optional(parquet.Leaf(parquet.BooleanType))
	case kindTag, kindText:
		return parquet.Optional(parquet.Encoded(parquet.String(), &parquet.RLEDictionary))
	}
	return parquet.Optional(parquet.Leaf(parquet.DoubleType))
}

func (p *parquetWriter) write(cells []cell) error {
	for i := range cells {
		v, at := &cells[i], p.at[i]
		if !v.set {
			p.row[at] = parquet.NullValue().Level(0, 0, at)
			continue
		}
		var value parquet.Value
		defined := 1
		switch p.columns[i].kind {
		case kindTime:
			value, defined = parquet.Int64Value(int64(v.num)), 0
		case kindInt:
			value = parquet.Int64Value(int64(v.num))
		case kindBool:
			value = parquet.BooleanValue(v.num != 0)
		case kindTag, kindText:
			value = parquet.ByteArrayValue([]byte(v.str))
		default:
			value = parquet.DoubleValue(v.num)
		}
		p.row[at] = value.Level(0, defined, at)
	}
	if _, err := p.w.WriteRows([]parquet.Row{p.row}); err != nil {
		return err
	}
	if p.rows++; p.rows < groupRows {
		return nil
	}
	p.rows = 0
	return p.w.Flush()
}

func (p *parquetWriter) close() error { return p.w.Close() }
