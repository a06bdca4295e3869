package http

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of what a certificate may put into the text of an error.
const (
	maxNames    = 5
	maxNameSize = 80
)

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
