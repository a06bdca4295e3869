package legal

import (
	_ "embed"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"

	"communewatch/inventory"
)

// FixedAssetVND is the least original price of a fixed asset (Circular 141/2025/TT-BTC Art. 3, with a life of a year or
// more). Below it the office itself decides.
const FixedAssetVND = 10_000_000

// Posts for whom maxima differ.
const (
	PostLeader = "leader"
	PostStaff  = "staff"
)

// Posts lists the posts.
func Posts() []string { return []string{PostLeader, PostStaff} }

//go:embed life.csv
var lifeCSV string

//go:embed maxima.csv
var maximaCSV string

var (
	lives  = loadLives()
	maxima = loadMaxima()
)

// Life is the useful life of a kind of equipment under a regime.
type Life struct {
	Norm        string // "TT 141/2025/TT-BTC"
	Kind        string
	Years       int
	YearsMax    int // where the kind's class is open and may give a longer life; else Years
	RatePercent float64
	Grade       string // A, B, C
	Verified    bool   // compared with the gazette
	Source      string

	from, until inventory.Date
}

// Maximum is the most of one item that a post or office may have, and may pay.
type Maximum struct {
	Norm     string
	Item     string // desktop, laptop, tablet, printer, scanner, photocopier, shredder
	Post     string // "": the same for all
	PerStaff int    // one unit for so many people, rounded up
	Price    int64  // VND, taxes included, software not
	Grade    string
	Source   string

	from, until inventory.Date
}

func records(text string) [][]string {
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(all) == 0 {
		panic("legal: a table that comes with the program can't be read: " + err.Error()) // a test loads it
	}
	return all[1:]
}

func date(s string) inventory.Date {
	d, err := inventory.ParseDate(s)
	if err != nil {
		panic("legal: " + err.Error())
	}
	return d
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func loadLives() []Life {
	var all []Life
	for _, r := range records(lifeCSV) {
		rate, _ := strconv.ParseFloat(r[6], 64)
		l := Life{Norm: r[0], from: date(r[1]), until: date(r[2]), Kind: r[3], Years: number(r[4]), YearsMax: number(r[5]),
			RatePercent: rate, Grade: r[7], Verified: r[8] == "yes", Source: r[9]}
		l.YearsMax = max(l.Years, l.YearsMax)
		all = append(all, l)
	}
	return all
}

func loadMaxima() []Maximum {
	var all []Maximum
	for _, r := range records(maximaCSV) {
		price, _ := strconv.ParseInt(r[6], 10, 64)
		all = append(all, Maximum{Norm: r[0], from: date(r[1]), until: date(r[2]), Item: r[3], Post: r[4], PerStaff: number(r[5]),
			Price: price, Grade: r[7], Source: r[8]})
	}
	return all
}

// Lives lists the table of useful lives, for showing.
func Lives() []Life { return slices.Clone(lives) }

// within reports whether on lies between from and until, both included; zero dates are open ends.
func within(on, from, until inventory.Date) bool {
	return (from.IsZero() || !on.Before(from.Time)) && (until.IsZero() || !on.After(until.Time))
}

// LifeOf returns the useful life of a class of equipment (as in probes.Classes) under the
// regime on a day. ok is false where the class is not known.
func LifeOf(class string, on inventory.Date) (l Life, ok bool) {
	kind := kindOf(class)
	for _, l := range lives {
		if l.Kind == kind && within(on, l.from, l.until) {
			return l, true
		}
	}
	return Life{}, false
}

func kindOf(class string) string {
	switch class {
	case "pc", "desktop", "laptop", "tablet":
		return "computer"
	case "printer":
		return "printer"
	case "scanner", "photocopier", "shredder", "phone":
		return "office"
	case "router", "switch", "firewall", "access_point", "wireless_controller", "modem", "ont", "network":
		return "network"
	case "videoconference", "vc_peripheral", "conference_server":
		return "conference"
	case "":
		return ""
	}
	return "other"
}

// Expired reports whether a life that began in one year has ended in another: year of service plus life is at most the
// year. open is true where it depends on the class that the law puts the equipment into.
func (l Life) Expired(inService, asOf int) (expired, open bool) {
	switch {
	case inService+l.YearsMax <= asOf:
		return true, false
	case inService+l.Years <= asOf:
		return false, true
	}
	return false, false
}

// NormedItem returns the item that norms count a class as, "" where they have no number for it: network and conference
// equipment, cameras and the like, which the competent authority decides about.
func NormedItem(class string) string {
	switch class {
	case "pc", "desktop":
		return "desktop"
	case "laptop", "tablet", "printer", "scanner", "photocopier", "shredder":
		return class
	}
	return ""
}

// MaximumOf returns the maximum for an item and post on a day. needPost is true where the post decides and is "".
func MaximumOf(item, post string, on inventory.Date) (m Maximum, needPost, ok bool) {
	for _, m := range maxima {
		if m.Item != item || !within(on, m.from, m.until) {
			continue
		}
		if m.Post == "" || m.Post == post {
			return m, false, true
		}
		needPost = true
	}
	return Maximum{}, needPost && post == "", false
}

// Units returns the most units for so many people: fractions round up.
func (m Maximum) Units(staff int) int {
	if m.PerStaff <= 0 || staff <= 0 {
		return 0
	}
	return (staff + m.PerStaff - 1) / m.PerStaff
}

// Approval says who may approve a price.
type Approval string

// The approvals (QĐ 15/2025/QĐ-TTg Art. 4.4).
const (
	ApprovalNone     Approval = "within"      // at most the maximum
	ApprovalHead     Approval = "head"        // up to 15 % above: the head of the unit
	ApprovalProvince Approval = "province"    // up to 30 % above: the province or its delegate
	ApprovalNobody   Approval = "not_allowed" // more
)

// ApprovalFor returns who may approve a unit price in VND.
func (m Maximum) ApprovalFor(price int64) Approval {
	const huge = 1 << 50
	switch {
	case price <= m.Price:
		return ApprovalNone
	case price < huge && price*100 <= m.Price*115:
		return ApprovalHead
	case price < huge && price*100 <= m.Price*130:
		return ApprovalProvince
	}
	return ApprovalNobody
}

// RepairTooDear reports whether a repair costs more than 30 % of the original price, or of an equivalent new item where
// that is not known (Decree 186/2025/NĐ-CP Art. 28). Exactly 30 % is not more.
func RepairTooDear(repair, price int64) bool {
	const huge = 1 << 58 // keeps the products within an int64
	return repair > huge || price > 0 && price < huge && repair*10 > price*3
}
