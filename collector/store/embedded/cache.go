package embedded

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"communewatch/collector/store"
	"communewatch/collector/store/embedded/texts"
	"communewatch/probes/wire"
)

// Labels of a series beside its tags.
const (
	labelMeasurement = labels.MetricName // "__name__", which the engine indexes like any other
	labelField       = "__field__"       // the field's key behind markNumber or markText

	markNumber = "#"
	markText   = "$"
)

func mark(c texts.Class) string {
	if c == texts.Text {
		return markText
	}
	return markNumber
}

// seriesLabels returns the engine's name for one field of a series.
func seriesLabels(s wire.Series, field []byte, c texts.Class) labels.Labels {
	b := labels.NewScratchBuilder(len(s.Tags) + 2)
	b.Add(labelMeasurement, s.Measurement)
	b.Add(labelField, mark(c)+string(field))
	for _, t := range s.Tags {
		if t.Value != "" {
			b.Add(t.Key, t.Value)
		}
	}
	b.Sort()
	return b.Labels()
}

// checkSeries returns why a series can't be stored.
func checkSeries(s wire.Series) string {
	if s.Measurement == "" {
		return "no measurement"
	}
	for i, t := range s.Tags {
		switch {
		case t.Key == "":
			return "a tag without a key"
		case t.Key == labelMeasurement || t.Key == labelField:
			return "tag key " + t.Key + " is reserved; give the tag another name"
		case i > 0 && s.Tags[i-1].Key == t.Key:
			return "tag key " + t.Key + " occurs twice"
		}
	}
	return ""
}

// slot is one field of a key.
type slot struct {
	key   string
	class texts.Class
}

// layout is the fields of a key in the order in which its rows first carried them. Entries of one measurement mostly
// share one.
type layout []slot

// entry is what the cache knows of a key: which series its fields are. It is never changed once others can see it.
type entry struct {
	layout layout
	refs   []storage.SeriesRef // parallel to layout
}

// plan finds the place of each field of r in e and puts them into b.at. It returns false if a field is unknown, and a
// reason if one comes with another class than the series has.
//
// Writers repeat the same fields in the same order, so the guess that a field stands behind the one before it is
// nearly always right.
func (e *entry) plan(r *wire.Row, b *batch) (known bool, reason string) {
	b.at = b.at[:0]
	next := 0
	for i := range r.Fields {
		f := &r.Fields[i]
		if next >= len(e.layout) || e.layout[next].key != string(f.Key) {
			next = slices.IndexFunc(e.layout, func(s slot) bool { return s.key == string(f.Key) })
			if next < 0 {
				return false, ""
			}
		}
		if c := classOf(f.Type); e.layout[next].class != c {
			return true, conflict(f.Key, c, e.layout[next].class)
		}
		b.at = append(b.at, next)
		next++
	}
	return true, ""
}

// cache maps the raw key of a line to the series of its fields, so that a known line costs one lookup and no
// allocation. It is bounded: when the younger of its two generations is full it becomes the older one, and what was
// not used for a whole generation is forgotten.
type cache struct {
	perGeneration int

	mu         sync.RWMutex // guards the fields below
	young, old map[string]*entry
	layouts    map[string]layout // newest layout of each measurement
}

func newCache(maxKeys int) *cache {
	return &cache{perGeneration: max(maxKeys/2, 1), young: map[string]*entry{}, layouts: map[string]layout{}}
}

// lookup appends the entry of each row to dst, nil for unknown keys.
func (c *cache) lookup(rows []wire.Row, dst []*entry) []*entry {
	aged := false
	c.mu.RLock()
	for i := range rows {
		e := c.young[string(rows[i].Key)]
		if e == nil && len(c.old) > 0 {
			if e = c.old[string(rows[i].Key)]; e != nil {
				aged = true
			}
		}
		dst = append(dst, e)
	}
	c.mu.RUnlock()
	if aged {
		c.mu.Lock()
		for i := range rows {
			if e := c.old[string(rows[i].Key)]; e != nil {
				delete(c.old, string(rows[i].Key))
				c.put(string(rows[i].Key), e)
			}
		}
		c.mu.Unlock()
	}
	return dst
}

// get returns the entry of key, or nil.
func (c *cache) get(key []byte) *entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e := c.young[string(key)]; e != nil {
		return e
	}
	return c.old[string(key)]
}

// put makes an entry the newest. mu is held.
func (c *cache) put(key string, e *entry) {
	if _, there := c.young[key]; !there && len(c.young) >= c.perGeneration {
		c.old, c.young = c.young, make(map[string]*entry, len(c.young)/2)
	}
	c.young[key] = e
}

// publish makes entries known to all.
func (c *cache) publish(fresh map[string]*entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range fresh {
		delete(c.old, key)
		c.put(key, e)
	}
}

// merge returns e with the fields that only old knows added, on a shared layout if there is a fitting one.
func (c *cache) merge(measurement string, e, old *entry) *entry {
	if old != nil {
		merged := &entry{layout: slices.Clone(old.layout), refs: slices.Clone(old.refs)}
		for i, s := range e.layout {
			if at := slices.Index(merged.layout, s); at >= 0 {
				merged.refs[at] = e.refs[i]
				continue
			}
			merged.layout = append(merged.layout, s)
			merged.refs = append(merged.refs, e.refs[i])
		}
		e = merged
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if shared := c.layouts[measurement]; slices.Equal(shared, e.layout) {
		e.layout = shared
	} else {
		c.layouts[measurement] = e.layout
	}
	return e
}

// forget empties the cache: the references of a closed engine mean nothing to the next.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old = map[string]*entry{}, nil
}

var _ store.Store = (*Store)(nil)
