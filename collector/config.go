package collector

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/authority"
	"communewatch/collector/doors"
	"communewatch/collector/farend"
	"communewatch/collector/health"
	"communewatch/collector/people/door"
	"communewatch/collector/rehearsal/plan"
	"communewatch/collector/releases"
	"communewatch/collector/reports/profiles"
	"communewatch/collector/rollup"
	"communewatch/collector/store/influx"
	"communewatch/probes/settings"
)

// Config is the collector's settings file. Get one from ReadConfig or ParseConfig, which validate it;
// docs/collector.md describes every key.
type Config struct {
	Listen         string             `yaml:"listen"` // address and port of both doors, the agents' and the humans'
	TLS            authority.Settings `yaml:"tls"`
	AllowPlaintext bool               `yaml:"allow_plaintext"` // listen beyond this machine without TLS
	AgentsURL      []string           `yaml:"agents_url"`      // https://host:port for agents, in join codes; empty: what listen and names say
	Doors          doors.Limits       `yaml:"doors"`
	DataDir        string             `yaml:"data_dir"`

	Agents  Agents            `yaml:"agents"`
	People  door.Settings     `yaml:"people"`
	Updates releases.Settings `yaml:"updates"`

	Title      string `yaml:"title"`      // beside the name of the screens, such as the province's; empty for none
	Language   string `yaml:"language"`   // vi or en: for those who did not choose
	Boundaries string `yaml:"boundaries"` // GeoJSON file with the sites' areas; empty: areas are computed

	Zone string `yaml:"zone"` // IANA name: where days and months begin, in charts and reports

	Store  string        `yaml:"store"`  // embedded or influx: where results are kept
	Influx influx.Config `yaml:"influx"` // the database, with store: influx

	Bucket     string        `yaml:"bucket"`       // the one bucket that writers may name
	Retention  time.Duration `yaml:"retention"`    // how long results are kept as they were measured
	Rollups    Rollups       `yaml:"rollups"`      // how long windows of them are kept
	OutOfOrder time.Duration `yaml:"out_of_order"` // how old a result may be when it arrives
	Replay     time.Duration `yaml:"replay"`       // how much of the past is judged again at start

	WriterSeries int `yaml:"writer_series"` // series that one writer token may bring

	Reports Reports `yaml:"reports"`

	Reflector farend.Settings `yaml:"reflector"`
	Rehearsal plan.Settings   `yaml:"rehearsal"`

	Health health.Rules `yaml:"health"`
}

// Agents is how agents get in.
type Agents struct {
	Tokens  bool `yaml:"tokens"`  // they may come with a token instead of a certificate
	Approve bool `yaml:"approve"` // somebody has to approve each agent that comes with a join code
}

// The values of Config.Store.
const (
	StoreEmbedded = "embedded"
	StoreInflux   = "influx"
)

// Rollups is how long windows are kept.
type Rollups struct {
	FiveMinutes time.Duration `yaml:"five_minutes"`
	Hourly      time.Duration `yaml:"hourly"`
	Daily       time.Duration `yaml:"daily"` // months too
}

// Keep is the same by level.
func (r Rollups) Keep() map[rollup.Level]time.Duration {
	return map[rollup.Level]time.Duration{
		rollup.FiveMinutes: r.FiveMinutes, rollup.Hour: r.Hourly, rollup.Day: r.Daily, rollup.Month: r.Daily,
	}
}

// Reports is what reports on lines compare with.
type Reports struct {
	Profiles string `yaml:"profiles"` // file with target profiles and their sources; empty: there are none
}

// Bounds of the settings, with what speaks for them.
const (
	minRetention = 24 * time.Hour
	maxRetention = 10 * 366 * 24 * time.Hour
	// lateMargin is what rows must be kept for beyond the time in which late ones come, so that an hour is never worked
	// out anew from half of its rows.
	lateMargin = 48 * time.Hour
	maxReplay  = 24 * time.Hour // a day of a province is minutes of start-up
)

