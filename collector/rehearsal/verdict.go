package rehearsal

import "communewatch/probes"

// Mark is what a cell of the matrix says.
type Mark string

// The marks. Unknown is no verdict, neither good nor bad.
const (
	Go      Mark = "go"
	AtRisk  Mark = "risk"
	NoGo    Mark = "no_go"
	Unknown Mark = "unknown"
)

// Rank orders marks from the best known to the worst, with Unknown between Go and AtRisk.
func (m Mark) Rank() int {
	switch m {
	case Go:
		return 0
	case AtRisk:
		return 2
	case NoGo:
		return 3
	}
	return 1
}

// Order is the place of a mark in lists: what needs a person first. What is not known goes before risks, as it may be
// anything.
func (m Mark) Order() int {
	switch m {
	case NoGo:
		return 0
	case AtRisk:
		return 2
	case Go:
		return 3
	}
	return 1
}

// Column is a column of the matrix.
type Column string

// The columns, in their order.
const (
	ColumnLAN       Column = "lan"
	ColumnBroadband Column = "broadband"
	ColumnDedicated Column = "dedicated"
	ColumnEndpoint  Column = "endpoint"
	ColumnHub       Column = "hub"
)

// Columns lists the columns in their order.
func Columns() []Column {
	return []Column{ColumnLAN, ColumnBroadband, ColumnDedicated, ColumnEndpoint, ColumnHub}
}

// Code says in one word why a cell is what it is; room words makes the sentence.
type Code string

// The codes of cells, with the parameters they carry.
const (
	CodeClean         Code = "clean"           // calls went through clean; Loss, Direction: the worst
	CodeLoss          Code = "loss"            // Loss in Direction, there from the site's first step
	CodeLossSometimes Code = "loss_sometimes"  // Loss in Direction in N of Of steps
	CodeDelay         Code = "delay"           // Seconds round-trip time
	CodeScore         Code = "score"           // Score (MOS) although little was lost
	CodeShared        Code = "shared_district" // Loss in Direction at N of Of sites of District and hardly elsewhere
	CodeSetup         Code = "setup"           // the call could not be set up: Outcome, Text
	CodeHubGrows      Code = "hub_grows"       // Loss (median) in Direction at N of Of sites with Sites at once; less with fewer
	CodeHubLoss       Code = "hub_loss"        // the same in every step: the number of sites makes no difference
	CodeHubSetup      Code = "hub_setup"       // N of Of calls could not be set up at once
	CodeHubOverloaded Code = "hub_overloaded"  // the hub's test server was too busy for N of Of calls
	CodeHubSlow       Code = "hub_slow"        // packets stayed Seconds at it, above Limit, for so long that it was stopped
	CodeHubLoad       Code = "hub_load"        // Ratio of its processors were in use, above Limit, for so long
	CodeHubAway       Code = "hub_away"        // it could not be asked how it fares for Seconds
	CodeHubBusy       Code = "hub_busy"        // the hub refused N of Of calls
	CodeMasked        Code = "masked_by_hub"   // the site was only measured while the hub lost packets itself
	CodeLimitedAgent  Code = "limited_agent"   // the agent's machine was too slow for the numbers to be the line's
	CodeLimitedHub    Code = "limited_hub"     // the hub was too busy for the numbers to be the line's
	CodeNotConnected  Code = "not_connected"   // no agent of the site was connected
	CodeRefused       Code = "refused"         // the agent refused: Text
	CodeNoResult      Code = "no_result"       // told, but nothing came back
	CodeAgent         Code = "agent"           // the agent could not call, for reasons of its own: Outcome, Text
	CodeNotCalled     Code = "not_called"      // no step of the site was run, or no call went over this path
	CodeHealth        Code = "health"          // the layer's state (State, and Text for its reason) decides
	CodeLevel         Code = "level"           // the endpoint stands on Level of the ladder
	CodeSilent        Code = "endpoint_silent" // the endpoint Text does not answer
	CodeStale         Code = "endpoint_stale"  // nothing fresh is known of the endpoint Text
	CodeNoEndpoint    Code = "no_endpoint"     // no endpoint of the site is known
	CodeNotHeard      Code = "not_heard"       // of a whole site that was told: nothing was heard of it
	CodeFewResults    Code = "few_results"     // too few calls to say anything of the hub
)

// Why is a code with its parameters; those that do not belong to the code are zero.
type Why struct {
	Code      Code             `json:"code"`
	Loss      float64          `json:"loss_ratio,omitempty"`
	Direction probes.Direction `json:"direction,omitempty"`
	Seconds   float64          `json:"seconds,omitempty"`
	Score     float64          `json:"score,omitempty"`
	Ratio     float64          `json:"ratio,omitempty"`
	Limit     float64          `json:"limit,omitempty"` // of Seconds or Ratio
	N         int              `json:"n,omitempty"`
	Of        int              `json:"of,omitempty"`
	Sites     int              `json:"sites,omitempty"`
	District  string           `json:"district,omitempty"`
	Outcome   string           `json:"outcome,omitempty"`
	State     string           `json:"state,omitempty"`
	Text      string           `json:"text,omitempty"`
	Level     int              `json:"level,omitempty"`
}

// Cell is one verdict.
type Cell struct {
	Mark Mark `json:"mark"`
	Why  Why  `json:"why"`
	// Level of the readiness ladder, of the endpoint's column only; nil: not known.
	Level *int `json:"level,omitempty"`
	// Unproven says that the call which decided may have gone another way.
	Unproven bool `json:"unproven,omitempty"`
	// Layer is the health layer's own state where calls decided, for the reader: a call is half a minute.
	Layer *LayerState `json:"layer,omitempty"`
}

