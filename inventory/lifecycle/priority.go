package lifecycle

// Priority is the replacement priority of an item, 0 to 100, with its parts.
type Priority struct {
	Score int
	Band  Band
	Parts []Part // in the order in which they were added
}

// Part is one addend of a score.
type Part struct {
	Points int
	Code   string // names the sentence
	Rule   string // the finding it comes from; "": the item's surroundings
}

// Band is what a score means for the budget.
type Band string

// The bands. The zero Band is none.
const (
	BandNone     Band = "none"
	BandWatch    Band = "watch"     // 10 to 29
	BandNextYear Band = "next_year" // 30 to 49
	BandThisYear Band = "this_year" // 50 to 69: this budget year
	BandFirst    Band = "first"     // 70 and more: replace first
)
