package headings

import "testing"

func TestFind(t *testing.T) {
	n := NewNames()
	for heading, want := range map[string]Column{"STT": Number, "Đợt cấp": Phase, "SỐ HỢP ĐỒNG": Contract, "Số serial / S/N": Serial, "S/N": Serial, "Đơn giá (VNĐ)": Price,
		"Thành tiền\n(6)=(4)x(5)": Amount, "Đơn giá đã bao gồm thuế VAT": Price, "Hãng SX": Vendor, "Xuất xứ": Ignored, "Tên thiết bị/Model": Item, "Ký hiệu": Model,
		"Bảo hành (tháng)": Warranty, "Bảo hành đến ngày": WarrantyUntil, "Ngày bàn giao, đưa vào sử dụng": Received, "Năm đưa vào sử dụng": Year, "ĐVT": Unit, "Đơn vị": Site,
		"don vi su dung": Site, "Số lượng": Quantity, "Mã xã": SiteCode, "Loại thiết bị": Class, "Người sử dụng": User, "Ghi chú": Note} {
		if got, ok := n.Find(heading); !ok || got != want {
			t.Errorf("%q is %d, %v; want %d", heading, got, ok, want)
		}
	}
	for _, heading := range []string{"", "Switch", "12", "Bộ chuyển mạch 24 cổng", "Phường Tích Sơn"} {
		if c, ok := n.Find(heading); ok {
			t.Errorf("%q is taken for %q", heading, Written(c))
		}
	}
	for c := range Count {
		if heading := Written(c); heading != "" {
			if got, ok := n.Find(heading); !ok || got != c {
				t.Errorf("what the form writes for column %d is not understood: %q", c, heading)
			}
		} else if c != Ignored {
			t.Errorf("column %d has no heading", c)
		}
	}
}

func TestTitles(t *testing.T) {
	for text, want := range map[string]string{"DANH SÁCH THIẾT BỊ ĐỢT 1 NĂM 2021": "Đợt 1 năm 2021", "Đợt II/2020": "Đợt II/2020", "ĐỢT II NĂM 2020": "Đợt II năm 2020", "dot 3": "dot 3",
		"Thiết bị đợt cấp 2, năm 2019": "đợt cấp 2, năm 2019", "Gói thầu số 5": "Gói thầu số 5", "Danh mục": "", "": ""} {
		if got := PhaseIn(text); got != want {
			t.Errorf("%q: phase %q, want %q", text, got, want)
		}
	}
	if got := DecisionIn("(Kèm theo Quyết định số 123/QĐ-UBND ngày 12/3/2021)"); got != "123/QĐ-UBND" {
		t.Errorf("decision %q", got)
	}
	if got := ContractIn("Hợp đồng số: 45/2023/HĐMB, ngày 1/2/2023"); got != "45/2023/HĐMB" {
		t.Errorf("contract %q", got)
	}
	for text, want := range map[string]int64{"Đơn vị tính: nghìn đồng": 1000, "ĐVT: triệu đồng": 1_000_000, "Đơn vị tính: đồng": 1, "Đơn vị: Phường Tích Sơn": 0, "x": 0} {
		if got := TitleUnit(text); got != want {
			t.Errorf("%q: unit %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]int64{"Đơn giá (nghìn đồng)": 1000, "Đơn giá (VNĐ)": 1, "Thành tiền (ĐVT: triệu đồng)": 1_000_000, "Thành tiền (6)": 0, "Đơn giá": 0} {
		if got := UnitIn(text); got != want {
			t.Errorf("%q: unit %d, want %d", text, got, want)
		}
	}
	if !NumbersColumns([]string{"(1)", "(2)", "", "(6)=(4)x(5)"}) || !NumbersColumns([]string{"A", "B", "1", "2"}) || NumbersColumns([]string{"1", "Switch", "2"}) || NumbersColumns([]string{"1"}) {
		t.Error("rows that number the columns")
	}
}
