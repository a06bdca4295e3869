package connect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"communewatch/probes"
)

// Bounds of what a certificate may put into the text of an error.
const (
	maxNames    = 5
	maxNameSize = 80
)

// Trust says which certificates of servers are accepted.
type Trust struct {
	Roots      *x509.CertPool // authorities; nil for the system's
	SkipVerify bool           // accept any certificate: for devices that made their own
	// Shown is the certificate to show to a server that asks for one, once it has been believed itself; nil for none.
	Shown *tls.Certificate
	Now   func() time.Time // by which certificates are judged; nil for the machine's clock
}

// NewTrust returns what a check's options say: the authorities of a PEM file, the system's for "", or none needed.
func NewTrust(caFile string, skipVerify bool) (Trust, error) {
	t := Trust{SkipVerify: skipVerify}
	if caFile == "" {
		return t, nil
	}
	var err error
	if t.Roots, err = LoadCA(caFile); err != nil {
		return t, probes.Errorf(probes.OutcomeBadConfig, "ca_file: %w", err)
	}
	return t, nil
}

// LoadCA reads the authorities in a PEM file.
func LoadCA(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

// Config returns the settings of a TLS client that talks to host, a name or an address. Before it judges the server's
// certificates it tells expires of the day on which the first of them does: an expired one is exactly what somebody
// wants to know about. A certificate that is not accepted ends the handshake with an error of OutcomeFailed.
func (t Trust) Config(host string, expires func(time.Time)) *tls.Config {
	c := &tls.Config{
		// A probe sends no secret and has to reach ten-year-old devices.
		MinVersion: tls.VersionTLS10,
		ServerName: host,
		// Verification is done below, after the expiry has been read.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			first := cs.PeerCertificates[0].NotAfter
			for _, c := range cs.PeerCertificates {
				if c.NotAfter.Before(first) {
					first = c.NotAfter
				}
			}
			expires(first)
			if t.SkipVerify {
				return nil
			}
			now := time.Now()
			if t.Now != nil {
				now = t.Now()
			}
			opts := x509.VerifyOptions{Roots: t.Roots, DNSName: cs.ServerName, Intermediates: x509.NewCertPool(), CurrentTime: now}
			if opts.DNSName == "" {
				opts.DNSName = host // no server name is sent for an address
			}
			for _, c := range cs.PeerCertificates[1:] {
				opts.Intermediates.AddCert(c)
			}
			if _, err := cs.PeerCertificates[0].Verify(opts); err != nil {
				return probes.Errorf(probes.OutcomeFailed, "certificate: %s", certTrouble(err, cs.PeerCertificates[0], now))
			}
			return nil
		},
	}
	if t.Shown != nil {
		c.MinVersion = tls.VersionTLS13 // before, certificates travel in the clear, and sooner than the server's is judged
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.Shown, nil }
	}
	return c
}

// certTrouble says in words why the server's certificate, leaf, was not accepted at now. The library's own words hold
// the time of day, so that each run would bring a new text, and at times a hundred names.
func certTrouble(err error, leaf *x509.Certificate, now time.Time) string {
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		c, whose := invalid.Cert, ""
		if !c.Equal(leaf) {
			whose = fmt.Sprintf(" (the certificate of its authority, %s)", name(c.Subject.CommonName))
		}
		if now.Before(c.NotBefore) {
			return "not valid before " + day(c.NotBefore) + whose
		}
		return "expired on " + day(c.NotAfter) + whose
	case errors.As(err, &host) && host.Certificate != nil:
		return fmt.Sprintf("made for %s, not for %s", names(host.Certificate), name(host.Host))
	case errors.As(err, &unknown):
		if unknown.Cert != nil && unknown.Cert.Issuer.CommonName != "" {
			return "signed by an unknown authority, " + name(unknown.Cert.Issuer.CommonName)
		}
		return "signed by an unknown authority"
	}
	return err.Error()
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// names lists whom a certificate is for.
func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no host"
	}
	more := ""
	if n := len(all) - maxNames; n > 0 {
		all, more = all[:maxNames], fmt.Sprintf(" and %d more", n)
	}
	for i := range all {
		all[i] = name(all[i])
	}
	return strings.Join(all, ", ") + more
}

// name makes text out of a certificate fit to be shown.
func name(s string) string {
	if s == "" {
		return "no name"
	}
	if len(s) > maxNameSize {
		s = s[:maxNameSize] + "..."
	}
	quoted := fmt.Sprintf("%q", s)
	if plain := quoted[1 : len(quoted)-1]; plain == s && !strings.Contains(s, " ") {
		return s
	}
	return quoted
}
