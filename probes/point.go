package probes

import (
	"slices"
	"strings"
	"time"
)

// Point is one measured row: a measurement, the tags that identify its series, the fields measured, and when.
// Same measurement, tags and time mean the same point, so delivering it twice is harmless.
type Point struct {
	Measurement string
	Tags        Tags
	Fields      []Field
	Time        time.Time // start of the run, whole milliseconds; zero until the runner stamps it
}

// Tag is one key and value of a series' identity.
type Tag struct{ Key, Value string }

// Tags is a set of tags, sorted by key, without empty values.
type Tags []Tag

// Get returns the value of key, or "".
func (t Tags) Get(key string) string {
	for i := range t {
		if t[i].Key == key {
			return t[i].Value
		}
	}
	return ""
}

// With returns a sorted copy of t with key set to value; an empty value removes the key.
func (t Tags) With(key, value string) Tags {
	out := make(Tags, 0, len(t)+1)
	for _, tag := range t {
		if tag.Key != key {
			out = append(out, tag)
		}
	}
	if value != "" {
		out = append(out, Tag{key, value})
	}
	slices.SortFunc(out, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Field is one measured value. Exactly one of the values is meaningful, as Type says.
type Field struct {
	Key  string
	Type FieldType
	Num  float64 // Float; Int as a whole number; Bool as 0 or 1
	Str  string  // String
}

// Float, Int, Bool and String make fields.
func Float(key string, v float64) Field { return Field{Key: key, Type: TypeFloat, Num: v} }

// Int makes a field of a whole number; the wire writes it without a fraction. Above 2^53 it loses precision.
func Int(key string, v int64) Field { return Field{Key: key, Type: TypeInt, Num: float64(v)} }

// Bool makes a field of a truth value.
func Bool(key string, v bool) Field {
	f := Field{Key: key, Type: TypeBool}
	if v {
		f.Num = 1
	}
	return f
}

// String makes a field of text.
func String(key, v string) Field { return Field{Key: key, Type: TypeString, Str: v} }

// Seconds makes a Float field from a duration.
func Seconds(key string, d time.Duration) Field { return Float(key, d.Seconds()) }

// Field returns the field called key.
func (p *Point) Field(key string) (Field, bool) {
	for _, f := range p.Fields {
		if f.Key == key {
			return f, true
		}
	}
	return Field{}, false
}
