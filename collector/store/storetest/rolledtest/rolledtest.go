// Package rolledtest is the part of the suite of all engines that is about rollups: what an engine must do as a
// store.Rolled. Five-minute and hourly windows of the last week, days of the last 300 and months of the last two years
// must be within what the engine keeps. Rooms above run it (storetest.Run does).
package rolledtest

import (
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

// Bench is what a case works with: a store in a folder. All but S is required.
type Bench struct {
	Open func(dir string) (store.Store, error) // opens or creates the store in a folder
	Now  time.Time                             // the store's clock, which stands still
	Keep map[rollup.Level]time.Duration        // how long windows are kept; a level that is missing is kept for ever
	T    *testing.T
	Dir  string
	S    store.Store // nil while none is open
}

// Start opens the store.
func (b *Bench) Start() {
	b.T.Helper()
	s, err := b.Open(b.Dir)
	if err != nil {
		b.T.Fatalf("open: %v", err)
	}
	b.S = s
}

// Stop closes the store.
func (b *Bench) Stop() {
	b.T.Helper()
	if err := b.S.Close(); err != nil {
		b.T.Fatalf("close: %v", err)
	}
	b.S = nil
}

// Case is one case of the suite. Those whose names begin with "backup" need Store.Backup.
type Case struct {
	Name string
	Run  func(*testing.T, *Bench)
}

// Cases returns the suite. Each is to run with a bench of its own, started.
func Cases() []Case {
	return []Case{
		{"rollups of all kinds and levels", rolledKinds},
		{"rollups of folded rows", rolledFold},
		{"rollups put again replace", rolledAgain},
		{"rollups by fields", rolledFields},
		{"rollups above zero", rolledAbove},
		{"rollups by tags", rolledTags},
		{"rollups of a half-open range", rolledRange},
		{"rollups of all measurements", rolledAll},
		{"rollups too many", rolledTooMany},
		{"rollups in any order", rolledOrder},
		{"rollups of many series", rolledMany},
		{"rollups of very different sizes", rolledSizes},
		{"rollups of nothing", rolledNothing},
		{"rollups by concurrent writers", rolledConcurrent},
		{"rollups after a start", rolledReopen},
		{"rollups older than kept are left out", rolledKeep},
		{"rollups that are refused", rolledRefused},
		{"rollups are not kept by others", rolledNotKept},
		{"rollups: caller's error, canceled, closed", rolledEnds},
		{"backup of rollups while writing", backupRolled},
	}
}

// Awkward are texts that may be part of a tag's value, and that engines have to write with care.
var Awkward = []string{
	"Tích Sơn", "xã Đạo Trù, Tam Đảo", "a b", "a,b", "a=b", `a"b`, `a\b`, `a\\b`, `a\ b`, "phường «x»", "'", "#", "$", "{}",
	`__name__`, "日本", "🙂", "a|b", ".*", "(", "%s", "\u00a0", "é", "e\u0301",
}

func nameOf(measurement string, tags probes.Tags) string {
	var sb strings.Builder
	sb.WriteString(measurement)
	for _, t := range tags {
		sb.WriteString(" " + t.Key + "=" + t.Value)
	}
	return sb.String()
}

func equal(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %d, want %d", what, got, want)
	}
}
