// Package collectors is what settings say of a collector's addresses: where they are, by which path they are reached, and
// how the agent proves there who it is, by the certificate of its identity or by a token.
package collectors

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"communewatch/agent/identity"
	"communewatch/agent/ship"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"
)

// Most is how many addresses there may be.
const Most = 8

const maxToken = 512 // bytes

// Collector is one address of the collector. Validate makes it ready for Way.
type Collector struct {
	URL            string      `yaml:"url"`
	Identity       bool        `yaml:"identity"` // exactly one of the four: by the certificate of the agent's identity
	Token          string      `yaml:"token"`
	TokenFile      string      `yaml:"token_file"` // relative to the settings file
	TokenEnv       string      `yaml:"token_env"`
	Path           probes.Path `yaml:"path"`    // which way to send; empty: whichever the system takes
	CAFile         string      `yaml:"ca_file"` // PEM file of the authorities to trust instead of the system's
	AllowPlaintext bool        `yaml:"allow_plaintext"`

	secret string
	tls    *tls.Config
}

// Problem takes a mistake at a key, or at "" for the whole.
type Problem func(key, format string, args ...any)

// Validate checks an address, all but its path, and reads the files that it names; dir is what they are relative to.
func (c *Collector) Validate(dir string, problem Problem) {
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		problem("url", "is missing; for example https://collector.example.gov.vn:8443")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		problem("url", "%q is not a URL such as https://collector.example.gov.vn:8443", c.URL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		problem("url", "must not hold a user, a query or a fragment; the token goes into its own key")
	case u.Scheme == "http" && c.Identity:
		problem("url", "must be https: by http nobody can prove an identity")
	case u.Scheme == "http" && !c.AllowPlaintext && !isLoopback(u.Hostname()):
		problem("url", "sends the token unprotected; use https, or say allow_plaintext: true if that is meant")
	}
	c.token(dir, problem)
	c.authorities(dir, problem)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// file resolves a file name relative to the settings file.
func file(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// authorities reads the file of those to be trusted.
func (c *Collector) authorities(dir string, problem Problem) {
	if c.CAFile == "" {
		return
	}
	if c.Identity {
		problem("ca_file", "leave it out: the agent's identity brings the authorities that it believes")
		return
	}
	pem, err := os.ReadFile(file(dir, c.CAFile))
	if err != nil {
		problem("ca_file", "%v", err)
		return
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		problem("ca_file", "%s holds no PEM certificate", c.CAFile)
		return
	}
	c.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// token finds the token, wherever the settings say it is.
func (c *Collector) token(dir string, problem Problem) {
	given := 0
	for _, is := range []bool{c.Identity, c.Token != "", c.TokenFile != "", c.TokenEnv != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		problem("", "give exactly one of identity, token, token_file and token_env (found %d); `communewatch-collector token create` makes a token", given)
		return
	}
	key := "token"
	switch {
	case c.Identity:
		return
	case c.Token != "":
		c.secret = c.Token
	case c.TokenEnv != "":
		key, c.secret = "token_env", os.Getenv(c.TokenEnv)
		if c.secret == "" {
			problem(key, "the environment has no variable %q, or it is empty", c.TokenEnv)
			return
		}
	default:
		key = "token_file"
		data, err := os.ReadFile(file(dir, c.TokenFile))
		if err != nil {
			problem(key, "%v", err)
			return
		}
		c.secret = strings.TrimSpace(string(data))
	}
	if c.secret == "" || len(c.secret) > maxToken || strings.ContainsFunc(c.secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		problem(key, "is not a token: want 1 to %d printable ASCII characters without spaces", maxToken)
	}
}

// Fleet is what checks have for collectors that are reached by the identity. A server counts as a collector by host and
// port; the identity is shown to no other.
func Fleet(list []Collector, id *identity.Identity) connect.Fleet {
	origins := map[string]bool{}
	for _, c := range list {
		if u, err := url.Parse(c.URL); err == nil && c.Identity {
			origins[connect.Origin(u)] = true
		}
	}
	if id == nil || len(origins) == 0 {
		return nil
	}
	return func(u *url.URL) *connect.Member {
		if at := connect.Origin(u); at == "" || !origins[at] {
			return nil
		}
		return id.Member()
	}
}

// Way is how requests get to the address, over a binding. The identity is that of an agent which has one.
func (c *Collector) Way(b bind.Binding, id *identity.Identity) ship.Collector {
	way := ship.Collector{URL: c.URL, Token: c.secret, Binding: b, TLS: c.tls}
	if c.Identity {
		way.TLS, way.Renewed = id.TLS(way.Host()), id.Renewed
	}
	return way
}
