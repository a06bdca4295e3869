package plan

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/inventory"
)

// DefaultProfile is the meeting that is rehearsed where nobody says which.
const DefaultProfile = "720p"

// Settings is the collector's settings of rehearsals, under the key "rehearsal".
type Settings struct {
	HubMbps     float64 `yaml:"hub_mbps"`     // what the hub's line carries, one way, in Mbit/s; 0: not known
	MaxSessions int     `yaml:"max_sessions"` // calls that the hub takes at once; 0: not known
	StepSeconds int     `yaml:"step_seconds"` // of media in each step, where a rehearsal does not say
	// A rehearsal is stopped when packets stay longer at the hub (99th percentile), or more of its processors (0..1) is
	// in use, for some seconds in a row.
	ResidenceLimit time.Duration `yaml:"residence_limit"`
	CPULimit       float64       `yaml:"cpu_limit"`
	HubStatus      HubStatus     `yaml:"hub_status"`
	Schedule       []Entry       `yaml:"schedule"`
}

// HubStatus is where a reflector outside the collector says how it fares. The zero value is none.
type HubStatus struct {
	URL       string `yaml:"url"`        // its /whip/status
	TokenFile string `yaml:"token_file"` // the first of its tokens is shown; empty: none is
	CAFile    string `yaml:"ca_file"`    // PEM of who signed its certificate; empty: the system's
}

// Entry is a rehearsal that the collector starts by itself again and again.
type Entry struct {
	Meeting string   `yaml:"meeting"`
	Profile string   `yaml:"profile"`
	Sites   string   `yaml:"sites"`
	Steps   string   `yaml:"steps"`
	Days    []string `yaml:"days"` // mon tue wed thu fri sat sun
	At      string   `yaml:"at"`   // time of day, in Vietnam
}

// DefaultSettings hold where the file says nothing.
func DefaultSettings() Settings {
	return Settings{StepSeconds: 20, ResidenceLimit: 100 * time.Millisecond, CPULimit: 0.95}
}

// Bounds of the limits.
const (
	minResidence, maxResidence = 10 * time.Millisecond, 10 * time.Second
	minCPU, maxCPU             = 0.1, 1
)

const maxEntries = 50

// Zone is local time. Vietnam has no summer time, so no zone database is needed.
var Zone = time.FixedZone("Asia/Ho_Chi_Minh", 7*60*60)

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// Validate reports every mistake with its place, such as "schedule[0].at".
func (s *Settings) Validate(problem func(at, format string, args ...any)) {
	if !(s.HubMbps >= 0 && s.HubMbps <= 1_000_000) {
		problem("hub_mbps", "must be from 0 (not known) to 1000000 Mbit/s")
	}
	if s.MaxSessions < 0 || s.MaxSessions > MaxSites {
		problem("max_sessions", "must be from 0 (not known) to %d", MaxSites)
	}
	if s.StepSeconds < MinStepSeconds || s.StepSeconds > MaxStepSeconds {
		problem("step_seconds", "must be from %d to %d", MinStepSeconds, MaxStepSeconds)
	}
	if s.ResidenceLimit < minResidence || s.ResidenceLimit > maxResidence {
		problem("residence_limit", "must be between %v and %v", minResidence, maxResidence)
	}
	if !(s.CPULimit >= minCPU && s.CPULimit <= maxCPU) {
		problem("cpu_limit", "must be from %v to %v, such as 0.95", minCPU, maxCPU)
	}
	if len(s.Schedule) > maxEntries {
		problem("schedule", "has more than %d entries", maxEntries)
		return
	}
	seen := map[string]bool{}
	for i := range s.Schedule {
		s.Schedule[i].validate(func(field, format string, args ...any) {
			problem("schedule["+strconv.Itoa(i)+"]."+field, format, args...)
		})
		key := s.Schedule[i].Key()
		if seen[key] {
			problem("schedule["+strconv.Itoa(i)+"]", "is the same as an entry before it")
		}
		seen[key] = true
	}
}

func (e *Entry) validate(problem func(field, format string, args ...any)) {
	// Sites and their number may change before the day, so steps are read against as many as there can be.
	m := maker{request: e.Request(time.Time{}), plan: rehearsal.Plan{Meeting: strings.TrimSpace(e.Meeting)}}
	m.texts()
	m.profile()
	if e.Steps != "" {
		m.plan.Sites = make([]string, MaxSites)
		m.steps()
	}
	for _, p := range m.plan.Problems {
		problem(p.Field, "%s", p.Text)
	}
	if len(e.Days) == 0 {
		problem("days", "is missing; for example [mon, thu]")
	}
	for _, d := range e.Days {
		if !slices.Contains(dayNames, strings.ToLower(d)) {
			problem("days", "%.200s is not a day; use mon tue wed thu fri sat sun", d)
		}
	}
	if _, err := time.Parse("15:04", e.At); err != nil {
		problem("at", "%.200s is not a time of day such as 06:30", e.At)
	}
}

// Key identifies an entry as long as it says the same.
func (e *Entry) Key() string {
	return strings.Join([]string{e.Meeting, e.Profile, e.Sites, e.Steps, strings.Join(e.Days, " "), e.At}, "\x1f")
}

// Request is what the entry asks for at a time; the zero time is now.
func (e *Entry) Request(at time.Time) rehearsal.Request {
	r := rehearsal.Request{Meeting: e.Meeting, Profile: e.Profile, Sites: e.Sites, Steps: e.Steps, Schedule: e.Key()}
	if !at.IsZero() {
		r.At = &at
	}
	return r
}

// Next returns the entry's first time after t; zero for an entry without one.
func (e *Entry) Next(t time.Time) time.Time {
	clock, err := time.Parse("15:04", e.At)
	if err != nil {
		return time.Time{}
	}
	y, mon, day := t.In(Zone).Date()
	for ahead := range 8 {
		at := time.Date(y, mon, day+ahead, clock.Hour(), clock.Minute(), 0, 0, Zone)
		if at.After(t) && slices.ContainsFunc(e.Days, func(d string) bool { return strings.ToLower(d) == dayNames[at.Weekday()] }) {
			return at.UTC()
		}
	}
	return time.Time{}
}

// Districts maps sites to their districts.
func Districts(sites []inventory.Site) map[string]string {
	out := make(map[string]string, len(sites))
	for i := range sites {
		out[sites[i].ID] = sites[i].Parent
	}
	return out
}
