package wire

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"communewatch/probes"
)

// ParseKey takes the Key of a Row apart. Keys that a Parser handed out parse without error; others may not.
func ParseKey(key []byte) (Series, error) {
	var s Series
	i, _, high := token(key, 0, endsMeasurement)
	if i == 0 {
		return s, fmt.Errorf("series key %s: no measurement", quote(key))
	}
	s.Measurement = unescaped(key[:i], endsMeasurement)
	for i < len(key) && key[i] == ',' {
		j, _, h := token(key, i+1, endsKey)
		if j == i+1 || j >= len(key) || key[j] != '=' {
			return Series{}, fmt.Errorf("series key %s: tag %d has no name or no value", quote(key), len(s.Tags)+1)
		}
		end, _, h2 := token(key, j+1, endsKey)
		if end == j+1 {
			return Series{}, fmt.Errorf("series key %s: tag %d has no value", quote(key), len(s.Tags)+1)
		}
		high |= h | h2
		s.Tags = append(s.Tags, probes.Tag{
			Key:   unescaped(key[i+1:j], endsKey),
			Value: unescaped(key[j+1:end], endsKey),
		})
		i = end
	}
	if i < len(key) {
		return Series{}, fmt.Errorf("series key %s: %s", quote(key), unexpected(key, i))
	}
	if high >= utf8.RuneSelf && !utf8.Valid(key) {
		return Series{}, fmt.Errorf("series key %s: not valid UTF-8", quote(key))
	}
	slices.SortFunc(s.Tags, func(a, b probes.Tag) int { return strings.Compare(a.Key, b.Key) })
	for n := 1; n < len(s.Tags); n++ {
		if s.Tags[n-1].Key == s.Tags[n].Key {
			return Series{}, fmt.Errorf("series key %s: tag %q twice", quote(key), s.Tags[n].Key)
		}
	}
	return s, nil
}

func unescaped(raw []byte, ends byte) string {
	if slices.Contains(raw, '\\') {
		return string(appendUnescaped(nil, raw, ends))
	}
	return string(raw)
}
