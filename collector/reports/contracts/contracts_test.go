package contracts

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/reports/profiles"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
	"communewatch/probes"
)

func options() Options {
	return Options{
		Sites: []inventory.Site{{ID: "s08824", Name: "Tam Sơn", Code: "08824", Type: "thị trấn", Parent: "Sông Lô"},
			{ID: "s08746", Name: "Xuân Hoà", Code: "08746"}, {ID: "s08794", Name: "Xuân Hòa", Code: "08794"}},
		Profiles: []profiles.Profile{{Name: "A", Layer: probes.LayerBroadband}},
	}
}

func describe(a []reports.Agreement) string {
	var out []string
	for _, x := range a {
		c := x.Contract
		out = append(out, fmt.Sprintf("%s %s %s|%s|%g/%g|%s|%d|%s..%s", x.Site, x.Layer, c.Provider, c.Number, c.DownMbps, c.UpMbps, c.Profile, c.Monthly, c.From, c.To))
	}
	return strings.Join(out, "\n")
}

func TestListsAsPeopleKeepThem(t *testing.T) {
	for name, c := range map[string]struct{ list, want string }{
		"Vietnamese, semicolons": {
			"DANH SÁCH ĐƯỜNG TRUYỀN NĂM 2026;;;;;;;;\nSTT;Đơn vị;Loại đường truyền;Nhà cung cấp;Số hợp đồng;Tốc độ (Mbps);Mức cam kết;Cước tháng (nghìn đồng);Từ ngày;Đến ngày\n" +
				"1;TT Tam Sơn;Internet cáp quang;VNPT;12/HĐ-2026;300/150;A;450;01/01/2026;31/12/2026\n2;08824;TSLCD;Viettel;;50 Mbps;-;2.500.000 đồng;2026-01-01;\n",
			"s08824 broadband VNPT|12/HĐ-2026|300/150|A|450000|2026-01-01..2026-12-31\ns08824 dedicated Viettel||50/50||2500000|2026-01-01..",
		},
		"English, commas": {
			"site,layer,provider,down mbps,up mbps,from\ns08746,broadband,FPT,\"1 Gbps\",0.5,\n",
			"s08746 broadband FPT||1000/0.5||0|..",
		},
		"thousands with a dot": {"ma don vi;duong truyen;nha mang;Cước tháng (nghìn đồng)\n8824;cap quang;VNPT;1.250\n", "s08824 broadband VNPT||0/0||1250000|.."},
		"without accents":      {"ma don vi;duong truyen;nha mang;toc do xuong (Mb/s)\n8824;cap quang;VNPT;100,5\n", "s08824 broadband VNPT||100.5/0||0|.."},
	} {
		t.Run(name, func(t *testing.T) {
			got := options().Read("l.csv", []byte(c.list))
			if len(got.Problems) > 0 {
				t.Fatal(got.Problems)
			}
			if text := describe(got.Agreements); text != c.want {
				t.Errorf("got\n%s\nwant\n%s", text, c.want)
			}
		})
	}
}

// A mistake in a price names the column as the list does: its unit is half of the mistake.
func TestAPricesMistakeNamesTheListsOwnHeading(t *testing.T) {
	got := options().Read("l.csv", []byte("ma don vi;duong truyen;nha mang;Cước tháng (nghìn đồng)\n8824;cap quang;VNPT;rẻ\n"))
	if len(got.Problems) != 1 || got.Problems[0].Column != "Cước tháng (nghìn đồng)" {
		t.Errorf("%+v", got.Problems)
	}
}

func TestAWorkbook(t *testing.T) {
	var b bytes.Buffer
	day := inventory.DateOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	s := &sheet.Sheet{Name: "Đường truyền", Columns: []sheet.Column{{Heading: "Mã đơn vị"}, {Heading: "Loại đường truyền"}, {Heading: "Nhà cung cấp"},
		{Heading: "Tốc độ"}, {Heading: "Cước tháng"}, {Heading: "Từ ngày", Kind: sheet.Date}},
		Rows: [][]any{{"08824", "Mạng truyền số liệu chuyên dùng", "Viettel", "100", int64(1_200_000), day}}}
	if err := sheet.WriteXLSX(&b, s); err != nil {
		t.Fatal(err)
	}
	got := options().Read("l.xlsx", b.Bytes())
	if want := "s08824 dedicated Viettel||100/100||1200000|2026-03-01.."; describe(got.Agreements) != want {
		t.Errorf("got %s, %v", describe(got.Agreements), got.Problems)
	}
}

