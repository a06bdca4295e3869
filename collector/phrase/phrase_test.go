package phrase

import (
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/probes"
)

func TestReason(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, Zone)
	id := health.CheckID{Site: "s1", Agent: "pc", Target: "anchor-bb"}
	limit := func(field string, value, limit float64) health.Reason {
		return health.Reason{Code: health.ReasonThreshold, Check: id, Field: field, Value: value, Limit: limit}
	}
	ended := func(o probes.Outcome) health.Reason {
		return health.Reason{Code: health.ReasonOutcome, Check: id, Outcome: o, Text: "status 500, want 200"}
	}
	over := func(k probes.Kind, o probes.Outcome) health.Reason {
		r := ended(o)
		r.Check.Kind = k
		return r
	}
	overSNMP := func(o probes.Outcome) health.Reason { return over(probes.KindSNMP, o) }
	flow := func(field, row string, value, most float64) health.Reason {
		r := limit(field, value, most)
		r.Row = row
		return r
	}
	at := func(day, hour, minute int) float64 {
		return float64(time.Date(2026, 11, day, hour, minute, 0, 0, Zone).Unix())
	}
	for _, tc := range []struct {
		reason health.Reason
		vi, en string
	}{
		{health.Reason{}, "", ""},
		{limit("icmp.loss_ratio", 0.0823, 0.01), "Mất gói 8,2 % tới anchor-bb (ngưỡng 1 %)", "8.2 % packet loss to anchor-bb (limit 1 %)"},
		{limit("icmp.rtt_p95_seconds", 0.3126, 0.2), "Độ trễ tới anchor-bb là 313 ms (ngưỡng 200 ms)", "Round trip to anchor-bb takes 313 ms (limit 200 ms)"},
		{limit("icmp.jitter_seconds", 0.0064, 0.005), "Độ trễ tới anchor-bb dao động 6,4 ms (ngưỡng 5 ms)", "Jitter of 6.4 ms to anchor-bb (limit 5 ms)"},
		{limit("icmp.df_ok", 0, 1), "Gói tin cỡ lớn không tới được anchor-bb (kiểm tra MTU)", "Full-size packets do not reach anchor-bb (check the MTU)"},
		{limit("tcp.connect_seconds", 1.25, 1), "Kết nối tới anchor-bb mất 1,2 giây (ngưỡng 1 giây)", "Connecting to anchor-bb takes 1.2 s (limit 1 s)"},
		{limit("http.cert_expiry_seconds", 13.9*86400, 14*86400), "Chứng thư số của anchor-bb còn hạn 13 ngày (ngưỡng 14 ngày)", "The certificate of anchor-bb expires in 13 days (limit 14 days)"},
		{limit("http.cert_expiry_seconds", -1, 14*86400), "Chứng thư số của anchor-bb đã hết hạn", "The certificate of anchor-bb has expired"},
		{limit("icmp.reordered", 3, 2), "icmp.reordered anchor-bb: 3 (ngưỡng 2)", "icmp.reordered anchor-bb: 3 (limit 2)"},
		{ended(probes.OutcomeTimeout), "anchor-bb không trả lời", "anchor-bb does not answer"},
		{ended(probes.OutcomeFailed), "anchor-bb trả lời không đúng (status 500, want 200)", "anchor-bb answers wrongly: status 500, want 200"},
		{limit("snmp_ups.on_battery", 1, 1), "Mất điện lưới: anchor-bb đang chạy bằng ắc quy", "The mains are out: anchor-bb runs on its battery"},
		{overSNMP(probes.OutcomeTimeout), "anchor-bb không trả lời SNMP", "anchor-bb does not answer SNMP"},
		{overSNMP(probes.OutcomeRefused), "anchor-bb không bật SNMP", "anchor-bb has SNMP switched off"},
		{overSNMP(probes.OutcomeUnreachable), "Không có đường tới anchor-bb", "No route to anchor-bb"},
		{ended(probes.OutcomeUnreachable), "Không có đường tới anchor-bb", "No route to anchor-bb"},
		{health.Reason{Code: health.ReasonAgent, Check: id, Outcome: probes.OutcomeNoPermission}, "Máy đo pc không đo được anchor-bb: không đủ quyền", "Agent pc cannot measure anchor-bb: not permitted"},
		{health.Reason{Code: health.ReasonAgent, Check: id, Outcome: probes.OutcomeOverloaded}, "Máy đo pc không đo được anchor-bb: máy đo hoặc đầu bên kia quá tải trong lúc đo",
			"Agent pc cannot measure anchor-bb: the agent's machine or the far end was overloaded meanwhile"},
		{health.Reason{Code: health.ReasonWaived, Check: id, Outcome: probes.OutcomeHeld}, "Tạm hoãn đo anchor-bb: đang có cuộc họp, hoặc phép đo sẽ chiếm đường truyền quá mức cho phép",
			"No test yet of anchor-bb: a meeting is on, or it would take more of the line than it may"},
		{health.Reason{Code: health.ReasonWaived, Check: id, Outcome: probes.OutcomeBusy}, "Tạm hoãn đo anchor-bb: đầu bên kia đang bận, tạm thời không nhận thêm phép đo",
			"No test yet of anchor-bb: the far end is busy and takes no more tests for now"},
		{flow("webrtc_flow.loss_ratio", "up/video", 0.034, 0.01), "Gọi thử tới anchor-bb mất 3,4 % gói tin (chiều lên, hình) (ngưỡng 1 %)",
			"The test call to anchor-bb lost 3.4 % of its packets (video, on the way up) (limit 1 %)"},
		{flow("webrtc_flow.discard_ratio", "down/audio", 0.02, 0.01), "Gọi thử tới anchor-bb có 2 % gói tin đến quá muộn (chiều xuống, tiếng) (ngưỡng 1 %)",
			"In the test call to anchor-bb, 2 % of packets came too late (speech, on the way down) (limit 1 %)"},
		{limit("webrtc.setup_seconds", 6.2, 5), "Thiết lập cuộc gọi thử tới anchor-bb mất 6,2 giây (ngưỡng 5 giây)", "Setting up the test call to anchor-bb takes 6.2 s (limit 5 s)"},
		{limit("webrtc.mos_audio", 3.14, 3.6), "Chất lượng tiếng khi gọi thử tới anchor-bb ước đạt 3,1/5 (ngưỡng 3,6)", "Speech in the test call to anchor-bb is estimated at 3.1 of 5 (limit 3.6)"},
		{limit("sip.cert_expiry_seconds", -1, 14*86400), "Chứng thư số của anchor-bb đã hết hạn", "The certificate of anchor-bb has expired"},
		{over(probes.KindSIP, probes.OutcomeTimeout), "anchor-bb không trả lời SIP", "anchor-bb does not answer SIP"},
		{over(probes.KindH323, probes.OutcomeTimeout), "anchor-bb không trả lời H.323", "anchor-bb does not answer H.323"},
		{over(probes.KindH323, probes.OutcomeRefused), "anchor-bb từ chối kết nối", "anchor-bb refuses the connection"},
		{over(probes.KindWebRTC, probes.OutcomeTimeout), "Không gọi thử được tới anchor-bb", "No test call gets through to anchor-bb"},
		{over(probes.KindWebRTC, probes.OutcomeFailed), "Gọi thử tới anchor-bb không thành công (status 500, want 200)", "The test call to anchor-bb failed: status 500, want 200"},
		{health.Reason{Code: health.ReasonSilent, Check: id, Value: at(23, 8, 5)}, "Không có kết quả từ 08:05", "No result since 08:05"},
		{health.Reason{Code: health.ReasonSilent, Check: id, Value: at(22, 14, 5)}, "Không có kết quả từ 14:05 ngày 22/11/2026", "No result since 14:05 on 22/11/2026"},
		{health.Reason{Code: health.ReasonMaintenance, Text: "đổi bộ chia mạng"}, "Đang bảo trì: đổi bộ chia mạng", "Under maintenance: đổi bộ chia mạng"},
		{health.Reason{Code: health.ReasonClosed, Value: at(22, 17, 0)}, "Ngoài giờ làm việc, không có kết quả từ 17:00 ngày 22/11/2026", "Outside office hours, no result since 17:00 on 22/11/2026"},
		{health.Reason{Code: health.ReasonOverloaded, Check: id}, "Máy đo pc quá tải, thời gian đo được không đáng tin", "Agent pc is overloaded, its measured times can't be trusted"},
		{health.Reason{Code: health.ReasonStopped, Check: id, Value: at(23, 8, 5), Text: "shutdown"}, "Máy đã được tắt lúc 08:05", "Switched off at 08:05"},
		{health.Reason{Code: health.ReasonStopped, Check: id, Value: at(22, 17, 2), Text: "service"}, "Chương trình đo đã được dừng lúc 17:02 ngày 22/11/2026", "The measuring program was stopped at 17:02 on 22/11/2026"},
		{health.Reason{Code: health.ReasonStopped, Check: id, Value: at(23, 8, 5), Text: "update"}, "Chương trình đo dừng để cập nhật lúc 08:05", "The measuring program stopped for an update at 08:05"},
		{health.Reason{Code: health.ReasonStopped, Check: id, Value: at(23, 8, 5), Text: "<script>"}, "Chương trình đo đã được dừng lúc 08:05", "The measuring program was stopped at 08:05"},
		{health.Reason{Code: health.ReasonNeverSeen}, "Chưa nhận được kết quả nào", "No result was ever received"},
	} {
		if got := Reason(Vietnamese, tc.reason, now); got != tc.vi {
			t.Errorf("\n got %q\nwant %q", got, tc.vi)
		}
		if got := Reason(English, tc.reason, now); got != tc.en {
			t.Errorf("\n got %q\nwant %q", got, tc.en)
		}
	}
}

