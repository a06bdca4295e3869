package ingest

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"communewatch/collector/ingest/contract"
	"communewatch/collector/registry"
	"communewatch/probes/wire"
)

// writers keeps which field series the tokens of kind writer have, so that a client that puts a request's number into
// a tag can't fill the store. Only hashes are kept: 64 bits under a secret seed.
type writers struct {
	most    int
	seed    maphash.Seed
	mu      sync.Mutex // guards byToken
	byToken map[string]*writer
}

// writer is one token's series. Those not seen from one aging to the one after the next are forgotten, which makes
// room for new ones.
type writer struct {
	mu                sync.Mutex // guards the fields below
	current, previous generation
	count             int // field series in either
	aged              time.Time
}

type generation struct {
	keys   map[uint64]struct{} // that passed the check
	fields map[uint64]struct{} // field series
}

func newGeneration() generation {
	return generation{keys: map[uint64]struct{}{}, fields: map[uint64]struct{}{}}
}

// writerAge is how long a series must be silent, at least, before its place is free again.
const writerAge = 24 * time.Hour

func newWriters(most int) *writers {
	return &writers{most: most, seed: maphash.MakeSeed(), byToken: map[string]*writer{}}
}

// of returns what is known of a token.
func (ws *writers) of(token string, now time.Time) *writer {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.byToken[token]
	if w == nil {
		w = &writer{current: newGeneration(), aged: now}
		ws.byToken[token] = w
	}
	return w
}

// check says what is wrong with a row of w, "" if nothing.
func (ws *writers) check(w *writer, c *contract.Contract, id *registry.Identity, row *wire.Row) (reason string, class refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := maphash.Bytes(ws.seed, row.Key)
	_, current := w.current.keys[key]
	if !current {
		if _, known := w.previous.keys[key]; !known {
			if reason, class := checkWriterKey(c, id, row.Key); reason != "" {
				return reason, class
			}
		}
	}
	fresh := 0
	for i := range row.Fields {
		h := ws.fieldHash(key, row.Fields[i].Key)
		if _, ok := w.current.fields[h]; !ok {
			current = false
			if _, ok := w.previous.fields[h]; !ok {
				fresh++
			}
		}
	}
	switch {
	case current:
		return "", 0
	case fresh > 0 && w.count+fresh > ws.most:
		return fmt.Sprintf("this token has %d field series already, of at most %d, and this line brings new ones; "+
			"write fewer tags that change, or use another token", w.count, ws.most), refusedSeries
	}
	w.current.keys[key] = struct{}{}
	for i := range row.Fields {
		w.current.fields[ws.fieldHash(key, row.Fields[i].Key)] = struct{}{}
	}
	w.count += fresh
	return "", 0
}

// fieldHash joins the hash of a series with that of a field's name.
func (ws *writers) fieldHash(key uint64, name []byte) uint64 {
	return (key ^ maphash.Bytes(ws.seed, name)) * 0x9E3779B97F4A7C15 // odd, so nothing is lost
}

// age forgets series that were silent for a day, and tokens without any.
func (ws *writers) age(now time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for token, w := range ws.byToken {
		w.mu.Lock()
		if now.Sub(w.aged) >= writerAge {
			if len(w.current.fields) == 0 {
				delete(ws.byToken, token)
			}
			w.previous, w.current, w.aged = w.current, newGeneration(), now
			w.count = len(w.previous.fields)
		}
		w.mu.Unlock()
	}
}

// series returns the number of field series by token.
func (ws *writers) series() map[string]int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	out := make(map[string]int, len(ws.byToken))
	for token, w := range ws.byToken {
		w.mu.Lock()
		out[token] = w.count
		w.mu.Unlock()
	}
	return out
}

func checkWriterKey(c *contract.Contract, id *registry.Identity, key []byte) (string, refusal) {
	parsed, err := wire.ParseKey(key)
	if err != nil {
		return err.Error(), refusedSchema
	}
	if c.Has(parsed.Measurement) {
		return fmt.Sprintf("measurement %s is written by agents only; rename it, or use an agent's token", parsed.Measurement), refusedSchema
	}
	if site := parsed.Tags.Get("site"); site != "" && id.Site != "" && site != id.Site {
		return fmt.Sprintf("the token is for site %s, the line for %s", id.Site, site), refusedIdentity
	}
	return "", 0
}
