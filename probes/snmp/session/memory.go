package session

import (
	"sync"
	"time"
)

// Memory is what sessions learn: which version a device answers, whether it has been silent, and how large the pages
// are that a model bears: a sysObjectID together with a sysDescr, since many makers use the number of the SNMP program they
// took, or none. Sessions share it and may use it at the same time. It is a help and no more:
// it is not kept over restarts. A nil Memory forgets everything.
type Memory struct {
	mu      sync.Mutex // guards the fields below
	devices map[string]device
	models  map[string]model
}

type device struct {
	version Version // that it answered; Auto if it never did
	silent  int     // gates without an answer, in a row
	until   time.Time
}

type model struct {
	reps     int       // to begin with
	failedAt int       // the smallest page that met silence
	fails    int       // how often it did: once may be a lost packet
	last     time.Time // when it did last
}

// Bounds of the memory and of the breaker.
const (
	maxDevices = 8192
	maxModels  = 1024

	// After so many silent gates in a row a device is left alone for a while, first for minWait, then for twice as
	// long each time. The last is the longest that a device which is switched on stays unseen.
	silentGates = 3
	minWait     = 30 * time.Second
	maxWait     = 5 * time.Minute

	// On a line that loses packets every size of page meets silence in the end, so a limit is tried anew after this.
	limitHolds = 6 * time.Hour
)

// NewMemory returns an empty memory.
func NewMemory() *Memory {
	return &Memory{devices: map[string]device{}, models: map[string]model{}}
}

// gateState is what a session should know before it asks.
type gateState struct {
	version Version
	silent  int           // 0 unless the device is taken for dead
	wait    time.Duration // above 0: don't ask yet
}

func (m *Memory) enter(key string, now time.Time) gateState {
	if m == nil {
		return gateState{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.devices[key]
	g := gateState{version: d.version}
	if d.silent >= silentGates {
		g.silent, g.wait = d.silent, d.until.Sub(now)
	}
	return g
}

func (m *Memory) answered(key string, v Version) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room(m.devices, key, maxDevices)
	m.devices[key] = device{version: v}
}

func (m *Memory) silent(key string, now time.Time) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room(m.devices, key, maxDevices)
	d := m.devices[key]
	if d.silent++; d.silent >= silentGates {
		d.until = now.Add(min(minWait<<min(d.silent-silentGates, 10), maxWait))
		if d.silent > 4*silentGates {
			d.version = Auto // perhaps another device has its address now
		}
	}
	m.devices[key] = d
}

// reps is the page to begin with.
func (m *Memory) reps(id string) int {
	if m == nil {
		return firstReps
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.models[id]; ok {
		return k.reps
	}
	return firstReps
}

// ceiling is the largest page that may be tried.
func (m *Memory) ceiling(id string) int {
	if m == nil {
		return maxReps
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.models[id]; k.fails > 1 && time.Since(k.last) < limitHolds {
		return max(k.failedAt-1, 1)
	}
	return maxReps
}

// failed notes that a page was too large. A device that says so is believed at once and for this page; silence may be
// a lost packet, so it limits the model only when it comes again.
func (m *Memory) failed(id string, reps int, silent bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	room(m.models, id, maxModels)
	k := m.models[id]
	k.reps = max(reps/2, 1)
	switch {
	case !silent:
	case k.failedAt == 0 || reps < k.failedAt || time.Since(k.last) >= limitHolds:
		k.failedAt, k.fails, k.last = reps, 1, time.Now()
	case reps == k.failedAt:
		k.fails, k.last = k.fails+1, time.Now()
	}
	m.models[id] = k
}

// worked notes that pages of a size go well.
func (m *Memory) worked(id string, reps int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.models[id]
	if ok && reps > k.reps {
		k.reps = min(reps, firstReps)
		m.models[id] = k
	}
}

// room makes room for one more by forgetting any other.
func room[K comparable, V any](m map[K]V, key K, limit int) {
	if _, ok := m[key]; ok || len(m) < limit {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}
