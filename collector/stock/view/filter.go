package view

import (
	"cmp"
	"slices"
	"strings"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

// Text is what a row is searched by, folded.
func (r *Row) Text() string {
	return inventory.Fold(strings.Join([]string{r.ID, r.Site, r.SiteName, r.District, r.Name, r.Class, r.Vendor, r.Model, r.Hardware,
		r.Version, r.OS, r.Serial, r.Address, r.MAC, r.Phase, r.Contract}, " \x00 "))
}

// Fits reports whether a filter lets a row through. text is Row.Text, and words are Filter.Words.
func (f *Filter) Fits(r *Row, text string, words []string) bool {
	equal := func(want, have string) bool { return want == "" || want == have }
	switch {
	case !equal(f.Site, r.Site), !equal(f.District, r.District), !equal(f.Class, r.Class), !equal(f.Vendor, r.Vendor), !equal(f.Model, r.Model):
		return false
	case f.Phase == NoPhase && r.Phase != "", f.Phase != NoPhase && !equal(f.Phase, r.Phase):
		return false
	case !equal(string(f.Standing), string(r.Standing)), !equal(string(f.State), string(r.State)), !equal(string(f.Action), string(r.Action)),
		!equal(string(f.Legal), string(r.Legal)), !equal(string(f.Band), string(r.Band)):
		return false
	case f.OnlyGone && !r.Gone, f.WithoutGone && r.Gone, f.Unmatched && r.Unit != "":
		return false
	}
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// Words are the words of Search, folded.
func (f *Filter) Words() []string { return strings.Fields(inventory.Fold(f.Search)) }

// ByUrgency orders rows: the most urgent first.
func ByUrgency(a, b *Row) int {
	worst := []lifecycle.State{lifecycle.StateOutdated, lifecycle.StateReview, lifecycle.StateDueSoon, lifecycle.StateUnknown, lifecycle.StateOK}
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(slices.Index(worst, a.State), slices.Index(worst, b.State)),
		strings.Compare(a.Site, b.Site), cmp.Compare(len(a.ID), len(b.ID)), strings.Compare(a.ID, b.ID))
}
