package wire

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"communewatch/probes"
)

// number reads the common short forms: decimal digits with or without a point, or with an i behind them, up to what
// ends a value. The result is the nearest float64: the digits fit its 53 bits exactly and so does the power of ten (up
// to 10^22 would), so a single rounding remains, that of the division. Anything else is not ok and left to value.
func number(b []byte, i int) (v float64, kind probes.FieldType, end int, ok bool) {
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	var m uint64
	start, point := i, -1
	for ; i < len(b); i++ {
		if d := b[i] - '0'; d <= 9 {
			m = m*10 + uint64(d)
		} else if b[i] == '.' && point < 0 {
			point = i
		} else {
			break
		}
	}
	digits := i - start
	if digits == 0 || digits > 19 || m > 1<<53 { // 19 digits fit 64 bits
		return 0, 0, 0, false
	}
	v = float64(m)
	if point >= 0 {
		if digits == 1 {
			return 0, 0, 0, false
		}
		v /= powersOfTen[i-point-1]
	}
	if negative {
		v = -v
	}
	if i < len(b) && b[i] == 'i' && point < 0 {
		i++
		kind = probes.TypeInt
		if m == 0 {
			v = 0 // an integer has no negative zero
		}
	}
	if i < len(b) && class[b[i]]&endsValue == 0 {
		return 0, 0, 0, false
	}
	return v, kind, i, true
}

var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18}

// value reads every other number and boolean.
func value(word []byte) (v float64, kind probes.FieldType, reason string) {
	if len(word) == 0 {
		return 0, 0, "no value"
	}
	switch string(word) {
	case "t", "T", "true", "True", "TRUE":
		return 1, probes.TypeBool, ""
	case "f", "F", "false", "False", "FALSE":
		return 0, probes.TypeBool, ""
	}
	digits := word[:len(word)-1]
	switch word[len(word)-1] {
	case 'i':
		n, err := strconv.ParseInt(string(digits), 10, 64)
		if err == nil && word[0] != '+' {
			return float64(n), probes.TypeInt, ""
		}
		if isRange(err) {
			return 0, 0, fmt.Sprintf("integer %s is out of range", quote(word))
		}
	case 'u':
		n, err := strconv.ParseUint(string(digits), 10, 64)
		if err == nil {
			return float64(n), probes.TypeInt, ""
		}
		if isRange(err) {
			return 0, 0, fmt.Sprintf("unsigned integer %s is out of range", quote(word))
		}
	}
	if isDecimal(word) {
		f, err := strconv.ParseFloat(string(word), 64)
		if err == nil {
			return f, probes.TypeFloat, ""
		}
		if isRange(err) {
			return 0, 0, fmt.Sprintf("number %s is out of range", quote(word))
		}
	}
	switch strings.ToLower(strings.TrimLeft(string(word[:min(len(word), 16)]), "+-")) {
	case "nan", "inf", "infinity":
		return 0, 0, fmt.Sprintf("%s is not a number that can be stored; leave the field out", quote(word))
	}
	return 0, 0, fmt.Sprintf("%s is no number, boolean or quoted string", quote(word))
}

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

// isDecimal keeps out what only Go reads as a number: hexadecimal, underscores, a leading plus, "Inf".
func isDecimal(word []byte) bool {
	if word[0] == '+' || len(word) > 400 {
		return false
	}
	for _, c := range word {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return false
		}
	}
	return true
}

// integer parses a timestamp.
func integer(word []byte) (int64, bool) {
	digits := word
	negative := len(word) > 0 && word[0] == '-'
	if negative {
		digits = word[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

// nanoseconds multiplies a timestamp by its unit; ok is false when the product does not fit.
func nanoseconds(t int64, unit time.Duration) (ns int64, ok bool) {
	ns = t * int64(unit)
	return ns, ns/int64(unit) == t
}
