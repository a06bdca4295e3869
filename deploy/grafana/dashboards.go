package grafana

import (
	"strings"

	"communewatch/collector/health/rules"
)

// Dashboards lists the dashboards.
func Dashboards() []Dashboard {
	return []Dashboard{province(), site(), paths(), conference(), inventory(), fleet()}
}

// The variables. They are read from rows, so they know what was measured within the retention of rows.
var (
	sites   = Variable{Name: "site", Label: "Xã, phường", Query: `SHOW TAG VALUES FROM "check" WITH KEY = "site"`}
	oneSite = Variable{Name: "site", Label: "Xã, phường", Query: sites.Query, One: true}
	ways    = Variable{Name: "path", Label: "Đường truyền", Query: `SHOW TAG VALUES FROM "check" WITH KEY = "path"`}
	agents  = Variable{Name: "agent", Label: "Máy đo", Query: `SHOW TAG VALUES FROM "agent" WITH KEY = "agent" WHERE "site" =~ /^$site$/`}
)

// question is a query of one measurement with the conditions that nearly all have.
func question(what, from, group string, conditions ...string) string {
	where := append([]string{"$timeFilter"}, conditions...)
	return `SELECT ` + what + ` FROM "` + from + `" WHERE ` + strings.Join(where, " AND ") + ` GROUP BY ` + group
}

// Conditions on the variables.
const (
	ofSites = `"site" =~ /^$site$/`
	ofWays  = `"path" =~ /^$path$/`
	// lines are what reaches a place by a line; checks of devices say nothing of it.
	lines = `"kind" =~ /^(icmp|tcp|dns|http|webrtc|sip|stun|h323)$/`
)

const step = "time($__interval)"

// What rows and windows are asked for. A ratio is a sum by a sum.
const (
	lossOfRows    = `SUM("lost") / SUM("sent")`
	lossOfWindows = `SUM("lost_sum") / SUM("sent_sum")`
	upOfRows      = `SUM("up") / COUNT("up")`
	upOfWindows   = `SUM("up_sum") / SUM("up_count")`
	available     = `(SUM("ok_seconds_total") + SUM("degraded_seconds_total")) / (SUM("ok_seconds_total") + SUM("degraded_seconds_total") + SUM("down_seconds_total"))`
	noData        = `SUM("no_data_seconds_total") / (SUM("ok_seconds_total") + SUM("degraded_seconds_total") + SUM("down_seconds_total") + SUM("no_data_seconds_total"))`
)

var (
	zero = new(float64)
	one  = func() *float64 { v := 1.0; return &v }()
)

// chart is a panel of lines over time.
func chart(title, description, unit string, w int, src Source, limit *rules.Limit, queries ...Query) Panel {
	return Panel{Type: "timeseries", Title: title, Description: description, W: w, H: 8, Source: src, Unit: unit, Decimals: 2, Limit: limit, Queries: queries}
}

// long makes a chart one of windows: over a range of its own, in steps that are not shorter than the windows.
func (p Panel) long(back string) Panel {
	p.Back = back
	switch p.Source {
	case Hours:
		p.Interval = "1h"
	case Days:
		p.Interval = "1d"
	case FiveMinutes:
		p.Interval = "5m"
	}
	return p
}

func (p Panel) ratio() Panel {
	p.Min, p.Max = zero, one
	return p
}

// past is a folded heading for what looks further back than rows are kept.
func past(panels ...Panel) Row {
	return Row{Title: "Nhiều tháng, nhiều năm (từ các cửa sổ đã gộp)", Folded: true, Panels: panels}
}

