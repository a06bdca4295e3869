package rehearsals

import (
	"time"

	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/judge"
	"communewatch/collector/rehearsal/words"
	"communewatch/probes/orders"
)

// The answers are the types of package rehearsal, with sentences beside their codes; a field of a type here stands for
// that of the same name in the type that it embeds. Names that end in _text are
// sentences in the language asked for.

// List is all rehearsals that are kept, the newest first.
type List struct {
	Rehearsals []Summary       `json:"rehearsals"`
	Held       *rehearsal.Hold `json:"held,omitempty"` // a meeting is on
}

// Summary is a rehearsal in a list.
type Summary struct {
	rehearsal.Summary
	Name    string   `json:"name"` // "r12", as addresses have it
	WhyText []string `json:"why_text,omitempty"`
}

// SummaryOf adds the sentences.
func SummaryOf(lang phrase.Lang, s rehearsal.Summary) Summary {
	return Summary{s, s.ID.String(), notes(lang, s.Why)}
}

// Status is where a rehearsal stands.
type Status struct {
	rehearsal.Status
	WhyText []string `json:"why_text,omitempty"`
}

// Event is what the stream of events tells.
type Event struct {
	rehearsal.Event
	WhyText []string `json:"why_text,omitempty"`
}

// EventOf adds the sentences.
func EventOf(lang phrase.Lang, e rehearsal.Event) Event { return Event{e, notes(lang, e.Why)} }

// Plan is what a rehearsal would be.
type Plan struct {
	rehearsal.Plan
	WarningsText []string `json:"warnings_text,omitempty"`
}

// Started says which rehearsal an order was about.
type Started struct {
	ID   rehearsal.ID `json:"id"`
	Name string       `json:"name"`
}

// SiteResults is all that was measured at one site, step by step.
type SiteResults struct {
	Results []rehearsal.Result `json:"results"`
}

// Detail is one rehearsal with its verdict; what was measured at each site is asked for apart.
type Detail struct {
	Summary
	Profile orders.Profile       `json:"streams"` // what was sent each way
	Plan    []rehearsal.Estimate `json:"estimates"`
	Runs    []rehearsal.StepRun  `json:"runs,omitempty"`
	Verdict Verdict              `json:"verdict"`
}

// Verdict is rehearsal.Verdict with sentences.
type Verdict struct {
	Rows      []Row                   `json:"rows"`
	Hub       Cell                    `json:"hub"`
	Steps     []rehearsal.StepSummary `json:"steps"`
	Shared    []rehearsal.Shared      `json:"shared,omitempty"`
	Actions   []Action                `json:"actions"`
	Counts    map[rehearsal.Mark]int  `json:"counts"`
	NotesText []string                `json:"notes_text,omitempty"`
}

// Row is one site's line of the matrix.
type Row struct {
	rehearsal.Row
	SiteName string                    `json:"site_name,omitempty"`
	SiteCode string                    `json:"site_code,omitempty"`
	Text     string                    `json:"text"` // why it is so
	Call     Cell                      `json:"call"` // the calls alone, whatever way they went
	Cells    map[rehearsal.Column]Cell `json:"cells"`
}

// Cell is one verdict.
type Cell struct {
	Mark     rehearsal.Mark `json:"mark"`
	Why      rehearsal.Why  `json:"why"`
	Text     string         `json:"text"`
	Level    *int           `json:"level,omitempty"`    // of the readiness ladder, of the endpoint's column only; absent: not known
	Unproven bool           `json:"unproven,omitempty"` // the call that decided may have gone another way
}

// Action is something to do.
type Action struct {
	rehearsal.Action
	Text string `json:"text"`
}

// Change is a site whose verdict changed.
type Change struct {
	rehearsal.Change
	TextBefore string `json:"text_before"`
	TextAfter  string `json:"text_after"`
}

// Comparison is what changed from one rehearsal to another.
type Comparison struct {
	rehearsal.Comparison
	HubB   Cell     `json:"hub_before"`
	HubA   Cell     `json:"hub_after"`
	Better []Change `json:"better"`
	Worse  []Change `json:"worse"`
}

// DetailOf adds sentences and names.
func DetailOf(lang phrase.Lang, rep *rehearsal.Report, names map[string]Name, now time.Time) Detail {
	v := &rep.Verdict
	out := Detail{
		Summary: SummaryOf(lang, judge.Summary(&rep.Record)), Profile: rep.Plan.Profile, Plan: rep.Plan.Estimates, Runs: rep.Runs,
		Verdict: Verdict{Rows: make([]Row, len(v.Rows)), Hub: cellOf(lang, v.Hub, now), Steps: v.Steps, Shared: v.Shared, Actions: make([]Action, len(v.Actions)),
			Counts: v.Counts, NotesText: notes(lang, v.Notes)},
	}
	for i, row := range v.Rows {
		r := Row{Row: row, SiteName: names[row.Site].Name, SiteCode: names[row.Site].Code, Text: because(lang, row.Why), Call: cellOf(lang, row.Call, now), Cells: map[rehearsal.Column]Cell{}}
		for column, c := range row.Cells {
			r.Cells[column] = cellOf(lang, c, now)
		}
		out.Verdict.Rows[i] = r
	}
	for i, act := range v.Actions {
		out.Verdict.Actions[i] = Action{act, words.Action(lang, act)}
	}
	return out
}

func cellOf(lang phrase.Lang, c rehearsal.Cell, now time.Time) Cell {
	text := ""
	if c.Why.Code != "" {
		text = words.Cell(lang, &c, now)
	}
	return Cell{Mark: c.Mark, Why: c.Why, Text: text, Level: c.Level, Unproven: c.Unproven}
}

// ComparisonOf adds sentences.
func ComparisonOf(lang phrase.Lang, c *rehearsal.Comparison, now time.Time) Comparison {
	changes := func(list []rehearsal.Change) []Change {
		out := make([]Change, len(list))
		for i, ch := range list {
			out[i] = Change{ch, because(lang, ch.WhyB), because(lang, ch.WhyA)}
		}
		return out
	}
	return Comparison{*c, cellOf(lang, c.HubB, now), cellOf(lang, c.HubA, now), changes(c.Better), changes(c.Worse)}
}
