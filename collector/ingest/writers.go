package ingest

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"communewatch/collector/registry"
	"communewatch/probes/wire"
)

// writers keeps which field series the tokens of kind writer have, so that a client that puts a request's number into
// a tag can't fill the store. Only hashes are kept: 64 bits under a secret seed.
type writers struct {
	most    int
	seed    maphash.Seed
	mu      sync.Mutex // guards byToken and what is in it
	byToken map[string]*writer
}

// writer is one token's series. Those not seen from one aging to the one after the next are forgotten, which makes
// room for new ones.
type writer struct {
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

// check says what is wrong with a writer's row, "" if nothing.
func (ws *writers) check(c *contract, id *registry.Identity, row *wire.Row, now time.Time) (reason string, class refusal) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.byToken[id.Token]
	if w == nil {
		w = &writer{current: newGeneration(), aged: now}
		ws.byToken[id.Token] = w
	}
	key := maphash.Bytes(ws.seed, row.Key)
	if !isIn(key, w.current.keys, w.previous.keys) {
		if reason, class := checkWriterKey(c, id, row.Key); reason != "" {
			return reason, class
		}
	}
	fresh := 0
	for i := range row.Fields {
		if !isIn(ws.fieldHash(key, row.Fields[i].Key), w.current.fields, w.previous.fields) {
			fresh++
		}
	}
	if fresh > 0 && w.count+fresh > ws.most {
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

func isIn(h uint64, current, previous map[uint64]struct{}) bool {
	if _, ok := current[h]; ok {
		return true
	}
	_, ok := previous[h]
	return ok
}

// age forgets series that were silent for a day, and tokens without any.
func (ws *writers) age(now time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for token, w := range ws.byToken {
		if now.Sub(w.aged) < writerAge {
			continue
		}
		if len(w.current.fields) == 0 {
			delete(ws.byToken, token)
			continue
		}
		w.previous, w.current, w.aged = w.current, newGeneration(), now
		w.count = len(w.previous.fields)
	}
}

// series returns the number of field series by token.
func (ws *writers) series() map[string]int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	out := make(map[string]int, len(ws.byToken))
	for token, w := range ws.byToken {
		out[token] = w.count
	}
	return out
}

func checkWriterKey(c *contract, id *registry.Identity, key []byte) (string, refusal) {
	parsed, err := wire.ParseKey(key)
	if err != nil {
		return err.Error(), refusedSchema
	}
	if c.measurements[parsed.Measurement] != nil {
		return fmt.Sprintf("measurement %s is written by agents only; rename it, or use an agent's token", parsed.Measurement), refusedSchema
	}
	if site := parsed.Tags.Get("site"); site != "" && id.Site != "" && site != id.Site {
		return fmt.Sprintf("the token is for site %s, the line for %s", id.Site, site), refusedIdentity
	}
	return "", 0
}
