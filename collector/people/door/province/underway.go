package province

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

// A sign-in under way is kept by the browser that began it, sealed in a cookie, and not here: whoever begins many of them
// fills nothing, and can keep nobody else from signing in. The key is of this process, so that a restart ends what is under
// way.

// begun is a sign-in under way.
type begun struct {
	State, Nonce, Verifier, Next string
	At                           time.Time
}

const (
	underWayFor = 10 * time.Minute
	maxCookie   = 4000 // of its value: browsers keep little more
	// mostSpent bounds what is remembered of sign-ins that succeeded, each of which took somebody whom the provider knows.
	mostSpent = 10_000
)

const (
	cookieTLS   = "__Host-communewatch-sso"
	cookiePlain = "communewatch-sso"
)

func (o *SignOn) cookie(r *http.Request, value string) *http.Cookie {
	c := &http.Cookie{Name: cookiePlain, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(underWayFor / time.Second)}
	if r.TLS != nil {
		c.Name, c.Secure = cookieTLS, true
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

func newSeal() (cipher.AEAD, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealed is a sign-in under way as its browser keeps it.
func (o *SignOn) sealed(b begun) string {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // texts and a time can be written
	}
	return base64.RawURLEncoding.EncodeToString(o.seal.Seal(nil, nil, text, nil))
}

// begun is the sign-in that a browser has under way, if it began here and not too long ago.
func (o *SignOn) begun(r *http.Request) (b begun, ok bool) {
	name := cookiePlain
	if r.TLS != nil {
		name = cookieTLS
	}
	c, err := r.Cookie(name)
	if err != nil {
		return begun{}, false
	}
	return o.opened(c.Value)
}

func (o *SignOn) opened(value string) (b begun, ok bool) {
	if len(value) > maxCookie {
		return begun{}, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return begun{}, false
	}
	text, err := o.seal.Open(nil, nil, sealed, nil)
	if err != nil || json.Unmarshal(text, &b) != nil || o.now().Sub(b.At).Abs() > underWayFor {
		return begun{}, false
	}
	return b, true
}

// spend reports whether nobody was signed in by this sign-in before.
func (o *SignOn) spend(b begun) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, spent := o.spent[b.Nonce]
	if spent {
		return false
	}
	for nonce, at := range o.spent {
		if b.At.Sub(at).Abs() > 2*underWayFor || len(o.spent) >= mostSpent {
			delete(o.spent, nonce)
		}
	}
	o.spent[b.Nonce] = b.At
	return true
}
