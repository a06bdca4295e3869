package ship

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"communewatch/probes/bind"
)

// What is not a batch goes the same way: with the collector's own authorities, from the path's address, past proxies.
func TestTransportGoesTheWayOfBatches(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	get := func(c Collector) (int, error) {
		way, err := c.Transport()
		if err != nil {
			return 0, err
		}
		defer way.CloseIdleConnections()
		resp, err := (&http.Client{Transport: way}).Get(c.URL)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	ours := &tls.Config{RootCAs: pool}
	if status, err := get(Collector{URL: server.URL, TLS: ours}); status != http.StatusTeapot {
		t.Errorf("%d, %v", status, err)
	}
	if _, err := get(Collector{URL: server.URL}); err == nil {
		t.Error("a certificate of nobody's was taken")
	}
	if _, err := get(Collector{URL: server.URL, TLS: ours, Binding: bind.Binding{Device: "nonesuch0"}}); err == nil {
		t.Error("it went by another device than the path's")
	}
	if _, err := (Collector{URL: "ftp://x"}).Transport(); err == nil {
		t.Error("a URL that is none was taken")
	}
}
