package ingest

import (
	"sync"

	"communewatch/probes"
	"communewatch/probes/wire"
)

// series is what the full check of a key found out.
type series struct {
	key         string
	measurement *measurement
	site, agent string
	target      string
	path        probes.Path
	kind        probes.Kind
	layer       probes.Layer // of check rows only
}

// seriesCache remembers checked series by their raw keys. It is bounded by living in two generations: when the young
// one is full it becomes the old one, and what is not asked for until that happens again is forgotten.
type seriesCache struct {
	mu         sync.RWMutex // guards young and old
	young, old map[string]*series
	half       int
}

func newSeriesCache(most int) *seriesCache {
	return &seriesCache{young: map[string]*series{}, half: max(1, most/2)}
}

// find appends the series of rows to found, nil for those it does not know.
func (c *seriesCache) find(rows []wire.Row, found []*series) []*series {
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
		c.add(found[len(found)-len(rows):]...)
	}
	return found
}

// add remembers list; nils in it are skipped.
func (c *seriesCache) add(list ...*series) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range list {
		if s == nil {
			continue
		}
		if _, known := c.young[s.key]; !known && len(c.young) >= c.half {
			c.old, c.young = c.young, map[string]*series{}
		}
		c.young[s.key] = s
	}
}

func (c *seriesCache) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}
