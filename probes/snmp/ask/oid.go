package ask

import (
	"fmt"
	"strconv"
	"strings"
)

// OID is the number of a variable, in dots and digits without a dot in front: 1.3.6.1.2.1.1.1.0. The zero OID is the
// root of the tree. Make one from foreign text with ParseOID.
type OID string

// maxArcs is what RFC 2578 3.5 allows.
const maxArcs = 128

// ParseOID reads an OID, with or without the leading dot, and refuses what is none.
func ParseOID(s string) (OID, error) {
	t := strings.TrimPrefix(s, ".")
	arcs := 0
	for part := range strings.SplitSeq(t, ".") {
		if n, err := strconv.ParseUint(part, 10, 32); err != nil || strconv.FormatUint(n, 10) != part {
			return "", fmt.Errorf("%q is not an OID; write numbers with dots, such as 1.3.6.1.2.1.1.1.0", clip(s))
		}
		if arcs++; arcs > maxArcs {
			return "", fmt.Errorf("%q has more than %d numbers", clip(s), maxArcs)
		}
	}
	return OID(t), nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// Below reports whether o is root or lies in the tree below it.
func (o OID) Below(root OID) bool {
	if root == "" {
		return true
	}
	return strings.HasPrefix(string(o), string(root)) && (len(o) == len(root) || o[len(root)] == '.')
}

// Index returns the part of o after root: the row of a cell, where root is its column. It is "" if o is not below root.
func (o OID) Index(root OID) string {
	if len(o) <= len(root) || !o.Below(root) {
		return ""
	}
	return strings.TrimPrefix(string(o[len(root):]), ".")
}

// Compare orders OIDs as a walk meets them: by their numbers, a shorter one first. Both must be well-formed.
func (o OID) Compare(p OID) int {
	a, b := string(o), string(p)
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if len(x) != len(y) {
			return len(x) - len(y) // no leading zeros: the longer number is the larger
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}
