package fleet

import (
	"maps"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/muster"
	"communewatch/collector/people"
	"communewatch/collector/phrase"
	kept "communewatch/collector/registry/people"
)

// Fleet is one page of the agents.
type Fleet struct {
	Total  int     `json:"total"` // that the filter lets through
	Offset int     `json:"offset"`
	Agents []Agent `json:"agents"`
}

// Agent is one agent with all that is known of it.
type Agent struct {
	Site     string `json:"site"`
	Name     string `json:"name"` // of the site
	District string `json:"district"`
	Agent    string `json:"agent"`
	Standing string `json:"standing"` // pending, active, revoked; token: it has no identity of its own
	State    string `json:"state"`    // of its worst check

	ConnectedSince *time.Time `json:"connected_since"` // its order channel; null: it has none open
	LastSeen       *time.Time `json:"last_seen"`       // when anything was last heard of it
	Stopped        *time.Time `json:"stopped"`         // it said that it stops, and nothing since
	StopReason     string     `json:"stop_reason"`
	Trouble        string     `json:"trouble"` // its own, as a sentence
	TroubleCode    string     `json:"trouble_code"`

	Version  string             `json:"version"`
	Outdated bool               `json:"outdated"` // a newer version runs elsewhere in the fleet
	Host     string             `json:"host"`
	System   string             `json:"system"`
	Facts    map[string]float64 `json:"facts"` // such as spool_batches, clock_offset_seconds

	Fingerprint string       `json:"fingerprint"` // of its key, as people compare it
	Certificate *Certificate `json:"certificate"`
	Code        string       `json:"code"` // the id of the join code that it came with
	Asked       *time.Time   `json:"asked"`
	Approved    *time.Time   `json:"approved"`
	Revoked     *time.Time   `json:"revoked"`
	By          string       `json:"by"` // who approved it or threw it out
	Why         string       `json:"why"`
	Clone       *time.Time   `json:"clone"` // when two machines were last seen with its identity
	CloneWhy    string       `json:"clone_why"`

	Work   Work    `json:"work"`
	Update Update  `json:"update"`
	Silent int     `json:"silent"` // checks that give no result though they should
	Checks []Check `json:"checks"` // worst first
}

// Certificate is an agent's newest.
type Certificate struct {
	Serial  string     `json:"serial"`
	Issued  *time.Time `json:"issued"`
	Expires *time.Time `json:"expires"`
}

// Work is what an agent says of its work.
type Work struct {
	State    string   `json:"state"` // active, refused, none; "": it said nothing
	Version  int      `json:"version"`
	Problems []string `json:"problems"`
}

// Update is what an agent says of releases.
type Update struct {
	Enabled bool   `json:"enabled"`
	State   string `json:"state"`
	Version string `json:"version"`
	Problem string `json:"problem"`
}

