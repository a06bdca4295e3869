package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"communewatch/probes/connect"
	"communewatch/probes/enroll"
)

// Why a server is not believed to be the collector; compare with errors.Is.
var (
	ErrAuthority = errors.New("it is not of an authority that this agent believes: this is not its collector, or somebody stands between")
	ErrPin       = errors.New("the authority that the join code names does not stand behind it: this is not the collector that gave the code, or somebody stands between")
	ErrTime      = errors.New("it is not valid now; look at the clocks of this machine and of the collector")
	ErrHost      = errors.New("it is for another host")
)

// TLS is how a connection to a host of the collector's is made.
func (i *Identity) TLS(host string) *tls.Config {
	return i.config(func(chain []*x509.Certificate) error {
		_, err := i.Root(chain, host)
		if errors.Is(err, ErrTime) {
			select {
			case i.doubt <- struct{}{}:
			default:
			}
		}
		return err
	})
}

// ClockTLS is TLS for a connection by which nothing is done but ask for the time: it believes certificates that end
// after the floor. Who hears a time by it must see to it that the certificate was valid then; see ToldBy.
func (i *Identity) ClockTLS(host string) *tls.Config {
	return i.config(func(chain []*x509.Certificate) error {
		i.mu.Lock()
		floor, roots := i.floor(), i.set.Roots
		i.mu.Unlock()
		_, err := verify(chain, host, roots, latest(floor, chain[0].NotBefore))
		return err
	})
}

// config shows the newest certificate and verifies the server's by verifier alone. There is no cache of sessions: a
// session that is resumed would show the certificate with which it began.
func (i *Identity) config(verifier func(chain []*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13, // before, certificates travel in the clear
		InsecureSkipVerify: true,             // the library would go by the machine's clock; VerifyConnection is no less strict
		VerifyConnection:   verifyWith(verifier),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			s := i.Set()
			return &tls.Certificate{Certificate: [][]byte{s.Certificate.Raw}, PrivateKey: s.Key, Leaf: s.Certificate}, nil
		},
	}
}

// Member is the identity as it is now, for checks of the collector itself.
func (i *Identity) Member() *connect.Member {
	i.mu.Lock()
	s, now := i.set, i.now()
	i.mu.Unlock()
	key, err := x509.MarshalPKCS8PrivateKey(s.Key)
	if err != nil {
		panic(err) // P-256 can be written
	}
	m := &connect.Member{Certificate: s.Certificate.Raw, Key: key, Now: now}
	for _, c := range s.Roots {
		m.Roots = append(m.Roots, c.Raw)
	}
	return m
}

func verifyWith(verifier func(chain []*x509.Certificate) error) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server shows no certificate")
		}
		if err := verifier(state.PeerCertificates); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
}

// PinnedTLS is for an agent that has nothing but a join code: the authority that the code names has to stand behind the
// server's certificate, which must be for the host. Time is not looked at.
func PinnedTLS(host string, pin enroll.Pin) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // there is nobody to believe yet but the pin
		VerifyConnection: verifyWith(func(chain []*x509.Certificate) error {
			_, err := PinnedRoot(chain, host, pin)
			return err
		}),
	}
}

// PinnedRoot is the authority with the pin that stands behind a chain of certificates.
func PinnedRoot(chain []*x509.Certificate, host string, pin enroll.Pin) (*x509.Certificate, error) {
	for _, c := range chain[1:] {
		if enroll.PinOf(c) == pin {
			return verify(chain, host, []*x509.Certificate{c}, latest(chain[0].NotBefore, c.NotBefore))
		}
	}
	return nil, fmt.Errorf("the server's certificate (of %q): %w", chain[0].Issuer.CommonName, ErrPin)
}

// Root is the authority that stands behind a chain of certificates which the server of a host showed, or why it is not
// the collector's.
func (i *Identity) Root(chain []*x509.Certificate, host string) (*x509.Certificate, error) {
	i.mu.Lock()
	now, roots := i.now(), i.set.Roots
	i.mu.Unlock()
	return verify(chain, host, roots, now)
}

// ToldBy checks a time that was told over a connection of ClockTLS.
func ToldBy(chain []*x509.Certificate, told time.Time) error {
	if told.Before(chain[0].NotBefore) || told.After(chain[0].NotAfter) {
		return fmt.Errorf("it is told to be %s, by a certificate that is valid from %s to %s",
			told.UTC().Format(time.DateTime), chain[0].NotBefore.UTC().Format(time.DateTime), chain[0].NotAfter.UTC().Format(time.DateTime))
	}
	return nil
}

// verify finds the one of roots that stands behind a chain of certificates at a time.
func verify(chain []*x509.Certificate, host string, roots []*x509.Certificate, at time.Time) (*x509.Certificate, error) {
	leaf := chain[0]
	o := x509.VerifyOptions{
		DNSName: host, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, // an agent's certificate makes no collector
	}
	for _, c := range roots {
		o.Roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	found, err := leaf.Verify(o)
	if err == nil {
		of := found[0]
		return of[len(of)-1], nil
	}
	var invalid x509.CertificateInvalidError
	var other x509.HostnameError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return nil, fmt.Errorf("the server's certificate is valid from %s to %s, and it seems to be %s: %w",
			leaf.NotBefore.UTC().Format(time.DateOnly), leaf.NotAfter.UTC().Format(time.DateOnly), at.UTC().Format(time.DateTime), ErrTime)
	case errors.As(err, &other):
		return nil, fmt.Errorf("the server's certificate: %w than %s; the collector's settings name its hosts (tls.names, agents_url)", ErrHost, host)
	}
	return nil, fmt.Errorf("the server's certificate (of %q): %w (%w)", leaf.Issuer.CommonName, ErrAuthority, err)
}
