// Package leaks reads what a run of tests says and searches all of it for secrets: what is planted in tests to be found,
// and whatever has the shape of a secret of the product.
//
// A test that looks for the secrets it knows in the log it knows proves something of itself alone. A secret that leaks
// does so where nobody looked: in the error of another room, in the log of a child process, in the output of a tool. So
// tests that hold secrets take ones that begin with "planted", rooms under test log to the test (t.Output), and the whole
// run is read, line by line, whether or not a test was content with it. go test says all that only when it is asked for
// details; they are kept from the screen here, unless a test fails.
package leaks

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// shapes are those of secrets. A code on paper is long, so that the beginning of one, in an example, is none.
var shapes = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"a planted secret", regexp.MustCompile(`(?i)\bplanted-[a-z0-9][a-z0-9-]{3,}|\bplanted (?:password [0-9a-f]{4}|client secret)\b`)},
	{"a token or an API key", regexp.MustCompile(`\bcw1k?_[a-z0-9]{8}_[a-z2-7]{40,}`)},
	{"a join code", regexp.MustCompile(`\bCW1-(?:[0-9A-Z]{4}-){10,}`)},
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
}

// maxLineBytes bounds what is put together of a line that comes in pieces.
const maxLineBytes = 1 << 20

// Leak is a secret in an output.
type Leak struct {
	Where string // the test, or the room
	What  string
	Line  string // with the secret blacked out but for its beginning
}

func (l Leak) String() string { return fmt.Sprintf("%s: %s: %s", l.Where, l.What, l.Line) }

// Search returns what looks like a secret in a line.
func Search(where, line string) (found []Leak) {
	for _, s := range shapes {
		if s.pattern.MatchString(line) {
			hidden := s.pattern.ReplaceAllStringFunc(line, func(secret string) string { return secret[:min(len(secret), 12)] + "***" })
			found = append(found, Leak{Where: where, What: s.what, Line: strings.TrimSpace(hidden)})
		}
	}
	return found
}

// event is what go test -json says (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Output     string
}

// Run is what is known of a run of tests.
type Run struct {
	Leaks  []Leak
	Failed int // rooms
	Lines  int // that were searched
}

// Read reads a run of go test -json to its end and writes to show what go test says without being asked for more: a line
// for each room, and before it what failed tests said. What is no event is shown and searched as it is.
func Read(r io.Reader, show io.Writer) (Run, error) {
	d := reading{show: show, rooms: map[string]*room{}}
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			if err := d.line(line); err != nil {
				return d.run, err
			}
		}
		if errors.Is(err, io.EOF) {
			return d.run, d.rest()
		}
		if err != nil {
			return d.run, err
		}
	}
}

// reading is a run while it is read.
type reading struct {
	run   Run
	show  io.Writer
	rooms map[string]*room // those that are not through
}

// room is what a room's tests said, until it is known how they ended. Its own words are those of the test "".
type room struct {
	tests  map[string]*test
	failed strings.Builder // what failed tests said
}

type test struct {
	said strings.Builder
	line string // that has no end yet
}

func (d *reading) line(line string) error {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		d.search("go test", line)
		return d.write(line)
	}
	if e.Action == "build-output" {
		d.search(e.ImportPath, e.Output)
		return d.write(e.Output)
	}
	if e.Package == "" {
		return nil
	}
	r := d.rooms[e.Package]
	if r == nil {
		r = &room{tests: map[string]*test{}}
		d.rooms[e.Package] = r
	}
	t := r.tests[e.Test]
	if t == nil {
		t = new(test)
		r.tests[e.Test] = t
	}
	switch e.Action {
	case "output":
		t.said.WriteString(e.Output)
		if t.line += e.Output; strings.HasSuffix(t.line, "\n") || len(t.line) > maxLineBytes {
			d.end(e.Package, e.Test, t)
		}
	case "pass", "skip", "fail":
		d.end(e.Package, e.Test, t)
		if e.Test == "" {
			return d.through(e.Package, r, e.Action == "fail")
		}
		if e.Action == "fail" {
			r.failed.WriteString(t.said.String())
		}
		delete(r.tests, e.Test)
	}
	return nil
}

// end searches a line that is whole now.
func (d *reading) end(room, name string, t *test) {
	if name != "" {
		room += "." + name
	}
	d.search(room, t.line)
	t.line = ""
}

func (d *reading) search(where, line string) {
	if line == "" {
		return
	}
	d.run.Lines++
	d.run.Leaks = append(d.run.Leaks, Search(where, line)...)
}

// through shows what is to be said of a room.
func (d *reading) through(name string, r *room, failed bool) error {
	delete(d.rooms, name)
	own := r.tests[""].said.String()
	if !failed {
		own = strings.TrimSuffix(own, "\n")
		return d.write(own[strings.LastIndexByte(own, '\n')+1:] + "\n") // ok, its name, how long it took
	}
	d.run.Failed++
	for _, unfinished := range slices.Sorted(maps.Keys(r.tests)) { // by a panic, or by the limit of time
		if unfinished != "" {
			r.failed.WriteString(r.tests[unfinished].said.String())
		}
	}
	return d.write(r.failed.String() + own)
}

// rest shows what is known of rooms that did not come to an end.
func (d *reading) rest() error {
	for _, name := range slices.Sorted(maps.Keys(d.rooms)) {
		r := d.rooms[name]
		if r.tests[""] == nil {
			r.tests[""] = new(test)
		}
		for _, t := range slices.Sorted(maps.Keys(r.tests)) {
			d.end(name, t, r.tests[t])
		}
		if err := d.through(name, r, true); err != nil {
			return err
		}
	}
	return nil
}

func (d *reading) write(text string) error {
	_, err := io.WriteString(d.show, text)
	return err
}
