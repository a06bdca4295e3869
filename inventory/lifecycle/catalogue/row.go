package catalogue

import (
	"net/url"
	"slices"
	"strings"

	"communewatch/inventory"
)

// MatchKind is how a row matches a model or version.
type MatchKind string

// The kinds of match, best first.
const (
	MatchNone  MatchKind = ""
	MatchExact MatchKind = "exact"
	MatchGlob  MatchKind = "glob"
	MatchTrain MatchKind = "train" // by components of a version number: 7.1 is not 7.10
	MatchRange MatchKind = "range" // all versions below one: "RouterOS <6.42.1"
)

// Confidences of a row. Only A and B (and A by a reviewer) can say that something is outdated.
const (
	ConfA     = "A"
	ConfB     = "B"
	ConfC     = "C"
	ConfU     = "U"
	ConfLocal = "A(local)"
)

// Kinds of row.
const (
	KindDevice   = "device"
	KindFirmware = "firmware"
	KindOS       = "os"
)

// What a row says where it has no date, or beside its dates.
const (
	StatusSupported    = "supported"           // by its maker, on the day of review
	StatusUnannounced  = "none-announced"      // the maker was asked, and has announced no end
	StatusEOLUndated   = "eol-undated"         // called end-of-life, without a date
	StatusRetired      = "retired-undated"     // listed by its maker as retired, without a date
	StatusUnknown      = "unknown"             // looked for, nothing dated found
	StatusLegacyTrain  = "legacy-train"        // can only run an old software line
	StatusPreviousGen  = "previous-generation" // cannot run the newest software line
	StatusPlatformOnly = "platform-only"       // only says how long a conference platform certifies it
	StatusKEV          = "kev"                 // in CISA's list of known exploited vulnerabilities; fixed firmware exists
	StatusKEVMaybeEOL  = "kev-maybe-eol"       // the list says it could be end-of-life
	StatusKEVEOL       = "kev-eol"             // the list says it is end-of-life
	classCPU           = "pc_cpu"
	classProtocol      = "protocol"
)

// Row is one row of the catalogue: a lifecycle statement with its source.
type Row struct {
	ID         string // stays with the row, for links: "cat-0123", "local-7"
	Kind       string // device, firmware, os
	Vendor     string
	Pattern    string
	Match      MatchKind
	Class      string
	Sale       inventory.Date // end of sale
	Maint      inventory.Date // end of maintenance
	Support    inventory.Date // end of support
	Successor  string
	Source     string         // links and names, separated by " | "
	ReviewedOn inventory.Date // zero: not known when its source was looked at
	Confidence string         // A, B, C, U; local rows "A(local)"
	Notes      map[string]string
	Remarks    []string
	By         string // who entered a local row
	Line       int    // in its file
}

// Note returns one of the rarer facts, by the name of its column: "status", "min_fw", "cve", "platform"; "" where the
// row has none.
func (r *Row) Note(name string) string { return r.Notes[name] }

// Date returns a note that is a day, the zero Date where there is none.
func (r *Row) Date(name string) inventory.Date {
	d, _ := inventory.ParseDate(r.Notes[name]) // checked when the row was read
	return d
}

// Status returns one of the Status constants, or "".
func (r *Row) Status() string { return r.Notes["status"] }

// Local reports whether a reviewer entered the row.
func (r *Row) Local() bool { return r.Confidence == ConfLocal }

// Grade returns the confidence as one letter.
func (r *Row) Grade() string {
	if r.Confidence == "" {
		return ConfU
	}
	return r.Confidence[:1]
}

// Patterns returns the pattern and its aliases.
func (r *Row) Patterns() []string {
	all := []string{r.Pattern}
	if a := r.Notes["alias"]; a != "" {
		all = append(all, strings.Split(a, " | ")...)
	}
	return all
}

// Publishers returns who is cited, each once: the host of a link, else the text as it stands. Two links to one host are
// one source.
func (r *Row) Publishers() []string {
	var all []string
	for part := range strings.SplitSeq(r.Source, " | ") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		first, _, _ := strings.Cut(part, " ")
		if u, err := url.Parse(first); err == nil && u.Host != "" {
			part = strings.TrimPrefix(u.Host, "www.")
		}
		if !slices.Contains(all, part) {
			all = append(all, part)
		}
	}
	return all
}
