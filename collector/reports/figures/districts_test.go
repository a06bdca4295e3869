package figures_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"communewatch/collector/people"
	"communewatch/collector/reports"
)

// A report is of the districts that its reader sees, sums included, and tells prices to those who may know them.
func TestWhatAReaderSees(t *testing.T) {
	h := newHouse(t)
	from, to := time.Date(2026, 1, 30, 0, 0, 0, 0, zone), time.Date(2026, 2, 3, 0, 0, 0, 0, zone)
	h.random(rand.New(rand.NewPCG(7, 8)), from, to)
	h.said = nil
	for _, s := range h.sites {
		a := reports.Agreement{Site: s.ID, Layer: "broadband"}
		a.Contract.Provider, a.Contract.Monthly = "VNPT", 352_000
		h.said = append(h.said, a)
	}
	h.sites[1].Parent = "Vĩnh Yên"
	mine := h.sites[0].Parent
	q := reports.Query{Period: days(from, to), Hours: reports.All}
	report := func(c people.Caller, q reports.Query) *reports.Report {
		t.Helper()
		r, err := h.reporter().Report(people.With(t.Context(), c), q)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	priced := func(r *reports.Report) (n int) {
		for _, l := range r.Lines {
			if l.Contract != nil && l.Contract.Monthly != 0 {
				n++
			}
		}
		return n
	}
	whole := h.report(q)
	viewer := report(people.Caller{Role: people.RoleViewer}, q)
	if priced(whole) == 0 || priced(viewer) != 0 || len(viewer.Lines) != len(whole.Lines) {
		t.Errorf("%d prices for the program, %d for a viewer", priced(whole), priced(viewer))
	}
	if n := priced(report(people.Caller{Role: people.RoleProcurement}, q)); n != priced(whole) {
		t.Errorf("%d prices for procurement", n)
	}
	narrow := people.Caller{Role: people.RoleViewer, Districts: []string{mine}}
	part := report(narrow, q)
	if len(part.Lines) == 0 || len(part.Lines) >= len(whole.Lines) {
		t.Fatalf("%d of %d lines", len(part.Lines), len(whole.Lines))
	}
	for _, l := range part.Lines {
		if l.District != mine {
			t.Errorf("a line of %q", l.District)
		}
	}
	for _, g := range part.Districts { // one for each layer
		if g.Name != mine {
			t.Errorf("figures of %q", g.Name)
		}
	}
	for _, s := range h.sites {
		of := q
		of.Site = s.ID
		if r := report(narrow, of); (len(r.Unknown) == 0) != (s.Parent == mine) || s.Parent != mine && len(r.Lines) != 0 {
			t.Errorf("site %s: %d lines, unknown %v", s.ID, len(r.Lines), r.Unknown)
		}
	}
}
