package book_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"communewatch/collector/phrase"
	"communewatch/collector/phrase/book"
)

func open(t testing.TB) *book.Book {
	t.Helper()
	b, err := book.New()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSentencesAreSaidInVietnamese(t *testing.T) {
	b := open(t)
	for _, c := range []struct {
		said, want string
	}{
		{"no site is in group hill", "Không đơn vị nào thuộc nhóm hill"},
		{`"icpm" is not a kind of check; use one of icmp, tcp`, `"icpm" không phải loại phép đo; hãy dùng một trong: icmp, tcp`},
		{`there is no value "gatway"; did you mean "gateway"?; declare it under values`, `Không có giá trị "gatway"; có phải ý là "gateway"?; hãy khai báo trong mục values`},
		{`"abc" is not a whole number`, `"abc" không phải số nguyên`},
		{`unknown key; did you mean "checks"?`, `không có khóa này; có phải ý là "checks"?`},
		{"left out: value gateway is not set", "Bỏ qua: giá trị gateway chưa được đặt"},
		{"value gateway is not set, and is needed", "giá trị gateway chưa được đặt, mà giá trị này bắt buộc phải có"},
		{"values of site s1: gateway: \"x y\" is not an IP address such as 192.168.1.1", "Giá trị của đơn vị s1: gateway: \"x y\" không phải địa chỉ IP như 192.168.1.1"},
		{"10.9.0.0/16 is multicast, which no check from here may speak to", "10.9.0.0/16 là địa chỉ nhóm (multicast), không phép đo nào giao từ đây được liên lạc tới"},
		{"s1/main went back to the former version: its results did not arrive within 10m0s", "s1/main đã trở về bản trước: kết quả đo không về trong 10m0s"},
		{"paused by admin", "admin cho tạm dừng"}, // a name, not the role
		{"paused by anonymous 10.0.0.5", "người chưa đăng nhập, từ 10.0.0.5 cho tạm dừng"},
		{"say model: A -> B", "ghi nhận model: A -> B"}, // as it was recorded before it was known by whom
		{"say model by Lan: A -> B", "ghi nhận model, Lan: A -> B"},
		{"pending; host pc1", "chờ duyệt; máy pc1"},
		{"role viewer, districts all", "vai trò người xem, toàn tỉnh"},
		{"role viewer, districts all, until 2027-01-31", "vai trò người xem, toàn tỉnh, đến 2027-01-31"},
		{"districts Vĩnh Yên, were all", "địa bàn Vĩnh Yên, trước là toàn tỉnh"},
		{"from ever: VNPT, by Lan (lines.csv)", "từ đầu: VNPT, Lan (lines.csv)"},
		{"needs work; before it 12 more that are not listed", "cần quyền work; trước đó còn 12 lần không liệt kê"},
		{"with a new password", "bằng mật khẩu mới"},
		{"active; host pc1", "đang dùng; máy pc1"},
		{"name Tiền Châu, type xã -> name Tiền Châu, type phường", "tên Tiền Châu, loại hình xã -> tên Tiền Châu, loại hình phường"},
		{"1 agents change, 2 stay as they are; giãn chu kỳ", "1 máy đo thay đổi, 2 giữ nguyên; giãn chu kỳ"},
		{"back to version 4; 1 agents change, 2 stay as they are; active", "trở lại bản 4; 1 máy đo thay đổi, 2 giữ nguyên; active"},
		{"1 agents change, 0 stay as they are; values of giá trị.csv", "1 máy đo thay đổi, 0 giữ nguyên; giá trị lấy từ giá trị.csv"},
		{"code c7; agent any; replaces false; approve true; until 2026-12-26T08:00:00+07:00", "mã c7; máy đo bất kỳ; thay máy cũ: không; phải duyệt: có; đến 2026-12-26T08:00:00+07:00"},
		{"display; role viewer, was admin", "tên hiển thị; vai trò người xem, trước là quản trị"},
		{"role operator, was viewer; disabled", "vai trò vận hành, trước là người xem; khóa tài khoản"},
		{"work 3:12: checks[0].kind: snmp is forbidden: it is not among allow.kinds of the agent's own settings", "Bản 3, dòng 12, checks[0].kind: cấm loại snmp: cấu hình riêng của máy đo không cho phép (allow.kinds)"},
		{"name Tiền Châu, type phường, district Phúc Yên, district code 244, at 21.2 105.6", "tên Tiền Châu, loại hình phường, địa bàn Phúc Yên, mã địa bàn 244, tại 21.2 105.6"},
		{"dns: the agent has no such check", "dns: Máy đo không có phép đo này"},
		{"no site is in group a\nno site gets template b", "Không đơn vị nào thuộc nhóm a\nKhông đơn vị nào dùng mẫu b"},
		{"first s1, s2, then [10 100] %", "đầu tiên s1, s2, sau đó [10 100] %"},
	} {
		if got, known := b.Say(phrase.Vietnamese, c.said); got != c.want || !known {
			t.Errorf("%q\nis %q (%v)\nnot %q", c.said, got, known, c.want)
		}
		if got, known := b.Say(phrase.English, c.said); got != c.said || !known {
			t.Errorf("%q became %q in English", c.said, got)
		}
	}
}

func TestWhatIsNotKnownStaysAsItIs(t *testing.T) {
	b := open(t)
	for _, text := range []string{"dial tcp 10.0.0.1:443: connect: connection refused", "left out: something that nobody translated", strings.Repeat("no site is in group ", 1000), "\x00\xff; \xff"} {
		if got, known := b.Say(phrase.Vietnamese, text); got != text || known {
			t.Errorf("%.60q became %.60q (%v)", text, got, known)
		}
	}
	if got, known := b.Say(phrase.Vietnamese, ""); got != "" || !known {
		t.Error(got, known)
	}
}

// Agents' reasons may be anything: no text takes longer than one that a person reads with patience.
func TestATextThatFitsInManyWaysIsGivenUp(t *testing.T) {
	b := open(t)
	for _, text := range []string{
		strings.Repeat("left out: values of site s: b: a/b c is d: ", 6) + strings.Repeat(" is longer than 3 bytes; that was so 3 times", 5),
		strings.Repeat("a/b is x: ", 24) + strings.Repeat("; that was so 3 times", 12),
	} {
		if n := testing.AllocsPerRun(1, func() { b.Say(phrase.Vietnamese, text) }); n > 10_000 {
			t.Errorf("%.40q takes %v pieces of memory", text, n)
		}
	}
}

// rooms are those whose sentences people read on pages; apart are those of them that only logs or the command line have.
var rooms = []string{
	"../../assign/fleet.go", "../../assign/give.go", "../../assign/plan.go", "../../assign/words.go", "../../assign/reach/*.go", "../../assign/values/*.go", "../../assign/lists/*.go",
	"../../../probes/settings/*.go", "../../runs/*.go", "../../releases/stages/*.go", "../../releases/people.go", "../../registry/people/accounts.go",
	"../../registry/people/sessions.go", "../../registry/people/store.go", "../../registry/agents/desk.go", "../../registry/agents/heard.go", "../../registry/releases/*.go",
	"../../plans/apply.go", "../../plans/beyond.go", "../../plans/plans.go", "../../../agent/orders/runs.go", "../../../agent/ordered.go", "../../../agent/given.go", "../../stock/evidence/says.go",
}

var apart = []string{
	"write down %s of %s: %w", "version %d of the plan: %w", "the plan can't be applied:\n", "values of sites: %w", "districts of an account are damaged: %w", "read the fleet: %w",
	"read who reports: %w", "roll-out %d: %w", "what was done can't be recorded: %w", "the sign-on names nobody", "there is a local account", "the session has ended", "the link is not known",
	"%w: %s; import it first", "%w: %.40q; list them", "%w: %.63s of site %.63s", "%w: %s of site %s", "site: %v", "agent: %v", "the agent looks for no ", "two machines have one identity",
	"checks are run by order", "want 1 to %d", "%w (it is version", "%s is this machine", "%q is not a kind of check; use some of", "work %d",
}

// TestNoSentenceIsForgotten reads the rooms: what is made into an error, a problem or a reason has its Vietnamese.
func TestNoSentenceIsForgotten(t *testing.T) {
	b := open(t)
	files := 0
	for _, room := range rooms {
		list, err := filepath.Glob(room)
		if err != nil || len(list) == 0 {
			t.Fatal(room, err)
		}
		for _, file := range list {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			files++
			fs := token.NewFileSet()
			tree, err := parser.ParseFile(fs, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for at, format := range formats(tree) {
				if left := forgotten(b, format); left != "" {
					t.Errorf("%s: no Vietnamese for %q; add it to vi.json", fs.Position(at), left)
				}
			}
		}
	}
	if files < len(rooms) {
		t.Error("only", files, "files were read")
	}
}

// formats are the sentences of a file: what is given to functions that make errors, problems and texts.
func formats(tree *ast.File) map[token.Pos]string {
	out := map[token.Pos]string{}
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil && strings.Contains(s, " ") {
				out[l.Pos()] = s
			}
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			var called string
			switch f := n.Fun.(type) {
			case *ast.Ident:
				called = f.Name
			case *ast.SelectorExpr:
				called = f.Sel.Name
			}
			switch called {
			case "Errorf", "New", "Sprintf", "refuse", "invalid", "problem", "add", "wrong", "failed", "Problem", "mistake", "warn":
				for _, a := range n.Args {
					add(a)
				}
			}
		case *ast.KeyValueExpr:
			if k, ok := n.Key.(*ast.Ident); ok && (k.Name == "Text" || k.Name == "Reason" || k.Name == "Message") {
				add(n.Value)
			}
		case *ast.ReturnStmt:
			for _, r := range n.Results {
				add(r)
			}
		case *ast.AssignStmt:
			for _, r := range n.Rhs {
				add(r)
			}
		}
		return true
	})
	return out
}

