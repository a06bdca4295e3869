// Package settings reads YAML settings files strictly. Every mistake is reported at once, each with file, line,
// the place in the document and what to do about it: an unknown key (with the key that was probably meant), a
// duplicate key, a value of the wrong type, and whatever the caller's own validation adds by place.
//
// The order is always defaults, decode, validate:
//
//	cfg := DefaultConfig()
//	doc := settings.Read(file, data, &cfg)
//	if cfg.Interval <= 0 {
//		doc.Problem("interval", "must be above zero, for example 30s")
//	}
//	return cfg, doc.Err()
package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// MaxFile bounds a settings file, in bytes. The largest that makes sense is far smaller.
const MaxFile = 4 << 20

// Node is a part of a document whose type depends on another part; see Doc.Decode. The zero Node is an absent one.
type Node struct{ node *yaml.Node }

// UnmarshalYAML keeps the node for later.
func (n *Node) UnmarshalYAML(y *yaml.Node) error {
	n.node = y
	return nil
}

// IsZero reports whether the part was absent.
func (n Node) IsZero() bool { return n.node == nil }

// Text is the part as YAML, the same for parts that say the same in the same order; "" where it was absent.
func (n Node) Text() string {
	if n.node == nil {
		return ""
	}
	plain := *n.node
	text, err := yaml.Marshal(&plain)
	if err != nil {
		return ""
	}
	return string(text)
}

// Problem is one mistake in a file.
type Problem struct {
	File string
	Line int    // 0 where the file as a whole is meant
	Path string // "checks[3].address"; "" for the file as a whole
	Text string
}

// String formats the problem as file:line: path: text.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Error holds all problems of a file, in order of lines.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Doc is a settings file that has been read, with the problems found so far.
type Doc struct {
	file     string
	root     *yaml.Node
	problems []Problem
	keys     map[reflect.Type]map[string]reflect.Type // of the struct types met so far: long lists have thousands of one
}

// Read decodes data into the struct that into points to, which holds the defaults. It always returns a Doc; ask
// Err after adding problems of your own.
func Read(file string, data []byte, into any) *Doc { return ReadWith(file, data, into, nil) }

// ReadWith is Read for a document in which values may stand for others. replace, if not nil, is given each single value
// with its place before it is decoded, and returns the text that is to be there; what is another than before is text,
// whatever it looks like. An error is a problem of the document, and the value is left out.
func ReadWith(file string, data []byte, into any, replace func(at, value string) (string, error)) *Doc {
	d := &Doc{file: file}
	if len(data) > MaxFile {
		d.add(0, "", "file is larger than %d bytes", MaxFile)
		return d
	}
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return d // an empty file is all defaults
	case err != nil:
		d.syntax(err)
		return d
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.add(more.Line, "", "a second document begins here; a settings file holds one")
	}
	if len(root.Content) == 0 {
		return d
	}
	d.root = root.Content[0]
	if replace != nil {
		d.replace(d.root, "", replace)
	}
	d.decode(d.root, "", into)
	return d
}

// replace puts other values in the place of those that stand for them.
func (d *Doc) replace(n *yaml.Node, at string, with func(at, value string) (string, error)) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.replace(n.Content[i+1], join(at, n.Content[i].Value), with)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			d.replace(c, fmt.Sprintf("%s[%d]", at, i), with)
		}
	case yaml.ScalarNode:
		text, err := with(at, n.Value)
		if err != nil {
			d.add(n.Line, at, "%v", err)
			n.Tag, n.Value = "!!null", ""
		} else if text != n.Value {
			n.Tag, n.Value, n.Style = "!!str", text, yaml.DoubleQuotedStyle
		}
	}
}

// Decode decodes a deferred part into the struct that into points to, as strictly as Read. at is the part's place.
func (d *Doc) Decode(n Node, at string, into any) {
	if n.node != nil {
		d.decode(n.node, at, into)
	}
}

// Problem adds a mistake at a place such as "checks[3].address". The line is that of the nearest part that exists.
func (d *Doc) Problem(at, format string, args ...any) {
	d.add(d.lineOf(at), at, format, args...)
}

// Err returns all problems as an *Error, or nil.
func (d *Doc) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return &Error{Problems: d.problems}
}

func (d *Doc) add(line int, at, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Path: at, Text: fmt.Sprintf(format, args...)})
}

// syntax records an error of the YAML reader, which begins with "yaml: line N: ".
func (d *Doc) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if num, after, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(num); err == nil {
				line, text = n, after
			}
		}
	}
	d.add(line, "", "not valid YAML: %s", text)
}

