package paper_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/paper"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/purchases"
	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func open(t *testing.T, file string) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), file, registry.Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func read(t *testing.T, s *paper.Store) paper.Paper {
	t.Helper()
	p, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func day(t *testing.T, s string) inventory.Date {
	t.Helper()
	d, err := inventory.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestImportAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, file)
	s := r.Paper()
	ctx := t.Context()
	list := []purchases.Purchase{
		{ID: "a1", Phase: "Đợt 1", Item: "Switch", Site: "s1", Received: day(t, "2021-05-01"), Price: 15_000_000, Row: 2},
		{ID: "a2", Phase: "Đợt 1", Item: "Máy in", Site: "s1", Row: 3},
		{ID: "b1", Phase: "Đợt 2", Item: "Máy in", Site: "s1", Row: 4},
	}
	before := read(t, s)
	if dry, err := s.ImportPurchases(ctx, list, "l.csv", "Lan", true); err != nil || dry.Added != 3 || len(dry.Phases) != 2 {
		t.Fatal(err, dry)
	}
	if diff := cmp.Diff(before, read(t, s)); diff != "" {
		t.Fatal("a dry run wrote:", diff)
	}
	if got, err := s.ImportPurchases(ctx, list, "l.csv", "Lan", false); err != nil || got.Added != 3 {
		t.Fatal(err, got)
	}
	if got, err := s.ImportPurchases(ctx, list, "l.csv", "Lan", false); err != nil || got.Unchanged != 3 || got.Added+got.Changed+got.Removed != 0 {
		t.Fatal(err, got)
	}
	// One phase again, shorter and changed; the other is left alone.
	list[0].Price = 16_000_000
	if got, err := s.ReplacePurchases(ctx, list[:1], "l2.csv", "Minh", false); err != nil || got.Changed != 1 || got.Removed != 1 || got.RemovedUnits[0].ID != "a2" {
		t.Fatal(err, got)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	p := read(t, open(t, file).Paper())
	if len(p.Units) != 2 || p.Units[0].Price != 16_000_000 || p.Units[0].Received != list[0].Received || p.Phases[0].By != "Minh" || p.Phases[1].By != "Lan" || p.Others <= before.Others {
		t.Errorf("%+v", p)
	}
}

// Nothing half-imported: what fails leaves all as it was.
func TestImportIsAllOrNothing(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	s := r.Paper()
	ctx := t.Context()
	if _, err := s.ImportPurchases(ctx, []purchases.Purchase{{ID: "a1", Phase: "Đợt 1", Item: "x"}}, "l.csv", "Lan", false); err != nil {
		t.Fatal(err)
	}
	before := read(t, s)
	for name, list := range map[string][]purchases.Purchase{
		"a piece of another phase": {{ID: "n1", Phase: "Đợt 2", Item: "x"}, {ID: "a1", Phase: "Đợt 2", Item: "x", Row: 7}},
		"no id":                    {{ID: "n1", Phase: "Đợt 2", Item: "x"}, {Phase: "Đợt 2"}},
		"no phase":                 {{ID: "n1", Phase: "Đợt 2", Item: "x"}, {ID: "n2"}},
	} {
		if got, err := s.ImportPurchases(ctx, list, "l.csv", "Lan", false); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, err := s.ImportPurchases(ctx, []purchases.Purchase{{ID: "n1", Phase: "Đợt 2"}}, "l.csv", "", false); err == nil {
		t.Error("nobody imported it")
	}
	if diff := cmp.Diff(before, read(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestLinks(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	s := r.Paper()
	ctx := t.Context()
	if _, err := s.ImportPurchases(ctx, []purchases.Purchase{{ID: "a1", Phase: "Đợt 1"}, {ID: "a2", Phase: "Đợt 1"}}, "l.csv", "Lan", false); err != nil {
		t.Fatal(err)
	}
	var seen []devices.Sighting
	for _, key := range []string{"x", "y"} {
		seen = append(seen, devices.Sighting{Site: "s1", Agent: "pc", Target: "lan", Path: "lan", Key: key, At: now, Facts: []probes.Fact{{Name: "serial", Value: "FOC1010X10" + key, Confidence: 1}}})
	}
	if err := r.Devices().See(ctx, seen); err != nil {
		t.Fatal(err)
	}
	link := paper.Link{Unit: "a1", Device: 1, Source: "biên bản", By: "Lan"}
	for name, bad := range map[string]paper.Link{
		"no such piece": {Unit: "zz", Device: 1, Source: "x", By: "Lan"}, "no such device": {Unit: "a1", Device: 9, Source: "x", By: "Lan"},
		"no source": {Unit: "a1", Device: 1, By: "Lan"}, "nobody": {Unit: "a1", Device: 1, Source: "x"},
	} {
		if err := s.SetLink(ctx, bad); err == nil {
			t.Error(name)
		}
	}
	if err := s.SetLink(ctx, link); err != nil {
		t.Fatal(err)
	}
	if err := s.SetLink(ctx, paper.Link{Unit: "a2", Device: 1, Source: "x", By: "Lan"}); err == nil || !strings.Contains(err.Error(), "unlink --purchase a1") {
		t.Error("one device is two pieces:", err)
	}
	link.Device = 2
	if err := errors.Join(s.SetLink(ctx, link), s.SetLink(ctx, paper.Link{Unit: "a1", Device: 1, Not: true, Source: "x", By: "Lan"})); err != nil {
		t.Fatal(err)
	}
	p := read(t, s)
	if len(p.Links) != 2 || !p.Links[0].Not || p.Links[1].Device != 2 || p.Links[1].Not {
		t.Errorf("%+v", p.Links)
	}
	if err := s.RemoveLinks(ctx, "a1", "Lan"); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveLinks(ctx, "a1", "Lan"); !errors.Is(err, devices.ErrUnknown) {
		t.Error(err)
	}
	audits, err := r.Devices().Audits(ctx, "a1", 0)
	if err != nil || len(audits) != 4 || audits[0].Action != "unlink purchase" || audits[2].After != "d2 (biên bản)" {
		t.Errorf("%v %+v", err, audits)
	}
}

func TestCatalogueRows(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	s := r.Paper()
	ctx := t.Context()
	row := lifecycle.Row{ID: "mine", Kind: "device", Vendor: "Polycom", Pattern: "HDX 7000", Match: lifecycle.MatchExact, Support: day(t, "2019-08-31"),
		Source: "công văn 12", Confidence: catalogue.ConfLocal, Notes: map[string]string{"document": "công văn 12"}, Line: 2}
	other := row
	other.Pattern = "HDX 8000"
	ids, err := s.AddCatalogueRows(ctx, []lifecycle.Row{row, other}, "Lan")
	if err != nil || !cmp.Equal(ids, []string{"local-1", "local-2"}) {
		t.Fatal(err, ids)
	}
	if ids, err := s.AddCatalogueRows(ctx, []lifecycle.Row{row}, "Lan"); err != nil || len(ids) != 0 {
		t.Error("the same again:", err, ids)
	}
	got := read(t, s).Catalogue
	if len(got) != 2 || got[0].ID != "local-1" || got[0].By != "Lan" || got[0].Support != row.Support || got[0].Note("document") != "công văn 12" {
		t.Errorf("%+v", got)
	}
	if err := s.RetireCatalogueRow(ctx, "local-1", "Lan"); err != nil {
		t.Fatal(err)
	}
	if err := s.RetireCatalogueRow(ctx, "local-1", "Lan"); !errors.Is(err, devices.ErrUnknown) {
		t.Error(err)
	}
	if ids, err := s.AddCatalogueRows(ctx, []lifecycle.Row{row}, "Lan"); err != nil || !cmp.Equal(ids, []string{"local-3"}) {
		t.Error("ids are never used again:", err, ids)
	}
}