// forgotten returns a format that the book does not know; "" where it does, or need not.
func forgotten(b *book.Book, format string) string {
	for _, a := range apart {
		if strings.HasPrefix(format, a) {
			return ""
		}
	}
	if strings.Contains(format, "SELECT") || strings.Contains(format, "INSERT") || strings.Contains(format, "UPDATE ") || strings.HasPrefix(format, "%s: %") || strings.HasPrefix(format, "%v: %w") ||
		strings.HasPrefix(format, "%w: %") || strings.HasPrefix(format, " ") || strings.HasPrefix(format, ", ") || strings.HasPrefix(format, "2006") || strings.HasSuffix(format, " = ?") {
		return ""
	}
	// The places are filled with what can be a name and a sentence.
	args := make([]any, strings.Count(strings.ReplaceAll(format, "%%", ""), "%"))
	text := format
	for range args {
		at := strings.IndexByte(text, '%')
		end := at + 1
		for end < len(text) && !strings.ContainsRune("sdvqwt", rune(text[end])) {
			end++
		}
		filled := "x"
		switch {
		case end < len(text) && text[end] == 'q':
			filled = `"x"`
		case end < len(text) && text[end] == 'd':
			filled = "7"
		}
		text = text[:at] + filled + text[min(end+1, len(text)):]
	}
	text = strings.ReplaceAll(text, "%%", "%")
	if _, known := b.Say(phrase.Vietnamese, text); known {
		return ""
	}
	return format
}

func FuzzSay(f *testing.F) {
	b := open(f)
	f.Add("no site is in group x")
	f.Add(fmt.Sprint(errors.Join(errors.New("a: b"), errors.New("left out: value x is not set; y"))))
	f.Fuzz(func(t *testing.T, text string) {
		said, known := b.Say(phrase.Vietnamese, text)
		if !known && !strings.Contains(text, "\n") && said != text {
			t.Errorf("%q became %q", text, said)
		}
	})
}
