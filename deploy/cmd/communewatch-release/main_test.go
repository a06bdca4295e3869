package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"

	"communewatch/probes/release"
	"communewatch/probes/release/releasetest"
)

func run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := root(strings.NewReader(stdin))
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestAReleaseFromItsKeyToItsVerification(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	arm := releasetest.Program("for arm64")
	arm[18] = 183 // ELF's e_machine: EM_AARCH64; of another machine, so that it is not asked for its version
	if err := os.WriteFile(at("agent"), arm, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("text"), []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("password"), []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, _, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	// The password costs a gibibyte and seconds each time, as it should.
	for _, step := range []struct {
		stdin, args, want string
		bad               bool
	}{
		{"short\n", "keygen " + at("maker"), "at least 8", true},
		{"correct horse\n", "keygen " + at("maker"), "RW", false},
		{"", "make --version x --out " + at("bad") + " " + at("agent"), "no version", true},
		{"", "make --version 1.4.0 --out " + at("worse") + " " + at("text"), "no program", true},
		{"", "make --version 1.4.0 --from 1.2.0 --out " + at("r") + " " + at("agent"), "release 1.4.0 is in", false},
		{"", "verify --key " + at("maker.pub") + " " + at("r"), "minisig", true},
		{"", "sign --key " + at("maker.key") + " --password-file " + at("password") + " " + at("r"), "is signed", false},
		{"", "verify --key " + at("maker.pub") + " " + at("r"), "release 1.4.0 is good until", false},
		{"", "verify --key " + other.String() + " " + at("r"), "another key", true},
		{"", "verify " + at("r"), "no key", true},
	} {
		out, err := run(t, step.stdin, strings.Fields(step.args)...)
		if err != nil {
			out += err.Error()
		}
		if (err != nil) != step.bad || !strings.Contains(out, step.want) {
			t.Errorf("%s: %v\n%s", step.args, err, out)
		}
	}
	key, err := os.ReadFile(at("maker.key"))
	if err != nil || !strings.Contains(string(key), "encrypted") {
		t.Errorf("the private key: %.60q, %v", key, err)
	}
	if _, err := os.Stat(at("r.zip")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(at("r"), release.Product+"_1.4.0_linux_arm64"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "", "verify", "--key", at("maker.pub"), at("r")); err == nil {
		t.Errorf("a changed binary: %s", out)
	}
}