func (d *Doc) decode(n *yaml.Node, at string, into any) {
	before := len(d.problems)
	d.check(n, at, reflect.TypeOf(into))
	if len(d.problems) > before {
		// Decode what can be decoded all the same, so that the caller's validation sees the rest; whatever the YAML
		// reader complains about now has been reported above.
		_ = n.Decode(into)
		return
	}
	if err := n.Decode(into); err != nil {
		var te *yaml.TypeError
		if !errors.As(err, &te) {
			d.add(n.Line, at, "%v", err)
			return
		}
		for _, text := range te.Errors {
			d.syntax(errors.New(text))
		}
	}
}

var (
	nodeType        = reflect.TypeFor[Node]()
	timeType        = reflect.TypeFor[time.Time]() // a struct that is written as one value
	unmarshalerType = reflect.TypeFor[yaml.Unmarshaler]()
)

// check walks node and type side by side and reports unknown and repeated keys and values of the wrong shape.
func (d *Doc) check(n *yaml.Node, at string, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode {
		d.add(n.Line, at, "aliases are not supported; write the value out")
		return
	}
	if n.Tag == "!!null" || t == nodeType {
		return
	}
	if t == timeType || t.Implements(unmarshalerType) || reflect.PointerTo(t).Implements(unmarshalerType) {
		d.try(n, at, t)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			d.add(n.Line, at, "expected keys and values here, found %s", shape(n))
			return
		}
		known, ok := d.keys[t]
		if !ok {
			known = keysOf(t)
			if d.keys == nil {
				d.keys = map[reflect.Type]map[string]reflect.Type{}
			}
			d.keys[t] = known
		}
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, val := n.Content[i], n.Content[i+1]
			place := join(at, key.Value)
			if line, dup := seen[key.Value]; dup {
				d.add(key.Line, place, "given twice; the first is on line %d", line)
				continue
			}
			seen[key.Value] = key.Line
			ft, ok := known[key.Value]
			if !ok {
				d.add(key.Line, place, "unknown key%s", suggest(key.Value, known))
				continue
			}
			d.check(val, place, ft)
		}
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			d.add(n.Line, at, "expected keys and values here, found %s", shape(n))
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.check(n.Content[i+1], join(at, n.Content[i].Value), t.Elem())
		}
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.add(n.Line, at, "expected a list here, found %s", shape(n))
			return
		}
		for i, c := range n.Content {
			d.check(c, fmt.Sprintf("%s[%d]", at, i), t.Elem())
		}
	default:
		if n.Kind != yaml.ScalarNode {
			d.add(n.Line, at, "expected a single value here, found %s", shape(n))
			return
		}
		d.try(n, at, t)
	}
}

// try decodes one value on its own to report it by place.
func (d *Doc) try(n *yaml.Node, at string, t reflect.Type) {
	if err := n.Decode(reflect.New(t).Interface()); err != nil {
		var te *yaml.TypeError
		if errors.As(err, &te) || t == timeType {
			d.add(n.Line, at, "%q is not %s", short(n.Value), want(t))
		} else {
			d.add(n.Line, at, "%v", err)
		}
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!null", "" // left in, a wrong time would end the decoding of all that follows
	}
}

func want(t reflect.Type) string {
	switch {
	case t.String() == "time.Duration":
		return "a duration such as 30s, 5m or 1h"
	case t == timeType:
		return "a time such as 2026-01-31T08:00:00+07:00"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	case t.Kind() == reflect.Float64, t.Kind() == reflect.Float32:
		return "a number"
	}
	return "valid here"
}

func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", short(n.Value))
}

func short(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// keysOf returns the YAML keys of a struct type.
func keysOf(t reflect.Type) map[string]reflect.Type {
	keys := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case opts == "inline":
			for k, v := range keysOf(f.Type) {
				keys[k] = v
			}
		case name == "":
			keys[strings.ToLower(f.Name)] = f.Type
		default:
			keys[name] = f.Type
		}
	}
	return keys
}

// suggest names the known key nearest to an unknown one, or lists them when there are few.
func suggest(got string, known map[string]reflect.Type) string {
	best, bestDist := "", 3
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		if dist := distance(got, k); dist < bestDist {
			best, bestDist = k, dist
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(names) > 0:
		return "; known here: " + strings.Join(names, ", ")
	}
	return ""
}

// distance is the Levenshtein distance of two short strings.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost = 1 + min(prev, row[j], row[j+1])
			}
			prev, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// lineOf finds the line of the deepest existing part of a place.
func (d *Doc) lineOf(at string) int {
	n := d.root
	if n == nil {
		return 0
	}
	line := n.Line
	for part := range strings.FieldsFuncSeq(at, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := child(n, part)
		if next == nil {
			return line
		}
		n, line = next, next.Line
	}
	return line
}

func child(n *yaml.Node, part string) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				return n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	}
	return nil
}
