// Package words says in sentences, in both languages, what is not right about the collector's database and its rollups.
// Those who look at a map need to know what a database that is away means for what they see, not its name.
package words

import (
	"strings"
	"time"

	"communewatch/collector/clock"
	"communewatch/collector/phrase"
	"communewatch/collector/status"
)

// late is how far rollups may be behind before anybody is told: they are worked out once an hour is over, so that an
// hour and what it takes is the usual.
const late = 3 * time.Hour

func pick(l phrase.Lang, vi, en string) string {
	if l == phrase.English {
		return en
	}
	return vi
}

// Away says that the database does not answer, since when, and what that means for whoever looks; or that the collector
// has yet to read the recent past. It is "" while all is well.
func Away(l phrase.Lang, s status.Store, zone *time.Location) string {
	switch {
	case !s.Away && s.Replayed:
		return ""
	case !s.Away:
		return pick(l, "Máy chủ vừa khởi động và đang đọc lại số liệu gần đây; trạng thái các điểm sẽ có sau ít phút. Các trạm vẫn đo và giữ kết quả.",
			"The collector has just started and is reading the recent past; states of sites will be known in a few minutes. Agents go on measuring and keep their results.")
	case s.Since.IsZero():
		return pick(l, "Cơ sở dữ liệu không trả lời. Các trạm vẫn đo và giữ kết quả; số liệu trên màn hình chưa được cập nhật.",
			"The database does not answer. Agents go on measuring and keep their results; figures on screen are not up to date.")
	}
	since := s.Since.In(zone)
	return strings.NewReplacer("{time}", since.Format("15:04"), "{day}", since.Format("02/01/2006")).Replace(pick(l,
		"Cơ sở dữ liệu không trả lời từ {time} ngày {day}. Các trạm vẫn đo và giữ kết quả; số liệu trên màn hình dừng ở lúc đó.",
		"The database has not answered since {time} on {day}. Agents go on measuring and keep their results; figures on screen stop at that time."))
}

// Doubted says that the collector's own clock is not believed, what that means, and what ends it; "" while it is.
func Doubted(l phrase.Lang, d *clock.Doubt, zone *time.Location) string {
	if d == nil {
		return ""
	}
	moment := func(t time.Time) string { return t.In(zone).Format("15:04 02/01/2006") }
	text := pick(l, "Đồng hồ máy chủ chưa đáng tin: máy đang chỉ {machine}, còn giờ biết chắc gần nhất là {believed}. Hệ thống tạm chưa nhận số liệu mới và chưa xóa dữ liệu cũ; các trạm vẫn đo và giữ kết quả. ",
		"The collector's own clock can't be believed: it says {machine}, and the last time known for certain is {believed}. For now new results are not taken and old data are not removed; agents go on measuring and keep theirs. ")
	switch {
	case d.Far && (d.Agents.IsZero() || d.Agree > d.Differ):
		text += pick(l, "Nếu giờ máy đang chỉ là sai, hãy chỉnh lại đồng hồ máy chủ; nếu đúng, quản trị viên xác nhận bằng lệnh: communewatch-collector clock confirm.",
			"If that time is wrong, set the machine's clock right; if it is right, its administrator confirms it with: communewatch-collector clock confirm.")
	case d.Agents.IsZero() || d.Agree > d.Differ:
		text += pick(l, "Hệ thống tự trở lại bình thường khi các trạm xác nhận giờ này; nếu giờ sai, hãy chỉnh lại đồng hồ máy chủ.",
			"It goes on by itself once agents confirm that time; if it is wrong, set the machine's clock right.")
	default:
		text += pick(l, "Các trạm báo bây giờ là {agents}: hãy chỉnh lại đồng hồ máy chủ.", "Agents say that it is {agents}: set the machine's clock right.")
	}
	return strings.NewReplacer("{machine}", moment(d.Machine), "{believed}", moment(d.Believed), "{agents}", moment(d.Agents)).Replace(text)
}

// Warned says that the database answers but is not as it should be; "" without warnings.
func Warned(l phrase.Lang, s status.Store) string {
	if s.Away || len(s.Warnings) == 0 {
		return ""
	}
	return pick(l, "Cơ sở dữ liệu vẫn hoạt động nhưng có vấn đề cần người quản trị xem.", "The database works, but not as it should: its administrator should look.")
}

// Back says that what Away said is over.
func Back(l phrase.Lang) string {
	return pick(l, "Cơ sở dữ liệu đã hoạt động bình thường, số liệu được cập nhật trở lại.", "The database works, and figures are up to date again.")
}

// Behind says that figures of hours, days and months are not up to date: that working them out fails, or lags by hours. It
// is "" while all is well, and before anything was worked out.
func Behind(l phrase.Lang, s status.Status, now time.Time, zone *time.Location) string {
	r := s.Rollups
	if r.Failed == "" && (r.To.IsZero() || now.Sub(r.To) < late) {
		return ""
	}
	moment := func(t time.Time) string { return t.In(zone).Format("15:04 02/01/2006") }
	var text string
	switch {
	case r.Failed == "":
		text = pick(l, "Việc tổng hợp số liệu đang chậm: mới tổng hợp đến {to}.", "Summing figures up is behind: it has reached {to}.")
	case r.To.IsZero():
		text = pick(l, "Việc tổng hợp số liệu đang bị lỗi; hệ thống tự thử lại.", "Summing figures up fails; it is tried again by itself.")
	default:
		text = pick(l, "Việc tổng hợp số liệu đang bị lỗi, mới tổng hợp đến {to}; hệ thống tự thử lại.", "Summing figures up fails and has reached {to}; it is tried again by itself.")
	}
	return strings.ReplaceAll(text, "{to}", moment(r.To))
}
