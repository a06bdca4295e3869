// Command communewatch-tests runs go test with the arguments it is given, shows what go test shows, and searches all that
// the tests said for secrets. It fails if a test fails, and if a secret was found. `make test` runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"communewatch/deploy/leaks"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "communewatch-tests: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout // so that it is searched too
	if err := cmd.Start(); err != nil {
		return err
	}
	said, err := leaks.Read(out, os.Stdout)
	if err = errors.Join(err, cmd.Wait()); err != nil {
		err = fmt.Errorf("go test: %w", err) // whatever was found, it does not hide that
	}
	for _, l := range said.Leaks {
		fmt.Fprintf(os.Stderr, "secret in the output: %s\n", l)
	}
	if len(said.Leaks) > 0 {
		err = errors.Join(err, fmt.Errorf("%d lines of the output hold secrets", len(said.Leaks)))
	}
	if err == nil && said.Lines == 0 {
		return errors.New("the tests said nothing, so nothing was searched")
	}
	return err
}
