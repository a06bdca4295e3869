package paper_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/paper"
	"communewatch/inventory/purchases"
)

func piece(id, phase, item string) purchases.Purchase {
	return purchases.Purchase{ID: id, Phase: phase, Item: item, Serial: "SN" + id}
}

// A phase is kept in one file per district: a file with one row takes nothing away from the others.
func TestPartOfAPhase(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "registry.db")).Paper()
	ctx := t.Context()
	full := make([]purchases.Purchase, 13)
	for i := range full {
		full[i] = piece(fmt.Sprintf("a%02d", i), "Đợt 1", "Switch")
		full[i].Price, full[i].Site = 15_000_000, "s1"
	}
	if _, err := s.ImportPurchases(ctx, full[:12], "song-lo.csv", "Lan", false); err != nil {
		t.Fatal(err)
	}
	got, err := s.ImportPurchases(ctx, full[12:], "tam-dao.csv", "Lan", false)
	if err != nil || got.Added != 1 || got.Removed != 0 || got.Kept["Đợt 1"] != 12 {
		t.Fatal(err, got)
	}
	if p := read(t, s); len(p.Units) != 13 || p.Phases[0].File != "tam-dao.csv" {
		t.Fatalf("%d pieces, %+v", len(p.Units), p.Phases)
	}
	// What a file leaves empty of a known piece stays; what it says is taken.
	short := full[0]
	short.Price, short.Site, short.Row = 0, "s2", 40
	if got, err = s.ImportPurchases(ctx, []purchases.Purchase{short}, "sửa.csv", "Lan", false); err != nil || got.Changed != 1 {
		t.Fatal(err, got)
	}
	if u := read(t, s).Units[0]; u.Price != 15_000_000 || u.Site != "s2" {
		t.Errorf("%+v", u)
	}
	moved := full[1]
	moved.Row, moved.Sheet = 99, "Sông Lô" // where it stands in a list is no change of it
	if got, err = s.ImportPurchases(ctx, []purchases.Purchase{moved}, "sửa.csv", "Lan", false); err != nil || got.Unchanged != 1 || got.Changed != 0 {
		t.Error(err, got)
	}
	// With the whole phase in one list, it is shown first what goes, and kept whole when it does.
	dry, err := s.ReplacePurchases(ctx, full[:3], "cả đợt.csv", "Lan", true)
	if err != nil || len(dry.RemovedUnits) != 10 || dry.ID != 0 || len(read(t, s).Units) != 13 {
		t.Fatal(err, dry)
	}
	if got, err = s.ReplacePurchases(ctx, full[:3], "cả đợt.csv", "Lan", false); err != nil || got.Removed != 10 || len(read(t, s).Units) != 3 {
		t.Fatal(err, got)
	}
}

// Two files with pieces that nothing tells apart: the reader is told, since they may be more pieces.
func TestAlikeWithoutSerial(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "registry.db")).Paper()
	u := piece("x1", "Đợt 1", "Máy tính")
	u.Serial = ""
	if _, err := s.ImportPurchases(t.Context(), []purchases.Purchase{u}, "a.csv", "Lan", false); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ImportPurchases(t.Context(), []purchases.Purchase{u}, "a.csv", "Lan", false); err != nil || len(got.Alike) != 0 {
		t.Error("the same file again:", err, got)
	}
	if got, err := s.ImportPurchases(t.Context(), []purchases.Purchase{u}, "b.csv", "Lan", false); err != nil || got.Alike["a.csv"] != 1 {
		t.Error(err, got)
	}
}

func TestRemovedPiecesAreKeptInTheAudit(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	s := r.Paper()
	u := piece("a1", "Đợt 1", "Bộ chuyển mạch 24 cổng")
	u.Price = 15_000_000
	if _, err := s.ImportPurchases(t.Context(), []purchases.Purchase{u}, "a.csv", "Lan", false); err != nil {
		t.Fatal(err)
	}
	if got, err := s.RemovePhase(t.Context(), "Đợt 1", "Minh", true); err != nil || got.Removed != 1 || len(read(t, s).Units) != 1 {
		t.Fatal(err, got)
	}
	if got, err := s.RemovePhase(t.Context(), "Đợt 1", "Minh", false); err != nil || got.RemovedUnits[0].ID != "a1" {
		t.Fatal(err, got)
	}
	if p := read(t, s); len(p.Units) != 0 || len(p.Phases) != 0 {
		t.Errorf("%+v", p)
	}
	if _, err := s.RemovePhase(t.Context(), "Đợt 1", "Minh", false); !errors.Is(err, devices.ErrUnknown) {
		t.Error(err)
	}
	all, err := r.Devices().Audits(t.Context(), "a1", 0)
	if err != nil || len(all) != 1 || all[0].By != "Minh" || !strings.Contains(all[0].Before, "Bộ chuyển mạch 24 cổng") || !strings.Contains(all[0].Before, "15000000") {
		t.Errorf("%v %+v", err, all)
	}
	if _, err := s.Undo(t.Context(), 0, "Lan", false); err != nil {
		t.Fatal(err)
	}
	if p := read(t, s); len(p.Units) != 1 || p.Units[0] != u || p.Phases[0].File != "a.csv" || p.Phases[0].By != "Lan" {
		t.Errorf("%+v", p)
	}
}

