package catalogue

import (
	_ "embed"
	"encoding/csv"
	"strings"

	"communewatch/inventory"

	"communewatch/inventory/lifecycle/version"
)

//go:embed vendors.csv
var vendorsCSV string

// names knows which names mean one vendor.
type names struct {
	group    map[string]string   // folded name -> folded name of the group
	prefixes map[string][]string // group -> normal forms of its names, with a hyphen behind
}

// records reads one of the program's own tables, without its headings.
func records(text string) [][]string {
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(all) == 0 {
		return nil // a test loads each of them
	}
	return all[1:]
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

func loadNames() *names {
	n := &names{group: map[string]string{}, prefixes: map[string][]string{}}
	for _, r := range records(vendorsCSV) {
		group := foldVendor(r[0])
		for _, name := range append([]string{r[0]}, split(r[1])...) {
			n.group[foldVendor(name)], n.group[name] = group, group // as it is mostly written, too
			n.prefixes[group] = append(n.prefixes[group], normal(name)+"-")
		}
	}
	return n
}

// of returns the group of a vendor's name; a name that is in no table is a group of its own.
func (n *names) of(vendor string) string {
	if g, ok := n.group[vendor]; ok {
		return g
	}
	f := foldVendor(vendor)
	if g, ok := n.group[f]; ok {
		return g
	}
	return f
}

// bare returns a model's normal form without the vendor's name in front: people and devices write both.
func (n *names) bare(group, model string) string {
	m := normal(model)
	best := ""
	for _, p := range n.prefixes[group] {
		if strings.HasPrefix(m, p) && len(p) > len(best) {
			best = p
		}
	}
	if best == "" && strings.HasPrefix(m, group+"-") {
		best = group + "-"
	}
	return m[len(best):]
}

// foldVendor reduces a vendor's name to what is compared: no accents, no case, no legal form.
func foldVendor(s string) string {
	words := strings.FieldsFunc(inventory.Fold(s), func(r rune) bool { return strings.ContainsRune(" ,.()", r) })
	for len(words) > 1 {
		switch words[len(words)-1] {
		case "inc", "ltd", "co", "corp", "corporation", "llc", "gmbh", "ag", "limited", "company", "sia", "ab", "as":
			words = words[:len(words)-1]
			continue
		}
		break
	}
	return strings.Join(words, " ")
}

// normal is the form in which models and patterns are compared: lower case, with one hyphen for every run of spaces,
// underscores and hyphens. Hyphens stay, since they carry meaning: WS-C2960-24TT-L is no WS-C2960X-24TS-L.
func normal(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	gap := false
	for _, r := range inventory.Fold(s) {
		if r == ' ' || r == '_' || r == '-' {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(r)
	}
	if gap && strings.HasSuffix(strings.TrimSpace(s), "-") {
		b.WriteByte('-')
	}
	return b.String()
}

// revision returns a hardware revision as models write it, "V8" for "V8.0", "v8", "8" and "ver 8"; "" where it is none.
func revision(hardware string) string {
	h := strings.TrimSpace(inventory.Fold(hardware))
	for _, p := range []string{"hardware", "version", "revision", "ver.", "ver", "rev.", "rev"} {
		h = strings.TrimSpace(strings.TrimPrefix(h, p))
	}
	h = strings.TrimPrefix(h, "v")
	h, _, _ = strings.Cut(h, " ")
	v, ok := version.Parse(h)
	if !ok || v.Rest != "" {
		if h != "" && len(h) <= 4 { // "b1"
			return h
		}
		return ""
	}
	for len(v.Numbers) > 1 && v.Numbers[len(v.Numbers)-1] == 0 {
		v.Numbers = v.Numbers[:len(v.Numbers)-1]
	}
	s := "v"
	for i, n := range v.Numbers {
		if i > 0 {
			s += "."
		}
		s += itoa(n)
	}
	return s
}
