package update_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"aead.dev/minisign"

	"communewatch/probes/release"
)

// marker is overwritten in the built fake agent.
var marker = "@stamp@" + strings.Repeat("-", 40)

var built struct {
	once sync.Once
	file []byte
	err  error
}

// fake is a fake agent that says it is of a version, and behaves as it is told: "", crash, wilt, silent, lost, hang, picky, token.
func fake(t *testing.T, version, mode string) []byte {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake agent of this test runs on Unix")
	}
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "fakeagent")
		if err != nil {
			built.err = err
			return
		}
		defer os.RemoveAll(dir)
		file := filepath.Join(dir, "fakeagent")
		out, err := exec.Command("go", "build", "-o", file, "-ldflags", "-s -w -X main.stamp="+marker, "./testdata/fakeagent").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
			return
		}
		built.file, built.err = os.ReadFile(file)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	// The build's own notes, which nobody reads, have the marker too.
	return bytes.ReplaceAll(built.file, []byte(marker), fmt.Appendf(nil, "%-*s", len(marker), version+" "+mode))
}

func parse(t *testing.T, version string) release.Version {
	t.Helper()
	v, err := release.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// maker makes and signs releases.
type maker struct {
	private minisign.PrivateKey
	public  string
}

func newMaker(t *testing.T) maker {
	t.Helper()
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return maker{private, public.String()}
}

// offered is a release as a collector hands it on.
type offered struct {
	release.Offer
	file []byte
}

func (m maker) release(t *testing.T, version string, file []byte, edit func(*release.Manifest)) *offered {
	t.Helper()
	sum := sha256.Sum256(file)
	now := time.Now()
	man := release.Manifest{Product: release.Product, Version: parse(t, version), Built: now.Add(-time.Hour), Expires: now.Add(time.Hour),
		Files: []release.File{{OS: runtime.GOOS, Arch: runtime.GOARCH, Name: "agent", Size: int64(len(file)), SHA256: hex.EncodeToString(sum[:])}}}
	if edit != nil {
		edit(&man)
	}
	data, err := json.Marshal(man)
	if err != nil {
		t.Fatal(err)
	}
	return &offered{release.Offer{Version: man.Version, Manifest: string(data), Signature: string(minisign.Sign(m.private, data))}, file}
}

// collector is one that hands on a release, and hears what agents say.
type collector struct {
	*httptest.Server
	heard chan string // such as "start 1.0.0", "results 1.1.0", "1.0.0: rolled_back 1.1.0"

	mu       sync.Mutex // guards what follows
	offer    *offered
	cut      int64 // bytes after which downloads end; 0: none
	deaf     bool  // results are not taken
	asked    int
	ranges   []string
	said     map[string]bool // what is in heard
	refusing bool            // files
}

func newCollector(t *testing.T) *collector {
	c := &collector{heard: make(chan string, 1000), said: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+release.Path, func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked++
		if c.offer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_ = json.NewEncoder(w).Encode(c.offer.Offer)
	})
	mux.HandleFunc("GET "+release.FilePath+"{version}/agent", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		o, cut := c.offer, c.cut
		c.ranges = append(c.ranges, r.Header.Get("Range"))
		c.mu.Unlock()
		if o == nil || r.PathValue("version") != o.Version.String() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if cut > 0 {
			w = &cutting{w, cut}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.file))
	})
	mux.HandleFunc("GET /start", func(w http.ResponseWriter, r *http.Request) {
		c.hear(strings.TrimSpace("start " + r.FormValue("version") + " " + r.FormValue("reason")))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /results", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		deaf := c.deaf
		c.mu.Unlock()
		if deaf {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /presence", func(w http.ResponseWriter, r *http.Request) {
		line := fmt.Sprintf("%s: %s %s", r.FormValue("version"), r.FormValue("state"), r.FormValue("of"))
		c.mu.Lock()
		known := c.said[line]
		c.said[line] = true
		c.mu.Unlock()
		if !known {
			c.hear(line)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Server.Close)
	return c
}

func (c *collector) hear(line string) {
	select {
	case c.heard <- line:
	default: // a test that does not listen
	}
}

func (c *collector) set(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

// await waits until an agent said something, and returns all that was said until then.
func (c *collector) await(t *testing.T, want string) (all []string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case line := <-c.heard:
			all = append(all, line)
			if line == want {
				return all
			}
		case <-deadline:
			t.Fatalf("never heard %q, but:\n%s", want, strings.Join(all, "\n"))
		}
	}
}

// cutting ends an answer early, as a line that breaks does.
type cutting struct {
	http.ResponseWriter
	left int64
}

func (c *cutting) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= int64(len(p))
	return c.ResponseWriter.Write(p)
}

// machine is one on which the package's binary is installed, and a service manager that starts it again whenever it ends.
type machine struct {
	t    *testing.T
	dir  string // of releases
	pkg  string // the package's binary
	args []string

	mu      sync.Mutex // guards what follows
	process *os.Process
	over    bool
	done    chan struct{}
}

func newMachine(t *testing.T, c *collector, key string, pkg []byte, args ...string) *machine {
	t.Helper()
	root := t.TempDir()
	m := &machine{t: t, dir: filepath.Join(root, "releases"), pkg: filepath.Join(root, "communewatch-agent"), done: make(chan struct{})}
	m.install(pkg)
	m.args = append([]string{"run", "--dir", m.dir, "--url", c.URL, "--key", key}, args...)
	return m
}

// install puts the package's binary in its place, as a package manager does.
func (m *machine) install(pkg []byte) {
	m.t.Helper()
	tmp := m.pkg + ".new"
	if err := os.WriteFile(tmp, pkg, 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(tmp, m.pkg); err != nil {
		m.t.Fatal(err)
	}
}

// start begins to run it, until the test ends.
func (m *machine) start() {
	var out bytes.Buffer
	go func() {
		defer close(m.done)
		for {
			cmd := exec.Command(m.pkg, m.args...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			cmd.Stderr = &out
			m.mu.Lock()
			if m.over {
				m.mu.Unlock()
				return
			}
			err := cmd.Start()
			m.process = cmd.Process
			m.mu.Unlock()
			if err != nil {
				return
			}
			_ = cmd.Wait() // however it ended, it is started again
		}
	}()
	m.t.Cleanup(func() {
		m.mu.Lock()
		m.over = true
		m.mu.Unlock()
		m.signal(os.Interrupt)
		select {
		case <-m.done:
		case <-time.After(20 * time.Second):
			m.signal(os.Kill)
			<-m.done
			m.t.Error("the agent did not stop in order")
		}
		if m.t.Failed() {
			m.t.Log(out.String())
		}
	})
}

func (m *machine) signal(s os.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		_ = m.process.Signal(s)
	}
}
