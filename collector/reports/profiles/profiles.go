// Package profiles reads what lines are held against: target profiles, which people write down from contracts,
// decisions or standards. Every limit says where it is written. None is built in: a limit that nobody agreed to judges
// nobody.
package profiles

import (
	"fmt"
	"math"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/reports"
	"communewatch/probes"
	"communewatch/probes/settings"
)

// Profile is a set of limits for lines of one kind.
type Profile struct {
	Name     string
	Citation string // where its limits are written
	Layer    probes.Layer
	Hours    reports.Hours // Office or All: when the limits hold
	Limits   []Limit       // in the order of docs/reports.md
}

// Limit is one limit of a profile.
type Limit struct {
	What     string  // availability, loss, loss_p95, rtt_p50, rtt_p95, jitter_p95
	Value    float64 // ratios 0 to 1, seconds
	Citation string  // its own, or else the profile's
}

// file is a file as it is written.
type file struct {
	Profiles []entry `yaml:"profiles"`
}

type entry struct {
	Name      string    `yaml:"name"`
	Citation  string    `yaml:"citation"`
	Layer     string    `yaml:"layer"`
	Hours     string    `yaml:"hours"`
	Limits    limits    `yaml:"limits"`
	Citations citations `yaml:"citations"`
}

type limits struct {
	Availability *float64       `yaml:"availability"`
	Loss         *float64       `yaml:"loss"`
	LossP95      *float64       `yaml:"loss_p95"`
	RTTP50       *time.Duration `yaml:"rtt_p50"`
	RTTP95       *time.Duration `yaml:"rtt_p95"`
	JitterP95    *time.Duration `yaml:"jitter_p95"`
}

type citations struct {
	Availability string `yaml:"availability"`
	Loss         string `yaml:"loss"`
	LossP95      string `yaml:"loss_p95"`
	RTTP50       string `yaml:"rtt_p50"`
	RTTP95       string `yaml:"rtt_p95"`
	JitterP95    string `yaml:"jitter_p95"`
}

// Bounds of a file, far above what makes sense.
const (
	maxProfiles = 200
	maxName     = 100 // bytes, as of everything that people call by a name here
	maxCitation = 500
	longest     = 10 * time.Second // a round trip that is longer is none
)

// Read reads a file of profiles. Its error lists every mistake.
func Read(name string) ([]Profile, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read profiles: %w", err)
	}
	return Parse(name, data)
}

// Parse is Read for a file that has been read. name is used for messages alone.
func Parse(name string, data []byte) ([]Profile, error) {
	var f file
	doc := settings.Read(name, data, &f)
	if len(f.Profiles) > maxProfiles {
		doc.Problem("profiles", "holds %d profiles; at most %d", len(f.Profiles), maxProfiles)
		f.Profiles = f.Profiles[:maxProfiles]
	}
	seen := map[string]bool{}
	out := make([]Profile, 0, len(f.Profiles))
	for i, e := range f.Profiles {
		at := fmt.Sprintf("profiles[%d]", i)
		problem := func(key, format string, args ...any) { doc.Problem(at+key, format, args...) }
		text(e.Name, maxName, ".name", problem)
		switch {
		case e.Name == "":
			problem("", "has no name; contracts of lines name their profile by it")
		case seen[e.Name]:
			problem(".name", "%.100q is the name of another profile too; names must differ", e.Name)
		}
		seen[e.Name] = true
		out = append(out, e.read(problem))
	}
	return out, doc.Err()
}

func (e *entry) read(problem func(key, format string, args ...any)) Profile {
	p := Profile{Name: e.Name, Citation: e.Citation, Layer: probes.Layer(e.Layer), Hours: reports.Hours(e.Hours)}
	text(e.Citation, maxCitation, ".citation", problem)
	if !p.Layer.Valid() {
		problem(".layer", "%.60q is not a layer; use lan, broadband, dedicated or conference", e.Layer)
	}
	switch p.Hours {
	case "":
		p.Hours = reports.Office
	case reports.Office, reports.All:
	default:
		problem(".hours", "%.60q is not office or all", e.Hours)
	}
	seconds := func(d *time.Duration) *float64 {
		if d == nil {
			return nil
		}
		v := d.Seconds()
		return &v
	}
	l, c := &e.Limits, &e.Citations
	for _, one := range []struct {
		what     string
		value    *float64
		citation string
		max      float64
		unit     string
	}{
		{"availability", l.Availability, c.Availability, 1, "a share from 0 to 1, such as 0.99 for 99 %"},
		{"loss", l.Loss, c.Loss, 1, "a share from 0 to 1, such as 0.01 for 1 %"},
		{"loss_p95", l.LossP95, c.LossP95, 1, "a share from 0 to 1, such as 0.01 for 1 %"},
		{"rtt_p50", seconds(l.RTTP50), c.RTTP50, longest.Seconds(), "above 0s and at most 10s, such as 50ms"},
		{"rtt_p95", seconds(l.RTTP95), c.RTTP95, longest.Seconds(), "above 0s and at most 10s, such as 50ms"},
		{"jitter_p95", seconds(l.JitterP95), c.JitterP95, longest.Seconds(), "above 0s and at most 10s, such as 50ms"},
	} {
		text(one.citation, maxCitation, ".citations."+one.what, problem)
		if one.value == nil {
			if one.citation != "" {
				problem(".citations."+one.what, "there is no limit called %s to cite; give it under limits, or remove this", one.what)
			}
			continue
		}
		v := *one.value
		at := ".limits." + one.what
		shares := one.max == 1
		if math.IsNaN(v) || v < 0 || v > one.max || !shares && v == 0 {
			problem(at, "must be %s", one.unit)
		}
		cited := one.citation
		if cited == "" {
			cited = e.Citation
		}
		if cited == "" {
			problem(at, "says not where it is written; give citation: of the profile or citations.%s, with number and date of the contract or decision", one.what)
		}
		p.Limits = append(p.Limits, Limit{one.what, v, cited})
	}
	if len(p.Limits) == 0 {
		problem("", "has no limits; give one at least, such as availability, or remove the profile")
	}
	return p
}

// text checks words that are shown to people.
func text(s string, most int, key string, problem func(key, format string, args ...any)) {
	bad := func(r rune) bool { return unicode.IsControl(r) && r != '\n' }
	switch {
	case len(s) > most:
		problem(key, "has %d bytes; at most %d", len(s), most)
	case !utf8.ValidString(s) || strings.IndexFunc(s, bad) >= 0:
		problem(key, "has characters that can't be shown")
	}
}
