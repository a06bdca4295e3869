package catalogue

import "strconv"

func itoa(n int) string { return strconv.Itoa(n) }

// globMatch reports whether all of s matches the pattern, where * stands for any text and ? for one character. A *
// beside a digit of the pattern does not stand for text that begins (or ends) with a digit: "DNS-320*" is not the
// DNS-3200, and "*SX10*" not the SX100.
func globMatch(pattern, s string) bool {
	return globAt(pattern, s, 0, 0)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func globAt(p, s string, i, j int) bool {
	for i < len(p) {
		switch p[i] {
		case '*':
			for i+1 < len(p) && p[i+1] == '*' {
				i++
			}
			if i > 0 && digit(p[i-1]) && j < len(s) && digit(s[j]) {
				return false // the text that * would stand for, or what follows it, begins with a digit
			}
			if i+1 == len(p) {
				return true
			}
			for k := j; k <= len(s); k++ {
				if k > 0 && k > j && digit(p[i+1]) && digit(s[k-1]) {
					continue
				}
				if globAt(p, s, i+1, k) {
					return true
				}
			}
			return false
		case '?':
			if j >= len(s) {
				return false
			}
		default:
			if j >= len(s) || p[i] != s[j] {
				return false
			}
		}
		i++
		j++
	}
	return j == len(s)
}

// weight is the number of characters that a glob fixes: the longer, the more it says.
func weight(pattern string) int {
	n := 0
	for i := range len(pattern) {
		if pattern[i] != '*' && pattern[i] != '?' {
			n++
		}
	}
	return n
}
