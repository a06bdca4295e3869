package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/agent/spool/disk"
	"communewatch/probes/enroll"
)

const (
	setFile   = "identity.json"
	clockFile = "clock.json"
	maxSet    = 192 << 10 // bytes; eight authorities take less than 16 KiB, and no more than a message as PEM
	maxKey    = 8 << 10
	maxClock  = 1 << 10
)

// ErrNone says that there is no identity.
var ErrNone = errors.New("this machine is not enrolled; `communewatch-agent enroll CODE` does that, with a code from the collector")

// Folder is where in an agent's state folder its identity is.
func Folder(stateDir string) string { return filepath.Join(stateDir, "identity") }

// Set is an identity as it is kept on disk.
type Set struct {
	Name        enroll.Name
	Collectors  []string // addresses, in order of preference
	Certificate *x509.Certificate
	Roots       []*x509.Certificate // authorities that are believed; at least one
	Key         *ecdsa.PrivateKey

	clock clock
}

// stored is the form of setFile.
type stored struct {
	Key         string   `json:"key"` // name of its file
	Certificate string   `json:"certificate"`
	Roots       string   `json:"roots"`
	Collectors  []string `json:"collectors"`
}

// clock is the form of clockFile.
type clock struct {
	// Told is the newest time that a collector told and that can be believed.
	Told time.Time `json:"told"`
	// Offset is what has to be added to the machine's clock; 0 where it is less than a day wrong.
	Offset float64 `json:"offset_seconds"`
}

// Read returns the identity in a folder. The error is ErrNone where there is none; else it says what is wrong and what
// to do.
func Read(dir string) (*Set, error) {
	d := disk.Disk{}
	data, err := d.Read(filepath.Join(dir, setFile), maxSet)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("read the agent's identity: %w", err)
	}
	s, err := parse(data, func(name string) ([]byte, error) { return d.Read(filepath.Join(dir, name), maxKey) })
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("read the agent's identity: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the agent's identity in %s is damaged: %w; enrol the machine again: `communewatch-agent enroll CODE --again`", dir, err)
	}
	// What is known of the time is a help: without it there is the build's and the certificate's.
	if data, err := d.Read(filepath.Join(dir, clockFile), maxClock); err == nil {
		var c clock
		if json.Unmarshal(data, &c) == nil && c.sane() {
			s.clock = c
		}
	}
	return s, nil
}

// sane says that such a clock can have been written.
func (c clock) sane() bool {
	const century = 100 * 365 * 24 * 3600
	return c.Told.Year() < 2200 && c.Offset > -century && c.Offset < century
}

// parse makes an identity of the bytes of setFile and of the key file that it names.
func parse(data []byte, read func(name string) ([]byte, error)) (*Set, error) {
	var in stored
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("%s: %w", setFile, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: there is more behind its end", setFile)
	}
	answer := enroll.Answer{Certificate: in.Certificate, Trust: enroll.Trust{Roots: in.Roots}, Collectors: in.Collectors}
	s := &Set{Collectors: in.Collectors}
	var err error
	if s.Certificate, err = answer.Leaf(); err != nil {
		return nil, fmt.Errorf("%s: %w", setFile, err)
	}
	if s.Name, err = enroll.NameOf(s.Certificate); err != nil {
		return nil, fmt.Errorf("%s: %w", setFile, err)
	}
	if s.Roots, err = answer.Trust.Authorities(); err != nil {
		return nil, fmt.Errorf("%s: %w", setFile, err)
	}
	answer.Site, answer.Agent = s.Name.Site, s.Name.Agent
	if err := answer.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", setFile, err)
	}
	if len(in.Collectors) == 0 {
		return nil, fmt.Errorf("%s: it names no collector", setFile)
	}
	if !isKeyName(in.Key) {
		return nil, fmt.Errorf("%s: %.80q is not the name of a key's file", setFile, in.Key)
	}
	pemKey, err := read(in.Key)
	if err != nil {
		return nil, err
	}
	if s.Key, err = parseKey(pemKey); err != nil {
		return nil, fmt.Errorf("%s: %w", in.Key, err)
	}
	if !s.Key.PublicKey.Equal(s.Certificate.PublicKey) {
		return nil, fmt.Errorf("%s: it is not the key of the certificate", in.Key)
	}
	return s, nil
}

// Write puts the set into a folder, in the place of one that is there. Its key must have been kept by KeepKey.
func (s *Set) Write(dir string) error { return s.write(private(), dir) }

func (s *Set) write(d *disk.Disk, dir string) error {
	data, err := s.marshal()
	if err != nil {
		return err
	}
	return d.ReplaceFile(filepath.Join(dir, setFile), data)
}

// marshal is what parse reads.
func (s *Set) marshal() ([]byte, error) {
	var roots strings.Builder
	for _, c := range s.Roots {
		roots.Write(certificatePEM(c))
	}
	data, err := json.MarshalIndent(stored{
		Key: keyName(s.Key), Certificate: string(certificatePEM(s.Certificate)), Roots: roots.String(), Collectors: s.Collectors,
	}, "", "  ")
	return append(data, '\n'), err
}

func (c clock) write(d *disk.Disk, dir string) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return d.ReplaceFile(filepath.Join(dir, clockFile), append(data, '\n'))
}

func private() *disk.Disk { return &disk.Disk{Private: true} }

// NewKey makes a key and keeps it in a folder, where it does not disturb an identity that is there.
func NewKey(dir string) (key *ecdsa.PrivateKey, name string, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", err
	}
	name = keyName(key)
	return key, name, private().ReplaceFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// ReadKey reads a key that NewKey has kept.
func ReadKey(dir, name string) (*ecdsa.PrivateKey, error) {
	if !isKeyName(name) {
		return nil, fmt.Errorf("%.80q is not the name of a key's file", name)
	}
	data, err := private().Read(filepath.Join(dir, name), maxKey)
	if err != nil {
		return nil, err
	}
	return parseKey(data)
}

// Tidy removes keys that are not this set's, and files that were not finished.
func (s *Set) Tidy(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	own := keyName(s.Key)
	for _, f := range files {
		name := f.Name()
		if isKeyName(name) && name != own || strings.HasSuffix(name, disk.TmpSuffix) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}
	}
	return err
}

func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is not the whole PEM of one private key")
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its PEM holds no private key") // the library's error may quote the content
	}
	key, ok := any.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("it is not an ECDSA key of P-256")
	}
	return key, nil
}

// keyName is the name of a key's file: it tells keys apart, and says nothing of them.
func keyName(key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err) // P-256 can be written
	}
	sum := sha256.Sum256(der)
	return fmt.Sprintf("key-%x.pem", sum[:8])
}

func isKeyName(name string) bool {
	hex, ok := strings.CutPrefix(name, "key-")
	hex, pem := strings.CutSuffix(hex, ".pem")
	return ok && pem && len(hex) == 16 && strings.Trim(hex, "0123456789abcdef") == ""
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
