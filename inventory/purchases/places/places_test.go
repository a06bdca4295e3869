package places

import (
	"strings"
	"testing"

	"communewatch/inventory"
)

func TestFind(t *testing.T) {
	later, err := inventory.ParseDate("2025-07-01")
	if err != nil {
		t.Fatal(err)
	}
	before, err := inventory.ParseDate("2021-03-12")
	if err != nil {
		t.Fatal(err)
	}
	p := New([]inventory.Site{
		{ID: "s08707", Name: "Tích Sơn", Type: "phường", Code: "08707", Parent: "Vĩnh Yên"},
		{ID: "s08707", Name: "Vĩnh Yên", Type: "phường", Code: "08707", ValidFrom: later},
		{ID: "s08746", Name: "Xuân Hoà", Type: "phường", Code: "08746", Parent: "Phúc Yên"},
		{ID: "s08794", Name: "Xuân Hòa", Type: "xã", Code: "08794", Parent: "Lập Thạch"},
		{ID: "s1", Name: "Tam Đảo", Type: "thị trấn", Code: "08911"},
		{ID: "s2", Name: "Hợp Châu", Type: "thị trấn", Code: "08923"},
		{ID: "s2", Name: "Tam Đảo", Type: "xã", Code: "08911", ValidFrom: later}, // took over name and code
		{ID: "s1", Name: "Tam Đảo Cũ", Type: "thị trấn", ValidFrom: later},
	})
	for _, c := range []struct {
		text, parent string
		on           inventory.Date
		want         string
	}{
		{"s08746", "", inventory.Date{}, "s08746"}, {"08746", "", inventory.Date{}, "s08746"}, {"8746", "", inventory.Date{}, "s08746"},
		{"Tích Sơn", "", inventory.Date{}, "s08707"}, {"UBND phường Tích Sơn", "", inventory.Date{}, "s08707"}, {"P. TICH SON", "", inventory.Date{}, "s08707"}, {"Vĩnh Yên", "", inventory.Date{}, "s08707"},
		{"Xuân Hoà", "", inventory.Date{}, "?"}, {"xuan hoa", "", inventory.Date{}, "?"}, {"Phường Xuân Hòa", "", inventory.Date{}, "s08746"}, {"Xã Xuân Hoà", "", inventory.Date{}, "s08794"},
		{"Xuân Hoà", "H. Lập Thạch", inventory.Date{}, "s08794"}, {"Xuân Hoà (Phúc Yên)", "", inventory.Date{}, "s08746"}, {"Xuân Hoà - Lập Thạch", "", inventory.Date{}, "s08794"},
		{"Tam Đảo", "", before, "s1"}, {"Tam Đảo", "", later, "s2"}, {"08911", "", before, "s1"}, {"08911", "", later, "s2"}, {"Tam Đảo", "", inventory.Date{}, "?"},
		{"Xã", "", inventory.Date{}, "-"}, {"Không Có", "", inventory.Date{}, "-"}, {"", "", inventory.Date{}, "-"}, {"9999", "", inventory.Date{}, "-"},
	} {
		got, err := p.Find(c.text, c.parent, c.on)
		if err != nil {
			got = "-"
			if strings.Contains(err.Error(), " may be ") {
				got = "?"
			}
		}
		if got != c.want {
			t.Errorf("%q in %q on %s: %s (%v), want %s", c.text, c.parent, c.on, got, err, c.want)
		}
	}
}
