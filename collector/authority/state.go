package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/collector/store/embedded/disk"
	"communewatch/probes/enroll"
)

// Standing is what an authority is for.
type Standing string

// The standings.
const (
	StandingCurrent Standing = "current" // signs
	StandingNext    Standing = "next"    // announced; will sign
	StandingFormer  Standing = "former"  // signed once, and is still trusted
)

// The files of the folder.
const (
	stateFile  = "authorities.json"
	serverFile = "server.pem"
	rootsFile  = "roots.pem"
)

// Bounds of what is read.
const (
	maxFile        = 256 << 10 // bytes
	maxAuthorities = 4         // current, next, and former ones that nobody retired
	maxChain       = 8         // certificates of a file
)

// stored is the content of authorities.json. Keys and certificates are in one file, so that a change is all there or not
// at all.
type stored struct {
	Fleet       string        `json:"fleet"` // pin of the first authority
	Authorities []storedEntry `json:"authorities"`
}

type storedEntry struct {
	Certificate string    `json:"certificate"`   // PEM
	Key         string    `json:"key,omitempty"` // PEM (PKCS #8); former ones have none any more
	Standing    Standing  `json:"standing"`
	Since       time.Time `json:"since"` // it has that standing
}

// entry is one of our authorities.
type entry struct {
	cert     *x509.Certificate
	key      crypto.Signer // nil for a former one
	pin      enroll.Pin
	standing Standing
	since    time.Time
}

// state is authorities.json understood.
type state struct {
	fleet   enroll.Pin
	entries []entry // one is current, at most one is next
}

func (s *state) find(standing Standing) *entry {
	for i := range s.entries {
		if s.entries[i].standing == standing {
			return &s.entries[i]
		}
	}
	return nil
}

// parseState reads authorities.json.
func parseState(data []byte) (*state, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	var in stored
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows its end")
	}
	s := &state{}
	var err error
	if s.fleet, err = ParsePin(in.Fleet); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	if len(in.Authorities) == 0 || len(in.Authorities) > maxAuthorities {
		return nil, fmt.Errorf("it has %d authorities; want 1 to %d", len(in.Authorities), maxAuthorities)
	}
	seen := map[enroll.Pin]bool{}
	count := map[Standing]int{}
	for i, a := range in.Authorities {
		list, err := parseCertificates([]byte(a.Certificate))
		if err != nil {
			return nil, fmt.Errorf("authorities[%d]: %w", i, err)
		}
		cert := list[0]
		if len(list) != 1 || !cert.BasicConstraintsValid || !cert.IsCA {
			return nil, fmt.Errorf("authorities[%d]: want the certificate of one authority", i)
		}
		var key crypto.Signer
		switch a.Standing {
		case StandingCurrent, StandingNext:
			if key, err = parseKey([]byte(a.Key)); err != nil {
				return nil, fmt.Errorf("authorities[%d]: key: %w", i, err)
			}
			if !belongs(key, cert) {
				return nil, fmt.Errorf("authorities[%d]: the key is another authority's", i)
			}
		case StandingFormer:
		default:
			return nil, fmt.Errorf("authorities[%d]: standing %.20q is unknown", i, a.Standing)
		}
		e := entry{key: key, cert: cert, pin: enroll.PinOf(cert), standing: a.Standing, since: a.Since}
		if seen[e.pin] {
			return nil, fmt.Errorf("authorities[%d]: its key is given twice", i)
		}
		seen[e.pin] = true
		count[a.Standing]++
		s.entries = append(s.entries, e)
	}
	if count[StandingCurrent] != 1 || count[StandingNext] > 1 {
		return nil, errors.New("want one current authority and at most one next")
	}
	return s, nil
}

// marshal is the inverse of parseState.
func (s *state) marshal() []byte {
	out := stored{Fleet: s.fleet.String()}
	for _, e := range s.entries {
		key := ""
		if e.key != nil {
			key = string(encodeKey(e.key))
		}
		out.Authorities = append(out.Authorities, storedEntry{Certificate: encode(e.cert), Key: key, Standing: e.standing, Since: e.since.UTC()})
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		panic(err) // texts and times alone
	}
	return append(data, '\n')
}

