package fingerprint

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"communewatch/probes/fingerprint/hello"
)

// secure asks for the TLS versions of a port and, when it speaks TLS, goes on with the conversation.
func (l *look) secure(ctx context.Context, port uint16, then func() error) error {
	spoken := false
	for _, v := range hello.Versions() {
		conn, err := l.open(ctx, "tcp", port)
		if err != nil {
			if !spoken {
				return err
			}
			continue // it took offence at the one before
		}
		h, err := hello.Say(conn, v.Number)
		conn.Close()
		if errors.Is(err, hello.ErrNotTLS) && !spoken {
			return err
		}
		if err != nil {
			spoken = spoken || errors.As(err, new(hello.Alert))
			continue
		}
		spoken = true
		if h.Version != v.Number {
			continue // it wants an older one, which has its own turn
		}
		l.offers(v.Name, fmt.Sprintf("tls hello, port %d", port))
		if h.Certificate != nil {
			l.certificate(h.Certificate, port)
		}
	}
	if !spoken {
		return hello.ErrNotTLS
	}
	return then()
}

func (l *look) certificate(der []byte, port uint16) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return // devices make odd ones
	}
	l.heard(TLSSubject, clean([]byte(cert.Subject.String())), fmt.Sprintf("tls certificate, port %d", port))
}
