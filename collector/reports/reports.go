// Package reports says what the province got from its lines: for each site and path how long it worked in the hours
// that count, what it lost and how long packets took, held against what was agreed. It is the vocabulary: what is asked
// and what is answered. Rooms below work it out.
//
// # Where figures come from
//
// They rest on windows of the measurement "line" (see Measurement), which the room account makes for each hour, and
// which merge into days and months like all rollups. A state is what the map showed, or would have shown had late rows
// come in time: the same judge works on the same rows.
//
// # Availability
//
//	availability = (ok + degraded) / (ok + degraded + down)
//
// over the seconds of the hours asked for. What was planned (maintenance), what is nobody's fault (the agent's machine
// was switched off) and what is not known (no data) are no part of it, and are shown beside it as shares of the whole.
package reports

import (
	"context"
	"fmt"
	"strings"
	"time"

	"communewatch/probes"
)

// Measurement is the name of the windows that reports rest on. Tags: site, layer (probes.Layer), hours (Office or
// Other). Fields, all totals but the last three, which are distributions:
//
//	ok_seconds degraded_seconds down_seconds maintenance_seconds closed_seconds no_data_seconds
//	outages                       stays in down that began
//	sent lost                     packets of the layer's pings
//	loss_ratio                    of windows of five minutes: lost by sent
//	rtt_seconds jitter_seconds    of runs: the median round trip, and the jitter
const Measurement = "line"

// Hours are the hours that count.
type Hours string

// The hours. Where a site has no office hours in the settings, all its hours are office hours.
const (
	Office Hours = "office"
	Other  Hours = "other"
	All    Hours = "all" // of a query; rows are of one of the others
)

// Kind is a kind of period.
type Kind string

// The kinds of periods.
const (
	Month   Kind = "month"
	Quarter Kind = "quarter"
	Year    Kind = "year"
	Days    Kind = "days" // any days
)

// Period is a stretch of whole days in the province's zone.
type Period struct {
	Kind     Kind      `json:"kind"`
	From, To time.Time // [From, To), midnights
}

// Query asks for a report. Empty filters mean all.
type Query struct {
	Period                   Period
	Hours                    Hours
	Layer                    probes.Layer
	Site, District, Provider string
}

// Report is what the lines were worth over a period.
type Report struct {
	Period Period    `json:"period"`
	Hours  Hours     `json:"hours"`
	Made   time.Time `json:"made"`
	// DataTo is how far figures reach: the end of the period, or of the last whole hour worked out.
	DataTo time.Time `json:"data_to"`

	Lines     []Line  `json:"lines"`     // by district, site and layer
	Districts []Group `json:"districts"` // one for each district and layer
	Providers []Group `json:"providers"` // one for each provider and layer, those whose provider is not known last
	Paths     []Group `json:"paths"`     // one for each layer
	Pairs     []Pair  `json:"pairs"`     // sites with both a broadband and a dedicated line
	Pending   int     `json:"pending"`   // hours of the period whose late rows are not worked in yet

	// Unknown is what was asked for by a name that nothing has. Such a report has no lines.
	Unknown []Unknown `json:"unknown,omitempty"`
}

// Unknown is a name of a Query that nothing has: an empty report of it would look as if nothing had been measured.
type Unknown struct {
	What string   `json:"what"` // site, district or provider
	Name string   `json:"name"`
	Near []string `json:"near,omitempty"` // names that may have been meant, the likeliest first; of sites with what they are called
}

// Error says what there is not, and what there is.
func (u Unknown) Error() string {
	text := fmt.Sprintf("there is no %s %.80q", u.What, u.Name)
	if len(u.Near) > 0 {
		text += "; there is " + strings.Join(u.Near, ", ")
	}
	return text
}

// Line is one path of one site.
type Line struct {
	Site     string       `json:"site"`
	Name     string       `json:"name"` // as the site was called at the end of the period
	District string       `json:"district"`
	Layer    probes.Layer `json:"layer"`
	Contract *Contract    `json:"contract,omitempty"` // nil: nobody said what was agreed
	Figures  Figures      `json:"figures"`
	Against  []Verdict    `json:"against,omitempty"` // for each limit of the profile
}

