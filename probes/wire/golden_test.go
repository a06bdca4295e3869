package wire_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"communewatch/probes/wire"
)

// TestGolden reads every testdata/lines/*.txt and compares rows and bad lines, in order, with the .want beside it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/lines/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".txt") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			type entry struct {
				line int
				text string
			}
			var got []entry
			rows, bad := wire.NewParser(wire.Limits{}).Parse(body, 0, 0)
			for i, text := range showRows(t, rows) {
				got = append(got, entry{rows[i].Line, text})
			}
			for _, b := range bad {
				got = append(got, entry{b.Line, fmt.Sprintf("bad line %d: %s: %s", b.Line, b.Reason, b.Text)})
			}
			slices.SortFunc(got, func(a, b entry) int { return a.line - b.line })
			var text strings.Builder
			for _, e := range got {
				text.WriteString(e.text + "\n")
			}
			if diff := cmp.Diff(string(want), text.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
