package enroll

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"communewatch/probes"
)

// Where an agent asks, at the collector's address. Errors are answered with Refusal.
const (
	Path      = "/api/agent/v1/enroll" // POST Request -> 201 with an Answer, 202 with one that is pending
	RenewPath = "/api/agent/v1/renew"  // POST Renewal, with the certificate -> 200 with an Answer
	TrustPath = "/api/agent/v1/trust"  // GET, with the certificate -> 200 with a Trust, or 304
)

// MaxMessage bounds every message, in bytes.
const MaxMessage = 64 << 10

// maxRefusal bounds what is shown of a refusal, in characters.
const maxRefusal = 500

// Machine is what an agent says of the machine it runs on, for those who approve it. Nothing depends on it.
type Machine struct {
	Host    string `json:"host"`
	System  string `json:"system"` // such as linux/amd64
	Release string `json:"release,omitempty"`
	Version string `json:"version"` // of the agent
}

// Request asks for a first certificate.
type Request struct {
	Secret  string  `json:"secret"` // of the join code, in hexadecimal digits
	CSR     string  `json:"csr"`    // PEM; signed by the key that the certificate is to be for
	Agent   string  `json:"agent"`  // the name that the agent would have; the code may name another
	Machine Machine `json:"machine"`
}

// Renewal asks for another certificate for the same agent, and the same key or a new one.
type Renewal struct {
	CSR     string  `json:"csr"`
	Machine Machine `json:"machine"`
}

// Answer is the collector's to both.
type Answer struct {
	Site        string   `json:"site"`
	Agent       string   `json:"agent"`
	Pending     bool     `json:"pending,omitempty"`       // somebody has to approve it; ask again after RetrySeconds
	Retry       int      `json:"retry_seconds,omitempty"` // 5 to 3600
	Certificate string   `json:"certificate,omitempty"`   // PEM, the agent's first
	Trust       Trust    `json:"trust"`
	Collectors  []string `json:"collectors,omitempty"` // its addresses, as in a Code
}

// Trust is whom to believe to be the collector.
type Trust struct {
	Roots string `json:"roots"` // PEM of authorities
}

// Refusal is the body of an answer that is an error.
type Refusal struct {
	Code    string `json:"code"` // one of the codes below, or what the status says
	Message string `json:"message"`
}

// Codes of refusals that an agent acts on.
const (
	RefusedCode     = "code_unknown"   // no such code, or cancelled
	RefusedUsed     = "code_used"      // used by another key
	RefusedExpired  = "code_expired"   //
	RefusedTaken    = "agent_taken"    // the site has an agent of that name
	RefusedRejected = "rejected"       // somebody said no
	RefusedRevoked  = "agent_revoked"  // the agent was thrown out; ask for a new code
	RefusedCert     = "certificate"    // none, foreign, expired
	RefusedBusy     = "too_many_tries" // of codes, from this address
)

// Read decodes one message, strictly and bounded, and validates it.
func Read[T interface{ Validate() error }](r io.Reader, v T) error {
	data, err := io.ReadAll(io.LimitReader(r, MaxMessage+1))
	if err != nil {
		return err
	}
	if len(data) > MaxMessage {
		return fmt.Errorf("the message is longer than %d bytes", MaxMessage)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("the message is not understood: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("the message is followed by more")
	}
	return v.Validate()
}

// Validate checks a request's form; whether the CSR is signed is ParseCSR's to say.
func (r *Request) Validate() error {
	if len(r.Secret) != 2*SecretBytes || strings.Trim(r.Secret, "0123456789abcdef") != "" {
		return fmt.Errorf("secret: want %d hexadecimal digits", 2*SecretBytes)
	}
	if err := probes.CheckName(r.Agent); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return r.Machine.Validate()
}

// Validate checks a renewal's form.
func (r *Renewal) Validate() error { return r.Machine.Validate() }

// Validate checks that the texts are short and plain.
func (m *Machine) Validate() error {
	for at, text := range map[string]string{"host": m.Host, "system": m.System, "release": m.Release, "version": m.Version} {
		if len(text) > 200 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("machine: %s: use at most 200 bytes of plain text in one line", at)
		}
	}
	return nil
}

// Validate checks an answer's form; whether its certificate is good is the agent's to find out.
func (a *Answer) Validate() error {
	if err := probes.CheckName(a.Site); err != nil {
		return fmt.Errorf("site: %w", err)
	}
	if err := probes.CheckName(a.Agent); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	if len(a.Collectors) > maxAddresses {
		return fmt.Errorf("%d collectors are too many; the most is %d", len(a.Collectors), maxAddresses)
	}
	for _, c := range a.Collectors {
		if err := CheckAddress(c); err != nil {
			return err
		}
	}
	if a.Pending {
		if a.Retry < 5 || a.Retry > 3600 {
			return fmt.Errorf("retry_seconds: %d is not from 5 to 3600", a.Retry)
		}
		return nil
	}
	if _, err := certificates(a.Certificate, 1); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return a.Trust.Validate()
}

// Validate checks that there are authorities.
func (t *Trust) Validate() error {
	_, err := t.Authorities()
	return err
}

// Validate makes a refusal fit to be shown: it takes anything, since whoever refuses may be no collector at all.
func (r *Refusal) Validate() error {
	for _, text := range []*string{&r.Code, &r.Message} {
		*text = strings.Map(func(c rune) rune {
			if unicode.IsControl(c) || c == utf8.RuneError {
				return ' '
			}
			return c
		}, *text)
		if r := []rune(*text); len(r) > maxRefusal {
			*text = string(r[:maxRefusal])
		}
	}
	return nil
}

// MaxRoots is how many authorities there may be.
const MaxRoots = 8

// Authorities are the certificates of Roots, 1 to MaxRoots that may sign others.
func (t *Trust) Authorities() ([]*x509.Certificate, error) {
	all, err := certificates(t.Roots, MaxRoots)
	if err != nil {
		return nil, fmt.Errorf("roots: %w", err)
	}
	if slices.ContainsFunc(all, func(c *x509.Certificate) bool { return c.BasicConstraintsValid && !c.IsCA }) {
		return nil, errors.New("roots: one of the certificates is no authority's")
	}
	return all, nil
}

// Leaf is the certificate of an answer that is not pending.
func (a *Answer) Leaf() (*x509.Certificate, error) {
	all, err := certificates(a.Certificate, 1)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return all[0], nil
}

// certificates reads 1 to most certificates of a PEM text that holds nothing else.
func certificates(text string, most int) (all []*x509.Certificate, err error) {
	for rest := []byte(text); len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("it is not PEM of certificates alone")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, cert)
	}
	if len(all) == 0 || len(all) > most {
		return nil, fmt.Errorf("%d certificates; want 1 to %d", len(all), most)
	}
	return all, nil
}

// ParseCSR reads a certificate signing request and checks that whoever made it has the key. Keys are ECDSA P-256 or
// Ed25519.
func ParseCSR(text string) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("csr: it is not the PEM of one certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("csr: %w", err)
	}
	if csr.PublicKeyAlgorithm != x509.ECDSA && csr.PublicKeyAlgorithm != x509.Ed25519 {
		return nil, fmt.Errorf("csr: keys of %v are not taken; use ECDSA P-256", csr.PublicKeyAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("csr: %w", err)
	}
	return csr, nil
}
