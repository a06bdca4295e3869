package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/agent/identity/identitytest"
	"communewatch/probes/enroll"
)

// Whatever a collector answers: what is taken is for the own key and name, is believed by an authority of at most as many as
// there may be, and is read again after a restart.
func FuzzAnswer(f *testing.F) {
	now := time.Now()
	ca, other := identitytest.NewAuthority(f, now), identitytest.NewAuthority(f, now)
	dir := f.TempDir()
	key, file, err := NewKey(dir)
	if err != nil {
		f.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		f.Fatal(err)
	}
	name := enroll.Name{Fleet: strings.Repeat("0", 32), Site: "s", Agent: "a"}
	cert := func(n enroll.Name) *x509.Certificate { return ca.Agent(&key.PublicKey, n, now, now.Add(time.Hour)) }
	first := Set{Key: key, Name: name, Certificate: cert(name), Roots: []*x509.Certificate{ca.Cert}, Collectors: []string{"https://c.example"}}
	many := make([]*x509.Certificate, enroll.MaxRoots)
	for i := range many {
		many[i] = other.Cert
	}
	add := func(a enroll.Answer) {
		data, err := json.Marshal(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	good := enroll.Answer{Site: "s", Agent: "a", Certificate: identitytest.PEM(cert(name)), Trust: enroll.Trust{Roots: identitytest.PEM(ca.Cert)}}
	add(good)
	foreign, crowd, sites := good, good, good
	foreign.Certificate = identitytest.PEM(cert(enroll.Name{Fleet: name.Fleet, Site: "t", Agent: "a"}))
	crowd.Trust.Roots = identitytest.PEM(many...)
	sites.Collectors = []string{"https://a.example", "https://b.example:1"}
	add(foreign)
	add(crowd)
	add(sites)
	add(enroll.Answer{Site: "s", Agent: "a", Pending: true, Retry: 5})
	f.Add([]byte(`{"roots":"-----BEGIN CERTIFICATE-----"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var a enroll.Answer
		if enroll.Read(bytes.NewReader(data), &a) == nil {
			s := first
			if err := s.Accept(&a, ca.Cert); err == nil {
				again(t, &s, &first, file, pem, ca.Cert)
			}
		}
		var tr enroll.Trust
		if enroll.Read(bytes.NewReader(data), &tr) == nil {
			s := first
			if err := s.believe(&tr, ca.Cert); err == nil {
				again(t, &s, &first, file, pem, ca.Cert)
			}
		}
	})
}

// again checks a set that has taken what a collector told, and reads it as after a restart.
func again(t *testing.T, s, first *Set, file string, pem []byte, root *x509.Certificate) {
	t.Helper()
	if s.Name != first.Name || !s.Key.PublicKey.Equal(s.Certificate.PublicKey) || !slices.ContainsFunc(s.Roots, root.Equal) || len(s.Roots) > enroll.MaxRoots {
		t.Fatalf("taken: %+v", s)
	}
	data, err := s.marshal()
	if err != nil || len(data) > maxSet {
		t.Fatalf("%d bytes: %v", len(data), err)
	}
	read, err := parse(data, func(name string) ([]byte, error) {
		if name != file {
			t.Fatalf("its key is in %q", name)
		}
		return pem, nil
	})
	if err != nil || !read.Certificate.Equal(s.Certificate) || len(read.Roots) != len(s.Roots) {
		t.Fatalf("not read again: %v", err)
	}
}

// The identity's files may hold anything.
func FuzzSet(f *testing.F) {
	ca := identitytest.NewAuthority(f, time.Now())
	dir := f.TempDir()
	key, name, err := NewKey(dir)
	if err != nil {
		f.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		f.Fatal(err)
	}
	cert := ca.Agent(&key.PublicKey, enroll.Name{Fleet: strings.Repeat("0", 32), Site: "s", Agent: "a"}, time.Now(), time.Now().Add(time.Hour))
	good, err := json.Marshal(stored{name, identitytest.PEM(cert), identitytest.PEM(ca.Cert), []string{"https://c.example"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, pem, []byte(`{"told":"2026-01-01T00:00:00Z","offset_seconds":1e9}`))
	f.Add([]byte(`{}`), []byte{}, []byte(`{"offset_seconds":1e300}`))
	if s, err := parse(good, func(string) ([]byte, error) { return pem, nil }); err != nil || s.Name.Agent != "a" {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, set, key, told []byte) {
		var c clock
		if json.Unmarshal(told, &c) != nil || !c.sane() {
			c = clock{}
		}
		s, err := parse(set, func(name string) ([]byte, error) {
			if filepath.Base(name) != name {
				t.Fatalf("it reads %q", name)
			}
			return key, nil
		})
		if err != nil {
			return
		}
		if s.Key == nil || s.Certificate == nil || len(s.Roots) == 0 || s.Name.Validate() != nil {
			t.Fatalf("half an identity was read: %+v", s)
		}
		s.clock = c
		New(t.TempDir(), s, Options{}).Now()
	})
}
