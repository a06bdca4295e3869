package fingerprint

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"communewatch/probes"
	"communewatch/probes/settings"
)

//go:embed rules.yaml cards.txt
var knowledge embed.FS

// Subject is a text that a host may say.
type Subject string

// The texts that rules look at.
const (
	HTTPTitle    Subject = "http_title"
	HTTPServer   Subject = "http_server"
	HTTPRealm    Subject = "http_realm"  // of the login that the page asks for
	HTTPPath     Subject = "http_path"   // where the first page leads
	HTTPBody     Subject = "http_body"   // the first 64 KiB of the page
	TLSSubject   Subject = "tls_subject" // of the certificate, as "CN=...,O=..."
	SSHBanner    Subject = "ssh_banner"
	TelnetBanner Subject = "telnet_banner"
	FTPBanner    Subject = "ftp_banner"
	SIPAgent     Subject = "sip_agent"
	RTSPServer   Subject = "rtsp_server"
	Maker        Subject = "maker" // the manufacturer of a UPnP description, the name of an ONVIF device
)

func subjects() []Subject {
	return []Subject{HTTPTitle, HTTPServer, HTTPRealm, HTTPPath, HTTPBody, TLSSubject, SSHBanner, TelnetBanner, FTPBanner, SIPAgent, RTSPServer, Maker}
}

// Bounds of a file of rules.
const (
	maxRules   = 5000
	maxPattern = 500 // bytes
	maxFiles   = 100
)

// rule says what a text stands for. Values may use what the pattern captured: ${1}, ${model}.
type rule struct {
	In         Subject `yaml:"in"`
	Match      string  `yaml:"match"` // RE2
	Vendor     string  `yaml:"vendor"`
	Model      string  `yaml:"model"`
	Version    string  `yaml:"version"`
	Serial     string  `yaml:"serial"`
	Class      string  `yaml:"class"`
	OS         string  `yaml:"os"`
	Confidence float64 `yaml:"confidence"` // above 0, at most MaxConfidence; 0: 0.6

	pattern *regexp.Regexp
}

// Rules are what texts and network cards are known to stand for. A nil Rules knows nothing.
type Rules struct {
	bySubject map[Subject][]rule
	cards     map[[3]byte]string
}

// BuiltIn returns the rules that the program brings along.
func BuiltIn() (*Rules, error) {
	cards, err := knowledge.ReadFile("cards.txt")
	if err != nil {
		return nil, err
	}
	r := &Rules{bySubject: map[Subject][]rule{}}
	if r.cards, err = parseCards(cards); err != nil {
		return nil, err
	}
	return r, r.addFile(knowledge, "rules.yaml")
}

// Load returns the built-in rules and those of a folder's *.yaml files. A rule of the folder that matches goes before
// the built-in ones for the same text. The error names every mistake.
func Load(folder fs.FS) (*Rules, error) {
	r := &Rules{bySubject: map[Subject][]rule{}}
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, err
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%d files of rules are too many; the most is %d", len(names), maxFiles)
	}
	for _, name := range names {
		if err := r.addFile(folder, name); err != nil {
			return nil, err
		}
	}
	own, err := BuiltIn()
	if err != nil {
		return nil, err
	}
	for subject, list := range own.bySubject {
		r.bySubject[subject] = append(r.bySubject[subject], list...)
	}
	r.cards = own.cards
	return r, nil
}

func (r *Rules) addFile(folder fs.FS, name string) error {
	f, err := folder.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, settings.MaxFile+1))
	if err != nil {
		return fmt.Errorf("read rules %s: %w", name, err)
	}
	list, err := parseRules(path.Base(name), data)
	if err != nil {
		return err
	}
	for _, one := range list {
		r.bySubject[one.In] = append(r.bySubject[one.In], one)
	}
	return nil
}

// parseRules reads a file of rules: a list under the key "rules". The error names every mistake.
func parseRules(name string, data []byte) ([]rule, error) {
	var file struct {
		Rules []rule `yaml:"rules"`
	}
	doc := settings.Read(name, data, &file)
	if len(file.Rules) > maxRules {
		doc.Problem("rules", "%d rules are too many; the most is %d", len(file.Rules), maxRules)
		return nil, doc.Err()
	}
	for i := range file.Rules {
		one, at := &file.Rules[i], fmt.Sprintf("rules[%d]", i)
		if !slices.Contains(subjects(), one.In) {
			doc.Problem(at+".in", "%q is no text that a host says; use one of %v", one.In, subjects())
		}
		var err error
		switch one.pattern, err = regexp.Compile(one.Match); {
		case one.Match == "" || len(one.Match) > maxPattern:
			doc.Problem(at+".match", "must be a regular expression (RE2) of 1 to %d bytes", maxPattern)
		case err != nil:
			doc.Problem(at+".match", "%v", err)
		case one.pattern.MatchString(""):
			doc.Problem(at+".match", "fits anything, an empty text too; anchor it or name what must be there")
		}
		if one.Class != "" && !slices.Contains(probes.Classes(), one.Class) {
			doc.Problem(at+".class", "%q is not a class; use one of %s", one.Class, strings.Join(probes.Classes(), ", "))
		}
		if one.Vendor+one.Model+one.Version+one.Serial+one.Class+one.OS == "" {
			doc.Problem(at, "says nothing: give at least one of vendor, model, version, serial, class, os")
		}
		if one.Model != "" && one.Vendor == "" {
			doc.Problem(at+".model", "needs a vendor: a model's name is a maker's")
		}
		if one.Confidence == 0 {
			one.Confidence = 0.6
		}
		if !(one.Confidence > 0 && one.Confidence <= MaxConfidence) {
			doc.Problem(at+".confidence", "must be above 0 and at most %v: a text can be forged", MaxConfidence)
		}
	}
	return file.Rules, doc.Err()
}

// apply returns what the rules make of a text. The first that fits says who made it; others may add what it left open,
// as long as they mean the same maker.
func (r *Rules) apply(in Subject, text, source string) []probes.Fact {
	if r == nil {
		return nil
	}
	var out []probes.Fact
	known := map[probes.FactName]string{}
	for _, one := range r.bySubject[in] {
		m := one.pattern.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		value := func(template string) string { return clean(one.pattern.ExpandString(nil, template, text, m)) }
		vendor := value(one.Vendor)
		if known[probes.FactVendor] != "" && vendor != "" && !strings.EqualFold(known[probes.FactVendor], vendor) {
			continue
		}
		for _, f := range []struct {
			name     probes.FactName
			template string
		}{{probes.FactVendor, one.Vendor}, {probes.FactModel, one.Model}, {probes.FactVersion, one.Version}, {probes.FactSerial, one.Serial},
			{probes.FactClass, one.Class}, {probes.FactOS, one.OS}} {
			v := value(f.template)
			if v == "" || known[f.name] != "" || f.name == probes.FactSerial && probes.Placeholder(v) {
				continue
			}
			known[f.name] = v
			out = append(out, probes.Fact{Name: f.name, Value: v, Source: source, Confidence: one.Confidence})
		}
	}
	return out
}
