package report

import (
	"context"
	"encoding/csv"
	"errors"
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
	"communewatch/collector/history"
	"communewatch/collector/reports"
	"communewatch/collector/reports/reportstest"
	"communewatch/collector/status"
	"communewatch/collector/store"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/report/wording"
	"communewatch/inventory"
)

var now = time.Date(2026, 11, 26, 2, 5, 0, 0, time.UTC)

type house struct {
	http.Handler
	reporter *reportstest.Reporter
	stands   status.Status
}

func (h *house) Status() status.Status { return h.stands }

func newHouse(t testing.TB) *house { return houseOf(t, 136) }

func houseOf(t testing.TB, n int) *house {
	t.Helper()
	var sites []inventory.Site
	names := Names{}
	for i := range n {
		s := inventory.Site{ID: fmt.Sprintf("s%03d", i), Name: fmt.Sprintf("Đồng Tĩnh %d", i), Parent: fmt.Sprintf("Huyện %d", i%9)}
		sites = append(sites, s)
		names[s.ID] = rehearsals.Name{Name: s.Name, District: s.Parent}
	}
	h := &house{reporter: reportstest.New(sites, func() time.Time { return now })}
	h.stands.Store.Replayed = true
	return h.over(t, h.reporter, names)
}

// over gives the house pages over a reporter; nil: without one.
func (h *house) over(t testing.TB, reporter reports.Reporter, names Names) *house {
	t.Helper()
	own, err := Words()
	if err != nil {
		t.Fatal(err)
	}
	shared, err := wording.Words()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	words := []fs.FS{os.DirFS("../i18n"), os.DirFS("../inventory/i18n"), own, shared}
	f, err := frame.New(frame.Options{Words: words, Bundle: fstest.MapFS{}, Title: "Phú Thọ", Now: func() time.Time { return now }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := New(f, Options{Reporter: reporter, Status: h, Names: func(context.Context) (Names, error) { return names, nil }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	pages.Register(mux)
	h.Handler = mux
	return h
}

func (h *house) get(t testing.TB, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// page returns a page's text, which must hold no key of a word that is missing.
func (h *house) page(t testing.TB, path string) string {
	t.Helper()
	w := h.get(t, path)
	body := w.Body.String()
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", path, w.Code, body)
	}
	if key := regexp.MustCompile(`[ >"](report|paper|site|time|notice)\.[a-z_0-9]+[ <",:)]`).FindString(body); key != "" {
		t.Errorf("%s shows the key %s", path, key)
	}
	return body
}

// said tells whether a page says all that is wanted, and nothing that is not.
func said(t *testing.T, body string, wanted, unwanted []string) {
	t.Helper()
	for _, s := range wanted {
		if !strings.Contains(body, s) {
			t.Errorf("the page does not say %q", s)
		}
	}
	for _, s := range unwanted {
		if strings.Contains(body, s) {
			t.Errorf("the page says %q", s)
		}
	}
}

func TestTheStandardReportIsTheNewestMonthThatIsOver(t *testing.T) {
	h := newHouse(t)
	body := h.page(t, "/reports")
	said(t, body, []string{"Báo cáo chất lượng đường truyền tháng 10/2026", `<option value="2026-10" selected>`, "Giờ hành chính", "Truyền số liệu chuyên dùng",
		"Nhà mạng A", "So sánh hai đường truyền", "chưa đo", "NGƯỜI LẬP", "THỦ TRƯỞNG ĐƠN VỊ", reportstest.Citation},
		[]string{"Kỳ báo cáo chưa kết thúc", "Chưa tổng hợp hết", "NaN", "%!"})
	said(t, h.page(t, "/reports?lang=en&period=2026-Q3&hours=all"), []string{"Line quality report, Q3 2026", "Fixed broadband", "not measured"}, nil)
	said(t, h.page(t, "/reports?period=2026-11"), []string{"Kỳ báo cáo chưa kết thúc: số liệu tính đến 09:00 26/11/2026"}, nil)
	said(t, h.page(t, "/reports?period=days&from=2026-10-05&to=2026-10-11"), []string{"từ ngày 05/10/2026 đến ngày 11/10/2026", `<option value="days" selected>`}, nil)
	// A month that was chosen counts, whatever days stand beside it in the form.
	said(t, h.page(t, "/reports?period=2026-09&from=2026-10-05&to=2026-10-11"), []string{"tháng 9/2026"}, []string{"không hợp lệ"})
}

func TestAReportIsNarrowedDown(t *testing.T) {
	h := newHouse(t)
	q := url.Values{"district": {"Huyện 2"}, "layer": {"broadband"}, "provider": {"Nhà mạng C"}}
	body := h.page(t, "/reports?"+q.Encode())
	said(t, body, []string{"Huyện 2", "Nhà mạng C", "Băng rộng cố định", `<option value="Nhà mạng A">`, "/reports.xlsx?" + strings.NewReplacer("&", "&amp;", "+", "&#43;").Replace(q.Encode())},
		[]string{"So sánh hai đường truyền", ">Huyện 3</small>"})
	if n := strings.Count(body, "<small>Huyện 2</small>"); n == 0 || n > 20 {
		t.Errorf("%d lines are listed", n)
	}
	said(t, h.page(t, "/reports?provider=nobody"), []string{"Chưa có số liệu nào trong kỳ"}, nil)
}

func TestLinesAndPairsAreSortedWorstFirst(t *testing.T) {
	h := newHouse(t)
	body := h.page(t, "/reports?layer=dedicated&sort=availability")
	cells := regexp.MustCompile(`class="num strong" data-label="Tỷ lệ khả dụng">([^<]+)<`).FindAllStringSubmatch(body[strings.Index(body, `id="lines"`):], -1)
	if len(cells) < 100 {
		t.Fatalf("%d lines", len(cells))
	}
	last, unmeasured := -1.0, 0
	for _, c := range cells {
		if c[1] == "chưa đo" {
			unmeasured++
			continue
		}
		if unmeasured > 0 {
			t.Fatal("a line that was measured comes after one that was not")
		}
		var v float64
		if _, err := fmt.Sscanf(strings.ReplaceAll(c[1], ",", "."), "%f", &v); err != nil {
			t.Fatal(err)
		}
		if v < last {
			t.Fatalf("%v comes after %v", v, last)
		}
		last = v
	}
	if unmeasured == 0 {
		t.Error("all were measured: the test has nothing to look at")
	}
	pairs := func(path string) int { return strings.Count(h.page(t, path), `<tr data-worse=`) }
	if some, all := pairs("/reports"), pairs("/reports?all=1"); some != mostPairs || all != 128 {
		t.Errorf("%d pairs of %d", some, all)
	}
	// What orders by nothing that is known is the standard order, not a failure.
	h.page(t, "/reports?sort=x&pairs=y")
}

func TestAFleetOfThousandsIsShownInParts(t *testing.T) {
	h := houseOf(t, 220)
	rows := func(path string) (string, int) {
		body := h.page(t, path)
		return body, strings.Count(body[strings.Index(body, `id="lines"`):], `<th scope="row">`)
	}
	body, n := rows("/reports?layer=lan&sort=down")
	if n != mostLines {
		t.Errorf("%d lines", n)
	}
	said(t, body, []string{"(220)", "Đang hiển thị 200/220 đường", "all=1&amp;layer=lan&amp;sort=down#lines-lan"}, nil)
	if body, n = rows("/reports?layer=lan&all=1"); n != 220 {
		t.Errorf("%d lines", n)
	}
	said(t, body, nil, []string{"Đang hiển thị"})
}

func TestWhatIsNotUpToDateIsSaid(t *testing.T) {
	h := houseOf(t, 20)
	h.reporter.Set(reportstest.State{Pending: 12, Lag: 30 * 24 * time.Hour})
	h.stands.Rollups = history.Progress{To: now.Add(-30 * 24 * time.Hour), Failed: "no space left on device"}
	body := h.page(t, "/reports?period=2026-10")
	said(t, body, []string{"Chưa tổng hợp hết kỳ báo cáo: số liệu tính đến 09:00 27/10/2026", "Còn 12 giờ có số liệu đến muộn", "Việc tổng hợp số liệu đang bị lỗi", "no space left on device"}, nil)
	h.reporter.Set(reportstest.State{Empty: true})
	body = h.page(t, "/reports?period=2026-10")
	said(t, body, []string{"chưa đo"}, []string{"0,00\u00a0%"})
}

func TestQuestionsThatCantBeUnderstood(t *testing.T) {
	h := houseOf(t, 20)
	for _, q := range []string{"period=10/2026", "period=days&from=2026-10-09&to=2026-10-01", "hours=night", "layer=<script>", "site=%00", "period=2099", "period=2026-10&period=2026-09"} {
		body := h.page(t, "/reports?"+q)
		said(t, body, []string{"Địa chỉ có yêu cầu không hợp lệ", "tháng 10/2026"}, []string{"<script>"})
		for _, file := range []string{".xlsx", ".csv"} {
			if w := h.get(t, "/reports"+file+"?"+q); w.Code != 400 || strings.Contains(w.Header().Get("Content-Disposition"), "attachment") {
				t.Errorf("%s of %s: %d", file, q, w.Code)
			}
		}
	}
	said(t, h.page(t, "/reports?site=s999"), []string{"Không có điểm nào mã “s999”."}, nil)
	said(t, h.page(t, "/reports?district=Huy%E1%BB%87n+9&lang=en"), []string{"There is no district called “Huyện 9”."}, nil)
	if w := h.get(t, "/reports.csv?site=s999"); w.Code != 400 {
		t.Errorf("a file of nothing: %d", w.Code)
	}
	for path, code := range map[string]int{"/reports/nothing": 404, "/reports/sites/nobody": 404, "/reports/sites/%00": 404} {
		if w := h.get(t, path); w.Code != code {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestTroubleIsAPageThatSaysWhatIsLost(t *testing.T) {
	h := houseOf(t, 20)
	h.reporter.Set(reportstest.State{Err: errors.New("dial tcp: secret")})
	for _, path := range []string{"/reports", "/reports.xlsx", "/reports.csv", "/reports/sites/s001"} {
		if w := h.get(t, path); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	h.reporter.Set(reportstest.State{Err: fmt.Errorf("months: %w: secret", store.ErrAway)}) // one database of several
	if w := h.get(t, "/reports"); w.Code != 503 || !strings.Contains(w.Body.String(), "Số liệu không mất") || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("without the months' database: %d", w.Code)
	}
	h.reporter.Set(reportstest.State{Err: errors.New("dial tcp: secret")})
	h.stands.Store.Condition = store.Condition{Away: true, Since: now}
	if w := h.get(t, "/reports"); w.Code != 503 || !strings.Contains(w.Body.String(), "Số liệu không mất") {
		t.Errorf("%d", w.Code)
	}
	if w := (&house{}).over(t, nil, nil).get(t, "/reports"); w.Code != 503 || !strings.Contains(w.Body.String(), "Chưa có báo cáo") {
		t.Errorf("without a reporter: %d", w.Code)
	}
}

func TestASitesYear(t *testing.T) {
	h := houseOf(t, 20)
	body := h.page(t, "/reports/sites/s001")
	said(t, body, []string{"Chất lượng đường truyền 12 tháng: Đồng Tĩnh 1", "Tháng 11/2026", "Tháng 12/2025", `href="/sites/s001"`,
		"/reports?hours=office&amp;period=2026-10&amp;site=s001", "Hợp đồng số 12/2026/HĐ-VT", reportstest.Citation}, []string{"Tháng 11/2025"})
	if n := strings.Count(body, "<tbody>"); n != 4 {
		t.Errorf("%d lines", n)
	}
	h.reporter.Set(reportstest.State{Empty: true})
	said(t, h.page(t, "/reports/sites/s001?lang=en"), []string{"There are no figures"}, nil)
}

func TestFilesHoldWhatThePageShows(t *testing.T) {
	h := newHouse(t)
	w := h.get(t, "/reports.csv?period=2026-10&district=Huy%E1%BB%87n+2&sep=;")
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="bao-cao-duong-truyen-2026-10.csv"` {
		t.Errorf("called %s", got)
	}
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(w.Body.String(), "\ufeff")))
	reader.Comma = ';'
	rows, err := reader.ReadAll()
	if err != nil || len(rows) < 50 || rows[0][1] != "Điểm" {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		if row[2] != "Huyện 2" {
			t.Fatalf("not asked for: %q", row)
		}
	}
	w = h.get(t, "/reports.xlsx?from=2026-10-01&to=2026-10-15")
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="bao-cao-duong-truyen-2026-10-01_2026-10-15.xlsx"` {
		t.Errorf("called %s", got)
	}
	f, err := excelize.OpenReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if title, _ := f.GetCellValue("Tổng hợp", "A1"); !strings.Contains(title, "từ ngày 01/10/2026 đến ngày 15/10/2026 – Phú Thọ") {
		t.Errorf("%q", title)
	}
}

func TestHostileNamesAreText(t *testing.T) {
	evil := `<img src=x onerror=alert(1)>"'`
	r := reportstest.New([]inventory.Site{{ID: evil, Name: evil, Parent: evil}}, func() time.Time { return now })
	h := (&house{}).over(t, r, Names{evil: {Name: evil, District: evil}})
	for _, path := range []string{"/reports", "/reports?district=" + url.QueryEscape(evil), "/reports/sites/" + url.PathEscape(evil)} {
		said(t, h.page(t, path), []string{"&lt;img"}, []string{"<img src=x"})
	}
}

// still answers every question with the same report, so that a benchmark measures pages alone.
type still struct {
	*reportstest.Reporter
	report *reports.Report
}

func (s still) Report(context.Context, reports.Query) (*reports.Report, error) { return s.report, nil }

// BenchmarkPage renders a month of 136 sites with all their layers.
func BenchmarkPage(b *testing.B) {
	h := newHouse(b)
	listed, err := h.reporter.Periods(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	rep, err := h.reporter.Report(b.Context(), reports.Query{Period: listed[1], Hours: reports.Office})
	if err != nil {
		b.Fatal(err)
	}
	h.over(b, still{h.reporter, rep}, nil)
	for b.Loop() {
		if w := h.get(b, "/reports?period=2026-10"); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
	b.ReportMetric(float64(len(rep.Lines)), "lines")
}