func province() Dashboard {
	loss, rtt := limitOf("icmp.loss_ratio", ""), limitOf("icmp.rtt_p95_seconds", "broadband")
	return Dashboard{
		UID: "communewatch-province", Title: "Toàn tỉnh", From: "now-6h",
		Description: "The whole province: what answers, what is lost, and which communes are worst.",
		Rows: []Row{
			{Title: "Hiện tại", Panels: []Panel{
				{Type: "stat", Title: "Xã, phường có dữ liệu", Description: "Communes whose agents reported within the range.", W: 4, H: 5, Source: Rows,
					Queries: []Query{{Text: `SELECT COUNT("n") FROM (SELECT COUNT("uptime_seconds") AS "n" FROM "agent" WHERE $timeFilter GROUP BY "site") WHERE $timeFilter`}}},
				{Type: "stat", Title: "Tỷ lệ lượt đo đạt, theo lớp", Description: "Share of runs that were answered, by layer: rows that are up by all rows.", W: 12, H: 5, Source: Rows, Unit: "percentunit", Decimals: 2,
					Queries: []Query{{Text: question(upOfRows, "check", `"layer"`, lines), Alias: "$tag_layer"}}},
				{Type: "stat", Title: "Mất gói theo đường truyền", Description: "Packets lost by packets sent, summed over the range.", W: 8, H: 5, Source: Rows, Unit: "percentunit", Decimals: 2, Limit: loss,
					Queries: []Query{{Text: question(lossOfRows, "icmp", `"path"`), Alias: "$tag_path"}}},
				chart("Mất gói", "Lost by sent in each step. The lines are the collector's own limits.", "percentunit", 12, Rows, loss,
					Query{question(lossOfRows, "icmp", step+`, "path" fill(null)`), "$tag_path"}),
				chart("Độ trễ khứ hồi", "95th percentile of the median round trips of single runs.", "s", 12, Rows, rtt,
					Query{question(`PERCENTILE("rtt_median_seconds", 95)`, "icmp", step+`, "path" fill(null)`), "$tag_path"}),
				chart("Lượt đo không đạt", "Runs that were not answered as they should be, by layer.", "short", 12, Rows, nil,
					Query{question(`COUNT("up")`, "check", step+`, "layer" fill(0)`, `"up" = 0`, lines), "$tag_layer"}),
				{Type: "table", Title: "Mất gói nhiều nhất", Description: "Lost by sent of each commune and path over the range.", W: 12, H: 8, Source: Rows, SortBy: "loss",
					Columns: []Column{{"loss", "percentunit", loss}, {"rtt", "s", rtt}},
					Queries: []Query{{Text: question(lossOfRows+` AS "loss", PERCENTILE("rtt_median_seconds", 95) AS "rtt"`, "icmp", `"site", "path"`)}}},
			}},
			past(
				chart("Mất gói, 90 ngày", "Lost by sent, from windows of an hour.", "percentunit", 12, Hours, loss,
					Query{question(lossOfWindows, "icmp", step+`, "path" fill(null)`), "$tag_path"}).long("90d"),
				chart("Mất gói, 5 năm", "Lost by sent, from windows of a day.", "percentunit", 12, Days, loss,
					Query{question(lossOfWindows, "icmp", step+`, "path" fill(null)`), "$tag_path"}).long("5y"),
				chart("Mức khả dụng trong giờ hành chính, 1 năm", "Seconds ok or degraded, by those that are known; what was planned, closed or not known is no part of it.", "percentunit", 12, Days, nil,
					Query{question(available, "line", step+`, "layer" fill(null)`, `"hours" = 'office'`), "$tag_layer"}).long("1y"),
				chart("Không có dữ liệu, 1 năm", "Share of seconds of which nobody knows anything.", "percentunit", 12, Days, nil,
					Query{question(noData, "line", step+`, "layer" fill(null)`), "$tag_layer"}).long("1y").ratio(),
			),
		},
	}
}

func site() Dashboard {
	loss, jitter := limitOf("icmp.loss_ratio", ""), limitOf("icmp.jitter_seconds", "")
	by := step + `, "target", "path" fill(null)`
	return Dashboard{
		UID: "communewatch-site", Title: "Một xã, phường", From: "now-24h", Variables: []Variable{oneSite, ways},
		Description: "One commune: each of its checks.",
		Rows: []Row{
			{Title: "Các phép đo", Panels: []Panel{
				{Type: "state-timeline", Title: "Kết quả các phép đo", Description: "Green: all runs of the step were answered. The judgement with its hysteresis is on the collector's own pages.", W: 24, H: 9, Source: Rows,
					Limit: &rules.Limit{Below: true, Degraded: one}, Mapping: map[string]string{"0": "không đạt", "1": "đạt"},
					Queries: []Query{{question(`MIN("up")`, "check", step+`, "layer", "target" fill(null)`, ofSites, ofWays), "$tag_layer / $tag_target"}}},
				chart("Mất gói", "Lost by sent in each step.", "percentunit", 12, Rows, loss, Query{question(lossOfRows, "icmp", by, ofSites, ofWays), "$tag_target ($tag_path)"}),
				chart("Độ trễ khứ hồi", "Median round trip of runs: the largest of each step.", "s", 12, Rows, limitOf("icmp.rtt_p95_seconds", "broadband"),
					Query{question(`MAX("rtt_median_seconds")`, "icmp", by, ofSites, ofWays), "$tag_target ($tag_path)"}),
				chart("Biến thiên trễ (jitter)", "The largest of each step.", "s", 12, Rows, jitter, Query{question(`MAX("jitter_seconds")`, "icmp", by, ofSites, ofWays), "$tag_target ($tag_path)"}),
				chart("Phân giải tên miền", "The slowest answer of each step.", "s", 12, Rows, limitOf("dns.query_seconds", ""),
					Query{question(`MAX("query_seconds")`, "dns", step+`, "resolver", "path" fill(null)`, ofSites, ofWays), "$tag_resolver ($tag_path)"}),
				chart("Trang web", "Start to end of the page: the slowest of each step.", "s", 12, Rows, limitOf("http.total_seconds", ""), Query{question(`MAX("total_seconds")`, "http", by, ofSites, ofWays), "$tag_target ($tag_path)"}),
				chart("Mở kết nối TCP", "The slowest of each step.", "s", 12, Rows, limitOf("tcp.connect_seconds", ""), Query{question(`MAX("connect_seconds")`, "tcp", by, ofSites, ofWays), "$tag_target ($tag_path)"}),
			}},
			past(
				chart("Mất gói, 30 ngày", "Lost by sent, from windows of five minutes.", "percentunit", 12, FiveMinutes, loss, Query{question(lossOfWindows, "icmp", by, ofSites, ofWays), "$tag_target ($tag_path)"}).long("30d"),
				chart("Mất gói, 1 năm", "Lost by sent, from windows of an hour.", "percentunit", 12, Hours, loss, Query{question(lossOfWindows, "icmp", by, ofSites, ofWays), "$tag_target ($tag_path)"}).long("1y"),
				chart("Độ trễ p95, giờ xấu nhất, 1 năm", "The 95th percentile of the worst hour of each step; percentiles are not averaged.", "s", 12, Hours, nil,
					Query{question(`MAX("rtt_median_seconds_p95")`, "icmp", by, ofSites, ofWays), "$tag_target ($tag_path)"}).long("1y"),
				chart("Mức khả dụng, 5 năm", "Seconds ok or degraded, by those that are known, in office hours and in others.", "percentunit", 12, Days, nil,
					Query{question(available, "line", step+`, "layer", "hours" fill(null)`, ofSites), "$tag_layer ($tag_hours)"}).long("5y"),
			),
		},
	}
}

func paths() Dashboard {
	loss := limitOf("icmp.loss_ratio", "")
	pair := `"path" =~ /^(broadband|dedicated)$/`
	return Dashboard{
		UID: "communewatch-paths", Title: "Hai đường truyền", From: "now-24h", Variables: []Variable{sites},
		Description: "Broadband beside the dedicated network. The database does not know providers: the collector's reports compare those.",
		Rows: []Row{
			{Title: "Internet băng rộng và mạng truyền số liệu chuyên dùng", Panels: []Panel{
				chart("Mất gói", "Lost by sent of all chosen communes.", "percentunit", 12, Rows, loss, Query{question(lossOfRows, "icmp", step+`, "path" fill(null)`, ofSites, pair), "$tag_path"}),
				chart("Độ trễ khứ hồi", "95th percentile of the median round trips of single runs.", "s", 12, Rows, limitOf("icmp.rtt_p95_seconds", "dedicated"),
					Query{question(`PERCENTILE("rtt_median_seconds", 95)`, "icmp", step+`, "path" fill(null)`, ofSites, pair), "$tag_path"}),
				chart("Biến thiên trễ (jitter)", "95th percentile of the jitter of single runs.", "s", 12, Rows, limitOf("icmp.jitter_seconds", ""),
					Query{question(`PERCENTILE("jitter_seconds", 95)`, "icmp", step+`, "path" fill(null)`, ofSites, pair), "$tag_path"}),
				chart("Tỷ lệ lượt đo đạt", "Rows that are up by all rows.", "percentunit", 12, Rows, nil, Query{question(upOfRows, "check", step+`, "path" fill(null)`, ofSites, pair, lines), "$tag_path"}),
				{Type: "table", Title: "Từng xã, phường", Description: "Both paths of each commune over the range.", W: 24, H: 10, Source: Rows, SortBy: "loss",
					Columns: []Column{{"loss", "percentunit", loss}, {"rtt", "s", nil}, {"jitter", "s", limitOf("icmp.jitter_seconds", "")}},
					Queries: []Query{{Text: question(lossOfRows+` AS "loss", PERCENTILE("rtt_median_seconds", 95) AS "rtt", PERCENTILE("jitter_seconds", 95) AS "jitter"`, "icmp", `"site", "path"`, ofSites, pair)}}},
			}},
			past(
				chart("Mất gói, 90 ngày", "Lost by sent, from windows of an hour.", "percentunit", 12, Hours, loss, Query{question(lossOfWindows, "icmp", step+`, "path" fill(null)`, ofSites, pair), "$tag_path"}).long("90d"),
				chart("Lượt đo đạt, 5 năm", "Runs that are up by all runs, from windows of a day.", "percentunit", 12, Days, nil, Query{question(upOfWindows, "check", step+`, "path" fill(null)`, ofSites, pair), "$tag_path"}).long("5y"),
				chart("Mức khả dụng trong giờ hành chính, 5 năm", "Seconds ok or degraded, by those that are known.", "percentunit", 12, Days, nil,
					Query{question(available, "line", step+`, "layer" fill(null)`, ofSites, `"layer" =~ /^(broadband|dedicated)$/`, `"hours" = 'office'`), "$tag_layer"}).long("5y"),
				chart("Độ trễ p95, ngày xấu nhất, 5 năm", "The 95th percentile of the worst day and target of each step; percentiles are not averaged.", "s", 12, Days, nil,
					Query{question(`MAX("rtt_median_seconds_p95")`, "icmp", step+`, "path" fill(null)`, ofSites, pair), "$tag_path"}).long("5y"),
			),
		},
	}
}