// TestLayeredNamesTheLayer: the list of the map says what of a site is meant.
func TestLayeredNamesTheLayer(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, Zone)
	on := func(layer probes.Layer, r health.Reason) health.Reason {
		r.Check = health.CheckID{Site: "s1", Agent: "pc", Target: "portal", Layer: layer}
		return r
	}
	for _, tc := range []struct {
		reason health.Reason
		vi, en string
	}{
		{on(probes.LayerBroadband, health.Reason{Code: health.ReasonThreshold, Field: "http.total_seconds", Value: 4, Limit: 3}),
			"Internet băng rộng: tải trang portal mất 4 giây (ngưỡng 3 giây)", "Broadband: loading portal takes 4 s (limit 3 s)"},
		{on(probes.LayerLAN, health.Reason{Code: health.ReasonThreshold, Field: "icmp.rtt_p95_seconds", Value: 0.185, Limit: 0.05}),
			"Mạng LAN: độ trễ tới portal là 185 ms (ngưỡng 50 ms)", "LAN: round trip to portal takes 185 ms (limit 50 ms)"},
		{on(probes.LayerConference, health.Reason{Code: health.ReasonOutcome, Outcome: probes.OutcomeRefused}),
			"Hội nghị truyền hình: portal từ chối kết nối", "Conference: portal refuses the connection"},
		{on(probes.LayerDedicated, health.Reason{Code: health.ReasonOutcome, Outcome: probes.OutcomeUnreachable}),
			"Mạng chuyên dùng: không có đường tới portal", "Dedicated: no route to portal"},
		{on(probes.LayerLAN, health.Reason{Code: health.ReasonAgent, Outcome: probes.OutcomeUnbound}),
			"Máy đo pc không đo được portal: không thấy cổng mạng hoặc địa chỉ của đường truyền này", "Agent pc cannot measure portal: the network port or address of this path is missing"},
		{on(probes.LayerLAN, health.Reason{Code: health.ReasonMaintenance}), "Đang bảo trì", "Under maintenance"},
		{health.Reason{Code: health.ReasonNeverSeen}, "Chưa nhận được kết quả nào", "No result was ever received"},
		{health.Reason{}, "", ""},
	} {
		if got := Layered(Vietnamese, tc.reason, now); got != tc.vi {
			t.Errorf("\n got %q\nwant %q", got, tc.vi)
		}
		if got := Layered(English, tc.reason, now); got != tc.en {
			t.Errorf("\n got %q\nwant %q", got, tc.en)
		}
	}
	for _, layer := range probes.Layers() {
		if (phraser{lang: Vietnamese}).layer(layer) == string(layer) {
			t.Errorf("layer %s has no name", layer)
		}
	}
}

// TestEveryReasonHasWords finds a field with a default limit, an outcome or a code that was forgotten here.
func TestEveryReasonHasWords(t *testing.T) {
	now := time.Now()
	for _, l := range health.DefaultRules().Limits {
		r := health.Reason{Code: health.ReasonThreshold, Field: l.Field, Value: 1, Limit: 1}
		for _, lang := range Langs() {
			if got := Reason(lang, r, now); len(got) > len(l.Field) && got[:len(l.Field)] == l.Field {
				t.Errorf("%s: no sentence for %s", lang, l.Field)
			}
		}
	}
	for o := probes.OutcomeOK + 1; ; o++ {
		if _, known := probes.ParseOutcome(o.String()); !known {
			break
		}
		if o.Own() && (phraser{lang: Vietnamese}).own(o) == o.String() {
			t.Errorf("no words for %v", o)
		}
	}
}
