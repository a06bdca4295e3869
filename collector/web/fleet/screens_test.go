package fleet_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestScreens has people of each role sign in to a whole collector with a headless browser: see ui/tests/fleet.
func TestScreens(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a browser and half a minute; runs without -short")
	}
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium = "/usr/bin/chromium"
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` installs it")
	}
	for _, needed := range []struct{ file, fix string }{
		{"../ui/node_modules/playwright-core", "run `npm ci` in collector/web/ui"},
		{"../dist/manifest.json", "run `npm run build` in collector/web/ui"},
		{chromium, "install Debian's chromium or set CHROMIUM"},
	} {
		if _, err := os.Stat(needed.file); err != nil {
			t.Skipf("%s is not there; %s, or `make test`", needed.file, needed.fix)
		}
	}
	w := newTown(t)
	cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", "tests/fleet/all.test.mjs")
	cmd.Dir = "../ui"
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium, "TOWN_URL="+w.url, "TOWN_FIRST="+w.first, "TOWN_MACHINES="+w.control(t).URL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
