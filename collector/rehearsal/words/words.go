// Package words says what a rehearsal came to in sentences, in Vietnamese and English, for screens, files and the
// command line alike. Numbers are written as in package phrase: a decimal comma in Vietnamese, days as dd/mm/yyyy.
package words

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
	"communewatch/probes"
)

type writer struct{ phrase.Lang }

func (w writer) pick(vi, en string) string {
	if w.Lang == phrase.English {
		return en
	}
	return vi
}

func (w writer) number(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if w.Lang == phrase.English {
		return s
	}
	return strings.Replace(s, ".", ",", 1)
}

func (w writer) percent(ratio float64) string { return w.number(ratio*100, 1) + " %" }

// seconds writes a short time in milliseconds.
func (w writer) seconds(v float64) string {
	if v < 1 {
		return w.number(math.Round(v*1000), 0) + " ms"
	}
	return w.number(v, 1) + w.pick(" giây", " s")
}

// sites counts sites: "1 điểm", "2 sites".
func (w writer) sites(n int) string {
	if n == 1 {
		return w.pick("1 điểm", "1 site")
	}
	return strconv.Itoa(n) + w.pick(" điểm", " sites")
}

func (w writer) way(d probes.Direction) string {
	switch d {
	case probes.DirectionUp:
		return w.pick("chiều lên", "towards the hub")
	case probes.DirectionDown:
		return w.pick("chiều xuống", "from the hub")
	case probes.DirectionRound:
		return w.pick("cả lên và xuống", "there and back")
	}
	return ""
}

// Rate writes a rate: "340 Mbit/s", "2,3 Mbit/s".
func Rate(l phrase.Lang, bps float64) string {
	digits := 1
	if bps >= 10e6 {
		digits = 0
	}
	return writer{l}.number(bps/1e6, digits) + " Mbit/s"
}

// Mark names a verdict.
func Mark(l phrase.Lang, m rehearsal.Mark) string {
	w := writer{l}
	switch m {
	case rehearsal.Go:
		return w.pick("Sẵn sàng", "Go")
	case rehearsal.AtRisk:
		return w.pick("Có rủi ro", "At risk")
	case rehearsal.NoGo:
		return w.pick("Không đạt", "No-go")
	}
	return w.pick("Chưa biết", "Unknown")
}

// Column names a column of the matrix.
func Column(l phrase.Lang, c rehearsal.Column) string {
	w := writer{l}
	switch c {
	case rehearsal.ColumnLAN:
		return w.pick("Mạng LAN", "LAN")
	case rehearsal.ColumnBroadband:
		return w.pick("Internet băng rộng", "Broadband")
	case rehearsal.ColumnDedicated:
		return w.pick("Mạng chuyên dùng", "Dedicated")
	case rehearsal.ColumnEndpoint:
		return w.pick("Thiết bị phòng họp", "Room endpoint")
	case rehearsal.ColumnHub:
		return w.pick("Trung tâm", "Hub")
	}
	return string(c)
}

// State names a rehearsal's state.
func State(l phrase.Lang, s rehearsal.State) string {
	w := writer{l}
	switch s {
	case rehearsal.StatePlanned:
		return w.pick("Đã lên lịch", "Planned")
	case rehearsal.StateRunning:
		return w.pick("Đang diễn ra", "Running")
	case rehearsal.StateDone:
		return w.pick("Hoàn thành", "Done")
	case rehearsal.StateStopped:
		return w.pick("Đã dừng", "Stopped")
	case rehearsal.StateAborted:
		return w.pick("Bị ngắt", "Aborted")
	case rehearsal.StateMissed:
		return w.pick("Bỏ lỡ", "Missed")
	}
	return string(s)
}

