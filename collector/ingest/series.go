package ingest

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"

	"communewatch/collector/ingest/contract"
)

// agentSeries counts the field series that agents bring, by site: a token may be good for any agent of its site, a
// site may have several tokens, and who has one may invent agents and targets. Series are counted from the start of
// the process and never forgotten, because the store and the judge keep what they have seen too.
type agentSeries struct {
	most   int
	seed   maphash.Seed
	mu     sync.Mutex // guards bySite
	bySite map[string]*siteSeries
}

// siteSeries is what one site has brought. A series' fields are bits, as contract.Series has them; its key is a hash
// under a secret seed.
type siteSeries struct {
	mu     sync.Mutex // guards the fields below
	fields map[uint64]uint64
	count  int
}

func newAgentSeries(most int) *agentSeries {
	return &agentSeries{most: most, seed: maphash.MakeSeed(), bySite: map[string]*siteSeries{}}
}

func (as *agentSeries) of(site string) *siteSeries {
	as.mu.Lock()
	defer as.mu.Unlock()
	s := as.bySite[site]
	if s == nil {
		s = &siteSeries{fields: map[uint64]uint64{}}
		as.bySite[site] = s
	}
	return s
}

// admit says why a row of s with these fields is one too many, "" if it is not. It is asked about rows that are good
// in every other way, and costs next to nothing for those whose like was admitted before.
func (as *agentSeries) admit(s *contract.Series, key []byte, fields uint64) string {
	if s.Admitted(fields) {
		return ""
	}
	site := as.of(s.Site)
	site.mu.Lock()
	defer site.mu.Unlock()
	hash := maphash.Bytes(as.seed, key)
	known := site.fields[hash]
	fresh := bits.OnesCount64(fields &^ known)
	if fresh > 0 && site.count+fresh > as.most {
		return fmt.Sprintf("site %s has brought %d field series since the collector started, of at most %d, and this line brings new ones; "+
			"known ones are still taken", s.Site, site.count, as.most)
	}
	site.count += fresh
	site.fields[hash] = known | fields
	s.Admit(known | fields)
	return ""
}

// counts returns the number of field series by site.
func (as *agentSeries) counts() map[string]int {
	as.mu.Lock()
	defer as.mu.Unlock()
	out := make(map[string]int, len(as.bySite))
	for name, s := range as.bySite {
		s.mu.Lock()
		out[name] = s.count
		s.mu.Unlock()
	}
	return out
}
