package registry

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"communewatch/inventory"
)

func TestImportSites(t *testing.T) {
	r := openNew(t)
	ctx := t.Context()
	at := func(lat, lon float64) *inventory.LatLon { return &inventory.LatLon{Lat: lat, Lon: lon} }
	a := inventory.Site{ID: "s1", Name: "Xuân Hoà", Type: "phường", Code: "08746", Parent: "Phúc Yên", ParentCode: "244", Position: at(21.2871, 105.7209)}
	b := inventory.Site{ID: "s2", Name: "Xuân Hòa", Type: "xã", Code: "08794", Parent: "Lập Thạch", ParentCode: "246"}
	later := inventory.Site{ID: "s1", Name: "Phúc Yên", Type: "phường", Code: "08740", ValidFrom: date(t, "2025-07-01")}

	steps := []struct {
		name string
		list []inventory.Site
		want ImportResult
	}{
		{"new", []inventory.Site{b, a}, ImportResult{Added: []inventory.Site{b, a}}},
		{"again", []inventory.Site{a, b}, ImportResult{Unchanged: 2}},
		{"history", []inventory.Site{later}, ImportResult{Added: []inventory.Site{later}, Missing: []inventory.Site{b}}},
	}
	moved := b
	moved.Position = at(21.4376, 105.4703)
	steps = append(steps, struct {
		name string
		list []inventory.Site
		want ImportResult
	}{"changed", []inventory.Site{moved}, ImportResult{Changed: []SiteChange{{b, moved}}, Missing: []inventory.Site{later}}})
	for _, s := range steps {
		before, err := r.Sites(ctx, t0)
		if err != nil {
			t.Fatal(err)
		}
		dry, err := r.ImportSites(ctx, s.list, true)
		if diff := cmp.Diff(s.want, dry); err != nil || diff != "" {
			t.Errorf("%s, dry run: %v (-want +got):\n%s", s.name, err, diff)
		}
		if after, err := r.Sites(ctx, t0); err != nil || !cmp.Equal(before, after) {
			t.Errorf("%s: the dry run changed something (%v)", s.name, err)
		}
		got, err := r.ImportSites(ctx, s.list, false)
		if diff := cmp.Diff(s.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", s.name, err, diff)
		}
	}
	for day, want := range map[string][]inventory.Site{"2025-06-30": {a, moved}, "2025-07-01": {later, moved}} {
		got, err := r.Sites(ctx, date(t, day).Time)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("as of %s: %v (-want +got):\n%s", day, err, diff)
		}
	}
	// The day begins at the province's midnight, not at Greenwich's.
	hanoi := time.FixedZone("+07", 7*3600)
	if got, err := r.Sites(ctx, time.Date(2025, 7, 1, 0, 30, 0, 0, hanoi)); err != nil || got[0].Name != "Phúc Yên" {
		t.Error(got, err)
	}
	names, err := r.SiteNames(ctx, "s1")
	if diff := cmp.Diff([]inventory.Site{a, later}, names); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if names, err := r.SiteNames(ctx, "s9"); err != nil || len(names) != 0 {
		t.Error(names, err)
	}
}

func TestImportIsAllOrNothing(t *testing.T) {
	r := openNew(t)
	for name, list := range map[string][]inventory.Site{
		"bad id":  {{ID: "s1", Name: "A"}, {ID: "S 2", Name: "B"}},
		"no name": {{ID: "s1", Name: "A"}, {ID: "s2"}},
		"twice":   {{ID: "s1", Name: "A"}, {ID: "s1", Name: "B"}},
	} {
		if _, err := r.ImportSites(t.Context(), list, false); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got, err := r.Sites(t.Context(), t0); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// A fleet a hundred times the province's is imported at once.
func TestImportMany(t *testing.T) {
	r := openNew(t)
	var list []inventory.Site
	for i := range 13_600 {
		list = append(list, inventory.Site{ID: fmt.Sprintf("s%05d", i), Name: fmt.Sprint("Site ", i), Position: &inventory.LatLon{Lat: 21, Lon: 105}})
	}
	start := time.Now()
	res, err := r.ImportSites(t.Context(), list, false)
	if err != nil || len(res.Added) != len(list) {
		t.Fatal(len(res.Added), err)
	}
	got, err := r.Sites(t.Context(), t0)
	if err != nil || !slices.EqualFunc(got, list, func(a, b inventory.Site) bool { return a.ID == b.ID }) {
		t.Fatal(len(got), err)
	}
	t.Logf("%d sites imported and read in %s", len(list), time.Since(start))
}
