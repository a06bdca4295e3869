package contract

import (
	"sync"
	"sync/atomic"

	"communewatch/probes"
	"communewatch/probes/wire"
)

// Series is what the full check of a key found out.
type Series struct {
	Site, Agent string

	key         string
	measurement *measurement
	target      string
	path        probes.Path
	kind        probes.Kind
	row         string       // of measurements with several rows to a run
	layer       probes.Layer // of check rows only
	device      string       // of equipment rows only, as fact
	fact        probes.FactName
	admitted    atomic.Uint64
}

// Admitted reports whether all of these fields were admitted, bit n standing for the measurement's field n.
func (s *Series) Admitted(fields uint64) bool { return fields&^s.admitted.Load() == 0 }

// Admit notes for Admitted that there is room for these fields of the series.
func (s *Series) Admit(fields uint64) { s.admitted.Or(fields) }

// Cache remembers checked series by their raw keys. It is bounded by living in two generations: when the young one is
// full it becomes the old one, and what is not asked for until that happens again is forgotten.
type Cache struct {
	mu         sync.RWMutex // guards young and old
	young, old map[string]*Series
	half       int
}

// NewCache returns a Cache of at most that many series, at some 250 bytes each.
func NewCache(most int) *Cache {
	return &Cache{young: map[string]*Series{}, half: max(1, most/2)}
}

// Find appends the series of rows to found, nil for those it does not know.
func (c *Cache) Find(rows []wire.Row, found []*Series) []*Series {
	aged := false
	c.mu.RLock()
	for i := range rows {
		s := c.young[string(rows[i].Key)]
		if s == nil && c.old != nil {
			s = c.old[string(rows[i].Key)]
			aged = aged || s != nil
		}
		found = append(found, s)
	}
	c.mu.RUnlock()
	if aged {
		c.Add(found[len(found)-len(rows):]...)
	}
	return found
}

// Get returns one series, nil if it does not know it.
func (c *Cache) Get(key []byte) *Series {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.young[string(key)]; s != nil {
		return s
	}
	return c.old[string(key)]
}

// Add remembers list; nils in it are skipped.
func (c *Cache) Add(list ...*Series) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range list {
		if s == nil {
			continue
		}
		if _, known := c.young[s.key]; !known && len(c.young) >= c.half {
			c.old, c.young = c.young, map[string]*Series{}
		}
		c.young[s.key] = s
	}
}

// Len returns how many series are remembered.
func (c *Cache) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}
