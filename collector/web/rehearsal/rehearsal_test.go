package rehearsal

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/xuri/excelize/v2"

	"communewatch/collector/api/rehearsals"
	"communewatch/collector/registry"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/rehearsaltest"
	"communewatch/collector/web/frame"
	"communewatch/inventory"
)

var now = time.Date(2026, 11, 26, 1, 30, 0, 0, time.UTC)

// operators know one code of an operator.
type operators struct{}

func (operators) Authenticate(_ context.Context, code string) (registry.Identity, error) {
	switch code {
	case "good":
		return registry.Identity{Token: "op1", Kind: registry.KindOperator}, nil
	case "agent":
		return registry.Identity{Token: "ag1", Kind: registry.KindAgent}, nil
	}
	return registry.Identity{}, registry.ErrUnknownToken
}

func (operators) Tokens(context.Context) ([]registry.Token, error) {
	return []registry.Token{{ID: "op1", Note: "Nguyễn Văn Trực"}}, nil
}

type house struct {
	http.Handler
	service *rehearsaltest.Service
}

func province(n int) (sites []inventory.Site) {
	for i := range n {
		sites = append(sites, inventory.Site{ID: fmt.Sprintf("s%03d", i), Code: fmt.Sprintf("%05d", i), Name: fmt.Sprintf("Đồng Tĩnh %d", i), Type: "xã", Parent: fmt.Sprintf("Huyện %d", i%9)})
	}
	return sites
}

