package rehearsal

import "strings"

// Refused says that a plan can't be carried out: nothing was started. It names every problem with its place and fix.
type Refused struct{ Problems []Problem }

// Error lists the problems, one a line.
func (e *Refused) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Field + ": " + p.Text
	}
	return strings.Join(lines, "\n")
}

// Problem is one thing that speaks against a plan. Field is as in Request's JSON ("steps").
type Problem struct {
	Field string `json:"field"`
	// Code says which problem it is, for room words, with the parameters that it carries.
	Code   string   `json:"code,omitempty"`
	Params []string `json:"params,omitempty"`
	Text   string   `json:"text"`            // English, with the fix
	Force  bool     `json:"force,omitempty"` // Request.Force overrules it
}

// The codes of problems, with their parameters.
const (
	ProblemNoMeeting   = "no_meeting"   // the meeting has no name
	ProblemText        = "text"         // not one line of plain text of at most [0] bytes
	ProblemName        = "name"         // [0] says in English why a name is none
	ProblemPast        = "past"         // the time [0] (RFC 3339) has passed
	ProblemFar         = "far"          // the time [0] is more than a year away
	ProblemRate        = "rate"         // [0] kbit/s is not from 0 to [1]
	ProblemNamed       = "named"        // the profile [0] has rates of its own
	ProblemRates       = "rates"        // [0] says in English why rates are no profile
	ProblemFPS         = "fps"          // frames without video
	ProblemNoProfile   = "no_profile"   // [0] is none of the profiles [1]
	ProblemStepSeconds = "step_seconds" // [0] is not from [1] to [2]
	ProblemNoSites     = "no_sites"     // no site is known at all
	ProblemLongList    = "long_list"    // a list of more than [0] bytes
	ProblemEmptyItem   = "empty_item"   // nothing between two commas
	ProblemNoSite      = "no_site"      // no sites have the ids [0]; [1] is " and N more", or empty
	ProblemManySites   = "many_sites"   // [0] sites are more than [1]
	ProblemNoDistrict  = "no_district"  // no site is in a district [0]
	ProblemDistricts   = "districts"    // [0] may be several districts
	ProblemManySteps   = "many_steps"   // [0] steps are more than [1]
	ProblemAllLast     = "all_last"     // all before the last step
	ProblemNoNumber    = "no_number"    // [0] is no number of sites
	ProblemEmptyStep   = "empty_step"   // a step of [0] sites
	ProblemLargeStep   = "large_step"   // a step of [0] sites of [1]
	ProblemStepOrder   = "step_order"   // a step of [0] sites after one of [1]
	ProblemCapacity    = "hub_capacity" // step [0], [1] sites: [2] bit/s are more than the hub's [3]
	ProblemSessions    = "hub_sessions" // step [0]: [1] sites are more than the hub's [2] sessions
	ProblemHoldLength  = "hold_length"  // a hold of [0] is not from a minute to [1]
)
