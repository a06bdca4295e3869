package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Product is what a manifest must be about. A signature over anything else that the same key signed is worth nothing.
const Product = "communewatch-agent"

// Limits.
const (
	MaxManifest  = 64 << 10 // bytes
	MaxSignature = 2 << 10
	MaxOffer     = 256 << 10 // bytes of an Offer as JSON
	MaxFile      = 256 << 20
	maxFiles     = 32
	maxNotes     = 8 << 10
)

// Manifest describes a release.
type Manifest struct {
	Product string    `json:"product"`
	Version Version   `json:"version"`
	Built   time.Time `json:"built"`
	Expires time.Time `json:"expires"` // nobody takes it after that
	Notes   string    `json:"notes,omitempty"`
	// From is the least version that may update to this one; 0.0.0 for any.
	From Version `json:"from"`
	// Rollback says that it may take the place of a newer version, because that turned out to be bad.
	Rollback bool   `json:"rollback,omitempty"`
	Files    []File `json:"files"`
}

// File is the binary for one platform.
type File struct {
	OS     string `json:"os"`   // as Go names them: linux, windows
	Arch   string `json:"arch"` // amd64, arm64, arm
	Name   string `json:"name"` // in the release's folder
	Size   int64  `json:"size_bytes"`
	SHA256 string `json:"sha256"` // in hexadecimal digits
}

// Errors about releases; compare with errors.Is. Their texts are for people.
var (
	ErrManifest  = errors.New("the manifest is not understood")
	ErrExpired   = errors.New("the release has expired; sign it anew, or check the machine's clock")
	ErrSame      = errors.New("this version runs already")
	ErrOlder     = errors.New("the release is older than what runs, and not signed as a rollback")
	ErrTooOld    = errors.New("what runs is too old to update to this release; update to one between them first")
	ErrPlatform  = errors.New("the release has no binary for this machine")
	ErrUnversion = errors.New("what runs has no version of a release, so it can't be told what is newer; install a package")
)

var (
	fileNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	sumPattern      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	platformPattern = regexp.MustCompile(`^[a-z0-9]{1,20}$`)
)

// ParseManifest reads a manifest strictly. It says nothing about who made it: Verify does.
func ParseManifest(data []byte) (*Manifest, error) {
	if len(data) > MaxManifest {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrManifest, MaxManifest)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var m Manifest
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: it is followed by more", ErrManifest)
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return &m, nil
}

// Validate checks a manifest's form.
func (m *Manifest) Validate() error {
	switch {
	case m.Product != Product:
		return fmt.Errorf("it is about %.40q, not about %s", m.Product, Product)
	case m.Built.IsZero() || !m.Expires.After(m.Built):
		return errors.New("built and expires: want two times, the second after the first")
	case len(m.Notes) > maxNotes || !utf8.ValidString(m.Notes) || strings.ContainsFunc(m.Notes, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }):
		return fmt.Errorf("notes: use at most %d bytes of plain text", maxNotes)
	case m.Version == (Version{}):
		return errors.New("version: 0.0.0 is none")
	case len(m.Files) == 0 || len(m.Files) > maxFiles:
		return fmt.Errorf("files: want 1 to %d (found %d)", maxFiles, len(m.Files))
	}
	for i, f := range m.Files {
		switch {
		case !fileNamePattern.MatchString(f.Name) || f.Name == ManifestFile || f.Name == SignatureFile:
			return fmt.Errorf("files: %.120q is no plain file name", f.Name)
		case !platformPattern.MatchString(f.OS) || !platformPattern.MatchString(f.Arch):
			return fmt.Errorf("files: %s: %.20q/%.20q is no platform such as linux/amd64", f.Name, f.OS, f.Arch)
		case f.Size <= 0 || f.Size > MaxFile:
			return fmt.Errorf("files: %s: size_bytes: want 1 to %d (found %d)", f.Name, MaxFile, f.Size)
		case !sumPattern.MatchString(f.SHA256):
			return fmt.Errorf("files: %s: sha256: want 64 hexadecimal digits", f.Name)
		}
		if slices.ContainsFunc(m.Files[:i], func(o File) bool { return o.Name == f.Name || o.OS == f.OS && o.Arch == f.Arch }) {
			return fmt.Errorf("files: %s: its name or its platform comes twice", f.Name)
		}
	}
	return nil
}

// File finds the binary for a platform.
func (m *Manifest) File(os, arch string) (File, bool) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.OS == os && f.Arch == arch })
	if i < 0 {
		return File{}, false
	}
	return m.Files[i], true
}

// For finds the binary with which an agent that runs version running on a platform is to go on, or says why it must not.
func (m *Manifest) For(running, os, arch string, now time.Time) (File, error) {
	if now.After(m.Expires) {
		return File{}, fmt.Errorf("%w (it was good until %s)", ErrExpired, m.Expires.UTC().Format(time.DateOnly))
	}
	have, err := ParseVersion(running)
	if err != nil {
		return File{}, ErrUnversion
	}
	switch c := m.Version.Compare(have); {
	case c == 0:
		return File{}, ErrSame
	case c < 0 && !m.Rollback:
		return File{}, fmt.Errorf("%w: %v is offered, %v runs", ErrOlder, m.Version, have)
	case have.Compare(m.From) < 0:
		return File{}, fmt.Errorf("%w: %v takes %v and above, %v runs", ErrTooOld, m.Version, m.From, have)
	}
	f, ok := m.File(os, arch)
	if !ok {
		return File{}, fmt.Errorf("%w, which is %s/%s", ErrPlatform, os, arch)
	}
	return f, nil
}

// Offer is how a collector hands a release to an agent. Nothing of it is to be believed but what Verify returns.
type Offer struct {
	Version   Version `json:"version"`   // for what the agent says of it; the manifest's counts
	Manifest  string  `json:"manifest"`  // the file, byte for byte
	Signature string  `json:"signature"` // the file
	// Rollout counts roll-outs: a higher one offers anew what an agent gave up in a lower one. 0: not said.
	Rollout int64 `json:"rollout,omitempty"`
}

// ReadOffer reads an Offer, bounded.
func ReadOffer(r io.Reader) (*Offer, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxOffer+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxOffer {
		return nil, fmt.Errorf("the offer is larger than %d bytes", MaxOffer)
	}
	var o Offer
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&o); err != nil {
		return nil, fmt.Errorf("the offer is not understood: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("the offer is followed by more")
	}
	if len(o.Manifest) > MaxManifest || len(o.Signature) > MaxSignature {
		return nil, errors.New("the offer's manifest or signature is too large")
	}
	return &o, nil
}
