package authority

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes/enroll"
)

// province makes the files of a certificate that the province's authority has signed, with one between them.
func province(t *testing.T, dir string, now time.Time) (Files, enroll.Pin) {
	t.Helper()
	rootKey, betweenKey, key := newKey(), newKey(), newKey()
	ca := func(name string, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
		tmpl := &x509.Certificate{SerialNumber: newSerial(), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-day), NotAfter: now.Add(10 * 365 * day),
			KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true}
		if parent == nil {
			parent = tmpl
		}
		return must(sign(tmpl, parent, public, by))
	}
	root := ca("tinh", nil, rootKey.Public(), rootKey)
	between := ca("so", root, betweenKey.Public(), rootKey)
	leaf := must(sign(&x509.Certificate{SerialNumber: newSerial(), NotBefore: now.Add(-day), NotAfter: now.Add(365 * day), DNSNames: []string{"collector.tinh.gov.vn"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, between, key.Public(), betweenKey))
	f := Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	put(t, f.Cert, encode(leaf, between))
	put(t, f.Key, string(encodeKey(key)))
	put(t, f.CA, encode(root))
	return f, enroll.PinOf(root)
}

func TestCertificateFromElsewhere(t *testing.T) {
	now := time.Now()
	f, pin := province(t, t.TempDir(), now)
	dir := t.TempDir()
	a := open(t, dir, Options{Names: []string{"localhost"}, Files: f})
	if a.Pin() != pin || a.Fleet() == pin {
		t.Errorf("pin %v, fleet %v; the province's is %v", a.Pin(), a.Fleet(), pin)
	}
	if err := reaches(t, a, a.Roots(), "collector.tinh.gov.vn", now); err != nil {
		t.Error(err)
	}
	shown, err := parseCertificates(a.Export())
	if err != nil || enroll.PinOf(shown[len(shown)-1]) != pin {
		t.Errorf("who knows the pin does not find it in %d certificates (%v)", len(shown), err)
	}
	if name, err := a.Identify(agentOf(t, a, now), now); err != nil || name.Site != "s1" {
		t.Error(name, err)
	}
	if _, err := os.Stat(filepath.Join(dir, serverFile)); err == nil {
		t.Error("made a certificate of its own, too")
	}

	// Without a ca_file, agents can be told of an authority only if it stands in the chain.
	f.CA = ""
	if a := open(t, t.TempDir(), Options{Files: f}); a.Pin() == (enroll.Pin{}) || len(must(parseCertificates([]byte(a.Roots())))) != 2 {
		t.Errorf("pin %v", a.Pin())
	}
	leaf := must(parseCertificates(must(os.ReadFile(f.Cert))))[0]
	put(t, f.Cert, encode(leaf))
	if a := open(t, t.TempDir(), Options{Files: f}); a.Pin() != (enroll.Pin{}) {
		t.Error("a certificate that is no authority's is pinned")
	}
}

func TestFilesThatDontBelongTogether(t *testing.T) {
	now := time.Now()
	good, _ := province(t, t.TempDir(), now)
	other, _ := province(t, t.TempDir(), now)
	for name, f := range map[string]Files{
		"another's key":       {Cert: good.Cert, Key: other.Key, CA: good.CA},
		"another's authority": {Cert: good.Cert, Key: good.Key, CA: other.CA},
		"no authority":        {Cert: good.Cert, Key: good.Key, CA: good.Cert},
		"a key as authority":  {Cert: good.Cert, Key: good.Key, CA: good.Key},
		"missing":             {Cert: good.Cert, Key: good.Key + "x"},
	} {
		if _, err := Open(t.TempDir(), Options{Files: f, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%s was taken", name)
		} else if strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A certificate that the province renews is taken while the collector runs; a broken one is not, and the log says so once.
func TestFilesAreReadAgain(t *testing.T) {
	folder, dir := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f, _ := province(t, folder, time.Now())
		var log bytes.Buffer
		a := open(t, dir, Options{Files: f, Log: slog.New(slog.NewTextHandler(&log, nil))})
		defer run(t, a)()
		first := a.GetCertificateForTest(t)
		put(t, f.Key, "half a k")
		time.Sleep(10 * lookEvery)
		synctest.Wait()
		if !bytes.Equal(first, a.GetCertificateForTest(t)) {
			t.Error("a broken key replaced the certificate")
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("complained %d times, want once:\n%s", n, log.String())
		}
		_, pin := province(t, folder, time.Now())
		time.Sleep(2 * lookEvery)
		synctest.Wait()
		if bytes.Equal(first, a.GetCertificateForTest(t)) || a.Pin() != pin {
			t.Error("the new certificate was not taken")
		}
		if !strings.Contains(log.String(), "in order again") {
			t.Errorf("logged %s", log.String())
		}
	})
}

func TestSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		s    Settings
		want string // "": valid
	}{
		"nothing":           {Settings{}, ""},
		"off":               {Settings{Mode: ModeOff}, ""},
		"names":             {Settings{Names: []string{"collector.tinh.gov.vn", "10.0.0.1", "2001:db8::1"}}, ""},
		"half":              {Settings{CertFile: "x"}, ": cert_file and key_file go together"},
		"a mode of nothing": {Settings{Mode: "on"}, `mode: "on" is not`},
		"own with a file":   {Settings{Mode: ModeOwn, CertFile: "x", KeyFile: "y"}, "mode: cert_file"},
		"a wildcard":        {Settings{Names: []string{"*.gov.vn"}}, "names: "},
		"an URL":            {Settings{Names: []string{"https://x"}}, "names: "},
	} {
		var got []string
		tt.s.Resolve()
		tt.s.Validate(func(key, format string, args ...any) { got = append(got, key+": "+format) })
		if tt.want == "" && got != nil || tt.want != "" && len(got) != 1 {
			t.Errorf("%s: %v", name, got)
		}
	}
}
