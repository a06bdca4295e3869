package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"communewatch/probes/enroll"
)

// Errors of Identify; compare with errors.Is. Their texts are for whoever looks after the agent.
var (
	ErrUntrusted    = errors.New("the certificate is not one of this fleet's agents")
	ErrForeignFleet = errors.New("the certificate is one of another fleet")
	ErrExpired      = errors.New("the certificate has expired")
)

// Expired is the ErrExpired of a certificate that is all right otherwise.
type Expired struct{ Ago time.Duration }

func (e *Expired) Error() string {
	return fmt.Sprintf("%v, %v ago", ErrExpired, e.Ago.Round(time.Minute))
}

// Is makes an Expired an ErrExpired.
func (e *Expired) Is(target error) bool { return target == ErrExpired }

// Identify says whose a certificate is that a client has shown, and proved to have the key of. With an error that is
// ErrExpired the name is given too.
func (a *Authority) Identify(cert *x509.Certificate, now time.Time) (enroll.Name, error) {
	v := a.view.Load()
	name, err := enroll.NameOf(cert)
	if err != nil {
		return enroll.Name{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	foreign := name.Fleet != v.fleet.String()
	i := slices.IndexFunc(v.entries, func(e entry) bool {
		return bytes.Equal(cert.RawIssuer, e.cert.RawSubject) && cert.CheckSignatureFrom(e.cert) == nil
	})
	switch {
	case foreign:
		return enroll.Name{}, fmt.Errorf("%w (%.8s; this one is %.8s)", ErrForeignFleet, name.Fleet, v.fleet)
	case i < 0:
		return enroll.Name{}, fmt.Errorf("%w: no authority that is trusted has signed it; enrol the agent anew if its authority was retired", ErrUntrusted)
	case cert.IsCA || !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return enroll.Name{}, fmt.Errorf("%w: it is for another use", ErrUntrusted)
	// One that begins later was made while this machine's clock was ahead. It is ours all the same, and whether its agent may
	// report is not for the clock to say.
	case now.After(cert.NotAfter):
		return name, &Expired{now.Sub(cert.NotAfter)}
	}
	return name, nil
}

// Sign makes an agent's certificate for the key of a request whose signature was checked (enroll.ParseCSR). Nothing else
// of the request is looked at: who the agent is, the caller knows better.
func (a *Authority) Sign(csr *x509.CertificateRequest, name enroll.Name, now time.Time) (*x509.Certificate, error) {
	v := a.view.Load()
	if name.Fleet == "" {
		name.Fleet = v.fleet.String()
	}
	if err := name.Validate(); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if name.Fleet != v.fleet.String() {
		return nil, fmt.Errorf("authority: fleet %s is not this one, %s", name.Fleet, v.fleet)
	}
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	return newAgent(csr.PublicKey, name, v.find(StandingCurrent), now)
}

// checkKey takes the kinds of keys that agents make.
func checkKey(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	return errors.New("authority: the key is of a kind that is not taken; use ECDSA P-256")
}

// SerialOf is a certificate's number as the fleet is told it: in hexadecimal digits.
func SerialOf(cert *x509.Certificate) string { return cert.SerialNumber.Text(16) }

// KeyOf tells a certificate's key: the SHA-256 of its SubjectPublicKeyInfo.
func KeyOf(cert *x509.Certificate) [32]byte { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }
