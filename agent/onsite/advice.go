package onsite

import "communewatch/probes/phone"

// advice is what to say of a state of the lights.
type advice struct {
	title string
	steps [3]string
}

// words are the page's in one language.
type words struct {
	lang, other, otherName string
	title, site, at        string
	lights                 [3]string
	states                 [phone.Red + 1]string
	code, call             string
	foot                   string
	unjoined, asked        advice
	fine, dark, partly     advice
	faults                 [3]advice // of the lights, in the order in which they are to be looked at
}

// vietnamese and english say the same.
func vietnamese() *words {
	return &words{
		lang: "vi", other: "en", otherName: "English",
		title: "Tình trạng mạng tại đơn vị", site: "Đơn vị", at: "Lúc",
		lights: [3]string{"Mạng nội bộ (LAN)", "Đường truyền (Internet, TSLCD)", "Phòng họp trực tuyến"},
		states: [...]string{phone.Dark: "Chưa rõ", phone.Green: "Tốt", phone.Yellow: "Kém", phone.Red: "Mất kết nối"},
		code:   "Mã đọc qua điện thoại", call: "Gọi phòng kỹ thuật tỉnh và đọc mã này:",
		foot: "Trang này chạy trên chính máy tính này và tự làm mới sau mỗi 15 giây.",
		unjoined: advice{"Máy này chưa tham gia hệ thống giám sát", [3]string{
			"Hỏi phòng kỹ thuật tỉnh để nhận mã tham gia của đơn vị.",
			"Mở cửa sổ lệnh với quyền quản trị và gõ: communewatch-agent enroll MÃ.",
			"Chờ một phút rồi xem lại trang này.",
		}},
		asked: advice{"Máy này đã xin tham gia, đang chờ phòng kỹ thuật tỉnh duyệt", [3]string{
			"Gọi phòng kỹ thuật tỉnh để nhờ duyệt máy này.",
			"Không cần gõ lại mã; cứ để máy bật và nối mạng.",
			"Được duyệt rồi thì khoảng hai phút sau trang này tự hiện tình trạng mạng.",
		}},
		fine: advice{"Mọi thứ đều tốt", [3]string{
			"Không cần làm gì.",
			"Nếu cuộc họp vẫn không có hình hoặc tiếng: kiểm tra micro, loa và máy quay.",
			"Nếu vẫn chưa được, gọi phòng kỹ thuật và đọc mã bên dưới.",
		}},
		dark: advice{"Chưa có kết quả đo", [3]string{
			"Chờ hai phút, trang sẽ tự làm mới.",
			"Kiểm tra dây mạng của máy này đã cắm chặt hai đầu chưa.",
			"Nếu vẫn chưa rõ, khởi động lại máy; sau đó gọi phòng kỹ thuật và đọc mã bên dưới.",
		}},
		partly: advice{"Phần đo được đều tốt, nhưng có phần chưa rõ", [3]string{
			"Chờ hai phút, trang sẽ tự làm mới.",
			"Mục ghi “Chưa rõ” là máy này không đo được, chưa hẳn là hỏng; nếu mạng và cuộc họp vẫn dùng được thì cứ tiếp tục làm việc.",
			"Nếu vẫn chưa rõ, gọi phòng kỹ thuật và đọc mã bên dưới.",
		}},
		faults: [3]advice{
			{"Mạng nội bộ có vấn đề", [3]string{
				"Xem đèn trên bộ chia mạng (switch) và bộ định tuyến (router, modem): nếu tắt, kiểm tra ổ cắm và dây nguồn.",
				"Rút dây mạng của máy này ra, cắm chặt lại hai đầu; thử cổng khác trên bộ chia mạng.",
				"Tắt nguồn bộ định tuyến 30 giây rồi bật lại, chờ ba phút.",
			}},
			{"Đường truyền ra ngoài có vấn đề", [3]string{
				"Xem đèn tín hiệu trên modem quang (PON, LOS): đèn LOS đỏ là mất tín hiệu (thường do đứt cáp), báo ngay nhà cung cấp và phòng kỹ thuật.",
				"Tắt nguồn modem 30 giây rồi bật lại, chờ ba phút.",
				"Không rút dây của mạng chuyên dùng (TSLCD); gọi phòng kỹ thuật và đọc mã bên dưới.",
			}},
			{"Thiết bị phòng họp có vấn đề", [3]string{
				"Kiểm tra thiết bị họp và màn hình đã bật nguồn.",
				"Xem dây mạng của thiết bị họp đã cắm chặt chưa, đèn ở cổng mạng có nháy không.",
				"Tắt thiết bị họp 30 giây rồi bật lại, chờ hai phút.",
			}},
		},
	}
}

func english() *words {
	return &words{
		lang: "en", other: "vi", otherName: "Tiếng Việt",
		title: "The network at this office", site: "Office", at: "At",
		lights: [3]string{"Office network (LAN)", "Lines (Internet, government network)", "Meeting room"},
		states: [...]string{phone.Dark: "Not known", phone.Green: "Good", phone.Yellow: "Poor", phone.Red: "Down"},
		code:   "Code to read out", call: "Call the province's technicians and read this out:",
		foot: "This page is made on this computer, and renews itself every 15 seconds.",
		unjoined: advice{"This computer has not joined the monitoring system", [3]string{
			"Ask the province's technicians for this office's join code.",
			"Open a command window as administrator and type: communewatch-agent enroll CODE.",
			"Wait a minute and look at this page again.",
		}},
		asked: advice{"This computer has asked to join, and waits for the province's technicians to approve", [3]string{
			"Call the province's technicians and ask them to approve this computer.",
			"The code need not be typed again; leave the computer switched on and connected.",
			"Some two minutes after they have approved, this page shows how the network is.",
		}},
		fine: advice{"Everything is well", [3]string{
			"There is nothing to do.",
			"If a meeting still has no picture or sound: look at microphone, speakers and camera.",
			"If that does not help, call the technicians and read out the code below.",
		}},
		dark: advice{"There are no results yet", [3]string{
			"Wait two minutes; the page renews itself.",
			"See that this computer's network cable is plugged in firmly at both ends.",
			"If it stays so, restart the computer; then call the technicians and read out the code below.",
		}},
		partly: advice{"What can be measured is well, but not all can be", [3]string{
			"Wait two minutes; the page renews itself.",
			"What says \"Not known\" could not be measured from this computer, which need not mean that it is broken; work on if network and meetings work.",
			"If it stays so, call the technicians and read out the code below.",
		}},
		faults: [3]advice{
			{"The office network has a problem", [3]string{
				"Look at the lights of switch and router: where they are off, look at plug and power cable.",
				"Unplug this computer's network cable and plug it in firmly at both ends; try another port of the switch.",
				"Switch the router off for 30 seconds and on again, and wait three minutes.",
			}},
			{"A line to the outside has a problem", [3]string{
				"Look at the optical modem's lights (PON, LOS): a red LOS is a cut cable; tell the provider and the technicians at once.",
				"Switch the modem off for 30 seconds and on again, and wait three minutes.",
				"Do not unplug the government network; call the technicians and read out the code below.",
			}},
			{"The meeting room's device has a problem", [3]string{
				"See that the conference device and the screen are switched on.",
				"See that the device's network cable is plugged in firmly and the light at its port blinks.",
				"Switch the device off for 30 seconds and on again, and wait two minutes.",
			}},
		},
	}
}

// choose picks what to say: of the first light that is down, else of the first that is poor. A network that is down explains
// the rest, so it comes first. All is well only where no light with checks behind it is dark: an office without a meeting room
// has none for that.
func (w *words) choose(l phone.Lights, checked [3]bool, joined bool) *advice {
	if !joined {
		return &w.unjoined
	}
	all := [3]phone.Light{l.LAN, l.Line, l.Conference}
	for _, worst := range []phone.Light{phone.Red, phone.Yellow} {
		for i, light := range all {
			if light == worst {
				return &w.faults[i]
			}
		}
	}
	if all == [3]phone.Light{} {
		return &w.dark
	}
	for i, light := range all {
		if light == phone.Dark && checked[i] {
			return &w.partly
		}
	}
	return &w.fine
}
