// Package purchases knows what the province bought: it reads the lists of purchase phases (đợt cấp) as people keep
// them, in Excel or CSV, and matches what was bought with what is found in the network.
//
// A list is read as a careful clerk would: titles, totals and section headings are understood, every mistake is told
// with its row, column and fix, whatever is skipped is told as a warning, and a list with a mistake is not imported at
// all. Matching goes by serial, else by site and model with a confidence below that of a serial, and what a reviewer
// decided always wins. Everything is a pure function of its arguments.
package purchases

import "communewatch/inventory"

// Purchase is one unit that was bought: a row with quantity 3 makes three.
type Purchase struct {
	// ID stays with the unit when its list is imported again, also when rows moved: it is made of the phase and the
	// serial, or where there is no serial, of what the row says and a running number among its like.
	ID string

	Phase    string // đợt cấp, as written: "Đợt 1 năm 2021"
	Contract string // number of the contract; may be empty
	Decision string // number of the decision; may be empty

	Item   string // what the list calls it: "Bộ chuyển mạch 24 cổng"; may be empty if there is a model
	Model  string // may be empty if there is an item
	Vendor string // may be empty
	Serial string // as written, without "S/N:"; may be empty
	Class  string // one of the classes of equipment, "" where the list does not say or says another word
	Kind   string // the cell that Class was read from, as written

	Site     string         // id; "" where the list names none
	Received inventory.Date // handed over or put into service; zero: unknown
	Roughly  bool           // the list gives the year or the month alone; Received is its last day

	Price          int64          // of one unit in VND, taxes as the list has them; 0: unknown
	WarrantyMonths int            // 0: unknown
	WarrantyUntil  inventory.Date // zero: unknown
	LifeYears      int            // useful life of the ledger; 0: unknown

	User string // post or person that uses it
	Note string

	Sheet string // where it was read: "" for CSV
	Row   int    // as a spreadsheet or an editor counts
	N     int    // which unit of the row, from 1
}

// Options are what a list is checked against. The zero Options know no site, so that every site named is a mistake.
type Options struct {
	Sites    []inventory.Site // all rows: a list may use a name that a site had before
	Imported []Purchase       // of other lists: their serials and ids may not come again
	Phase    string           // for lists that do not say it
	Today    inventory.Date   // dates after it are mistakes; zero: not checked
}

// Import is what a list holds. With Problems it holds no units.
type Import struct {
	Purchases []Purchase // in the order of the list
	Problems  []inventory.Problem
	Warnings  []inventory.Problem // what was skipped, put right or read with a guess
}

// Device is a device that was found, as far as it serves for matching.
type Device struct {
	ID, Site, Vendor, Model, Serial, Class string
}

// Link is what a reviewer decided about a purchase and a device.
type Link struct {
	Purchase, Device string // ids
	Not              bool   // the two are not the same
}

// Reason says how a pair was found.
type Reason string

// The reasons, best first.
const (
	ReasonHand   Reason = "hand"         // a reviewer linked them
	ReasonSerial Reason = "serial"       // same serial, vendors agree or one is unknown
	ReasonModel  Reason = "site_model"   // same site, same model
	ReasonPart   Reason = "site_similar" // same site, one model's name contains the other's
	ReasonClass  Reason = "site_class"   // same site, vendor and class; the model is unknown on one side
)

// Pair is a purchase and the device it is.
type Pair struct {
	Purchase, Device string
	Reason           Reason
	Confidence       float64 // 1 for a serial or a reviewer's link, 0.3 to 0.8 for the rest
	Bought, Found    int     // how many of this kind the site was given and has; 0 for serials and links
	Moved            bool    // the device is found at another site than it was bought for
}

// Ambiguity is a serial that does not tell which purchase is which device.
type Ambiguity struct {
	Serial             string // normalised
	Purchases, Devices []string
}

// Matching is the result of Match. Every purchase and every device is in exactly one pair or in one of the lists of
// unmatched ones; those of an Ambiguity are unmatched too. All lists are sorted by id.
type Matching struct {
	Pairs              []Pair // sorted by Purchase
	Purchases, Devices []string
	Ambiguous          []Ambiguity
	Stale              []Link // links to what is no more, or that contradict another link
}
