package door

import (
	"time"

	"communewatch/collector/people"
	"communewatch/collector/people/door/province"
	kept "communewatch/collector/registry/people"
)

// Settings are the settings of people: key `people` of the collector's settings file.
type Settings struct {
	// Anonymous is the role of who is not signed in; "": they may do nothing. More than viewer is for a collector that
	// listens on loopback only, such as the demo's.
	Anonymous people.Role   `yaml:"anonymous"`
	Session   time.Duration `yaml:"session"`    // without a request for so long, a session ends
	Absolute  time.Duration `yaml:"absolute"`   // and after so long whatever happens
	AuditKeep time.Duration `yaml:"audit_keep"` // how long the record of changes is kept
	// MetricsOnLoopback lets programs on the collector's machine read /metrics without a key; not said: where the collector
	// speaks TLS itself. Where a proxy on the machine does, its clients would be such programs.
	MetricsOnLoopback *bool             `yaml:"metrics_on_loopback"`
	OIDC              province.Settings `yaml:"oidc"` // the province's own sign-on; an empty issuer: there is none
}

// DefaultSettings are those of a file that says nothing.
func DefaultSettings() Settings {
	return Settings{Session: 12 * time.Hour, Absolute: 7 * 24 * time.Hour, AuditKeep: 3 * 366 * 24 * time.Hour, OIDC: province.DefaultSettings()}
}

// lives is how long sessions last.
func (s *Settings) lives() kept.Lives {
	return kept.Lives{Idle: s.Session, Absolute: s.Absolute, SSO: min(s.OIDC.Absolute, s.Absolute)}
}

const (
	shortestSession = 5 * time.Minute
	longestSession  = 90 * 24 * time.Hour
	shortestKeys    = 24 * time.Hour
	shortestRecord  = 90 * 24 * time.Hour
	longestRecord   = 20 * 366 * 24 * time.Hour
)

// Validate reports every mistake, each at its place relative to the settings. Loopback is whether the collector can be
// reached from its own machine only.
func (s *Settings) Validate(loopback bool, problem func(at, format string, args ...any)) {
	switch {
	case s.Anonymous != people.RoleNobody && !s.Anonymous.Valid():
		problem("anonymous", "%.40q is not a role; leave it empty, or write viewer (operator, procurement or admin on loopback only)", string(s.Anonymous))
	case s.Anonymous != people.RoleNobody && s.Anonymous != people.RoleViewer && !loopback:
		problem("anonymous", "%s without signing in is for a collector that listens on 127.0.0.1 only; write viewer, or leave it empty", s.Anonymous)
	}
	if s.Session < shortestSession || s.Session > longestSession {
		problem("session", "must be between %v and %v", shortestSession, longestSession)
	}
	if s.Absolute < s.Session || s.Absolute > longestSession {
		problem("absolute", "must be between session (%v) and %v", s.Session, longestSession)
	}
	if s.AuditKeep < shortestRecord || s.AuditKeep > longestRecord {
		problem("audit_keep", "must be between %v and %v", shortestRecord, longestRecord)
	}
	if s.OIDC.Issuer != "" && (s.OIDC.Absolute < shortestSession || s.OIDC.Absolute > s.Absolute) {
		problem("oidc.absolute", "must be between %v and people.absolute (%v)", shortestSession, s.Absolute)
	}
	if s.OIDC.Issuer != "" && (s.OIDC.Keys < shortestKeys || s.OIDC.Keys > kept.LongestKey) {
		problem("oidc.keys", "must be between %v and %v", shortestKeys, kept.LongestKey)
	}
	s.OIDC.Validate(func(at, format string, args ...any) { problem("oidc."+at, format, args...) })
}
