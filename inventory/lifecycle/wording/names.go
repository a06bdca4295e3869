package wording

import (
	"communewatch/inventory/lifecycle"
)

var states = map[lifecycle.State]pair{
	lifecycle.StateUnknown:       {"chưa rõ", "unknown"},
	lifecycle.StateOK:            {"còn tốt", "fine"},
	lifecycle.StateDueSoon:       {"sắp đến hạn", "due soon"},
	lifecycle.StateOutdated:      {"lỗi thời", "outdated"},
	lifecycle.StateReview:        {"cần xem lại", "to be reviewed"},
	lifecycle.StateNotApplicable: {"không áp dụng", "not applicable"},
	lifecycle.StateEligible:      {"đủ điều kiện", "eligible"},
	lifecycle.StateNotYet:        {"chưa đủ điều kiện", "not yet"},
	lifecycle.StateNotAllowed:    {"vượt mức cho phép", "not allowed"},
}

var actions = map[lifecycle.Action]pair{
	lifecycle.ActionNone:            {"không cần làm gì", "nothing to do"},
	lifecycle.ActionUpgradeFirmware: {"nâng cấp phần mềm thiết bị", "upgrade firmware"},
	lifecycle.ActionUpgradeOS:       {"nâng cấp hệ điều hành", "upgrade the operating system"},
	lifecycle.ActionReconfigure:     {"cấu hình lại", "reconfigure"},
	lifecycle.ActionIsolate:         {"cách ly khỏi mạng", "isolate"},
	lifecycle.ActionReplace:         {"thay thế", "replace"},
	lifecycle.ActionTransfer:        {"điều chuyển", "transfer"},
	lifecycle.ActionVerify:          {"xác minh thêm", "verify"},
}

var legals = map[lifecycle.LegalState]pair{
	lifecycle.LegalEligible:   {"đủ điều kiện thanh lý", "may be disposed of"},
	lifecycle.LegalNotYet:     {"chưa đủ điều kiện thanh lý", "may not be disposed of yet"},
	lifecycle.LegalCannotTell: {"chưa đủ dữ liệu để kết luận", "cannot be told yet"},
}

var replacements = map[lifecycle.Replacement]pair{
	lifecycle.ReplaceNone:       {"không cần thay", "no replacement needed"},
	lifecycle.ReplaceProposed:   {"đề xuất thay thế", "replacement proposed"},
	lifecycle.ReplacePlan:       {"chỉ để lập kế hoạch, chưa có bằng chứng chắc chắn", "only to plan with: no firm evidence yet"},
	lifecycle.ReplaceNotYet:     {"lỗi thời, chưa được thay theo quy định", "outdated, not yet legally replaceable"},
	lifecycle.ReplaceCannotTell: {"lỗi thời, chưa đủ dữ liệu để biết có được thay hay không", "outdated, cannot tell yet whether it may be replaced"},
}

var bands = map[lifecycle.Band]pair{
	lifecycle.BandFirst:    {"thay trước tiên", "replace first"},
	lifecycle.BandThisYear: {"trong năm ngân sách này", "this budget year"},
	lifecycle.BandNextYear: {"kế hoạch năm sau", "plan for next year"},
	lifecycle.BandWatch:    {"theo dõi", "watch"},
	lifecycle.BandNone:     {"không", "none"},
}

var buckets = map[lifecycle.Bucket]pair{
	lifecycle.BucketOutdated: {"lỗi thời", "outdated"},
	lifecycle.BucketFine:     {"còn dùng tốt", "fine"},
	lifecycle.BucketUnknown:  {"chưa kết luận được", "cannot tell"},
}

var severities = [...]pair{{"thông tin", "information"}, {"thấp", "low"}, {"trung bình", "medium"}, {"cao", "high"}, {"nghiêm trọng", "critical"}}

var partNames = map[string]pair{
	lifecycle.PartBase:     {"phát hiện nặng nhất", "gravest finding"},
	lifecycle.PartFurther:  {"thêm một phát hiện độc lập", "one more independent finding"},
	lifecycle.PartExposure: {"truy cập được từ bên ngoài", "reachable from outside"},
	lifecycle.PartUplink:   {"đường truyền duy nhất của đơn vị", "the site's only uplink"},
	lifecycle.PartService:  {"phục vụ hội nghị truyền hình hoặc một cửa", "carries the conference or the one-stop desk"},
	lifecycle.PartUrgent:   {"còn không quá 180 ngày", "at most 180 days left"},
	lifecycle.PartNear:     {"còn không quá 365 ngày", "at most 365 days left"},
	lifecycle.PartIsolated: {"đã cách ly, có văn bản", "isolated, with a document"},
	lifecycle.PartCap:      {"nâng cấp hoặc cấu hình lại là đủ: tối đa 40", "an upgrade or reconfiguration is enough: 40 at most"},
	lifecycle.PartLimit:    {"giới hạn 0 đến 100", "kept between 0 and 100"},
}

var matches = map[lifecycle.MatchKind]pair{
	lifecycle.MatchExact: {"khớp chính xác", "exact"},
	lifecycle.MatchGlob:  {"khớp theo mẫu", "by pattern"},
	lifecycle.MatchTrain: {"khớp theo dòng phiên bản", "by version train"},
	lifecycle.MatchRange: {"khớp theo khoảng phiên bản", "by version range"},
}

var grades = map[string]pair{
	"A": {"nguồn gốc của hãng hoặc văn bản pháp luật", "the maker's or the law's own text"},
	"B": {"bộ dữ liệu có dẫn nguồn của hãng", "a data set that cites the maker"},
	"C": {"báo chí hoặc đại lý", "press or resellers"},
	"U": {"không có nguồn", "no source"},
}

// State names a state.
func State(l Lang, s lifecycle.State) string { return states[s].in(l) }

// Action names an action.
func Action(l Lang, a lifecycle.Action) string { return actions[a].in(l) }

// Legal names a legal answer.
func Legal(l Lang, s lifecycle.LegalState) string { return legals[s].in(l) }

// Replacement says whether a replacement may be proposed.
func Replacement(l Lang, r lifecycle.Replacement) string { return replacements[r].in(l) }

// Band names a band of priorities.
func Band(l Lang, b lifecycle.Band) string { return bands[b].in(l) }

// Bucket names one of the three numbers.
func Bucket(l Lang, b lifecycle.Bucket) string { return buckets[b].in(l) }

// Severity names a severity: "S3 cao".
func Severity(l Lang, s lifecycle.Severity) string {
	if int(s) >= len(severities) {
		return ""
	}
	return "S" + string('0'+rune(s)) + " " + severities[s].in(l)
}

// Rule names a rule: "Hết hỗ trợ của hãng".
func Rule(l Lang, rule string) string { return ruleNames[rule].in(l) }

// Part names an addend of a priority: "+10 truy cập được từ bên ngoài" without its number.
func Part(l Lang, p lifecycle.Part) string {
	text := partNames[p.Code].in(l)
	if p.Rule != "" {
		text += " (" + p.Rule + ")"
	}
	return text
}

// Match names how a row was found.
func Match(l Lang, m lifecycle.MatchKind) string { return matches[m].in(l) }

// Grade names the confidence of a source.
func Grade(l Lang, g string) string { return grades[g].in(l) }
