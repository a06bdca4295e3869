package plans

import (
	"fmt"
	"net/netip"
	"slices"

	"communewatch/collector/assign"
	"communewatch/collector/assign/reach"
	"communewatch/probes/work"
)

// maxBeyond is how many addresses are told of one by one; what is to be done is the same for all.
const maxBeyond = 20

// beyond tells of addresses that a plan allows and agents do not, unless their own settings say so: an agent refuses all of
// its work for one of them, and people hear of that only when nothing is measured.
func (s *Service) beyond(now *assign.Outcome) (out []assign.Problem) {
	at := map[netip.Prefix][]string{}
	for i := range now.Agents {
		g := &now.Agents[i]
		for _, c := range g.Checks {
			for _, place := range reach.Places(c.Kind, c.Address, c.Options) {
				p, err := reach.Prefix(place.Text) // a name is looked up by agents alone
				if err == nil && s.asks(p) && !slices.Contains(at[p], g.Site) {
					at[p] = append(at[p], g.Site)
				}
			}
		}
	}
	list := make([]netip.Prefix, 0, len(at))
	for p := range at {
		list = append(list, p)
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	for _, p := range list[:min(len(list), maxBeyond)] {
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		slices.Sort(at[p])
		out = append(out, assign.Problem{Sites: at[p], Text: fmt.Sprintf(
			"agents allow no checks of %s by themselves, and refuse their whole plan for it; name it under allow.addresses in the agent's settings there, or enrol with: communewatch-agent enroll --allow %s CODE", text, text)})
	}
	if more := len(list) - maxBeyond; more > 0 {
		out = append(out, assign.Problem{Text: fmt.Sprintf("agents allow no checks of %d more addresses by themselves; the same is to be done for them", more)})
	}
	return out
}

// asks tells whether an agent has to be allowed a prefix by its own settings.
func (s *Service) asks(p netip.Prefix) bool {
	if s.o.Loopback && p.Addr().IsLoopback() {
		return false
	}
	return !slices.ContainsFunc(work.DefaultAllowed(), func(a netip.Prefix) bool { return a.Bits() <= p.Bits() && a.Contains(p.Addr()) })
}
