// Package compose_test looks at the Compose files as far as that goes without Docker.
package compose_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/influxdb"

	"go.yaml.in/yaml/v3"
)

// service holds every key that our files use; another one is an error.
type service struct {
	Build       *build                       `yaml:"build"`
	Image       string                       `yaml:"image"`
	Entrypoint  []string                     `yaml:"entrypoint"`
	Command     []string                     `yaml:"command"`
	Environment map[string]string            `yaml:"environment"`
	DependsOn   map[string]map[string]string `yaml:"depends_on"`
	Secrets     []string                     `yaml:"secrets"`
	Volumes     []string                     `yaml:"volumes"`
	Networks    []string                     `yaml:"networks"`
	Ports       []string                     `yaml:"ports"`
	Healthcheck *struct {
		Test        []string `yaml:"test"`
		Interval    string   `yaml:"interval"`
		Timeout     string   `yaml:"timeout"`
		StartPeriod string   `yaml:"start_period"`
		Retries     int      `yaml:"retries"`
	} `yaml:"healthcheck"`
	User            string   `yaml:"user"`
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	CapAdd          []string `yaml:"cap_add"`
	SecurityOpt     []string `yaml:"security_opt"`
	Restart         string   `yaml:"restart"`
	StopGracePeriod string   `yaml:"stop_grace_period"`
}

type build struct {
	Context    string `yaml:"context"`
	Dockerfile string `yaml:"dockerfile"`
}

