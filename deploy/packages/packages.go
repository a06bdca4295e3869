// Package packages builds what is installed: deb and rpm for Linux, a zip for Windows, a container image, with checksums
// and lists of what is in them.
//
// Everything is built from one checkout by `make packages`, without a container and without root, and comes out the same
// byte for byte when it is built again: the compiler is told to leave paths and build ids out, and every time in an archive
// is that of the commit (SOURCE_DATE_EPOCH; see reproducible-builds.org). So a second person can check that a package was
// made of the source that it says, by building it and comparing SHA256SUMS.
//
// nfpm makes the Linux packages and cyclonedx-gomod the lists; both are fetched and built by Go at fixed versions. The
// rest is in this room.
package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// The tools, at the versions that builds are made with. Another version may make other bytes.
const (
	nfpm      = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"
	cyclonedx = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
)

// Target is one system that a program is built for.
type Target struct {
	Program      string // communewatch-agent or communewatch-collector
	OS, Arch     string // as Go calls them
	ARM          string // with arm: the version of the instruction set
	PackagedArch string // as nfpm calls it
}

// folder is where the program is put, below dist/programs.
func (t Target) folder() string { return t.OS + "_" + t.Arch + t.variant() }

func (t Target) variant() string {
	if t.ARM == "" {
		return ""
	}
	return "v" + t.ARM
}

func (t Target) file() string {
	if t.OS == "windows" {
		return t.Program + ".exe"
	}
	return t.Program
}

// Programs that are packaged, and their folders in the source.
func source(program string) string {
	room, _, _ := strings.Cut(strings.TrimPrefix(program, "communewatch-"), "-")
	return "./" + room + "/cmd/" + program
}

// Targets lists everything that is built.
func Targets() (all []Target) {
	for _, program := range []string{"communewatch-agent", "communewatch-collector"} {
		all = append(all,
			Target{Program: program, OS: "linux", Arch: "amd64", PackagedArch: "amd64"},
			Target{Program: program, OS: "linux", Arch: "arm64", PackagedArch: "arm64"},
			Target{Program: program, OS: "linux", Arch: "arm", ARM: "7", PackagedArch: "arm7"})
	}
	return append(all, Target{Program: "communewatch-agent", OS: "windows", Arch: "amd64"})
}

// Options of Build.
type Options struct {
	Root    string // of the source
	Dist    string // where everything is put; emptied first
	Tools   string // where nfpm and cyclonedx-gomod are kept between builds
	Release Release
	Targets []Target  // of Targets; tests build fewer
	Say     io.Writer // one line at a time, by several goroutines
}

// Build builds everything into Dist.
func Build(ctx context.Context, o Options) error {
	if err := clear(o.Dist); err != nil {
		return err
	}
	b := &build{Options: o}
	packager, err := b.tool(ctx, nfpm)
	if err != nil {
		return err
	}
	lister, err := b.tool(ctx, cyclonedx)
	if err != nil {
		return err
	}
	// Compressing takes a processor to itself, so as many targets are under way as there are processors. What comes out does
	// not depend on who is done first.
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range o.Targets {
		group.Go(func() error {
			fmt.Fprintf(o.Say, "packages: %s for %s\n", t.Program, t.folder())
			return b.target(running, t, packager, lister)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return sums(o.Dist)
}

// target builds all that is made of one program for one system.
func (b *build) target(ctx context.Context, t Target, packager, lister string) error {
	if err := b.compile(ctx, t); err != nil {
		return err
	}
	var err error
	switch {
	case t.OS == "windows":
		err = b.zip(t)
	default:
		for _, kind := range []string{"deb", "rpm"} {
			err = errors.Join(err, b.pack(ctx, packager, kind, t))
		}
		if t.Program == "communewatch-collector" {
			err = errors.Join(err, b.image(t))
		}
	}
	return errors.Join(err, b.list(ctx, lister, t))
}

// clear empties a folder that an earlier build made. One that holds anything else is left alone: a mistyped path must not
// cost anybody their files.
func clear(dist string) error {
	entries, err := os.ReadDir(dist)
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(dist, 0o755)
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 && !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "programs" }) {
		return fmt.Errorf("%s holds files that are not of a build; name another folder", dist)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dist, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// build is a build under way.
type build struct {
	Options
}

func (b *build) program(t Target) string {
	return filepath.Join(b.Dist, "programs", t.folder(), t.file())
}

// run runs a command in the source's root.
func (b *build) run(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.Root
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return nil
}

// tool returns a tool, built the first time.
func (b *build) tool(ctx context.Context, module string) (string, error) {
	path, version, _ := strings.Cut(module, "@")
	folder := filepath.Join(b.Tools, filepath.Base(path)+"-"+version)
	file := filepath.Join(folder, filepath.Base(path))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	fmt.Fprintf(b.Say, "setup: building %s\n", module)
	return file, b.run(ctx, []string{"GOBIN=" + folder, "GOFLAGS=-trimpath", "CGO_ENABLED=0"}, "go", "install", module)
}

// compile builds a program. No path, build id or state of the checkout gets into it, so it is the same wherever it is built.
func (b *build) compile(ctx context.Context, t Target) error {
	file := b.program(t)
	env := []string{"CGO_ENABLED=0", "GOFLAGS=", "GOOS=" + t.OS, "GOARCH=" + t.Arch, "GOARM=" + t.ARM, "GOAMD64=v1"}
	err := b.run(ctx, env, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version="+b.Release.Version, "-o", file, source(t.Program))
	if err != nil || t.OS != "windows" {
		return err
	}
	return Describe(file, Description{
		Product: t.Program, Text: "communewatch agent", Company: "communewatch", Version: b.Release.Version, File: t.file(),
	})
}

// pack makes a package of Linux.
func (b *build) pack(ctx context.Context, packager, kind string, t Target) error {
	room := strings.TrimPrefix(t.Program, "communewatch-")
	env := []string{"ARCH=" + t.PackagedArch, "VERSION=" + b.Release.Packaged(), "BIN=" + filepath.Dir(b.program(t)), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.Release.Time.Unix())}
	return b.run(ctx, env, packager, "package", "--config", filepath.Join("deploy/packages/files", room, "nfpm.yaml"), "--packager", kind, "--target", b.Dist)
}

// list writes what a program is made of, read from the program itself.
func (b *build) list(ctx context.Context, lister string, t Target) error {
	file := filepath.Join(b.Dist, t.Program+"_"+b.Release.Packaged()+"_"+t.folder()+".cdx.json")
	if err := b.run(ctx, nil, lister, "bin", "-json", "-noserial", "-notimestamp", "-version", b.Release.Version, "-output", file, b.program(t)); err != nil {
		return err
	}
	if err := settle(file, b.Release); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return nil
}

// Release is what is built.
type Release struct {
	Version string    // as git describes it; what the programs say
	Time    time.Time // of the commit
}
