// Package rules holds what a province may set about its judging: the limits on measured values, how long a change must
// last before it is shown, when silence is silence, and when an office is closed. It is settings and nothing else: it
// knows the contract (which fields there are) and the calendar, but neither results nor states. The rooms that feed
// the judge ask it which facts are worth bringing; the judge asks it which limit holds for a check and when an office
// opens.
package rules

import (
	"slices"
	"strings"
	"time"

	"communewatch/collector/health/rules/holidays"
	"communewatch/probes"
)

// Rules is what a judge goes by. Default gives the defaults with their reasons.
type Rules struct {
	// Limits are tried in order; for each field the first one that matches a check decides. A list in the config
	// replaces the default list; to change single limits, put them into Overrides.
	Limits []Limit `yaml:"limits"`
	// Overrides are tried before Limits.
	Overrides []Limit `yaml:"overrides"`

	// LossRuns is the number of newest runs over which lost and sent packets are summed. A ratio is judged over all
	// of them, never as an average of percentages: one lost of ten is 10 %, and means nothing.
	LossRuns int `yaml:"loss_runs"`

	Worse    Delay    `yaml:"worse"`  // how long a worse result must last before it is shown: runs or time, whichever comes first
	Better   Delay    `yaml:"better"` // how long a better result must last before it is shown: runs and time, both
	Flapping Flapping `yaml:"flapping"`
	Silence  Silence  `yaml:"silence"`

	Maintenance []Maintenance `yaml:"maintenance"`
	OfficeHours []OfficeHours `yaml:"office_hours"` // the first entry that matches a site holds; without one it is always open
}

// Limit says from which value on a measured fact makes its check degraded or down. Kind is the measurement of Field.
type Limit struct {
	Field string `yaml:"field"` // "icmp.loss_ratio"

	// Which checks it is for; empty means any.
	Layer  probes.Layer `yaml:"layer"`
	Path   probes.Path  `yaml:"path"`
	Target string       `yaml:"target"`
	Sites  []string     `yaml:"sites"`

	// Degraded is the first value that is not normal any more (at or above; strictly below when Below is set).
	Degraded *float64 `yaml:"degraded"`
	// Bad is the value past which it is shown with this limit instead: a grade of degraded, not a state of its own.
	Bad *float64 `yaml:"bad"`
	// Down is the value past which the check is down. None of the defaults has one: what answers is not down.
	Down *float64 `yaml:"down"`
	// Below turns the limit round: small values are the bad ones.
	Below bool `yaml:"below"`
}

// Delay is a number of runs and a length of time.
type Delay struct {
	Runs int           `yaml:"runs"`
	For  time.Duration `yaml:"for"`
}

// Flapping damps checks that go to and fro: one that got worse Changes times within Within must be better for Hold
// before that is shown.
type Flapping struct {
	Changes int           `yaml:"changes"`
	Within  time.Duration `yaml:"within"`
	Hold    time.Duration `yaml:"hold"`
}

// Silence says when a check counts as silent: Intervals times its own interval plus Grace after its last run.
type Silence struct {
	Intervals float64       `yaml:"intervals"`
	Grace     time.Duration `yaml:"grace"`
	Interval  time.Duration `yaml:"interval"` // assumed where the check does not say its own
	// Forget is how long after its last run a check is dropped, if its agent still reports: it is not in that
	// agent's config any more.
	Forget time.Duration `yaml:"forget"`
}

// Maintenance mutes sites for a while, whatever their results say.
type Maintenance struct {
	Sites []string  `yaml:"sites"` // empty: all
	From  time.Time `yaml:"from"`
	To    time.Time `yaml:"to"`
	Note  string    `yaml:"note"`
}

// OfficeHours says when a site's machines are switched on. Silence outside them is no fault; results that do come
// outside them are judged as always. Reports tell these hours from all others.
type OfficeHours struct {
	Sites    []string `yaml:"sites"`    // empty: all
	Days     []string `yaml:"days"`     // mon tue wed thu fri sat sun
	From     string   `yaml:"from"`     // "07:30"
	To       string   `yaml:"to"`       // "17:00"; at or before From means that of the next day
	Zone     string   `yaml:"tz"`       // IANA name; empty means Asia/Ho_Chi_Minh
	Breaks   []Break  `yaml:"breaks"`   // in which it is closed, in order
	Holidays []string `yaml:"holidays"` // closed all day: days such as "2026-09-02", vn, or files with such days
	// WorkingDays are worked whatever day of the week or holiday they are: days that were swapped.
	WorkingDays []string `yaml:"working_days"`

	lists map[string][]holidays.Day // of the files, see ReadHolidays
}

// Break is a stretch of the day, such as lunch.
type Break struct {
	From string `yaml:"from"` // "11:30"
	To   string `yaml:"to"`
}

// OfEquipment reports whether a kind of check asks equipment about itself, instead of trying what it is there for. Such
// a check may say that something is not as it should be, but it is no witness of whether a line works: a switch whose
// SNMP is silent forwards every packet (its agent is switched off, busy, filtered, or was given another community), and
// a sweep that ran yesterday says nothing of today. So its results are at most degraded, and a layer with other checks
// takes only its degraded from it.
func OfEquipment(k probes.Kind) bool {
	return k == probes.KindSNMP || k == probes.KindSweep || k == probes.KindMachine
}

// DefaultZone is the zone of office hours that do not say theirs.
const DefaultZone = "Asia/Ho_Chi_Minh"

