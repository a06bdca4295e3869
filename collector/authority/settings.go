package authority

import (
	"net"
	"regexp"

	"communewatch/probes/enroll"
)

// Mode says where the collector's certificate comes from.
type Mode string

// The modes.
const (
	ModeOwn   Mode = "own"   // from the fleet's own authority
	ModeFiles Mode = "files" // from elsewhere
	ModeOff   Mode = "off"   // there is none: plain HTTP
)

// Settings are the collector's, about its certificate.
type Settings struct {
	Mode     Mode     `yaml:"mode"`      // own, files or off; empty: files where cert_file is given, otherwise own
	CertFile string   `yaml:"cert_file"` // with mode files: PEM, with the whole chain
	KeyFile  string   `yaml:"key_file"`
	CAFile   string   `yaml:"ca_file"` // the authority behind cert_file, which agents are told to believe
	Names    []string `yaml:"names"`   // with mode own: further host names and addresses of the collector
}

// Resolve says which mode an empty one means.
func (s *Settings) Resolve() {
	switch {
	case s.Mode != "":
	case s.CertFile != "" || s.KeyFile != "":
		s.Mode = ModeFiles
	default:
		s.Mode = ModeOwn
	}
}

// Files are the files of mode files, or those that agents are told of beforehand.
func (s *Settings) Files() Files {
	if s.Mode == ModeFiles {
		return Files{Cert: s.CertFile, Key: s.KeyFile, CA: s.CAFile}
	}
	return Files{CA: s.CAFile}
}

// hostName is what can stand in a certificate.
var hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,62})\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})\.?$`)

// CheckName reports whether a certificate can be made for a host name or address.
func CheckName(name string) bool {
	return net.ParseIP(name) != nil || len(name) <= 253 && hostName.MatchString(name)
}

const maxNames = 30

// Validate reports what is wrong with settings that were resolved.
func (s *Settings) Validate(problem func(key, format string, args ...any)) {
	switch s.Mode {
	case ModeOwn, ModeOff:
		if s.CertFile != "" || s.KeyFile != "" {
			problem("mode", "cert_file and key_file are for mode files; leave them out, or say mode: files")
		}
	case ModeFiles:
		if s.CertFile == "" || s.KeyFile == "" {
			problem("", "cert_file and key_file go together")
			return
		}
	default:
		problem("mode", "%.20q is not own, files or off", s.Mode)
		return
	}
	if s.Mode != ModeOff || s.CAFile != "" {
		if _, _, err := s.Files().Read(); err != nil {
			problem("", "%v", err)
		}
	}
	if len(s.Names) > maxNames {
		problem("names", "%d names are too many; the most is %d", len(s.Names), maxNames)
	}
	for _, n := range s.Names {
		if !CheckName(n) {
			problem("names", "%.120q is no host name and no address, such as collector.example.gov.vn or 10.1.2.3", n)
		}
	}
}

// CheckAddresses reports what is wrong with the addresses under which agents reach the collector. They stand in join
// codes.
func CheckAddresses(list []string) error {
	if len(list) == 0 {
		return nil
	}
	return enroll.Code{Addresses: list}.Validate()
}
