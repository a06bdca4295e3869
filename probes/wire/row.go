package wire

import "communewatch/probes"

// Row is one parsed line. Its slices point into the buffer that was parsed (or into the parser's scratch space) and
// are valid until the parser is reset.
type Row struct {
	Key    []byte  // measurement and tags as written, still escaped: the identity of the line's series
	Fields []Field // at least one
	Time   int64   // Unix nanoseconds; the parser's default time when the line has none
	Line   int     // 1-based line number in the body
}

// Field is one field of a Row.
type Field struct {
	Key  []byte // unescaped
	Type probes.FieldType
	Num  float64 // as in probes.Field
	Str  []byte  // unescaped; strings only
}

// Series is a Row's Key, taken apart.
type Series struct {
	Measurement string
	Tags        probes.Tags // sorted by key
}
