package call

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/whip"
)

// ParseURL reads the address of a check. The error says what is wanted.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%.200q: want the URL of a service, such as https://10.1.2.3:8443/whip/echo", address)
	}
	return u, nil
}

// signalling chooses how the service is spoken to.
func (r *run) signalling() (whip.Signalling, string, error) {
	u, err := ParseURL(r.spec.Address)
	if err != nil {
		return nil, "", probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	client, err := r.client(u)
	if err != nil {
		return nil, "", err
	}
	if r.service == "" || r.service == Auto {
		r.service = Auto
		switch p := strings.TrimSuffix(u.Path, "/"); {
		case strings.HasSuffix(p, "/janus"):
			r.service = Janus
		case strings.HasSuffix(p, "/whep") || strings.Contains(p, "/whep/"):
			r.service = WHEP
		}
	}
	if r.service == Janus {
		return &whip.Janus{URL: u, Token: r.spec.Token, HTTP: client, Audio: r.spec.Profile.AudioBPS > 0, Video: r.spec.Profile.VideoBPS > 0}, u.Hostname(), nil
	}
	return &whip.Client{URL: u, Token: r.spec.Token, Member: r.spec.Member != nil, HTTP: client}, u.Hostname(), nil
}

// tls says which certificates of the service are accepted, and which one is shown to it.
func (r *run) tls(u *url.URL) (*tls.Config, error) {
	if r.spec.Member != nil {
		trust, err := r.spec.Member.Trust()
		if err != nil {
			return nil, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
		}
		return trust.Config(u.Hostname(), func(time.Time) {}), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.spec.SkipVerify}
	if len(r.spec.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(r.spec.CA) {
			return nil, probes.Errorf(probes.OutcomeBadConfig, "ca_file holds no PEM certificate")
		}
	}
	return config, nil
}

// client is an HTTP client whose connections leave by the path. It keeps none: ending a call has to work after the
// line was gone for a while.
func (r *run) client(u *url.URL) (*http.Client, error) {
	config, err := r.tls(u)
	if err != nil {
		return nil, err
	}
	b := r.spec.binding()
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				addr, err := b.Resolve(ctx, "", host, r.spec.Timeout)
				if err != nil {
					return nil, err
				}
				return b.Dialer(network, r.spec.Timeout).DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
			},
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    10 * time.Second,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func randomNumber() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
