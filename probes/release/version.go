package release

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version is a version by Semantic Versioning 2.0.0. The zero Version is 0.0.0.
type Version struct {
	Major, Minor, Patch uint64
	Pre                 string // "rc.1"; "" for a release proper, which is above all of these
}

const maxVersion = 100 // characters of a version's text

// versionPattern is that of semver.org, with a "v" before it allowed as git tags have it, and numbers that fit.
var versionPattern = regexp.MustCompile(`^v?(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$`)

// ErrVersion says that a text is no version.
var ErrVersion = errors.New("no version such as 1.4.0 or 1.4.0-rc.1")

// ParseVersion reads a version, with or without a "v" before it. What is behind a "+" counts for nothing.
func ParseVersion(text string) (Version, error) {
	if len(text) > maxVersion {
		return Version{}, fmt.Errorf("%.20q...: %w", text, ErrVersion)
	}
	m := versionPattern.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("%q: %w", text, ErrVersion)
	}
	var n [3]uint64
	for i := range n {
		n[i], _ = strconv.ParseUint(m[1+i], 10, 64) // nine digits at most, by the pattern
	}
	return Version{n[0], n[1], n[2], m[4]}, nil
}

// String writes the version without a "v".
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		s += "-" + v.Pre
	}
	return s
}

// MarshalText writes it into JSON.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads it from JSON.
func (v *Version) UnmarshalText(text []byte) (err error) {
	*v, err = ParseVersion(string(text))
	return err
}

// Compare is below 0 if v is older than w, 0 if they are the same, above 0 if v is newer (semver.org, section 11).
func (v Version) Compare(w Version) int {
	if c := cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch)); c != 0 {
		return c
	}
	switch {
	case v.Pre == w.Pre:
		return 0
	case v.Pre == "":
		return 1
	case w.Pre == "":
		return -1
	}
	a, b := strings.Split(v.Pre, "."), strings.Split(w.Pre, ".")
	for i := range min(len(a), len(b)) {
		if c := comparePart(a[i], b[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// comparePart compares two parts of what is behind the hyphen: numbers by value and below texts.
func comparePart(a, b string) int {
	numeric := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	switch na, nb := numeric(a), numeric(b); {
	case na && nb:
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) // no leading zeros, and of any length
	case na:
		return -1
	case nb:
		return 1
	}
	return strings.Compare(a, b)
}
