package saying_test

import (
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/stock"
	"communewatch/collector/stock/stocktest"
	"communewatch/collector/web/frame"
	pages "communewatch/collector/web/inventory"
	"communewatch/collector/web/inventory/saying"
	"communewatch/inventory"
)

type world struct {
	*stocktest.Province
	h  http.Handler
	id string // of a device
}

func newWorld(t *testing.T) *world {
	t.Helper()
	data, err := os.ReadFile("../../../../deploy/lab/sites.csv")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := inventory.ReadSites("sites.csv", data)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Province: stocktest.Open(t, sites[:3])}
	words := []fs.FS{os.DirFS("../../i18n")}
	for _, of := range []func() (fs.FS, error){pages.Words, saying.Words} {
		more, err := of()
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, more)
	}
	house, err := frame.New(frame.Options{Words: words, Bundle: fstest.MapFS{}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	form, err := saying.New(house, w.Province, w.Registry.Devices(), log)
	if err != nil {
		t.Fatal(err)
	}
	inv, err := pages.New(house, w.Province, log)
	if err != nil {
		t.Fatal(err)
	}
	inv.Stating()
	mux := http.NewServeMux()
	inv.Register(mux)
	form.Register(mux)
	rows, err := w.Table(t.Context(), stock.Query{})
	if err != nil || len(rows) == 0 {
		t.Fatal(err)
	}
	w.h, w.id = mux, rows[0].ID
	return w
}

func (w *world) do(role people.Role, method, target string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	out := httptest.NewRecorder()
	w.h.ServeHTTP(out, r.WithContext(people.With(r.Context(), people.Caller{Name: "lan", Display: "Nguyễn Thị Lan", Role: role, Via: "session", Proof: "PROOF"})))
	return out
}

func TestWhoBuysSaysWhatTheyKnow(t *testing.T) {
	w := newWorld(t)
	at := "/inventory/devices/" + w.id
	if !strings.Contains(w.do(people.RoleProcurement, "GET", at, nil).Body.String(), at+"/state") {
		t.Error("the device's page does not lead to the form")
	}
	page := w.do(people.RoleProcurement, "GET", at+"/state", nil)
	if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), `name="proof" value="PROOF"`) || !strings.Contains(page.Body.String(), "Ngày đưa vào sử dụng") {
		t.Fatal(page.Code, page.Body)
	}
	for fact, c := range map[string]struct{ value, shown string }{
		"in_service": {"01/07/2015", "01/07/2015"}, "price": {"12.500.000", "12.500.000"}, "surplus": {"Có", "có"}, "isolated": {"<script>alert(1)</script>", "&lt;script&gt;"},
	} {
		out := w.do(people.RoleProcurement, "POST", at+"/state", url.Values{"fact": {fact}, "value": {c.value}, "source": {"Biên bản 12"}})
		if out.Code != http.StatusSeeOther {
			t.Fatalf("%s: %d %s", fact, out.Code, out.Body)
		}
		body := w.do(people.RoleProcurement, "GET", out.Header().Get("Location"), nil).Body.String()
		if !strings.Contains(strings.ToLower(body), c.shown) || !strings.Contains(body, "Biên bản 12") || !strings.Contains(body, "Nguyễn Thị Lan") || strings.Contains(body, "<script>alert") {
			t.Errorf("%s is not shown as said, or acts", fact)
		}
	}
	device, err := w.Device(t.Context(), w.id, stock.Query{})
	if err != nil || device.InService.String() != "2015-07-01" {
		t.Error("what was said does not count:", device.InService, err)
	}
	list, err := w.Registry.People().Entries(t.Context(), audit.Filter{Act: "inventory.say", Who: "lan"})
	if err != nil || len(list) != 4 || list[0].Who != "lan" || list[0].What != w.id || list[0].Via != "screen" {
		t.Errorf("on the record: %+v %v", list, err)
	}
	if out := w.do(people.RoleAdmin, "POST", at+"/state", url.Values{"do": {"withdraw"}, "fact": {"price"}}); out.Code != http.StatusSeeOther {
		t.Error(out.Code)
	}
	if out := w.do(people.RoleAdmin, "POST", at+"/state", url.Values{"do": {"withdraw"}, "fact": {"price"}}); out.Code < 400 || !strings.Contains(out.Body.String(), "không còn hiệu lực") {
		t.Error("taken back twice:", out.Code)
	}
}

func TestWhatCannotBeSaidIsRefusedInWords(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ fact, value, source, want string }{
		{"in_service", "01/07/2091", "x", "chưa tới"}, {"in_service", "often", "x", "không phải ngày"}, {"price", "12", "x", "không phải giá"}, {"price", "12500000", "", "còn trống"},
		{"surplus", "maybe", "x", "không phải có hoặc không"}, {"colour", "red", "x", "Hãy chọn"}, {"serial", "0000", "x", "tem máy"}, {"post", "king", "x", "chức danh"}, {"model", "", "x", "Rút lại"},
		{"life_years", "200", "x", "1 đến 50"}, {"class", "toaster", "x", "loại thiết bị"}, {"in_service", "01/07/1950", "x", "trước năm"},
	} {
		out := w.do(people.RoleProcurement, "POST", "/inventory/devices/"+w.id+"/state", url.Values{"fact": {c.fact}, "value": {c.value}, "source": {c.source}})
		body := out.Body.String()
		_, alert, _ := strings.Cut(body, `role="alert">`)
		if alert, _, _ = strings.Cut(alert, "</p>"); out.Code != http.StatusUnprocessableEntity || !strings.Contains(alert, c.want) || strings.Contains(alert, "tiếng Anh") || strings.Contains(alert, "failed_technical") {
			t.Errorf("%s %q: %d %q", c.fact, c.value, out.Code, alert)
		}
		if c.value != "" && !strings.Contains(body, `value="`+c.value+`"`) {
			t.Errorf("%s %q has to be typed again", c.fact, c.value)
		}
	}
}

func TestWhoMayNotSayAnything(t *testing.T) {
	w := newWorld(t)
	at := "/inventory/devices/" + w.id
	for _, role := range []people.Role{people.RoleViewer, people.RoleOperator} {
		if strings.Contains(w.do(role, "GET", at, nil).Body.String(), at+"/state") {
			t.Error(role, "is led to what is refused")
		}
		for _, method := range []string{"GET", "POST"} {
			if out := w.do(role, method, at+"/state", url.Values{"fact": {"price"}, "value": {"12500000"}, "source": {"x"}}); out.Code != http.StatusForbidden {
				t.Error(role, method, out.Code)
			}
		}
	}
	if out := w.do(people.RoleAdmin, "GET", "/inventory/devices/d999999/state", nil); out.Code != http.StatusNotFound {
		t.Error(out.Code)
	}
}
