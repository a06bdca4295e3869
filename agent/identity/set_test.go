package identity

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/agent/identity/identitytest"
	"communewatch/probes/enroll"
)

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
