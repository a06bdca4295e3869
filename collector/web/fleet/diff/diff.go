// Package diff compares two texts line by line, for people who look at what was changed.
package diff

import (
	"slices"
	"strings"
)

// Line is one line of a comparison: "=" is in both, "-" was there, "+" is there now, "…" stands for lines left out.
type Line struct{ Sign, Text string }

// Bounds of a comparison.
const (
	mostCells = 4 << 20 // of its table; texts that differ in more are shown as one taken away and one put in
	around    = 3       // lines shown around a difference
)

// Lines lists the lines in which two texts differ, with some around.
func Lines(before, after string) []Line {
	a, b := split(before), split(after)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var all []Line
	for _, t := range a[:head] {
		all = append(all, Line{"=", t})
	}
	all = append(all, between(a[head:len(a)-tail], b[head:len(b)-tail])...)
	for _, t := range a[len(a)-tail:] {
		all = append(all, Line{"=", t})
	}
	return shorten(all)
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// between compares by the longest common subsequence.
func between(a, b []string) (out []Line) {
	if len(a)*len(b) > mostCells {
		for _, t := range a {
			out = append(out, Line{"-", t})
		}
		for _, t := range b {
			out = append(out, Line{"+", t})
		}
		return out
	}
	long := make([][]int, len(a)+1) // long[i][j] is that of a[i:] and b[j:]
	for i := range long {
		long[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				long[i][j] = long[i+1][j+1] + 1
			} else {
				long[i][j] = max(long[i+1][j], long[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, Line{"=", a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && long[i+1][j] >= long[i][j+1]:
			out = append(out, Line{"-", a[i]})
			i++
		default:
			out = append(out, Line{"+", b[j]})
			j++
		}
	}
	return out
}

// shorten leaves out lines that are far from any difference.
func shorten(all []Line) (out []Line) {
	for i, l := range all {
		near := all[max(0, i-around):min(len(all), i+around+1)]
		switch {
		case slices.ContainsFunc(near, func(l Line) bool { return l.Sign != "=" }):
			out = append(out, l)
		case len(out) == 0 || out[len(out)-1].Sign != "…":
			out = append(out, Line{"…", ""})
		}
	}
	return out
}