// Progress names how far a site has come.
func Progress(l phrase.Lang, p rehearsal.Progress) string {
	w := writer{l}
	switch p {
	case rehearsal.ProgressWaiting:
		return w.pick("Đang chờ", "Waiting")
	case rehearsal.ProgressTold:
		return w.pick("Đã gửi lệnh", "Told")
	case rehearsal.ProgressAccepted:
		return w.pick("Đã nhận lệnh", "Accepted")
	case rehearsal.ProgressStarted:
		return w.pick("Đang gọi", "Calling")
	case rehearsal.ProgressRefused:
		return w.pick("Từ chối", "Refused")
	case rehearsal.ProgressDone:
		return w.pick("Đã xong", "Done")
	case rehearsal.ProgressNotConnected:
		return w.pick("Không kết nối", "Not connected")
	case rehearsal.ProgressNoResult:
		return w.pick("Không có kết quả", "No result")
	}
	return string(p)
}

// Cell is the sentence for a cell. Where a health layer decided it is the layer's own, at now.
func Cell(l phrase.Lang, c *rehearsal.Cell, now time.Time) string {
	if c.Why.Code == rehearsal.CodeHealth && c.Layer != nil {
		if text := phrase.Reason(l, c.Layer.Reason, now); text != "" {
			return text
		}
	}
	text := Why(l, c.Why)
	if c.Unproven {
		text += writer{l}.pick(" (chưa xác minh được đường truyền)", " (the path is not proved)")
	}
	return text
}

// because adds a cause in words of this room, or a name.
func because(text, cause string) string {
	if cause == "" {
		return text
	}
	return text + ": " + cause
}

// quoting adds a cause in the words of an agent, which are English: beside Vietnamese they stand in brackets.
func (w writer) quoting(text, said string) string {
	switch {
	case said == "":
		return text
	case w.Lang == phrase.English:
		return because(text, said)
	}
	return text + " (" + said + ")"
}

// lower begins a sentence as the part of another, unless it begins with a short name such as MOS.
func lower(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if second, _ := utf8.DecodeRuneInString(s[n:]); unicode.IsUpper(second) {
		return s
	}
	return string(unicode.ToLower(first)) + s[n:]
}

