package snmp

import (
	"fmt"
	"net"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/snmp/session"
)

// Secret is a text that is not shown: printed, logged or written out it is "(secret)".
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Options of an snmp check. The target's address is host:port, or a host where the port is 161.
type Options struct {
	Version       string        `yaml:"version"`        // 1, 2c, 3, or auto: 3 with a user, else 2c and where that is not answered 1
	Community     Secret        `yaml:"community"`      // of versions 1 and 2c
	CommunityFile string        `yaml:"community_file"` // or a file that holds it
	V3            User          `yaml:"v3"`
	Timeout       time.Duration `yaml:"timeout"`  // for one answer
	Retries       int           `yaml:"retries"`  // times a question is sent again
	Deadline      time.Duration `yaml:"deadline"` // for the whole run; what was not read until then is missing
	Interfaces    Interfaces    `yaml:"interfaces"`
	MaxRows       int           `yaml:"max_rows"`       // of one table
	IdentifyEvery time.Duration `yaml:"identify_every"` // how often equipment rows are written though nothing changed; 0: none at all
	Profiles      string        `yaml:"profiles"`       // folder of identification profiles that go before the built-in ones
}

// User is a user of SNMPv3. Without a key there is no authentication, or no encryption.
type User struct {
	Name        string `yaml:"user"`
	Auth        string `yaml:"auth"` // protocol
	AuthKey     Secret `yaml:"auth_key"`
	AuthKeyFile string `yaml:"auth_key_file"`
	Priv        string `yaml:"priv"` // protocol
	PrivKey     Secret `yaml:"priv_key"`
	PrivKeyFile string `yaml:"priv_key_file"`
	Context     string `yaml:"context"`
}

// Interfaces says which interfaces get rows. Patterns are those of file names (* and ?), on the tag "interface".
type Interfaces struct {
	UpOnly bool     `yaml:"up_only"` // only those in operation
	Only   []string `yaml:"only"`    // empty: all
	Except []string `yaml:"except"`
}

// Bounds of the options.
const (
	maxDeadline = 10 * time.Minute
	maxMaxRows  = 10_000
	maxPatterns = 100
	maxSecret   = 4 << 10 // bytes of a file with one
	minKey      = 8       // characters of a passphrase (RFC 3414, 11.2)
)

// DefaultOptions returns the options of a check that says nothing. It is not complete: a community or a user is needed.
func DefaultOptions() Options {
	return Options{
		Version: "auto", V3: User{Auth: "sha256", Priv: "aes"},
		Timeout: 2 * time.Second, Retries: 1,
		Deadline: 45 * time.Second, // within the interval below
		MaxRows:  1000, IdentifyEvery: 6 * time.Hour,
	}
}

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration { return o.Deadline }

// Interval is that of a check that says none. It is the longest at which counters of 32 bits can be told from one
// another on a line of 100 Mbit/s with room to spare; devices have better things to do than to answer more often.
func (o Options) Interval() time.Duration { return time.Minute }

// Validate reports what is wrong with the options or with the target's address.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if _, err := Address(t.Address); err != nil {
		problem("address", "%v", err)
	}
	if !slices.Contains([]string{"auto", "1", "2c", "3"}, o.Version) {
		problem("version", "%.20q is not one of auto, 1, 2c, 3", o.Version)
	}
	if o.Timeout < 100*time.Millisecond || o.Timeout > 30*time.Second {
		problem("timeout", "must be between 100ms and 30s, for example 2s")
	}
	if o.Retries < 0 || o.Retries > 5 {
		problem("retries", "must be from 0 to 5")
	}
	if o.Deadline < time.Second || o.Deadline > maxDeadline {
		problem("deadline", "must be between 1s and 10m, for example 45s")
	} else if least := time.Duration(o.Retries+1) * o.Timeout; o.Deadline < least {
		problem("deadline", "is shorter than the %s that one silent question takes; raise it, or lower timeout or retries", least)
	}
	if o.MaxRows < 1 || o.MaxRows > maxMaxRows {
		problem("max_rows", "must be from 1 to %d", maxMaxRows)
	}
	if o.IdentifyEvery != 0 && (o.IdentifyEvery < time.Minute || o.IdentifyEvery > 7*24*time.Hour) {
		problem("identify_every", "must be between 1m and 168h, for example 6h, or 0 for never")
	}
	if o.Profiles != "" {
		if _, err := newEngine(o.Profiles); err != nil {
			problem("profiles", "%v", err)
		}
	}
	for at, patterns := range map[string][]string{"interfaces.only": o.Interfaces.Only, "interfaces.except": o.Interfaces.Except} {
		if len(patterns) > maxPatterns {
			problem(at, "at most %d patterns", maxPatterns)
		}
		for i, p := range patterns {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				problem(fmt.Sprintf("%s[%d]", at, i), "%.80q is not a pattern such as gi1-0-*", p)
			}
		}
	}
	o.credentials(problem)
}

