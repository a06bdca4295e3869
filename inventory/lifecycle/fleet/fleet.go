package fleet

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

// Totals are the three numbers, which are never added up to two: unknown is neither outdated nor fine.
type Totals struct {
	Outdated, Fine, Unknown int
	Review                  int // of the unknown ones: a source says "perhaps", or sources disagree
	LegallyReplaceable      int // of the outdated ones: replacement may be proposed
}

// All returns how many items were counted.
func (t Totals) All() int { return t.Outdated + t.Fine + t.Unknown }

// Count counts verdicts.
func Count(verdicts []lifecycle.Verdict) Totals {
	var t Totals
	for i := range verdicts {
		t.Add(&verdicts[i])
	}
	return t
}

// Add counts one more.
func (t *Totals) Add(v *lifecycle.Verdict) {
	switch v.Bucket {
	case lifecycle.BucketOutdated:
		t.Outdated++
	case lifecycle.BucketFine:
		t.Fine++
	default:
		t.Unknown++
	}
	if v.State == lifecycle.StateReview {
		t.Review++
	}
	if v.Replace == lifecycle.ReplaceProposed {
		t.LegallyReplaceable++
	}
}

// CountBy counts verdicts by a key, as the site or the class.
func CountBy(verdicts []lifecycle.Verdict, key func(*lifecycle.Verdict) string) map[string]Totals {
	all := map[string]Totals{}
	for i := range verdicts {
		v := &verdicts[i]
		t := all[key(v)]
		t.Add(v)
		all[key(v)] = t
	}
	return all
}

// Ending is an item whose support is over on a day.
type Ending struct {
	Index int            // in the verdicts
	Rule  string         // R01 (hardware), R05 (operating system) or R06 (firmware)
	On    inventory.Date // the day on which it ends, or ended
}

// Unsupported lists what has no support on a day, by the day on which it ends. It looks at days that sources state; what
// has none is not in the list, and unknown with it: Unjudged counts those.
func Unsupported(verdicts []lifecycle.Verdict, on inventory.Date) (list []Ending, unjudged int) {
	for i := range verdicts {
		known := false
		var first Ending
		for _, f := range verdicts[i].Findings {
			if f.Rule != "R01" && f.Rule != "R05" && f.Rule != "R06" || f.Due.IsZero() || f.State == lifecycle.StateUnknown || f.State == lifecycle.StateReview {
				continue
			}
			known = true
			if !f.Due.After(on.Time) && (first.Rule == "" || f.Due.Before(first.On.Time)) {
				first = Ending{i, f.Rule, f.Due}
			}
		}
		switch {
		case first.Rule != "":
			list = append(list, first)
		case !known:
			unjudged++
		}
	}
	slices.SortStableFunc(list, func(a, b Ending) int { return a.On.Compare(b.On.Time) })
	return list, unjudged
}

// Variety says how uniform a group of items is.
type Variety struct {
	Items    int
	Models   int // distinct vendor and model
	Versions int // distinct vendor, model and version; models that run one version each have as many as Models
	Unnamed  int // items whose model is not known, counted in neither
}

// PerModel returns how many items share a model on average; 0 where no model is known.
func (v Variety) PerModel() float64 {
	if v.Models == 0 {
		return 0
	}
	return float64(v.Items-v.Unnamed) / float64(v.Models)
}

// VarietyOf counts distinct models and versions. Case and spaces make no difference; another version text does.
func VarietyOf(items []lifecycle.Item) Variety {
	models, versions := map[string]bool{}, map[string]bool{}
	v := Variety{Items: len(items)}
	for i := range items {
		it := &items[i]
		if !it.Model.Known() {
			v.Unnamed++
			continue
		}
		model := fold(it.Vendor.Text) + "\x00" + fold(it.Model.Text)
		models[model] = true
		versions[model+"\x00"+fold(it.Version.Text)] = true
	}
	v.Models, v.Versions = len(models), len(versions)
	return v
}

func fold(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// Share is how often something is there.
type Share struct {
	Name  string
	Count int
}

// MostUsed lists the texts of a value by how often they occur, the most frequent first; unknown ones are left out.
func MostUsed(items []lifecycle.Item, value func(*lifecycle.Item) string) []Share {
	counts := map[string]int{}
	for i := range items {
		if s := value(&items[i]); s != "" {
			counts[s]++
		}
	}
	var all []Share
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, Share{name, counts[name]})
	}
	slices.SortStableFunc(all, func(a, b Share) int { return cmp.Compare(b.Count, a.Count) })
	return all
}

// Question is one missing fact, and how many items it would help.
type Question struct {
	Missing string // as in Finding.Missing
	Vendor  string
	Model   string
	Items   []int // indexes of the items
}

// Questions lists what nobody knows yet, by model, so that one letter can answer for many items: the fact that helps
// most items first. Facts of rules that found something anyhow are asked for too.
func Questions(items []lifecycle.Item, verdicts []lifecycle.Verdict) []Question {
	found := map[[3]string]*Question{}
	for i := range verdicts {
		seen := map[string]bool{}
		for _, f := range verdicts[i].Findings {
			if f.State != lifecycle.StateUnknown {
				continue
			}
			for _, m := range f.Missing {
				if seen[m] {
					continue
				}
				seen[m] = true
				key := [3]string{m, fold(items[i].Vendor.Text), fold(items[i].Model.Text)}
				q := found[key]
				if q == nil {
					q = &Question{Missing: m, Vendor: items[i].Vendor.Text, Model: items[i].Model.Text}
					found[key] = q
				}
				q.Items = append(q.Items, i)
			}
		}
	}
	all := make([]Question, 0, len(found))
	for _, q := range found {
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b Question) int {
		return cmp.Or(cmp.Compare(len(b.Items), len(a.Items)), strings.Compare(a.Missing, b.Missing),
			strings.Compare(fold(a.Vendor), fold(b.Vendor)), strings.Compare(fold(a.Model), fold(b.Model)))
	})
	return all
}
