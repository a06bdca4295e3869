package health

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/collector/health/rules"
)

// A Judge turns observations into states. It does no I/O and has no clock: time comes from the observations and from
// Tick. All methods may be called concurrently.
type Judge struct {
	rules   *rules.Compiled
	start   atomic.Int64 // silence does not count from before it, once time is past it; see resume
	alive   atomic.Int64 // what was silent by then was silent in the life before; see Restore
	version atomic.Uint64
	shards  []*shard

	tickMu   sync.Mutex // guards the fields below
	now      int64      // everything due before it has been judged
	ticked   bool
	boundary int64 // the next change of a calendar or of maintenance
	listed   map[string]bool

	cacheMu      sync.Mutex // guards the fields below
	cache        []SiteStatus
	cacheVersion uint64
	sitesVersion atomic.Uint64 // rises when a site comes or goes
	cacheSites   uint64
}

// shard is a part of the sites, so that agents delivering at once do not wait for each other.
type shard struct {
	rules *rules.Compiled
	seen  *atomic.Uint64 // the judge's version

	mu          sync.Mutex // guards the fields below
	now         int64
	sites       map[string]*site
	queue       events
	transitions []Transition // since the last Tick
}

// shardCount is enough that two of a few dozen deliveries at once rarely meet.
const shardCount = 32

// New returns a Judge that knows nothing yet. start is when it begins to listen: silence is never counted from
// before it, so that a collector that was away does not call the whole province silent.
func New(r Rules, start time.Time) *Judge {
	return newJudge(rules.Compile(r), start.UnixMilli(), start.UnixMilli(), shardCount)
}

// Rules returns what the judge goes by.
func (j *Judge) Rules() Rules { return j.rules.Rules }

func newJudge(compiled *rules.Compiled, start, now int64, shards int) *Judge {
	j := &Judge{rules: compiled, now: now, listed: map[string]bool{}, shards: make([]*shard, shards)}
	j.start.Store(start)
	j.boundary = j.rules.Boundary(now)
	for i := range j.shards {
		j.shards[i] = &shard{rules: j.rules, seen: &j.version, now: now, sites: map[string]*site{}}
	}
	return j
}

func (j *Judge) shard(site string) *shard {
	if len(j.shards) == 1 {
		return j.shards[0]
	}
	h := uint32(2166136261) // FNV-1a: the same in every process, so that order is too
	for i := range len(site) {
		h = (h ^ uint32(site[i])) * 16777619
	}
	return j.shards[h%uint32(len(j.shards))]
}

// site returns the site called id, made at time t if there is none. The caller holds the lock.
func (s *shard) site(j *Judge, id string, t int64) *site {
	if have := s.sites[id]; have != nil {
		return have
	}
	t = max(t, s.now)
	made := &site{id: id, cal: s.rules.Calendar(id), maint: s.rules.MaintenanceOf(id, t)}
	made.closed = made.cal != nil && !made.cal.Open(stamp(t))
	s.sites[id] = made
	j.sitesVersion.Add(1)
	s.bump(made)
	return made
}

func (s *shard) bump(site *site) { site.version = s.seen.Add(1) }

// Observe takes what runs have said. An observation that is not newer than the newest of its check changes nothing:
// a repeated delivery is harmless, and late data does not rewrite the present (Replay gives it its due).
func (j *Judge) Observe(obs []Observation) {
	for i := 0; i < len(obs); {
		n := i + 1
		for n < len(obs) && obs[n].Check.Site == obs[i].Check.Site {
			n++
		}
		sh := j.shard(obs[i].Check.Site)
		sh.mu.Lock()
		sh.observe(j, obs[i:n])
		sh.mu.Unlock()
		i = n
	}
}

// observe takes observations of one site.
func (s *shard) observe(j *Judge, obs []Observation) {
	site := s.site(j, obs[0].Check.Site, obs[0].Time.UnixMilli())
	var c *check
	for i := range obs {
		o := &obs[i]
		t := o.Time.UnixMilli()
		if c == nil || !sameCheck(c.id, o.Check) {
			c = s.check(site, o.Check)
		}
		if len(o.Facts) > 0 {
			c.facts(t, o.Facts)
		}
		if o.Check.Layer != "" && t > c.lastAt {
			s.run(j, site, c, o, t)
		}
	}
}

func (s *shard) check(site *site, id CheckID) *check {
	i, ok := site.find(id)
	if !ok {
		c := &check{id: id, kind: s.rules.Kinds[id.Kind], agent: site.agent(id.Agent), queued: rules.Never}
		site.checks = slices.Insert(site.checks, i, c)
	}
	return site.checks[i]
}

func (s *shard) run(j *Judge, site *site, c *check, o *Observation, t int64) {
	if c.id.Layer != o.Check.Layer || c.limit == nil {
		c.id.Layer = o.Check.Layer
		if c.kind != nil {
			c.limit = c.kind.Pick(c.id.Site, c.id.Target, c.id.Path, c.id.Layer)
		}
	}
	state, reason := c.state, c.why
	first := c.lastAt == 0
	c.run(s.rules, o, t)
	c.agent.seenAt = max(c.agent.seenAt, t)
	if c.agent.ran(o.Late) {
		s.bump(site)
	}
	due := s.due(j, c)
	revived := false
	if c.silent && due > s.now {
		c.silent, c.asleep, revived = false, false, true
	}
	if due < c.queued || revived {
		s.look(site, c, due)
	}
	if t > site.lastAt {
		site.lastAt = t
		if t-site.published >= refresh.Milliseconds() {
			site.published = t
			s.bump(site)
		}
	}
	if first || revived || c.state != state || c.why != reason {
		s.settle(site, t, c)
	}
}

// due is when the check will be silent if nothing more comes.
func (s *shard) due(j *Judge, c *check) int64 {
	allowance := c.allowance(s.rules)
	due := max(c.lastAt, c.base) + allowance
	if start := j.start.Load(); s.now >= start && due >= j.alive.Load() {
		due = max(due, start+allowance)
	}
	return due
}

// look queues the next look at a check.
func (s *shard) look(site *site, c *check, at int64) {
	c.queued = at
	s.queue.Push(event{at: at, check: c, site: site})
}

// Tick judges silence and the calendar: all that was due before now happens, as of when it was due. It returns every
// change of state since the last Tick, by time. It wants to be called every second or so: after a longer pause the
// judge takes it that it was the one who was away.
func (j *Judge) Tick(now time.Time) []Transition {
	j.tickMu.Lock()
	defer j.tickMu.Unlock()
	ms := now.UnixMilli()
	if j.ticked && ms-j.now > blindAfter.Milliseconds() {
		j.resume(ms)
	}
	j.ticked = true
	j.advance(ms)
	var all []*Transition // a whole province may change at once, and Transition is large to move about
	for _, sh := range j.shards {
		sh.mu.Lock()
		for i := range sh.transitions {
			all = append(all, &sh.transitions[i])
		}
		sh.transitions = nil
		sh.mu.Unlock()
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b *Transition) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Site, b.Site)) })
	out := make([]Transition, len(all))
	for i, t := range all {
		out[i] = *t
	}
	return out
}

// blindAfter is the pause between two Ticks after which nobody was listening: a stalled machine, a paused virtual
// machine. It is far more than a busy collector is late, and far less than what counts as silence.
const blindAfter = 10 * time.Second

// resume goes on at now after a pause, as after a restart: what was silent before the pause stays silent, and everybody
// else has time to report again before the pause is held against them. The caller holds tickMu.
func (j *Judge) resume(now int64) {
	j.alive.Store(j.now)
	j.start.Store(now)
	for _, sh := range j.shards {
		sh.mu.Lock()
		sh.now = max(sh.now, now)
		sh.mu.Unlock()
	}
}

func (j *Judge) advance(now int64) {
	for j.now < now {
		until := min(j.boundary, now)
		crossed := j.boundary < now
		for _, sh := range j.shards {
			sh.mu.Lock()
			sh.drain(j, until)
			if crossed {
				sh.cross(j, until)
			}
			sh.mu.Unlock()
		}
		j.now = until
		if !crossed {
			return
		}
		j.boundary = j.rules.Boundary(until)
	}
}

// drain looks at the checks that are due before until.
func (s *shard) drain(j *Judge, until int64) {
	for len(s.queue) > 0 && s.queue[0].at < until {
		e := s.queue.Pop()
		if e.at == e.check.queued {
			s.now = max(s.now, e.at)
			s.visit(j, e.site, e.check, e.at)
		}
	}
	s.now = max(s.now, until)
}

// visit looks at a check whose time has come.
func (s *shard) visit(j *Judge, site *site, c *check, at int64) {
	due := s.due(j, c)
	forget := c.lastAt + s.rules.Silence.Forget.Milliseconds()
	switch {
	case !c.silent && due > at:
		s.look(site, c, due) // it has reported since
	case !c.silent:
		c.fallSilent(site.closed)
		s.look(site, c, max(forget, at+1))
		s.settle(site, at, c)
	case c.asleep && !site.closed && due <= at:
		c.asleep = false
		s.look(site, c, max(forget, at+1))
		s.settle(site, at, c)
	case at >= forget && at-c.agent.seenAt < c.allowance(s.rules)+hour,
		at >= c.lastAt+replacedAfter*s.rules.Silence.Forget.Milliseconds() && at-site.heard() < c.allowance(s.rules)+hour:
		site.forget(c)
		c.queued = rules.Never
		s.settle(site, at, c)
	default:
		s.look(site, c, max(forget, at+hour))
	}
}

// replacedAfter is how many times as long the checks of an agent are kept that is gone while another one of its site
// reports: the PC was replaced or renamed, or it broke down beside the other, which must be seen for days.
const replacedAfter = 7

// hour is how often a silent check is looked at to see whether its agent lives without it.
const hour = int64(time.Hour / time.Millisecond)

// cross brings every site's calendar and maintenance up to the boundary at.
func (s *shard) cross(j *Judge, at int64) {
	for _, site := range s.sites {
		maint := s.rules.MaintenanceOf(site.id, at)
		closed := site.cal != nil && !site.cal.Open(stamp(at))
		if maint == site.maint && closed == site.closed {
			continue
		}
		opened, shut := site.closed && !closed, closed && !site.closed
		site.maint, site.closed = maint, closed
		for _, c := range site.checks {
			switch {
			case shut && c.silent:
				c.asleep = true
			case opened:
				// Machines are being switched on: silence counts from now.
				c.base = at
				if c.silent && c.asleep {
					s.look(site, c, s.due(j, c))
				}
			}
		}
		s.settle(site, at, nil)
	}
}

// SetSites says which sites exist. Those without results are no data; others that have results stay.
func (j *Judge) SetSites(ids []string) {
	j.tickMu.Lock()
	defer j.tickMu.Unlock()
	listed := make(map[string]bool, len(ids))
	for _, id := range ids {
		listed[id] = true
	}
	change := func(id string, on bool) {
		sh := j.shard(id)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if !on && sh.sites[id] == nil {
			return
		}
		site := sh.site(j, id, math.MinInt64)
		site.listed = on
		if !on && len(site.checks) == 0 {
			delete(sh.sites, id)
			j.sitesVersion.Add(1)
			j.version.Add(1)
			return
		}
		sh.settle(site, sh.now, nil)
	}
	for id := range j.listed {
		if !listed[id] {
			change(id, false)
		}
	}
	for _, id := range ids {
		if !j.listed[id] {
			change(id, true)
		}
	}
	j.listed = listed
}

// Version is the newest version of any site.
func (j *Judge) Version() uint64 { return j.version.Load() }

// Sites returns all sites, sorted by id. The slice is shared: do not change it. It costs nothing while nothing changed.
func (j *Judge) Sites() []SiteStatus {
	j.cacheMu.Lock()
	defer j.cacheMu.Unlock()
	sites := j.sitesVersion.Load()
	if j.cache != nil && j.cacheVersion == j.version.Load() && j.cacheSites == sites {
		return j.cache
	}
	out, version := j.Since(0)
	j.cache, j.cacheVersion, j.cacheSites = out, version, sites
	return out
}

// Since returns the sites whose status changed after version, sorted by id, and the version to ask with next time.
func (j *Judge) Since(version uint64) ([]SiteStatus, uint64) {
	newest := j.version.Load() // before the look: what changes meanwhile is found again next time
	out := []SiteStatus{}
	if newest == version {
		return out, newest
	}
	for _, sh := range j.shards {
		sh.mu.Lock()
		for _, s := range sh.sites {
			if s.version > version {
				out = append(out, s.status())
			}
		}
		sh.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b SiteStatus) int { return cmp.Compare(a.Site, b.Site) })
	return out, newest
}

// Site returns one site with its checks, sorted by target.
func (j *Judge) Site(id string) (SiteStatus, []CheckStatus, bool) {
	sh := j.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.sites[id]
	if s == nil {
		return SiteStatus{}, nil, false
	}
	checks := make([]CheckStatus, 0, len(s.checks))
	for _, c := range s.checks {
		if c.lastAt > 0 {
			checks = append(checks, c.status(s))
		}
	}
	return s.status(), checks, true
}
