package lifecycle

import "communewatch/inventory/lifecycle/catalogue"

// Row is one row of the catalogue.
type Row = catalogue.Row

// MatchKind is how a catalogue row matches a model or version.
type MatchKind = catalogue.MatchKind

// Catalogue is the rows, ready to be searched.
type Catalogue = catalogue.Catalogue

// The kinds of match, best first.
const (
	MatchNone  = catalogue.MatchNone
	MatchExact = catalogue.MatchExact
	MatchGlob  = catalogue.MatchGlob
	MatchTrain = catalogue.MatchTrain
	MatchRange = catalogue.MatchRange
)