// DefaultConfig returns the settings of a file that says nothing.
func DefaultConfig() Config {
	return Config{
		Listen:    "127.0.0.1:8787",
		TLS:       authority.Settings{Mode: authority.ModeOwn},
		Doors:     doors.DefaultLimits(),
		Agents:    Agents{Tokens: true},
		People:    door.DefaultSettings(),
		Updates:   releases.DefaultSettings(),
		DataDir:   "/var/lib/communewatch-collector",
		Language:  "vi",
		Bucket:    "communewatch",
		Zone:      health.DefaultZone,
		Store:     StoreEmbedded,
		Influx:    influx.DefaultConfig(),
		Retention: 90 * 24 * time.Hour,
		Rollups: Rollups{
			FiveMinutes: 366 * 24 * time.Hour,
			Hourly:      5 * 366 * 24 * time.Hour,
			Daily:       5 * 366 * 24 * time.Hour,
		},
		OutOfOrder:   31 * 24 * time.Hour, // a day more than agents keep results
		Replay:       30 * time.Minute,    // covers every hysteresis of the default rules several times
		WriterSeries: 20_000,
		Reflector:    farend.DefaultSettings(),
		Rehearsal:    plan.DefaultSettings(),
		Health:       health.DefaultRules(),
	}
}

// ReadConfig reads and validates a settings file. Its error lists every mistake.
func ReadConfig(file string) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	return ParseConfig(file, data)
}

// ReadConfigForSetup is ReadConfig for what makes the file that influx.token_file names.
func ReadConfigForSetup(file string) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	c := DefaultConfig()
	c.Influx.TokenToCome = true
	return parseConfig(file, data, c)
}

// ParseConfig is ReadConfig for a file that has been read. Relative paths in it are relative to the file's folder.
func ParseConfig(file string, data []byte) (Config, error) {
	return parseConfig(file, data, DefaultConfig())
}

// parseConfig lays what the file says over c.
func parseConfig(file string, data []byte, c Config) (Config, error) {
	c.TLS.Mode = "" // what the file's other keys imply, unless it says
	doc := settings.Read(file, data, &c)
	c.TLS.Resolve()
	dir := filepath.Dir(file)
	for _, p := range []*string{&c.TLS.CertFile, &c.TLS.KeyFile, &c.TLS.CAFile, &c.People.OIDC.ClientSecretFile, &c.People.OIDC.CAFile, &c.DataDir, &c.Boundaries, &c.Reflector.TokenFile, &c.Rehearsal.HubStatus.TokenFile, &c.Rehearsal.HubStatus.CAFile,
		&c.Influx.TokenFile, &c.Influx.CAFile, &c.Reports.Profiles} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	c.Health.ReadHolidays(dir, func(at, format string, args ...any) { doc.Problem("health."+at, format, args...) })
	c.validate(doc)
	return c, doc.Err()
}

func (c *Config) validate(doc *settings.Doc) {
	host := c.validateDoors(doc)
	c.People.Validate(loopback(host), at(doc, "people"))
	c.Updates.Validate(at(doc, "updates"))
	if c.DataDir == "" {
		doc.Problem("data_dir", "must name a folder for the databases")
	}
	if c.Language != "vi" && c.Language != "en" {
		doc.Problem("language", "%q is not vi or en", c.Language)
	}
	if len(c.Title) > 200 {
		doc.Problem("title", "must have at most 200 bytes")
	}
	if c.Boundaries != "" {
		if _, err := os.Stat(c.Boundaries); err != nil {
			doc.Problem("boundaries", "%v", err)
		}
	}
	if c.Bucket == "" {
		doc.Problem("bucket", "must not be empty")
	}
	c.validateHistory(doc)
	if c.Store != StoreEmbedded && c.Store != StoreInflux {
		doc.Problem("store", "%.40q is not embedded or influx", c.Store)
	}
	if c.Store != StoreEmbedded { // of a misspelt one too: whoever mends it wants to hear of all mistakes at once
		c.Influx.Validate(at(doc, "influx"))
	}
	if _, err := c.LineProfiles(); err != nil {
		doc.Problem("reports.profiles", "%v", err)
	}
	if c.Replay < time.Minute || c.Replay > maxReplay {
		doc.Problem("replay", "must be between 1m and %v", maxReplay)
	}
	if c.WriterSeries < 0 || c.WriterSeries > 1_000_000 {
		doc.Problem("writer_series", "must be from 0 to 1000000")
	}
	c.Reflector.Validate(at(doc, "reflector"))
	c.Rehearsal.Validate(at(doc, "rehearsal"))
	validateHub(c.Rehearsal.HubStatus, doc)
	c.Health.Validate(at(doc, "health"))
}

