// Package phrase says in words, in Vietnamese and English, why a state is what it is. Vietnamese is the first
// language: numbers have a decimal comma, times are local (Asia/Ho_Chi_Minh) and days are written dd/mm/yyyy, in both
// languages, since the readers of both sit in the same offices.
package phrase

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/health"
	"communewatch/probes"
	"communewatch/probes/presence"
)

// Lang is a language of the screens.
type Lang string

// The languages.
const (
	Vietnamese Lang = "vi"
	English    Lang = "en"
)

// Langs lists the languages, the first one first.
func Langs() []Lang { return []Lang{Vietnamese, English} }

// Parse returns the language called s.
func Parse(s string) (Lang, bool) {
	switch l := Lang(strings.ToLower(s)); l {
	case Vietnamese, English:
		return l, true
	}
	return "", false
}

// Zone is local time. Vietnam has no summer time, so no zone database is needed.
var Zone = time.FixedZone("Asia/Ho_Chi_Minh", 7*60*60)

// Reason returns the sentence for a reason, "" for none. now decides whether a time is told without its day.
func Reason(l Lang, r health.Reason, now time.Time) string {
	p := phraser{lang: l, now: now}
	switch r.Code {
	case health.ReasonThreshold:
		return p.threshold(r)
	case health.ReasonOutcome:
		return p.outcome(r)
	case health.ReasonAgent:
		what := p.pick("Máy đo ", "Agent ") + r.Check.Agent + p.pick(" không đo được ", " cannot measure ") + r.Check.Target
		return what + ": " + p.own(r.Outcome)
	case health.ReasonWaived:
		return p.pick("Tạm hoãn đo ", "No test yet of ") + r.Check.Target + ": " + p.own(r.Outcome)
	case health.ReasonOverloaded:
		return p.pick("Máy đo ", "Agent ") + r.Check.Agent + p.pick(" quá tải, thời gian đo được không đáng tin", " is overloaded, its measured times can't be trusted")
	case health.ReasonSilent:
		return p.pick("Không có kết quả từ ", "No result since ") + p.since(r.Value)
	case health.ReasonStopped:
		return p.stopped(r.Text) + p.since(r.Value)
	case health.ReasonNeverSeen:
		return p.pick("Chưa nhận được kết quả nào", "No result was ever received")
	case health.ReasonMaintenance:
		if r.Text == "" {
			return p.pick("Đang bảo trì", "Under maintenance")
		}
		return p.pick("Đang bảo trì: ", "Under maintenance: ") + r.Text
	case health.ReasonClosed:
		return p.pick("Ngoài giờ làm việc, không có kết quả từ ", "Outside office hours, no result since ") + p.since(r.Value)
	}
	return ""
}

// Layered returns the sentence for the reason of a site or of one of its layers. A check's own sentence beside a site's
// name would be read as the whole site's: a conference endpoint that refuses is not an office without a line. So it
// begins with the layer, where results of that layer are the reason. Silence, maintenance and an agent's trouble are
// told as they are: they are rarely one layer's alone.
func Layered(l Lang, r health.Reason, now time.Time) string {
	text := Reason(l, r, now)
	if r.Code != health.ReasonThreshold && r.Code != health.ReasonOutcome || r.Check.Layer == "" {
		return text
	}
	return (phraser{lang: l}).layer(r.Check.Layer) + ": " + lower(text)
}

// lower makes a sentence go on after a colon.
func lower(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToLower(first)) + text[size:]
}

type phraser struct {
	lang Lang
	now  time.Time
}

func (p phraser) pick(vi, en string) string {
	if p.lang == English {
		return en
	}
	return vi
}

// layer names a layer as the screens do.
func (p phraser) layer(l probes.Layer) string {
	switch l {
	case probes.LayerLAN:
		return p.pick("Mạng LAN", "LAN")
	case probes.LayerBroadband:
		return p.pick("Internet băng rộng", "Broadband")
	case probes.LayerDedicated:
		return p.pick("Mạng chuyên dùng", "Dedicated")
	case probes.LayerConference:
		return p.pick("Hội nghị truyền hình", "Conference")
	}
	return string(l)
}

