// Package releasetest makes releases for tests: a folder with a manifest, its signature and one binary, which has the
// header of a program for linux/amd64 and nothing more.
package releasetest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aead.dev/minisign"

	"communewatch/probes/release"
)

// File is the binary's name.
const File = "agent_amd64"

// Program is the smallest file that has the header of a program for linux/amd64, and something behind it.
func Program(content string) []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(h[16:], 2)  // ET_EXEC
	binary.LittleEndian.PutUint16(h[18:], 62) // EM_X86_64
	binary.LittleEndian.PutUint32(h[20:], 1)
	binary.LittleEndian.PutUint16(h[52:], 64)
	binary.LittleEndian.PutUint16(h[58:], 64) // of a section header; there are none
	return append(h, content...)
}

// Manifest is the manifest of a release with one file, built now and good for a year.
func Manifest(t testing.TB, version string, file []byte, now time.Time) []byte {
	t.Helper()
	v, err := release.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	data, err := json.Marshal(release.Manifest{Product: release.Product, Version: v, Built: now, Expires: now.AddDate(1, 0, 0),
		Files: []release.File{{OS: "linux", Arch: "amd64", Name: File, Size: int64(len(file)), SHA256: hex.EncodeToString(sum[:])}}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Write writes a signed release into a folder.
func Write(t testing.TB, dir string, key minisign.PrivateKey, version string, file []byte) {
	t.Helper()
	manifest := Manifest(t, version, file, time.Now())
	for name, data := range map[string][]byte{release.ManifestFile: manifest, release.SignatureFile: minisign.Sign(key, manifest), File: file} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