// Why is the sentence for a reason.
func Why(l phrase.Lang, y rehearsal.Why) string {
	w := writer{l}
	loss := func() string {
		return w.pick("Mất "+w.percent(y.Loss)+" gói "+w.way(y.Direction), w.percent(y.Loss)+" of packets lost "+w.way(y.Direction))
	}
	ofSites := func() string { return fmt.Sprintf("%d/%s", y.N, w.sites(y.Of)) }
	switch y.Code {
	case rehearsal.CodeClean:
		if y.Sites > 0 { // of the hub
			return w.pick(fmt.Sprintf("Tốt khi %s gọi cùng lúc", w.sites(y.Sites)), fmt.Sprintf("Clean with %s at once", w.sites(y.Sites)))
		}
		return w.pick("Cuộc gọi tốt", "Calls went through clean")
	case rehearsal.CodeLoss:
		return loss()
	case rehearsal.CodeLossSometimes:
		return loss() + w.pick(fmt.Sprintf(", ở %d/%d bước", y.N, y.Of), fmt.Sprintf(", in %d of %d steps", y.N, y.Of))
	case rehearsal.CodeDelay:
		return w.pick("Độ trễ đi về "+w.seconds(y.Seconds), "Round trip of "+w.seconds(y.Seconds))
	case rehearsal.CodeScore:
		return w.pick("Chất lượng tiếng ước tính thấp: MOS "+w.number(y.Score, 1), "Low estimated audio quality: MOS "+w.number(y.Score, 1))
	case rehearsal.CodeShared:
		return loss() + w.pick(fmt.Sprintf(", như %s của %s: nguyên nhân chung", ofSites(), y.District),
			fmt.Sprintf(", as at %s of %s: a shared cause", ofSites(), y.District))
	case rehearsal.CodeSetup:
		return because(w.pick("Không thiết lập được cuộc gọi", "The call could not be set up"), w.outcome(y))
	case rehearsal.CodeHubGrows:
		return w.pick(fmt.Sprintf("Mất %s gói %s ở %s khi %s gọi cùng lúc, ít điểm hơn thì không: trung tâm hoặc đường truyền của trung tâm quá tải",
			w.percent(y.Loss), w.way(y.Direction), ofSites(), w.sites(y.Sites)),
			fmt.Sprintf("%s of packets lost %s at %s with %s at once, and not with fewer: the hub or its line is full",
				w.percent(y.Loss), w.way(y.Direction), ofSites(), w.sites(y.Sites)))
	case rehearsal.CodeHubLoss:
		return w.pick(fmt.Sprintf("Mất %s gói %s ở %s cùng lúc, dù ít hay nhiều điểm: lỗi ở trung tâm hoặc đường truyền của trung tâm",
			w.percent(y.Loss), w.way(y.Direction), ofSites()),
			fmt.Sprintf("%s of packets lost %s at %s at once, however many there are: a fault of the hub or its line", w.percent(y.Loss), w.way(y.Direction), ofSites()))
	case rehearsal.CodeHubSetup:
		return w.pick(fmt.Sprintf("%d/%d cuộc gọi không thiết lập được cùng lúc: lỗi ở trung tâm", y.N, y.Of),
			fmt.Sprintf("%d of %d calls could not be set up at once: a fault of the hub", y.N, y.Of))
	case rehearsal.CodeHubOverloaded:
		return w.pick("Máy chủ đo tại trung tâm quá tải nên số liệu không phản ánh đường truyền", "The test server at the hub was overloaded itself, so the numbers are not the lines'")
	case rehearsal.CodeHubSlow:
		return w.pick("Dừng giữa chừng: ", "Stopped meanwhile: ") + w.stay(y.Seconds, y.Limit)
	case rehearsal.CodeHubLoad:
		return w.pick("Dừng giữa chừng: ", "Stopped meanwhile: ") + w.load(y.Ratio, y.Limit)
	case rehearsal.CodeHubAway:
		return w.pick("Dừng giữa chừng: ", "Stopped meanwhile: ") + w.away(y.Seconds)
	case rehearsal.CodeHubBusy:
		return w.pick(fmt.Sprintf("Trung tâm từ chối %d/%d cuộc gọi (503)", y.N, y.Of), fmt.Sprintf("The hub refused %d of %d calls (503)", y.N, y.Of))
	case rehearsal.CodeMasked:
		return w.pick("Chỉ đo được lúc trung tâm đang mất gói, nên chưa biết riêng điểm này", "Measured only while the hub lost packets itself, so nothing is known of the site's own line")
	case rehearsal.CodeLimitedAgent:
		return w.quoting(w.pick("Máy đo quá chậm, số liệu không phản ánh đường truyền", "The agent's machine was too slow, so the numbers are not the line's"), y.Text)
	case rehearsal.CodeLimitedHub:
		return w.pick("Máy chủ đo tại trung tâm quá tải, số liệu không phản ánh đường truyền", "The test server at the hub was too busy, so the numbers are not the line's")
	case rehearsal.CodeNotConnected:
		return w.pick("Máy đo chưa kết nối", "No agent of the site was connected")
	case rehearsal.CodeRefused:
		return w.quoting(w.pick("Máy đo từ chối", "The agent refused"), y.Text)
	case rehearsal.CodeNoResult:
		return w.quoting(w.pick("Đã gửi lệnh nhưng không có kết quả", "Told, but no result came back"), y.Text)
	case rehearsal.CodeAgent:
		return because(w.pick("Máy đo không gọi được", "The agent could not call"), w.outcome(y))
	case rehearsal.CodeNotCalled:
		return w.pick("Chưa đo", "Not measured")
	case rehearsal.CodeHealth:
		return w.health(y.State)
	case rehearsal.CodeLevel:
		return because(y.Text, w.level(y.Level))
	case rehearsal.CodeSilent:
		return y.Text + w.pick(" không trả lời", " does not answer")
	case rehearsal.CodeStale:
		return w.pick("Không có thông tin mới về "+y.Text, "Nothing fresh is known of "+y.Text)
	case rehearsal.CodeNoEndpoint:
		return w.pick("Chưa khai báo thiết bị phòng họp", "No endpoint is known")
	case rehearsal.CodeNotHeard:
		return w.pick("Không nhận được phản hồi nào từ điểm này trong buổi diễn tập", "Nothing was heard of the site in the rehearsal")
	case rehearsal.CodeFewResults:
		if y.Of > 0 {
			return w.pick(fmt.Sprintf("Chỉ có kết quả từ %s, chưa đủ để đánh giá trung tâm", ofSites()), fmt.Sprintf("Results from %s only, too few to judge the hub", ofSites()))
		}
		return w.pick("Chưa đủ kết quả để đánh giá trung tâm", "Too few results to judge the hub")
	}
	return string(y.Code)
}

