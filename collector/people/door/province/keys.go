package province

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"slices"
)

// algorithms are those of signatures that are believed: none that needs a shared secret, and not "none".
func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// rawKey is a key of a provider's set (RFC 7517).
type rawKey struct {
	Type  string `json:"kty"`
	ID    string `json:"kid"`
	Use   string `json:"use"`
	Alg   string `json:"alg"`
	N     string `json:"n"`
	E     string `json:"e"`
	Curve string `json:"crv"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

// key is a key that can be used.
type key struct {
	public crypto.PublicKey
	algs   []string
}

func (k key) takes(alg string) bool { return slices.Contains(k.algs, alg) }

const (
	maxKeys     = 100
	leastRSA    = 2048
	mostRSA     = 16384
	mostKeyText = 8192
)

// readKeys takes what can be used of a set; what can't, such as a key for encryption, is left out.
func readKeys(raw []rawKey) map[string]key {
	out := map[string]key{}
	for _, r := range raw[:min(len(raw), maxKeys)] {
		if r.Use != "" && r.Use != "sig" {
			continue
		}
		k, ok := r.key()
		if !ok {
			continue
		}
		if r.Alg != "" {
			if !k.takes(r.Alg) {
				continue
			}
			k.algs = []string{r.Alg}
		}
		out[r.ID] = k
	}
	return out
}

func (r *rawKey) key() (key, bool) {
	switch r.Type {
	case "RSA":
		n, okN := number(r.N)
		e, okE := number(r.E)
		if !okN || !okE || n.BitLen() < leastRSA || n.BitLen() > mostRSA || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return key{}, false
		}
		return key{&rsa.PublicKey{N: n, E: int(e.Int64())}, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}}, true
	case "EC":
		curve, alg := elliptic.Curve(nil), ""
		switch r.Curve {
		case "P-256":
			curve, alg = elliptic.P256(), "ES256"
		case "P-384":
			curve, alg = elliptic.P384(), "ES384"
		case "P-521":
			curve, alg = elliptic.P521(), "ES512"
		default:
			return key{}, false
		}
		x, okX := bytesOf(r.X)
		y, okY := bytesOf(r.Y)
		size := (curve.Params().BitSize + 7) / 8
		if !okX || !okY || len(x) != size || len(y) != size {
			return key{}, false
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y)) // looks whether it is on the curve
		return key{public, []string{alg}}, err == nil
	case "OKP":
		x, ok := bytesOf(r.X)
		if r.Curve != "Ed25519" || !ok || len(x) != ed25519.PublicKeySize {
			return key{}, false
		}
		return key{ed25519.PublicKey(x), []string{"EdDSA"}}, true
	}
	return key{}, false
}

func bytesOf(text string) ([]byte, bool) {
	if text == "" || len(text) > mostKeyText {
		return nil, false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	return b, err == nil
}

func number(text string) (*big.Int, bool) {
	b, ok := bytesOf(text)
	return new(big.Int).SetBytes(b), ok
}
