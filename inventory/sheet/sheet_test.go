package sheet

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"communewatch/inventory"

	"github.com/xuri/excelize/v2"
)

func day(t *testing.T, s string) inventory.Date {
	t.Helper()
	d, err := inventory.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func example(t *testing.T) *Sheet {
	return &Sheet{
		Name: "Thiết bị: tất cả [1/2]", Title: "Danh mục thiết bị", Note: "Đánh giá tại ngày 26/11/2026",
		Columns: []Column{{Heading: "Tên xã"}, {Heading: "Nguyên giá", Kind: Money}, {Heading: "Ngày", Kind: Date}, {Heading: "Lúc", Kind: Time}, {Heading: "Tỷ lệ", Kind: Ratio}},
		Rows: [][]any{
			{"Xuân Hoà", int64(12_500_000), day(t, "2025-07-01"), time.Date(2026, 11, 26, 20, 30, 0, 0, time.UTC), 0.25},
			{"=HYPERLINK(\"http://x\")", nil, inventory.Date{}, time.Time{}, nil},
			{"xuống\ndòng, \"nháy\"", nil, nil, nil, 9.0 / 14},
		},
		Zone: time.FixedZone("", 7*3600),
	}
}

func TestCSVOpensInASpreadsheet(t *testing.T) {
	var out bytes.Buffer
	if err := example(t).WriteCSV(&out, ','); err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(out.String(), "\ufeff")
	if !ok {
		t.Error("no byte order mark: Excel would take the letters for Western ones")
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"Tên xã", "Nguyên giá", "Ngày", "Lúc", "Tỷ lệ"},
		{"Xuân Hoà", "12500000", "2025-07-01", "2026-11-27T03:30:00+07:00", "0.25"},
		{"'=HYPERLINK(\"http://x\")", "", "", "", ""},
		{"xuống\ndòng, \"nháy\"", "", "", "", "0.64"},
	}
	for i := range want {
		if strings.Join(rows[i], "|") != strings.Join(want[i], "|") {
			t.Errorf("row %d is %q, want %q", i, rows[i], want[i])
		}
	}
}

func TestFormulasAreDefused(t *testing.T) {
	for _, s := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"} {
		if got := defuse(s); got != "'"+s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{"", "Xã", "1+1", "'x"} {
		if got := defuse(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestXLSXHasDatesAndNumbers(t *testing.T) {
	var out bytes.Buffer
	second := example(t)
	if err := WriteXLSX(&out, example(t), second); err != nil {
		t.Fatal(err)
	}
	f, err := excelize.OpenReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tabs := f.GetSheetList()
	if len(tabs) != 2 || tabs[0] != "Thiết bị  tất cả  1 2" || tabs[0] == tabs[1] {
		t.Fatalf("tabs are %q", tabs)
	}
	for cell, want := range map[string]string{
		"A1": "Danh mục thiết bị", "A3": "Tên xã", "A4": "Xuân Hoà", "C4": "01/07/2025", "D4": "27/11/2026 03:30", "E4": "25%",
		"A5": "=HYPERLINK(\"http://x\")", "C5": "", "A6": "xuống\ndòng, \"nháy\"",
	} {
		if got, err := f.GetCellValue(tabs[0], cell); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", cell, got, err, want)
		}
	}
	if raw, _ := f.GetCellValue(tabs[0], "B4", excelize.Options{RawCellValue: true}); raw != "12500000" {
		t.Errorf("the price is %q, want a number that can be added up", raw)
	}
	if formula, _ := f.GetCellFormula(tabs[0], "A5"); formula != "" {
		t.Errorf("a text became the formula %q", formula)
	}
	if panes, err := f.GetPanes(tabs[0]); err != nil || !panes.Freeze || panes.YSplit != 3 {
		t.Errorf("the headings are not frozen: %+v %v", panes, err)
	}
}

func TestSharesKeepTheDigitsThatContractsAreAbout(t *testing.T) {
	s := &Sheet{Name: "Khả dụng", Columns: []Column{{Heading: "a", Kind: Share}, {Heading: "b", Kind: Whole}, {Heading: "c", Kind: Decimal}},
		Rows: [][]any{{0.99531234567, 1234, 12.0}, {nil, nil, nil}}}
	var text, book bytes.Buffer
	if err := s.WriteCSV(&text, ';'); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "0.995312;1234;12\r\n;;\r\n") {
		t.Errorf("%q", text.String())
	}
	if err := WriteXLSX(&book, s); err != nil {
		t.Fatal(err)
	}
	f, err := excelize.OpenReader(&book)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := f.GetRows("Khả dụng")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rows[1], " | "); got != "99.53% | 1,234 | 12.0" {
		t.Errorf("shown as %s", got)
	}
}

// A share of time is what people sign for: what is below the whole is never the whole, and nothing is cut from it.
func TestAvailabilityIsNeitherRoundedUpNorCut(t *testing.T) {
	third := 1.0 / 3
	s := &Sheet{Name: "a", Title: "t", Columns: []Column{{Heading: "k", Kind: Availability}, {Heading: "s", Kind: Share}},
		Rows: [][]any{{0.999959, 0.5}, {0.9953, third}, {1.0, 0.999999999999999}, {0.99999999, 1.0}}}
	var csvText, book bytes.Buffer
	if err := s.WriteCSV(&csvText, ','); err != nil {
		t.Fatal(err)
	}
	if want := "\ufeffk,s\r\n0.999959,0.5\r\n0.9953,0.333333\r\n1,1\r\n0.999999,1\r\n"; csvText.String() != want {
		t.Errorf("%q", csvText.String())
	}
	if err := WriteXLSX(&book, s); err != nil {
		t.Fatal(err)
	}
	f, err := excelize.OpenReader(&book)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for cell, want := range map[string]string{"A3": "0.999959", "A4": "0.9953", "A5": "1", "B5": "1"} {
		if raw, _ := f.GetCellValue("a", cell, excelize.Options{RawCellValue: true}); raw != want {
			t.Errorf("%s is %s", cell, raw)
		}
	}
	// The library that reads it here knows no conditions; spreadsheets do.
	id, _ := f.GetCellStyle("a", "A3")
	if style, err := f.GetStyle(id); err != nil || style.CustomNumFmt == nil || *style.CustomNumFmt != "[<0.9999]0.00%;[<1]0.0000%;0%" {
		t.Errorf("shown as %+v, %v", style, err)
	}
	if size, _ := f.GetSheetDimension("a"); size != "A1:B6" {
		t.Errorf("the sheet says that it is %s", size)
	}
	layout, _ := f.GetPageLayout("a")
	props, _ := f.GetSheetProps("a")
	if layout.Orientation == nil || *layout.Orientation != "landscape" || layout.FitToHeight == nil || *layout.FitToHeight != 0 || props.FitToPage == nil || !*props.FitToPage {
		t.Errorf("paper is %+v, %+v", layout, props)
	}
}
