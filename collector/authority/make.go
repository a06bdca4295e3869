package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"

	"communewatch/probes/enroll"
)

// How long certificates last. Each begins early before it is made, since clocks of offices are wrong.
const (
	day            = 24 * time.Hour
	authorityLife  = 20 * 365 * day
	serverLife     = 365 * day
	agentLife      = 90 * day
	early          = day
	serialBits     = 127 // RFC 5280 allows 20 bytes, positive
	renewNumerator = 2   // a certificate is renewed after 2/3 of its life
	renewDivisor   = 3
)

// renewAt is when a certificate that was made for so long is to be replaced.
func renewAt(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / renewDivisor * renewNumerator)
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the system's random numbers never fail
	}
	return key
}

func newSerial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		panic(err) // as above
	}
	return n.Add(n, big.NewInt(1))
}

// newAuthority makes an authority's key and certificate.
func newAuthority(now time.Time) (*x509.Certificate, crypto.Signer, error) {
	key := newKey()
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	pin := enroll.PinOf(&x509.Certificate{RawSubjectPublicKeyInfo: public})
	t := &x509.Certificate{
		SerialNumber: newSerial(),
		// Authorities of one fleet have different names, so that those who look by name find the right one.
		Subject:               pkix.Name{CommonName: "communewatch authority " + pin.String()[:8]},
		NotBefore:             now.Add(-early),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	cert, err := sign(t, t, key.Public(), key)
	return cert, key, err
}

// newServer makes the collector's certificate for names, which are host names and addresses.
func newServer(names []string, by *entry, now time.Time) (*x509.Certificate, crypto.Signer, error) {
	key := newKey()
	t := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "communewatch collector"},
		NotBefore: now.Add(-early), NotAfter: sooner(now.Add(serverLife), by.cert.NotAfter),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	cert, err := sign(t, by.cert, key.Public(), by.key)
	return cert, key, err
}

// newAgent makes an agent's certificate.
func newAgent(public crypto.PublicKey, name enroll.Name, by *entry, now time.Time) (*x509.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "communewatch agent"}, // who it is, the URI says
		NotBefore: now.Add(-early), NotAfter: sooner(now.Add(agentLife), by.cert.NotAfter),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	t.URIs = append(t.URIs, name.URI())
	return sign(t, by.cert, public, by.key)
}

func sign(t, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("authority: sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
