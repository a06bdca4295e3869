package sheets

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/collector/reports/reportstest"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
	"communewatch/probes"
)

var zone = time.FixedZone("", 7*3600)

func report(t *testing.T) *reports.Report {
	t.Helper()
	var sites []inventory.Site
	for i := range 136 {
		sites = append(sites, inventory.Site{ID: "s" + strconv.Itoa(i), Name: "Xuân Hoà " + strconv.Itoa(i), Parent: "Huyện " + strconv.Itoa(i%9)})
	}
	p, err := period.Parse("2026-10", zone)
	if err != nil {
		t.Fatal(err)
	}
	r, err := reportstest.New(sites, func() time.Time { return time.Date(2026, 11, 26, 9, 5, 0, 0, zone) }).
		Report(t.Context(), reports.Query{Period: p, Hours: reports.Office})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T, r *reports.Report, lang string) *excelize.File {
	t.Helper()
	var out bytes.Buffer
	if err := sheet.WriteXLSX(&out, Sheets(r, Options{Lang: lang, Title: "Vĩnh Phúc", Zone: zone})...); err != nil {
		t.Fatal(err)
	}
	f, err := excelize.OpenReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// cell is the raw number in the row that begins with the texts given, below a heading.
func cell(t *testing.T, f *excelize.File, tab, heading string, begins ...string) (raw string) {
	t.Helper()
	rows, err := f.GetRows(tab, excelize.Options{RawCellValue: true})
	if err != nil {
		t.Fatal(err)
	}
	column := slices.Index(rows[2], heading)
	if column < 0 {
		t.Fatalf("%s has no column %s but %q", tab, heading, rows[2])
	}
	for _, row := range rows[3:] {
		if len(row) >= len(begins) && slices.Equal(row[:len(begins)], begins) {
			if column < len(row) {
				return row[column]
			}
			return ""
		}
	}
	t.Fatalf("%s has no row %q", tab, begins)
	return ""
}

func TestTheBookHoldsTheReport(t *testing.T) {
	r := report(t)
	f := open(t, r, "vi")
	if got, want := f.GetSheetList(), []string{"Tổng hợp", "Nhà mạng", "Hai đường truyền", "Huyện, khu vực", "Đường truyền", "Chú thích"}; !slices.Equal(got, want) {
		t.Errorf("sheets are %q", got)
	}
	title, _ := f.GetCellValue("Tổng hợp", "A1")
	note, _ := f.GetCellValue("Tổng hợp", "A2")
	if title != "Báo cáo chất lượng đường truyền tháng 10/2026 – Vĩnh Phúc" || note != "Giờ hành chính. Số liệu tính đến 00:00 01/11/2026. Lập lúc 09:05 26/11/2026." {
		t.Errorf("%q, %q", title, note)
	}
	broadband := r.Paths[slices.IndexFunc(r.Paths, func(g reports.Group) bool { return g.Layer == probes.LayerBroadband })]
	number := func(text string) float64 {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%q is no number", text)
		}
		return v
	}
	if got := number(cell(t, f, "Tổng hợp", "Tỷ lệ khả dụng", "Băng rộng cố định")); math.Abs(got-*broadband.Figures.Availability) > 1e-9 {
		t.Errorf("availability is %v, want %v", got, *broadband.Figures.Availability)
	}
	if got := number(cell(t, f, "Tổng hợp", "Độ trễ khứ hồi p95 (ms)", "Băng rộng cố định")); math.Abs(got-1000*broadband.Figures.RTT.P95) > 0.006 {
		t.Errorf("p95 is %v ms, want %v s", got, broadband.Figures.RTT.P95)
	}
	rows, err := f.GetRows("Đường truyền")
	if err != nil || len(rows) != 3+len(r.Lines) {
		t.Errorf("%d rows of lines for %d lines, %v", len(rows), len(r.Lines), err)
	}
	if rows, _ = f.GetRows("Hai đường truyền"); len(rows) != 3+len(r.Pairs) {
		t.Errorf("%d rows of pairs for %d", len(rows), len(r.Pairs))
	}
	// Shown as people here write shares.
	shown, _ := f.GetRows("Tổng hợp")
	if got := shown[3][slices.Index(shown[2], "Tỷ lệ khả dụng")]; !strings.HasSuffix(got, "%") {
		t.Errorf("availability is shown as %q", got)
	}
}

func TestWhatWasNotMeasuredIsEmptyAndLimitsSayWhereTheyAreWritten(t *testing.T) {
	r := report(t)
	f := open(t, r, "vi")
	i := slices.IndexFunc(r.Lines, func(l reports.Line) bool { return l.Figures.Availability == nil && l.Layer == probes.LayerBroadband })
	if i < 0 {
		t.Fatal("all lines were measured: the test has nothing to look at")
	}
	l := r.Lines[i]
	for _, heading := range []string{"Tỷ lệ khả dụng", "Số lần gián đoạn", "Thời gian gián đoạn (phút)", "Tỷ lệ mất gói", "Số gói mất", "Độ trễ khứ hồi p95 (ms)"} {
		if got := cell(t, f, "Đường truyền", heading, l.Site, l.Name, l.District, "Băng rộng cố định"); got != "" {
			t.Errorf("%s of a line that was never measured is %q", heading, got)
		}
	}
	if got := cell(t, f, "Đường truyền", "Không có dữ liệu", l.Site, l.Name, l.District, "Băng rộng cố định"); got != "1" {
		t.Errorf("its time without data is %q", got)
	}
	rows, err := f.GetRows("Chú thích")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, row := range rows {
		all.WriteString(strings.Join(row, "|") + "\n")
	}
	for _, want := range []string{"Tỷ lệ khả dụng ≥\u00a099,5\u00a0%", reportstest.Citation, "Số liệu tính đến|00:00 01/11/2026", "Băng rộng cố định: "} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("notes don't say %q:\n%s", want, all.String())
		}
	}
	if n := strings.Count(all.String(), reportstest.Citation); n != 8 { // two profiles of four limits
		t.Errorf("limits are told %d times", n)
	}
}

func TestTheBookInEnglish(t *testing.T) {
	f := open(t, report(t), "en")
	if got, want := f.GetSheetList(), []string{"Summary", "Providers", "Two lines", "Districts", "Lines", "Notes"}; !slices.Equal(got, want) {
		t.Errorf("sheets are %q", got)
	}
}

func TestHostileNamesAreNoFormulas(t *testing.T) {
	r := report(t)
	r.Lines[0].Name = `=HYPERLINK("http://x","y")`
	var out bytes.Buffer
	if err := Lines(r, Options{Lang: "vi", Zone: zone}).WriteCSV(&out, ';'); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `'=HYPERLINK`) || !strings.HasPrefix(out.String(), "\ufeff") {
		t.Errorf("%.300q", out.String())
	}
}

func TestAnEmptyReportIsABookToo(t *testing.T) {
	p, _ := period.Parse("2026-10", zone)
	f := open(t, &reports.Report{Period: p, Hours: reports.All, Made: p.To, DataTo: p.From}, "vi")
	if rows, err := f.GetRows("Tổng hợp"); err != nil || len(rows) != 3 {
		t.Errorf("%q, %v", rows, err)
	}
}
