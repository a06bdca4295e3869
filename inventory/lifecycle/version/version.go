// Package version compares version numbers as makers of equipment write them: number by number, so that 7.10 comes
// after 7.9 and belongs to no train 7.1. Letters mean something else with every maker and decide nothing, except that a
// release candidate comes before its release.
package version

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Version is a version number taken apart: the numbers it begins with, and what follows them. "15.2(7)E4" is 15, 2, 7
// and "e4"; "7.16rc1" is 7, 16 and "rc1". The zero Version is none.
type Version struct {
	Numbers []int
	Rest    string
}

// maxNumbers bounds the numbers of a version; no maker uses more than five.
const maxNumbers = 8

// Parse reads the version number at the start of s, after a "v" if there is one. Numbers may be separated by
// dots, brackets, hyphens or underscores. ok is false where s does not begin with a number.
func Parse(s string) (v Version, ok bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) > 1 && s[0] == 'v' {
		s = strings.TrimSpace(strings.TrimPrefix(s[1:], "."))
	}
	for len(v.Numbers) < maxNumbers {
		end := 0
		for end < len(s) && '0' <= s[end] && s[end] <= '9' {
			end++
		}
		if end == 0 || end > 9 {
			break
		}
		n, _ := strconv.Atoi(s[:end])
		v.Numbers = append(v.Numbers, n)
		s = s[end:]
		next := strings.TrimLeft(s, ".()-_")
		if next == s || next == "" || next[0] < '0' || next[0] > '9' {
			s = strings.TrimLeft(s, ")")
			break
		}
		if strings.Contains(s[:len(s)-len(next)], "-") && len(v.Numbers) > 1 {
			break // "4.4.5-1234" and "6.0.4-build0231": what follows is a build
		}
		s = next
	}
	if len(v.Numbers) == 0 {
		return Version{}, false
	}
	rest, _, _ := strings.Cut(strings.TrimLeft(s, ".-_( "), " ")
	v.Rest, _, _ = strings.Cut(rest, ",")
	return v, true
}

// early reports whether v came out before the version of the same number.
func (v Version) early() bool {
	return slices.ContainsFunc([]string{"alpha", "beta", "rc", "preview", "dev"},
		func(w string) bool { return strings.HasPrefix(v.Rest, w) })
}

// Compare compares the numbers; missing ones count as 0, and a release candidate comes before its release. What
// follows the numbers otherwise decides nothing: letters mean something else with every maker.
func (v Version) Compare(w Version) int {
	for i := range max(len(v.Numbers), len(w.Numbers)) {
		if c := cmp.Compare(v.At(i), w.At(i)); c != 0 {
			return c
		}
	}
	switch {
	case v.early() && !w.early():
		return -1
	case w.early() && !v.early():
		return 1
	}
	return 0
}

// At returns a number by its place, from 0; 0 beyond the last.
func (v Version) At(i int) int {
	if i < len(v.Numbers) {
		return v.Numbers[i]
	}
	return 0
}

// In reports whether v belongs to the train: its numbers begin with the train's. 7.10 is not in 7.1. A train with
// letters, as Cisco's 12.0T, needs them.
func (v Version) In(train Version) bool {
	return len(train.Numbers) > 0 && len(v.Numbers) >= len(train.Numbers) &&
		slices.Equal(v.Numbers[:len(train.Numbers)], train.Numbers) &&
		(train.Rest == "" || strings.TrimRight(v.Rest, "0123456789") == train.Rest)
}

// Below reports whether v is below the least safe version. minima is one version, or several of different trains as
// "4.3.2.9 4.4.3.2", where that of v's own train counts: the first that shares its first two numbers. A version of a
// train older than all of them is below; one of a newer train is not; one between them is not known.
func (v Version) Below(minima string) (below, known bool) {
	var all []Version
	for f := range strings.FieldsSeq(minima) {
		m, ok := Parse(f)
		if !ok {
			return false, false
		}
		all = append(all, m)
	}
	if len(all) == 0 || len(v.Numbers) == 0 {
		return false, false
	}
	if len(all) == 1 {
		return v.Compare(all[0]) < 0, true
	}
	slices.SortFunc(all, Version.Compare)
	for _, m := range all {
		if v.In(Version{Numbers: m.Numbers[:min(2, len(m.Numbers))]}) {
			return v.Compare(m) < 0, true
		}
	}
	switch {
	case v.Compare(all[0]) < 0:
		return true, true
	case v.Compare(all[len(all)-1]) > 0:
		return false, true
	}
	return false, false
}
