package inventory

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"communewatch/collector/stock"
	"communewatch/collector/stock/stocktest"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/inventory/columns"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/probes"
)

// Every page in both languages, with and without equipment; no word may be missing, which shows as its key.
func TestPagesOpen(t *testing.T) {
	h, _ := province(t, 12)
	bare := handler(t, stocktest.Open(t, nil))
	key := regexp.MustCompile(`[>" ](inventory|device|fact|list|count|unit|catalogue|flag|paper|class|method|link|note|status|ticket|why|word)\.[a-z_]+[<" ]`)
	for _, lang := range frame.Languages {
		for _, path := range append(pages(), "/inventory/devices/d1", "/inventory/devices/d5", "/inventory?q=cisco&col=id&col=mac&sort=-price", "/inventory/catalogue?all=1&lang="+lang) {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			page := body(t, h, path+sep+"lang="+lang)
			if m := key.FindString(page); m != "" {
				t.Errorf("%s in %s shows the key %q", path, lang, m)
			}
			if !strings.Contains(page, `<html lang="`+lang+`"`) || !strings.Contains(page, "</html>") {
				t.Errorf("%s in %s is no whole page", path, lang)
			}
		}
		for _, path := range pages() {
			page := body(t, bare, path+"?lang="+lang)
			if m := key.FindString(page); m != "" {
				t.Errorf("%s without equipment in %s shows the key %q", path, lang, m)
			}
		}
	}
	contains(t, body(t, bare, "/inventory"), "work secret set", "purchases import")
	contains(t, body(t, bare, "/inventory/purchases"), "purchases import")
}

// Classes, facts, methods and whatever else comes as a word of the program has a name.
func TestEveryWordOfTheProgramHasAName(t *testing.T) {
	more, err := Words()
	if err != nil {
		t.Fatal(err)
	}
	all, err := frame.LoadWords(os.DirFS("../i18n"), more)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, c := range probes.Classes() {
		keys = append(keys, "class."+c)
	}
	for _, f := range probes.FactNames() {
		keys = append(keys, "fact."+string(f))
	}
	for _, c := range columns.All() {
		keys = append(keys, "device."+c.Key)
	}
	rows, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		keys = append(keys, "catalogue.kind_"+r.Kind)
		if r.Class != "" {
			keys = append(keys, "class."+r.Class)
		}
		if s := r.Status(); s != "" {
			keys = append(keys, "status."+s)
		}
	}
	for _, lang := range frame.Languages {
		for _, key := range keys {
			if all[lang][key] == "" {
				t.Errorf("%s has no words for %s", lang, key)
			}
		}
	}
}

func number(t *testing.T, page, standing string) int {
	t.Helper()
	m := regexp.MustCompile(`class="number" data-state="` + standing + `"[^>]*><b>([\d.,]+)</b>`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no number for %s", standing)
	}
	n := 0
	fmt.Sscan(strings.NewReplacer(".", "", ",", "").Replace(m[1]), &n)
	return n
}

func TestThreeNumbersAddUp(t *testing.T) {
	h, p := province(t, 16)
	all := NumbersOf(table(t, p, stock.Filter{}))
	if all.Outdated == 0 || all.Fine == 0 || all.Unknown == 0 || all.Outdated+all.Fine+all.Unknown != all.Devices {
		t.Fatalf("%+v", all)
	}
	for _, target := range []string{"/inventory", "/inventory?standing=outdated", "/inventory?standing=unknown&sort=model", "/inventory/summary"} {
		page := body(t, h, target)
		got := Numbers{all.Devices, number(t, page, "outdated"), number(t, page, "fine"), number(t, page, "unknown")}
		if got != all {
			t.Errorf("%s: %+v, want %+v", target, got, all)
		}
	}
}

var rowOf = regexp.MustCompile(`<th scope="row"><a href="/inventory/devices/(d\d+)[^"]*">`)

