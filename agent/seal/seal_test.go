package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"communewatch/agent/seal"
)

func TestSealedIsReadAgainByTheSameMachineOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "seal.key")
	box, err := seal.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("planted-community-7f3a")
	sealed := box.Seal("work", secret)
	if bytes.Contains(sealed, secret) {
		t.Fatal("the secret stands in it as plain text")
	}
	if again := box.Seal("work", secret); bytes.Equal(again, sealed) {
		t.Error("the same secret is sealed the same way twice")
	}
	restarted, err := seal.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := restarted.Open("work", sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("after a restart: %q, %v", got, err)
	}
	if _, err := box.Open("token", sealed); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("opened as something else: %v", err)
	}
	other, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open("work", sealed); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("opened on another machine: %v", err)
	}
	for i := range sealed {
		if _, err := box.Open("work", sealed[:i]); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("cut after %d bytes: %v", i, err)
		}
		bent := bytes.Clone(sealed)
		bent[i] ^= 1
		if _, err := box.Open("work", bent); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

func TestKeyIsTheOwnersAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seal.key")
	if _, err := seal.Open(file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(file); err == nil {
		t.Error("a damaged key was taken, or made anew without a word")
	}
}
