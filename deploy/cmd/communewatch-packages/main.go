// Command communewatch-packages builds what is installed: deb, rpm, a zip for Windows, a container image, checksums and
// lists of contents. `make packages` runs it. Everything is in package packages.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"communewatch/deploy/packages"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dist := flag.String("dist", "dist", "`folder` that is emptied and filled")
	tools := flag.String("tools", "bin/tools", "`folder` that keeps the packager between builds")
	flag.Parse()
	if err := run(ctx, *dist, *tools); err != nil {
		fmt.Fprintf(os.Stderr, "communewatch-packages: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dist, tools string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, "deploy/packages/files")); err != nil {
		return fmt.Errorf("run it in the source's root: %w", err)
	}
	release, err := packages.Describes(ctx, root, os.Getenv)
	if err != nil {
		return err
	}
	o := packages.Options{Root: root, Release: release, Targets: packages.Targets(), Say: os.Stdout}
	if o.Dist, err = filepath.Abs(dist); err != nil {
		return err
	}
	if o.Tools, err = filepath.Abs(tools); err != nil {
		return err
	}
	if err := packages.Build(ctx, o); err != nil {
		return err
	}
	fmt.Printf("packages: version %s is in %s\n", release.Packaged(), o.Dist)
	return nil
}
