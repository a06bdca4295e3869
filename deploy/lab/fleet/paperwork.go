package fleet

import (
	_ "embed"
	"fmt"
	"time"

	"communewatch/inventory"
)

// CatalogueFile is the local rows of the lab's reviewers, as a file for communewatch-collector inventory catalogue
// import. The letters that they name were never written, and the rows say so.
//
//go:embed catalogue.csv
var CatalogueFile []byte

// Ticket is a failure, a repair or a quote that the lab's people wrote down of a device.
type Ticket struct {
	Day  inventory.Date
	Kind string // as devices.TicketKinds
	Cost int64  // VND; 0: not known
	Note string
	By   string
}

// Statement is what the lab's people say of a device, by a document.
type Statement struct{ Name, Value, Source, By string }

// clerks are who writes things down.
func clerks(n int) string {
	return []string{"Nguyễn Thị Lan", "Trần Văn Hải", "Phạm Quang Huy", "Lê Thị Thu"}[n%4]
}

// troubles is what is written of a kind of device that fails.
func troubles(name string) []string {
	switch name {
	case "endpoint":
		return []string{"mất hình giữa cuộc họp", "micro không có tiếng", "camera không quay được", "không đăng ký được tổng đài"}
	case "printer":
		return []string{"kẹt giấy liên tục", "hỏng cụm sấy", "bản in mờ dù đã thay mực"}
	case "ups":
		return []string{"ắc quy không giữ điện", "báo lỗi quá tải khi không tải"}
	case "router", "firewall":
		return []string{"tự khởi động lại nhiều lần", "hỏng nguồn sau giông sét", "treo, phải rút điện"}
	case "switch":
		return []string{"chết 8 cổng sau giông sét", "quạt kêu và nóng", "hỏng nguồn"}
	case "ap":
		return []string{"mất sóng từng lúc", "hỏng cổng cấp nguồn"}
	case "nvr", "nas":
		return []string{"hỏng một ổ cứng", "không ghi được hình"}
	}
	return []string{"hỏng nguồn", "máy không khởi động"}
}

// Tickets lists what happened to a device within the twelve months before a day: units of the first phase fail most, a
// few of them again and again, and for some the repair costs more than the law lets an office pay for. None for most.
func (d *Device) Tickets(site inventory.Site, today inventory.Date) []Ticket {
	roll := dice(site.ID)
	ask := func(n int, question string) int { return roll.below(n, d.Name+" "+question) }
	if ask(1000, "fails") >= [...]int{15, 110, 55, 25}[d.Phase] {
		return nil
	}
	by := clerks(ask(4, "clerk"))
	notes := troubles(d.Name)
	times := 1
	if d.Phase == 1 && ask(100, "again") < 12 {
		times = 3
	}
	_, price := goods(d.Name)
	cost := price[max(d.Phase, 1)-1]
	day := func(ago int) inventory.Date { return inventory.DateOf(today.AddDate(0, 0, -ago)) }
	var list []Ticket
	for n := range times {
		ago := 12 + ask(330, fmt.Sprint("day ", n))
		list = append(list, Ticket{Day: day(ago), Kind: "failure", Note: notes[ask(len(notes), fmt.Sprint("note ", n))], By: by})
		if n > 0 {
			continue
		}
		round := func(percent int) int64 { return cost * int64(percent) / 100 / 50_000 * 50_000 }
		switch what := ask(100, "then"); {
		case what < 35:
			list = append(list, Ticket{Day: day(ago - 4 - ask(6, "repaired")), Kind: "repair", Cost: round(4 + ask(9, "cost")), Note: "đã sửa, bảo hành 3 tháng", By: by})
		case what < 52:
			list = append(list, Ticket{Day: day(ago - 5), Kind: "quote", Cost: round(36 + ask(25, "quote")), Note: "báo giá sửa chữa của đơn vị bảo trì", By: by})
		case what < 65:
			list = append(list, Ticket{Day: day(ago - 5), Kind: "quote", Cost: round(9 + ask(14, "quote")), Note: "báo giá sửa chữa của đơn vị bảo trì", By: by})
		}
	}
	return list
}

// Statements lists what people say of a device that no probe can read. None for most.
func (d *Device) Statements(site inventory.Site) []Statement {
	roll := dice(site.ID)
	by := clerks(roll.below(4, d.Name+" says"))
	one := func(percent int, name string) bool { return roll.below(100, d.Name+" says "+name) < percent }
	var list []Statement
	say := func(name, value, source string) { list = append(list, Statement{name, value, source, by}) }
	const survey = "Phiếu khảo sát hiện trạng CNTT tháng 10/2026 (mô phỏng)"
	switch d.Table.Name {
	case "windows11-25h2":
		if one(60, "edition") {
			say("os_edition", "Pro", survey)
		}
	case "ubiquiti-uap-ac-lr":
		if one(40, "flag") {
			say("flag", "model_in_lts=true", "Bảng xuất từ UniFi Controller, 02/11/2026 (mô phỏng)")
		}
	case "ubiquiti-u6-lite":
		if one(70, "flag") {
			say("flag", "model_in_eol=false", "Bảng xuất từ UniFi Controller, 02/11/2026 (mô phỏng)")
		}
	case "cisco-roombar-26":
		if one(30, "platform") {
			say("platform", "teams", survey)
		}
	}
	switch d.Name {
	case "router", "firewall":
		if one(5, "reachable") {
			say("reachable", "yes", "Kết quả rà quét từ ngoài ngày 20/10/2026 (mô phỏng)")
		}
	case "switch":
		if one(6, "service") {
			say("service", "yes", "Sơ đồ mạng của đơn vị, bản 2026 (mô phỏng)")
		}
	case "nvr":
		if one(12, "isolated") {
			say("isolated", "VLAN camera riêng, không ra Internet", "Sơ đồ mạng của đơn vị, bản 2026 (mô phỏng)")
		}
	case "pc":
		if one(20, "in service") {
			year := 2018
			if d.Table.Name == "windows11-25h2" {
				year = 2023
			}
			handed := time.Date(year+roll.below(2, "pc year"), time.Month(3+roll.below(8, "pc month")), 1+roll.below(27, "pc day"), 0, 0, 0, 0, time.UTC)
			say("in_service", inventory.DateOf(handed).String(), fmt.Sprintf("Biên bản bàn giao số %d/BB-BG (mô phỏng)", 10+roll.below(180, "pc document")))
		}
	}
	return list
}
