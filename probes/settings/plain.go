package settings

import (
	"bytes"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds how deep plain values may be nested. Options of checks need four.
const maxDepth = 20

// Plain returns a deferred part as plain values: map[string]any, []any, string, int64, float64, bool, or nil where it is
// absent. It is for parts whose type nobody here knows. Aliases, repeated keys and keys that are no text are mistakes, and
// are told like all others. at is the part's place.
func (d *Doc) Plain(n Node, at string) any {
	if n.node == nil {
		return nil
	}
	return d.plain(n.node, at, 0)
}

func (d *Doc) plain(n *yaml.Node, at string, depth int) any {
	if depth > maxDepth {
		d.add(n.Line, at, "is nested more than %d deep", maxDepth)
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, place := n.Content[i], join(at, n.Content[i].Value)
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				d.add(key.Line, place, "expected a key here, found %s", shape(key))
				continue
			}
			if _, twice := out[key.Value]; twice {
				d.add(key.Line, place, "given twice")
				continue
			}
			out[key.Value] = d.plain(n.Content[i+1], place, depth+1)
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			out[i] = d.plain(c, fmt.Sprintf("%s[%d]", at, i), depth+1)
		}
		return out
	case yaml.ScalarNode:
		return scalar(n)
	}
	d.add(n.Line, at, "aliases are not supported; write the value out")
	return nil
}

// scalar is a single value by what it looks like. What is no number and no truth, such as a date, stays the text it is.
func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int":
		var i int64
		if n.Decode(&i) == nil {
			return i
		}
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && f-f == 0 { // neither infinite nor no number
			return f
		}
	}
	return n.Value
}

// Line is the line of a place such as "checks[3].address", or of the nearest part of it that exists; 0 without any.
func (d *Doc) Line(at string) int { return d.lineOf(at) }

// Write returns a value as a document that Read takes. The same value always gives the same bytes: keys of maps are
// sorted, those of structs are in their order.
func Write(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}