// Row is one site's line of the matrix.
type Row struct {
	Site     string `json:"site"`
	District string `json:"district,omitempty"`
	Overall  Mark   `json:"overall"`
	// Decided is the column that Overall rests on, "" when the calls as such or nothing did; Why is its reason.
	Decided Column          `json:"decided,omitempty"`
	Why     Why             `json:"why"`
	Call    Cell            `json:"call"` // the calls alone, whatever way they went
	Cells   map[Column]Cell `json:"cells"`
	// Unproven lists columns that nothing is known of, so that Overall does not speak for them.
	Unproven []Column   `json:"unproven,omitempty"`
	Path     string     `json:"path,omitempty"` // that the calls went over
	Steps    []StepLoss `json:"steps"`          // one per step of the rehearsal
	RTT      *float64   `json:"rtt_median_seconds,omitempty"`
	MOS      *float64   `json:"mos_audio,omitempty"`
	MOSVideo *float64   `json:"mos_video,omitempty"`
}

// StepLoss is what a site lost in a step, discards counted.
type StepLoss struct {
	Progress Progress `json:"progress,omitempty"` // "": not in this step
	Up       *float64 `json:"loss_up,omitempty"`
	Down     *float64 `json:"loss_down,omitempty"`
	Limited  string   `json:"limited_by,omitempty"` // agent or reflector, whose load the numbers are; "": they are the line's
}

// StepSummary is a step over all its sites.
type StepSummary struct {
	Step       int     `json:"step"` // from 1
	Sites      int     `json:"sites"`
	Results    int     `json:"results"` // calls that measured the line
	Limited    int     `json:"limited"` // calls that measured somebody's load instead
	Failed     int     `json:"failed"`  // calls that could not be set up
	Lossy      int     `json:"lossy"`   // results with 1 % or more lost
	MedianUp   float64 `json:"median_loss_up"`
	MedianDown float64 `json:"median_loss_down"`
	Load       Load    `json:"load"`
	Blamed     bool    `json:"blamed"` // its loss is the hub's
}

// Shared is a cause that sites of a district have together.
type Shared struct {
	District string           `json:"district"`
	Sites    []string         `json:"sites"` // those that lose
	Of       int              `json:"of"`    // sites of the district with results
	Loss     float64          `json:"loss_ratio"`
	Way      probes.Direction `json:"direction"`
}

// Action is something to do. Sites are those it would help.
type Action struct {
	Code  ActionCode `json:"code"`
	Sites []string   `json:"sites,omitempty"`
	Why   Why        `json:"why"`
}

// ActionCode says what is to be done.
type ActionCode string

// The actions.
const (
	ActHub       ActionCode = "hub"        // give the hub, or the line to it, more: or a lower profile, or fewer sites at once
	ActDistrict  ActionCode = "district"   // look at what the sites of Why.District share
	ActLine      ActionCode = "line"       // have the line of these sites looked at
	ActEndpoint  ActionCode = "endpoint"   // switch on and check the room's endpoint
	ActSignal    ActionCode = "signalling" // have SIP or H.323 of these endpoints checked: they only answer ping or a port
	ActAgents    ActionCode = "agents"     // switch on these sites' machines and test again
	ActMachines  ActionCode = "machines"   // these machines are too slow: close programs, or test from another one
	ActRefusals  ActionCode = "refusals"   // these agents refused: see why
	ActLAN       ActionCode = "lan"        // look at the office network
	ActAgain     ActionCode = "again"      // test these sites once more, apart from the others
	ActHubBusy   ActionCode = "reflector"  // give the reflector a faster machine: it was the bottleneck itself
	ActNoTrouble ActionCode = "none"       // nothing is to be done
)

// Verdict is what a rehearsal comes to.
type Verdict struct {
	Rows    []Row         `json:"rows"` // as Mark.Order says, then those that lost most, then by site
	Hub     Cell          `json:"hub"`
	Steps   []StepSummary `json:"steps"`
	Shared  []Shared      `json:"shared,omitempty"`
	Actions []Action      `json:"actions"` // the most useful first, three at most
	Counts  map[Mark]int  `json:"counts"`  // of Row.Overall
	Notes   []Note        `json:"notes,omitempty"`
}

// Report is a rehearsal with its verdict.
type Report struct {
	Record
	Verdict Verdict `json:"verdict"`
}

// Change is a site whose verdict changed between two rehearsals.
type Change struct {
	Site   string `json:"site"`
	Before Mark   `json:"before"`
	After  Mark   `json:"after"`
	WhyB   Why    `json:"why_before"`
	WhyA   Why    `json:"why_after"`
	// Largest loss in any step, discards counted; nil: not measured.
	LossB *float64 `json:"loss_before,omitempty"`
	LossA *float64 `json:"loss_after,omitempty"`
}

// Comparison is what changed from one rehearsal to another.
type Comparison struct {
	Before Summary      `json:"before"`
	After  Summary      `json:"after"`
	HubB   Cell         `json:"hub_before"`
	HubA   Cell         `json:"hub_after"`
	CountB map[Mark]int `json:"counts_before"`
	CountA map[Mark]int `json:"counts_after"`
	Better []Change     `json:"better"`
	Worse  []Change     `json:"worse"`
	Same   int          `json:"same"`
	Left   []string     `json:"left,omitempty"`   // sites only in the first
	Joined []string     `json:"joined,omitempty"` // sites only in the second
	// SameProfile is false when the two streamed different profiles, so that loss can't be compared.
	SameProfile bool `json:"same_profile"`
}