func listed(page string) (ids []string) {
	for _, m := range rowOf.FindAllStringSubmatch(page, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func TestFilters(t *testing.T) {
	h, p := province(t, 16)
	rows := table(t, p, stock.Filter{})
	for _, c := range []struct {
		query string
		keep  func(r *stock.Row) bool
	}{
		{"district=" + url.QueryEscape("Vĩnh Yên"), func(r *stock.Row) bool { return r.District == "Vĩnh Yên" }},
		{"site=s08707", func(r *stock.Row) bool { return r.Site == "s08707" }},
		{"class=router", func(r *stock.Row) bool { return r.Class == "router" }},
		{"vendor=Cisco", func(r *stock.Row) bool { return r.Vendor == "Cisco" }},
		{"vendor=Cisco&class=switch&standing=outdated", func(r *stock.Row) bool {
			return r.Vendor == "Cisco" && r.Class == "switch" && r.Standing == stock.Outdated
		}},
		{"state=review", func(r *stock.Row) bool { return r.State == lifecycle.StateReview }},
		{"legal=not_yet", func(r *stock.Row) bool { return r.Legal == lifecycle.LegalNotYet }},
		{"action=upgrade_os", func(r *stock.Row) bool { return r.Action == lifecycle.ActionUpgradeOS }},
		{"band=this_year", func(r *stock.Row) bool { return r.Band == lifecycle.BandThisYear }},
		{"phase=-", func(r *stock.Row) bool { return r.Phase == "" }},
		{"phase=" + url.QueryEscape("Đợt 1 năm 2021"), func(r *stock.Row) bool { return r.Phase == "Đợt 1 năm 2021" }},
		{"gone=1", func(r *stock.Row) bool { return r.Gone }},
		{"q=tich+son", func(r *stock.Row) bool { return r.SiteName == "phường Tích Sơn" }},
		{"q=OPTIPLEX", func(r *stock.Row) bool { return strings.HasPrefix(r.Model, "OptiPlex") }},
		{"q=nothing-has-this", func(*stock.Row) bool { return false }},
	} {
		want := map[string]bool{}
		for i := range rows {
			if c.keep(&rows[i]) {
				want[rows[i].ID] = true
			}
		}
		got := listed(body(t, h, "/inventory?all=1&"+c.query))
		if len(got) != len(want) {
			t.Errorf("%s: %d rows, want %d", c.query, len(got), len(want))
		}
		for _, id := range got {
			if !want[id] {
				t.Errorf("%s shows %s", c.query, id)
			}
		}
	}
	none := body(t, h, "/inventory?q=nothing-has-this")
	contains(t, none, "Không có gì khớp", `href="/inventory"`)
	// What is chosen goes along, to other pages and to the files.
	page := body(t, h, "/inventory?district="+url.QueryEscape("Vĩnh Yên")+"&class=&vendor=")
	contains(t, page, `/inventory.xlsx?district=V%C4%A9nh&#43;Y%C3%AAn"`, `/inventory/replace?district=V%C4%A9nh&#43;Y%C3%AAn"`, `<option value="Vĩnh Yên" selected>`)
}

func TestSorting(t *testing.T) {
	h, p := province(t, 16)
	byID := map[string]stock.Row{}
	for _, r := range table(t, p, stock.Filter{}) {
		byID[r.ID] = r
	}
	check := func(sort string, fits func(a, b stock.Row) bool) {
		ids := listed(body(t, h, "/inventory?all=1&sort="+sort))
		if len(ids) != len(byID) {
			t.Fatalf("%s: %d rows", sort, len(ids))
		}
		for i := 1; i < len(ids); i++ {
			if !fits(byID[ids[i-1]], byID[ids[i]]) {
				t.Errorf("%s: %+v before %+v", sort, byID[ids[i-1]], byID[ids[i]])
				return
			}
		}
	}
	check("score", func(a, b stock.Row) bool { return a.Score <= b.Score })
	check("", func(a, b stock.Row) bool { return a.Score >= b.Score })
	check("support_ends", func(a, b stock.Row) bool {
		return b.SupportEnds.IsZero() || !a.SupportEnds.IsZero() && !b.SupportEnds.Before(a.SupportEnds.Time)
	})
	check("-support_ends", func(a, b stock.Row) bool { // what is not known comes last either way
		return b.SupportEnds.IsZero() || !a.SupportEnds.IsZero() && !b.SupportEnds.After(a.SupportEnds.Time)
	})
	check("-price", func(a, b stock.Row) bool { return a.Price >= b.Price })
	check("nonsense", func(a, b stock.Row) bool { return a.Score >= b.Score })
	contains(t, body(t, h, "/inventory?sort=-score"), `aria-sort="descending"`)
}

func TestPaging(t *testing.T) {
	h, p := province(t, 16)
	n := len(table(t, p, stock.Filter{}))
	seen := map[string]bool{}
	for i := range (n + perPage - 1) / perPage {
		for _, id := range listed(body(t, h, fmt.Sprintf("/inventory?page=%d", i+1))) {
			seen[id] = true
		}
	}
	if len(seen) != n {
		t.Errorf("%d devices on all pages, want %d", len(seen), n)
	}
	for _, odd := range []string{"0", "-1", "999999999999999999999", "x", "9999"} {
		if len(listed(body(t, h, "/inventory?page="+odd))) == 0 {
			t.Errorf("page %s is empty", odd)
		}
	}
}

func TestColumnsAreRemembered(t *testing.T) {
	h, _ := province(t, 3)
	w := get(t, h, "/inventory?col=mac&col=serial&col=nonsense")
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Value != "serial.mac" || cookies[0].Path != "/inventory" {
		t.Fatalf("%v", cookies)
	}
	page := body(t, h, "/inventory", func(r *http.Request) { r.AddCookie(cookies[0]) })
	if !strings.Contains(page, `class="col-mac"`) || strings.Contains(page, `class="col-reason"`) {
		t.Error("the choice was forgotten")
	}
	contains(t, page, "/inventory.xlsx?col=serial.mac")
	w = get(t, h, "/inventory?col=default", func(r *http.Request) { r.AddCookie(cookies[0]) })
	if c := w.Result().Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || !strings.Contains(w.Body.String(), `class="col-reason"`) {
		t.Errorf("%v", c)
	}
	for _, odd := range []string{"..", "\x7f", strings.Repeat("a.", 5000)} {
		body(t, h, "/inventory", func(r *http.Request) { r.Header.Set("Cookie", "columns="+odd) })
	}
}

func TestAnotherDay(t *testing.T) {
	h, _ := province(t, 12)
	now, past := body(t, h, "/inventory"), body(t, h, "/inventory?as_of=2019-01-01")
	if number(t, past, "outdated") >= number(t, now, "outdated") {
		t.Error("as much was outdated in 2019 as now")
	}
	contains(t, past, "Đánh giá tại ngày 01/01/2019", "?as_of=2019-01-01")
	contains(t, body(t, h, "/inventory?as_of=01/01/2019"), "Đánh giá tại ngày 01/01/2019")
	contains(t, body(t, h, "/inventory?as_of=30/02/2026"), "“30/02/2026” không phải là ngày", "hôm nay, 26/11/2026")
	if today := body(t, h, "/inventory?as_of=2026-11-26"); strings.Contains(today, "?as_of=") {
		t.Error("today's date stays in addresses")
	}
}

func TestHostileAddresses(t *testing.T) {
	h, _ := province(t, 3)
	for _, q := range []string{attack, strings.Repeat("ờ", 10_000), "\x00\xff\xfe"} {
		for _, path := range pages() {
			for _, name := range []string{"q", "site", "sort", "col", "as_of", "date", "may"} {
				page := body(t, h, path+"?"+name+"="+url.QueryEscape(q))
				if strings.Contains(page, "<script>alert") {
					t.Errorf("%s: %s comes back unescaped", path, name)
				}
			}
		}
	}
	for path, want := range map[string]int{"/inventory/devices/d99999": 404, "/inventory/devices/..%2f..": 404, "/inventory/devices/" + url.PathEscape(attack): 404,
		"/inventory/nowhere": 404, "/inventory/devices/": 404, "/inventory/": 301, "/inventory/verify?letter=d99999": 404} {
		w := get(t, h, path)
		if w.Code != want || strings.Contains(w.Body.String(), "<script>alert") {
			t.Errorf("%s: %d", path, w.Code)
		}
		if want == 404 && !strings.Contains(w.Body.String(), "</html>") {
			t.Errorf("%s: an error that is no page", path)
		}
	}
}

func TestHostileDevices(t *testing.T) {
	h := handler(t, hostile{})
	for _, path := range append(pages(), "/inventory/devices/d1", "/inventory/verify?letter=d1") {
		page := body(t, h, path)
		for _, bad := range []string{"<script>alert", `href="javascript:`, `'onload=x"`} {
			if strings.Contains(page, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
	}
	if csv := body(t, h, "/inventory.csv"); !strings.Contains(csv, "'=cmd") {
		t.Error("a formula comes through into the file")
	}
}

func TestTroubleInsideIsAPage(t *testing.T) {
	h := handler(t, broken{})
	for _, path := range append(pages(), "/inventory/devices/d1", "/inventory.csv", "/inventory/replace.xlsx") {
		w := get(t, h, path)
		if w.Code != 500 || strings.Contains(w.Body.String(), "registry.db") || !strings.Contains(w.Body.String(), "Máy chủ") || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, path := range append(pages(), "/inventory/devices/d1", "/inventory.csv") {
		if w := get(t, handler(t, nil), path); w.Code != 503 || !strings.Contains(w.Body.String(), "Chưa có danh mục thiết bị") {
			t.Errorf("%s without an inventory: %d", path, w.Code)
		}
	}
}

func TestDevicePage(t *testing.T) {
	h, p := province(t, 12)
	var one stock.Row
	for _, r := range table(t, p, stock.Filter{Vendor: "Cisco", Class: "switch", Standing: stock.Outdated}) {
		if r.Conflicts > 0 {
			one = r
			break
		}
	}
	if one.ID == "" {
		t.Fatal("no switch with a conflict")
	}
	d, err := p.Device(context.Background(), one.ID, stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	page := body(t, h, "/inventory/devices/"+one.ID)
	contains(t, page, "Kết luận kỹ thuật", "Kết luận pháp lý", one.SiteName, one.Serial, "nguồn mâu thuẫn", "1.3.6.1.2.1.47.1.1.1.1.11.1", `href="/sites/`+one.Site+`#history-title"`, "đang dùng",
		"Kiểm tra theo quy định", "L01", "Tổng", "Lịch sử thay đổi")
	for _, f := range d.Findings {
		if !f.Fired() {
			continue
		}
		contains(t, page, strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&#39;", `"`, "&#34;").Replace(f.Text))
		for _, row := range f.Rows {
			contains(t, page, row.ID)
		}
	}
	if n := strings.Count(page, `rel="noreferrer noopener external"`); n == 0 || n != strings.Count(page, `target="_blank"`) {
		t.Errorf("%d of %d outside links say nothing of where they come from", n, strings.Count(page, `target="_blank"`))
	}
	// The legal answer is never shown with the look of a technical one.
	if strings.Contains(page, `class="state legal" data-state="outdated"`) || !strings.Contains(page, `class="state legal" data-state="`) {
		t.Error("verdicts are mixed")
	}
	contains(t, body(t, h, "/inventory/devices/"+one.ID+"?lang=en"), "Technical verdict", "Legal verdict")
}

func TestReplacementList(t *testing.T) {
	h, p := province(t, 12)
	list, err := p.Replacements(context.Background(), stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	page := body(t, h, "/inventory/replace?all=1")
	proposals, planned := len(only(slices.Clone(list), "")), len(only(slices.Clone(list), "plan"))
	if got := len(listed(page)); got != proposals || got == 0 || planned == 0 || proposals+planned != len(list) {
		t.Fatalf("%d rows, want %d; %d more are merely old", got, proposals, planned)
	}
	if got := len(listed(body(t, h, "/inventory/replace?all=1&may=plan"))); got != planned {
		t.Errorf("%d to plan with, want %d", got, planned)
	}
	contains(t, page, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "NGƯỜI LẬP", "STT", "26/11/2026", "lỗi thời, chưa được thay theo quy định", "Trong khi chờ")
	notYet := body(t, h, "/inventory/replace?all=1&may=not_yet")
	want := 0
	for _, r := range list {
		if r.Replace == lifecycle.ReplaceNotYet {
			want++
			if len(r.Offers) == 0 {
				t.Errorf("%s may not be replaced and nothing is offered instead", r.ID)
			}
		}
	}
	if got := len(listed(notYet)); got != want || want == 0 {
		t.Errorf("%d not yet, want %d", got, want)
	}
}

func TestUnsupportedByDate(t *testing.T) {
	h, _ := province(t, 12)
	count := func(day string) int {
		page := body(t, h, "/inventory/unsupported?all=1&date="+day)
		return len(listed(page))
	}
	early, late := count("2020-01-01"), count("2031-12-31")
	if early >= late || late == 0 {
		t.Errorf("%d unsupported in 2020, %d in 2031", early, late)
	}
	contains(t, body(t, h, "/inventory/unsupported"), "31/12/2026", `value="2026-12-31"`)
	contains(t, body(t, h, "/inventory/unsupported?date=2030-06-30"), "30/06/2030", "/inventory/unsupported.xlsx?date=2030-06-30", "Năm 2025")
}

func TestVerifyAsksOncePerModel(t *testing.T) {
	h, p := province(t, 12)
	questions, err := p.Verify(context.Background(), stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	page := body(t, h, "/inventory/verify?all=1")
	models := map[string]bool{}
	var letter string
	for _, q := range questions {
		if q.Letter != "" {
			models[q.Vendor+q.Model+q.Missing] = true
			letter = q.ID
		}
	}
	if n := strings.Count(page, "letter=d"); n != len(models) || n == 0 {
		t.Errorf("%d letters for %d models", n, len(models))
	}
	contains(t, body(t, h, "/inventory/verify?letter="+letter), "Kính gửi", "THỦ TRƯỞNG")
}

func TestPurchasesPage(t *testing.T) {
	h, p := province(t, 16)
	all, err := p.Purchases(context.Background(), stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	page := body(t, h, "/inventory/purchases")
	for _, ph := range all.Phases {
		contains(t, page, ph.Name, ph.File)
	}
	contains(t, page, "Thấy trên mạng nhưng không có trong đợt cấp nào")
	un := body(t, h, "/inventory/purchases?which=unmatched")
	contains(t, un, "chưa thấy trên mạng")
	if strings.Contains(un, "trùng số sê-ri") {
		t.Error("what was found is among what was not")
	}
}

func TestCatalogueSearch(t *testing.T) {
	h, _ := province(t, 3)
	page := body(t, h, "/inventory/catalogue?q=vigor+2925")
	contains(t, page, "Vigor2925*", `rel="noreferrer noopener external"`)
	if strings.Contains(page, "WS-C2960") {
		t.Error("the search finds everything")
	}
	contains(t, body(t, h, "/inventory/catalogue?q=bo+chuyen+mach"), "WS-C2960")
}