func conference() Dashboard {
	loss, mos := limitOf("webrtc_flow.loss_ratio", ""), limitOf("webrtc.mos_audio", "")
	return Dashboard{
		UID: "communewatch-conference", Title: "Họp trực tuyến", From: "now-7d", Variables: []Variable{sites},
		Description: "Conference rooms: test calls with real media, and what rooms and services answer.",
		Rows: []Row{
			{Title: "Cuộc gọi thử", Panels: []Panel{
				chart("Điểm nghe nói (MOS)", "Estimated by ITU-T G.107.2: the worst call of each step.", "none", 12, Rows, mos, Query{question(`MIN("mos_audio")`, "webrtc", step+`, "site" fill(null)`, ofSites), "$tag_site"}),
				chart("Mất gói của hình và tiếng", "Lost by sent, by direction and kind of media.", "percentunit", 12, Rows, loss,
					Query{question(lossOfRows, "webrtc_flow", step+`, "direction", "media" fill(null)`, ofSites), "$tag_direction $tag_media"}),
				chart("Thời gian vào phòng", "The slowest of each step.", "s", 12, Rows, limitOf("webrtc.setup_seconds", ""), Query{question(`MAX("setup_seconds")`, "webrtc", step+`, "site" fill(null)`, ofSites), "$tag_site"}),
				chart("Độ trễ trong cuộc gọi", "95th percentile of a call's round trips: the worst call of each step.", "s", 12, Rows, limitOf("webrtc.rtt_p95_seconds", ""),
					Query{question(`MAX("rtt_p95_seconds")`, "webrtc", step+`, "site" fill(null)`, ofSites), "$tag_site"}),
				{Type: "table", Title: "Từng xã, phường", Description: "All calls of the range.", W: 24, H: 9, Source: Rows,
					Columns: []Column{{"mos_min", "none", mos}, {"setup_max", "s", limitOf("webrtc.setup_seconds", "")}, {"rtt_max", "s", limitOf("webrtc.rtt_p95_seconds", "")}},
					Queries: []Query{{Text: question(`COUNT("setup_seconds") AS "calls", MIN("mos_audio") AS "mos_min", MAX("setup_seconds") AS "setup_max", MAX("rtt_p95_seconds") AS "rtt_max"`, "webrtc", `"site"`, ofSites)}}},
			}},
			{Title: "Phòng họp và dịch vụ", Panels: []Panel{
				chart("Lượt đo đạt của lớp họp trực tuyến", "Rows that are up by all rows, by kind of check.", "percentunit", 12, Rows, nil,
					Query{question(upOfRows, "check", step+`, "kind" fill(null)`, ofSites, `"layer" = 'conference'`), "$tag_kind"}),
				chart("Trả lời SIP, STUN, H.323", "The slowest answer of each step.", "s", 12, Rows, nil,
					Query{question(`MAX("response_seconds")`, "sip", step+` fill(null)`, ofSites), "SIP"},
					Query{question(`MAX("response_seconds")`, "stun", step+` fill(null)`, ofSites), "STUN"},
					Query{question(`MAX("connect_seconds")`, "h323", step+` fill(null)`, ofSites), "H.323"}),
				{Type: "table", Title: "Thiết bị hội nghị", Description: "What endpoints said of themselves last.", W: 24, H: 8, Source: Rows,
					Queries: []Query{{Text: question(`LAST("h323") AS "h323", LAST("sip") AS "sip", LAST("in_call") AS "in_call", LAST("camera") AS "camera", LAST("microphone") AS "microphone", LAST("display") AS "display"`,
						"snmp_endpoint", `"site", "target"`, ofSites)}}},
			}},
			past(
				chart("Mất gói của cuộc gọi, 1 năm", "Lost by sent, from windows of a day.", "percentunit", 12, Days, loss,
					Query{question(lossOfWindows, "webrtc_flow", step+`, "direction", "media" fill(null)`, ofSites), "$tag_direction $tag_media"}).long("1y"),
				chart("Điểm nghe nói trung bình và thấp nhất, 1 năm", "Sum of the scores by their number, and the worst; from windows of a day.", "none", 12, Days, mos,
					Query{question(`SUM("mos_audio_sum") / SUM("mos_audio_count")`, "webrtc", step+` fill(null)`, ofSites), "trung bình"},
					Query{question(`MIN("mos_audio_min")`, "webrtc", step+` fill(null)`, ofSites), "thấp nhất"}).long("1y"),
			),
		},
	}
}

