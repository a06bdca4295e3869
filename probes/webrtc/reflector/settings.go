package reflector

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// CheckMedia says what is wrong with Options.Media, nil if it can be listened on as far as its form goes.
func CheckMedia(address string) error {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return fmt.Errorf("%q: want address:port, for example 192.0.2.10:8788 or 0.0.0.0:8788", address)
	}
	return nil
}

// ParseAddresses reads Options.Addresses: at most one of IPv4 and one of IPv6.
func ParseAddresses(texts []string) ([]netip.Addr, error) {
	var out []netip.Addr
	seen := map[bool]string{}
	for _, t := range texts {
		a, err := netip.ParseAddr(t)
		if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
			return nil, fmt.Errorf("%q is no address that callers could reach, such as 198.51.100.7", t)
		}
		a = a.Unmap()
		if other, twice := seen[a.Is4()]; twice {
			return nil, fmt.Errorf("%s and %s: at most one IPv4 address and one IPv6 address", other, t)
		}
		seen[a.Is4()] = t
		out = append(out, a)
	}
	return out, nil
}

const (
	maxTokenFile = 64 << 10
	maxTokens    = 100
)

// ReadTokens reads a file of tokens, one a line; empty lines and those that begin with # are left out.
func ReadTokens(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxTokenFile {
		return nil, fmt.Errorf("%s: has more than %d bytes", file, maxTokenFile)
	}
	var tokens []string
	n := 0
	for line := range bytes.Lines(data) {
		n++
		t := string(bytes.TrimSpace(line))
		if t == "" || t[0] == '#' {
			continue
		}
		if err := CheckToken(t); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, n, err)
		}
		if tokens = append(tokens, t); len(tokens) > maxTokens {
			return nil, fmt.Errorf("%s: line %d: more than %d tokens", file, n, maxTokens)
		}
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("%s: holds no token", file)
	}
	return tokens, nil
}

// MinToken is how long a token that anybody may use has to be, in bytes.
const MinToken = 16

// CheckToken says why a token is none for Options.Tokens. It does not repeat it.
func CheckToken(token string) error {
	if len(token) < MinToken {
		return fmt.Errorf("a token of %d bytes: whoever guesses it may use it, so it wants %d at least, for example from `openssl rand -hex 16`", len(token), MinToken)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("a token is of visible ASCII characters, to fit into a header")
	}
	return nil
}
