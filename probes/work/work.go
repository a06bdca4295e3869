// Package work is what a collector gives an agent to do: the checks of its site, as a settings document, and the
// secrets that they need.
//
// The agent asks for it (GET Path, with the ETag of what it has), after each start, now and then, and when it is told on
// the order channel to look. It checks it against its own settings (which addresses and which kinds of checks it may be
// given), keeps the last good one on disk, and goes on with that while there is no collector. What became of it, it says
// in its presence (probes/presence).
package work

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"communewatch/probes"
)

// Path is where an agent asks for its work: 200 with a Work and an ETag, 304, or 404 where nothing was assigned to it.
const Path = "/api/agent/v1/work"

// DefaultAllowed is what an agent lets checks from the collector speak to where its own settings say nothing under
// allow.addresses: where offices and the province's own services are (RFC 1918, RFC 6598, RFC 4193).
func DefaultAllowed() []netip.Prefix {
	p := netip.MustParsePrefix
	return []netip.Prefix{p("10.0.0.0/8"), p("172.16.0.0/12"), p("192.168.0.0/16"), p("100.64.0.0/10"), p("fc00::/7")}
}

// Limits.
const (
	MaxWork     = 1 << 20 // bytes of a Work as JSON
	maxSecrets  = 200
	maxSecret   = 4096 // bytes of a value
	MaxProblems = 20
	maxProblem  = 500 // bytes
)

// Work is everything that an agent is to do.
type Work struct {
	Version int `json:"version"` // of the fleet's plan, from 1
	// Document is YAML with the keys of the agent's settings file that may be given from afar: self_interval, defaults,
	// paths (without device and source, which are the machine's), checks, meetings.
	Document string `json:"document"`
	// Secrets by name. The document refers to one as ${secret:NAME}, as the whole of a value.
	Secrets map[string]string `json:"secrets,omitempty"`
}

// Read decodes and validates a Work.
func Read(r io.Reader) (*Work, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxWork+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxWork {
		return nil, fmt.Errorf("work is larger than %d bytes", MaxWork)
	}
	var w Work
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&w); err != nil {
		return nil, fmt.Errorf("work is not understood: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("work is followed by more")
	}
	return &w, w.Validate()
}

// Validate checks the form; what the document says is for the agent to judge.
func (w *Work) Validate() error {
	if w.Version < 1 {
		return fmt.Errorf("work: version %d is below 1", w.Version)
	}
	if !utf8.ValidString(w.Document) {
		return errors.New("work: the document is not UTF-8")
	}
	if len(w.Secrets) > maxSecrets {
		return fmt.Errorf("work: %d secrets are too many; the most is %d", len(w.Secrets), maxSecrets)
	}
	for name, value := range w.Secrets {
		if err := probes.CheckName(name); err != nil {
			return fmt.Errorf("work: the name of a secret: %w", err)
		}
		if value == "" || len(value) > maxSecret || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("work: secret %s: want 1 to %d bytes without control characters", name, maxSecret)
		}
	}
	return nil
}

// State says what became of the work that an agent was given.
type State string

// The states.
const (
	StateNone    State = "none"    // the agent works by its own settings file
	StateActive  State = "active"  // it does what it was given last
	StateRefused State = "refused" // it does not, and goes on with what it had; Problems say why
)

// Status is what an agent says of its work.
type Status struct {
	State    State    `json:"state"`
	Version  int      `json:"version,omitempty"`  // of the work that it does; 0: of its settings file
	ETag     string   `json:"etag,omitempty"`     // of the work that it was given last
	Problems []string `json:"problems,omitempty"` // with place and fix, at most 20
}

// Validate checks a status.
func (s *Status) Validate() error {
	switch s.State {
	case StateNone, StateActive, StateRefused:
	default:
		return fmt.Errorf("work: state %.20q: use %s, %s or %s", s.State, StateNone, StateActive, StateRefused)
	}
	if s.Version < 0 || len(s.ETag) > 100 || !plain(s.ETag) {
		return errors.New("work: no version or no ETag")
	}
	if len(s.Problems) > MaxProblems {
		return fmt.Errorf("work: %d problems are too many; the most is %d", len(s.Problems), MaxProblems)
	}
	for _, p := range s.Problems {
		if len(p) > maxProblem || !plain(p) {
			return fmt.Errorf("work: a problem is not at most %d bytes of plain text", maxProblem)
		}
	}
	return nil
}

// Problem makes a text fit to be one of Problems.
func Problem(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	for len(text) > maxProblem {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }
