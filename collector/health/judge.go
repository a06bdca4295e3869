package health

import "time"

// A Judge turns observations into states.
type Judge struct{}

// New returns a Judge that knows nothing yet. start is when it began to listen.
func New(rules Rules, start time.Time) *Judge { return &Judge{} }

// Observe takes what runs have said. Safe for concurrent use.
func (j *Judge) Observe(obs []Observation) {}

// ObserveAgent takes an agent's report about itself.
func (j *Judge) ObserveAgent(site, agent string, at time.Time, version string, facts map[string]float64) {
}

// Tick judges silence and the calendar as of now, and returns every change of state since the last Tick.
func (j *Judge) Tick(now time.Time) []Transition { return nil }

// SetSites says which sites are known.
func (j *Judge) SetSites(ids []string) {}

// Sites returns all sites, sorted by id.
func (j *Judge) Sites() []SiteStatus { return nil }

// Since returns the sites whose status changed after version, and the version to ask with next time.
func (j *Judge) Since(version uint64) ([]SiteStatus, uint64) { return nil, 0 }

// Site returns one site with its checks, sorted.
func (j *Judge) Site(id string) (SiteStatus, []CheckStatus, bool) {
	return SiteStatus{}, nil, false
}

// Restore feeds stored observations of the time before start, as if they had come live.
func (j *Judge) Restore(obs []Observation) {}
