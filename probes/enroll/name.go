package enroll

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"communewatch/probes"
)

// Name is who an agent is. It stands in its certificate as the one URI of the subject's alternative names:
// communewatch://fleet/site/agent.
type Name struct {
	Fleet string // 32 hexadecimal digits: the pin of the fleet's first authority, so that fleets don't mix
	Site  string
	Agent string
}

const nameScheme = "communewatch"

// ErrNotOurs says that a certificate is not one of a communewatch agent.
var ErrNotOurs = errors.New("the certificate is not one of a communewatch agent")

// URI is the name as it stands in certificates.
func (n Name) URI() *url.URL {
	return &url.URL{Scheme: nameScheme, Host: n.Fleet, Path: "/" + n.Site + "/" + n.Agent}
}

// Validate checks the name's parts.
func (n Name) Validate() error {
	if len(n.Fleet) != 2*PinBytes || strings.Trim(n.Fleet, "0123456789abcdef") != "" {
		return fmt.Errorf("fleet %.40q: want %d hexadecimal digits", n.Fleet, 2*PinBytes)
	}
	if err := probes.CheckName(n.Site); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	if err := probes.CheckName(n.Agent); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// NameOf reads the name from a certificate. It does not verify the certificate.
func NameOf(cert *x509.Certificate) (Name, error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != nameScheme {
		return Name{}, ErrNotOurs
	}
	u := cert.URIs[0]
	site, agent, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	n := Name{Fleet: u.Host, Site: site, Agent: agent}
	if !ok || n.URI().String() != u.String() {
		return Name{}, ErrNotOurs
	}
	if err := n.Validate(); err != nil {
		return Name{}, fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return n, nil
}
