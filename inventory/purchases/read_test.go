package purchases

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"communewatch/inventory"
	"communewatch/inventory/purchases/cells"
)

func day(t testing.TB, s string) inventory.Date {
	t.Helper()
	d, err := inventory.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// testSites are some communes, with the two that differ in a tone mark's place, and one that was renamed.
func testSites(t testing.TB) []inventory.Site {
	return []inventory.Site{
		{ID: "s08707", Name: "Tích Sơn", Type: "phường", Code: "08707", Parent: "Vĩnh Yên"},
		{ID: "s08707", Name: "Vĩnh Yên", Type: "phường", Code: "08707", ValidFrom: day(t, "2025-07-01")},
		{ID: "s08746", Name: "Xuân Hoà", Type: "phường", Code: "08746", Parent: "Phúc Yên"},
		{ID: "s08794", Name: "Xuân Hòa", Type: "xã", Code: "08794", Parent: "Lập Thạch"},
		{ID: "s08761", Name: "Tam Sơn", Type: "thị trấn", Code: "08761", Parent: "Sông Lô"},
		{ID: "s08824", Name: "Lãng Công", Type: "xã", Code: "08824", Parent: "Sông Lô"},
	}
}

func options(t testing.TB) Options { return Options{Sites: testSites(t), Today: day(t, "2026-03-02")} }

// lines writes units one per line, for comparing.
func lines(units []Purchase) string {
	var b strings.Builder
	for _, u := range units {
		fmt.Fprintf(&b, "%d.%d %s|%s|%s|%s|%s|%s|%s|%d\n", u.Row, u.N, u.Phase, u.Site, u.Item, u.Model, u.Vendor, u.Serial, u.Class, u.Price)
	}
	return b.String()
}

func texts(problems []inventory.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

func compare(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A list as it hangs on a decision: titles, sections by commune, totals, who signed.
func TestListWithTitlesAndSections(t *testing.T) {
	data, err := os.ReadFile("testdata/dot-1.csv")
	if err != nil {
		t.Fatal(err)
	}
	got := options(t).Read("dot-1.csv", data)
	compare(t, "problems", "", texts(got.Problems))
	compare(t, "units", `
9.1 Đợt 1 năm 2021|s08707|Bộ chuyển mạch 24 cổng|WS-C2960X-24TS-L|Cisco|FOC2101A1B1|switch|12500000
9.2 Đợt 1 năm 2021|s08707|Bộ chuyển mạch 24 cổng|WS-C2960X-24TS-L|Cisco|FOC2101A1B2|switch|12500000
10.1 Đợt 1 năm 2021|s08707|Máy in laser|LaserJet Pro M404dn|HP||printer|6800000
10.2 Đợt 1 năm 2021|s08707|Máy in laser|LaserJet Pro M404dn|HP||printer|6800000
10.3 Đợt 1 năm 2021|s08707|Máy in laser|LaserJet Pro M404dn|HP||printer|6800000
13.1 Đợt 1 năm 2021|s08746|Thiết bị hội nghị truyền hình|HDX 7000|Polycom|82111905A1B2CV|videoconference|245000000
14.1 Đợt 1 năm 2021|s08746|Bộ lưu điện|BR1500G-AS|APC|3B1924X12345|ups|7250000`, lines(got.Purchases))
	compare(t, "warnings", `
dot-1.csv: row 11: a total, not an item: "Cộng"
dot-1.csv: row 15: a total, not an item: "Cộng"
dot-1.csv: row 16: a total, not an item: "Tổng cộng"
dot-1.csv: row 17: not an item: "Bằng chữ: Ba trăm linh ba triệu sáu trăm năm mươi nghìn đồng"
dot-1.csv: row 18: not an item: "Vĩnh Yên, ngày 12 tháng 3 năm 2021"`, texts(got.Warnings))
	u := got.Purchases[0]
	if u.Decision != "123/QĐ-UBND" || u.Received != day(t, "2021-03-12") || u.WarrantyMonths != 36 || u.WarrantyUntil != day(t, "2024-03-12") || u.ID == "" || u.LifeYears != 0 {
		t.Errorf("%+v", u)
	}
	again := options(t).Read("copy.csv", bytes.ReplaceAll(data, []byte("UBND TỈNH"), []byte("\r\n\r\nUBND TỈNH")))
	for i, u := range again.Purchases {
		if u.ID != got.Purchases[i].ID {
			t.Errorf("unit %d has another id after two rows were put in front", i)
		}
	}
}

func TestTemplateIsUnderstood(t *testing.T) {
	var form bytes.Buffer
	if err := WriteTemplate(&form); err != nil {
		t.Fatal(err)
	}
	form.WriteString("1;Đợt 2 năm 2023;45/2023/HĐMB;88/QĐ-STTTT;15/08/2023;Bộ định tuyến;RB4011iGS+RM;MikroTik;\"HC1234ABCD5\nHC1234ABCD6\";Bộ;2;5.450.000;10.900.000;24;8761;;router;5;Văn thư;mới\r\n")
	got := options(t).Read("form.csv", form.Bytes())
	if len(got.Problems)+len(got.Warnings) > 0 {
		t.Fatalf("%s%s", texts(got.Problems), texts(got.Warnings))
	}
	want := Purchase{Phase: "Đợt 2 năm 2023", Contract: "45/2023/HĐMB", Decision: "88/QĐ-STTTT", Received: day(t, "2023-08-15"), Item: "Bộ định tuyến",
		Model: "RB4011iGS+RM", Vendor: "MikroTik", Serial: "HC1234ABCD5", Class: "router", Kind: "router", Site: "s08761", Price: 5_450_000,
		WarrantyMonths: 24, WarrantyUntil: day(t, "2025-08-15"), LifeYears: 5, User: "Văn thư", Note: "mới", Row: 2, N: 1}
	want.ID = got.Purchases[0].ID
	if diff := cmp.Diff(want, got.Purchases[0]); diff != "" || len(got.Purchases) != 2 || got.Purchases[1].Serial != "HC1234ABCD6" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

const head = "Đợt cấp;Tên thiết bị;Model;Hãng;Serial;Số lượng;Đơn giá;Thành tiền;Ngày bàn giao;Bảo hành;Đơn vị sử dụng\n"

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct{ list, want string }{
		"empty":      {"", `l.csv: is empty; write headings into the first row and one item into each of the others`},
		"no head":    {"a;b\n1;2\n", `l.csv: no row with headings was found; write them above the items: Tên thiết bị, Model, Số serial, Số lượng, Đơn vị sử dụng`},
		"no items":   {head, `l.csv: has headings but no items; write one item into each row`},
		"no phase":   {"Tên thiết bị;Model;Số lượng\nSwitch;SG350;1\nSwitch;SG300;1\n", `l.csv: row 2, column Đợt cấp: no phase is said; write it into the row, above the list (Đợt 1 năm 2021), or choose it at the import`},
		"which site": {head + "Đợt 1;Switch;SG350;Cisco;;1;;;;;Xuân Hòa\n", `l.csv: row 2, column Đơn vị sử dụng: "Xuân Hòa" may be Xuân Hoà (s08746, phường, Phúc Yên, code 08746) or Xuân Hòa (s08794, xã, Lập Thạch, code 08794); write the id or the code`},
		"no site":    {head + "Đợt 1;Switch;SG350;Cisco;;1;;;;;Xã Không Có\n", `l.csv: row 2, column Đơn vị sử dụng: "Xã Không Có" is no site's id, code or name; correct it, or add the site first`},
		"all at once": {head + "Đợt 1;Switch;SG350;Cisco;PSZ2101A1B1;2;12,5;25;31/02/2021;mãi mãi;Tam Sơn\nĐợt 1;Switch;SG350;Cisco;PSZ2101A1B2;x;12.50.000;;3/2030;900;Tam Sơn\n",
			`l.csv: row 2, column Ngày bàn giao: "31/02/2021" is not a date; write 12/03/2021 (day first) or 2021-03-12
l.csv: row 2, column Đơn giá: "12,5" can be read in more than one way; write đồng in full, such as 12.500.000
l.csv: row 2, column Thành tiền: "25" is less than 1000 đồng; write đồng in full, or say the unit in the heading: Đơn giá (nghìn đồng)
l.csv: row 2, column Bảo hành: "mãi mãi" is not a warranty; write months, such as 36, or the day it ends, such as 12/03/2024
l.csv: row 3, column Số lượng: "x" is not a quantity; write a whole number
l.csv: row 3, column Đơn giá: "12.50.000" can be read in more than one way; write đồng in full, such as 12.500.000
l.csv: row 3, column Bảo hành: "900" is a warranty of more than 240 months; correct it`},
		"amount":                 {head + "Đợt 1;Switch;SG350;Cisco;;2;12.500.000;26.000.000;;;Tam Sơn\n", `l.csv: row 2, column Thành tiền: is 26000000, but 2 x 12500000 is 25000000; correct one of them`},
		"VAT":                    {head + "Đợt 1;Switch;SG350;Cisco;;2;12.500.000;27.500.000;;;Tam Sơn\n", `l.csv: row 2, column Thành tiền: is 27500000, but 2 x 12500000 is 25000000; it is 10 % more, as with VAT: write the price with taxes too`},
		"serials":                {head + "Đợt 1;Switch;SG350;Cisco;PSZ2101A1B1, PSZ2101A1B2;3;;;;;Tam Sơn\n", `l.csv: row 2, column Số lượng: is 3, but there are 2 serials; correct one of them, or write the units without a serial into a row of their own`},
		"twice":                  {head + "Đợt 1;Switch;SG350;Cisco;PSZ2101A1B1;1;;;;;Tam Sơn\nĐợt 1;Switch;SG350;;S/N: psz-2101a1b1;1;;;;;Tích Sơn\n", `l.csv: row 3, column Serial: "psz-2101a1b1" is in row 2 too; correct one of them`},
		"Excel's":                {head + "Đợt 1;Switch;SG350;Cisco;2,10235E+18;1;;;;;Tam Sơn\n", `l.csv: row 2, column Serial: "2,10235E+18": Excel took the serial for a number and lost digits; format the column as text and type it again`},
		"warranty before it":     {head + "Đợt 1;Switch;SG350;Cisco;;1;;;12/03/2021;đến 12/03/2020;Tam Sơn\n", `l.csv: row 2, column Bảo hành: ends on 2020-03-12, before the item was received on 2021-03-12; correct one of them`},
		"future":                 {head + "Đợt 1;Switch;SG350;Cisco;;1;;;12/03/2027;;Tam Sơn\n", `l.csv: row 2, column Ngày bàn giao: 2027-03-12 is in the future; correct it`},
		"two columns":            {"Đợt;Tên thiết bị;Model;Ký hiệu\nĐợt 1;a;b;c\n", `l.csv: row 1, column Ký hiệu: two columns mean this: "Model" and "Ký hiệu"; remove or rename one`},
		"wide":                   {head + "Đợt 1;Switch;SG350;Cisco;;1;;;;;Tam Sơn;x\n", `l.csv: row 2: has 12 cells but there are 11 headings; put text with commas in quotes, and use semicolons between columns if numbers have commas`},
		"a section nobody knows": {"STT;Tên thiết bị;Model;Số lượng;Đợt\nI;Phường Xuân Hoà Bình;;;\n1;Switch;SG350;1;Đợt 1\n", `l.csv: row 2: "Phường Xuân Hoà Bình" is no site's id, code or name; correct it, or add the site first`},
		"serial of nothing":      {head + "Đợt 1;;;Cisco;PSZ2101A1B1;1;;;;;Tam Sơn\n", `l.csv: row 2, column Tên thiết bị: is empty beside a serial; write what the item is`},
		"dollars":                {head + "Đợt 1;Switch;SG350;Cisco;;1;500 USD;;;;Tam Sơn\n", `l.csv: row 2, column Đơn giá: "500 USD" is not a price in đồng; write it as 12.500.000`},
		"minus":                  {head + "Đợt 1;Switch;SG350;Cisco;;1;-5.000.000;;;;Tam Sơn\n", `l.csv: row 2, column Đơn giá: "-5.000.000" is below zero; a purchase has a price above it`},
	} {
		t.Run(name, func(t *testing.T) {
			got := options(t).Read("l.csv", []byte(c.list))
			compare(t, "problems", c.want, texts(got.Problems))
			if got.Purchases != nil {
				t.Errorf("%d units of a list with mistakes", len(got.Purchases))
			}
		})
	}
}

func TestImportedBefore(t *testing.T) {
	list := []byte(head + "Đợt 1;Switch;SG350;Cisco;PSZ2101A1B1;1;;;;;Tam Sơn\nĐợt 1;Máy in;M404;HP;;1;;;;;Tam Sơn\n")
	o := options(t)
	first := o.Read("a.csv", list)
	if len(first.Purchases) != 2 {
		t.Fatal(texts(first.Problems))
	}
	o.Imported = first.Purchases
	compare(t, "problems", `
b.csv: row 2, column Serial: "PSZ2101A1B1" is in an earlier import (Đợt 1) too; correct one of them
b.csv: row 3: the same item of the same phase and site was imported before; to correct it, take the earlier import back first`, texts(o.Read("b.csv", list).Problems))
	other := o.Read("c.csv", bytes.ReplaceAll(bytes.ReplaceAll(list, []byte("Đợt 1"), []byte("Đợt 2")), []byte("PSZ2101A1B1"), []byte("PSZ2101A1B9")))
	if len(other.Problems) > 0 || len(other.Purchases) != 2 {
		t.Error(texts(other.Problems))
	}
}

// What a clerk would read without asking.
func TestCarefulClerk(t *testing.T) {
	for name, c := range map[string]struct{ list, want, warnings string }{
		"rows that go on with serials": {
			"STT;Tên thiết bị;Model;Hãng;S/N;SL;Đơn vị;Đợt\n1;Switch;SG350;Cisco;PSZ2101A1B1;3;Tam Sơn;Đợt 1\n;;;;PSZ2101A1B2;;;\n;;;;PSZ2101A1B3;;Lãng Công;\n",
			"2.1 Đợt 1|s08761|Switch|SG350|Cisco|PSZ2101A1B1|switch|0\n3.1 Đợt 1|s08761|Switch|SG350|Cisco|PSZ2101A1B2|switch|0\n4.1 Đợt 1|s08824|Switch|SG350|Cisco|PSZ2101A1B3|switch|0", ""},
		"Đơn vị is the unit of measure here": {
			"Tên thiết bị;Model;Đơn vị;SL;Đợt;Nơi nhận\nSwitch;SG350;Cái;2 cái;Đợt 1;TT. Tam Sơn\n",
			"2.1 Đợt 1|s08761|Switch|SG350|||switch|0\n2.2 Đợt 1|s08761|Switch|SG350|||switch|0",
			""},
		"units of money in the heading": {
			"Tên thiết bị;Model;Đơn giá (nghìn đồng);Thành tiền (nghìn đồng);SL;Đợt;Xã\nSwitch;SG350;12.500,5;25001;2;Đợt 1;8824\n",
			"2.1 Đợt 1|s08824|Switch|SG350|||switch|12500500\n2.2 Đợt 1|s08824|Switch|SG350|||switch|12500500", ""},
		"without accents, upper case": {
			"DOT;TEN THIET BI;MODEL;HANG SX;SO SERIAL;SO LUONG;DON VI SU DUNG\nDot 1;MAY IN;M404;HP;VNB3K12345;1;UBND XA LANG CONG\n",
			"2.1 Dot 1|s08824|MAY IN|M404|HP|VNB3K12345|printer|0", ""},
		"two rows of headings and one of numbers": {
			"STT;Tên thiết bị;Model;Số lượng;Giá trị;;Đợt;Xã\n;;;;Đơn giá;Thành tiền;;\n(1);(2);(3);(4);(5);(6)=(4)x(5);(7);(8)\n1;Switch;SG350;1;5.000.000;5.000.000;Đợt 1;Tam Sơn\n",
			"4.1 Đợt 1|s08761|Switch|SG350|||switch|5000000", ""},
		"headings on every page": {
			head + "Đợt 1;Switch;SG350;Cisco;;1;;;;;Tam Sơn\n" + head + "Đợt 1;Switch;SG350;Cisco;;1;;;;;Lãng Công\n",
			"2.1 Đợt 1|s08761|Switch|SG350|Cisco||switch|0\n4.1 Đợt 1|s08824|Switch|SG350|Cisco||switch|0", ""},
		"words for none, a switchboard, a gateway": {
			head + "Đợt 1;Tổng đài IP;MyPBX;Yeastar;không có;1;;;;;Tam Sơn\nĐợt 1;Cổng thoại;TA400;Yeastar;N/A;1;;;;;Tam Sơn\n",
			"2.1 Đợt 1|s08761|Tổng đài IP|MyPBX|Yeastar|||0\n3.1 Đợt 1|s08761|Cổng thoại|TA400|Yeastar|||0",
			`l.csv: row 2, column Serial: "không có" is no serial, and is left out
l.csv: row 3, column Serial: "N/A" is no serial, and is left out`},
		"as above, the phase once, a year": {
			"Đợt;Tên thiết bị;Model;Hãng;SL;Xã;Năm sử dụng\nĐợt 1;Switch;SG350;Cisco;1;phường Xuân Hoà;2019\n;nt;\"\"\"\";nt;1;Xuân Hòa, huyện Lập Thạch;2019\n",
			"2.1 Đợt 1|s08746|Switch|SG350|Cisco||switch|0\n3.1 Đợt 1|s08794|Switch|SG350|Cisco||switch|0", "-"},
		"sections of phases and kinds": {
			"STT;Tên thiết bị;Model;SL;Nơi nhận\nI;Đợt 1 năm 2019;;;\nA;Máy tính;;;\n1;FPT Elead;T1;1;Tam Sơn\nII;Đợt 2/2020;;;\n1;Router;RB750;1;Tam Sơn\n;Cộng;;2;\n;Tổng cộng;;2;\n",
			"4.1 Đợt 1 năm 2019|s08761|FPT Elead|T1|||pc|0\n6.1 Đợt 2/2020|s08761|Router|RB750|||router|0", "-"},
		"an empty date is unknown": {
			"Tên thiết bị;Model;Đợt;Số HĐ;Ngày cấp;Xã\nSwitch;SG350;Đợt 1;12/HĐ;12/03/2021;Tam Sơn\nSwitch;SG300;Đợt 1;;;Tam Sơn\n",
			"2.1 Đợt 1|s08761|Switch|SG350|||switch|0\n3.1 Đợt 1|s08761|Switch|SG300|||switch|0", ""},
		"headings with sums": {
			"STT;Tên thiết bị;Model;SL;Thành tiền;Đợt\n1;Xã Lãng Công;;3;25.000.000;\n1.1;Switch;SG350;2;20.000.000;Đợt 1\n1.2;Máy in;M404;1;5.000.000;Đợt 1\n2;Thị trấn Tam Sơn;;1;;\n2.1;Switch;SG350;1;;Đợt 1\n",
			"3.1 Đợt 1|s08824|Switch|SG350|||switch|10000000\n3.2 Đợt 1|s08824|Switch|SG350|||switch|10000000\n4.1 Đợt 1|s08824|Máy in|M404|||printer|5000000\n6.1 Đợt 1|s08761|Switch|SG350|||switch|0", "-"},
		"sums without a word": {
			head + "Đợt 1;Switch;SG350;Cisco;;2;;;;;Tam Sơn\n;;;;;2;;25.000.000;;;\n",
			"2.1 Đợt 1|s08761|Switch|SG350|Cisco||switch|0\n2.2 Đợt 1|s08761|Switch|SG350|Cisco||switch|0", `l.csv: row 3: not an item: "2 25.000.000"`},
		"the name a site had": {
			head + "Đợt 1;Switch;SG350;Cisco;;1;;;2021-03-12;;Vĩnh Yên\n", "2.1 Đợt 1|s08707|Switch|SG350|Cisco||switch|0", ""},
		"price from the amount": {
			head + "Đợt 1;Switch;SG350;Cisco;;2;;25 triệu;;;Tam Sơn\n",
			"2.1 Đợt 1|s08761|Switch|SG350|Cisco||switch|12500000\n2.2 Đợt 1|s08761|Switch|SG350|Cisco||switch|12500000",
			`l.csv: row 2, column Đơn giá: is empty; 12500000 is taken, the amount by the quantity`},
	} {
		t.Run(name, func(t *testing.T) {
			got := options(t).Read("l.csv", []byte(c.list))
			compare(t, "problems", "", texts(got.Problems))
			compare(t, "units", c.want, lines(got.Purchases))
			if c.warnings != "-" && !strings.HasSuffix(c.warnings, "x") {
				compare(t, "warnings", c.warnings, texts(got.Warnings))
			}
		})
	}
}

func TestGroupsGoOnOnlyWhereThePhaseIsEmpty(t *testing.T) {
	const list = "Đợt;Số HĐ;Ngày cấp;Tên thiết bị;Model;Xã\nĐợt 1;12/HĐ;12/03/2021;Switch;SG350;Tam Sơn\n;;;Switch;SG300;Tam Sơn\nĐợt 1;;;Switch;SG200;Tam Sơn\n"
	got := options(t).Read("l.csv", []byte(list))
	if len(got.Purchases) != 3 {
		t.Fatal(texts(got.Problems))
	}
	for i, want := range []string{"12/HĐ 2021-03-12", "12/HĐ 2021-03-12", " "} {
		if u := got.Purchases[i]; u.Contract+" "+u.Received.String() != want || u.Phase != "Đợt 1" {
			t.Errorf("row %d: %s of %s, want %s", u.Row, u.Contract, u.Received, want)
		}
	}
	compare(t, "warnings", `l.csv: row 3, column Đợt: is empty; what the row above says of phase, contract, decision and date is taken where the row has nothing: "Đợt 1"`, texts(got.Warnings))
}

func TestBounds(t *testing.T) {
	units := head + strings.Repeat("Đợt 1;Cáp;CAT6;Cisco;;10000;;;;;Tam Sơn\n", 7)
	if got := texts(options(t).Read("l.csv", []byte(units)).Problems); !strings.Contains(got, "row 7: the list has more than 50000 units; is it the right file?") {
		t.Error(got)
	}
	wrong := head + strings.Repeat("Đợt 1;Cáp;CAT6;Cisco;;x;;;;;Tam Sơn\n", 9_000)
	if got := options(t).Read("l.csv", []byte(wrong)).Problems; len(got) > maxWrong+5 || !strings.Contains(texts(got), "more than 2000 mistakes") {
		t.Errorf("%d mistakes are told", len(got))
	}
	long := head + "Đợt 1;" + strings.Repeat("ô", 900) + ";CAT6;Cisco;;1;;;;;Tam Sơn\n"
	if got := options(t).Read("l.csv", []byte(long)); len(got.Problems) > 0 || len([]rune(got.Purchases[0].Item)) != maxCell || len(got.Warnings) != 1 {
		t.Errorf("%s%s", texts(got.Problems), texts(got.Warnings))
	}
	many := head + strings.Repeat("Đợt 1;Cáp;CAT6;Cisco;;;;;;;Tam Sơn\n", 100)
	if got := options(t).Read("l.csv", []byte(many)); len(got.Warnings) != maxAlike+1 || !strings.HasSuffix(texts(got.Warnings), "and 90 more warnings like these\n") {
		t.Errorf("%s", texts(got.Warnings))
	}
}

// A workbook with a sheet per commune, merged cells, numbers and dates as Excel keeps them, a hidden row and a hidden sheet.
func TestWorkbook(t *testing.T) {
	book := excelize.NewFile()
	defer book.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fill := func(sheet string, cells map[string]any) {
		t.Helper()
		for cell, v := range cells {
			check(book.SetCellValue(sheet, cell, v))
		}
	}
	check(book.SetSheetName("Sheet1", "TT Tam Sơn"))
	fill("TT Tam Sơn", map[string]any{
		"A1": "DANH SÁCH THIẾT BỊ ĐỢT 3 NĂM 2022",
		"A3": "STT", "B3": "Tên thiết bị", "C3": "Model", "D3": "Hãng", "E3": "Số Serial", "F3": "SL", "G3": "Đơn giá", "H3": "Thành tiền", "I3": "Ngày bàn giao",
		"A4": 1, "B4": "Bộ chuyển mạch", "C4": "SG350-28", "D4": "Cisco", "E4": "PSZ2101A1B1", "F4": 3, "G4": 12500000, "H4": 37500000, "I4": 44267,
		"E5": "PSZ2101A1B2", "E6": "PSZ2101A1B3",
		"A7": 2, "B7": "Máy in", "C7": "M404dn", "D7": "HP", "F7": 1, "G7": 6.8e6, "I7": "12/03/2021",
	})
	for _, c := range []string{"B", "C", "D", "F", "G", "H", "I"} {
		check(book.MergeCell("TT Tam Sơn", c+"4", c+"6"))
	}
	check(book.SetRowVisible("TT Tam Sơn", 7, false))
	for _, name := range []string{"Lãng Công", "Nháp", "Tổng hợp"} {
		_, err := book.NewSheet(name)
		check(err)
		fill(name, map[string]any{"A1": "Đợt 3", "A2": "Tên thiết bị", "B2": "Model", "C2": "Serial", "D2": "Nơi lắp đặt",
			"A3": "Router", "B3": "RB4011", "C3": "HC1234ABCD5", "A4": "Camera", "B4": "DS-2CD1023", "C4": "E12345678", "D4": "Phường Tích Sơn"})
	}
	check(book.MergeCell("Lãng Công", "A3", "A3"))
	check(book.SetSheetVisible("Nháp", false))
	var file bytes.Buffer
	check(book.Write(&file))
	got := options(t).Read("l.xlsx", file.Bytes())
	compare(t, "problems", "", texts(got.Problems))
	compare(t, "units", `
4.1 Đợt 3 năm 2022|s08761|Bộ chuyển mạch|SG350-28|Cisco|PSZ2101A1B1|switch|12500000
5.1 Đợt 3 năm 2022|s08761|Bộ chuyển mạch|SG350-28|Cisco|PSZ2101A1B2|switch|12500000
6.1 Đợt 3 năm 2022|s08761|Bộ chuyển mạch|SG350-28|Cisco|PSZ2101A1B3|switch|12500000
7.1 Đợt 3 năm 2022|s08761|Máy in|M404dn|HP||printer|6800000
3.1 Đợt 3|s08824|Router|RB4011||HC1234ABCD5|router|0
4.1 Đợt 3|s08707|Camera|DS-2CD1023||E12345678|camera|0`, lines(got.Purchases))
	compare(t, "warnings", `
l.xlsx: sheet "TT Tam Sơn": the sheet's name "TT Tam Sơn" is taken for the site s08761 where a row names none
l.xlsx: sheet "TT Tam Sơn": 1 hidden rows were read like the others; delete them in the file if they don't belong to the list
l.xlsx: sheet "Lãng Công": the sheet's name "Lãng Công" is taken for the site s08824 where a row names none
l.xlsx: sheet "Nháp": the sheet is hidden and was not read; show it if it belongs to the list
l.xlsx: sheet "Tổng hợp": the sheet seems to sum up the others and was not read; rename it if it has items of its own`, texts(got.Warnings))
	if got.Purchases[1].Received != day(t, "2021-03-12") || got.Purchases[3].Received != day(t, "2021-03-12") {
		t.Errorf("dates: %v, %v", got.Purchases[1].Received, got.Purchases[3].Received)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{head + "Đợt 1;Switch;SG350;Cisco;PSZ2101A1B1;2;12,5;25;31/02/2021;mãi;Tam Sơn\n", "STT,Tên,Model,SL\nI,Xã Tam Sơn,,\n1,a,b,3\nCộng,,,3\n",
		"Tên thiết bị;Giá;;Serial\n;Đơn giá;Thành tiền;\n(1);(2);(3);(4)\na;1.000.000;2e6;\"x1234,\ny1234\"\n;;;z1234\n", "\xEF\xBB\xBFđợt\tmodel\tsn\nđợt 1\tnt\t\"\n", "PK\x03\x04"} {
		f.Add([]byte(s))
	}
	sites := testSites(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		got := Options{Sites: sites, Phase: "Đợt 9"}.Read("f", data)
		if len(got.Problems) > 0 && got.Purchases != nil || len(got.Problems) == 0 && len(got.Purchases) == 0 {
			t.Fatalf("%d units and %d problems", len(got.Purchases), len(got.Problems))
		}
		seen := map[string]bool{}
		for _, u := range got.Purchases {
			if seen[u.ID] || u.Phase == "" || u.Item+u.Model == "" || u.Price < 0 || u.Price > cells.MaxPrice || u.Row < 1 || u.N < 1 {
				t.Fatalf("accepted %+v", u)
			}
			seen[u.ID] = true
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var list strings.Builder
	list.WriteString(head)
	for i := range 10_000 {
		fmt.Fprintf(&list, "Đợt 1 năm 2021;Bộ chuyển mạch;SG350-28;Cisco;PSZ%08dX;1;12.500.000;12.500.000;12/03/2021;36 tháng;Tam Sơn\n", i)
	}
	o := options(b)
	for b.Loop() {
		if got := o.Read("l.csv", []byte(list.String())); len(got.Purchases) != 10_000 {
			b.Fatal(texts(got.Problems[:1]))
		}
	}
}