func newHouse(t *testing.T, sites int) *house {
	t.Helper()
	h := &house{service: rehearsaltest.New(province(sites), func() time.Time { return now })}
	words, err := Words()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(testLog{t}, nil))
	f, err := frame.New(frame.Options{Words: []fs.FS{os.DirFS("../i18n"), words}, Bundle: fstest.MapFS{}, Title: "Phú Thọ", Now: func() time.Time { return now }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := New(f, Options{Service: h.service, Door: rehearsals.NewDoor(operators{}, nil), Log: log, Names: func(context.Context) (Names, error) {
		names := Names{}
		for _, s := range province(sites) {
			names[s.ID] = rehearsals.Name{Name: s.Name, Type: s.Type, Code: s.Code, District: s.Parent}
		}
		return names, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	pages.Register(mux)
	h.Handler = mux
	return h
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(string(b))
	return len(b), nil
}

func (h *house) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func (h *house) post(t *testing.T, path string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// page returns a page's text, which must hold no key of a word that is missing.
func (h *house) page(t *testing.T, path string) string {
	t.Helper()
	w := h.get(t, path)
	body := w.Body.String()
	if w.Code != 200 {
		t.Fatalf("%s: %d", path, w.Code)
	}
	if key := regexp.MustCompile(`[ >"](rehearsal|mark|column|level|progress|conference)\.[a-z_0-9]+[ <",:)]`).FindString(body); key != "" {
		t.Errorf("%s shows the key %s", path, key)
	}
	return body
}

func TestPagesSayWhatWasTestedAndWhatThatCannotSay(t *testing.T) {
	h := newHouse(t, 136)
	list := h.page(t, "/rehearsals")
	for _, want := range []string{"Giao ban trực tuyến tháng 11", "Hoàn thành", "10 → 34 → 68 → 136"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list does not say %q", want)
		}
	}
	one := h.page(t, "/rehearsals/r2") // with the small profile
	for _, want := range []string{"không phải 2\u00a0Mbit/s", "không phải do thiết bị phòng họp", "data-level=\"0\"", "data-level=\"4\"", "Không đạt", "matrix.xlsx"} {
		if !strings.Contains(one, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if body := h.page(t, "/rehearsals/r1"); strings.Contains(body, "không phải 2\u00a0Mbit/s") {
		t.Error("a test with 2 Mbit/s is said to be below that")
	}
	if en := h.page(t, "/rehearsals/r2?lang=en"); !strings.Contains(en, "not the 2\u00a0Mbit/s") {
		t.Error("English readers are not told what the profile can't say")
	}
}

func TestMatrixIsWorstFirstAndFiltered(t *testing.T) {
	h := newHouse(t, 136)
	marks := regexp.MustCompile(`<tr data-state="([a-z_]+)" data-find`)
	states := func(path string) (out []string) {
		for _, m := range marks.FindAllStringSubmatch(h.page(t, path), -1) {
			out = append(out, m[1])
		}
		return out
	}
	all := states("/rehearsals/r2")
	if len(all) != 136 || all[0] != "no_go" || all[135] != "go" {
		t.Fatalf("%d rows, first %s, last %s", len(all), all[0], all[len(all)-1])
	}
	for _, s := range states("/rehearsals/r2?mark=risk") {
		if s != "risk" {
			t.Errorf("filtered by mark, and a %s is there", s)
		}
	}
	if n := len(states("/rehearsals/r2?q=dong+tinh+41")); n != 1 {
		t.Errorf("%d rows found without accents", n)
	}
	if n := len(states("/rehearsals/r2?district=Huy%E1%BB%87n+3")); n != 15 {
		t.Errorf("%d rows of a district", n)
	}
	if body := h.page(t, "/rehearsals/r2?q=%3Cscript%3E"); strings.Contains(body, "<script>") {
		t.Error("what is searched for becomes markup")
	}
}

func TestAnOrderNeedsAnOperatorAndIsToldWhyItIsNot(t *testing.T) {
	h := newHouse(t, 136)
	plan := url.Values{"meeting": {"Giao ban"}, "profile": {"low"}, "sites": {"all"}}
	with := func(code string, more ...string) url.Values {
		v := url.Values{}
		for k, x := range plan {
			v[k] = x
		}
		v.Set("code", code)
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	for _, c := range []struct {
		form   url.Values
		status int
		says   string
	}{
		{with(""), 401, "Mã vận hành không đúng"}, {with("wrong"), 401, "Mã vận hành không đúng"}, {with("agent"), 403, "không phải mã vận hành"},
		{with("good", "profile", "1080p"), 422, "vượt khả năng 300"}, {with("good", "step_seconds", "x"), 400, "Không đọc được"},
		{with("good", "meeting", ""), 422, "Tên cuộc họp"},
	} {
		w := h.post(t, "/rehearsals", c.form)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%v: %d, want %d saying %q", c.form, w.Code, c.status, c.says)
		}
		if strings.Contains(w.Body.String(), `value="good"`) || strings.Contains(w.Body.String(), `value="wrong"`) {
			t.Errorf("%v: the code is sent back", c.form)
		}
	}
	if all, _ := h.service.List(t.Context()); len(all) != 2 {
		t.Fatal("one was started all the same")
	}
	w := h.post(t, "/rehearsals", with("good"))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/rehearsals/r3" || len(w.Result().Cookies()) != 0 {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if body := h.page(t, "/rehearsals/r3"); !strings.Contains(body, "Bước 1/4: 10 điểm") || !strings.Contains(body, "Nguyễn Văn Trực") || !strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("one under way is not shown as it goes")
	}
	if w := h.post(t, "/rehearsals", with("good")); w.Code != 409 || !strings.Contains(w.Body.String(), "Đang có một buổi diễn tập khác") {
		t.Errorf("a second at once: %d", w.Code)
	}
	h.service.Advance(map[string]rehearsaltest.Bad{"s003": {Up: 0.2}})
	if w := h.post(t, "/rehearsals/r3/stop", url.Values{"code": {"wrong"}}); w.Code != 401 || !strings.Contains(w.Body.String(), "Bước 2/4") {
		t.Errorf("stopped by anybody: %d", w.Code)
	}
	if w := h.post(t, "/rehearsals/r3/stop", url.Values{"code": {"good"}}); w.Code != http.StatusSeeOther {
		t.Errorf("%d", w.Code)
	}
	if body := h.page(t, "/rehearsals/r3"); !strings.Contains(body, "Đã dừng") || strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("a stopped one is not shown as such")
	}
	if w := h.post(t, "/rehearsals/r1/stop", url.Values{"code": {"good"}}); w.Code != 409 {
		t.Errorf("one that has ended is stopped: %d", w.Code)
	}
	if w := h.post(t, "/rehearsals", url.Values{"code": {"good"}, "meeting": {strings.Repeat("m", 70_000)}}); w.Code != 400 {
		t.Errorf("a form without end: %d", w.Code)
	}
}

func TestARehearsalWithoutResultsPromisesNothing(t *testing.T) {
	h := newHouse(t, 5)
	id, err := h.service.Start(t.Context(), rehearsal.Request{Meeting: "Giao ban", Profile: "low", Steps: "2,all"})
	if err == nil {
		err = h.service.Stop(t.Context(), id, "Trực")
	}
	if err != nil {
		t.Fatal(err)
	}
	body := h.page(t, "/rehearsals/r3")
	if !strings.Contains(body, "Không có cuộc gọi nào cho kết quả") || strings.Contains(body, "Đã thử với") {
		t.Error("what was not tested is said to be")
	}
}

func TestWhatIsNotThereSaysSo(t *testing.T) {
	h := newHouse(t, 5)
	for _, path := range []string{"/rehearsals/r9", "/rehearsals/9", "/rehearsals/r1/sites/nobody", "/rehearsals/r9/matrix.xlsx", "/rehearsals/r1/more"} {
		if w := h.get(t, path); w.Code != 404 || !strings.Contains(w.Body.String(), "Không có buổi diễn tập này") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := h.get(t, "/rehearsals/compare?a=r1&b=r1"); w.Code != 200 || !strings.Contains(w.Body.String(), "hai buổi diễn tập khác nhau") {
		t.Errorf("one with itself: %d", w.Code)
	}
}

func TestTheSpreadsheetHoldsTheMatrix(t *testing.T) {
	h := newHouse(t, 136)
	w := h.get(t, "/rehearsals/r2/matrix.xlsx")
	if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Disposition"), "dien-tap-r2-2026-11-") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	f, err := excelize.OpenReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := f.GetRows("Bảng sẵn sàng")
	if err != nil || len(rows) != 136+3 { // title, note, headings
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if !strings.Contains(rows[1][0], "96\u00a0kbit/s") || rows[3][3] != "Không đạt" {
		t.Errorf("note %q, first row %q", rows[1], rows[3])
	}
}