type file struct {
	Name     string             `yaml:"name"`
	Services map[string]service `yaml:"services"`
	Networks map[string]struct {
		Internal bool `yaml:"internal"`
	} `yaml:"networks"`
	Volumes map[string]struct{} `yaml:"volumes"`
	Secrets map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

func read(t *testing.T, name string) file {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// each runs do for both files.
func each(t *testing.T, do func(t *testing.T, f file)) {
	for _, name := range []string{"compose.yaml", "compose-2x.yaml"} {
		t.Run(name, func(t *testing.T) { do(t, read(t, name)) })
	}
}

var pinned = regexp.MustCompile(`^docker\.io/[a-z0-9/-]+:[0-9]+\.[0-9]+\.[0-9]+[a-z0-9-]*$`)

func TestServicesAreWhatTheyShouldBe(t *testing.T) {
	each(t, func(t *testing.T, f file) {
		if got := slices.Sorted(maps.Keys(f.Services)); !slices.Equal(got, []string{"collector", "grafana", "influxdb", "reader", "setup"}) {
			t.Fatal(got)
		}
		for name, s := range f.Services {
			if s.Build == nil && !pinned.MatchString(s.Image) {
				t.Errorf("%s: image %q has no version", name, s.Image)
			}
			if s.Build != nil {
				if s.Image != "communewatch-collector:local" {
					t.Errorf("%s: image %q is neither built here nor pinned", name, s.Image)
				}
				if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if !s.ReadOnly || s.User != "10001:10001" {
					t.Errorf("%s: may write, or is root", name)
				}
			}
			if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
				t.Errorf("%s keeps privileges", name)
			}
			published := name == "collector" || name == "grafana"
			if (len(s.Ports) > 0) != published || slices.Contains(s.Networks, "outside") != published {
				t.Errorf("%s: ports %q, networks %q", name, s.Ports, s.Networks)
			}
			for _, p := range s.Ports {
				if !strings.Contains(p, ":-127.0.0.1:") {
					t.Errorf("%s: %q is published beyond this machine unless somebody says so", name, p)
				}
			}
			if once := strings.HasPrefix(s.Restart, "on-failure"); once == (s.Healthcheck != nil) {
				t.Errorf("%s: restart %q, health check %v", name, s.Restart, s.Healthcheck)
			}
			for on, how := range s.DependsOn {
				other, ok := f.Services[on]
				want := "service_completed_successfully"
				if other.Healthcheck != nil {
					want = "service_healthy"
				}
				if !ok || how["condition"] != want {
					t.Errorf("%s waits for %s to be %q", name, on, how)
				}
			}
			for _, n := range s.Networks {
				if _, ok := f.Networks[n]; !ok {
					t.Errorf("%s: there is no network %s", name, n)
				}
			}
			for key, value := range s.Environment {
				if regexp.MustCompile(`(?i)password|token|secret`).MatchString(key) && !strings.HasPrefix(value, "/run/secrets/") {
					t.Errorf("%s: %s is in the file", name, key)
				}
			}
		}
		if !f.Networks["inside"].Internal {
			t.Error("the database's network has a way out")
		}
	})
}

func TestWhatIsMountedIsThere(t *testing.T) {
	each(t, func(t *testing.T, f file) {
		used := map[string]bool{}
		for name, s := range f.Services {
			all := fmt.Sprint(s.Entrypoint, s.Command, s.Environment)
			for _, m := range regexp.MustCompile(`/run/secrets/([a-z0-9_]+)`).FindAllStringSubmatch(all, -1) {
				if !slices.Contains(s.Secrets, m[1]) {
					t.Errorf("%s reads the secret %s and is not given it", name, m[1])
				}
			}
			for _, secret := range s.Secrets {
				used[secret] = true
				if got := f.Secrets[secret].File; path.Dir(got) != "secrets" {
					t.Errorf("%s: the secret %s is not declared: %q", name, secret, got)
				}
				if !strings.Contains(all, "/run/secrets/"+secret) {
					t.Errorf("%s is given the secret %s and does not read it", name, secret)
				}
			}
			for _, v := range s.Volumes {
				from, to, ok := strings.Cut(v, ":")
				if !ok || !path.IsAbs(strings.TrimSuffix(to, ":ro")) {
					t.Errorf("%s: %q", name, v)
				}
				if !strings.HasPrefix(from, ".") {
					if _, ok := f.Volumes[from]; !ok {
						t.Errorf("%s: there is no volume %s", name, from)
					}
					used["volume "+from] = true
					continue
				}
				if _, err := os.Stat(from); err != nil || !strings.HasSuffix(to, ":ro") {
					t.Errorf("%s: %q: %v", name, v, err)
				}
			}
		}
		for secret := range f.Secrets {
			if !used[secret] {
				t.Errorf("nobody uses the secret %s", secret)
			}
		}
		for v := range f.Volumes {
			if !used["volume "+v] {
				t.Errorf("nobody uses the volume %s", v)
			}
		}
		readme, err := os.ReadFile("README.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range f.Secrets {
			if !bytes.Contains(readme, []byte("> "+s.File+" ")) && !bytes.Contains(readme, []byte("> "+s.File+"\n")) {
				t.Errorf("README.md does not say how to make %s", s.File)
			}
		}
	})
}

// mounted is the folder or file of ours that a container sees at a path.
func mounted(s service, at string) string {
	for _, v := range s.Volumes {
		parts := strings.Split(v, ":")
		if len(parts) > 1 && parts[1] == at {
			return parts[0]
		}
	}
	return ""
}

func TestSettingsAndCommandsFit(t *testing.T) {
	each(t, func(t *testing.T, f file) {
		s := f.Services["collector"]
		cfg, err := collector.ReadConfigForSetup(mounted(s, "/etc/communewatch/collector.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Store != collector.StoreInflux || cfg.Influx.URL != "http://influxdb:8086" || mounted(s, cfg.DataDir) != "collector" || path.Dir(cfg.Influx.TokenFile) != cfg.DataDir {
			t.Errorf("%+v", cfg)
		}
		if org := f.Services["influxdb"].Environment["DOCKER_INFLUXDB_INIT_ORG"]; cfg.Influx.Org != org {
			t.Errorf("influx.org is %q, that of the server %q", cfg.Influx.Org, org)
		}
		if _, port, _ := strings.Cut(cfg.Listen, ":"); !strings.HasSuffix(s.Ports[0], ":"+port) || !strings.Contains(s.Healthcheck.Test[len(s.Healthcheck.Test)-1], ":"+port+"/") {
			t.Errorf("listens on %s, but %q is published and asked", port, s.Ports)
		}
		// The command that makes databases, by the program's own flags.
		args := f.Services["setup"].Command
		group := influxdb.New(func() string { return "" })
		group.PersistentFlags().String("config", "", "")
		cmd, rest, err := group.Find(args[1:])
		if err != nil || args[0] != "influx" || cmd.Name() != "setup" {
			t.Fatal(args, err)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Error(args, err)
		}
		for _, level := range []string{"_5m", "_1h", "_1d", "_1mo"} {
			if reader := f.Services["reader"]; len(reader.Environment) == 0 && strings.Contains(fmt.Sprint(reader.Command), "GRANT") && !strings.Contains(fmt.Sprint(reader.Command), level) {
				t.Errorf("Grafana's user may not read %s", level)
			}
		}
	})
}

func TestGrafanaIsGivenWhatItsFilesName(t *testing.T) {
	each(t, func(t *testing.T, f file) {
		s := f.Services["grafana"]
		given := fmt.Sprint(s.Entrypoint)
		for key := range s.Environment {
			given += " " + key + "="
		}
		sources := mounted(s, "/etc/grafana/provisioning/datasources")
		found := 0
		err := filepath.WalkDir(sources, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(p)
			for _, m := range regexp.MustCompile(`\$\{?([A-Z][A-Z_]+)`).FindAllStringSubmatch(string(text), -1) {
				found++
				if !strings.Contains(given, m[1]+"=") {
					t.Errorf("%s wants %s, which is not in its environment", p, m[1])
				}
			}
			return err
		})
		if err != nil || found == 0 {
			t.Errorf("%s: %v, %d variables", sources, err, found)
		}
		var boards struct {
			Providers []struct {
				Options struct{ Path string }
			}
		}
		text, err := os.ReadFile(filepath.Join(mounted(s, "/etc/grafana/provisioning/dashboards"), "communewatch.yaml"))
		if err == nil {
			err = yaml.Unmarshal(text, &boards)
		}
		if err != nil || len(boards.Providers) == 0 {
			t.Fatal(err)
		}
		for _, p := range boards.Providers {
			if dir := mounted(s, p.Options.Path); dir == "" {
				t.Errorf("dashboards are looked for in %s, where nothing is mounted", p.Options.Path)
			} else if all, err := filepath.Glob(filepath.Join(dir, "*.json")); err != nil || len(all) == 0 {
				t.Errorf("%s holds no dashboards: %v", dir, err)
			}
		}
	})
}

func TestTheImageIsStaticAndNotRoot(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	last := text[bytes.LastIndex(text, []byte("\nFROM ")):]
	for what, want := range map[string][]byte{"static": []byte("CGO_ENABLED=0 go build"), "its own user": []byte("\nUSER 10001:10001\n")} {
		if !bytes.Contains(text, want) || what == "its own user" && !bytes.Contains(last, want) {
			t.Errorf("the image is not %s: there is no %q", what, want)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllSubmatch(text, -1) {
		if !pinned.Match(m[1]) {
			t.Errorf("%s has no version", m[1])
		}
	}
	// What is copied from the project is there.
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllSubmatch(text, -1) {
		for from := range strings.FieldsSeq(string(m[1])) {
			if _, err := os.Stat(filepath.Join("..", "..", from)); err != nil {
				t.Error(err)
			}
		}
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	need := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if !bytes.Contains(text, append([]byte("golang:"), need[1]...)) {
		t.Errorf("the image is built with another Go than %s", need[1])
	}
	// The same image may be built twice with different secrets in the folder beside it.
	ignore, err := os.ReadFile("Dockerfile.dockerignore")
	if err != nil || !bytes.Contains(ignore, []byte("deploy/compose/secrets")) {
		t.Error("secrets would be sent into the build:", err)
	}
}
