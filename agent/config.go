package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"communewatch/agent/collectors"
	"communewatch/agent/identity"
	"communewatch/agent/kinds"
	"communewatch/agent/orders"
	updates "communewatch/agent/update"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/settings"
	"communewatch/probes/snmp"
)

// Config is the agent's settings file. Get one from ReadConfig or ParseConfig, which validate it; docs/agent.md
// describes every key.
type Config struct {
	Site         string        `yaml:"site"`          // default: that of the identity
	Agent        string        `yaml:"agent"`         // unique within the site; default: that of the identity, or the machine's name
	StateDir     string        `yaml:"state_dir"`     // holds the spool and the identity
	SelfInterval time.Duration `yaml:"self_interval"` // between reports of the agent about itself

	Collectors []collectors.Collector `yaml:"collectors"` // in order of preference; default: those of the identity
	Org        string                 `yaml:"org"`        // both are InfluxDB's; the collector ignores them
	Bucket     string                 `yaml:"bucket"`

	Spool                 Spool `yaml:"spool"`
	BacklogBytesPerSecond int   `yaml:"backlog_bytes_per_second"` // what old batches may take of the line

	Paths    map[probes.Path]Path `yaml:"paths"` // a path not named here is bound to nothing
	Defaults Defaults             `yaml:"defaults"`
	Checks   []Check              `yaml:"checks"`

	Orders   Orders    `yaml:"orders"`
	Meetings []Meeting `yaml:"meetings"` // when no media tests are made, whoever wants them
	Allow    Allow     `yaml:"allow"`    // what the collector may give it to do

	Updates updates.Settings `yaml:"updates"`
	Office  Office           `yaml:"onsite"`

	kit        *snmp.Kit            // of its snmp checks
	guard      *bind.Guard          // of what the collector gives it to do
	allowed    map[probes.Kind]bool // kinds of that
	bindings   map[probes.Path]binding
	meetings   orders.Meetings
	keptBroken error                  // why what the machine allows beside the settings can't be used
	holds      string                 // file that a hold of the collector's is kept in; "" where it gives no orders
	enrolled   *identity.Set          // nil where nothing in the settings asks for an identity
	identity   *identity.Identity     // enrolled in use; set by New
	lent       []collectors.Collector // of a single run: those of the agent in whose name it is made
}

// Spool bounds the results kept on disk.
type Spool struct {
	MaxBytes  int64         `yaml:"max_bytes"`
	MaxAge    time.Duration `yaml:"max_age"`
	MinFree   float64       `yaml:"min_free"`   // share of the disk that is left to others
	SealAfter time.Duration `yaml:"seal_after"` // how long results are gathered before they are sent
}

// Path is how a path's sockets are tied to it.
type Path struct {
	Device string `yaml:"device"`
	Source string `yaml:"source"`
	Hop    *Hop   `yaml:"hop"`
}

// Hop names the router that proves a path.
type Hop struct {
	TTL    int      `yaml:"ttl"`
	Expect []string `yaml:"expect"` // prefixes or addresses
	Refuse []string `yaml:"refuse"`
}

// Defaults of checks.
type Defaults struct {
	Interval time.Duration `yaml:"interval"`
}

// Check is one check.
type Check struct {
	Name     string        `yaml:"name"`
	Kind     probes.Kind   `yaml:"kind"`
	Address  string        `yaml:"address"`
	Path     probes.Path   `yaml:"path"`
	Layer    probes.Layer  `yaml:"layer"`    // default: probes.LayerOf
	Interval time.Duration `yaml:"interval"` // default: Defaults.Interval
	Options  settings.Node `yaml:"options"`  // as the kind wants them

	options kinds.Options
}

// Orders is what the collector may tell the agent to do.
type Orders struct {
	Enabled bool `yaml:"enabled"`  // keep a channel open, on which calls can be ordered
	MaxKbps int  `yaml:"max_kbps"` // most that an ordered call may take of the line, each way, with all headers
}

// Meeting is a time in which the line belongs to a meeting; see orders.ParseMeeting.
type Meeting struct {
	Days []string `yaml:"days"`
	From string   `yaml:"from"`
	To   string   `yaml:"to"`
	TZ   string   `yaml:"tz"`
	Note string   `yaml:"note"`
}

// binding is a path of the config in the form that probes use.
type binding struct {
	bind.Binding
	hop bind.Hop
}

// DefaultConfig returns the settings of a file that says nothing.
func DefaultConfig() Config {
	return Config{
		StateDir:     defaultStateDir(),
		SelfInterval: 30 * time.Second,
		Org:          "communewatch",
		Bucket:       "communewatch",
		Spool: Spool{
			MaxBytes:  512 << 20,           // well over 30 days of 20 checks every 30 s
			MaxAge:    30 * 24 * time.Hour, // what collectors take
			MinFree:   0.1,
			SealAfter: 10 * time.Second,
		},
		BacklogBytesPerSecond: 32 << 10, // 256 kbit/s: catching up must not look like a slow line
		Defaults:              Defaults{Interval: 30 * time.Second},
		Orders:                Orders{Enabled: true, MaxKbps: 6000}, // 1080p takes 4.3 Mbit/s
		Allow:                 Allow{Work: true},
		Updates:               updates.DefaultSettings(),
	}
}