// outcome is why a call failed: in English in the agent's words, in Vietnamese by its outcome with the agent's words in
// brackets.
func (w writer) outcome(y rehearsal.Why) string {
	if w.Lang == phrase.English && y.Text != "" {
		return y.Text
	}
	return w.quoting(w.byOutcome(y.Outcome), y.Text)
}

func (w writer) byOutcome(name string) string {
	o, known := probes.ParseOutcome(name)
	switch o {
	case probes.OutcomeOK:
		return w.pick("lỗi", "an error")
	case probes.OutcomeTimeout:
		return w.pick("không có trả lời", "no answer in time")
	case probes.OutcomeRefused:
		return w.pick("bị từ chối kết nối", "the connection was refused")
	case probes.OutcomeUnreachable:
		return w.pick("không có đường tới", "no route")
	case probes.OutcomeUnresolved:
		return w.pick("không phân giải được tên", "the name does not resolve")
	case probes.OutcomeWrongPath:
		return w.pick("gói tin đi sai đường truyền", "packets left by another path")
	case probes.OutcomeUnbound:
		return w.pick("không thấy cổng mạng hoặc địa chỉ của đường truyền", "the network port or address of the path is missing")
	case probes.OutcomeFailed:
		return w.pick("đầu bên kia trả lời không đúng", "the far end answers wrongly")
	}
	if !known {
		return name
	}
	return phrase.Own(w.Lang, o)
}

// stay, load and away say what the hub's trouble was.
func (w writer) stay(seconds, limit float64) string {
	return w.pick("gói lưu lại máy chủ đo "+w.seconds(seconds)+" (giới hạn "+w.seconds(limit)+")",
		"packets stayed "+w.seconds(seconds)+" at the hub's test server (limit "+w.seconds(limit)+")")
}

func (w writer) load(ratio, limit float64) string {
	return w.pick("bộ xử lý của máy chủ đo tại trung tâm đã dùng "+w.percent(ratio)+" (giới hạn "+w.percent(limit)+")",
		"the processors of the hub's test server were "+w.percent(ratio)+" in use (limit "+w.percent(limit)+")")
}

func (w writer) away(seconds float64) string {
	return w.pick("không hỏi được trạng thái máy chủ đo tại trung tâm trong "+w.number(seconds, 0)+" giây",
		"the hub's test server did not answer for "+w.number(seconds, 0)+" s")
}

func (w writer) health(state string) string {
	switch state {
	case "ok":
		return w.pick("Các phép đo thường xuyên đều tốt", "Its regular checks are well")
	case "degraded":
		return w.pick("Các phép đo thường xuyên cho thấy suy giảm", "Its regular checks are degraded")
	case "down":
		return w.pick("Các phép đo thường xuyên cho thấy mất kết nối", "Its regular checks are down")
	case "no_data":
		return w.pick("Không có dữ liệu", "No data")
	case "muted":
		return w.pick("Đang bảo trì hoặc ngoài giờ làm việc", "Under maintenance, or outside office hours")
	}
	return w.pick("Không đo", "Not measured")
}

func (w writer) level(n int) string {
	switch n {
	case 0:
		return w.pick("chỉ trả lời ping (L0), chưa biết có gọi được không", "answers ping only (L0); whether it can call is not known")
	case 1:
		return w.pick("chỉ mở cổng hoặc trang web (L1), chưa xác nhận được SIP hoặc H.323", "a port or its page answers (L1), neither SIP nor H.323 signalling is confirmed")
	case 2:
		return w.pick("trả lời SIP hoặc mở cổng báo hiệu H.323 (L2)", "answers SIP or takes H.323 signalling connections (L2)")
	case 3:
		return w.pick("đã đăng ký (L3)", "is registered (L3)")
	}
	return w.pick("cuộc gọi gần nhất tốt (L4)", "its last call went well (L4)")
}

