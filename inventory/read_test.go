package inventory

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/unicode/norm"
)

func mustDate(t testing.TB, s string) Date {
	t.Helper()
	d, err := ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func utf16le(s string) []byte {
	out := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// tamSon is the site that all good lists below hold.
var tamSon = Site{ID: "s08761", Name: "Tam Sơn", Type: "thị trấn", Code: "08761", Parent: "Sông Lô", ParentCode: "253",
	Position: &LatLon{21.4, 105.42}}

func TestGoodLists(t *testing.T) {
	const plain = "id,code,name,type,district,district_code,lat,lon\ns08761,08761,Tam Sơn,thị trấn,Sông Lô,253,21.4,105.42\n"
	vietnamese := "Mã;Tên;Loại;Huyện;Mã huyện;Vĩ độ;Kinh độ\r\n08761;Tam Sơn;thị trấn;Sông Lô;253;21,4;105,42\r\n;;;;;;\r\n\r\n"
	for name, data := range map[string][]byte{
		"plain":              []byte(plain),
		"BOM":                []byte("\xEF\xBB\xBF" + plain),
		"Vietnamese":         []byte(vietnamese),
		"NFD":                []byte(norm.NFD.String(vietnamese)),
		"no accents, upper":  []byte("MA;TEN;LOAI;HUYEN;MA HUYEN;VI DO;KINH DO\n08761;Tam Sơn;thị trấn;Sông Lô;253;21,4;105,42\n"),
		"Unicode text":       utf16le(strings.ReplaceAll(vietnamese, ";", "\t")),
		"UTF-16 without BOM": utf16le(plain)[2:],
		"old Mac":            []byte(strings.ReplaceAll(plain, "\n", "\r")),
		"sep line":           []byte("sep=;\r\n" + vietnamese),
		"quotes":             []byte("\"code\",\"name\",type,district,district_code,lat,lon\n08761,\"Tam Sơn\",thị trấn,Sông Lô,253,\"21,4\",\"105,42\"\n"),
		"title above":        []byte("DANH SÁCH XÃ\n\n" + plain),
		"loose spaces":       []byte("code, name ,type,district,district_code,lat,lon\n08761,  Tam \u00a0Sơn ,thị  trấn, Sông Lô,253, 21.4 ,105.42°,,,\n"),
		"other order":        []byte("lon,lat,name,code,district_code,type,parent,remark\n105.42,21.4,Tam Sơn,08761,253,thị trấn,Sông Lô,x\n"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadSites("sites.csv", data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Site{tamSon}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBadLists(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want []string // the whole of each message, by row
	}{
		"empty":   {nil, []string{`l.csv: is empty; write headings into the first row and one site into each of the others`}},
		"no rows": {[]byte("id,name\n"), []string{`l.csv: has headings but no sites; write one site into each row`}},
		"missing columns": {[]byte("Tỉnh,Lat\nVP,21\n"), []string{
			`l.csv: row 1, column name: no column with names; add one headed name (or tên); found: "Tỉnh", "Lat"`,
			`l.csv: row 1, column id: no column to tell sites apart; add one headed id, or one headed code (or mã) from which ids are made; found: "Tỉnh", "Lat"`,
			`l.csv: row 1, column lon: there is a latitude but no longitude; add a column headed lon (or kinh độ); found: "Tỉnh", "Lat"`}},
		"same column twice": {[]byte("id,name,tên\na,b,c\n"), []string{
			`l.csv: row 1, column name: two columns mean this: "name" and "tên"; remove or rename one`}},
		"doubles": {[]byte("id,code,name\ns1,11111,A\ns2,11111,B\ns1,11112,C\n"), []string{
			`l.csv: row 3, column code: "11111" is the code of "A" (s1) in row 2 on the same day; correct one of them, or allow shared codes if both are offices of one merged commune`,
			`l.csv: row 4, column id: s1 is in row 2 too ("A"); remove one of the rows, or give them different valid_from dates if they are the site's history`}},
		"positions": {[]byte("id,name,lat,lon\na,A,105.5,21.3\nb,B,48.8,2.3\nc,C,x,105\nd,D,,105\ne,E,0,0\nf,F,nan,0x10\ng,G,21.3067,105.5856\nh,H,8.65,111.92\n"), []string{
			`l.csv: row 2, column lat: lat 105.5 and lon 21.3 lie outside Vietnam, but the other way round inside it: swapped?`,
			`l.csv: row 3, column lat: lat 48.8, lon 2.3 is outside Vietnam (6 to 24, 102 to 118); correct it, or allow places anywhere (--anywhere)`,
			`l.csv: row 4, column lat: "x" is not a number; write decimal degrees, such as 21.3067`,
			`l.csv: row 5, column lat: is empty while the other coordinate is not; fill in both, or neither`,
			`l.csv: row 6, column lat: 0 and 0 is a place in the Atlantic; leave both empty where the position is not known`,
			`l.csv: row 7, column lat: "nan" is not a number; write decimal degrees, such as 21.3067`,
			`l.csv: row 7, column lon: "0x10" is not a number; write decimal degrees, such as 105.5856`}},
		"decimal commas": {[]byte("id,name,lat,lon\na,A,21,3067,105,5856\n"), []string{
			`l.csv: row 2: has 6 cells but there are 4 headings; put text with commas in quotes, and use semicolons between columns if numbers have decimal commas`}},
		"texts": {[]byte("code,name,từ ngày\n00001,,\n,B,31/02/2025\n00003,C\x07D,7/13/2025\n00004," + strings.Repeat("ô", 201) + ",\nxã 5,E,\n"), []string{
			`l.csv: row 2, column name: is empty; every site needs a name`,
			`l.csv: row 3, column valid_from: "31/02/2025" is not a date; write 2025-07-01 or 01/07/2025 (day first)`,
			`l.csv: row 3, column code: is empty, so the site has no id; fill in its code, or add a column headed id`,
			`l.csv: row 4, column name: has the unreadable character U+0007 in "C\aD"; type the text again`,
			`l.csv: row 4, column valid_from: "7/13/2025" is not a date; write 2025-07-01 or 01/07/2025 (day first)`,
			`l.csv: row 5, column name: is longer than 200 characters: "` + strings.Repeat("ô", 60) + `..."`,
			`l.csv: row 5, column name: is empty; every site needs a name`,
			`l.csv: row 6, column code: "xã 5" can't be made an id; use only letters without accents, digits, dot, dash and underscore, or add a column headed id`}},
		"ids": {[]byte("id,name\nS1,A\nđ1,B\n,C\n"), []string{
			`l.csv: row 2, column id: "S1" can't be an id; write it in lower case: s1`,
			`l.csv: row 3, column id: "đ1" can't be an id; use 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit`,
			`l.csv: row 4, column id: is empty, and so is the code it could be made from; fill in one of them`}},
		"encoding": {[]byte("id,name\na,A\nb,S\xe1\xf5\n"), []string{
			`l.csv: row 3: is in an unknown encoding (not UTF-8; perhaps Windows-1258, TCVN3 or VNI); in Excel save it as "CSV UTF-8" or as .xlsx`}},
		"quotes": {[]byte("id,name\na,A\nb,\"open\nc,d\n"), []string{
			`l.csv: row 3: quotes don't match (extraneous or missing " in quoted-field); put text with quotes in it in quotes, and double those inside it`}},
		"old Excel": {[]byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), []string{
			`l.csv: is an old or a password-protected Excel file; save it as .xlsx without a password, or as CSV UTF-8`}},
		"too large": {make([]byte, maxFile+1), []string{
			`l.csv: has 20 MB, more than the 20 that a list may have; is it the right file?`}},
		"too many": {[]byte("id,name\n" + strings.Repeat("a,b\n", maxRows)), []string{
			`l.csv: row 100001: the list has more than 100000 rows; is it the right file?`}},
		"too wide": {[]byte("id,name" + strings.Repeat(",x", 300)), []string{
			`l.csv: row 1: has 302 columns, at most 256 are read; is it the right file?`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadSites("l.csv", c.data)
			if err == nil {
				t.Fatal("was read")
			}
			if diff := cmp.Diff(strings.Join(c.want, "\n"), err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	var got []string
	o := ReadOptions{Anywhere: true, Warn: func(p Problem) { got = append(got, p.String()) }}
	sites, err := o.ReadSites("l.csv", []byte("code,name,lat,lon,ghi chú\n8707,Tích Sơn,48.8,2.3,x\n10001,Y,,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	if sites[0].ID != "s08707" || sites[0].Code != "08707" || sites[1].Code != "10001" {
		t.Errorf("codes: %+v", sites)
	}
	if diff := cmp.Diff([]string{`l.csv: row 1: columns not read: "ghi chú"`,
		`l.csv: row 2, column code: 1 codes have fewer than 5 digits, as when Excel takes them for numbers; zeros were put in front, so that 8707 became 08707`}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	o.SharedCodes = true
	if sites, err := o.ReadSites("l.csv", []byte("id,code,name\ns1,08707,A\ns2,08707,B\n")); err != nil || len(sites) != 2 {
		t.Error("two offices of one commune:", err)
	}
	// Codes of another kind are left alone.
	for _, list := range []string{"code,name\n17,A\n18,B\n", "code,name\nvp-17,A\n12345,B\n", "code,name\n123456,A\n7,B\n"} {
		sites, err := ReadSites("l.csv", []byte(list))
		if err != nil || !strings.Contains(list, "\n"+sites[0].Code+",") {
			t.Errorf("%q: %v %v", list, sites, err)
		}
	}
}

func TestHistoryAndAsOf(t *testing.T) {
	rows, err := ReadSites("l.csv", []byte(`id,code,name,từ ngày
s1,08734,Trưng Trắc,
s1,08740,Hai Bà Trưng,2025-01-01
s1,08740,Phúc Yên,01/07/2025
s2,08734,Mới,1.1.2025
`)) // s2 takes over the code on the very day that s1 gave it up
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string]string{"2024-12-31": "Trưng Trắc", "2025-01-01": "Hai Bà Trưng,Mới", "2025-06-30": "Hai Bà Trưng,Mới", "2025-07-01": "Phúc Yên,Mới"} {
		var names []string
		for _, s := range AsOf(rows, mustDate(t, day)) {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, ","); got != want {
			t.Errorf("%s: got %s, want %s", day, got, want)
		}
	}
	if _, err := ReadSites("l.csv", []byte("id,code,name,from\ns1,1,A,\ns1,2,A,2025-01-02\ns2,1,B,2025-01-01\n")); err == nil || !strings.Contains(err.Error(), "on the same day") {
		t.Errorf("a code that two sites have for one day: %v", err)
	}
}

// workbook is an Excel file with the cells on its second sheet.
func workbook(t *testing.T, cells map[string]any) []byte {
	t.Helper()
	book := excelize.NewFile()
	defer book.Close()
	if _, err := book.NewSheet("Sites"); err != nil {
		t.Fatal(err)
	}
	style, err := book.NewStyle(&excelize.Style{NumFmt: 14}) // a date
	if err != nil {
		t.Fatal(err)
	}
	for cell, v := range cells {
		if err := book.SetCellValue("Sites", cell, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.SetCellStyle("Sites", "F5", "F5", style); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := book.Write(&file); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestXLSX(t *testing.T) {
	cells := map[string]any{
		"B2": "DANH SÁCH", "B4": "Mã", "C4": "Tên", "D4": "Vĩ độ", "E4": "Kinh độ", "F4": "Từ ngày",
		"B5": 8761, "C5": "Tam Sơn", "D5": 21.4, "E5": "105,42", "F5": 45839, // 2025-07-01 as Excel keeps it
		"B7": 8707, "C7": norm.NFD.String("Tích Sơn"), "F7": "01/07/2025",
	}
	file := workbook(t, cells)
	got, err := ReadSites("sites.xlsx", file)
	want := []Site{
		{ID: "s08761", Code: "08761", Name: "Tam Sơn", Position: &LatLon{21.4, 105.42}, ValidFrom: mustDate(t, "2025-07-01")},
		{ID: "s08707", Code: "08707", Name: "Tích Sơn", ValidFrom: mustDate(t, "2025-07-01")},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, n := range []int{10, len(file) / 2, len(file) - 10} {
		if _, err := ReadSites("sites.xlsx", file[:n]); err == nil || !strings.Contains(err.Error(), "CSV UTF-8") {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	cells["D5"], cells["F7"] = 121.4, "ngày 1"
	if _, err := ReadSites("sites.xlsx", workbook(t, cells)); err == nil || err.Error() !=
		"sites.xlsx: row 5, column lat: 121.4 is no latitude; those go from -90 to 90\n"+
			"sites.xlsx: row 7, column valid_from: \"ngày 1\" is not a date; write 2025-07-01 or 01/07/2025 (day first)" {
		t.Errorf("rows as the spreadsheet shows them: %v", err)
	}
}

func TestLabSites(t *testing.T) {
	data, err := os.ReadFile("../deploy/lab/sites.csv")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := ReadOptions{Warn: func(p Problem) { t.Error(p) }}.ReadSites("sites.csv", data)
	if err != nil || len(sites) != 136 {
		t.Fatalf("%d sites, %v", len(sites), err)
	}
	find := func(typed string) (codes []string) {
		for _, s := range sites {
			if strings.Contains(Fold(s.Name), Fold(typed)) {
				codes = append(codes, s.Code)
			}
		}
		return codes
	}
	byCode := map[string]Site{}
	for _, s := range sites {
		byCode[s.Code] = s
		if s.Position == nil || s.Parent == "" || s.ParentCode == "" || s.Type == "" || !norm.NFC.IsNormalString(s.Name) {
			t.Errorf("incomplete: %+v", s)
		}
	}
	// The tone mark stands on another letter: two communes, two names, one way to look for them.
	if a, b := byCode["08746"].Name, byCode["08794"].Name; a != "Xuân Hoà" || b != "Xuân Hòa" || a == b {
		t.Errorf("Xuân Hoà (08746) and Xuân Hòa (08794) are %q and %q", a, b)
	}
	for _, typed := range []string{"xuan hoa", "Xuân Hoà", "XUÂN  HÒA", norm.NFD.String("xuân hoà")} {
		if diff := cmp.Diff([]string{"08746", "08794"}, find(typed)); diff != "" {
			t.Errorf("%q: -want +got:\n%s", typed, diff)
		}
	}
	for _, typed := range []string{"tam son", "Tam Sơn", "TAM SƠN"} {
		if len(find(typed)) == 0 {
			t.Errorf("%q finds nothing", typed)
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{"": "", "  Đống\u00a0 Đa ": "dong da", "Ưng Bình Ơ": "ung binh o", "PHƯỜNG ặ ữ": "phuong a u", "\u00d0ồng Tĩnh, \u00f0": "dong tinh, d",
		"Xuân Hoà": "xuan hoa", "Xuân Hòa": "xuan hoa", "Xua\u0302n Ho\u0300a": "xuan hoa"} {
		if got := Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzReadSites(f *testing.F) {
	for _, s := range []string{
		"id,code,name,lat,lon\ns1,08707,Tích Sơn,21.3,105.5\n", "Mã;Tên;Vĩ độ;Kinh độ\r\n8707;A;21,3;105,5\r\n",
		"sep=\t\nid\tname\tfrom\n\"a\"\tb\t1/7/2025\na\tc\t2025-01-01", "\xEF\xBB\xBFma,ten\n1,\"x\ny\"\n", "PK\x03\x04", "id,name\n\xff,\x00",
	} {
		f.Add([]byte(s))
	}
	f.Add(utf16le("mã\ttên\n1\tA\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sites, err := ReadSites("f", data)
		if err != nil {
			if sites != nil || err.Error() == "" {
				t.Fatalf("%d sites with the error %q", len(sites), err)
			}
			return
		}
		seen := map[string]bool{}
		for _, s := range sites {
			key := s.ID + " " + s.ValidFrom.String()
			if seen[key] || s.Name == "" || !idPattern.MatchString(s.ID) || !norm.NFC.IsNormalString(s.Name) {
				t.Fatalf("accepted %+v", s)
			}
			seen[key] = true
			if p := s.Position; p != nil && !(p.Lat >= minLat && p.Lat <= maxLat && p.Lon >= minLon && p.Lon <= maxLon) {
				t.Fatalf("accepted the position %+v", *p)
			}
		}
	})
}

// A small file that unpacks to gigabytes, and one with a cell in the last column of very many rows.
func TestXLSXBombs(t *testing.T) {
	const head = `<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`
	wide := strings.Repeat(`<row><c r="XFD1"><v>1</v></c></row>`, 200_000)
	far := `<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="A1048576"><v>2</v></c></row>`
	for name, sheet := range map[string]string{
		"bomb": head + strings.Repeat(" ", maxUnzip), "wide": head + wide + "</sheetData></worksheet>",
		"far": head + far + "</sheetData></worksheet>",
	} {
		t.Run(name, func(t *testing.T) {
			in, err := zip.NewReader(bytes.NewReader(workbook(t, nil)), int64(len(workbook(t, nil))))
			if err != nil {
				t.Fatal(err)
			}
			var file bytes.Buffer
			out := zip.NewWriter(&file)
			for _, f := range in.File {
				if f.Name == "xl/worksheets/sheet1.xml" {
					w, err := out.Create(f.Name)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.WriteString(w, sheet); err != nil {
						t.Fatal(err)
					}
				} else if err := out.Copy(f); err != nil {
					t.Fatal(err)
				}
			}
			if err := out.Close(); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = ReadSites("l.xlsx", file.Bytes())
			if took := time.Since(start); err == nil || took > 10*time.Second {
				t.Errorf("after %s: %v", took, err)
			} else {
				t.Logf("%d bytes, %s: %.150s", file.Len(), took, err)
			}
		})
	}
}

func BenchmarkReadSites(b *testing.B) {
	var list strings.Builder
	list.WriteString("Mã;Tên;Loại;Huyện;Vĩ độ;Kinh độ\n")
	for i := range 10_000 { // the whole country
		fmt.Fprintf(&list, "%05d;Xã số %d;xã;Huyện %d;21,3067;105,5856\n", i, i, i/20)
	}
	for b.Loop() {
		if sites, err := ReadSites("l.csv", []byte(list.String())); err != nil || len(sites) != 10_000 {
			b.Fatal(err)
		}
	}
}