func (p phraser) threshold(r health.Reason) string {
	t := r.Check.Target
	var text, value, limit string
	switch {
	case r.Field == "icmp.loss_ratio":
		text, value, limit = p.pick("Mất gói {v} tới {t}", "{v} packet loss to {t}"), p.percent(r.Value), p.percent(r.Limit)
	case r.Field == "icmp.df_ok":
		return strings.ReplaceAll(p.pick("Gói tin cỡ lớn không tới được {t} (kiểm tra MTU)", "Full-size packets do not reach {t} (check the MTU)"), "{t}", t)
	case r.Field == "icmp.jitter_seconds":
		text, value, limit = p.pick("Độ trễ tới {t} dao động {v}", "Jitter of {v} to {t}"), p.seconds(r.Value), p.seconds(r.Limit)
	case strings.HasPrefix(r.Field, "icmp.rtt_"):
		text, value, limit = p.pick("Độ trễ tới {t} là {v}", "Round trip to {t} takes {v}"), p.seconds(r.Value), p.seconds(r.Limit)
	case r.Field == "tcp.connect_seconds":
		text, value, limit = p.pick("Kết nối tới {t} mất {v}", "Connecting to {t} takes {v}"), p.seconds(r.Value), p.seconds(r.Limit)
	case r.Field == "dns.query_seconds":
		text, value, limit = p.pick("Phân giải tên miền ({t}) mất {v}", "Resolving names ({t}) takes {v}"), p.seconds(r.Value), p.seconds(r.Limit)
	case r.Field == "http.total_seconds":
		text, value, limit = p.pick("Tải trang {t} mất {v}", "Loading {t} takes {v}"), p.seconds(r.Value), p.seconds(r.Limit)
	case r.Field == "webrtc_flow.loss_ratio":
		text, value, limit = p.pick("Gọi thử tới {t} mất {v} gói tin{r}", "The test call to {t} lost {v} of its packets{r}"), p.percent(r.Value), p.percent(r.Limit)
	case r.Field == "webrtc_flow.discard_ratio":
		text, value, limit = p.pick("Gọi thử tới {t} có {v} gói tin đến quá muộn{r}", "In the test call to {t}, {v} of packets came too late{r}"), p.percent(r.Value), p.percent(r.Limit)
	case r.Field == "webrtc.rtt_p95_seconds":
		text, value, limit = p.pick("Độ trễ khi gọi thử tới {t} là {v}", "Round trip in the test call to {t} takes {v}"), p.seconds(r.Value), p.seconds(r.Limit)
	case r.Field == "webrtc.setup_seconds":
		text, value, limit = p.pick("Thiết lập cuộc gọi thử tới {t} mất {v}", "Setting up the test call to {t} takes {v}"), p.seconds(r.Value), p.seconds(r.Limit)
	case r.Field == "webrtc.mos_audio":
		text, value, limit = p.pick("Chất lượng tiếng khi gọi thử tới {t} ước đạt {v}/5", "Speech in the test call to {t} is estimated at {v} of 5"), p.number(r.Value, 1), p.number(r.Limit, 1)
	case r.Field == "http.cert_expiry_seconds" && r.Value < 0, r.Field == "sip.cert_expiry_seconds" && r.Value < 0:
		return strings.ReplaceAll(p.pick("Chứng thư số của {t} đã hết hạn", "The certificate of {t} has expired"), "{t}", t)
	case r.Field == "http.cert_expiry_seconds", r.Field == "sip.cert_expiry_seconds":
		text, value, limit = p.pick("Chứng thư số của {t} còn hạn {v}", "The certificate of {t} expires in {v}"), p.days(r.Value), p.days(r.Limit)
	case r.Field == "snmp_ups.on_battery":
		return strings.ReplaceAll(p.pick("Mất điện lưới: {t} đang chạy bằng ắc quy", "The mains are out: {t} runs on its battery"), "{t}", t)
	default:
		text, value, limit = r.Field+" {t}: {v}", p.number(r.Value, 3), p.number(r.Limit, 3)
	}
	return strings.NewReplacer("{t}", t, "{v}", value, "{r}", p.flow(r.Row)).Replace(text) + p.pick(" (ngưỡng ", " (limit ") + limit + ")"
}

func (p phraser) outcome(r health.Reason) string {
	t := r.Check.Target
	if r.Check.Kind == probes.KindSNMP { // which is not the same as being down
		switch r.Outcome {
		case probes.OutcomeTimeout:
			return t + p.pick(" không trả lời SNMP", " does not answer SNMP")
		case probes.OutcomeRefused:
			return t + p.pick(" không bật SNMP", " has SNMP switched off")
		}
	}
	if r.Outcome == probes.OutcomeTimeout {
		switch r.Check.Kind {
		case probes.KindSIP:
			return t + p.pick(" không trả lời SIP", " does not answer SIP")
		case probes.KindH323:
			return t + p.pick(" không trả lời H.323", " does not answer H.323")
		case probes.KindSTUN:
			return t + p.pick(" không trả lời STUN", " does not answer STUN")
		case probes.KindWebRTC:
			return p.pick("Không gọi thử được tới ", "No test call gets through to ") + t
		}
	}
	if r.Outcome == probes.OutcomeFailed && r.Check.Kind == probes.KindWebRTC {
		text := p.pick("Gọi thử tới ", "The test call to ") + t + p.pick(" không thành công", " failed")
		return p.quoting(text, r.Text)
	}
	switch r.Outcome {
	case probes.OutcomeTimeout:
		return t + p.pick(" không trả lời", " does not answer")
	case probes.OutcomeRefused:
		return t + p.pick(" từ chối kết nối", " refuses the connection")
	case probes.OutcomeUnreachable:
		return p.pick("Không có đường tới ", "No route to ") + t
	case probes.OutcomeUnresolved:
		return p.pick("Không phân giải được tên của ", "The name of ") + t + p.pick("", " does not resolve")
	}
	text := t + p.pick(" trả lời không đúng", " answers wrongly")
	return p.quoting(text, r.Text)
}