func inventory() Dashboard {
	by := step + `, "site", "target" fill(null)`
	return Dashboard{
		UID: "communewatch-inventory", Title: "Thiết bị", From: "now-24h", Variables: []Variable{sites},
		Description: "Equipment: what it says it is, and how it fares. What is due for replacement is on the collector's own pages.",
		Rows: []Row{
			{Title: "Thiết bị mạng (SNMP)", Panels: []Panel{
				{Type: "table", Title: "Thiết bị nói về mình", Description: "The last known of each device that answers SNMP.", W: 24, H: 9, Source: Rows, SortBy: "storage",
					Columns: []Column{{"uptime", "dtdurations", nil}, {"cpu", "percentunit", nil}, {"memory", "percentunit", nil}, {"storage", "percentunit", nil}, {"temperature", "celsius", nil}},
					Queries: []Query{{Text: question(`LAST("uptime_seconds") AS "uptime", LAST("cpu_ratio") AS "cpu", LAST("memory_used_ratio") AS "memory", LAST("storage_used_ratio") AS "storage", LAST("temperature_celsius") AS "temperature", LAST("interfaces_up") AS "up"`,
						"snmp_device", `"site", "target"`, ofSites)}}},
				chart("Bộ xử lý của thiết bị", "The largest of each step.", "percentunit", 12, Rows, nil, Query{question(`MAX("cpu_ratio")`, "snmp_device", by, ofSites), "$tag_site $tag_target"}).ratio(),
				chart("Nhiệt độ", "The hottest sensor. Limits are the device's affair.", "celsius", 12, Rows, nil, Query{question(`MAX("temperature_celsius")`, "snmp_device", by, ofSites), "$tag_site $tag_target"}),
				chart("Mức dùng cổng, hướng vào", "The busiest of each step, as a share of the port's speed.", "percentunit", 12, Rows, nil,
					Query{question(`MAX("in_use_ratio")`, "snmp_if", step+`, "site", "target", "interface" fill(null)`, ofSites), "$tag_site $tag_target $tag_interface"}).ratio(),
				chart("Lỗi và gói bị bỏ trên cổng", "Sums of each step: damaged, not sent, dropped.", "short", 12, Rows, nil,
					Query{question(`SUM("in_errors") + SUM("out_errors") + SUM("in_discards") + SUM("out_discards")`, "snmp_if", step+`, "site", "target" fill(null)`, ofSites), "$tag_site $tag_target"}),
			}},
			{Title: "Nguồn điện và máy in", Panels: []Panel{
				{Type: "table", Title: "Bộ lưu điện (UPS)", Description: "The last known. On battery means that the mains are out.", W: 12, H: 8, Source: Rows,
					Columns: []Column{{"battery", "none", limitOf("snmp_ups.on_battery", "")}, {"charge", "percentunit", nil}, {"load", "percentunit", nil}, {"left", "s", nil}},
					Queries: []Query{{Text: question(`LAST("on_battery") AS "battery", LAST("charge_ratio") AS "charge", LAST("load_ratio") AS "load", LAST("runtime_seconds") AS "left", LAST("battery_status") AS "status"`, "snmp_ups", `"site", "target"`, ofSites)}}},
				{Type: "table", Title: "Máy in", Description: "The last known.", W: 12, H: 8, Source: Rows,
					Columns: []Column{{"supply", "percentunit", nil}},
					Queries: []Query{{Text: question(`LAST("status") AS "status", LAST("trouble") AS "trouble", LAST("pages") AS "pages", LAST("supply_lowest_ratio") AS "supply"`, "snmp_printer", `"site", "target"`, ofSites)}}},
			}},
			{Title: "Hồ sơ thiết bị", Panels: []Panel{
				{Type: "table", Title: "Dữ kiện thu được", Description: "Each fact that a check found, with its evidence; the range must hold its last finding.", W: 24, H: 12, Source: Rows,
					Columns: []Column{{"confidence", "percentunit", nil}},
					Queries: []Query{{Text: question(`LAST("value") AS "value", LAST("source") AS "source", LAST("confidence_ratio") AS "confidence"`, "equipment", `"site", "target", "device", "fact"`, ofSites)}}},
			}},
			past(
				chart("Lượng dữ liệu trung bình qua cổng, 90 ngày", "Sum of the rates by their number, from windows of an hour.", "bps", 12, Hours, nil,
					Query{question(`SUM("in_bps_sum") / SUM("in_bps_count")`, "snmp_if", step+`, "site", "target", "interface" fill(null)`, ofSites), "$tag_site $tag_target $tag_interface"}).long("90d"),
				chart("Nhiệt độ cao nhất, 1 năm", "From windows of a day.", "celsius", 12, Days, nil, Query{question(`MAX("temperature_celsius_max")`, "snmp_device", by, ofSites), "$tag_site $tag_target"}).long("1y"),
			),
		},
	}
}

