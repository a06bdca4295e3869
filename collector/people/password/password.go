// Package password keeps what people choose to sign in with: as an argon2id hash (RFC 9106), which costs whoever stole
// the file memory and time for each guess, and the collector some of both for each sign-in. So only a few are worked out
// at the same time, few wait, and everybody else is told to come back: guessing passwords can't take the memory that
// measuring needs.
//
// Passwords are compared in Unicode's composed form (NFC): "ệ" is typed as one letter on one keyboard and as three on
// another.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Cost is what a hash takes.
type Cost struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

// DefaultCost is above the least that OWASP names (19 MiB, two passes) and below RFC 9106's second choice in memory:
// about 0.1 s of one core of a small server.
func DefaultCost() Cost { return Cost{MemoryKiB: 64 << 10, Passes: 2, Lanes: 1} }

const (
	saltBytes = 16
	hashBytes = 32
	// Bounds of the cost in a hash that is read from the file: what is damaged must not take all memory.
	maxMemoryKiB = 1 << 20
	maxPasses    = 64
	maxLanes     = 16

	leastRunes = 10  // NIST SP 800-63B asks for eight, and for no rules about signs
	mostBytes  = 200 // a sentence
)

// Hasher works hashes out. Make it with New. All methods may be called concurrently.
type Hasher struct {
	cost    Cost
	places  chan struct{} // one for each that is worked out
	waiting chan struct{} // one for each that is worked out or waits
	nobody  string        // a hash that no password has
}

// ErrBusy is returned when too many wait already.
var ErrBusy = errors.New("too many sign in at the same time; try again in a moment")

// New returns a Hasher that works out so many at the same time, while at most eight times as many wait.
func New(cost Cost, atOnce int) *Hasher {
	h := &Hasher{cost: cost, places: make(chan struct{}, atOnce), waiting: make(chan struct{}, 9*atOnce)}
	h.nobody = h.made(rand.Text())
	return h
}

// enter takes a place, and returns how to give it back.
func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.waiting <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	select {
	case h.places <- struct{}{}:
		return func() { <-h.places; <-h.waiting }, nil
	case <-ctx.Done():
		<-h.waiting
		return nil, ctx.Err()
	}
}

// Hash returns what is kept of a password.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return h.made(password), nil
}

func (h *Hasher) made(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails
	return encode(h.cost, salt, derive(h.cost, password, salt, hashBytes))
}

func derive(c Cost, password string, salt []byte, n uint32) []byte {
	return argon2.IDKey([]byte(norm.NFC.String(password)), salt, c.Passes, c.MemoryKiB, c.Lanes, n)
}

// Verify reports whether a password has a hash, and whether the hash is to be made anew because the cost has changed. An
// empty hash takes as long as any other and has no password: who asks learns nothing from the time that an answer takes.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, old bool, err error) {
	known := hash != ""
	if !known {
		hash = h.nobody
	}
	cost, salt, want, err := decode(hash)
	if err != nil {
		return false, false, err
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	if len(password) > mostBytes {
		password = password[:mostBytes] // it can't be right; the work stays the same
		known = false
	}
	got := derive(cost, password, salt, uint32(len(want)))
	ok = subtle.ConstantTimeCompare(got, want) == 1 && known
	return ok, ok && cost != h.cost, nil
}

var b64 = base64.RawStdEncoding.Strict()

func encode(c Cost, salt, hash []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.MemoryKiB, c.Passes, c.Lanes, b64.EncodeToString(salt), b64.EncodeToString(hash))
}

// errDamaged says nothing of the hash: an error may be logged.
var errDamaged = errors.New("the kept hash of the password is damaged; set a new one with: communewatch-collector user password NAME")

func decode(text string) (c Cost, salt, hash []byte, err error) {
	fail := func() (Cost, []byte, []byte, error) { return Cost{}, nil, nil, errDamaged }
	part := strings.Split(text, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != "v="+strconv.Itoa(argon2.Version) {
		return fail()
	}
	costs := strings.Split(part[3], ",")
	if len(costs) != 3 {
		return fail()
	}
	var n [3]uint64
	for i, mark := range []string{"m=", "t=", "p="} {
		digits, found := strings.CutPrefix(costs[i], mark)
		if n[i], err = strconv.ParseUint(digits, 10, 32); err != nil || !found {
			return fail()
		}
	}
	if n[0] < 8 || n[0] > maxMemoryKiB || n[1] < 1 || n[1] > maxPasses || n[2] < 1 || n[2] > maxLanes {
		return fail()
	}
	c = Cost{MemoryKiB: uint32(n[0]), Passes: uint32(n[1]), Lanes: uint8(n[2])}
	salt, err1 := b64.DecodeString(part[4])
	hash, err2 := b64.DecodeString(part[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(hash) < 16 || len(hash) > 64 {
		return fail()
	}
	return c, salt, hash, nil
}

// Why a password is not taken.
var (
	ErrShort   = fmt.Errorf("the password is shorter than %d characters; a few words are easy to keep in mind", leastRunes)
	ErrLong    = fmt.Errorf("the password is longer than %d bytes", mostBytes)
	ErrKnown   = errors.New("the password is one that everybody tries first; choose a few words of your own")
	ErrLetters = errors.New("the password has characters that can't be typed")
)

// Check says why a password is not taken for an account of that name; nil: it is. There are no rules about signs and
// digits: length is what counts.
func Check(password, name string) error {
	text := norm.NFC.String(password)
	switch {
	case !utf8.ValidString(password), strings.ContainsFunc(password, unicode.IsControl):
		return ErrLetters
	case len(password) > mostBytes:
		return ErrLong
	case utf8.RuneCountInString(text) < leastRunes:
		return ErrShort
	}
	plain := strings.ToLower(text)
	if name != "" && strings.ReplaceAll(plain, strings.ToLower(name), "") == "" || few(plain) {
		return ErrKnown
	}
	for _, w := range []string{"password", "matkhau", "mật khẩu", "communewatch", "administrator", "qwertyuiop", "1234567890", "0123456789", "9876543210"} {
		// What is left beside it is no more than people add to please a rule.
		if strings.Contains(plain, w) && utf8.RuneCountInString(plain)-utf8.RuneCountInString(w) < 5 {
			return ErrKnown
		}
	}
	return nil
}

// few reports whether a text is of no more than three different characters.
func few(text string) bool {
	seen := map[rune]bool{}
	for _, r := range text {
		seen[r] = true
	}
	return len(seen) <= 3
}