func defaultStateDir() string {
	if runtime.GOOS == "windows" {
		root := os.Getenv("ProgramData")
		if root == "" {
			root = `C:\ProgramData`
		}
		return filepath.Join(root, "communewatch-agent")
	}
	return "/var/lib/communewatch-agent"
}

// HostName is the machine's name, made fit to be an agent's.
func HostName() string {
	host, err := os.Hostname()
	if err != nil {
		return "agent"
	}
	return cleanHostName(host)
}

func cleanHostName(host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, host)
	host = strings.Trim(host, "-_")
	if len(host) > 63 {
		host = host[:63]
	}
	if host == "" {
		return "agent"
	}
	return host
}

// StateDir returns the state folder of a settings file, which need not be complete yet: an identity goes there before
// anything can be left to it.
func StateDir(file string) (string, error) {
	data, err := readSettings(file)
	if err != nil {
		return "", err
	}
	cfg := DefaultConfig()
	doc := settings.Read(file, data, &cfg)
	if cfg.StateDir == "" {
		doc.Problem("state_dir", "is empty; name a folder that the agent may write to, for example %s", defaultStateDir())
	}
	return cfg.StateDir, doc.Err()
}

func readSettings(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, settings.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return data, nil
}

// ReadConfig reads and validates a settings file. The error names every mistake in it.
func ReadConfig(file string) (Config, error) { return ReadConfigSharing(file, snmp.NewKit()) }

// ReadConfigSharing is ReadConfig for one of several agents in a process: what its snmp checks learn, and what they
// know of makers, which takes megabytes, is that of the kit.
func ReadConfigSharing(file string, kit *snmp.Kit) (Config, error) {
	data, err := readSettings(file)
	if err != nil {
		return Config{}, err
	}
	return parseConfig(file, data, kit)
}

// ParseConfig is ReadConfig for a file already read; file is its name in errors and what relative names of other
// files are relative to.
func ParseConfig(file string, data []byte) (Config, error) {
	return parseConfig(file, data, snmp.NewKit())
}

func parseConfig(file string, data []byte, kit *snmp.Kit) (Config, error) {
	cfg := DefaultConfig()
	doc := settings.Read(file, data, &cfg)
	v := validator{doc: doc, dir: filepath.Dir(file), kit: kit}
	v.identity(&cfg)
	v.delivery(&cfg)
	v.paths(&cfg)
	v.checks(&cfg)
	v.orders(&cfg)
	v.allow(&cfg)
	v.office(&cfg)
	cfg.Updates.Validate(filepath.Dir(file), identity.Folder(cfg.StateDir), func(at, format string, args ...any) { doc.Problem("updates."+at, format, args...) })
	cfg.kit = kit
	if cfg.Orders.Enabled && len(cfg.Collectors) > 0 {
		cfg.holds = filepath.Join(cfg.StateDir, "hold.json")
	}
	return cfg, doc.Err()
}

// ParseCheck makes the config of a single run from a document that holds the keys "paths" and "checks" and nothing
// else: no site, no collector. With a base, a path is bound as it is there unless the document itself says how, and no
// media are sent during the meetings that it knows of (see DuringMeetings), and the agent's own collectors know who asks.
func ParseCheck(data []byte, base *Config) (Config, error) {
	cfg := DefaultConfig()
	cfg.Site, cfg.Agent = "here", "here" // never sent
	doc := settings.Read("", data, &cfg)
	v := validator{doc: doc, oneShot: true, kit: snmp.NewKit()}
	v.paths(&cfg)
	v.checks(&cfg)
	if base != nil {
		for path, b := range base.bindings {
			if _, ok := cfg.bindings[path]; !ok {
				cfg.bindings[path] = b
			}
		}
		cfg.meetings, cfg.holds = base.meetings, base.holds
		cfg.enrolled, cfg.lent = base.enrolled, base.Collectors
	}
	return cfg, doc.Err()
}

// DuringMeetings makes the config one that knows of no meetings, neither by its settings nor by the collector's word.
func (c *Config) DuringMeetings() { c.meetings, c.holds = nil, "" }

// binding returns how the path is bound; a path that the config doesn't name is bound to nothing.
func (c *Config) binding(path probes.Path) binding {
	if b, ok := c.bindings[path]; ok {
		return b
	}
	return binding{Binding: bind.Binding{Path: path}}
}

// SweepAllows lists the networks that the config's sweeps may look through.
func (c *Config) SweepAllows() []string {
	var allow []string
	for i := range c.Checks {
		for _, a := range c.Checks[i].options.Allow {
			if !slices.Contains(allow, a) {
				allow = append(allow, a)
			}
		}
	}
	return allow
}
