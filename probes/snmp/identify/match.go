package identify

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"communewatch/probes/settings"
	"communewatch/probes/snmp/ask"
)

func asError(err error, target **settings.Error) bool { return errors.As(err, target) }

// patterns compiles what is needed when it is needed: an agent meets a handful of makes, and compiled they take more
// memory than the rest of it.
type patterns struct {
	mu    sync.Mutex // guards the field below
	known map[string]*regexp.Regexp
}

// get returns a pattern, nil if it is none.
func (p *patterns) get(s string) *regexp.Regexp {
	p.mu.Lock()
	defer p.mu.Unlock()
	re, ok := p.known[s]
	if !ok {
		re, _ = regexp.Compile(s)
		p.known[s] = re
	}
	return re
}

func (p *patterns) match(pattern, text string) bool {
	re := p.get(pattern)
	return re != nil && re.MatchString(text)
}

// A kernel of a distribution for any machine: uname's output, in which the second word is the name of the host.
const distribution = `^Linux \S+ (?:\S*(?:\.el\d|\.fc\d|\.amzn\d|-generic|-amd64|-686|-pve|-azure|-aws|-default)\b|\S+ #\d\S*.*(?:Debian|Ubuntu))`

// withoutHost returns sysDescr with a dash for the host's name where that name tells nothing of the make: whoever
// installed the machine chose it, and a server named projector is none. Appliances with kernels of their own keep
// theirs: it is often the model.
func (e *Engine) withoutHost(descr string) string {
	if !e.patterns.match(distribution, descr) {
		return descr
	}
	_, rest, _ := strings.Cut(strings.TrimPrefix(descr, "Linux "), " ")
	return "Linux - " + rest
}

// arcs is how many numbers an OID has.
func arcs(o ask.OID) int { return strings.Count(string(o), ".") + 1 }

// fit says how closely a profile fits, without what Answers asks for; false if it does not.
func (e *Engine) fit(p *Profile, objectID ask.OID, descr string) (rank int, ok bool) {
	longest := 0
	for _, prefix := range p.Match.ObjectID {
		if objectID.Below(prefix) && objectID != "" {
			longest = max(longest, arcs(prefix))
		}
	}
	if len(p.Match.ObjectID) > 0 && longest == 0 {
		return 0, false
	}
	if len(p.Match.Descr) > 0 && !slices.ContainsFunc(p.Match.Descr, func(s string) bool { return e.patterns.match(s, descr) }) {
		return 0, false
	}
	if slices.ContainsFunc(p.Match.Not, func(s string) bool { return e.patterns.match(s, descr) }) {
		return 0, false
	}
	rank = 10 * longest
	if len(p.Match.Descr) > 0 {
		rank += 15
	}
	if len(p.Match.Answers) > 0 {
		rank += 15
	}
	if p.Rank != 0 {
		rank = p.Rank
	}
	if p.user {
		rank += 1000
	}
	return rank, true
}

// choose returns the profiles that fit a device, the closest first. Profiles whose Answers have to be asked for are
// asked together.
func (e *Engine) choose(ctx context.Context, r *reading) []*Profile {
	type fitting struct {
		p    *Profile
		rank int
	}
	var fits []fitting
	var ask []ask.OID
	for _, p := range e.profiles {
		rank, ok := e.fit(p, r.objectID, r.descr)
		if !ok {
			continue
		}
		fits = append(fits, fitting{p, rank})
		ask = append(ask, p.Match.Answers...)
	}
	r.fetch(ctx, ask)
	fits = slices.DeleteFunc(fits, func(f fitting) bool {
		answers := f.p.Match.Answers
		return len(answers) > 0 && !slices.ContainsFunc(answers, func(o oid) bool { return r.answers(ctx, o) })
	})
	if i := slices.IndexFunc(fits, func(f fitting) bool { return f.p.OwnersDescr }); i >= 0 { // "Barco room" on a firewall makes no Barco of it
		vendor := fits[i].p.Vendor
		fits = slices.DeleteFunc(fits, func(f fitting) bool {
			return len(f.p.Match.Descr) > 0 && len(f.p.Match.ObjectID) == 0 && len(f.p.Match.Answers) == 0 && f.p.Vendor != vendor && !f.p.user
		})
	}
	slices.SortStableFunc(fits, func(a, b fitting) int { return cmp.Compare(b.rank, a.rank) })
	out := make([]*Profile, len(fits))
	for i, f := range fits {
		out[i] = f.p
	}
	return out
}

type oid = ask.OID