// at is where mistakes in one part of the settings are reported.
func at(doc *settings.Doc, part string) func(key, format string, args ...any) {
	return func(key, format string, args ...any) {
		doc.Problem(strings.TrimSuffix(part+"."+key, "."), format, args...)
	}
}

// validateDoors checks how the collector is reached, and returns the host that it listens on.
func (c *Config) validateDoors(doc *settings.Doc) (host string) {
	host, port, err := net.SplitHostPort(c.Listen)
	off := c.TLS.Mode == authority.ModeOff
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		doc.Problem("listen", "%q: want address:port, for example 127.0.0.1:8787 or :8787", c.Listen)
	} else if off && !loopback(host) && !c.AllowPlaintext {
		doc.Problem("listen", "%q can be reached from other machines, and without tls passwords and tokens travel in the clear; "+
			"leave tls.mode out, listen on 127.0.0.1, or set allow_plaintext: true", c.Listen)
	}
	if c.AllowPlaintext && !off {
		doc.Problem("allow_plaintext", "the collector speaks TLS (tls.mode: %s), so this says nothing; leave it out, or say tls: {mode: off} where a proxy in front speaks TLS", c.TLS.Mode)
	}
	c.TLS.Validate(at(doc, "tls"))
	if err := authority.CheckAddresses(c.AgentsURL); err != nil {
		doc.Problem("agents_url", "%v", err)
	}
	c.Doors.Validate(at(doc, "doors"))
	return host
}

// Reach is how the collector is reached.
func (c *Config) Reach() doors.Reach {
	return doors.Reach{Listen: c.Listen, Names: c.TLS.Names, URLs: c.AgentsURL}
}

// validateHistory checks how long what is kept.
func (c *Config) validateHistory(doc *settings.Doc) {
	if c.Retention < minRetention || c.Retention > maxRetention {
		doc.Problem("retention", "must be between 24h and %v, for example 2160h for 90 days", maxRetention)
	}
	if c.OutOfOrder < time.Hour || c.OutOfOrder > c.Retention-min(lateMargin, c.Retention/2) {
		doc.Problem("out_of_order", "must be between 1h and the retention less 48h")
	}
	for _, k := range []struct {
		at        string
		keep, min time.Duration
	}{{"five_minutes", c.Rollups.FiveMinutes, c.Retention}, {"hourly", c.Rollups.Hourly, c.Rollups.FiveMinutes}, {"daily", c.Rollups.Daily, c.Rollups.Hourly}} {
		if k.keep < k.min || k.keep > maxRetention {
			doc.Problem("rollups."+k.at, "must be between what finer results are kept for (%v) and %v", k.min, maxRetention)
		}
	}
	if zone, err := time.LoadLocation(c.Zone); err != nil || c.Zone == "" {
		doc.Problem("zone", "%.60q is not a zone; for example Asia/Ho_Chi_Minh", c.Zone)
	} else if _, offset := time.Now().In(zone).Zone(); offset%3600 != 0 {
		doc.Problem("zone", "%s is not a whole number of hours from UTC", c.Zone)
	}
}

// LineProfiles reads the file of target profiles; none where the settings name no file.
func (c *Config) LineProfiles() ([]profiles.Profile, error) {
	if c.Reports.Profiles == "" {
		return nil, nil
	}
	return profiles.Read(c.Reports.Profiles)
}

// Location is Zone, ready for use. The config must have been validated.
func (c *Config) Location() *time.Location {
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return time.UTC
	}
	return zone
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
