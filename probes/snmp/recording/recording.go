// Package recording keeps what a device said in a text file and answers from it as the device would, so that an odd
// device seen once in the field can be asked again at a desk.
//
// The format is snmprec, which snmpsim made common: one variable per line, OID|TAG|VALUE. TAG is the number that BER
// gives the type (2 integer, 4 octets, 5 null, 6 OID, 64 address, 65 counter, 66 gauge, 67 time ticks, 68 opaque, 70
// 64-bit counter), with an x behind it where VALUE is in hexadecimal and an e where it has backslash escapes. Lines
// that begin with # say nothing. Files in circulation hold lines that no device ever sent and lines that were cut; such
// a line is left out and counted with its number, since one bad line of five thousand is no reason to know nothing.
package recording

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"communewatch/probes/snmp/ask"
)

// Bounds of a file. The largest recordings of chassis switches have some 100,000 variables; a value of 2 MB has been
// seen.
const (
	MaxBytes     = 256 << 20
	MaxLines     = 2_000_000
	maxLine      = 8 << 20
	shownProblem = 20 // problems kept with their text; all are counted
)

// Problem is a line that could not be read.
type Problem struct {
	Line int    // from 1
	Text string // what is wrong with it
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// Recording is what one device said. It is an ask.Device, and safe for concurrent use. The zero Recording is a device
// that has nothing.
type Recording struct {
	vars     []ask.Var // in rising order, each OID once
	bad      int
	problems []Problem
}

// New makes a recording of variables in any order; of an OID that is there twice the first counts.
func New(vars []ask.Var) *Recording {
	sorted := slices.IsSortedFunc(vars, func(a, b ask.Var) int { return a.OID.Compare(b.OID) })
	vars = slices.Clone(vars)
	if !sorted {
		slices.SortStableFunc(vars, func(a, b ask.Var) int { return a.OID.Compare(b.OID) })
	}
	return &Recording{vars: slices.CompactFunc(vars, func(a, b ask.Var) bool { return a.OID == b.OID })}
}

// Parse reads a recording. Lines that can't be read are left out, see Problems; the error is about the whole: it can't
// be read on, it is too large, or no line of it is a variable.
func Parse(r io.Reader) (*Recording, error) {
	in := bufio.NewReaderSize(&io.LimitedReader{R: r, N: MaxBytes + 1}, 16<<10)
	var vars []ask.Var
	var bad int
	var problems []Problem
	problem := func(line int, err error) {
		if bad++; len(problems) < shownProblem {
			problems = append(problems, Problem{line, err.Error()})
		}
	}
	total := 0
	var long []byte
	for line := 1; ; line++ {
		if line > MaxLines {
			return nil, fmt.Errorf("line %d: more than %d lines; this is no recording of one device", line, MaxLines)
		}
		long = long[:0]
		tooLong := false
		var err error
		for {
			var part []byte
			part, err = in.ReadSlice('\n')
			if total += len(part); total > MaxBytes {
				return nil, fmt.Errorf("line %d: more than %d bytes; this is no recording of one device", line, MaxBytes)
			}
			if tooLong = tooLong || len(long)+len(part) > maxLine; !tooLong {
				long = append(long, part...)
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		text := bytes.TrimRight(long, "\r\n")
		switch {
		case tooLong:
			problem(line, fmt.Errorf("longer than %d bytes", maxLine))
		case len(text) == 0 || text[0] == '#':
		default:
			v, bad := parseLine(string(text))
			if bad != nil {
				problem(line, bad)
			} else {
				vars = append(vars, v)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	rec := New(vars)
	rec.bad, rec.problems = bad, problems
	if len(vars) == 0 {
		if bad > 0 {
			return nil, fmt.Errorf("no variable in it; %v; want lines such as 1.3.6.1.2.1.1.5.0|4|name", problems[0])
		}
		return nil, errors.New("no variable in it; want lines such as 1.3.6.1.2.1.1.5.0|4|name")
	}
	return rec, nil
}

func parseLine(line string) (ask.Var, error) {
	id, rest, ok := strings.Cut(line, "|")
	tag, value, ok2 := strings.Cut(rest, "|")
	if !ok || !ok2 {
		return ask.Var{}, errors.New("want OID|TAG|VALUE")
	}
	oid, err := ask.ParseOID(strings.TrimSpace(id))
	if err != nil {
		return ask.Var{}, err
	}
	v, err := parseValue(strings.TrimSpace(tag), value)
	return ask.Var{OID: oid, Value: v}, err
}

func parseValue(tag, value string) (ask.Value, error) {
	form := byte(0)
	number := tag
	if n := len(tag); n > 1 && (tag[n-1] == 'x' || tag[n-1] == 'e') {
		form, number = tag[n-1], tag[:n-1]
	}
	t, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return ask.Value{}, fmt.Errorf("%.20q is not a tag; want a number such as 4, or 4x for a value in hexadecimal", tag)
	}
	raw := []byte(value)
	switch form {
	case 'x':
		if raw, err = hex.DecodeString(strings.TrimSpace(value)); err != nil {
			return ask.Value{}, fmt.Errorf("value %.40q is not hexadecimal", value)
		}
	case 'e':
		if raw, err = unescape(value); err != nil {
			return ask.Value{}, err
		}
	}
	v := ask.Value{Type: ask.Type(t)}
	text := strings.TrimSpace(string(raw))
	switch v.Type {
	case ask.Octets, ask.Opaque:
		v.Bytes = raw
	case ask.Null:
	case ask.Integer:
		// Some files have integers as they are without a sign.
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < math.MinInt32 || n > math.MaxUint32 {
			return ask.Value{}, fmt.Errorf("value %.40q is not a 32-bit integer", value)
		}
		v.Num = uint64(int64(int32(n)))
	case ask.Counter32, ask.Gauge32, ask.TimeTicks, ask.Counter64:
		bits := 32
		if v.Type == ask.Counter64 {
			bits = 64
		}
		if v.Num, err = strconv.ParseUint(text, 10, bits); err != nil {
			return ask.Value{}, fmt.Errorf("value %.40q is not a number of %d bits", value, bits)
		}
	case ask.ObjectID:
		oid, err := ask.ParseOID(strings.TrimSuffix(text, "."))
		if err != nil {
			return ask.Value{}, err
		}
		v.Bytes = []byte(oid)
	case ask.IPAddress:
		v.Bytes = raw
		if form == 0 {
			a, err := netip.ParseAddr(text)
			if err != nil || !a.Is4() {
				return ask.Value{}, fmt.Errorf("value %.40q is not an IPv4 address", value)
			}
			v.Bytes = a.AsSlice()
		}
		if len(v.Bytes) != 4 {
			return ask.Value{}, fmt.Errorf("value %.40q is not the four bytes of an address", value)
		}
	default:
		return ask.Value{}, fmt.Errorf("tag %.20q is of no type that SNMP has", tag)
	}
	return v, nil
}

// unescape reads the backslash escapes of a string literal.
func unescape(s string) ([]byte, error) {
	const letters, meant = `\'"abfnrtv`, "\\'\"\a\b\f\n\r\t\v"
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i++; i < len(s) {
			if at := strings.IndexByte(letters, s[i]); at >= 0 {
				out = append(out, meant[at])
				continue
			}
			if s[i] == 'x' && i+2 < len(s) {
				if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
					out = append(out, byte(n))
					i += 2
					continue
				}
			}
		}
		return nil, fmt.Errorf("value %.40q has a backslash that escapes nothing", s)
	}
	return out, nil
}

// Len is the number of variables.
func (r *Recording) Len() int { return len(r.vars) }

// Vars returns all variables in rising order; they are not to be changed.
func (r *Recording) Vars() []ask.Var { return r.vars }

// Bad is the number of lines that could not be read.
func (r *Recording) Bad() int { return r.bad }

// Problems returns the first of the lines that could not be read.
func (r *Recording) Problems() []Problem { return r.problems }

// at returns where oid is or would be.
func (r *Recording) at(oid ask.OID) (int, bool) {
	return slices.BinarySearchFunc(r.vars, oid, func(v ask.Var, o ask.OID) int { return v.OID.Compare(o) })
}

// Get returns those of the variables that were recorded.
func (r *Recording) Get(ctx context.Context, oids ...ask.OID) ([]ask.Var, error) {
	var out []ask.Var
	for _, oid := range oids {
		if i, ok := r.at(oid); ok {
			out = append(out, r.vars[i])
		}
	}
	return out, ctx.Err()
}

// Next returns the first variable after oid, and false at the end: what a responder needs.
func (r *Recording) Next(oid ask.OID) (ask.Var, bool) {
	i, ok := r.at(oid)
	if ok {
		i++
	}
	if i >= len(r.vars) {
		return ask.Var{}, false
	}
	return r.vars[i], true
}

// Walk returns the variables below root.
func (r *Recording) Walk(ctx context.Context, root ask.OID, max int) ([]ask.Var, error) {
	from, _ := r.at(root)
	if root == "" {
		from = 0
	}
	to := from
	for to < len(r.vars) && to-from < max && r.vars[to].OID.Below(root) {
		to++
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := r.vars[from:to:to]
	if to < len(r.vars) && r.vars[to].OID.Below(root) {
		return out, fmt.Errorf("%s has more than %d variables: %w", cmp.Or(root, "the device"), max, ask.ErrPartial)
	}
	return out, nil
}

// Write writes the recording; Parse reads it back as it was.
func (r *Recording) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, v := range r.vars {
		out.WriteString(string(v.OID))
		switch v.Value.Type {
		case ask.Octets, ask.Opaque:
			if plain(v.Value.Bytes) {
				fmt.Fprintf(out, "|%d|%s\n", v.Value.Type, v.Value.Bytes)
			} else {
				fmt.Fprintf(out, "|%dx|%x\n", v.Value.Type, v.Value.Bytes)
			}
		default: // as people read it is as the format has it
			fmt.Fprintf(out, "|%d|%s\n", v.Value.Type, v.Value.Text())
		}
	}
	return out.Flush() // a bufio.Writer remembers its first error
}

// plain reports whether a text survives a line of text unharmed, whatever editor it goes through.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(b) == 0 || b[0] != ' ' && b[len(b)-1] != ' '
}
