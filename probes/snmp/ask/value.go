package ask

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Type is the type of a value, with the tag numbers of BER that RFC 2578 gives them (and that recordings use).
type Type uint8

// The types of SNMP.
const (
	Integer   Type = 2
	Octets    Type = 4
	Null      Type = 5
	ObjectID  Type = 6
	IPAddress Type = 64
	Counter32 Type = 65
	Gauge32   Type = 66
	TimeTicks Type = 67
	Opaque    Type = 68
	Counter64 Type = 70
)

// Value is what a device says of one variable. The zero Value says nothing.
type Value struct {
	Type  Type
	Num   uint64 // of numbers; an Integer below zero as int64(Num)
	Bytes []byte // of Octets, Opaque; of ObjectID the OID as text; of IPAddress four bytes
}

// Var is one variable of a device.
type Var struct {
	OID   OID
	Value Value
}

// Int returns a number, and false where the value is none.
func (v Value) Int() (int64, bool) {
	switch v.Type {
	case Integer, Counter32, Gauge32, TimeTicks, Counter64:
		return int64(v.Num), true
	}
	return 0, false
}

// Uint returns a counter or gauge, and false where the value is none or below zero.
func (v Value) Uint() (uint64, bool) {
	n, ok := v.Int()
	if !ok || v.Type == Integer && n < 0 {
		return 0, false
	}
	return v.Num, true
}

// MaxText bounds Text, in bytes.
const MaxText = 512

// Text returns the value as people read it: a text in UTF-8 without padding, control characters and line ends (each
// run of them is one space); numbers in digits, an OID or address with its dots. Texts that are not UTF-8 are taken
// for Latin-1. It has at most MaxText bytes.
func (v Value) Text() string {
	switch v.Type {
	case Octets, Opaque:
		return cleanText(v.Bytes)
	case ObjectID:
		return string(v.Bytes)
	case IPAddress:
		if len(v.Bytes) != 4 {
			return ""
		}
		return fmt.Sprintf("%d.%d.%d.%d", v.Bytes[0], v.Bytes[1], v.Bytes[2], v.Bytes[3])
	case Integer:
		return fmt.Sprint(int64(v.Num))
	case Counter32, Gauge32, TimeTicks, Counter64:
		return fmt.Sprint(v.Num)
	}
	return ""
}

func cleanText(b []byte) string {
	if len(b) > 4*MaxText {
		b = b[:4*MaxText]
		for n := 0; n < utf8.UTFMax && !utf8.Valid(b); n++ { // the cut may have gone through a character
			b = b[:len(b)-1]
		}
	}
	latin := !utf8.Valid(b)
	var out strings.Builder
	gap := false
	put := func(r rune) bool {
		if r == 0 || unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Cf, r) {
			gap = out.Len() > 0
			return true
		}
		space := ""
		if gap {
			space, gap = " ", false
		}
		if out.Len()+len(space)+utf8.RuneLen(r) > MaxText {
			return false
		}
		out.WriteString(space)
		out.WriteRune(r)
		return true
	}
	if latin {
		for _, c := range b {
			if !put(rune(c)) {
				break
			}
		}
	} else {
		for _, r := range string(b) {
			if !put(r) {
				break
			}
		}
	}
	return out.String()
}

// A Device answers questions. It need not be safe for concurrent use.
type Device interface {
	// Get returns those of the variables that the device has, in the order asked. One that it does not have is left
	// out; that is no error.
	Get(ctx context.Context, oids ...OID) ([]Var, error)
	// Walk returns the variables below root in rising order, at most max of them. Whatever came is returned even
	// with an error; one that wraps ErrPartial says that the rest is missing.
	Walk(ctx context.Context, root OID, max int) ([]Var, error)
}

// ErrPartial says that a walk ended before the device had said all: it stopped answering, went backwards, or had more
// variables than were wanted.
var ErrPartial = errors.New("the table is incomplete")