func fleet() Dashboard {
	of := []string{ofSites, `"agent" =~ /^$agent$/`}
	by := step + `, "site", "agent" fill(null)`
	name := "$tag_site $tag_agent"
	return Dashboard{
		UID: "communewatch-fleet", Title: "Máy đo", From: "now-6h", Variables: []Variable{sites, agents},
		Description: "The agents themselves: what waits to be sent, whose clock is wrong, who is short of processor time.",
		Rows: []Row{
			{Title: "Hàng đợi và đồng hồ", Panels: []Panel{
				chart("Kết quả chờ gửi lâu nhất", "Age of the oldest batch that the collector has not acknowledged.", "s", 12, Rows, nil, Query{question(`MAX("spool_age_seconds")`, "agent", by, of...), name}),
				chart("Dung lượng chờ gửi", "What lies on the agents' disks.", "bytes", 12, Rows, nil, Query{question(`MAX("spool_bytes")`, "agent", by, of...), name}),
				chart("Lệch đồng hồ", "The collector's clock minus the agent's.", "s", 12, Rows, nil, Query{question(`LAST("clock_offset_seconds")`, "agent", by, of...), name}),
				chart("Gửi không thành", "Failed deliveries in each step.", "short", 12, Rows, nil,
					Query{`SELECT NON_NEGATIVE_DIFFERENCE(MAX("send_failures")) FROM "agent" WHERE $timeFilter AND ` + strings.Join(of, " AND ") + ` GROUP BY ` + by, name}),
			}},
			{Title: "Tải của máy", Panels: []Panel{
				chart("Bộ xử lý của chương trình đo", "Processor time used, by time.", "percentunit", 12, Rows, nil,
					Query{`SELECT NON_NEGATIVE_DERIVATIVE(MAX("cpu_seconds"), 1s) FROM "agent" WHERE $timeFilter AND ` + strings.Join(of, " AND ") + ` GROUP BY ` + by, name}),
				chart("Bộ nhớ của chương trình đo", "Resident memory.", "bytes", 12, Rows, nil, Query{question(`MAX("rss_bytes")`, "agent", by, of...), name}),
				chart("Trễ của bộ định giờ", "How late an agent's own timers were at worst: twice that much of a measured time may be the machine's.", "s", 12, Rows, nil,
					Query{question(`MAX("late_seconds")`, "check", by, of...), name}),
				chart("Lượt đo bị bỏ vì lượt trước chưa xong", "In each step.", "short", 12, Rows, nil,
					Query{`SELECT NON_NEGATIVE_DIFFERENCE(MAX("overruns")) FROM "agent" WHERE $timeFilter AND ` + strings.Join(of, " AND ") + ` GROUP BY ` + by, name}),
			}},
			{Title: "Danh sách", Panels: []Panel{
				{Type: "table", Title: "Phiên bản và tình trạng", Description: "What each agent said last within the range.", W: 24, H: 12, Source: Rows, SortBy: "spool_age",
					Columns: []Column{{"uptime", "dtdurations", nil}, {"spool_age", "s", nil}, {"clock", "s", nil}, {"rss", "bytes", nil}},
					Queries: []Query{{Text: question(`LAST("version") AS "version", LAST("os") AS "os", LAST("uptime_seconds") AS "uptime", LAST("checks") AS "checks", LAST("spool_age_seconds") AS "spool_age", LAST("clock_offset_seconds") AS "clock", LAST("rss_bytes") AS "rss", LAST("spool_dropped") AS "dropped", LAST("spool_quarantined") AS "quarantined"`,
						"agent", `"site", "agent"`, of...)}}},
			}},
			past(
				chart("Kết quả chờ gửi lâu nhất, 90 ngày", "The worst of each hour.", "s", 12, Hours, nil, Query{question(`MAX("spool_age_seconds_max")`, "agent", by, of...), name}).long("90d"),
				chart("Bộ nhớ lớn nhất, 90 ngày", "The largest of each hour.", "bytes", 12, Hours, nil, Query{question(`MAX("rss_bytes_max")`, "agent", by, of...), name}).long("90d"),
			),
		},
	}
}