// Contract is what was agreed of a line.
type Contract struct {
	Provider string  `json:"provider"`
	Number   string  `json:"number,omitempty"` // of the contract
	DownMbps float64 `json:"down_mbps,omitempty"`
	UpMbps   float64 `json:"up_mbps,omitempty"`
	Profile  string  `json:"profile,omitempty"`
	Monthly  int64   `json:"monthly_vnd,omitempty"` // price, VND a month
	From     string  `json:"from,omitempty"`        // days, 2026-01-31; To is the last day
	To       string  `json:"to,omitempty"`
}

// Agreement is a contract of one line of a site.
type Agreement struct {
	Site     string
	Layer    probes.Layer
	Contract Contract
}

// Overlap reports whether two contracts of a line, a beginning first, are in force on the same day. One without a last
// day ends when the next one begins.
func Overlap(a, b Contract) bool { return a.From == b.From || a.To != "" && a.To >= b.From }

// Group is many lines as one: seconds and packets are summed, distributions merged.
type Group struct {
	Name    string       `json:"name"`
	Layer   probes.Layer `json:"layer"`
	Lines   int          `json:"lines"`
	Figures Figures      `json:"figures"`
	Met     int          `json:"met"`    // lines that kept all limits of their profiles
	Missed  int          `json:"missed"` // lines that missed one at least
	Open    int          `json:"open"`   // other lines with limits: of one at least it can't be said
}

// Pair is the two lines of one site, by the index in Report.Lines.
type Pair struct {
	Site      string `json:"site"`
	Broadband int    `json:"broadband"`
	Dedicated int    `json:"dedicated"`
	Both      *Both  `json:"both,omitempty"` // nil: not known
}

// Both is how the two lines of a site failed together.
type Both struct {
	DownSeconds float64 `json:"down_seconds"` // at most, from windows in which both were down
}

// Figures are the numbers of a line or of many.
type Figures struct {
	// Seconds of the hours asked for, which add up to Period. NoData is what is left when all others are known.
	Period      float64 `json:"period_seconds"`
	OK          float64 `json:"ok_seconds"`
	Degraded    float64 `json:"degraded_seconds"`
	Down        float64 `json:"down_seconds"`
	Maintenance float64 `json:"maintenance_seconds"`
	Off         float64 `json:"off_seconds"` // the agent's machine was not running, by its own account
	Closed      float64 `json:"closed_seconds"`
	NoData      float64 `json:"no_data_seconds"`

	Availability *float64 `json:"availability"` // 0 to 1; nil where nothing was measured
	Known        float64  `json:"known"`        // share of the period that was measured, 0 to 1
	Outages      int64    `json:"outages"`

	Sent   int64         `json:"sent"`
	Lost   int64         `json:"lost"`
	Loss   *float64      `json:"loss"`         // lost by sent
	LossOf *Distribution `json:"loss_windows"` // of windows of five minutes, ratios; nil: nothing
	RTT    *Distribution `json:"rtt"`          // seconds
	Jitter *Distribution `json:"jitter"`       // seconds
}

// Distribution is what a merged sketch says, to within rollup.Accuracy.
type Distribution struct {
	Count int64   `json:"count"`
	Min   float64 `json:"min"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// Verdict is one limit held against a line.
type Verdict struct {
	What     string   `json:"what"`  // availability, loss, loss_p95, rtt_p50, rtt_p95, jitter_p95
	Limit    float64  `json:"limit"` // at least for availability, at most for the others
	Hours    Hours    `json:"hours"` // Office or All: what the limit is for, whatever hours the report is of
	Value    *float64 `json:"value"` // of those hours; nil: not measured
	Met      *bool    `json:"met"`   // nil: can't be said, Why says why
	Why      string   `json:"why,omitempty"`
	Citation string   `json:"citation"` // where the limit is written
}

// The values of Verdict.Why.
const (
	WhyNothing = "not_measured" // nothing was measured of it
	WhyKnown   = "little_known" // less than MinKnown of the time was measured
	WhyFew     = "few_values"   // fewer than MinValues values, of which a percentile says little
)

const (
	// MinKnown is the share of the hours, without those of planned maintenance, that must have been measured before a
	// limit can count as kept. A month has some twenty working days: with more than two of them unseen, what was not
	// seen could decide. What was missed even if all that is not known was good, was missed whatever is known.
	MinKnown = 0.9
	// MinValues is how many values a 95th percentile is taken of at least: of fewer it is the largest.
	MinValues = 20
)

// Reporter makes reports.
type Reporter interface {
	Report(ctx context.Context, q Query) (*Report, error)
	// Periods lists the months of which there are figures, the newest first.
	Periods(ctx context.Context) ([]Period, error)
}
