package lines

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
)

// Class is what a field holds, in all series of a measurement.
type Class uint8

// The classes. Booleans are numbers.
const (
	Number Class = iota
	Text
)

func (c Class) String() string { return [...]string{"number", "text"}[c] }

// Bounds of what is kept of a database that others fill too. Beyond them the server's word is all there is.
const (
	maxMeasurements = 20_000
	maxFields       = 4096    // of a measurement
	maxKeys         = 250_000 // some 200 bytes each
)

// measurement is what is known of one.
type measurement struct {
	name  string // as it lies in the database
	known atomic.Pointer[fields]

	asking chan struct{} // held by who asks the database for its fields

	mu        sync.Mutex
	asked     bool // and its answer is among those known
	forgotten int  // times
}

func newMeasurement(name string) *measurement {
	m := &measurement{name: name, asking: make(chan struct{}, 1)}
	m.known.Store(noFields)
	return m
}

// fields is the fields of a measurement, in the order in which they were met. It is never changed.
type fields struct {
	keys    []string // as rows write them
	written []string // with = behind
	classes []Class
	index   map[string]int
}

var noFields = &fields{}

// find returns the place of a field. Rows carry the same fields in the same order mostly, so the guess that it stands
// behind the one before is nearly always right.
func (f *fields) find(key []byte, guess int) (int, bool) {
	if guess < len(f.keys) && f.keys[guess] == string(key) {
		return guess, true
	}
	at, ok := f.index[string(key)]
	return at, ok
}

func (f *fields) with(key string, c Class) *fields {
	n := len(f.keys)
	g := &fields{
		keys:    append(f.keys[:n:n], key),
		written: append(f.written[:n:n], string(append(appendName(nil, Stored(key)), '='))),
		classes: append(f.classes[:n:n], c),
		index:   maps.Clone(f.index),
	}
	if g.index == nil {
		g.index = map[string]int{}
	}
	g.index[key] = n
	return g
}

// Ask returns the fields of a measurement as the database knows them.
type Ask func(ctx context.Context, measurement string) (map[string]Class, error)

// learn returns the fields once those of a row are among them. What the database does not know yet is of the class that
// the first row brings.
func (m *measurement) learn(ctx context.Context, ask Ask, key string, c Class) (*fields, error) {
	for {
		if f := m.add(key, c); f != nil {
			return f, nil
		}
		select {
		case m.asking <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		err := m.ask(ctx, ask)
		<-m.asking
		if err != nil {
			return nil, err
		}
	}
}

// add returns the fields with one more; nil if the database has to be asked first.
func (m *measurement) add(key string, c Class) *fields {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.asked {
		return nil
	}
	f := m.known.Load()
	if _, ok := f.index[key]; !ok && len(f.keys) < maxFields {
		f = f.with(key, c)
		m.known.Store(f)
	}
	return f
}

// ask takes over the fields that the database knows, if nobody did so before. An answer is worth nothing if fields were
// forgotten while it was on its way: it may be that of another database.
func (m *measurement) ask(ctx context.Context, ask Ask) error {
	m.mu.Lock()
	asked, forgotten := m.asked, m.forgotten
	m.mu.Unlock()
	if asked {
		return nil
	}
	have, err := ask(ctx, m.name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forgotten != forgotten {
		return nil
	}
	f := m.known.Load()
	for k, c := range have {
		if _, ok := f.index[k]; !ok && len(f.keys) < maxFields {
			f = f.with(k, c)
		}
	}
	m.known.Store(f)
	m.asked = true
	return nil
}

// forget makes the next row with a field that is not known ask again; all are unknown then.
func (m *measurement) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = false
	m.forgotten++
	m.known.Store(noFields)
}
