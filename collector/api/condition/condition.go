// Package condition is the part of the JSON API about the collector itself: whether its database answers, and how far
// figures of hours, days and months are. Pages ask it all the time, so that it reads nothing but memory.
package condition

import (
	"time"

	"communewatch/collector/phrase"
	"communewatch/collector/status"
	"communewatch/collector/status/words"
)

// Answer is how it stands with the collector. Names that end in _text are sentences in the language asked for.
type Answer struct {
	Store   Store   `json:"store"`
	Rollups Rollups `json:"rollups"`
	Clock   *Clock  `json:"clock,omitempty"` // only while the machine's clock is not believed: nothing is taken in then
}

// Clock is the collector's own clock, in doubt.
type Clock struct {
	Machine  time.Time `json:"machine"`  // what it says
	Believed time.Time `json:"believed"` // the true time is not before this
	Agree    int       `json:"agree"`    // sites whose agents confirm it
	Differ   int       `json:"differ"`   // sites whose agents don't
	Text     string    `json:"text"`     // what people are told
}

// Store is the database.
type Store struct {
	Engine string     `json:"engine"`
	Away   bool       `json:"away"`             // it does not answer; since, reason and fix belong to that
	Since  *time.Time `json:"since,omitempty"`  // by the collector's clock
	Reason string     `json:"reason,omitempty"` // in words for an engineer
	Fix    string     `json:"fix,omitempty"`    // what to do; without it, waiting is all
	// Replayed is false while the collector has yet to read the recent past: states are not known until then.
	Replayed bool     `json:"replayed"`
	Warnings []string `json:"warnings"`       // what is not right about a database that answers, for an engineer
	Text     string   `json:"text,omitempty"` // what people are told while nothing is taken: it is away, the past is not read, or the clock is in doubt
	BackText string   `json:"back_text"`      // what they are told when that is over
	// WarningsText is what they are told of warnings.
	WarningsText string `json:"warnings_text,omitempty"`
}

// Rollups is how far figures of hours, days and months are.
type Rollups struct {
	To      *time.Time `json:"to,omitempty"`     // hours before it were worked out
	Pending int        `json:"pending"`          // hours that late rows came into and that wait to be worked out anew
	Oldest  *time.Time `json:"oldest,omitempty"` // the oldest of them
	Failed  string     `json:"failed,omitempty"` // why the last attempt failed
	Since   *time.Time `json:"since,omitempty"`  // when it began to fail
	Text    string     `json:"text,omitempty"`   // what people are told when they fail or are behind by hours
}

// Of is the answer.
func Of(s status.Status, lang phrase.Lang, now time.Time, zone *time.Location) Answer {
	out := Answer{
		Store: Store{Engine: s.Store.Engine, Away: s.Store.Away, Replayed: s.Store.Replayed, Warnings: s.Store.Warnings,
			Text: words.Away(lang, s.Store, zone), BackText: words.Back(lang), WarningsText: words.Warned(lang, s.Store)},
		Rollups: Rollups{To: moment(s.Rollups.To), Pending: s.Rollups.Pending, Oldest: moment(s.Rollups.Oldest),
			Failed: s.Rollups.Failed, Text: words.Behind(lang, s, now, zone)},
	}
	if s.Store.Away {
		out.Store.Since, out.Store.Reason, out.Store.Fix = moment(s.Store.Since), s.Store.Reason, s.Store.Fix
	}
	if s.Rollups.Failed != "" {
		out.Rollups.Since = moment(s.Rollups.Since)
	}
	if d := s.Clock; d != nil {
		out.Clock = &Clock{Machine: d.Machine, Believed: d.Believed, Agree: d.Agree, Differ: d.Differ, Text: words.Doubted(lang, d, zone)}
		out.Store.Text = out.Clock.Text // of the two it has to be mended first, and a page shows one
	}
	if out.Store.Warnings == nil {
		out.Store.Warnings = []string{}
	}
	return out
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
