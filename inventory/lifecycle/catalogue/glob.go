package catalogue

import (
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// globMatch reports whether all of s matches the pattern, where * stands for any text and ? for one character. A *
// beside a digit of the pattern does not stand for text that begins (or ends) with a digit: "DNS-320*" is not the
// DNS-3200, and "*SX10*" not the SX100.
func globMatch(pattern, s string) bool {
	first, _, star := strings.Cut(pattern, "*")
	if !star || strings.Contains(first, "?") {
		first = ""
	}
	if !strings.HasPrefix(s, first) {
		return false // most rows, at once
	}
	m := globber{p: pattern, s: s}
	if strings.Count(pattern, "*") > 1 {
		m.failed = make([]bool, (len(pattern)+1)*(len(s)+1)) // so that hostile texts take no more than len(p)*len(s) steps
	}
	return m.at(0, 0)
}

type globber struct {
	p, s   string
	failed []bool // places (i, j) from which there is no way on
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func (m *globber) at(i, j int) bool {
	start := i*(len(m.s)+1) + j
	if m.failed != nil && m.failed[start] {
		return false
	}
	if m.on(i, j) {
		return true
	}
	if m.failed != nil {
		m.failed[start] = true
	}
	return false
}

func (m *globber) on(i, j int) bool {
	for ; i < len(m.p); i, j = i+1, j+1 {
		switch {
		case m.p[i] == '*':
			return m.star(i, j)
		case j >= len(m.s) || m.p[i] != '?' && m.p[i] != m.s[j]:
			return false
		}
	}
	return j == len(m.s)
}

func (m *globber) star(i, j int) bool {
	if i > 0 && digit(m.p[i-1]) && j < len(m.s) && digit(m.s[j]) {
		return false // the number goes on
	}
	for i+1 < len(m.p) && m.p[i+1] == '*' {
		i++
	}
	if i+1 == len(m.p) {
		return true
	}
	for k := j; k <= len(m.s); k++ {
		if k > j && digit(m.p[i+1]) && digit(m.s[k-1]) {
			continue // the number began before
		}
		if m.at(i+1, k) {
			return true
		}
	}
	return false
}

// weight is the number of characters that a glob fixes: the longer, the more it says.
func weight(pattern string) int {
	return len(pattern) - strings.Count(pattern, "*") - strings.Count(pattern, "?")
}
