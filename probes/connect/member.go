package connect

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"communewatch/probes"
)

// Fleet says what an agent has for the server of a URL that is one of its own collectors; nil where it is anybody else's.
// A nil Fleet is that of an agent with no identity.
type Fleet func(u *url.URL) *Member

// Of is what the agent has for the server of a URL; nil for nothing.
func (f Fleet) Of(u *url.URL) *Member {
	if f == nil {
		return nil
	}
	return f(u)
}

// Member is what an agent has for its own collectors: the certificate that it shows there, and the authorities that it
// believes. It can be written as JSON, the key included, for the process of a call; printed it is "(member)".
type Member struct {
	Certificate []byte    `json:"certificate"` // DER
	Key         []byte    `json:"key"`         // PKCS #8
	Roots       [][]byte  `json:"roots"`       // DER
	Now         time.Time `json:"now"`         // by which certificates are judged: the machine's clock may be wrong
}

// String hides the key.
func (Member) String() string { return "(member)" }

// GoString hides the key from %#v.
func (Member) GoString() string { return "(member)" }

// Trust is whom a member believes, and how it shows who it is.
func (m *Member) Trust() (Trust, error) {
	leaf, err := x509.ParseCertificate(m.Certificate)
	if err != nil {
		return Trust{}, fmt.Errorf("the agent's certificate: %w", err)
	}
	any, err := x509.ParsePKCS8PrivateKey(m.Key)
	key, ok := any.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return Trust{}, errors.New("the agent's key can't be read") // the library's error may quote it
	}
	t := Trust{
		Roots: x509.NewCertPool(), Now: func() time.Time { return m.Now },
		Shown: &tls.Certificate{Certificate: [][]byte{m.Certificate}, PrivateKey: key, Leaf: leaf},
	}
	for _, der := range m.Roots {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return Trust{}, fmt.Errorf("an authority of the agent's: %w", err)
		}
		t.Roots.AddCert(root)
	}
	return t, nil
}

// Origin is what of a URL tells one server from another: host and port, for https alone. "" for all else.
func Origin(u *url.URL) string {
	if u == nil || u.Scheme != "https" || u.Hostname() == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// TrustFor is the trust of a check in the server of a URL. What the check's own options say of certificates (own) comes
// first; where they say nothing, the agent is known to its own collectors and knows them.
func TrustFor(u *url.URL, own Trust, fleet Fleet) (Trust, error) {
	if own.Roots != nil || own.SkipVerify {
		return own, nil
	}
	m := fleet.Of(u)
	if m == nil {
		return own, nil
	}
	t, err := m.Trust()
	if err != nil {
		return own, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	return t, nil
}
