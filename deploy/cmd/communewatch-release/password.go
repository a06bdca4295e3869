package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
)

const (
	minPassword = 8
	maxPassword = 1000 // bytes that are read
)

// password is how the private key's password comes in: from a file, or from standard input. A terminal does not show it.
type password struct {
	file  string
	stdin io.Reader
}

func (p *password) flag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "password-file", "", "`file` with the password of the private key (default: standard input)")
}

// read reads the password; with twice, at a terminal, two times, since nobody can use a key whose password was mistyped.
func (p *password) read(cmd *cobra.Command, twice bool) (string, error) {
	if p.file != "" {
		f, err := os.Open(p.file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return line(bufio.NewReader(io.LimitReader(f, maxPassword)))
	}
	in := bufio.NewReader(io.LimitReader(p.stdin, 2*maxPassword))
	say := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format, args...) }
	restore, hidden := func() {}, false
	if f, ok := p.stdin.(*os.File); ok {
		restore, hidden = hide(f)
	}
	if !hidden {
		say("password of the private key: ")
		return line(in)
	}
	defer restore()
	defer restoredOnInterrupt(restore)()
	say("password of the private key (it is not shown): ")
	first, err := line(in)
	say("\n")
	if err != nil || !twice {
		return first, err
	}
	say("the same once more: ")
	second, err := line(in)
	say("\n")
	if err == nil && first != second {
		err = errors.New("the two passwords differ; no key was made")
	}
	return first, err
}

// restoredOnInterrupt keeps a terminal from staying mute when the command is broken off.
func restoredOnInterrupt(restore func()) (done func()) {
	broken, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(broken, os.Interrupt)
	go func() {
		select {
		case <-broken:
			restore()
			os.Exit(1)
		case <-over:
		}
	}()
	return func() { signal.Stop(broken); close(over) }
}

func line(in *bufio.Reader) (string, error) {
	text, err := in.ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if text = strings.TrimRight(text, "\r\n"); len(text) < minPassword {
		return "", fmt.Errorf("a password has at least %d characters", minPassword)
	}
	return text, nil
}
