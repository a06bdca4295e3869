package connect

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWordsOfACertificateAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("", 7*3600))
	many := &x509.Certificate{}
	for i := range 200 {
		many.DNSNames = append(many.DNSNames, fmt.Sprintf("h%d.test", i))
	}
	authority := &x509.Certificate{IsCA: true, NotAfter: now.Add(-time.Minute), Subject: pkix.Name{CommonName: "Root of\nall " + strings.Repeat("x", 500)}}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{x509.HostnameError{Certificate: many, Host: "other.test"}, "made for h0.test, h1.test, h2.test, h3.test, h4.test and 195 more, not for other.test"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "other.test"}, "made for no host, not for other.test"},
		{x509.CertificateInvalidError{Cert: authority, Reason: x509.Expired}, `expired on 2026-02-28 (the certificate of its authority, "Root of\nall ` + strings.Repeat("x", 68) + `...")`},
		{x509.UnknownAuthorityError{Cert: &x509.Certificate{Issuer: pkix.Name{CommonName: "Province CA"}}}, `signed by an unknown authority, "Province CA"`},
		{x509.CertificateInvalidError{Reason: x509.TooManyIntermediates}, "x509: too many intermediates for path length constraint"},
	} {
		if got := certTrouble(tc.err, &x509.Certificate{Raw: []byte{1}}, now); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
