package update

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"communewatch/agent"
	"communewatch/agent/update/course"
	"communewatch/probes/release"
)

func status(t *testing.T, dir string) string {
	t.Helper()
	cmd := New()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"status", "--state-dir", dir})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestStatusSaysWhatRunsAndWhatFailed(t *testing.T) {
	dir := t.TempDir()
	if got := status(t, dir); !strings.Contains(got, "the package's own binary") {
		t.Errorf("where there was never an update: %s", got)
	}
	file := course.File{Dir: agent.ReleasesDir(dir)}
	_, err := file.Change(func(s course.State) (course.State, error) {
		s = s.Refuse(release.Version{Major: 1, Minor: 1}, "it does not start", true)
		s, err := s.Begin(course.Release{Version: release.Version{Major: 1, Minor: 2}, Package: release.Version{Major: 1}}, 0, time.Now())
		s, _ = s.Launch(release.Version{Major: 1})
		return s, err
	})
	if err != nil {
		t.Fatal(err)
	}
	got := status(t, dir)
	for _, want := range []string{"on trial   1.2.0", "start 1 of 3", "given up   1.1.0: it does not start"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
