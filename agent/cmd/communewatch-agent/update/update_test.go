package update

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"communewatch/agent"
	"communewatch/agent/update/course"
	"communewatch/probes/release"
)

func run(args ...string) (string, error) {
	cmd := New()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func status(t *testing.T, dir string) string {
	t.Helper()
	out, err := run("status", "--state-dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAKeyIsPinnedAndUnpinned(t *testing.T) {
	dir := t.TempDir()
	public, _, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"RWnonsense", filepath.Join(dir, "none.pub")} {
		if _, err := run("pin", bad, "--state-dir", dir); err == nil {
			t.Errorf("%s was pinned", bad)
		}
	}
	for _, step := range []struct {
		args  []string
		shown bool
	}{{[]string{"pin", public.String()}, true}, {[]string{"unpin"}, false}} {
		if out, err := run(append(step.args, "--state-dir", dir)...); err != nil || !strings.Contains(out, "restart the agent") {
			t.Errorf("%v: %v, %s", step.args, err, out)
		}
		if got := status(t, dir); strings.Contains(got, public.String()) != step.shown {
			t.Errorf("after %v: %s", step.args, got)
		}
	}
}

func TestStatusSaysWhatRunsAndWhatFailed(t *testing.T) {
	dir := t.TempDir()
	if got := status(t, dir); !strings.Contains(got, "the package's own binary") {
		t.Errorf("where there was never an update: %s", got)
	}
	file := course.File{Dir: agent.ReleasesDir(dir)}
	_, err := file.Change(func(s course.State) (course.State, error) {
		s = s.Refuse(release.Version{Major: 1, Minor: 1}, 0, "it does not start", true)
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
