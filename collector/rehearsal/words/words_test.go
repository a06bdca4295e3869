package words

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/plan"
	"communewatch/inventory"
	"communewatch/probes"
)

// codes returns the constants of the vocabulary whose names begin with a prefix.
func codes(t *testing.T, prefix string) (out []string) {
	t.Helper()
	for _, file := range []string{"../rehearsal.go", "../verdict.go", "../problem.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, prefix) && len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
					text, _ := strconv.Unquote(lit.Value)
					out = append(out, text)
				}
			}
			return true
		})
	}
	if len(out) < 5 {
		t.Fatalf("only %d constants begin with %s", len(out), prefix)
	}
	return out
}

// Whatever can be told has a sentence in both languages, and not the same one.
func TestEverythingHasWords(t *testing.T) {
	both := func(code string, say func(phrase.Lang) string) {
		t.Helper()
		vi, en := say(phrase.Vietnamese), say(phrase.English)
		if vi == code || en == code || vi == en || vi == "" || strings.Contains(vi+en, "%!") {
			t.Errorf("%s: %q, %q", code, vi, en)
		}
	}
	for _, c := range codes(t, "Code") {
		both(c, func(l phrase.Lang) string {
			return Why(l, rehearsal.Why{Code: rehearsal.Code(c), N: 2, Of: 3, Loss: 0.05, State: "down", Direction: probes.DirectionUp, Text: "codec"})
		})
	}
	for _, c := range codes(t, "Note") {
		both(c, func(l phrase.Lang) string { return Note(l, rehearsal.Note{Code: c, N: 1, Of: 2}) })
	}
	for _, c := range codes(t, "Act") {
		both(c, func(l phrase.Lang) string {
			return Action(l, rehearsal.Action{Code: rehearsal.ActionCode(c), Sites: []string{"a"}})
		})
	}
	for _, c := range codes(t, "State") {
		both(c, func(l phrase.Lang) string { return State(l, rehearsal.State(c)) })
	}
	for _, c := range codes(t, "Progress") {
		both(c, func(l phrase.Lang) string { return Progress(l, rehearsal.Progress(c)) })
	}
	for _, c := range codes(t, "Problem") {
		both(c, func(l phrase.Lang) string { return Problem(l, rehearsal.Problem{Code: c, Text: "English"}) })
	}
	for _, c := range rehearsal.Columns() {
		both(string(c), func(l phrase.Lang) string { return Column(l, c) })
	}
	for _, m := range []rehearsal.Mark{rehearsal.Go, rehearsal.AtRisk, rehearsal.NoGo, rehearsal.Unknown} {
		both(string(m), func(l phrase.Lang) string { return Mark(l, m) })
	}
}

