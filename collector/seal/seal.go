// Package seal keeps secrets that have to be read again, such as communities of SNMP, so that the file they lie in does
// not give them away: a stolen copy of the registry, a backup, a disk that was sold.
//
// A value is sealed with AES-256-GCM (NIST SP 800-38D) under a key of 256 random bits, with a nonce of 96 random bits, and
// bound to its name as additional data, so that one can't be put in the place of another. Random nonces are good for 2^32
// values under one key; a fleet seals some hundreds. The key lies in a file of its own, made at first use, readable for
// the collector's user alone.
//
// What it does not protect from: whoever can read that file beside the registry, or run programs as the collector's user.
// The key is no part of backups for that reason. It has to be kept apart from them, and without it sealed values are lost
// and have to be entered again.
package seal

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// A sealed value is format:key:data, data being nonce and ciphertext in base64. A key file is a line of what it is, and a
// line for every key in hexadecimal digits, the one in use first. Former keys stay for some changes more, so that whoever
// seals with one while it is changed loses nothing, nor does a change that fails halfway.
const (
	format   = "cws1"
	keyBytes = 32
	heading  = "# Key of sealed secrets. Keep a copy apart from backups; without it they are lost."
	maxKeys  = 4
	maxFile  = 4096 // bytes
	maxValue = 1 << 16
)

// Errors; compare with errors.Is.
var (
	// ErrKey says that a value was sealed with a key that is not there.
	ErrKey = errors.New("sealed with another key")
	// ErrDamaged says that a value was changed, or belongs to another name.
	ErrDamaged = errors.New("the sealed value is damaged, or is not of this name")
)

// Box seals and opens. It may be used concurrently, and beside the Boxes of other processes on the same file. Get one from
// New; it touches no file before the first use.
type Box struct {
	file string

	mu   sync.Mutex
	keys map[string][]byte // by their ids; as last read
}

// New returns a Box whose key is in file.
func New(file string) *Box { return &Box{file: file} }

// Seal seals a value under its name. Where there is no key yet one is made.
func (b *Box) Seal(name, value string) (string, error) {
	if len(value) > maxValue {
		return "", fmt.Errorf("seal %s: the value is larger than %d bytes", name, maxValue)
	}
	// From the file each time: another process may have changed the key.
	keys, err := b.read()
	if errors.Is(err, fs.ErrNotExist) {
		keys, err = b.make()
	}
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", name, err)
	}
	key := keys[0]
	aead, err := open(key)
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", name, err)
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(value)+aead.Overhead())
	rand.Read(nonce) // never fails
	data := aead.Seal(nonce, nonce, []byte(value), bound(name))
	return format + ":" + idOf(key) + ":" + base64.RawStdEncoding.EncodeToString(data), nil
}

// Open returns what was sealed under a name. No error holds any of it.
func (b *Box) Open(name, sealed string) (string, error) {
	mark, rest, _ := strings.Cut(sealed, ":")
	id, text, ok := strings.Cut(rest, ":")
	if mark != format || !ok {
		return "", fmt.Errorf("open %s: %w; it is of no format known here, perhaps a newer version's", name, ErrDamaged)
	}
	key, err := b.key(id)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	aead, err := open(key)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	data, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(data) < aead.NonceSize() {
		return "", fmt.Errorf("open %s: %w", name, ErrDamaged)
	}
	plain, err := aead.Open(nil, data[:aead.NonceSize()], data[aead.NonceSize():], bound(name))
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, ErrDamaged)
	}
	return string(plain), nil
}

