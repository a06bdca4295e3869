package cells

import (
	"fmt"
	"strings"
	"testing"

	"communewatch/inventory"
)

func day(t testing.TB, s string) inventory.Date {
	t.Helper()
	d, err := inventory.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMoney(t *testing.T) {
	for _, c := range []struct {
		cell  string
		sheet bool
		unit  int64
		want  int64 // -1: refused
	}{
		{"12.500.000 đ", false, 1, 12_500_000}, {"12,500,000", false, 1, 12_500_000}, {"12500000", false, 1, 12_500_000}, {"12 500 000 VNĐ", false, 1, 12_500_000},
		{"12.500.000,00", false, 1, 12_500_000}, {"12,500,000.50", false, 1, 12_500_001}, {"12.500.000đồng", false, 1, 12_500_000}, {"12.500.000,-", false, 1, 12_500_000},
		{"12,5 triệu", false, 1, 12_500_000}, {"12 triệu đồng", false, 1, 12_000_000}, {"1,25 tỷ", false, 1, 1_250_000_000}, {"12.500 triệu", false, 1, -1}, {"12.500", false, 1, 12_500},
		{"12,5", false, 1, -1}, {"12.50", false, 1, -1}, {"12", false, 1, -1}, {"12.50.000", false, 1, -1}, {"1.2500.000", false, 1, -1}, {"12.500,000", false, 1, -1},
		{"", false, 1, 0}, {"-", false, 1, 0}, {"0", false, 1, 0}, {"$500", false, 1, -1}, {"liên hệ", false, 1, -1}, {"(5.000.000)", false, 1, -1},
		{"1.25E+07", true, 1, 12_500_000}, {"12500000.4", true, 1, 12_500_000}, {"10416666.666666666", true, 1, 10_416_667}, {"1.25E+07", false, 1, -1},
		{"12500", false, 1000, 12_500_000}, {"12.500", false, 1000, -1}, {"12.500,5", false, 1000, 12_500_500}, {"12500.5", true, 1000, 12_500_500}, {"12.500.000 đ", false, 1000, 12_500_000},
		{"12,5", false, 1_000_000, 12_500_000}, {"99999999999999999", false, 1, -1}, {"Giá: 5.000.000", false, 1, -1}, {"1e999", true, 1, -1},
	} {
		got, err := Money{Spreadsheet: c.sheet, Unit: c.unit}.Parse(c.cell)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("%q in a workbook: %v, unit %d: %d, %v; want %d", c.cell, c.sheet, c.unit, got, err, c.want)
		}
	}
}

func TestDays(t *testing.T) {
	text := &inventory.Table{}
	for in, want := range map[string]string{"12/03/2021": "2021-03-12", "2021-03-12": "2021-03-12", "ngày 12/3/2021": "2021-03-12", "ngày 12 tháng 3 năm 2021": "2021-03-12",
		"3/2021": "2021-03-31 roughly", "Tháng 02/2020": "2020-02-29 roughly", "tháng 3 năm 2021": "2021-03-31 roughly", "2019": "2019-12-31 roughly", "năm 2019": "2019-12-31 roughly",
		"13/2021": "error", "12/03/21": "error", "44267": "error", "1/1/1905": "error", "": ""} {
		d, roughly, err := Day(text, in)
		got := d.String()
		if roughly {
			got += " roughly"
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{"36": "36 ", "36 tháng": "36 ", "3 năm": "36 ", "24T": "24 ", "36.0": "36 ", "đến ngày 12/03/2024": "0 2024-03-12", "12/03/2024": "0 2024-03-12", "": "0 ", "sáu": "error"} {
		months, until, err := Warranty(text, in)
		got := fmt.Sprint(months, " ", until)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("warranty %q: %s, want %s", in, got, want)
		}
	}
	if got := AddMonths(day(t, "2021-01-31"), 1).String(); got != "2021-02-28" {
		t.Errorf("a month after 31 January: %s", got)
	}
}

func TestSerials(t *testing.T) {
	for _, c := range []struct {
		cell    string
		units   int
		want    string // "!" where it is refused
		skipped int
	}{
		{"FOC2101A1B1", 1, "FOC2101A1B1", 0}, {"FOC2101A1B1, FOC2101A1B2;FOC2101A1B3\nFOC2101A1B4", 4, "FOC2101A1B1|FOC2101A1B2|FOC2101A1B3|FOC2101A1B4", 0},
		{"S/N: FOC2101A1B1", 1, "FOC2101A1B1", 0}, {"SN12AB34", 1, "SN12AB34", 0}, {"FOC2101A1B1 FOC2101A1B2", 2, "FOC2101A1B1|FOC2101A1B2", 0},
		{"FOC2101A1B1 FOC2101A1B2", 3, "FOC2101A1B1 FOC2101A1B2", 0}, {"6F1E0A1B2C3D/917", 1, "6F1E0A1B2C3D/917", 0}, {"FOC2101A1B1 / FOC2101A1B2", 2, "FOC2101A1B1|FOC2101A1B2", 0},
		{"không có", 1, "", 1}, {"N/A", 1, "", 1}, {"-", 1, "", 0}, {"", 1, "", 0}, {",,;", 1, "", 0}, {"2.10235E+18", 1, "!", 0}, {strings.Repeat("A1", 40), 1, "!", 0}, {"A1\x00B2C3", 1, "!", 0},
	} {
		got, skipped, err := Serials(c.cell, c.units)
		text := strings.Join(got, "|")
		if err != nil {
			text = "!"
		}
		if text != c.want || err == nil && len(skipped) != c.skipped {
			t.Errorf("%q for %d: %q, without %q, %v", c.cell, c.units, text, skipped, err)
		}
	}
}

func TestClassOf(t *testing.T) {
	for text, want := range map[string]string{"Bộ chuyển mạch 24 cổng": "switch", "Router wifi": "router", "Bộ phát Wi-Fi": "access_point", "MÁY IN": "printer", "vc_endpoint": "videoconference", "videoconference": "videoconference", "conference_server": "conference_server",
		"Thiết bị hội nghị truyền hình Polycom": "videoconference", "Bộ lưu điện UPS 1kVA": "ups", "Máy chủ": "server", "Máy chiếu": "projector", "Bàn ghế": "", "": "", "Tường lửa": "firewall", "Sàn nâng": ""} {
		if got := ClassOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