func TestEveryMistakeIsToldAndNothingImported(t *testing.T) {
	o := options()
	o.Known = []reports.Agreement{{Site: "s08746", Layer: probes.LayerBroadband, Contract: reports.Contract{Provider: "VNPT", From: "2025-01-01", To: "2026-06-30"}}}
	got := o.Read("l.csv", []byte("Đơn vị;Loại đường truyền;Nhà cung cấp;Tốc độ;Mức cam kết;Cước tháng;Từ ngày;Đến ngày\n"+
		"Xuân Hoà;Internet;VNPT;300;;;01/01/2026;\n"+ // two sites are called like this
		"Mường Phăng;Internet;VNPT;300;;;01/01/2026;\n"+
		"Tam Sơn;kênh thuê riêng;;1.000;B;12;2026;01/01/2025\n"+
		"08824;TSLCD;VNPT;50;A;;01/02/2026;01/01/2026\n"+
		"08746;Internet;FPT;;;;01/03/2026;\n"+
		"08794;Internet;FPT;;;;01/03/2026;\n"+
		"08794;Internet;VNPT;;;;01/03/2026;\n"+
		"08794;TSLCD;FPT;;;;01/03/2026;01/05/2026\n"+
		"08794;TSLCD;VNPT;;;;01/05/2026;\n"+
		"08824;Internet;VNPT;300;;;;;;;more\n"))
	if got.Agreements != nil {
		t.Error("something is imported:", describe(got.Agreements))
	}
	var all []string
	for _, p := range got.Problems {
		all = append(all, p.String())
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		`row 2, column Đơn vị: "Xuân Hoà" may be`, `row 3, column Đơn vị: "Mường Phăng" is no site's id, code or name`,
		`row 4, column Loại đường truyền: "kênh thuê riêng" is not a kind of line`, `row 4, column Nhà cung cấp: is empty`,
		`row 4, column Tốc độ (Mbps): "1.000" is not a speed`, `row 4, column Mức cam kết: "B" is no profile; there are "A"`,
		`row 4, column Cước tháng: "12" is less than 1000 đồng`, `row 4, column Từ ngày: "2026" is no day`,
		`row 5, column Đến ngày: 2026-01-01 is before the contract begins`, `row 5, column Mức cam kết: "A" is a profile of broadband lines, not of dedicated ones`,
		`row 6, column Đến ngày: the contract from 2025-01-01 to 2026-06-30 lasts into the one from 2026-03-01 of the same line (imported before)`,
		`row 8: row 7 is of the same line from the same day`, `row 10, column Đến ngày: the contract from 2026-03-01 to 2026-05-01 lasts into the one from 2026-05-01 of the same line (row 9)`,
		`row 11: has 11 cells but there are 8 headings`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not told: %s\nin\n%s", want, text)
		}
	}
}

func TestWhatIsNoList(t *testing.T) {
	for list, want := range map[string]string{
		"":                           "no line was found",
		"a;b;c\n1;2;3\n":             "no line was found",
		"Đơn vị;Nhà cung cấp\nx;y\n": "no column says what kind of line it is",
		"Loại đường truyền;Tốc độ\nx;y":                             "no column says which office",
		"Đơn vị;Loại đường truyền;Nhà cung cấp;Tốc độ;Tốc độ lên\n": "keep one or the other",
		"Đơn vị;Xã/phường;Loại đường truyền;Nhà cung cấp\n":         "two columns mean this",
	} {
		got := options().Read("l.csv", []byte(list))
		if len(got.Problems) == 0 || !strings.Contains(fmt.Sprint(got.Problems), want) {
			t.Errorf("%q: %v, want %s", list, got.Problems, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("Đơn vị;Loại đường truyền;Nhà cung cấp;Tốc độ;Cước tháng;Từ ngày;Đến ngày\n08824;TSLCD;VNPT;50/10 Mb/s;1.200.000;01/02/2026;\n"))
	f.Add([]byte("site,layer,provider,down,up\ns08746,broadband,x,1,2\n"))
	o := options()
	f.Fuzz(func(t *testing.T, data []byte) {
		got := o.Read("f", data)
		if len(got.Problems) > 0 && got.Agreements != nil {
			t.Error("imported in spite of mistakes")
		}
		seen := map[string]bool{}
		for _, a := range got.Agreements {
			k := a.Site + string(a.Layer) + a.Contract.From
			if seen[k] || a.Contract.Provider == "" || a.Contract.DownMbps < 0 || a.Contract.Monthly < 0 {
				t.Errorf("%+v", a)
			}
			seen[k] = true
		}
	})
}