// Change makes a new key and has everything sealed with it: reseal is called with what seals anew, and has to be done with
// all values when it returns nil. Where it fails, what was sealed with the former key can still be opened. Two processes
// must not Change at once.
func (b *Box) Change(reseal func(anew func(name, sealed string) (string, error)) error) error {
	keys, err := b.read()
	if errors.Is(err, fs.ErrNotExist) {
		keys, err = b.make()
	}
	if err != nil {
		return err
	}
	fresh := newKey()
	if err := b.write(newest(append([][]byte{fresh}, keys...))); err != nil {
		return fmt.Errorf("write the new key: %w", err)
	}
	err = reseal(func(name, sealed string) (string, error) {
		value, err := b.Open(name, sealed)
		if err != nil {
			return "", err
		}
		return b.Seal(name, value)
	})
	if err != nil {
		// Back to what was, with the new key behind it, which somebody may have sealed with meanwhile: change after change
		// that fails would drop the one key that opens what is there.
		if back := b.write(newest(append(slices.Clip(keys), fresh))); back != nil {
			err = errors.Join(err, fmt.Errorf("write the former keys back: %w", back))
		}
	}
	return err
}

func newest(keys [][]byte) [][]byte { return keys[:min(len(keys), maxKeys)] }

// bound is what a value is bound to.
func bound(name string) []byte { return []byte("communewatch secret\x00" + name) }

func open(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func newKey() []byte {
	key := make([]byte, keyBytes)
	rand.Read(key) // never fails
	return key
}

// idOf tells keys apart and says nothing of them.
func idOf(key []byte) string {
	sum := sha256.Sum256(append([]byte("communewatch key\x00"), key...))
	return hex.EncodeToString(sum[:4])
}

// key finds a key by its id, if need be in the file as it is now.
func (b *Box) key(id string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if key := b.keys[id]; key != nil {
		return key, nil
	}
	keys, err := b.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no %s; put the key back that belongs to this registry, or enter the secrets again", ErrKey, b.file)
	case err != nil:
		return nil, err
	}
	b.keys = map[string][]byte{}
	for _, k := range keys {
		b.keys[idOf(k)] = k
	}
	if key := b.keys[id]; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("%w than those in %s; put the key back that belongs to this registry, or enter the secrets again", ErrKey, b.file)
}

// read returns the file's keys.
func (b *Box) read() ([][]byte, error) {
	f, err := os.Open(b.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	keys, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; put a copy of it back", b.file, err)
	}
	return keys, nil
}

// parse reads a key file.
func parse(data []byte) (keys [][]byte, err error) {
	if len(data) > maxFile {
		return nil, errors.New("the key file is too large to be one")
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := hex.DecodeString(line)
		if err != nil || len(key) != keyBytes || len(keys) == maxKeys {
			return nil, errors.New("the key file is damaged") // without the line: it may be most of a key
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the key file holds no key")
	}
	return keys, nil
}

// make makes the first key. Of several processes that do at once one wins, and all use its key.
func (b *Box) make() ([][]byte, error) {
	name, err := b.prepare([][]byte{newKey()})
	if err != nil {
		return nil, err
	}
	defer os.Remove(name)
	if err := os.Link(name, b.file); err != nil && !errors.Is(err, fs.ErrExist) { // unlike a rename it replaces nothing
		return nil, err
	}
	if err := syncDir(filepath.Dir(b.file)); err != nil {
		return nil, err
	}
	return b.read()
}

// write replaces the file.
func (b *Box) write(keys [][]byte) error {
	name, err := b.prepare(keys)
	if err != nil {
		return err
	}
	if err := os.Rename(name, b.file); err != nil {
		os.Remove(name)
		return err
	}
	return syncDir(filepath.Dir(b.file))
}

// prepare writes keys into a new file beside the file, and returns its name.
func (b *Box) prepare(keys [][]byte) (name string, err error) {
	dir := filepath.Dir(b.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, ".seal-*") // 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(f.Name())
		}
	}()
	text := heading + "\n"
	for _, k := range keys {
		text += hex.EncodeToString(k) + "\n"
	}
	if _, err := f.WriteString(text); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// syncDir makes a new name in a folder proof against a power cut, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // not every system lets folders be synced
	return nil
}