// ParsePin reads a pin as Pin.String writes it.
func ParsePin(text string) (p enroll.Pin, err error) {
	if len(text) != 2*len(p) || strings.Trim(text, "0123456789abcdef") != "" {
		return p, fmt.Errorf("%.40q is no pin; want %d hexadecimal digits", text, 2*len(p))
	}
	_, err = hex.Decode(p[:], []byte(text))
	return p, err
}

func encode(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Builder takes everything
	}
	return b.String()
}

// parseCertificates reads 1 to maxChain certificates of a PEM text. Other blocks, such as a key, are passed over.
func parseCertificates(data []byte) (all []*x509.Certificate, err error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if all = append(all, cert); len(all) > maxChain {
			return nil, fmt.Errorf("it has more than %d certificates", maxChain)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("it has no certificate in PEM form")
	}
	return all, nil
}

// parseKey reads the first private key of a PEM text.
func parseKey(data []byte) (crypto.Signer, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errors.New("it has no private key in PEM form")
		}
		if block.Type != "PRIVATE KEY" {
			continue
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("its private key is damaged") // what the parser says may hold some of it
		}
		switch key := key.(type) {
		case *ecdsa.PrivateKey:
			return key, nil
		case ed25519.PrivateKey:
			return key, nil
		}
		return nil, errors.New("its private key is of a kind that is not made here")
	}
}

func encodeKey(key crypto.Signer) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err) // of a key that was made here
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// belongs reports whether a key is a certificate's.
func belongs(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// folder is where it all is kept.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

// damaged words an error about a file that can't be done without.
func damaged(file string, err error) error {
	return fmt.Errorf("authority: %s is damaged: %w; put the folder %s back from a backup (without it every agent has to enrol anew: then move it away)",
		file, err, filepath.Dir(file))
}

// read reads authorities.json; fs.ErrNotExist where there is none.
func (f folder) read() (*state, error) {
	data, err := readFile(f.path(stateFile))
	if err != nil {
		return nil, err
	}
	s, err := parseState(data)
	if err != nil {
		return nil, damaged(f.path(stateFile), err)
	}
	return s, nil
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxFile+1))
}

// write puts a file in its place as a whole: after a crash there is what was before or all of the new.
func (f folder) write(name string, data []byte) error { return f.replace(name, nil, data) }

var errChanging = errors.New("somebody else is changing it at this moment; look and try again")

// replace is write for a file that is as it was when it was read (nil: whatever it is): of two processes that change it at
// the same moment one gets an error.
func (f folder) replace(name string, was, data []byte) error {
	temporary, err := f.prepare(name, data)
	if err != nil {
		return err
	}
	if was != nil {
		now, err := readFile(name)
		if err == nil && !bytes.Equal(now, was) {
			err = errChanging
		}
		if err != nil {
			return errors.Join(err, os.Remove(temporary))
		}
	}
	if err := os.Rename(temporary, name); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return disk.SyncDir(string(f))
}

// create is write for a file that must not be there yet: of two that create it one gets fs.ErrExist.
func (f folder) create(name string, data []byte) error {
	temporary, err := f.prepare(name, data)
	if err != nil {
		return err
	}
	err = os.Link(temporary, name)
	return errors.Join(err, os.Remove(temporary), disk.SyncDir(string(f)))
}

// leftover is how old a file must be that was prepared and never got into its place.
const leftover = time.Hour

// sweep removes what a crash left of files that were being written: there are keys in them.
func (f folder) sweep(now time.Time) {
	list, _ := filepath.Glob(f.path("*.tmp")) // the pattern is good
	for _, file := range list {
		if info, err := os.Stat(file); err == nil && now.Sub(info.ModTime()).Abs() > leftover {
			_ = os.Remove(file) // or the next start does
		}
	}
}

// prepare writes data into a file beside the one it is for. CreateTemp makes files that are closed to others.
func (f folder) prepare(name string, data []byte) (temporary string, err error) {
	file, err := os.CreateTemp(string(f), filepath.Base(name)+".*.tmp")
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}
