package equipment

import (
	"time"

	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

// Device is one device as lists show it. Texts are empty, days and times null, where nothing is known.
type Device struct {
	ID             string     `json:"id"`
	Site           string     `json:"site"`
	SiteName       string     `json:"site_name"`
	District       string     `json:"district"`
	Name           string     `json:"name"`
	Class          string     `json:"class"`
	Vendor         string     `json:"vendor"`
	Model          string     `json:"model"`
	Hardware       string     `json:"hardware"`
	Version        string     `json:"version"`
	OS             string     `json:"os"`
	Serial         string     `json:"serial"`
	Address        string     `json:"address"`
	MAC            string     `json:"mac"`
	FirstSeen      *time.Time `json:"first_seen"`
	LastSeen       *time.Time `json:"last_seen"`
	Gone           bool       `json:"gone"`
	Phase          string     `json:"phase"`
	Contract       string     `json:"contract"`
	Purchase       string     `json:"purchase"` // id of the bought piece
	Link           string     `json:"link"`
	LinkConfidence float64    `json:"link_confidence"`
	Price          *int64     `json:"price_vnd"`
	WarrantyUntil  *string    `json:"warranty_until"`
	InService      *string    `json:"in_service"`
	State          string     `json:"state"`
	Standing       string     `json:"standing"`
	Severity       int        `json:"severity"`
	Score          int        `json:"score"`
	Band           string     `json:"band"`
	Rule           string     `json:"rule"`
	Reason         string     `json:"reason"`
	Action         string     `json:"action"`
	Due            *string    `json:"due"`
	SupportEnds    *string    `json:"support_ends"` // the earlier of the next two
	HardwareEnds   *string    `json:"hardware_ends"`
	SoftwareEnds   *string    `json:"software_ends"`
	Legal          string     `json:"legal"`
	LegalReason    string     `json:"legal_reason"`
	Replace        string     `json:"replace"`
	Evidence       string     `json:"evidence"`
	Stale          bool       `json:"stale"`
	Completeness   float64    `json:"completeness_ratio"`
	Failures       int        `json:"failures"`
	Conflicts      int        `json:"conflicts"`
	Duplicates     int        `json:"duplicates"`
	Unconfirmed    bool       `json:"unconfirmed"`
}

// NewDevice makes what is written of a row.
func NewDevice(r stock.Row) Device {
	return Device{
		ID: r.ID, Site: r.Site, SiteName: r.SiteName, District: r.District, Name: r.Name, Class: r.Class, Vendor: r.Vendor, Model: r.Model,
		Hardware: r.Hardware, Version: r.Version, OS: r.OS, Serial: r.Serial, Address: r.Address, MAC: r.MAC,
		FirstSeen: moment(r.FirstSeen), LastSeen: moment(r.LastSeen), Gone: r.Gone, Phase: r.Phase, Contract: r.Contract, Purchase: r.Unit,
		Link: string(r.Link), LinkConfidence: r.LinkConfidence, Price: price(r.Price), WarrantyUntil: day(r.WarrantyUntil), InService: day(r.InService),
		State: string(r.State), Standing: string(r.Standing), Severity: int(r.Severity), Score: r.Score, Band: band(r.Band), Rule: r.Rule,
		Reason: r.Reason, Action: string(r.Action), Due: day(r.Due), SupportEnds: day(r.SupportEnds),
		HardwareEnds: day(r.HardwareEnds), SoftwareEnds: day(r.SoftwareEnds), Legal: string(r.Legal), LegalReason: r.LegalReason,
		Replace: string(r.Replace), Evidence: r.Evidence, Stale: r.Stale, Completeness: r.Completeness, Failures: r.Failures, Conflicts: r.Conflicts,
		Duplicates: r.Duplicates, Unconfirmed: r.Unconfirmed,
	}
}

func band(b lifecycle.Band) string {
	if b == "" {
		return "none"
	}
	return string(b)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func day(d inventory.Date) *string {
	if d.IsZero() {
		return nil
	}
	s := d.String()
	return &s
}

func price(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// List converts; it is never nil, so that an empty list is [].
func List[A, B any](in []A, to func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = to(a)
	}
	return out
}

// Fact is one value that one source says.
type Fact struct {
	Name       string     `json:"name"`
	Value      string     `json:"value"`
	Source     string     `json:"source"`
	Method     string     `json:"method"`
	Confidence float64    `json:"confidence_ratio"`
	Since      *time.Time `json:"since"`
	At         *time.Time `json:"at"`
	Agent      string     `json:"agent"`
	Check      string     `json:"check"`
	By         string     `json:"by"`
	Used       bool       `json:"used"`
	Conflict   bool       `json:"conflict"`
}

// Evidence is one value that a finding rests on.
type Evidence struct {
	Label      string     `json:"label"`
	Value      string     `json:"value"`
	Method     string     `json:"method"`
	Source     string     `json:"source"`
	At         *time.Time `json:"at"`
	Confidence float64    `json:"confidence_ratio"`
	By         string     `json:"by"`
}

// Finding is what one rule says.
type Finding struct {
	Rule     string     `json:"rule"`
	State    string     `json:"state"`
	Severity int        `json:"severity"`
	Text     string     `json:"text"`
	Action   string     `json:"action"`
	Due      *string    `json:"due"`
	Stale    bool       `json:"stale"`
	Grade    string     `json:"grade"`
	Match    string     `json:"match"`
	Missing  []string   `json:"missing"`
	Evidence []Evidence `json:"evidence"`
	Rows     []Row      `json:"rows"`
}

// Row is one row of the catalogue.
type Row struct {
	ID         string            `json:"id"`
	Kind       string            `json:"kind"`
	Vendor     string            `json:"vendor"`
	Pattern    string            `json:"pattern"`
	Match      string            `json:"match"`
	Class      string            `json:"class"`
	Sale       *string           `json:"end_of_sale"`
	Maint      *string           `json:"end_of_maintenance"`
	Support    *string           `json:"end_of_support"`
	Successor  string            `json:"successor"`
	Source     string            `json:"source"`
	ReviewedOn *string           `json:"reviewed_on"`
	Confidence string            `json:"confidence"`
	By         string            `json:"by"`
	Notes      map[string]string `json:"notes"`
}

func newRow(r lifecycle.Row) Row {
	notes := r.Notes
	if notes == nil {
		notes = map[string]string{}
	}
	return Row{ID: r.ID, Kind: r.Kind, Vendor: r.Vendor, Pattern: r.Pattern, Match: string(r.Match), Class: r.Class, Sale: day(r.Sale), Maint: day(r.Maint),
		Support: day(r.Support), Successor: r.Successor, Source: r.Source, ReviewedOn: day(r.ReviewedOn), Confidence: r.Confidence, By: r.By, Notes: notes}
}

func newFinding(f stock.Finding) Finding {
	return Finding{Rule: f.Rule, State: string(f.State), Severity: int(f.Severity), Text: f.Text, Action: string(f.Action), Due: day(f.Due), Stale: f.Stale,
		Grade: f.Grade, Match: string(f.Match), Missing: List(f.Missing, func(s string) string { return s }),
		Evidence: List(f.Evidence, func(e lifecycle.Evidence) Evidence {
			v := e.Value
			return Evidence{Label: e.Label, Value: v.Text, Method: string(v.Method), Source: v.Source, At: moment(v.At), Confidence: v.Confidence, By: v.By}
		}),
		Rows: List(f.Rows, func(r *lifecycle.Row) Row { return newRow(*r) })}
}

// Points is one part of a priority.
type Points struct {
	Code   string `json:"code"`
	Rule   string `json:"rule"`
	Points int    `json:"points"`
	Text   string `json:"text"`
}

func newPoints(p stock.Points) Points {
	return Points{Code: p.Code, Rule: p.Rule, Points: p.Points, Text: p.Text}
}

// Piece is one bought piece.
type Piece struct {
	ID            string  `json:"id"`
	Phase         string  `json:"phase"`
	Contract      string  `json:"contract"`
	Decision      string  `json:"decision"`
	Item          string  `json:"item"`
	Class         string  `json:"class"`
	Vendor        string  `json:"vendor"`
	Model         string  `json:"model"`
	Serial        string  `json:"serial"`
	Site          string  `json:"site"`
	SiteName      string  `json:"site_name"`
	Received      *string `json:"received"`
	Price         *int64  `json:"price_vnd"`
	WarrantyUntil *string `json:"warranty_until"`
	Device        string  `json:"device"` // empty when not found
	Link          string  `json:"link"`
	Confidence    float64 `json:"link_confidence"`
	Moved         bool    `json:"moved"`
	By            string  `json:"by"`
	Source        string  `json:"source"`
}

func newPiece(p stock.Purchase) Piece {
	return Piece{ID: p.ID, Phase: p.Phase, Contract: p.Contract, Decision: p.Decision, Item: p.Item, Class: p.Class, Vendor: p.Vendor, Model: p.Model,
		Serial: p.Serial, Site: p.Site, SiteName: p.SiteName, Received: day(p.Received), Price: price(p.Price), WarrantyUntil: day(p.WarrantyUntil),
		Device: p.Device, Link: string(p.Link), Confidence: p.Confidence, Moved: p.Moved, By: p.By, Source: p.Source}
}

// Change is one change of a fact.
type Change struct {
	At     *time.Time `json:"at"`
	Fact   string     `json:"fact"`
	From   string     `json:"from"`
	To     string     `json:"to"`
	Source string     `json:"source"`
	By     string     `json:"by"`
}

// Sighting is one check that sees a device.
type Sighting struct {
	Site   string     `json:"site"`
	Agent  string     `json:"agent"`
	Target string     `json:"target"`
	Kind   string     `json:"kind"`
	Path   string     `json:"path"`
	First  *time.Time `json:"first"`
	Last   *time.Time `json:"last"`
}

// Ticket is a failure, a repair or a quote.
type Ticket struct {
	Date *string `json:"date"`
	Kind string  `json:"kind"`
	Cost *int64  `json:"cost_vnd"`
	Note string  `json:"note"`
	By   string  `json:"by"`
}

// Duplicate is another device that may be the same one.
type Duplicate struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// DeviceDetail is all that is known of one device.
type DeviceDetail struct {
	Device
	Facts       []Fact      `json:"facts"`
	History     []Change    `json:"history"`
	Findings    []Finding   `json:"findings"`
	LegalChecks []Finding   `json:"legal_checks"`
	Priority    []Points    `json:"priority"`
	Bought      []Piece     `json:"bought"` // one, or none
	Candidates  []Piece     `json:"candidates"`
	Sightings   []Sighting  `json:"sightings"`
	Tickets     []Ticket    `json:"tickets"`
	MaybeSame   []Duplicate `json:"maybe_same"`
	Questions   []Question  `json:"questions"`
}

// NewDeviceDetail makes what is written of a device.
func NewDeviceDetail(d stock.Device) DeviceDetail {
	out := DeviceDetail{Device: NewDevice(d.Row), Findings: List(d.Findings, newFinding), LegalChecks: List(d.LegalChecks, newFinding),
		Priority: List(d.Priority, newPoints), Bought: []Piece{}, Candidates: List(d.Candidates, newPiece), Questions: List(d.Questions, NewQuestion)}
	if d.Purchase != nil {
		out.Bought = append(out.Bought, newPiece(*d.Purchase))
	}
	out.Facts = List(d.Facts, func(f stock.Fact) Fact {
		return Fact{Name: f.Name, Value: f.Value, Source: f.Source, Method: string(f.Method), Confidence: f.Confidence, Since: moment(f.Since),
			At: moment(f.At), Agent: f.Agent, Check: f.Check, By: f.By, Used: f.Used, Conflict: f.Conflict}
	})
	out.History = List(d.History, func(c stock.Change) Change {
		return Change{At: moment(c.At), Fact: c.Fact, From: c.From, To: c.To, Source: c.Source, By: c.By}
	})
	out.Sightings = List(d.Sightings, func(s stock.Sighting) Sighting {
		return Sighting{Site: s.Site, Agent: s.Agent, Target: s.Target, Kind: s.Kind, Path: s.Path, First: moment(s.First), Last: moment(s.Last)}
	})
	out.Tickets = List(d.Tickets, func(t stock.Ticket) Ticket {
		return Ticket{Date: day(t.Date), Kind: t.Kind, Cost: price(t.Cost), Note: t.Note, By: t.By}
	})
	out.MaybeSame = List(d.Duplicates, func(x stock.Duplicate) Duplicate { return Duplicate{x.ID, x.Why} })
	return out
}

// Question is a fact that nobody knows yet.
type Question struct {
	Device  string `json:"device"`
	Site    string `json:"site"`
	Missing string `json:"missing"`
	Text    string `json:"text"`
	Who     string `json:"who"`
	WhoText string `json:"who_text"`
	Letter  string `json:"letter"`
}

// NewQuestion makes what is written of a question.
func NewQuestion(q stock.Question) Question {
	return Question{Device: q.ID, Site: q.Site, Missing: q.Missing, Text: q.Text, Who: q.Who, WhoText: q.WhoText, Letter: q.Letter}
}

// Replacement is one proposal to replace.
type Replacement struct {
	Device
	ReplaceText string    `json:"replace_text"`
	Offers      []string  `json:"offers"`
	Findings    []Finding `json:"findings"`
	LegalChecks []Finding `json:"legal_checks"`
	Priority    []Points  `json:"priority"`
}

// NewReplacement makes what is written of a proposal.
func NewReplacement(r stock.Replacement) Replacement {
	return Replacement{Device: NewDevice(r.Row), ReplaceText: r.ReplaceText, Offers: List(r.Offers, func(s string) string { return s }),
		Findings: List(r.Findings, newFinding), LegalChecks: List(r.LegalChecks, newFinding), Priority: List(r.Priority, newPoints)}
}

// Count is three numbers that add up to devices, and what is inside them.
type Count struct {
	Key          string `json:"key"`
	Label        string `json:"label"`
	Devices      int    `json:"devices"`
	Outdated     int    `json:"outdated"`
	Fine         int    `json:"fine"`
	Unknown      int    `json:"unknown"`
	DueSoon      int    `json:"due_soon"`
	Review       int    `json:"review"`
	ReplaceFirst int    `json:"replace_first"`
	Eligible     int    `json:"eligible"`
	Models       int    `json:"models"`
	Versions     int    `json:"versions"`
	Price        int64  `json:"price_vnd"`
}

// Use says how many devices are of one model or run one version.
type Use struct {
	Vendor   string `json:"vendor"`
	Model    string `json:"model"`
	Version  string `json:"version"`
	Class    string `json:"class"`
	Devices  int    `json:"devices"`
	Sites    int    `json:"sites"`
	Versions int    `json:"versions"`
	Outdated int    `json:"outdated"`
	Fine     int    `json:"fine"`
	Unknown  int    `json:"unknown"`
}

// Rate is how often devices failed, per device and year, with its 95 % interval.
type Rate struct {
	Key      string  `json:"key"`
	Devices  int     `json:"devices"`
	Failures int     `json:"failures"`
	Years    float64 `json:"device_years"`
	Rate     float64 `json:"rate"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Thin     bool    `json:"thin"` // watched too little to go by
}

// Summary counts devices.
type Summary struct {
	AsOf            *string `json:"as_of"`
	Total           Count   `json:"total"`
	Districts       []Count `json:"districts"`
	Sites           []Count `json:"sites"`
	Phases          []Count `json:"phases"`
	Classes         []Count `json:"classes"`
	Models          []Use   `json:"models"`
	Versions        []Use   `json:"versions"`
	FailuresByPhase []Rate  `json:"failures_by_phase"`
	FailuresByModel []Rate  `json:"failures_by_model"`
}

// NewSummary makes what is written of a summary.
func NewSummary(s stock.Summary) Summary {
	count := func(c stock.Count) Count { return Count(c) }
	use := func(u stock.Use) Use {
		return Use{u.Vendor, u.Model, u.Version, u.Class, u.Devices, u.Sites, u.Versions, u.Outdated, u.Fine, u.Unknown}
	}
	rate := func(r stock.FailureRate) Rate {
		return Rate{r.Key, r.Devices, r.Failures, r.Years, r.Rate, r.Low, r.High, r.Thin}
	}
	return Summary{AsOf: day(s.AsOf), Total: count(s.Total), Districts: List(s.Districts, count), Sites: List(s.Sites, count), Phases: List(s.Phases, count),
		Classes: List(s.Classes, count), Models: List(s.Models, use), Versions: List(s.Versions, use),
		FailuresByPhase: List(s.Failures.ByPhase, rate), FailuresByModel: List(s.Failures.ByModel, rate)}
}

// Phase is one purchase phase.
type Phase struct {
	Name       string     `json:"name"`
	Contracts  []string   `json:"contracts"`
	Decisions  []string   `json:"decisions"`
	First      *string    `json:"first_received"`
	Last       *string    `json:"last_received"`
	Pieces     int        `json:"pieces"`
	Matched    int        `json:"matched"`
	Weak       int        `json:"weak"`
	Unmatched  int        `json:"unmatched"`
	Price      int64      `json:"price_vnd"`
	File       string     `json:"file"`
	Imported   *time.Time `json:"imported"`
	ImportedBy string     `json:"imported_by"`
}

// Purchases are the phases with their pieces.
type Purchases struct {
	Phases    []Phase  `json:"phases"`
	Pieces    []Piece  `json:"pieces"`
	Unmatched []Device `json:"unmatched_devices"`
}

// NewPurchases makes what is written of purchases.
func NewPurchases(p stock.Purchases) Purchases {
	text := func(s string) string { return s }
	return Purchases{Pieces: List(p.Units, newPiece), Unmatched: List(p.Unmatched, NewDevice), Phases: List(p.Phases, func(h stock.Phase) Phase {
		return Phase{Name: h.Name, Contracts: List(h.Contracts, text), Decisions: List(h.Decisions, text), First: day(h.First), Last: day(h.Last),
			Pieces: h.Units, Matched: h.Matched, Weak: h.Weak, Unmatched: h.Unmatched, Price: h.Price, File: h.File, Imported: moment(h.Imported), ImportedBy: h.ImportedBy}
	})}
}
