package assign

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Bounds of a check's interval, as agents have them.
const (
	minInterval = time.Second
	maxInterval = 24 * time.Hour
)

func parseInterval(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a duration such as 30s, 5m or 1h", text)
	}
	if d < least || d > most {
		return 0, fmt.Errorf("%s is out of range; use %s to %s", short(d), short(least), short(most))
	}
	return d, nil
}

// short prints a duration without the zeros that String adds: 1h instead of 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func joinAll[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