// quoting adds what an agent said, which is English: beside Vietnamese it stands in brackets.
func (p phraser) quoting(text, said string) string {
	if said == "" {
		return text
	}
	return text + p.pick(" ("+said+")", ": "+said)
}

// Own says in words of a sentence what kept an agent from measuring, for outcomes that are the agent's own; of others it
// returns the outcome's name.
func Own(l Lang, o probes.Outcome) string { return phraser{lang: l}.own(o) }

// own says what keeps an agent from measuring.
func (p phraser) own(o probes.Outcome) string {
	switch o {
	case probes.OutcomeNoPermission:
		return p.pick("không đủ quyền", "not permitted")
	case probes.OutcomeBadConfig:
		return p.pick("cấu hình sai", "wrong configuration")
	case probes.OutcomeUnbound:
		return p.pick("không thấy cổng mạng hoặc địa chỉ của đường truyền này", "the network port or address of this path is missing")
	case probes.OutcomeWrongPath:
		return p.pick("gói tin đi sai đường truyền", "packets leave by another path")
	case probes.OutcomeOverrun:
		return p.pick("máy quá chậm, lần đo trước chưa xong", "the machine is too slow, the run before was not over")
	case probes.OutcomePanic:
		return p.pick("chương trình đo gặp lỗi", "the measuring program failed")
	case probes.OutcomeCanceled:
		return p.pick("chương trình đo đang dừng", "the measuring program is stopping")
	case probes.OutcomeHeld:
		return p.pick("đang có cuộc họp, hoặc phép đo sẽ chiếm đường truyền quá mức cho phép", "a meeting is on, or it would take more of the line than it may")
	case probes.OutcomeBusy:
		return p.pick("đầu bên kia đang bận, tạm thời không nhận thêm phép đo", "the far end is busy and takes no more tests for now")
	case probes.OutcomeOverloaded:
		return p.pick("máy đo hoặc đầu bên kia quá tải trong lúc đo", "the agent's machine or the far end was overloaded meanwhile")
	}
	return o.String()
}

// flow says which part of a call is meant, by the row of webrtc_flow.
func (p phraser) flow(row string) string {
	direction, media, ok := strings.Cut(row, "/")
	if !ok {
		return ""
	}
	var way string
	switch probes.Direction(direction) {
	case probes.DirectionUp:
		way = p.pick("chiều lên", "on the way up")
	case probes.DirectionDown:
		way = p.pick("chiều xuống", "on the way down")
	default:
		way = p.pick("cả hai chiều", "both ways together")
	}
	if probes.Media(media) == probes.MediaAudio {
		return p.pick(" ("+way+", tiếng)", " (speech, "+way+")")
	}
	return p.pick(" ("+way+", hình)", " (video, "+way+")")
}

// stopped says what its agent said before it fell silent; see package presence.
func (p phraser) stopped(why string) string {
	switch presence.Reason(why) {
	case presence.StopShutdown:
		return p.pick("Máy đã được tắt lúc ", "Switched off at ")
	case presence.StopUpdate:
		return p.pick("Chương trình đo dừng để cập nhật lúc ", "The measuring program stopped for an update at ")
	}
	return p.pick("Chương trình đo đã được dừng lúc ", "The measuring program was stopped at ")
}

// since tells a time: the hour alone when it is today.
func (p phraser) since(unix float64) string {
	t := time.UnixMilli(int64(math.Round(unix * 1000))).In(Zone)
	now := p.now.In(Zone)
	text := t.Format("15:04")
	if t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		text += p.pick(" ngày ", " on ") + t.Format("02/01/2006")
	}
	return text
}

func (p phraser) percent(v float64) string { return p.number(v*100, 1) + " %" }

func (p phraser) seconds(v float64) string {
	if math.Abs(v) < 1 {
		digits := 0
		if math.Abs(v) < 0.01 {
			digits = 1
		}
		return p.number(v*1000, digits) + " ms"
	}
	return p.number(v, 1) + p.pick(" giây", " s")
}

func (p phraser) days(v float64) string {
	n := math.Floor(v / 86400)
	if n == 1 && p.lang == English {
		return "1 day"
	}
	return p.number(n, 0) + p.pick(" ngày", " days")
}

// number writes v with at most digits decimals and no idle zeros.
func (p phraser) number(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if p.lang == English {
		return s
	}
	return strings.Replace(s, ".", ",", 1)
}

// Refused says that an agent did not take what it was given to do; why is its first reason, and may be empty.
func Refused(l Lang, why string) string {
	text := phraser{lang: l}.pick("Máy đo không nhận kế hoạch được giao", "The agent did not take the plan that it was given")
	if why == "" {
		return text
	}
	return text + ": " + why
}
