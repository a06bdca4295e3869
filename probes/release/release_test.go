package release_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"communewatch/probes/release"
)

var built = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func version(t testing.TB, text string) release.Version {
	t.Helper()
	v, err := release.ParseVersion(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func manifest(t testing.TB) release.Manifest {
	return release.Manifest{
		Product: release.Product, Version: version(t, "1.4.0"), Built: built, Expires: built.AddDate(1, 0, 0), From: version(t, "1.2.0"),
		Files: []release.File{
			{OS: "linux", Arch: "amd64", Name: "agent_linux_amd64", Size: 10, SHA256: strings.Repeat("0a", 32)},
			{OS: "windows", Arch: "amd64", Name: "agent.exe", Size: 11, SHA256: strings.Repeat("0b", 32)},
		},
	}
}

func encode(t testing.TB, m release.Manifest) []byte {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

type signer struct {
	private minisign.PrivateKey
	public  string
}

func newSigner(t testing.TB) signer {
	t.Helper()
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer{private, public.String()}
}

func keys(t testing.TB, texts ...string) release.Keys {
	t.Helper()
	k, err := release.ParseKeys(texts)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOnlyWhatAPinnedKeySignedIsRead(t *testing.T) {
	maker, other := newSigner(t), newSigner(t)
	data := encode(t, manifest(t))
	sig := minisign.Sign(maker.private, data)
	pinned := keys(t, other.public, maker.public)
	m, err := release.Verify(data, sig, pinned)
	if err != nil || m.Version.String() != "1.4.0" {
		t.Fatalf("a good release: %v, %v", m, err)
	}
	changed := bytes.Replace(data, []byte(`"size_bytes":10`), []byte(`"size_bytes":12`), 1)
	cut := sig[:len(sig)-20]
	hashed := minisign.NewReader(bytes.NewReader(data))
	if _, err := new(bytes.Buffer).ReadFrom(hashed); err != nil {
		t.Fatal(err)
	}
	if _, err := release.Verify(data, hashed.Sign(maker.private), pinned); err != nil {
		t.Errorf("a signature as the program minisign makes them today: %v", err)
	}
	for name, c := range map[string]struct {
		manifest, sig []byte
		keys          release.Keys
		want          error
	}{
		"changed manifest":          {changed, sig, pinned, release.ErrSignature},
		"cut manifest":              {data[:len(data)-1], sig, pinned, release.ErrSignature},
		"signature cut":             {data, cut, pinned, release.ErrSignature},
		"no signature":              {data, nil, pinned, release.ErrSignature},
		"another's key":             {data, sig, keys(t, other.public), release.ErrForeign},
		"no key":                    {data, sig, release.Keys{}, release.ErrNoKey},
		"not parsed before it fits": {[]byte("{"), sig, pinned, release.ErrSignature},
		"signed, and no manifest":   {[]byte("{}"), minisign.Sign(maker.private, []byte("{}")), pinned, release.ErrManifest},
		"far too large":             {bytes.Repeat([]byte(" "), release.MaxManifest+1), sig, pinned, release.ErrManifest},
	} {
		if m, err := release.Verify(c.manifest, c.sig, c.keys); !errors.Is(err, c.want) || m != nil {
			t.Errorf("%s: got %v, %v; want %v", name, m, err, c.want)
		}
	}
}

func TestAnAgentTakesOnlyWhatIsForIt(t *testing.T) {
	m := manifest(t)
	back := m
	back.Rollback = true
	for name, c := range map[string]struct {
		m             release.Manifest
		running, os   string
		now           time.Time
		want          error
		wantFile      string
		andNoticeable string
	}{
		"newer":              {m, "1.3.9", "linux", built, nil, "agent_linux_amd64", ""},
		"newer than its rc":  {m, "v1.4.0-rc.2", "windows", built, nil, "agent.exe", ""},
		"the same":           {m, "v1.4.0+build5", "linux", built, release.ErrSame, "", ""},
		"older":              {m, "1.4.1", "linux", built, release.ErrOlder, "", "1.4.1 runs"},
		"older, as rollback": {back, "1.5.0", "linux", built, nil, "agent_linux_amd64", ""},
		"too old to take it": {m, "1.1.0", "linux", built, release.ErrTooOld, "", "takes 1.2.0 and above"},
		"other system":       {m, "1.3.0", "darwin", built, release.ErrPlatform, "", "darwin/amd64"},
		"expired":            {m, "1.3.0", "linux", built.AddDate(1, 0, 1), release.ErrExpired, "", "2027-11-20"},
		"no release runs":    {m, "development", "linux", built, release.ErrUnversion, "", ""},
	} {
		f, err := c.m.For(c.running, c.os, "amd64", c.now)
		if !errors.Is(err, c.want) || f.Name != c.wantFile {
			t.Errorf("%s: got %q, %v; want %q, %v", name, f.Name, err, c.wantFile, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), c.andNoticeable) {
			t.Errorf("%s: %q does not say %q", name, err, c.andNoticeable)
		}
	}
}

func TestVersionsAreOrderedAsSemverSays(t *testing.T) {
	order := []string{"0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1-3-gabcdef0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"}
	for i, a := range order {
		for j, b := range order {
			got := version(t, a).Compare(version(t, b))
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s compared with %s: %d", a, b, got)
			}
		}
	}
	for _, bad := range []string{"", "1", "1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3 ", "4949711", "v4949711-dirty", "development", "1.2.3-a..b", "../1.2.3", "1234567890.0.0", "1.2.3-" + strings.Repeat("a", 200)} {
		if v, err := release.ParseVersion(bad); !errors.Is(err, release.ErrVersion) {
			t.Errorf("%q was read as %v, %v", bad, v, err)
		}
	}
}

func TestAManifestIsStrictAndBounded(t *testing.T) {
	for name, spoil := range map[string]func(m *release.Manifest){
		"other product":      func(m *release.Manifest) { m.Product = "communewatch-collector" },
		"a way out":          func(m *release.Manifest) { m.Files[0].Name = "../../etc/passwd" },
		"hidden":             func(m *release.Manifest) { m.Files[0].Name = ".bashrc" },
		"over the manifest":  func(m *release.Manifest) { m.Files[0].Name = release.ManifestFile },
		"one platform twice": func(m *release.Manifest) { m.Files[1].OS = "linux" },
		"one name twice":     func(m *release.Manifest) { m.Files[1].Name = m.Files[0].Name },
		"no size":            func(m *release.Manifest) { m.Files[0].Size = 0 },
		"enormous":           func(m *release.Manifest) { m.Files[0].Size = 1 << 40 },
		"short sum":          func(m *release.Manifest) { m.Files[0].SHA256 = "00" },
		"odd platform":       func(m *release.Manifest) { m.Files[0].Arch = "amd64/../x" },
		"no files":           func(m *release.Manifest) { m.Files = nil },
		"no end":             func(m *release.Manifest) { m.Expires = time.Time{} },
		"long notes":         func(m *release.Manifest) { m.Notes = strings.Repeat("a", 10_000) },
	} {
		m := manifest(t)
		spoil(&m)
		if got, err := release.ParseManifest(encode(t, m)); !errors.Is(err, release.ErrManifest) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	good := encode(t, manifest(t))
	for name, data := range map[string][]byte{
		"unknown key": bytes.Replace(good, []byte(`{"product"`), []byte(`{"x":1,"product"`), 1),
		"two of them": append(bytes.Clone(good), good...),
	} {
		if _, err := release.ParseManifest(data); !errors.Is(err, release.ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABinaryIsWhatItsHeaderSays(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this test's own binary is not ELF")
	}
	f, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := release.CheckBinary(f, "linux", runtime.GOARCH); err != nil {
		t.Errorf("its own platform: %v", err)
	}
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	for name, got := range map[string]error{
		"other architecture": release.CheckBinary(f, "linux", other),
		"other system":       release.CheckBinary(f, "windows", runtime.GOARCH),
		"unknown system":     release.CheckBinary(f, "plan9", runtime.GOARCH),
		"a script":           release.CheckBinary(strings.NewReader("#!/bin/sh\nexit 0\n"), "linux", runtime.GOARCH),
		"nothing":            release.CheckBinary(strings.NewReader(""), "linux", runtime.GOARCH),
	} {
		if !errors.Is(got, release.ErrBinary) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestKeysAreReadAsMinisignWritesThem(t *testing.T) {
	s := newSigner(t)
	var public minisign.PublicKey
	if err := public.UnmarshalText([]byte(s.public)); err != nil {
		t.Fatal(err)
	}
	file, _ := public.MarshalText()
	if k := keys(t, s.public, string(file)+"\n"); k.Len() != 2 {
		t.Errorf("%d keys", k.Len())
	}
	for _, bad := range []string{"", "RW", "untrusted comment: x", strings.Repeat("RW", 1000)} {
		if _, err := release.ParseKeys([]string{bad}); err == nil {
			t.Errorf("%.20q was taken for a key", bad)
		}
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.2.3", "v0.1.0-rc.1+x", "1.0.0-1.a", ""} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		v, err := release.ParseVersion(a)
		if err != nil {
			return
		}
		if again, err := release.ParseVersion(v.String()); err != nil || again != v {
			t.Fatalf("%q became %v, and that %v, %v", a, v, again, err)
		}
		if w, err := release.ParseVersion(b); err == nil && v.Compare(w) != -w.Compare(v) && (v.Compare(w) > 0) != (w.Compare(v) < 0) {
			t.Fatalf("%v and %v compare one way only", v, w)
		}
	})
}

func FuzzVerify(f *testing.F) {
	s := newSigner(f)
	data := encode(f, manifest(f))
	f.Add(data, minisign.Sign(s.private, data))
	f.Add([]byte("{}"), []byte("untrusted comment: \n\ntrusted comment: \n"))
	pinned := keys(f, newSigner(f).public) // which signed none of these
	f.Fuzz(func(t *testing.T, manifest, sig []byte) {
		if m, err := release.Verify(manifest, sig, pinned); err == nil {
			t.Fatalf("verified %v", m)
		}
		if m, err := release.ParseManifest(manifest); err == nil && m.Validate() != nil {
			t.Fatal("read what is not valid")
		}
	})
}

func FuzzOffer(f *testing.F) {
	f.Add([]byte(`{"version":"1.0.0","manifest":"{}","signature":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o, err := release.ReadOffer(bytes.NewReader(data)); err == nil && (len(o.Manifest) > release.MaxManifest || len(o.Signature) > release.MaxSignature) {
			t.Fatal("beyond its bounds")
		}
	})
}

func FuzzBinary(f *testing.F) {
	if file, err := os.ReadFile(os.Args[0]); err == nil && len(file) > 4096 {
		f.Add(file[:4096])
		noisy := bytes.Clone(file[:4096])
		for range 20 {
			noisy[rand.IntN(len(noisy))]++
		}
		f.Add(noisy)
	}
	f.Add([]byte("MZ"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_ = release.CheckBinary(bytes.NewReader(data), "linux", "amd64")
		_ = release.CheckBinary(bytes.NewReader(data), "windows", "amd64")
	})
}
