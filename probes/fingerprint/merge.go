package fingerprint

import (
	"cmp"
	"slices"
	"strings"

	"communewatch/probes"
)

// Merge puts together what several ways of asking said of one device. All of it is kept: the facts come in the order of
// probes.FactNames, and of one name the best first, those of snmp before others that are as sure. The protocols are the
// exception: what one way saw and what another saw are one list.
//
// A device has one maker. What a source says of model, version and the like is put behind all others if the same source
// names a maker who is not the best one: the model of one maker's device and the name of another's would be no device at all.
func Merge(snmp []probes.Fact, others ...[]probes.Fact) []probes.Fact {
	var all []probes.Fact
	for _, facts := range append([][]probes.Fact{snmp}, others...) {
		all = append(all, facts...)
	}
	all = protocols(all)
	order := map[probes.FactName]int{}
	for i, name := range probes.FactNames() {
		order[name] = i
	}
	sure := func(f probes.Fact) float64 { return f.Confidence }
	rank := func(a, b probes.Fact) int {
		return cmp.Or(cmp.Compare(order[a.Name], order[b.Name]), cmp.Compare(sure(b), sure(a)))
	}
	slices.SortStableFunc(all, rank)
	if maker := best(all, probes.FactVendor); maker != "" {
		against := map[string]bool{}
		for _, f := range all {
			if f.Name == probes.FactVendor && !strings.EqualFold(f.Value, maker) {
				against[f.Source] = true
			}
		}
		for _, f := range all { // a source that names both is for it
			if f.Name == probes.FactVendor && strings.EqualFold(f.Value, maker) {
				delete(against, f.Source)
			}
		}
		sure = func(f probes.Fact) float64 {
			if f.Name != probes.FactVendor && against[f.Source] && describes(f.Name) {
				return f.Confidence - 1
			}
			return f.Confidence
		}
		slices.SortStableFunc(all, rank)
	}
	var out []probes.Fact
	for _, f := range all {
		if !slices.ContainsFunc(out, func(o probes.Fact) bool { return o.Name == f.Name && o.Value == f.Value && o.Source == f.Source }) {
			out = append(out, f)
		}
	}
	return out
}

// Best returns the first fact of each name of a list that Merge made: what goes into the rows of a device. The model of
// a source that contradicts the maker is left out where it is all there is.
func Best(merged []probes.Fact) []probes.Fact {
	maker := best(merged, probes.FactVendor)
	against := map[string]bool{}
	for _, f := range merged {
		if f.Name == probes.FactVendor {
			against[f.Source] = !strings.EqualFold(f.Value, maker)
		}
	}
	var out []probes.Fact
	for _, f := range merged {
		if describes(f.Name) && against[f.Source] || slices.ContainsFunc(out, func(o probes.Fact) bool { return o.Name == f.Name }) {
			continue
		}
		// Who else says so belongs to the evidence.
		for _, other := range merged {
			if other.Name == f.Name && strings.EqualFold(other.Value, f.Value) && other.Source != f.Source {
				f.Source = cut(f.Source + "; " + other.Source)
			}
		}
		out = append(out, f)
	}
	return out
}

// describes reports whether a fact makes sense only together with the right maker.
func describes(name probes.FactName) bool {
	switch name {
	case probes.FactModel, probes.FactVersion, probes.FactHardware, probes.FactClass, probes.FactSerial, probes.FactOS:
		return true
	}
	return false
}

func best(sorted []probes.Fact, name probes.FactName) string {
	for _, f := range sorted {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// protocols makes one fact of several.
func protocols(facts []probes.Fact) []probes.Fact {
	var out []probes.Fact
	var tokens, sources []string
	confidence := 0.0
	for _, f := range facts {
		if f.Name != probes.FactProtocols {
			out = append(out, f)
			continue
		}
		tokens = append(tokens, strings.Fields(f.Value)...)
		if !slices.Contains(sources, f.Source) {
			sources = append(sources, f.Source)
		}
		confidence = max(confidence, f.Confidence)
	}
	if len(tokens) == 0 {
		return out
	}
	slices.Sort(tokens)
	tokens = slices.Compact(tokens)
	return append(out, probes.Fact{Name: probes.FactProtocols, Value: cut(strings.Join(tokens, " ")), Source: cut(strings.Join(sources, "; ")), Confidence: confidence})
}
