package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// terminal makes a terminal, and returns the side of the person and that of the program.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestATerminalDoesNotShowThePasswordAndAsksTwice(t *testing.T) {
	for name, c := range map[string]struct {
		typed string
		twice bool
		want  string
	}{
		"to sign":       {"correct horse\n", false, ""},
		"of a new key":  {"correct horse\ncorrect horse\n", true, ""},
		"mistyped once": {"correct horse\ncorrect house\n", true, "differ"},
	} {
		person, program := terminal(t)
		was, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		cmd := &cobra.Command{}
		prompts := &prompted{after: func(n int) { // types a line when it is asked for it
			lines := strings.SplitAfter(c.typed, "\n")
			if n < len(lines) {
				_, _ = person.WriteString(lines[n])
			}
		}, to: &shown}
		cmd.SetErr(prompts)
		got, err := (&password{stdin: program}).read(cmd, c.twice)
		if c.want == "" && (err != nil || got != "correct horse") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		now, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil || now.Lflag != was.Lflag {
			t.Errorf("%s: the terminal is left as %x, was %x (%v)", name, now.Lflag, was.Lflag, err)
		}
		if _, err := program.WriteString("end\n"); err != nil {
			t.Fatal(err)
		}
		echo := make([]byte, 1000)
		n, err := person.Read(echo)
		if err != nil || strings.Contains(string(echo[:n]), "correct") || !strings.Contains(string(echo[:n]), "end") {
			t.Errorf("%s: the terminal shows %q (%v)", name, echo[:n], err)
		}
	}
}

// prompted calls after at each prompt.
type prompted struct {
	after func(n int)
	to    *bytes.Buffer
	n     int
}

func (p *prompted) Write(data []byte) (int, error) {
	if strings.HasSuffix(string(data), ": ") {
		p.after(p.n)
		p.n++
	}
	return p.to.Write(data)
}
