package updated_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"communewatch/agent/update/course"
	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/cmd/communewatch-collector/release"
	"communewatch/collector/fleet"
	"communewatch/collector/registry"
	"communewatch/deploy/lab/enrolled"
	"communewatch/inventory"
	signed "communewatch/probes/release"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir, err := programs(); err == nil {
			_ = os.RemoveAll(dir)
		}
		os.Exit(code)
	}))
}

const (
	root     = "../../.."
	patience = 4 * time.Minute // for anything, on a busy machine
	secret   = "a password of the maker"

	// stamp is the version that the agent is built with. In copies of it the number is overwritten: to build it once for
	// each version would take longer than all else here.
	stamp = "1.0.0+lab.7q2m9x"
)

// build compiles a program once for all tests.
func build(dir, name, pkg, version string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, name), "-ldflags", "-s -w -X main.version="+version, pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", name, err, out)
	}
	return nil
}

// programs builds the agent, the maker's tool and the mute release, and returns their folder.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "updated")
	if err != nil {
		return "", err
	}
	return dir, errors.Join(
		build(dir, "communewatch-agent", "./agent/cmd/communewatch-agent", stamp),
		build(dir, "communewatch-release", "./deploy/cmd/communewatch-release", stamp),
		build(dir, "mute", "./deploy/lab/updated/testdata/mute", stamp))
})

// scene is a fleet, and somebody who makes releases for it.
type scene struct {
	*enrolled.Fleet
	t     *testing.T
	dir   string // with the programs, and all that is made
	maker string // with the maker's keys and releases
	key   string // public
}

func newScene(t *testing.T, sites ...string) *scene {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, dir: dir, maker: t.TempDir()}
	s.tool("keygen", filepath.Join(s.maker, "province"))
	public, err := os.ReadFile(filepath.Join(s.maker, "province.pub"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(public)), "\n")
	s.key = lines[len(lines)-1]
	o := enrolled.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Settings: fmt.Sprintf("updates: {enabled: true, keys: ['%s']}\n", s.key)}
	for _, id := range sites {
		o.Sites = append(o.Sites, inventory.Site{ID: id, Name: "Xã " + id})
	}
	if s.Fleet, err = enrolled.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// tool runs the maker's program.
func (s *scene) tool(args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(s.dir, "communewatch-release"), args...)
	cmd.Stdin = strings.NewReader(secret + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("communewatch-release %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// of is a program as the one of another version.
func (s *scene) of(name, version string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), name)
	is := bytes.ReplaceAll(data, []byte(stamp), []byte(version+stamp[len(version):]))
	if err := os.WriteFile(file, is, 0o755); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// release makes and signs a release, and returns its ZIP file.
func (s *scene) release(version, binary string) string {
	s.t.Helper()
	out := filepath.Join(s.maker, "r"+version)
	s.tool("make", "--version", version, "--out", out, binary)
	s.tool("sign", "--key", filepath.Join(s.maker, "province.key"), out)
	return out + ".zip"
}

// collector runs `communewatch-collector release ...` beside the running collector.
func (s *scene) collector(args ...string) string {
	s.t.Helper()
	cmd := release.New(program.Access{
		Config:   func() (collector.Config, error) { return s.Config(), nil },
		Registry: func(_ *cobra.Command, do func(*registry.Registry) error) error { return do(s.Registry()) },
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(s.t.Context()); err != nil {
		s.t.Fatalf("release %s: %v", strings.Join(args, " "), err)
	}
	return out.String()
}

// machine is a computer with the package installed.
type machine struct {
	t      *testing.T
	dir    string
	agent  string // the package's binary
	config string
	log    *os.File
}

// install enrols a computer and runs its service until the test ends.
func (s *scene) install(site string) *machine {
	s.t.Helper()
	m := &machine{t: s.t, dir: s.t.TempDir(), agent: s.of("communewatch-agent", "1.0.0")}
	m.config = filepath.Join(m.dir, "agent.yaml")
	text := fmt.Sprintf("state_dir: '%s'\nself_interval: 2s\nspool: {seal_after: 1s, min_free: 0}\nupdates: {bytes_per_second: 100000000, trial: 1m}\n",
		filepath.Join(m.dir, "state"))
	var err error
	if err = os.WriteFile(m.config, []byte(text), 0o600); err == nil {
		m.log, err = os.Create(filepath.Join(m.dir, "log"))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	made, err := s.Desk().CreateCodes(enrolled.Operator(s.t.Context()), []fleet.NewCode{{Site: site}})
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := exec.CommandContext(s.t.Context(), m.agent, "enroll", made[0].Text, "--name", "pc", "--updates", s.key, "--config", m.config).CombinedOutput()
	if err != nil {
		s.t.Fatalf("enroll: %v: %s", err, out)
	}
	m.serve()
	return m
}

// serve is the service manager: it starts the agent again whenever it ends.
func (m *machine) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, m.agent, "run", "--config", m.config)
			cmd.Env = []string{"INVOCATION_ID=lab", "PATH=" + os.Getenv("PATH")} // a service manager is there
			cmd.Stdout, cmd.Stderr = m.log, m.log
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			cmd.WaitDelay = 10 * time.Second
			_ = cmd.Run() // however it ended
		}
	}()
	m.t.Cleanup(func() {
		cancel()
		<-done
		if m.t.Failed() {
			if _, err := m.log.Seek(0, io.SeekStart); err == nil {
				text, _ := io.ReadAll(io.LimitReader(m.log, 1<<20))
				m.t.Logf("%s", text)
			}
		}
		_ = m.log.Close()
	})
}

