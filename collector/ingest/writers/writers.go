// Package writers checks what the tokens of kind writer bring: rows of other programs, which are stored and not judged.
// They stay within what their token is for, leave the agents' measurements alone, and bring a bounded number of series.
package writers

import (
	"fmt"
	"hash/maphash"
	"sync"

	"communewatch/collector/ingest/contract"
	"communewatch/collector/ingest/refusal"
	"communewatch/collector/registry"
	"communewatch/probes/wire"
)

// Writers counts the field series of the tokens of kind writer, so that a client that puts a request's number into a
// tag can't fill the store. They are counted from the start of the process, because the store has no tokens to count
// by, and never forgotten, because the store keeps silent series too. Only hashes are kept: 64 bits under a secret
// seed.
type Writers struct {
	most     int
	contract *contract.Contract
	seed     maphash.Seed
	mu       sync.Mutex // guards byToken
	byToken  map[string]*Writer
}

// Writer is one token's series.
type Writer struct {
	mu     sync.Mutex          // guards the fields below
	keys   map[uint64]struct{} // that passed the check
	fields map[uint64]struct{} // field series
}

// New returns Writers that may bring so many field series each, none of them of the agents' contract.
func New(most int, c *contract.Contract) *Writers {
	return &Writers{most: most, contract: c, seed: maphash.MakeSeed(), byToken: map[string]*Writer{}}
}

// Of returns what is known of a token.
func (ws *Writers) Of(token string) *Writer {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.byToken[token]
	if w == nil {
		w = &Writer{keys: map[uint64]struct{}{}, fields: map[uint64]struct{}{}}
		ws.byToken[token] = w
	}
	return w
}

// Check says what is wrong with a row of w, "" if nothing.
func (ws *Writers) Check(w *Writer, id *registry.Identity, row *wire.Row) (reason string, class refusal.Class) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := maphash.Bytes(ws.seed, row.Key)
	if _, known := w.keys[key]; !known {
		if reason, class := checkKey(ws.contract, id, row.Key); reason != "" {
			return reason, class
		}
	}
	fresh := 0
	for i := range row.Fields {
		if _, known := w.fields[ws.fieldHash(key, row.Fields[i].Key)]; !known {
			fresh++
		}
	}
	if fresh == 0 {
		return "", 0
	}
	if len(w.fields)+fresh > ws.most {
		return fmt.Sprintf("this token has brought %d field series since the collector started, of at most %d, and this line brings new ones; "+
			"write fewer tags that change, or raise writer_series", len(w.fields), ws.most), refusal.Series
	}
	w.keys[key] = struct{}{}
	for i := range row.Fields {
		w.fields[ws.fieldHash(key, row.Fields[i].Key)] = struct{}{}
	}
	return "", 0
}

// fieldHash joins the hash of a series with that of a field's name.
func (ws *Writers) fieldHash(key uint64, name []byte) uint64 {
	return (key ^ maphash.Bytes(ws.seed, name)) * 0x9E3779B97F4A7C15 // odd, so nothing is lost
}

// Series returns the number of field series by token.
func (ws *Writers) Series() map[string]int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	out := make(map[string]int, len(ws.byToken))
	for token, w := range ws.byToken {
		w.mu.Lock()
		out[token] = len(w.fields)
		w.mu.Unlock()
	}
	return out
}

func checkKey(c *contract.Contract, id *registry.Identity, key []byte) (string, refusal.Class) {
	parsed, err := wire.ParseKey(key)
	if err != nil {
		return err.Error(), refusal.Schema
	}
	if c.Has(parsed.Measurement) {
		return fmt.Sprintf("measurement %s is written by agents only; rename it, or use an agent's token", parsed.Measurement), refusal.Schema
	}
	site := parsed.Tags.Get("site")
	switch {
	case site != "" && id.Site != "" && site != id.Site:
		return fmt.Sprintf("the token is for site %s, the line for %s", id.Site, site), refusal.Identity
	case !id.Scope.Site(site) && site == "":
		return "the token is for some sites, and the line has no tag site; let the writer add it (Telegraf: [global_tags])", refusal.Identity
	case !id.Scope.Site(site):
		return fmt.Sprintf("the token is not for site %s", site), refusal.Identity
	case !id.Scope.Measurement(parsed.Measurement):
		return fmt.Sprintf("the token is not for measurement %s", parsed.Measurement), refusal.Identity
	}
	return "", 0
}
