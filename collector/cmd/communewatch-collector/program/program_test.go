package program_test

import (
	"strings"
	"testing"
	"time"

	"communewatch/collector/cmd/communewatch-collector/program"
)

func TestLengthsOfTimeMayBeDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"2d": 48 * time.Hour, "48h": 48 * time.Hour, "90m": 90 * time.Minute, "365d": 8760 * time.Hour} {
		var got time.Duration
		if err := (program.Span{Of: &got}).Set(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "2", "-2d", "1.5d", "2 d", "4294967296d", "99999999d", "2w"} {
		got := time.Minute
		if err := (program.Span{Of: &got}).Set(text); err == nil || !strings.Contains(err.Error(), "write 90m, 48h or 30d") || got != time.Minute {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	day := 24 * time.Hour
	if shown := (program.Span{Of: &day}).String(); shown != "24h" {
		t.Error(shown)
	}
}
