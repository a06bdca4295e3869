package release

import (
	"errors"
	"fmt"
	"strings"

	"aead.dev/minisign"
)

// Errors of signatures; compare with errors.Is.
var (
	ErrNoKey     = errors.New("there is no key to verify releases with; put the maker's public key into updates.keys")
	ErrForeign   = errors.New("the release is signed with another key than those in the settings")
	ErrSignature = errors.New("the signature does not fit: the manifest was changed or is damaged")
)

const maxKeys = 8

// Keys are the public keys that may sign releases. The zero Keys verify nothing.
type Keys struct{ keys []minisign.PublicKey }

// ParseKeys reads public keys as minisign writes them: the line RW..., with or without its comment.
func ParseKeys(texts []string) (Keys, error) {
	if len(texts) > maxKeys {
		return Keys{}, fmt.Errorf("%d keys are too many; the most is %d", len(texts), maxKeys)
	}
	var all Keys
	for i, text := range texts {
		var key minisign.PublicKey
		if len(text) > 500 {
			return Keys{}, fmt.Errorf("key %d: it is longer than a public key of minisign", i+1)
		}
		if err := key.UnmarshalText([]byte(strings.TrimSpace(text))); err != nil {
			return Keys{}, fmt.Errorf("key %d: it is no public key of minisign, which begins with RW", i+1)
		}
		all.keys = append(all.keys, key)
	}
	return all, nil
}

// Len is how many keys there are.
func (k Keys) Len() int { return len(k.keys) }

// Verify checks the signature over a manifest, and only then reads it.
func Verify(manifest, signature []byte, keys Keys) (*Manifest, error) {
	if len(keys.keys) == 0 {
		return nil, ErrNoKey
	}
	if len(manifest) > MaxManifest || len(signature) > MaxSignature {
		return nil, fmt.Errorf("%w: it is larger than %d bytes, or its signature than %d", ErrManifest, MaxManifest, MaxSignature)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return nil, fmt.Errorf("%w: it is no signature of minisign", ErrSignature)
	}
	known := false
	for _, key := range keys.keys {
		known = known || key.ID() == s.KeyID
		if minisign.Verify(key, manifest, signature) {
			return ParseManifest(manifest)
		}
	}
	if known {
		return nil, ErrSignature
	}
	return nil, fmt.Errorf("%w: it says %016X", ErrForeign, s.KeyID)
}
