package membership

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/agent/allow"
	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	"communewatch/agent/identity/join"
	updates "communewatch/agent/update"

	"aead.dev/minisign"
	"github.com/spf13/cobra"
)

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return runUntil(t.Context(), args...)
}

func runUntil(ctx context.Context, args ...string) (string, error) {
	root := &cobra.Command{Use: "communewatch-agent", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(Commands("1.0")...)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

func TestEnrolAndShow(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	dir := t.TempDir()
	if _, err := run(t, "identity", "--state-dir", dir); err == nil || !strings.Contains(err.Error(), "not enrolled") {
		t.Errorf("before: %v", err)
	}
	// The settings that a package brings: nothing but where the state is.
	settings := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(settings, []byte("state_dir: '"+dir+"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code := strings.ToLower(strings.ReplaceAll(c.Code().String(), "-", " ")) // as people type it
	out, err := run(t, append([]string{"enroll", "--config", settings, "--name", "hall-pc"}, strings.Fields(code)...)...)
	if err != nil || !strings.Contains(out, "enrolled: agent hall-pc of site s08707, certified until ") {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err = run(t, "identity", "--state-dir", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"s08707", "hall-pc", c.Get().Fleet, c.URL(), "authority", "certificate"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not show %s:\n%s", want, out)
		}
	}
	if _, err := run(t, "enroll", "--config", settings, c.Code().String()); err == nil || !strings.Contains(err.Error(), "--again") {
		t.Errorf("once more: %v", err)
	}
}

// TestUpdatesAreSwitchedOnAsAMachineJoins: there may never be anybody at the machine again who could.
func TestUpdatesAreSwitchedOnAsAMachineJoins(t *testing.T) {
	c, dir := identitytest.NewCollector(t, time.Now), t.TempDir()
	public, _, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := public.String()
	file := filepath.Join(t.TempDir(), "province.pub")
	if err := os.WriteFile(file, []byte("untrusted comment: minisign public key\n"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pinned := func() string {
		keys, err := updates.Pinned(identity.Folder(dir))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(keys, " ")
	}
	code := c.Code().String()
	if _, err := run(t, "enroll", code, "--state-dir", dir, "--updates", "RWnonsense"); err == nil || !strings.Contains(err.Error(), "neither a public key") {
		t.Errorf("nonsense: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runUntil(ctx, "enroll", code, "--state-dir", dir, "--updates", key); err == nil || pinned() != "" {
		t.Errorf("a machine that did not join: %v, pinned %q", err, pinned())
	}
	if out, err := run(t, "enroll", c.Code().String(), "--state-dir", dir, "--name", "pc", "--updates", file); err != nil || pinned() != key {
		t.Errorf("%v\n%s\npinned %q", err, out, pinned())
	}
}

// TestAMeasuringPointOnTheInternetIsAllowedAsAMachineJoins: no settings file has to be edited for it.
func TestAMeasuringPointOnTheInternetIsAllowedAsAMachineJoins(t *testing.T) {
	c, dir := identitytest.NewCollector(t, time.Now), t.TempDir()
	kept := func() string {
		list, err := allow.Kept(identity.Folder(dir))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Trim(fmt.Sprint(list), "[]")
	}
	code := c.Code().String()
	if _, err := run(t, "enroll", code, "--state-dir", dir, "--allow", "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "--allow: 127.0.0.1/32 is this machine") {
		t.Errorf("this machine: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runUntil(ctx, "enroll", code, "--state-dir", dir, "--allow", "203.0.113.7"); err == nil || kept() != "" {
		t.Errorf("a machine that did not join: %v, kept %q", err, kept())
	}
	if out, err := run(t, "enroll", code, "--state-dir", dir, "--name", "pc", "--allow", "203.0.113.7,198.51.100.0/24"); err != nil || kept() != "203.0.113.7/32 198.51.100.0/24" {
		t.Errorf("%v\n%s\nkept %q", err, out, kept())
	}
	for _, c := range []struct{ do, prefix, want, kept string }{
		{"show", "", "203.0.113.7/32\n198.51.100.0/24\n", "203.0.113.7/32 198.51.100.0/24"},
		{"add", "2001:db8::/32", "restart", "203.0.113.7/32 198.51.100.0/24 2001:db8::/32"},
		{"add", "203.0.113.7", "restart", "203.0.113.7/32 198.51.100.0/24 2001:db8::/32"},
		{"remove", "198.51.100.0/24", "restart", "203.0.113.7/32 2001:db8::/32"},
		{"remove", "10.9.9.9", "allow show", "203.0.113.7/32 2001:db8::/32"},
		{"add", "localhost", "neither an address", "203.0.113.7/32 2001:db8::/32"},
	} {
		out, err := run(t, slices.DeleteFunc([]string{"allow", c.do, c.prefix, "--state-dir", dir}, func(s string) bool { return s == "" })...)
		if said := fmt.Sprint(out, err); !strings.Contains(said, c.want) || kept() != c.kept {
			t.Errorf("%s %s: %s\nkept %q", c.do, c.prefix, said, kept())
		}
	}
}

// A window that was closed while somebody has to approve: the service joins, and what was said with the code holds.
func TestWhatWasAllowedStaysWhileAMachineWaitsForApproval(t *testing.T) {
	c, dir := identitytest.NewCollector(t, time.Now), t.TempDir()
	c.Set(func(s *identitytest.State) { s.Pending = true })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for c.Get().Asked == 0 || !join.Waits(identity.Folder(dir)) {
			runtime.Gosched()
		}
		cancel()
	}()
	_, err := runUntil(ctx, "enroll", c.Code().String(), "--state-dir", dir, "--allow", "203.0.113.7")
	if list, bad := allow.Kept(identity.Folder(dir)); err == nil || !strings.Contains(err.Error(), "service goes on") || bad != nil || len(list) != 1 {
		t.Errorf("%v; kept %v (%v)", err, list, bad)
	}
}

// A service that runs has to notice that its machine was enrolled anew: nobody at the site knows how to start it again.
func TestARunningAgentNoticesThatItsMachineWasEnrolledAnew(t *testing.T) {
	dir := t.TempDir()
	ctx, changed := Until(t.Context(), dir, time.Millisecond)
	if changed() || ctx.Err() != nil {
		t.Error("a machine without identity has become another")
	}
	enrol := func(c *identitytest.Collector, more ...string) {
		t.Helper()
		if out, err := run(t, append([]string{"enroll", c.Code().String(), "--state-dir", dir, "--name", "pc"}, more...)...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	enrol(identitytest.NewCollector(t, time.Now))
	stopped, stop := context.WithCancel(t.Context())
	_, changed = Until(stopped, dir, time.Millisecond)
	stop()
	if changed() {
		t.Error("an agent that was stopped has become another")
	}
	ctx, changed = Until(t.Context(), dir, time.Millisecond)
	enrol(identitytest.NewCollector(t, time.Now), "--again")
	<-ctx.Done()
	if !changed() {
		t.Error("it ended for another reason")
	}
}

func TestCodesThatAreWrongAreExplained(t *testing.T) {
	c := identitytest.NewCollector(t, time.Now)
	good := c.Code().String()
	swap := []byte(good)
	swap[5], swap[6] = swap[6], swap[5]
	if swap[5] == swap[6] {
		swap[5] = 'Z'
	}
	for name, w := range map[string]struct{ code, want string }{
		"none":     {"", "give the join code"},
		"cut":      {good[:len(good)-9], "not whole"},
		"mistyped": {string(swap), "mistake"},
		"another":  {"s08707", "begins with CW1-"},
	} {
		args := []string{"enroll", "--state-dir", t.TempDir()}
		if w.code != "" {
			args = append(args, w.code)
		}
		if _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), w.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.Get().Asked != 0 {
		t.Error("a wrong code was sent to the collector")
	}
	for name, args := range map[string][]string{
		"two places":   {"enroll", good, "--state-dir", "x", "--config", "y"},
		"no name":      {"enroll", good, "--state-dir", t.TempDir(), "--name", "Hội trường"},
		"no settings":  {"enroll", good, "--config", "/no/such/file"},
		"more for who": {"identity", "x"},
	} {
		if _, err := run(t, args...); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