// Note is the sentence for a note of a plan, an end or a verdict.
func Note(l phrase.Lang, n rehearsal.Note) string {
	w := writer{l}
	of := func() string { return fmt.Sprintf("%.0f/%.0f", n.N, n.Of) }
	switch n.Code {
	case rehearsal.NoteOff:
		return w.pick(of()+" điểm chưa kết nối máy đo", of()+" sites have no agent connected")
	case rehearsal.NoteNotHeard:
		return w.pick("Máy chủ không chạy nên chưa biết điểm nào đang tắt", "No collector is running, so it is not known which sites are off")
	case rehearsal.NoteCapacity:
		return w.pick(fmt.Sprintf("Bước %.0f cần %s, vượt khả năng của trung tâm", n.N, Rate(l, n.Of)), fmt.Sprintf("Step %.0f needs %s, more than the hub has", n.N, Rate(l, n.Of)))
	case rehearsal.NoteNoCapacity:
		return w.pick("Chưa khai báo đường truyền của trung tâm (rehearsal.hub_mbps) nên không kiểm tra được", "The hub's capacity is not set (rehearsal.hub_mbps), so it is not checked")
	case rehearsal.NoteOneStep:
		return w.pick("Chỉ có một bước: khó phân biệt lỗi ở trung tâm với lỗi ở từng điểm", "With one step the hub's faults are hard to tell from the sites'")
	case rehearsal.NoteByPerson:
		return because(w.pick("Dừng theo yêu cầu", "Stopped on demand"), n.Text)
	case rehearsal.NoteHubRefuses:
		return w.pick("Dừng vì trung tâm từ chối "+of()+" cuộc gọi (503)", "Stopped because the hub refused "+of()+" calls (503)")
	case rehearsal.NoteHubLoad:
		return w.pick("Dừng vì ", "Stopped because ") + w.load(n.N, n.Of)
	case rehearsal.NoteHubSlow:
		return w.pick("Dừng vì ", "Stopped because ") + w.stay(n.N, n.Of)
	case rehearsal.NoteHubAway:
		return w.pick("Dừng vì ", "Stopped because ") + w.away(n.N)
	case rehearsal.NoteHubLoss:
		return w.pick(fmt.Sprintf("Dừng sau bước %.0f: gần như mọi điểm mất hơn 5 %% gói, thêm điểm chỉ làm tệ hơn", n.N),
			fmt.Sprintf("Stopped after step %.0f: nearly all sites lost more than 5 %% of packets, and more sites would only make it worse", n.N))
	case rehearsal.NoteSetup:
		return w.pick("Dừng vì "+of()+" cuộc gọi không thiết lập được", "Stopped because "+of()+" calls could not be set up")
	case rehearsal.NoteNobody:
		return w.pick("Không có điểm nào kết nối", "No site was connected")
	case rehearsal.NoteRestart:
		return w.pick("Máy chủ đã khởi động lại giữa chừng", "The collector was started anew meanwhile")
	case rehearsal.NoteClosing:
		return w.pick("Máy chủ đã dừng giữa chừng", "The collector was stopped meanwhile")
	case rehearsal.NoteMissed:
		return w.pick("Đến giờ mà máy chủ không chạy; không chạy bù", "The collector was not running at its time; it was not run late")
	case rehearsal.NoteHeld:
		return because(w.pick("Đang có cuộc họp", "A meeting is on"), n.Text)
	case rehearsal.NoteBusy:
		return w.pick("Một buổi diễn tập khác đang chạy", "Another rehearsal was running")
	case rehearsal.NoteCancelled:
		return because(w.pick("Đã huỷ trước giờ", "Taken back before its time"), n.Text)
	case rehearsal.NoteRefused:
		return w.quoting(w.pick("Không chạy được", "Could not be run"), n.Text)
	case rehearsal.NoteNoEndpoints:
		return w.pick("Chưa khai báo thiết bị phòng họp nào, nên kết quả chỉ nói về đường truyền", "No room's endpoint is known, so the result speaks of lines only")
	case rehearsal.NoteFewResults:
		return w.pick("Chỉ "+of()+" điểm có kết quả, chưa đủ để đánh giá trung tâm", "Only "+of()+" sites gave results, too few to judge the hub")
	case rehearsal.NoteUnprovenPaths:
		return w.pick("Ở "+of()+" điểm chưa xác minh được cuộc gọi đi đường truyền nào", "At "+of()+" sites the path of the calls is not proved")
	}
	return n.Code
}