func (m *machine) state() course.State {
	m.t.Helper()
	s, err := course.File{Dir: filepath.Join(m.dir, "state", "releases")}.Load()
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// await polls until done.
func (s *scene) await(what string, done func() bool) {
	s.t.Helper()
	begin := time.Now()
	for !done() {
		if time.Since(begin) > patience {
			s.t.Fatalf("%s: not within %v\n%s", what, patience, s.collector("status"))
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Logf("%s: after %v", what, time.Since(begin).Round(100*time.Millisecond))
}

// runs reports whether the agent of a site says that it runs a version, and what became of one.
func (s *scene) runs(site, version string, state signed.State) bool {
	s.t.Helper()
	list, err := s.Registry().Agents().Agents(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, a := range list {
		if p := a.Presence; a.Site == site && p != nil {
			return strings.HasPrefix(p.Machine.Version, version+"+") && p.Update.State == string(state)
		}
	}
	return false
}

// reports waits for results of a site that come after now.
func (s *scene) reports(site string) {
	s.t.Helper()
	since := s.Now()
	s.await("results of "+site, func() bool {
		list, err := s.Registry().Accounts(s.t.Context(), site)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, a := range list {
			if a.Last.After(since) {
				return true
			}
		}
		return false
	})
}

// whole waits until no result is missing of any life of the site's agent.
func (s *scene) whole(site string, lives int) {
	s.t.Helper()
	s.await("all results of "+site, func() bool {
		list, err := s.Registry().Accounts(s.t.Context(), site)
		if err != nil {
			s.t.Fatal(err)
		}
		missing := uint64(0)
		for _, a := range list {
			missing += a.Missing + a.Rejected
		}
		return len(list) == lives && missing == 0
	})
}

func TestAReleaseGoesOutSiteBySite(t *testing.T) {
	t.Parallel()
	s := newScene(t, "s1", "s2")
	one, two := s.install("s1"), s.install("s2")
	for _, site := range []string{"s1", "s2"} {
		s.await(site+" on what its package brought", func() bool { return s.runs(site, "1.0.0", "") })
		s.reports(site)
	}
	s.collector("add", s.release("1.1.0", s.of("communewatch-agent", "1.1.0")))
	s.collector("start", "1.1.0", "--first", "s1", "--shares", "100", "--soak", "1m")
	s.await("s1 on the release", func() bool { return s.runs("s1", "1.1.0", signed.StateKept) })
	if !s.runs("s2", "1.0.0", "") {
		t.Error("a site whose turn it is not took it")
	}
	s.reports("s1")
	s.reports("s2")
	s.await("the stage going well", func() bool { return strings.Contains(s.collector("status"), "all of this stage go well") })
	s.Wait(61 * time.Second)
	s.await("s2 on the release", func() bool { return s.runs("s2", "1.1.0", signed.StateKept) })
	s.await("the last stage going well", func() bool { return strings.Contains(s.collector("status"), "all of this stage go well") })
	s.Wait(61 * time.Second)
	s.await("the end of the roll-out", func() bool { return strings.Contains(s.collector("status"), "release 1.1.0: complete") })
	for site, m := range map[string]*machine{"s1": one, "s2": two} {
		s.reports(site)
		s.whole(site, 2) // the one before and the one after
		if st := m.state(); st.Kept == nil || st.Kept.Version.String() != "1.1.0" || st.Trial != nil {
			t.Errorf("%s: %+v", site, st)
		}
	}
}

func TestAReleaseThatNeverReportsIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newScene(t, "s1")
	m := s.install("s1")
	s.reports("s1")
	s.collector("add", s.release("1.2.0", s.of("mute", "1.2.0")))
	begin := time.Now()
	s.collector("start", "1.2.0", "--first", "s1")
	s.await("the former one being back", func() bool { return s.runs("s1", "1.0.0", signed.StateRolledBack) })
	took := time.Since(begin)
	s.reports("s1")
	s.whole("s1", 2)
	s.await("the roll-out halting", func() bool { return strings.Contains(s.collector("status"), "release 1.2.0: halted") })
	for _, want := range []string{"s1/pc went back to the former version", "its results did not arrive within"} {
		if got := s.collector("status"); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if st := m.state(); st.Kept != nil || st.Trial != nil || len(st.Failed) != 1 {
		t.Errorf("%+v", st)
	}
	t.Logf("taken back by itself after %v", took.Round(time.Second))
}

// A province's line or its collector may die in the very minutes of a trial. The office goes back to what it had, and takes
// the release later.
func TestACollectorThatGoesAwayDuringATrialCondemnsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, "s1")
	m := s.install("s1")
	s.reports("s1")
	s.collector("add", s.release("1.1.0", s.of("communewatch-agent", "1.1.0")))
	s.collector("start", "1.1.0", "--first", "s1")
	s.await("the trial", func() bool { st := m.state(); return st.Trial != nil && st.Trial.Starts > 0 })
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s.await("the former one being back", func() bool { return m.state().PutOff != nil })
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.reports("s1")
	s.await("its word of it", func() bool {
		return strings.Contains(s.collector("status"), "put off: the collector did not answer it within 1m0s")
	})
	if !s.runs("s1", "1.0.0", signed.StateFetched) || strings.Contains(s.collector("status"), "halted") {
		t.Errorf("in the meantime:\n%s", s.collector("status"))
	}
	// It would be tried again in a quarter of an hour; somebody who knows what was the matter need not wait.
	s.collector("halt", "--why", "the collector was away")
	s.collector("start", "1.1.0", "--first", "s1")
	s.await("the release after all", func() bool { return s.runs("s1", "1.1.0", signed.StateKept) })
	s.reports("s1")
	s.whole("s1", 4) // the release's first life delivers what it measured later
}
