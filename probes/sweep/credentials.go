package sweep

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Credentials is how devices are asked over SNMP, with the keys of an snmp check: the community of versions 1 and 2c, or
// the user of version 3. Each host that is there is sent them, so they ought to be good for reading only, and for this
// network only.
type Credentials struct {
	Version       string        `yaml:"version"`        // 1, 2c, 3, or auto (also when empty): 3 with a user, else 2c and where that is not answered 1
	Community     string        `yaml:"community"`      // a secret
	CommunityFile string        `yaml:"community_file"` // or a file that holds it
	V3            User          `yaml:"v3"`
	Port          uint16        `yaml:"port"`    // 0: 161
	Timeout       time.Duration `yaml:"timeout"` // for one answer; 0: 2s
	Retries       int           `yaml:"retries"` // times that a question is sent again
}

// User is a user of SNMPv3. Without a key there is no authentication, or no encryption.
type User struct {
	Name        string `yaml:"user"`
	Auth        string `yaml:"auth"`     // protocol; "": sha256
	AuthKey     string `yaml:"auth_key"` // a secret
	AuthKeyFile string `yaml:"auth_key_file"`
	Priv        string `yaml:"priv"`     // protocol; "": aes
	PrivKey     string `yaml:"priv_key"` // a secret
	PrivKeyFile string `yaml:"priv_key_file"`
	Context     string `yaml:"context"`
}

// String hides the secrets wherever credentials are printed.
func (c Credentials) String() string { return "(credentials)" }

// GoString hides them from %#v.
func (c Credentials) GoString() string { return "(credentials)" }

// maxSecret bounds a secret, in bytes.
const maxSecret = 512

// Resolve returns the credentials with their secrets read from the files and the defaults filled in. The error names
// the key that is wrong.
func (c Credentials) Resolve() (Credentials, error) {
	var bad error
	c.check(func(at, format string, args ...any) {
		if bad == nil {
			bad = fmt.Errorf(at+": "+format, args...)
		}
	}, true)
	return c, bad
}

// Validate reports what is wrong.
func (c Credentials) Validate(problem func(at, format string, args ...any)) { c.check(problem, false) }

func (c *Credentials) check(problem func(at, format string, args ...any), fill bool) {
	secret := func(key string, value *string, file string) {
		switch {
		case *value != "" && file != "":
			problem(key+"_file", "give %s or %s_file, not both", key, key)
		case file != "":
			data, err := os.ReadFile(file)
			if err != nil {
				problem(key+"_file", "%v", err)
				return
			}
			if *value = strings.TrimSpace(string(data)); *value == "" {
				problem(key+"_file", "%s is empty", file)
			}
		}
		if len(*value) > maxSecret {
			problem(key, "is longer than %d bytes", maxSecret)
		}
	}
	held := *c
	u := &held.V3
	secret("community", &held.Community, held.CommunityFile)
	secret("v3.auth_key", &u.AuthKey, u.AuthKeyFile)
	secret("v3.priv_key", &u.PrivKey, u.PrivKeyFile)
	if !slices.Contains([]string{"", "auto", "1", "2c", "3"}, held.Version) {
		problem("version", "%.20q is not one of auto, 1, 2c, 3", held.Version)
	}
	if held.Version == "auto" {
		held.Version = ""
	}
	v3 := held.Version == "3" || held.Version == "" && u.Name != ""
	switch {
	case v3 && u.Name == "":
		problem("v3.user", "name the user of SNMP version 3")
	case !v3 && u.Name != "":
		problem("v3.user", "users are of version 3; leave the user or the version out")
	case !v3 && held.Community == "" && held.CommunityFile == "":
		problem("community", "give the community to ask with (or community_file), or a user of version 3; none is guessed")
	case u.PrivKey != "" && u.AuthKey == "" && u.AuthKeyFile == "":
		problem("v3.auth_key", "what is encrypted has to be authenticated too; give the authentication passphrase")
	}
	protocol := func(at string, value *string, usual string, known ...string) {
		if *value == "" {
			*value = usual
		}
		if !slices.Contains(known, *value) {
			problem(at, "%.20q is none of %s", *value, strings.Join(known, ", "))
		}
	}
	protocol("v3.auth", &u.Auth, "sha256", "sha256", "sha512", "sha384", "sha224", "sha1", "md5")
	protocol("v3.priv", &u.Priv, "aes", "aes", "aes256", "aes256c", "aes192", "aes192c", "des")
	if held.Timeout == 0 {
		held.Timeout = 2 * time.Second
	}
	if held.Timeout < 100*time.Millisecond || held.Timeout > 30*time.Second {
		problem("timeout", "must be between 100ms and 30s, for example 2s")
	}
	if held.Retries < 0 || held.Retries > 5 {
		problem("retries", "must be from 0 to 5")
	}
	if held.Port == 0 {
		held.Port = 161
	}
	if u.AuthKey == "" {
		u.Auth = ""
	}
	if u.PrivKey == "" {
		u.Priv = ""
	}
	if v3 {
		held.Version = "3"
	}
	if fill {
		*c = held
	}
}