func TestSentences(t *testing.T) {
	hub := rehearsal.Why{Code: rehearsal.CodeHubGrows, Loss: 0.2, Direction: probes.DirectionDown, N: 130, Of: 136, Sites: 136}
	now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	layer := rehearsal.LayerState{State: "down", Reason: health.Reason{Code: health.ReasonOutcome, Outcome: probes.OutcomeTimeout, Check: health.CheckID{Target: "hub"}}}
	for want, got := range map[string]string{
		"Mất 3,4 % gói chiều lên":                                                               Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeLoss, Loss: 0.034, Direction: probes.DirectionUp}),
		"3.4 % of packets lost towards the hub":                                                 Why(phrase.English, rehearsal.Why{Code: rehearsal.CodeLoss, Loss: 0.034, Direction: probes.DirectionUp}),
		"Độ trễ đi về 412 ms":                                                                   Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeDelay, Seconds: 0.412}),
		"Cuộc gọi tốt (chưa xác minh được đường truyền)":                                        Cell(phrase.Vietnamese, &rehearsal.Cell{Why: rehearsal.Why{Code: rehearsal.CodeClean}, Unproven: true}, now),
		"hub không trả lời":                                                                     Cell(phrase.Vietnamese, &rehearsal.Cell{Why: rehearsal.Why{Code: rehearsal.CodeHealth, State: "down"}, Layer: &layer}, now),
		"Stopped because the processors of the hub's test server were 97 % in use (limit 95 %)": Note(phrase.English, rehearsal.Note{Code: rehearsal.NoteHubLoad, N: 0.97, Of: 0.95}),
		"Dừng vì gói lưu lại máy chủ đo 120 ms (giới hạn 100 ms)":                               Note(phrase.Vietnamese, rehearsal.Note{Code: rehearsal.NoteHubSlow, N: 0.12, Of: 0.1}),
		"Dừng vì trung tâm từ chối 3/8 cuộc gọi (503)":                                          Note(phrase.Vietnamese, rehearsal.Note{Code: rehearsal.NoteHubRefuses, N: 3, Of: 8}),
		"Dừng giữa chừng: không hỏi được trạng thái máy chủ đo tại trung tâm trong 5 giây":      Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeHubAway, Seconds: 5}),
		"Không thiết lập được cuộc gọi: không có trả lời (ICE did not connect)":                 Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeSetup, Outcome: "timeout", Text: "ICE did not connect"}),
		"Máy đo không gọi được: không đủ quyền (not permitted to bind)":                         Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeAgent, Outcome: "no_permission", Text: "not permitted to bind"}),
		"Máy đo từ chối (no webrtc check is configured)":                                        Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeRefused, Text: "no webrtc check is configured"}),
		"Yêu cầu nhà mạng kiểm tra đường truyền của 1 điểm: nặng nhất: mất 20 % gói chiều lên":  Action(phrase.Vietnamese, rehearsal.Action{Code: rehearsal.ActLine, Sites: []string{"a"}, Why: rehearsal.Why{Code: rehearsal.CodeLoss, Loss: 0.2, Direction: probes.DirectionUp}}),
		"Máy đo chưa kết nối":                                                                   Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeNotConnected}),
		"phòng: trả lời SIP hoặc mở cổng báo hiệu H.323 (L2)":                                   Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeLevel, Level: 2, Text: "phòng"}),
		"340 Mbit/s": Rate(phrase.Vietnamese, 340.4e6),
		"2,3 Mbit/s": Rate(phrase.Vietnamese, 2.27e6),
		"Không thiết lập được cuộc gọi: không có trả lời":                                                                            Why(phrase.Vietnamese, rehearsal.Why{Code: rehearsal.CodeSetup, Outcome: "timeout"}),
		"The call could not be set up: ICE did not connect":                                                                          Why(phrase.English, rehearsal.Why{Code: rehearsal.CodeSetup, Outcome: "timeout", Text: "ICE did not connect"}),
		"Bật máy đo tại 1 điểm rồi đo lại":                                                                                           Action(phrase.Vietnamese, rehearsal.Action{Code: rehearsal.ActAgents, Sites: []string{"a"}}),
		"Switch on the agent's machine at 2 sites, and test again":                                                                   Action(phrase.English, rehearsal.Action{Code: rehearsal.ActAgents, Sites: []string{"a", "b"}}),
		"20 % of packets lost from the hub at 130/136 sites with 136 sites at once, and not with fewer: the hub or its line is full": Why(phrase.English, hub),
	} {
		if got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// What a form may be told in Vietnamese has all that it says in English: no parameter is left open, none is left out.
func TestProblemsOfPlansAreSaidInVietnamese(t *testing.T) {
	now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	past := now.Add(-time.Hour)
	known := plan.Known{Sites: []inventory.Site{{ID: "s1", Name: "Xã", Parent: "Huyện A"}, {ID: "s2", Name: "Xã", Parent: "Huyện A"}}, Now: now}
	for want, r := range map[string]rehearsal.Request{
		"09:00 26/11/2026 đã qua; hãy chọn thời điểm sau, hoặc để trống để bắt đầu ngay": {Meeting: "m", At: &past},
		"Hãy nhập tên cuộc họp": {},
		"“4k” không phải là một trong các mức audio, low, 360p, 720p, 1080p; hoặc hãy tự nhập tốc độ tiếng, tốc độ hình và số khung hình":                               {Meeting: "m", Profile: "4k"},
		"Không có điểm nào mang mã s8, s9; hãy dùng mã trong danh sách điểm, hoặc all, hoặc district:TÊN":                                                               {Meeting: "m", Sites: "s8,s9"},
		"Bước có 9 điểm, nhưng chỉ có 2 điểm tham gia; hãy viết all để lấy tất cả":                                                                                      {Meeting: "m", Steps: "9"},
		"99 giây: mỗi bước cần từ 5 đến 60 giây":                                                                                                                        {Meeting: "m", StepSeconds: 99},
		"Bước 1, 2 điểm: trung tâm phải gửi và nhận 4,3 Mbit/s, vượt 1 Mbit/s của đường truyền (rehearsal.hub_mbps); hãy chọn mức thấp hơn, ít điểm hơn, hoặc vẫn chạy": {Meeting: "m", Profile: "720p", Steps: "all"},
	} {
		s := plan.DefaultSettings()
		if strings.Contains(want, "hub_mbps") {
			s.HubMbps = 1
		}
		p := plan.Make(r, s, known)
		if len(p.Problems) != 1 {
			t.Errorf("%s: %+v", want, p.Problems)
			continue
		}
		if got := Problem(phrase.Vietnamese, p.Problems[0]); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if got := Problem(phrase.English, p.Problems[0]); got != p.Problems[0].Text {
			t.Errorf("%q", got)
		}
	}
}
