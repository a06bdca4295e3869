package health

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"communewatch/probes"
)

// Rules is what a Judge goes by. DefaultRules gives the defaults with their reasons.
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
// outside them are judged as always.
type OfficeHours struct {
	Sites    []string `yaml:"sites"`    // empty: all
	Days     []string `yaml:"days"`     // mon tue wed thu fri sat sun
	From     string   `yaml:"from"`     // "07:30"
	To       string   `yaml:"to"`       // "17:00"; at or before From means that of the next day
	Zone     string   `yaml:"tz"`       // IANA name; empty means Asia/Ho_Chi_Minh
	Holidays []string `yaml:"holidays"` // "2026-09-02": closed all day
}

// DefaultZone is the zone of office hours that do not say theirs.
const DefaultZone = "Asia/Ho_Chi_Minh"

// Bounds of a config, far above what makes sense.
const (
	maxLossRuns = 60
	maxLimits   = 1000
	maxRules    = 1000 // maintenance entries, office hours
	maxText     = 200  // bytes of a reason's text that are kept
)

// DefaultRules returns the rules that hold where the config says nothing.
func DefaultRules() Rules {
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

// Validate reports every mistake, each at its place relative to the rules.
func (r *Rules) Validate(problem func(at, format string, args ...any)) {
	known := map[string]probes.FieldSpec{}
	for _, m := range probes.Schema() {
		for _, f := range m.Fields {
			known[m.Name+"."+f.Key] = f
		}
	}
	below := map[string]bool{}
	for _, l := range []struct {
		name string
		list []Limit
	}{{"overrides", r.Overrides}, {"limits", r.Limits}} {
		if len(l.list) > maxLimits {
			problem(l.name, "holds %d entries; at most %d", len(l.list), maxLimits)
			continue
		}
		for i := range l.list {
			l.list[i].validate(fmt.Sprintf("%s[%d]", l.name, i), known, below, problem)
		}
	}
	if r.LossRuns < 1 || r.LossRuns > maxLossRuns {
		problem("loss_runs", "must be 1 to %d", maxLossRuns)
	}
	for _, d := range []struct {
		at string
		d  Delay
	}{{"worse", r.Worse}, {"better", r.Better}} {
		if d.d.Runs < 1 || d.d.Runs > 100 {
			problem(d.at+".runs", "must be 1 to 100")
		}
		if d.d.For < 0 || d.d.For > 24*time.Hour {
			problem(d.at+".for", "must be 0s to 24h")
		}
	}
	if r.Flapping.Changes < 0 || r.Flapping.Changes > 100 {
		problem("flapping.changes", "must be 1 to 100, or 0 to damp nothing")
	}
	if r.Flapping.Within < 0 || r.Flapping.Hold < 0 {
		problem("flapping", "times must not be negative")
	}
	if r.Silence.Intervals < 1 || r.Silence.Intervals > 100 || math.IsNaN(r.Silence.Intervals) {
		problem("silence.intervals", "must be 1 to 100; below 2 every late result is silence")
	}
	if r.Silence.Grace < 0 || r.Silence.Grace > 24*time.Hour {
		problem("silence.grace", "must be 0s to 24h")
	}
	if r.Silence.Interval <= 0 {
		problem("silence.interval", "must be above zero, for example 60s")
	}
	if r.Silence.Forget < time.Minute {
		problem("silence.forget", "must be at least 1m, for example 24h")
	}
	if len(r.Maintenance) > maxRules {
		problem("maintenance", "holds %d entries; at most %d", len(r.Maintenance), maxRules)
	}
	for i, m := range r.Maintenance {
		at := fmt.Sprintf("maintenance[%d]", i)
		if m.From.IsZero() || m.To.IsZero() {
			problem(at, "needs from and to, for example 2026-09-02T08:00:00+07:00")
		} else if !m.To.After(m.From) {
			problem(at+".to", "must be after from")
		}
		validateSites(at+".sites", m.Sites, problem)
	}
	if len(r.OfficeHours) > maxRules {
		problem("office_hours", "holds %d entries; at most %d", len(r.OfficeHours), maxRules)
	}
	for i := range r.OfficeHours {
		at := fmt.Sprintf("office_hours[%d]", i)
		validateSites(at+".sites", r.OfficeHours[i].Sites, problem)
		_, err := newCalendar(r.OfficeHours[i])
		for _, p := range err {
			problem(at+"."+p.at, "%s", p.text)
		}
	}
}

func (l *Limit) validate(at string, known map[string]probes.FieldSpec, below map[string]bool, problem func(string, string, ...any)) {
	spec, ok := known[l.Field]
	switch {
	case l.Field == "":
		problem(at+".field", "is missing; for example icmp.loss_ratio")
	case !ok:
		problem(at+".field", "%q is not a field of the contract; for example icmp.loss_ratio", clip(l.Field))
	case spec.Type == probes.TypeString:
		problem(at+".field", "%s is text; only numbers can have limits", l.Field)
	case strings.HasPrefix(l.Field, "check."), strings.HasPrefix(l.Field, "agent."):
		problem(at+".field", "%s is not measured by a probe; limits are for fields of icmp, tcp, dns and http", l.Field)
	}
	if l.Layer != "" && !l.Layer.Valid() {
		problem(at+".layer", "%q is not a layer; use lan, broadband, dedicated or conference", clip(string(l.Layer)))
	}
	if l.Path != "" && !l.Path.Valid() {
		problem(at+".path", "%q is not a path; use lan, broadband or dedicated", clip(string(l.Path)))
	}
	if l.Target != "" {
		if err := probes.CheckName(l.Target); err != nil {
			problem(at+".target", "%v", err)
		}
	}
	validateSites(at+".sites", l.Sites, problem)
	values := []*float64{l.Degraded, l.Bad, l.Down}
	var last *float64
	for i, v := range values {
		if v == nil {
			continue
		}
		name := []string{"degraded", "bad", "down"}[i]
		if math.IsNaN(*v) || math.IsInf(*v, 0) {
			problem(at+"."+name, "must be a finite number")
			continue
		}
		if last != nil && (l.Below && *v > *last || !l.Below && *v < *last) {
			problem(at+"."+name, "must not be better than the limit before it; the order is degraded, bad, down")
		}
		last = v
	}
	if first, seen := below[l.Field]; seen && first != l.Below {
		problem(at+".below", "differs from another limit of %s; a field is bad in one direction only", l.Field)
	}
	below[l.Field] = l.Below
}

func validateSites(at string, sites []string, problem func(string, string, ...any)) {
	for i, s := range sites {
		if err := probes.CheckName(s); err != nil {
			problem(fmt.Sprintf("%s[%d]", at, i), "%v", err)
		}
	}
}

// matches reports whether the limit is for a check.
func (l *Limit) matches(id CheckID) bool {
	return (l.Layer == "" || l.Layer == id.Layer) && (l.Path == "" || l.Path == id.Path) &&
		(l.Target == "" || l.Target == id.Target) && (len(l.Sites) == 0 || slices.Contains(l.Sites, id.Site))
}

// judge returns the state that a value means, and the limit it is past.
func (l *Limit) judge(v float64) (State, float64) {
	past := func(limit *float64) bool {
		return limit != nil && (!l.Below && v > *limit || l.Below && v < *limit)
	}
	switch {
	case past(l.Down):
		return StateDown, *l.Down
	case past(l.Bad):
		return StateDegraded, *l.Bad
	case past(l.Degraded), !l.Below && l.Degraded != nil && v == *l.Degraded:
		return StateDegraded, *l.Degraded
	}
	return StateOK, 0
}

// clip cuts text to what a reason or message keeps, at a character's border.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "..."
}
