package identify

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/probes"
	"communewatch/probes/snmp/recording"
)

// TestRecordings identifies the invented devices of testdata: NAME.snmprec is what one answers, NAME.want what is to be
// found, a line "fact: value" each; a fact without a value must not be found.
func TestRecordings(t *testing.T) {
	e, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.snmprec")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".snmprec"), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			dev, err := recording.Parse(f)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".snmprec") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			id, err := e.Identify(context.Background(), dev)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(want)) {
				name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
				if !ok {
					t.Fatalf("not a fact and its value: %q", line)
				}
				value = strings.TrimSpace(value)
				if got := id.Fact(probes.FactName(name)).Value; got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
			if t.Failed() {
				t.Logf("profiles %s\n%s", strings.Join(id.Profiles, ", "), id)
			}
		})
	}
}
