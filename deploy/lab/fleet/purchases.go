package fleet

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"time"

	"communewatch/inventory"
)

// phases lists the purchase phases of the lab's province.
func phases() [3]struct {
	name, contract string
	handed         time.Time
} {
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	return [3]struct {
		name, contract string
		handed         time.Time
	}{
		{"Đợt 1/2016", "12/2016/HĐ-STTTT", day(2016, 9, 20)},
		{"Đợt 2/2021", "07/2021/HĐ-STTTT", day(2021, 6, 14)},
		{"Đợt 3/2024", "31/2024/HĐ-STTTT", day(2024, 5, 8)},
	}
}

// goods is how a purchase list calls a kind of device, and what one costs in VND, by phase.
func goods(name string) (item string, price [3]int64) {
	switch name {
	case "router":
		return "Bộ định tuyến", [3]int64{6_900_000, 8_450_000, 21_500_000}
	case "endpoint":
		return "Thiết bị hội nghị truyền hình", [3]int64{148_000_000, 172_000_000, 119_500_000}
	case "firewall":
		return "Thiết bị tường lửa", [3]int64{24_900_000, 24_900_000, 29_800_000}
	case "switch":
		return "Bộ chuyển mạch 24 cổng", [3]int64{14_200_000, 17_900_000, 19_300_000}
	case "ap":
		return "Bộ phát sóng không dây", [3]int64{3_150_000, 2_980_000, 2_350_000}
	case "printer":
		return "Máy in laser", [3]int64{7_400_000, 5_900_000, 8_250_000}
	case "ups":
		return "Bộ lưu điện", [3]int64{13_600_000, 11_900_000, 12_400_000}
	case "nvr":
		return "Đầu ghi hình camera", [3]int64{6_300_000, 6_300_000, 5_100_000}
	case "nas":
		return "Thiết bị lưu trữ mạng", [3]int64{9_900_000, 9_900_000, 8_700_000}
	}
	return "Máy chủ", [3]int64{54_000_000, 61_000_000, 38_000_000}
}

// PurchaseList writes what was bought, as offices keep such lists: most units with their serial number, some by model
// alone, a few that are nowhere to be found any more, and without those devices that nobody bought through a phase.
func PurchaseList(devices []Device, sites []inventory.Site) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("\ufeff") // Excel takes a CSV without it for another encoding
	w := csv.NewWriter(&b)
	w.Comma = ';'
	w.Write([]string{"STT", "Đợt cấp", "Số hợp đồng", "Mã điểm", "Đơn vị sử dụng", "Tên thiết bị", "Hãng", "Model", "Số serial", "Số lượng", "Đơn giá", "Ngày bàn giao", "Bảo hành (tháng)", "Ghi chú"})
	n := 0
	put := func(d Device, serial, note string) {
		n++
		phase := phases()[d.Phase-1]
		item, price := goods(d.Name)
		site := sites[d.Site]
		handed := phase.handed.AddDate(0, 0, d.Site%25) // they did not hand over everything on one day
		w.Write([]string{strconv.Itoa(n), phase.name, phase.contract, site.ID, fmt.Sprintf("UBND %s %s", site.Type, site.Name), item, d.Table.Expect.Vendor,
			d.Table.Expect.Model, serial, "1", dotted(price[d.Phase-1]), handed.Format("02/01/2006"), "24", note})
	}
	for _, d := range devices {
		if !d.Bought || d.Phase == 0 || d.Table.Expect.Model == "" {
			continue
		}
		serial := d.Responder(handedBefore()).Serial()
		roll := dice(sites[d.Site].ID)
		switch note := roll.below(100, d.Name+" list"); {
		case note < 12:
			serial = "" // the list has no serial number for this one
		case note < 15:
			put(d, "", "Thiết bị đã điều chuyển, chưa xác định nơi nhận") // a second one that nobody finds
		}
		put(d, serial, "")
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// handedBefore is any moment: a device's serial number does not depend on it.
func handedBefore() time.Time { return time.Unix(0, 0) }

// dotted writes an amount as Vietnamese lists do: 12.500.000.
func dotted(v int64) string {
	s := strconv.FormatInt(v, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "." + s[i:]
	}
	return s
}
