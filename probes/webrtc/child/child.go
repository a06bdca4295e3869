// Package child runs a piece of work in a short-lived process of its own, so that a crash of it is one failed piece of
// work, and its memory is given back when it is over.
//
// The process is told what to do by JSON on its standard input, never by arguments, which anybody on the machine can
// read. Input that ends means: stop now, in good order; so a process whose parent has died stops too. On Linux the
// kernel kills it then as well. It answers with lines of JSON on its standard output, the last of which is the result.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode"

	"communewatch/probes"
)

// Limits of what a process may say.
const (
	maxLine   = 256 << 10 // bytes of a line of output
	maxLines  = 64
	maxErrors = 16 << 10 // bytes of standard error that are kept: half of them the first, half the last
)

// grace is how long a process may take to stop when it is told to.
const grace = 4 * time.Second

// Run starts command, hands it what as JSON, and gives each line that it writes to line. When ctx ends the process is
// told to stop, and killed if it does not. The error has the outcome "panic" if the process crashed, or ended with
// anything but success; line decides what of its output makes sense.
func Run(ctx context.Context, command []string, what any, line func([]byte) error) error {
	input, err := json.Marshal(what)
	if err != nil {
		return err
	}
	cmd := exec.Command(command[0], command[1:]...)
	dieWithParent(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	said := &words{}
	cmd.Stderr = said

	started, over := make(chan error, 1), make(chan error, 1)
	read := make(chan struct{})
	go func() {
		// The kernel's signal for a dead parent is for a dead thread of it: this one has to stay until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		<-read // Wait closes the pipe
		over <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return probes.Errorf(probes.OutcomeFailed, "start the process of the test: %w", err)
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	finished := make(chan struct{})
	defer close(finished)
	wg.Go(func() {
		_, err := stdin.Write(append(input, '\n'))
		if err == nil {
			select {
			case <-ctx.Done():
			case <-finished:
			}
		}
		stdin.Close()
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			_ = cmd.Process.Kill()
		case <-finished:
		}
	})

	lineErr := readLines(stdout, line)
	if lineErr != nil {
		_ = cmd.Process.Kill()
	}
	_, _ = io.Copy(io.Discard, stdout)
	close(read)
	err = <-over
	switch {
	case err != nil && lineErr == nil:
		return probes.Errorf(probes.OutcomePanic, "the process of the test ended with %w: %s", err, said.cause())
	case lineErr != nil:
		return probes.Errorf(probes.OutcomePanic, "the process of the test said what can't be read: %w: %s", lineErr, said.cause())
	}
	return nil
}

func readLines(r io.Reader, line func([]byte) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4<<10), maxLine)
	for n := 0; s.Scan(); n++ {
		if n >= maxLines {
			return fmt.Errorf("more than %d lines", maxLines)
		}
		if err := line(s.Bytes()); err != nil {
			return err
		}
	}
	return s.Err()
}

// words keeps the beginning and the end of what a process says on its standard error.
type words struct {
	mu         sync.Mutex // guards the fields below
	head, tail []byte
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := b
	if room := maxErrors/2 - len(w.head); room > 0 {
		n := min(room, len(rest))
		w.head, rest = append(w.head, rest[:n]...), rest[n:]
	}
	w.tail = append(w.tail, rest...)
	if extra := len(w.tail) - maxErrors/2; extra > 0 {
		w.tail = append(w.tail[:0], w.tail[extra:]...)
	}
	return len(b), nil
}

// cause is the line that tells most: the one with which Go reports a crash, else the last.
func (w *words) cause() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := "nothing was said why"
	for l := range strings.Lines(string(w.head) + string(w.tail)) {
		l = strings.TrimSpace(strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return ' '
			}
			return r
		}, l))
		if l == "" {
			continue
		}
		last = l
		if strings.HasPrefix(l, "panic: ") || strings.HasPrefix(l, "fatal error: ") {
			break
		}
	}
	if len(last) > 300 {
		last = strings.ToValidUTF8(last[:300], "")
	}
	return last
}

// Serve is the process's side: it reads one value from in, then runs work with a context that ends when in does. What
// work sends is written to out, a line each.
func Serve[T any](in io.Reader, out io.Writer, work func(ctx context.Context, what T, send func(any) error) error) error {
	r := bufio.NewReader(in)
	var what T
	first, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(first, &what)
	}
	if err != nil {
		return errors.New("this command is for the agent itself: it is told what to do on its standard input")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // until the parent closes its end, at the latest when this process ends
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	var mu sync.Mutex
	return work(ctx, what, func(v any) error {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		_, err = out.Write(append(line, '\n'))
		return err
	})
}