// Check is one check of an agent; as of a site's.
type Check struct {
	Target          string     `json:"target"`
	Kind            string     `json:"kind"`
	Path            string     `json:"path"`
	Layer           string     `json:"layer"`
	State           string     `json:"state"`
	Since           *time.Time `json:"since"`
	Reason          string     `json:"reason"`
	ReasonCode      string     `json:"reason_code"`
	LastSeen        *time.Time `json:"last_seen"`
	IntervalSeconds float64    `json:"interval_seconds"`
	Outcome         string     `json:"outcome"`
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func newAgent(a *muster.Row, at Place, lang phrase.Lang, now time.Time) Agent {
	work, update := a.Work(), a.Update()
	out := Agent{
		Site: a.Site, Name: at.Name, District: at.District, Agent: a.Agent.Agent, Standing: string(a.Agent.State), State: a.Worst().String(),
		ConnectedSince: moment(a.Since), LastSeen: moment(a.Heard), Stopped: moment(a.Stopped), StopReason: string(a.StopReason()),
		Trouble: phrase.Reason(lang, a.Trouble, now), TroubleCode: string(a.Trouble.Code),
		Version: a.Version, Outdated: a.Old, Host: a.Machine.Host, System: a.Machine.System, Facts: maps.Clone(a.Facts),
		Fingerprint: a.Fingerprint(), Code: a.Code, Asked: moment(a.Asked), Approved: moment(a.Approved), Revoked: moment(a.Revoked), By: a.By, Why: a.Why,
		Clone: moment(a.Clone), CloneWhy: a.CloneWhy,
		Work:   Work{State: string(work.State), Version: work.Version, Problems: append([]string{}, work.Problems...)},
		Update: Update{Enabled: update.Enabled, State: update.State, Version: update.Version, Problem: update.Problem},
		Silent: a.Silent(), Checks: make([]Check, len(a.Checks)),
	}
	if out.Facts == nil {
		out.Facts = map[string]float64{}
	}
	if a.Serial != "" {
		out.Certificate = &Certificate{Serial: a.Serial, Issued: moment(a.Issued), Expires: moment(a.Expires)}
	}
	for i := range a.Checks {
		c := &a.Checks[i]
		out.Checks[i] = Check{Target: c.ID.Target, Kind: string(c.ID.Kind), Path: string(c.ID.Path), Layer: string(c.ID.Layer), State: c.State.String(),
			Since: moment(c.Since), Reason: phrase.Reason(lang, c.Reason, now), ReasonCode: string(c.Reason.Code), LastSeen: moment(c.LastSeen),
			IntervalSeconds: c.Interval.Seconds(), Outcome: c.Outcome.String()}
	}
	return out
}

// People is one page of the accounts.
type People struct {
	Total  int      `json:"total"`
	Offset int      `json:"offset"`
	People []Person `json:"people"`
}

// Person is an account.
type Person struct {
	Name       string      `json:"name"`
	Display    string      `json:"display"`
	Role       people.Role `json:"role"`
	Districts  []string    `json:"districts"` // null: all
	Password   bool        `json:"password"`  // has one
	MustChange bool        `json:"must_change"`
	SSO        bool        `json:"sso"` // signs in with the province's own sign-on
	Disabled   *time.Time  `json:"disabled"`
	Created    time.Time   `json:"created"`
	CreatedBy  string      `json:"created_by"`
	SignedIn   *time.Time  `json:"signed_in"` // null: never
	Keys       []Key       `json:"keys"`
}

// Key is an API key without its secret.
type Key struct {
	ID        string      `json:"id"`
	Role      people.Role `json:"role"`
	Districts []string    `json:"districts"` // null: all that its person sees
	Note      string      `json:"note"`
	Created   time.Time   `json:"created"`
	CreatedBy string      `json:"created_by"`
	Expires   time.Time   `json:"expires"`
	Revoked   *time.Time  `json:"revoked"`
	LastUsed  *time.Time  `json:"last_used"`
}

func newPerson(p kept.Person, keys []Key) Person {
	if keys == nil {
		keys = []Key{}
	}
	return Person{Name: p.Name, Display: p.Display, Role: p.Role, Districts: p.Districts, Password: p.Password, MustChange: p.MustChange, SSO: p.SSO,
		Disabled: moment(p.Disabled), Created: p.Created.UTC(), CreatedBy: p.CreatedBy, SignedIn: moment(p.SignedIn), Keys: keys}
}

func newKey(k kept.Key) Key {
	return Key{ID: k.ID, Role: k.Role, Districts: k.Districts, Note: k.Note, Created: k.Created.UTC(), CreatedBy: k.CreatedBy, Expires: k.Expires.UTC(),
		Revoked: moment(k.Revoked), LastUsed: moment(k.LastUsed)}
}

// Record is a portion of the record of changes, newest first.
type Record struct {
	Entries []Entry `json:"entries"`
	Before  *int64  `json:"before"` // to ask for the next, older portion with; null: that was all
}

// Entry is one line of the record.
type Entry struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	Via     string    `json:"via"` // screen, api, command, agent, system
	Address string    `json:"address"`
	Act     string    `json:"act"`
	What    string    `json:"what"`
	Detail  string    `json:"detail"`
	OK      bool      `json:"ok"` // false: it was tried and refused
}

// Entries are lines of the record as answers and files hold them.
func Entries(list []audit.Entry) []Entry {
	out := make([]Entry, len(list))
	for i, e := range list {
		e.At = e.At.UTC()
		out[i] = Entry(e)
	}
	return out
}
