// Package seal keeps secrets of the agent's out of its files as plain text: communities, passphrases and tokens that the
// collector gave it, which have to survive a restart without the collector.
//
// What is sealed is encrypted and authenticated by AES-256-GCM (NIST SP 800-38D), bound to what it is, with a key of 256
// random bits in a file of the state folder, which is made at first use and readable for the agent's user alone.
//
// That protects a file that goes astray by itself, in a backup, a support bundle or an attachment, and it notices a file
// that was cut, changed or brought from another machine. It does not protect from who can read the whole state folder:
// the agent has to be able to read its secrets with nobody there, and so has whoever is root, takes the disk out, or
// runs as the agent's user. Against a stolen machine only new secrets help.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	keyBytes = 32
	// mark begins what is sealed: it says how.
	mark = "CWS1"
)

// ErrSealed is the error of what can't be opened: it was damaged, or sealed with another key or for something else.
var ErrSealed = errors.New("it can't be unsealed: it is damaged, or was sealed on another machine")

// Box seals and opens. Make it with Open.
type Box struct{ aead cipher.AEAD }

// Open returns the box whose key is in the file, which is made if it is not there.
func Open(file string) (*Box, error) {
	key, err := read(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(file); err == nil {
			key, err = read(file) // maybe that of another process, which was first
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key for secrets at rest: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Box{aead}, nil
}

func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	key, err := io.ReadAll(io.LimitReader(f, keyBytes+1))
	if err != nil {
		return nil, err
	}
	if len(key) != keyBytes {
		return nil, fmt.Errorf("%s is damaged: it should have %d bytes; delete it, and the agent makes another and asks the collector for its secrets again", file, keyBytes)
	}
	return key, nil
}

// create makes the file with a new key, as a whole or not at all. One that is there meanwhile is left as it is.
func create(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(file)+".*.tmp") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	key := make([]byte, keyBytes)
	rand.Read(key) // never fails
	_, err = f.Write(key)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err = os.Link(f.Name(), file); errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil { // a file system without links
		return os.Rename(f.Name(), file)
	}
	return nil
}

// Seal seals plain as what is called name.
func (b *Box) Seal(name string, plain []byte) []byte {
	return b.aead.Seal([]byte(mark), nil, plain, []byte(mark+name))
}

// Open returns what was sealed as name. An error is ErrSealed.
func (b *Box) Open(name string, sealed []byte) ([]byte, error) {
	body, ok := bytes.CutPrefix(sealed, []byte(mark))
	if !ok {
		return nil, ErrSealed
	}
	plain, err := b.aead.Open(nil, nil, body, []byte(mark+name))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
