package wording

import (
	"regexp"
	"strings"
	"testing"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
)

func TestEveryCodeHasASentence(t *testing.T) {
	for _, code := range lifecycle.Codes() {
		p, ok := sentences[code]
		if !ok || p.vi == "" || p.en == "" {
			t.Errorf("%s has no sentence in both languages", code)
		}
		for _, text := range []string{p.vi, p.en} {
			if strings.Count(text, "[") != strings.Count(text, "]") || strings.Count(text, "{") != strings.Count(text, "}") {
				t.Errorf("%s: brackets don't match in %q", code, text)
			}
		}
		names := regexp.MustCompile(`\{\w+\}`)
		vi, en := names.FindAllString(p.vi, -1), names.FindAllString(p.en, -1)
		if len(vi) != len(en) {
			t.Errorf("%s says %v in Vietnamese and %v in English", code, vi, en)
		}
	}
	for code := range sentences {
		found := false
		for _, c := range lifecycle.Codes() {
			found = found || c == code
		}
		if !found {
			t.Errorf("the sentence %s belongs to no code", code)
		}
	}
}

func TestFinding(t *testing.T) {
	for _, tc := range []struct {
		f      lifecycle.Finding
		vi, en string
	}{
		{lifecycle.Finding{Code: "r01.ended", State: lifecycle.StateOutdated, Args: map[string]string{"date": "2025-10-31", "days": "390"}},
			"Hãng đã ngừng hỗ trợ từ 31/10/2025, quá 390 ngày", "Its maker ended support on 31/10/2025, 390 days ago"},
		{lifecycle.Finding{Code: "r01.ended", State: lifecycle.StateOutdated, Stale: true, Args: map[string]string{"date": "2025-10-31", "days": "390", "successor": "XGS 2100"}},
			"Hãng đã ngừng hỗ trợ từ 31/10/2025, quá 390 ngày; thay bằng XGS 2100 [nguồn đã lâu chưa tra lại]",
			"Its maker ended support on 31/10/2025, 390 days ago; successor: XGS 2100 [source not looked at for long]"},
		{lifecycle.Finding{Code: "no_input", Missing: []string{"vendor", "model"}}, "Chưa biết hãng sản xuất, kiểu máy", "Not known: the maker, the model"},
		{lifecycle.Finding{Code: "l02.dear", State: lifecycle.StateEligible, Args: map[string]string{"repair": "3000001", "price": "10000000", "percent": "30.0"}},
			"Chi phí sửa 3.000.001 đồng, bằng 30,0 % giá (10.000.000 đồng), vượt 30 %: đủ điều kiện thanh lý",
			"Repair of 3.000.001 VND is 30.0 % of the price (10.000.000 VND), more than 30 %: may be disposed of"},
		{lifecycle.Finding{Code: "r13.weak", State: lifecycle.StateOutdated, Args: map[string]string{"weak": "tls telnet"}},
			"Dùng giao thức không còn an toàn: chỉ TLS 1.0/1.1 (RFC 8996), chỉ Telnet", "Offers protocols that are no longer safe: TLS 1.0/1.1 only (RFC 8996), Telnet only"},
		{lifecycle.Finding{Code: "disagree", State: lifecycle.StateReview, Args: map[string]string{"dates": "2025-10-31, 2026-10-31"}},
			"Các nguồn ghi ngày khác nhau: 31/10/2025, 31/10/2026; cần người xem lại", "Sources give different dates: 31/10/2025, 31/10/2026; somebody has to look"},
	} {
		if got := Finding(Vietnamese, tc.f); got != tc.vi {
			t.Errorf("\n got %q\nwant %q", got, tc.vi)
		}
		if got := Finding(English, tc.f); got != tc.en {
			t.Errorf("\n got %q\nwant %q", got, tc.en)
		}
	}
}

func TestEveryNameIsThere(t *testing.T) {
	for _, l := range []Lang{Vietnamese, English} {
		for _, part := range lifecycle.Parts() {
			if Part(l, lifecycle.Part{Code: part}) == "" {
				t.Errorf("part %s has no name in %s", part, l)
			}
		}
		for _, band := range lifecycle.Bands() {
			if Band(l, band) == "" {
				t.Errorf("band %s has no name in %s", band, l)
			}
		}
		for name := range inputs {
			e := Explain(l, name)
			if e.What == "" || len(e.Who) == 0 || strings.Contains(strings.Join(e.Who, ""), "  ") {
				t.Errorf("%s is not explained in %s: %+v", name, l, e)
			}
		}
	}
	for r := 1; r <= 17; r++ {
		rule := "R" + string('0'+rune(r/10)) + string('0'+rune(r%10))
		if Rule(Vietnamese, rule) == "" {
			t.Errorf("%s has no name", rule)
		}
	}
}

func TestLetterAsksWhatAMakerKnows(t *testing.T) {
	on, _ := inventory.ParseDate("2026-09-01")
	text := Letter(Ask{Office: "UBND xã Tam Sơn", Vendor: "Polycom", Model: "RealPresence Group 500", Units: 12, Missing: []string{"end_of_support", "in_service"}, On: on})
	for _, want := range []string{"UBND xã Tam Sơn", "Kiểu máy: RealPresence Group 500", "Số lượng đang dùng: 12", "1. Ngày hãng ngừng hỗ trợ;", "Ngày 01/09/2026", "Kính gửi: Hãng Polycom"} {
		if !strings.Contains(text, want) {
			t.Errorf("the letter lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "đưa vào sử dụng") {
		t.Errorf("the letter asks the maker for what the accountant knows:\n%s", text)
	}
}

// Successors stand in the catalogue in English.
func TestSuccessorsAreSaidInVietnamese(t *testing.T) {
	rows, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		said := " " + successors.Replace(r.Successor) + " "
		for _, word := range []string{" or ", " newer ", " newest ", " device ", " devices ", " model ", " version ", " capable "} {
			if strings.Contains(said, word) {
				t.Errorf("%q is said as %q", r.Successor, said)
			}
		}
	}
}
