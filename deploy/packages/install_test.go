package packages

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testInstall installs, upgrades, removes and purges the packages in a root that is thrown away: an overlay over this
// machine's own, in a mount namespace of its own, without a running systemd. Nothing of it reaches this machine.
func testInstall(t *testing.T, o Options) {
	if os.Geteuid() != 0 {
		t.Skip("not root, so packages are not installed")
	}
	for _, tool := range []string{"dpkg", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here, so packages are not installed", tool)
		}
	}
	inNamespace(t, "testdata/install.sh", o.Dist, upgrade(t, o), t.TempDir())
}

// testServices boots such a root under a real systemd, in a container: the services start, are watched, stop and know why.
func testServices(t *testing.T, o Options) {
	bootable(t)
	inNamespace(t, "testdata/boot.sh", o.Dist, t.TempDir(), "testdata/services.sh", "/var/lib/communewatch-agent/saw-shutdown")
}

// testGreen does there what the README says, and waits until the site is green on the map.
func testGreen(t *testing.T, o Options) {
	bootable(t, "curl", "ip")
	inNamespace(t, "testdata/boot.sh", o.Dist, t.TempDir(), "testdata/green.sh")
}

func bootable(t *testing.T, tools ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root, so no systemd is started")
	}
	for _, tool := range append(tools, "apt-get", "unshare", "systemd-nspawn") {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here, so no systemd is started", tool)
		}
	}
}

// inNamespace runs a script in a mount namespace of its own, where it may do as it likes.
func inNamespace(t *testing.T, script string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "--propagation", "private", "sh", "-eu", script}, args...)...)
	out, err := cmd.CombinedOutput()
	if strings.HasPrefix(string(out), "SKIP: ") { // what the script says by itself, before anything else
		t.Skipf("%s", out)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// upgrade makes a newer package of the agent, with other default settings.
func upgrade(t *testing.T, o Options) (dist string) {
	t.Helper()
	source := t.TempDir()
	for _, dir := range []string{"deploy/packages/files", "deploy/examples", "docs"} {
		if err := os.CopyFS(filepath.Join(source, dir), os.DirFS(filepath.Join(o.Root, dir))); err != nil {
			t.Fatal(err)
		}
	}
	settings := filepath.Join(source, "deploy/packages/files/agent/agent.yaml")
	data, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, append(data, "\n# new in this version\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	programs := o.Dist
	o.Root, o.Dist = source, t.TempDir()
	o.Release.Version = "v1.2.4"
	if err := os.CopyFS(filepath.Join(o.Dist, "programs/linux_amd64"), os.DirFS(filepath.Join(programs, "programs/linux_amd64"))); err != nil {
		t.Fatal(err)
	}
	b := &build{Options: o}
	packager, err := b.tool(context.Background(), nfpm)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"deb", "rpm"} {
		if err := b.pack(t.Context(), packager, kind, o.Targets[0]); err != nil {
			t.Fatal(err)
		}
	}
	return o.Dist
}
