package words

import (
	"strconv"
	"strings"
	"time"

	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
)

// problems are the Vietnamese sentences of problems; {0} and so on are their parameters. The English one is the
// problem's own Text.
var problems = map[string]string{
	rehearsal.ProblemNoMeeting:   "Hãy nhập tên cuộc họp",
	rehearsal.ProblemText:        "Chỉ dùng một dòng chữ, tối đa {0} byte",
	rehearsal.ProblemName:        "Tên không hợp lệ ({0})",
	rehearsal.ProblemPast:        "{0} đã qua; hãy chọn thời điểm sau, hoặc để trống để bắt đầu ngay",
	rehearsal.ProblemFar:         "{0} còn hơn một năm nữa mới tới",
	rehearsal.ProblemRate:        "{0} kbit/s: cần từ 0 đến {1}",
	rehearsal.ProblemNamed:       "Mức {0} đã có tốc độ riêng; hãy bỏ tên mức, hoặc bỏ các tốc độ",
	rehearsal.ProblemRates:       "Các tốc độ không dùng được với nhau ({0})",
	rehearsal.ProblemFPS:         "Số khung hình chỉ dùng khi có hình; hãy nhập tốc độ hình, hoặc để trống số khung hình",
	rehearsal.ProblemNoProfile:   "“{0}” không phải là một trong các mức {1}; hoặc hãy tự nhập tốc độ tiếng, tốc độ hình và số khung hình",
	rehearsal.ProblemStepSeconds: "{0} giây: mỗi bước cần từ {1} đến {2} giây",
	rehearsal.ProblemNoSites:     "Chưa có điểm nào; hãy nạp danh sách trước bằng lệnh: communewatch-collector sites import FILE",
	rehearsal.ProblemLongList:    "Danh sách dài hơn {0} byte",
	rehearsal.ProblemEmptyItem:   "Giữa hai dấu phẩy không có gì",
	rehearsal.ProblemNoSite:      "Không có điểm nào mang mã {0}{1}; hãy dùng mã trong danh sách điểm, hoặc all, hoặc district:TÊN",
	rehearsal.ProblemManySites:   "{0} điểm là quá {1}",
	rehearsal.ProblemNoDistrict:  "Không có điểm nào thuộc “{0}”",
	rehearsal.ProblemDistricts:   "“{0}” có thể là nhiều nơi; hãy viết đủ dấu, hoặc dùng mã",
	rehearsal.ProblemManySteps:   "{0} bước là quá {1}",
	rehearsal.ProblemAllLast:     "all chỉ có thể là bước cuối",
	rehearsal.ProblemNoNumber:    "“{0}” không phải là số điểm; hãy viết như 10,34,68,all",
	rehearsal.ProblemEmptyStep:   "Bước có {0} điểm thì không đo được gì",
	rehearsal.ProblemLargeStep:   "Bước có {0} điểm, nhưng chỉ có {1} điểm tham gia; hãy viết all để lấy tất cả",
	rehearsal.ProblemStepOrder:   "{0} đứng sau {1}: mỗi bước phải có nhiều điểm hơn bước trước",
	rehearsal.ProblemCapacity:    "Bước {0}, {1} điểm: trung tâm phải gửi và nhận {2}, vượt {3} của đường truyền (rehearsal.hub_mbps); hãy chọn mức thấp hơn, ít điểm hơn, hoặc vẫn chạy",
	rehearsal.ProblemSessions:    "Bước {0}: {1} điểm cùng lúc, vượt {2} cuộc gọi mà trung tâm nhận (rehearsal.max_sessions); hãy chọn ít điểm hơn, hoặc vẫn chạy",
	rehearsal.ProblemHoldLength:  "{0}: cần từ 1m đến {1}, hoặc 0s để kết thúc",
}

// Problem is the sentence for what speaks against a plan, with the fix.
func Problem(l phrase.Lang, p rehearsal.Problem) string {
	text, known := problems[p.Code]
	if l == phrase.English || !known {
		return p.Text
	}
	var pairs []string
	for i, v := range p.Params {
		pairs = append(pairs, "{"+strconv.Itoa(i)+"}", param(l, p.Code, i, v))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// param writes a parameter as people do: times, rates, and how many more there are.
func param(l phrase.Lang, code string, i int, v string) string {
	switch {
	case code == rehearsal.ProblemPast, code == rehearsal.ProblemFar:
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return at.In(phrase.Zone).Format("15:04 02/01/2006")
		}
	case code == rehearsal.ProblemCapacity && i >= 2:
		if bps, err := strconv.ParseFloat(v, 64); err == nil {
			return Rate(l, bps)
		}
	case code == rehearsal.ProblemNoSite && i == 1:
		return strings.NewReplacer("and", "và", "more", "mã khác").Replace(v)
	}
	return v
}
