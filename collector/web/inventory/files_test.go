package inventory

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"strings"
	"testing"

	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
)

func readCSV(t *testing.T, text string, comma rune) [][]string {
	t.Helper()
	text, marked := strings.CutPrefix(text, "\ufeff")
	if !marked {
		t.Error("no byte order mark: Excel takes the letters for Western ones")
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma = comma
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestCSV(t *testing.T) {
	h, p := province(t, 12)
	w := get(t, h, "/inventory.csv")
	if w.Header().Get("Content-Type") != sheet.CSVType || w.Header().Get("Content-Disposition") != `attachment; filename="danh-muc-thiet-bi-2026-11-26.csv"` {
		t.Errorf("%v", w.Header())
	}
	rows := readCSV(t, w.Body.String(), ',')
	if len(rows) != len(table(t, p, stock.Filter{}))+1 {
		t.Errorf("%d lines", len(rows))
	}
	if rows[0][0] != "Mã" || !strings.Contains(strings.Join(rows[0], "|"), "|Hết hỗ trợ|") {
		t.Errorf("%v", rows[0])
	}
	for _, target := range []string{"/inventory.csv?sep=;", "/inventory.csv?sep=%3B", "/inventory.csv?class=router&sep=;"} {
		if got := readCSV(t, body(t, h, target), ';'); len(got[0]) != len(rows[0]) {
			t.Errorf("%s: %d columns", target, len(got[0]))
		}
	}
	some := readCSV(t, body(t, h, "/inventory.csv?col=model.price&col=serial&class=router&standing=outdated&lang=en"), ',')
	want := len(table(t, p, stock.Filter{Class: "router", Standing: stock.Outdated}))
	if len(some) != want+1 || strings.Join(some[0], "|") != "Model|Serial|Original price" {
		t.Errorf("%d rows, want %d: %v", len(some)-1, want, some[0])
	}
}

// Every file opens again and holds what its page shows.
func TestFilesOpenAgain(t *testing.T) {
	h, p := province(t, 12)
	ctx := context.Background()
	replacements, err := p.Replacements(ctx, stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	questions, err := p.Verify(ctx, stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := p.Catalogue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	bought, err := p.Purchases(ctx, stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/inventory": len(table(t, p, stock.Filter{})), "/inventory/replace": len(only(replacements, "")), "/inventory/verify": len(questions),
		"/inventory/catalogue": len(rows), "/inventory/purchases": len(bought.Units), "/inventory/summary": -1, "/inventory/unsupported": -1} {
		for _, lang := range []string{"vi", "en"} {
			lines := readCSV(t, body(t, h, path+".csv?lang="+lang), ',')
			if want >= 0 && len(lines) != want+1 {
				t.Errorf("%s.csv: %d rows, want %d", path, len(lines)-1, want)
			}
			w := get(t, h, path+".xlsx?lang="+lang)
			if w.Code != 200 || w.Header().Get("Content-Type") != sheet.XLSXType {
				t.Fatalf("%s.xlsx: %d %v", path, w.Code, w.Header())
			}
			tables, problem := inventory.ReadTables(w.Body.Bytes())
			if problem != nil || len(tables) == 0 {
				t.Fatalf("%s.xlsx does not open: %v", path, problem)
			}
			if got := len(tables[0].Rows) - 3; want >= 0 && got != want { // title, note and headings
				t.Errorf("%s.xlsx: %d rows, want %d", path, got, want)
			}
		}
	}
}

func TestXLSXHasRealDatesAndNumbers(t *testing.T) {
	h, _ := province(t, 6)
	data := get(t, h, "/inventory.xlsx").Body.Bytes()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	part := func(name string) string {
		f, err := z.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		text, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := part("xl/worksheets/sheet1.xml")
	for _, want := range []string{`<pane `, `state="frozen"`, `<autoFilter `, `<col `} {
		if !strings.Contains(first, want) {
			t.Errorf("the sheet lacks %s", want)
		}
	}
	if styles := part("xl/styles.xml"); !strings.Contains(styles, "dd/mm/yyyy") || !strings.Contains(styles, "#,##0") {
		t.Error("no formats of days and amounts")
	}
	if !strings.Contains(first, "<v>45944</v>") { // 14/10/2025, when Windows 10 ended
		t.Error("days are not days")
	}
}
