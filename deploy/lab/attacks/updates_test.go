package attacks_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"aead.dev/minisign"

	"communewatch/agent"
	"communewatch/agent/update/launch"
	"communewatch/collector/registry/releases"
	keeper "communewatch/collector/releases"
	"communewatch/collector/releases/stages"
	"communewatch/deploy/lab/enrolled"
	"communewatch/probes/presence"
	"communewatch/probes/release"
	"communewatch/probes/release/releasetest"
)

// bad is a release that no agent may run. Whoever holds the collector has it go out; the collector's own commands would
// not.
type bad struct {
	version string
	file    []byte
	signer  minisign.PrivateKey
	edit    func(m *release.Manifest)
	spoil   func(manifest []byte) []byte // after it was signed
	kept    []byte                       // what the collector has in the file's place; nil: the file

	added string // what the collector says of it when it is added; "": it takes it
	says  string // what the agent says of it
	state release.State
}

// program is one that has the header of this machine's, or of another.
func program(machine uint16) []byte {
	p := releasetest.Program(strings.Repeat("x", 100_000))
	if machine != 0 {
		binary.LittleEndian.PutUint16(p[18:], machine)
	}
	return p
}

// try has an agent of 1.0.0 offered a release.
func (g *ground) try(t *testing.T, b bad) {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("programs made for tests are those of linux/amd64")
	}
	v, err := release.ParseVersion(b.version)
	if err != nil {
		t.Fatal(err)
	}
	sum, now := sha256.Sum256(b.file), g.fleet.Now()
	m := release.Manifest{Product: release.Product, Version: v, Built: now.Add(-time.Hour), Expires: now.AddDate(1, 0, 0),
		Files: []release.File{{OS: "linux", Arch: "amd64", Name: releasetest.File, Size: int64(len(b.file)), SHA256: hex.EncodeToString(sum[:])}}}
	if b.edit != nil {
		b.edit(&m)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	signature := minisign.Sign(b.signer, manifest)
	if b.spoil != nil {
		manifest = b.spoil(manifest)
	}
	if b.kept == nil {
		b.kept = b.file
	}
	cfg, store := g.fleet.Config(), g.fleet.Registry().Releases()
	desk, err := keeper.New(keeper.Options{Dir: t.TempDir(), Settings: cfg.Updates, Store: store, Audit: g.fleet.Registry().People(), Now: g.fleet.Now})
	if err != nil {
		t.Fatal(err)
	}
	operator := enrolled.Operator(t.Context())
	_, err = desk.Add(operator, fstest.MapFS{release.ManifestFile: {Data: manifest}, release.SignatureFile: {Data: signature}, releasetest.File: {Data: b.kept}})
	if b.added == "" && err != nil || b.added != "" && (err == nil || !strings.Contains(err.Error(), b.added)) {
		t.Errorf("the collector says %v, and should say %q", err, b.added)
	}

	// Somebody has the collector, and does without its commands.
	folder := filepath.Join(cfg.ReleasesDir(), b.version)
	err = errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, releasetest.File), b.kept, 0o600),
		store.Put(t.Context(), releases.Release{Version: v, Manifest: manifest, Signature: signature, By: "somebody"}))
	if err != nil {
		t.Fatal(err)
	}
	machine := g.fleet.Machine("takes-" + b.version)
	machine.Version = "1.0.0"
	machine.Checks = fmt.Sprintf("updates: {enabled: true, keys: ['%s'], bytes_per_second: 100000000}\n", g.pinned)
	name := "pc-" + strings.ReplaceAll(b.version, ".", "-")
	if _, err := machine.Enrol(t.Context(), g.code(t, g.fleet, "s2"), name); err != nil {
		t.Fatal(err)
	}
	if err := machine.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := machine.Stop(); err != nil {
			t.Error(err)
		}
	}()
	said := func() (u presence.Update) {
		list, err := g.fleet.Registry().Agents().Agents(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			if a.Agent == name && a.Presence != nil {
				u = a.Presence.Update
			}
		}
		return u
	}
	await(t, "an agent that takes releases", func() bool { return said().Enabled })
	if _, err := store.Start(t.Context(), v, stages.DefaultPlan("s2"), "somebody"); err != nil {
		t.Fatal(err)
	}
	await(t, "its word of "+b.says, func() bool { return strings.Contains(said().Problem, b.says) })
	if u := said(); u.State != string(b.state) || u.State != "" && u.Version != b.version {
		t.Errorf("it says %+v", u)
	}
	folder = filepath.Join(machine.Dir, "state")
	l, handled, err := launch.Launch(t.Context(), launch.Options{Dir: agent.ReleasesDir(folder), Version: "1.0.0", Args: []string{"x"}})
	if err != nil || handled || l.Release != "" {
		t.Errorf("the next start runs %+v, %v", l, err)
	}
	if err := store.Withdraw(t.Context(), v, "an", "over"); err != nil {
		t.Fatal(err)
	}
}

func wrongSignature(t *testing.T, g *ground) {
	_, other, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.try(t, bad{version: "2.0.0", file: program(0), signer: other, added: "another key", says: "another key", state: release.StateRefused})
	g.try(t, bad{version: "2.0.1", file: program(0), signer: g.maker, added: "does not fit", says: "does not fit", state: release.StateRefused,
		spoil: func(m []byte) []byte { return []byte(strings.Replace(string(m), "amd64", "arm64", 1)) }})
}

func olderVersion(t *testing.T, g *ground) {
	g.try(t, bad{version: "0.9.0", file: program(0), signer: g.maker, says: "older", state: release.StateRefused})
}

func truncatedUpdate(t *testing.T, g *ground) {
	file := program(0)
	g.try(t, bad{version: "2.1.0", file: file, kept: file[:len(file)/2], signer: g.maker, added: "cut on its way", says: "ended after"})
}

func otherArchitecture(t *testing.T, g *ground) {
	const mips = 8 // ELF's e_machine
	g.try(t, bad{version: "2.2.0", file: program(mips), signer: g.maker, added: "no program for this platform", says: "no program for this platform", state: release.StateRefused})
	g.try(t, bad{version: "2.2.1", file: program(mips), signer: g.maker, added: "no program for this platform", says: "no binary for this machine", state: release.StateRefused,
		edit: func(m *release.Manifest) { m.Files[0].Arch = "arm64" }})
}