// Action is the sentence for something to do, without the names of its sites.
func Action(l phrase.Lang, a rehearsal.Action) string {
	w := writer{l}
	n := w.sites(len(a.Sites))
	switch a.Code {
	case rehearsal.ActHub:
		return because(w.pick("Kiểm tra trung tâm và đường truyền của trung tâm, hoặc họp với chất lượng thấp hơn", "Look at the hub and its line, or meet with a lower profile"), lower(Why(l, a.Why)))
	case rehearsal.ActHubBusy:
		if a.Why.Code == rehearsal.CodeHubAway {
			return w.pick("Kiểm tra máy chủ đo tại trung tâm và kết nối tới đó rồi diễn tập lại", "Look at the test server at the hub and the way to it, and rehearse again")
		}
		return w.pick("Dùng máy chủ đo mạnh hơn tại trung tâm rồi diễn tập lại", "Give the test server at the hub a faster machine, and rehearse again")
	case rehearsal.ActDistrict:
		return w.pick(fmt.Sprintf("Kiểm tra tuyến truyền dẫn chung của %s (%s)", a.Why.District, n), fmt.Sprintf("Have the shared line of %s looked at (%s)", a.Why.District, n)) +
			w.pick(": mất "+w.percent(a.Why.Loss)+" gói "+w.way(a.Why.Direction), ": "+w.percent(a.Why.Loss)+" of packets lost "+w.way(a.Why.Direction))
	case rehearsal.ActLine:
		return because(w.pick("Yêu cầu nhà mạng kiểm tra đường truyền của "+n, "Have the line of "+n+" looked at"), w.pick("nặng nhất: ", "the worst: ")+lower(Why(l, a.Why)))
	case rehearsal.ActEndpoint:
		return w.pick("Bật và kiểm tra thiết bị phòng họp tại "+n, "Switch on and check the room endpoint at "+n)
	case rehearsal.ActSignal:
		return w.pick("Kiểm tra SIP/H.323 của thiết bị phòng họp tại "+n+": mới chỉ trả lời ping hoặc mở cổng", "Check SIP or H.323 of the room endpoint at "+n+": it answers only ping or a port")
	case rehearsal.ActAgents:
		return w.pick("Bật máy đo tại "+n+" rồi đo lại", "Switch on the agent's machine at "+n+", and test again")
	case rehearsal.ActMachines:
		return w.pick("Máy đo tại "+n+" quá chậm hoặc không gọi được: đóng bớt chương trình hoặc đổi máy", "The agent's machine at "+n+" is too slow or could not call: close programs, or use another one")
	case rehearsal.ActRefusals:
		return w.quoting(w.pick("Xem vì sao máy đo tại "+n+" từ chối", "See why the agent at "+n+" refused"), a.Why.Text)
	case rehearsal.ActLAN:
		return w.pick("Kiểm tra mạng LAN tại "+n, "Look at the office network of "+n)
	case rehearsal.ActAgain:
		return w.pick("Đo lại riêng "+n+" sau khi trung tâm đã ổn", "Test "+n+" once more when the hub is well")
	case rehearsal.ActNoTrouble:
		return w.pick("Không cần làm gì thêm", "Nothing is to be done")
	}
	return string(a.Code)
}