// credentials checks who asks. Mistakes are told without the secrets themselves.
func (o Options) credentials(problem func(at, format string, args ...any)) {
	if !o.v3() {
		switch {
		case o.Community != "" && o.CommunityFile != "":
			problem("community_file", "give the community either here or in community, not both")
		case o.Community == "" && o.CommunityFile == "":
			problem("community", "is missing; give community, community_file, or v3 with a user")
		}
		if _, err := secret(o.Community, o.CommunityFile); err != nil {
			problem("community_file", "%v", err)
		}
		return
	}
	u := o.V3
	if o.Community != "" || o.CommunityFile != "" {
		problem("community", "version 3 has users, not communities; remove one of the two")
	}
	if u.Name == "" || len(u.Name) > 32 {
		problem("v3.user", "name the user, in 1 to 32 characters")
	}
	if !slices.Contains(session.AuthProtocols(), u.Auth) {
		problem("v3.auth", "%.20q is not one of %s", u.Auth, strings.Join(session.AuthProtocols(), ", "))
	}
	if !slices.Contains(session.PrivProtocols(), u.Priv) {
		problem("v3.priv", "%.20q is not one of %s", u.Priv, strings.Join(session.PrivProtocols(), ", "))
	}
	key := func(at string, given Secret, file string) string {
		if given != "" && file != "" {
			problem(at+"_file", "give the passphrase either here or in %s, not both", at)
		}
		s, err := secret(given, file)
		if err != nil {
			problem(at+"_file", "%v", err)
		} else if s != "" && len(s) < minKey {
			problem(at, "a passphrase has at least %d characters", minKey)
		}
		return s
	}
	auth, priv := key("v3.auth_key", u.AuthKey, u.AuthKeyFile), key("v3.priv_key", u.PrivKey, u.PrivKeyFile)
	if priv != "" && auth == "" && u.AuthKeyFile == "" {
		problem("v3.auth_key", "is missing; what is encrypted has to be authenticated too")
	}
}

// v3 reports whether version 3 is spoken.
func (o Options) v3() bool { return o.Version == "3" || o.Version == "auto" && o.V3.Name != "" }

// secret is the text given, or that in a file without the white space around it.
func secret(given Secret, file string) (string, error) {
	if file == "" {
		return string(given), nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Size() > maxSecret {
		return "", fmt.Errorf("%s has more than %d bytes; it is to hold the secret and nothing else", file, maxSecret)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(data))
	if s == "" {
		return "", fmt.Errorf("%s is empty; it is to hold the secret", file)
	}
	return s, nil
}

// Address completes a target's address with SNMP's port.
func Address(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "161"
		if strings.Count(host, ":") == 1 { // neither host:port nor an IPv6 address
			host = ""
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || strings.ContainsAny(host, " /") {
		return "", fmt.Errorf("address %.80q: want a host, with :port if it is not 161, for example 10.1.2.3", s)
	}
	return net.JoinHostPort(host, port), nil
}

// asking turns the options into those of a session. Files are read anew for each run, so that a changed secret needs
// no restart.
func (o Options) asking() (session.Options, error) {
	s := session.Options{Timeout: o.Timeout, Retries: o.Retries}
	bad := func(err error) (session.Options, error) {
		return session.Options{}, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	var err error
	if !o.v3() {
		if s.Version = session.Version(o.Version); o.Version == "auto" {
			s.Version = session.Auto
		}
		if s.Community, err = secret(o.Community, o.CommunityFile); err != nil {
			return bad(err)
		}
		return s, nil
	}
	s.Version = session.V3
	s.User = session.User{Name: o.V3.Name, Context: o.V3.Context}
	if s.User.AuthKey, err = secret(o.V3.AuthKey, o.V3.AuthKeyFile); err != nil {
		return bad(err)
	}
	if s.User.PrivKey, err = secret(o.V3.PrivKey, o.V3.PrivKeyFile); err != nil {
		return bad(err)
	}
	if s.User.AuthKey != "" {
		s.User.Auth = o.V3.Auth
	}
	if s.User.PrivKey != "" {
		s.User.Priv = o.V3.Priv
	}
	return s, nil
}

// wanted is the filter of interfaces; nil where all are wanted.
func (i Interfaces) wanted() func(tag string) bool {
	if len(i.Only)+len(i.Except) == 0 {
		return nil
	}
	matches := func(patterns []string, tag string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, tag); return ok })
	}
	return func(tag string) bool {
		return (len(i.Only) == 0 || matches(i.Only, tag)) && !matches(i.Except, tag)
	}
}
