package lifecycle

import "communewatch/inventory"

// MatchKind is how a catalogue row matches a model or version.
type MatchKind string

// The kinds of match, best first.
const (
	MatchNone  MatchKind = ""
	MatchExact MatchKind = "exact"
	MatchGlob  MatchKind = "glob"
	MatchTrain MatchKind = "train" // by components of a version number: 7.1 is not 7.10
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
	Source     string
	ReviewedOn inventory.Date
	Confidence string            // A, B, C, U; local rows "A(local)"
	Notes      map[string]string // key=value parts of the note: status, cve, min_fw, build, alias ...
	Remarks    []string          // its other parts
	By         string            // who entered a local row
	Line       int               // in its file
}
