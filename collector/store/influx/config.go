package influx

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"time"

	"communewatch/collector/rollup"
	"communewatch/probes"
)

// Config says where the database is. All of it is InfluxDB 1.8, 2.x or 3.x, whichever answers at URL.
type Config struct {
	URL       string        `yaml:"url"`        // http or https
	Database  string        `yaml:"database"`   // of rows; those of rollups are called the same with _5m, _1h, _1d, _1mo behind
	Org       string        `yaml:"org"`        // 2.x alone
	TokenFile string        `yaml:"token_file"` // one line: a token (2.x, 3.x) or user:password (1.8); empty: without
	CAFile    string        `yaml:"ca_file"`    // who signed the server's certificate; empty: the system's
	Timeout   time.Duration `yaml:"timeout"`    // of one request
	BatchRows int           `yaml:"batch_rows"` // rows that are written in one request at most

	TokenToCome bool `yaml:"-"` // TokenFile need not be there yet: what reads the settings is about to make it
}

// DefaultConfig returns the settings of a file that says nothing.
func DefaultConfig() Config {
	return Config{URL: "http://127.0.0.1:8086", Database: "communewatch", Timeout: 20 * time.Second, BatchRows: 10_000}
}

// Validate calls problem for each mistake, with the key below influx.
func (c *Config) Validate(problem func(at, format string, args ...any)) {
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		problem("url", "%.200q is not an address such as http://127.0.0.1:8086", c.URL)
	}
	if err := probes.CheckName(c.Database); err != nil {
		problem("database", "%v", err)
	}
	if len(c.Org) > 200 {
		problem("org", "is longer than 200 bytes")
	}
	for at, file := range map[string]string{"token_file": c.TokenFile, "ca_file": c.CAFile} {
		if file == "" {
			continue
		}
		_, err := os.Stat(file)
		if err != nil && at == "token_file" && errors.Is(err, fs.ErrNotExist) {
			if !c.TokenToCome {
				problem(at, "%v; communewatch-collector influx setup makes it", err)
			}
		} else if err != nil {
			problem(at, "%v", err)
		}
	}
	if c.Timeout < time.Second || c.Timeout > 5*time.Minute {
		problem("timeout", "must be between 1s and 5m")
	}
	if c.BatchRows < 100 || c.BatchRows > 100_000 {
		problem("batch_rows", "must be from 100 to 100000")
	}
}

// DatabaseOf is the name of the database (1.8, 3.x) or bucket (2.x) that a level's windows are in; of rollup.Raw, that
// of rows.
func (c *Config) DatabaseOf(l rollup.Level) string {
	if l == rollup.Raw {
		return c.Database
	}
	return c.Database + "_" + l.String()
}
