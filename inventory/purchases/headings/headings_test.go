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