func TestUndoInOrder(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "registry.db")).Paper()
	ctx := t.Context()
	if _, err := s.Undo(ctx, 0, "Lan", false); !errors.Is(err, devices.ErrUnknown) {
		t.Error("nothing to undo:", err)
	}
	a, b := piece("a1", "Đợt 1", "Switch"), piece("b1", "Đợt 1", "Máy in")
	changed := a
	changed.Price = 1_000_000
	for i, list := range [][]purchases.Purchase{{a}, {b}, {changed}} {
		if got, err := s.ImportPurchases(ctx, list, fmt.Sprintf("%d.csv", i+1), "Lan", false); err != nil || got.ID != int64(i+1) {
			t.Fatal(err, got)
		}
	}
	if _, err := s.Undo(ctx, 1, "Lan", false); err == nil || !strings.Contains(err.Error(), "undo 3 first") {
		t.Error(err)
	}
	if dry, err := s.Undo(ctx, 2, "Lan", true); err != nil || dry.Removed != 1 || len(read(t, s).Units) != 2 {
		t.Error(err, dry)
	}
	if got, err := s.Undo(ctx, 2, "Lan", false); err != nil || got.Removed != 1 {
		t.Error(err, got)
	}
	if _, err := s.Undo(ctx, 2, "Lan", false); err == nil || !strings.Contains(err.Error(), "undone") {
		t.Error(err)
	}
	if p := read(t, s); len(p.Units) != 1 || p.Units[0].Price != 1_000_000 || p.Phases[0].File != "3.csv" {
		t.Errorf("another import's phase was touched: %+v", p)
	}
	for range 2 {
		if _, err := s.Undo(ctx, 0, "Lan", false); err != nil {
			t.Fatal(err)
		}
	}
	if p := read(t, s); len(p.Units)+len(p.Phases) != 0 {
		t.Errorf("%+v", p)
	}
	if list, err := s.Imports(ctx); err != nil || len(list) != 3 || list[0].Undone.IsZero() || list[2].Pieces != 1 {
		t.Errorf("%v %+v", err, list)
	}
}

// Whatever is imported, replaced and removed: undone from the newest on, everything was as it is.
func TestUndoAll(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "registry.db")).Paper()
	ctx := t.Context()
	rnd := rand.New(rand.NewPCG(1, 2))
	var states []paper.Paper
	for step := range 30 {
		states = append(states, read(t, s))
		var list []purchases.Purchase
		for _, i := range rnd.Perm(8)[:1+rnd.IntN(7)] {
			u := piece(fmt.Sprintf("p%d", i), fmt.Sprintf("Đợt %d", i%2), "x")
			u.Price = int64(rnd.IntN(3))
			list = append(list, u)
		}
		write := s.ImportPurchases
		if step%3 == 1 {
			write = s.ReplacePurchases
		}
		_, err := write(ctx, list, fmt.Sprintf("%d.csv", step), "Lan", false)
		if step%7 == 6 {
			_, err = s.RemovePhase(ctx, list[0].Phase, "Lan", false)
			states = append(states, paper.Paper{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := len(states) - 1; i >= 0; i-- {
		if _, err := s.Undo(ctx, 0, "Lan", false); err != nil {
			t.Fatal(err)
		}
		if states[i].Others == 0 && i > 0 {
			continue // before a removal, which stands between two states
		}
		got := read(t, s)
		got.Others = states[i].Others
		if diff := cmp.Diff(states[i], got); diff != "" {
			t.Fatalf("state %d: %s", i, diff)
		}
	}
}

// A piece is the same one when its maker becomes known.
func TestAgain(t *testing.T) {
	old := purchases.Purchase{ID: "old", Phase: "Đợt 1", Serial: "FOC1010X104"}
	with := old
	with.ID, with.Vendor = "new", "Cisco"
	rest := purchases.Purchase{ID: "rest", Phase: "Đợt 1", Serial: "FOC1010X105"}
	other := purchases.Purchase{ID: "other", Phase: "Đợt 2", Serial: "FOC1010X106"}
	known := []purchases.Purchase{old, rest, other}
	others, same := paper.Again([]purchases.Purchase{with}, known, false)
	if !cmp.Equal(same, map[string]string{"new": "old"}) || !cmp.Equal(others, []purchases.Purchase{rest, other}) {
		t.Error(others, same)
	}
	if others, _ = paper.Again([]purchases.Purchase{with}, known, true); !cmp.Equal(others, []purchases.Purchase{other}) {
		t.Error("the list stands for its phase:", others)
	}
	juniper := with
	juniper.Vendor = "Juniper"
	cisco := old
	cisco.Vendor = "Cisco"
	if others, same = paper.Again([]purchases.Purchase{juniper}, []purchases.Purchase{cisco}, false); len(same) != 0 || len(others) != 1 {
		t.Error("two makers may use one serial:", others, same)
	}
}
