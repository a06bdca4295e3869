package enroll

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"strings"
)

// Sizes of what a join code is made of, in bytes.
const (
	SecretBytes  = 10 // 80 bits, which nobody finds by asking a collector
	PinBytes     = 16
	maxAddresses = 4
	maxAddress   = 100
	maxCode      = 2000 // characters, with what people put between them
)

// Pin tells an authority by its key: the first bytes of the SHA-256 of its SubjectPublicKeyInfo. The zero Pin is none.
type Pin [PinBytes]byte

// PinOf is the pin of a certificate's key.
func PinOf(cert *x509.Certificate) Pin {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return Pin(sum[:PinBytes])
}

func (p Pin) String() string { return fmt.Sprintf("%x", p[:]) }

// Code is a join code.
type Code struct {
	Secret    [SecretBytes]byte
	Pin       Pin
	Addresses []string // of the collector: https://host:port, in order of preference; at least one
}

// Errors of ParseCode; compare with errors.Is.
var (
	ErrNoCode  = errors.New("that is no join code; it begins with CW1-")
	ErrCut     = errors.New("the join code is not whole")
	ErrMistype = errors.New("the join code has a mistake in it")
)

// A code is codeMark and the base32 of secret, pin, addresses and a checksum over all of it, in groups of four. The
// alphabet leaves out I, L, O and U, as Crockford's does; those three are read as the digits they look like.
const (
	codeMark       = "CW1"
	groupSize      = 4
	codeCharacters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

var (
	codeAlphabet = base32.NewEncoding(codeCharacters).WithPadding(base32.NoPadding)
	lookAlikes   = strings.NewReplacer("O", "0", "I", "1", "L", "1")
)

// String writes the code as people read it out: CW1-XXXX-XXXX-... It panics on addresses that Validate refuses.
func (c Code) String() string {
	if err := c.Validate(); err != nil {
		panic(err)
	}
	// The length first, so that a code that was cut says so.
	body := []byte{0}
	body = append(append(body, c.Secret[:]...), c.Pin[:]...)
	for _, a := range c.Addresses {
		host := strings.TrimPrefix(a, "https://")
		body = append(append(body, byte(len(host))), host...)
	}
	body[0] = byte(len(body) + crc32.Size)
	body = binary.BigEndian.AppendUint32(body, crc32.ChecksumIEEE(body))
	text := codeAlphabet.EncodeToString(body)
	var b strings.Builder
	b.WriteString(codeMark)
	for i := 0; i < len(text); i += groupSize {
		b.WriteByte('-')
		b.WriteString(text[i:min(i+groupSize, len(text))])
	}
	return b.String()
}

// Validate checks that the code can be written.
func (c Code) Validate() error {
	if len(c.Addresses) == 0 || len(c.Addresses) > maxAddresses {
		return fmt.Errorf("join code: give 1 to %d addresses of the collector (found %d)", maxAddresses, len(c.Addresses))
	}
	total := 1 + SecretBytes + PinBytes + crc32.Size
	for _, a := range c.Addresses {
		if err := CheckAddress(a); err != nil {
			return fmt.Errorf("join code: %w", err)
		}
		total += 1 + len(a) - len("https://")
	}
	if total > 255 {
		return fmt.Errorf("join code: the addresses are %d bytes too long together", total-255)
	}
	return nil
}

// CheckAddress checks that a is a collector's address as agents are given them: https://host or https://host:port.
func CheckAddress(a string) error {
	u, err := url.Parse(a)
	if err != nil || u.Scheme != "https" || u.Host == "" || a != "https://"+u.Host || u.Hostname() == "" {
		return fmt.Errorf("%.120q is not an address such as https://collector.example.gov.vn:8443", a)
	}
	if len(a) > maxAddress {
		return fmt.Errorf("the address %.40q... is longer than %d characters", a, maxAddress)
	}
	return nil
}

// lengthMistyped reports whether a code is whole but for one of the two characters that its length is in: it would seem to
// be cut, and people would look for what is missing at its end.
func lengthMistyped(clean string) bool {
	for i := range min(2, len(clean)) {
		for _, r := range codeCharacters {
			text := clean[:i] + string(r) + clean[i+1:]
			body, err := codeAlphabet.DecodeString(text)
			if err == nil && len(body) > crc32.Size && int(body[0]) == len(body) && checksumFits(body) {
				return true
			}
		}
	}
	return false
}

func checksumFits(body []byte) bool {
	sum := len(body) - crc32.Size
	return crc32.ChecksumIEEE(body[:sum]) == binary.BigEndian.Uint32(body[sum:])
}

// ParseCode reads a code as people type it: in either case, with or without the hyphens, with spaces and line ends.
func ParseCode(text string) (Code, error) {
	if len(text) > maxCode {
		return Code{}, ErrNoCode
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9' || r >= 'A' && r <= 'Z':
			return r
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r == '-' || r == ' ' || r == '\t' || r == '\r' || r == '\n':
			return -1
		}
		return '?'
	}, text)
	clean, ok := strings.CutPrefix(clean, codeMark)
	if !ok {
		return Code{}, ErrNoCode
	}
	clean = lookAlikes.Replace(clean)
	if i := strings.IndexFunc(clean, func(r rune) bool { return r == '?' || r == 'U' }); i >= 0 {
		return Code{}, fmt.Errorf("%w: group %d has a character that codes don't have", ErrMistype, i/groupSize+1)
	}
	// What is over of an incomplete code may be no whole byte.
	const perByte = 8
	whole := len(clean) * 5 / perByte
	body, err := codeAlphabet.DecodeString(clean[:codeAlphabet.EncodedLen(whole)])
	if err != nil || len(body) == 0 {
		return Code{}, fmt.Errorf("%w: it ends after %d characters", ErrCut, len(clean))
	}
	if want := codeAlphabet.EncodedLen(int(body[0])); len(clean) != want {
		if lengthMistyped(clean) {
			return Code{}, fmt.Errorf("%w: it is in the first group after CW1", ErrMistype)
		}
		why := ErrCut
		if len(clean) > want {
			why = ErrMistype
		}
		return Code{}, fmt.Errorf("%w: it has %d characters after CW1, and should have %d unless its first group is wrong", why, len(clean), want)
	}
	if len(body) < 1+SecretBytes+PinBytes+crc32.Size {
		return Code{}, fmt.Errorf("%w: it is too short", ErrMistype)
	}
	sum := len(body) - crc32.Size
	if !checksumFits(body) {
		return Code{}, fmt.Errorf("%w: its checksum does not fit", ErrMistype)
	}
	c := Code{Secret: [SecretBytes]byte(body[1:]), Pin: Pin(body[1+SecretBytes:])}
	for rest := body[1+SecretBytes+PinBytes : sum]; len(rest) > 0; {
		n := int(rest[0])
		if len(rest) < 1+n {
			return Code{}, fmt.Errorf("%w: its addresses are broken", ErrMistype)
		}
		c.Addresses = append(c.Addresses, "https://"+string(rest[1:1+n]))
		rest = rest[1+n:]
	}
	if err := c.Validate(); err != nil {
		return Code{}, fmt.Errorf("%w: %w", ErrMistype, err)
	}
	return c, nil
}
