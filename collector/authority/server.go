package authority

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"communewatch/probes/enroll"
)

// Files are a certificate of the collector from elsewhere, such as the province's authority. The zero Files is none.
type Files struct {
	Cert string // PEM, with what stands between it and its authority
	Key  string
	CA   string // PEM of its authority, whom agents believe; without Cert: of one that a later certificate will come from
}

// Read reads the files and checks that they belong together.
func (f Files) Read() (*tls.Certificate, []*x509.Certificate, error) {
	var outside []*x509.Certificate
	if f.CA != "" {
		data, err := readFile(f.CA)
		if err != nil {
			return nil, nil, err
		}
		if outside, err = parseCertificates(data); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.CA, err)
		}
		for _, c := range outside {
			if !c.BasicConstraintsValid || !c.IsCA {
				return nil, nil, fmt.Errorf("%s: the certificate of %q is no authority's; want the one that signed cert_file", f.CA, c.Subject.CommonName)
			}
		}
		if len(outside) > maxOutside {
			return nil, nil, fmt.Errorf("%s: it has %d authorities; agents take at most %d", f.CA, len(outside), maxOutside)
		}
	}
	if f.Cert == "" {
		return nil, outside, nil
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, nil, err
	}
	if len(outside) > 0 {
		if err := completes(&cert, outside); err != nil {
			return nil, nil, fmt.Errorf("%s is not signed by an authority of %s: %w", f.Cert, f.CA, err)
		}
	}
	return &cert, outside, nil
}

// maxOutside leaves room for our own authorities among those that agents take.
const maxOutside = 4

// completes adds the authorities that stand behind a certificate to what is shown with it, so that an agent that knows
// no more than a pin finds who has it. Times are not looked at: a certificate that has ended is shown all the same.
func completes(cert *tls.Certificate, authorities []*x509.Certificate) error {
	chain := make([]*x509.Certificate, 0, len(cert.Certificate))
	between, roots := x509.NewCertPool(), x509.NewCertPool()
	for i, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		chain = append(chain, c)
		if i > 0 {
			between.AddCert(c)
		}
	}
	for _, c := range authorities {
		roots.AddCert(c)
	}
	found, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: within(chain[0]), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return err
	}
	cert.Leaf = chain[0]
	cert.Certificate = nil
	for _, c := range found[0] {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return nil
}

// within is a time at which a certificate was good.
func within(c *x509.Certificate) time.Time { return c.NotAfter.Add(-time.Second) }

// loadOutside reads the certificate from elsewhere, if there is one.
func (a *Authority) loadOutside(v *view) error {
	cert, outside, err := a.o.Files.Read()
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	v.outside = outside
	if cert == nil {
		return nil
	}
	last, err := x509.ParseCertificate(cert.Certificate[len(cert.Certificate)-1])
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	v.server = cert
	if last.BasicConstraintsValid && last.IsCA {
		v.pin = enroll.PinOf(last)
		if len(outside) == 0 { // the chain is whole without a ca_file
			v.outside = []*x509.Certificate{last}
		}
	}
	return nil
}

// ownServer reads the collector's certificate of our own making, or makes it. The caller holds a.mu.
func (a *Authority) ownServer(v *view) error {
	current := v.find(StandingCurrent)
	file := a.dir.path(serverFile)
	cert, err := readServer(file)
	if err == nil && a.fits(cert, current) {
		v.server = withIssuer(cert, current)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.o.Log.Warn("authority: the collector's certificate is damaged and is made anew", "file", file, "error", err)
	}
	now := a.o.Now()
	leaf, key, err := newServer(a.o.Names, current, now)
	if err != nil {
		return err
	}
	text := append([]byte(encode(leaf)), encodeKey(key)...)
	if err := a.dir.write(file, text); err != nil {
		// A full disk must keep no agent out. Another one is made at the next start.
		a.o.Log.Warn("authority: can't write the collector's certificate; it is good until the collector stops", "file", file, "error", err)
	}
	a.o.Log.Info("made a certificate for the collector", "names", a.o.Names, "expires", leaf.NotAfter, "authority", current.pin.String())
	v.server = withIssuer(&tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, current)
	return nil
}

func withIssuer(cert *tls.Certificate, by *entry) *tls.Certificate {
	cert.Certificate = [][]byte{cert.Leaf.Raw, by.cert.Raw}
	return cert
}

// readServer reads server.pem.
func readServer(file string) (*tls.Certificate, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return parseServer(data)
}

func parseServer(data []byte) (*tls.Certificate, error) {
	list, err := parseCertificates(data)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, err
	}
	if !belongs(key, list[0]) {
		return nil, errors.New("key and certificate don't belong together")
	}
	return &tls.Certificate{Certificate: [][]byte{list[0].Raw}, PrivateKey: key, Leaf: list[0]}, nil
}

// fits reports whether the collector's certificate can stay: it is of the current authority, has all names, and is not
// due.
func (a *Authority) fits(cert *tls.Certificate, by *entry) bool {
	now := a.o.Now()
	if cert.Leaf.CheckSignatureFrom(by.cert) != nil || now.Before(cert.Leaf.NotBefore) || !now.Before(renewAt(cert.Leaf)) {
		return false
	}
	return !slices.ContainsFunc(a.o.Names, func(n string) bool { return cert.Leaf.VerifyHostname(n) != nil })
}

// due reports whether the collector's certificate of our own making is to be replaced.
func (a *Authority) due(v *view) bool {
	return v.server != nil && a.o.Files.Cert == "" && !a.fits(v.server, v.find(StandingCurrent))
}

// Export is PEM of the collector's certificate without its key, as it is shown to who connects.
func (a *Authority) Export() []byte {
	var b bytes.Buffer
	if v := a.view.Load(); v.server != nil {
		for _, der := range v.server.Certificate {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a Buffer takes everything
		}
	}
	return b.Bytes()
}