// Default returns the rules that hold where the config says nothing.
func Default() Rules {
	ptr := func(v float64) *float64 { return &v }
	upper := func(field string, layer probes.Layer, degraded float64) Limit {
		return Limit{Field: field, Layer: layer, Degraded: ptr(degraded)}
	}
	return Rules{
		Limits: []Limit{
			// The bands used for conference rooms: below 1 % normal, 1 to 5 % degraded, above 5 % bad. A line that
			// loses 8 % still carries mail and a bad picture: bad is a grade of degraded. Nothing answered at all is
			// the run's outcome, and that is down.
			{Field: "icmp.loss_ratio", Degraded: ptr(0.01), Bad: ptr(0.05)},

			// Round trips. Conversation suffers from 150 ms one way on (ITU-T G.114), so 300 ms there and back for
			// the conference; the lines below it, within one province, get half of that. An office network is
			// switched copper: 50 ms means a queue or a bad radio link.
			upper("icmp.rtt_p95_seconds", probes.LayerLAN, 0.050),
			upper("icmp.rtt_p95_seconds", probes.LayerDedicated, 0.150),
			upper("icmp.rtt_p95_seconds", probes.LayerBroadband, 0.200),
			upper("icmp.rtt_p95_seconds", probes.LayerConference, 0.300),

			// A de-jitter buffer of a room codec holds some 30 to 50 ms; what varies more is heard.
			upper("icmp.jitter_seconds", probes.LayerLAN, 0.020),
			upper("icmp.jitter_seconds", "", 0.030),

			// A path that eats full-size packets lets pings pass and video stall.
			{Field: "icmp.df_ok", Degraded: ptr(1), Below: true},

			// One second to connect means a lost SYN: its first repetition comes after 1 s (RFC 6298).
			upper("tcp.connect_seconds", "", 1),
			// Half a second per name makes every page feel slow; a resolver in the country answers in 50 ms.
			upper("dns.query_seconds", "", 0.5),
			// Three seconds are what people wait for a page before they try again.
			upper("http.total_seconds", "", 3),
			// Two weeks are what it takes to have a certificate renewed by letter.
			{Field: "http.cert_expiry_seconds", Degraded: ptr(14 * 24 * 3600), Below: true},

			// Calls with media are graded by the same bands, each direction and kind of media by itself. What came too
			// late to be played is as good as lost.
			{Field: "webrtc_flow.loss_ratio", Degraded: ptr(0.01), Bad: ptr(0.05)},
			{Field: "webrtc_flow.discard_ratio", Degraded: ptr(0.01), Bad: ptr(0.05)},
			// As with pings to the conference. Joining takes some six round trips: what takes 5 s was begun anew by
			// timers, and people have started to ask whether it works.
			upper("webrtc.rtt_p95_seconds", "", 0.300),
			upper("webrtc.setup_seconds", "", 5),
			// Below 3.6 (R of 70) many people are dissatisfied (ITU-T G.107 annex B). Opus at meetings' rates is at 4.3.
			{Field: "webrtc.mos_audio", Degraded: ptr(3.6), Below: true},
			{Field: "sip.cert_expiry_seconds", Degraded: ptr(14 * 24 * 3600), Below: true},

			// The mains are out, and the office will be when the battery is empty. What else devices tell of themselves
			// has no limit: whether 60 degrees or a full table are a fault is known to who knows the device. A table
			// that was not read to its end is the way of that device, and no fault.
			{Field: "snmp_ups.on_battery", Degraded: ptr(1)},
		},
		// Ten runs of ten pings every 30 s: 100 packets over five minutes, the fewest that can tell 1 %.
		LossRuns: 10,
		// One bad run is a blip, two are a fault.
		Worse: Delay{Runs: 2, For: 45 * time.Second},
		// Five seconds of stability is the practice of conference rooms; two runs so that it is not one lucky ping.
		Better:   Delay{Runs: 2, For: 5 * time.Second},
		Flapping: Flapping{Changes: 3, Within: 15 * time.Minute, Hold: 5 * time.Minute},
		// Two missed runs and a half, plus the time that a batch may wait at the agent (10 s) and travel.
		Silence: Silence{Intervals: 2.5, Grace: 20 * time.Second, Interval: time.Minute, Forget: 24 * time.Hour},
	}
}

// Uses reports whether a rule looks at a field, so that whoever feeds the judge can leave out the others.
func (r Rules) Uses(measurement, field string) bool {
	for _, list := range [2][]Limit{r.Overrides, r.Limits} {
		for i := range list {
			m, f, ok := strings.Cut(list[i].Field, ".")
			if !ok || m != measurement {
				continue
			}
			if ratio, isRatio := ratios[list[i].Field]; isRatio {
				if field == ratio.Numerator || field == ratio.Denominator {
					return true
				}
			} else if f == field {
				return true
			}
		}
	}
	return false
}

// Facts lists the fields that the rules look at, as "measurement.field", sorted.
func (r Rules) Facts() []string {
	var out []string
	for _, m := range probes.Schema() {
		for _, f := range m.Fields {
			if r.Uses(m.Name, f.Key) {
				out = append(out, m.Name+"."+f.Key)
			}
		}
	}
	slices.Sort(out)
	return out
}

// ratios are the fields of the contract that are judged by summed counts.
var ratios = func() map[string]probes.RatioSpec {
	out := map[string]probes.RatioSpec{}
	for _, m := range probes.Schema() {
		for _, r := range m.Ratios {
			out[m.Name+"."+r.Ratio] = r
		}
	}
	return out
}()
