package inventory

import (
	"communewatch/collector/stock/stocktest"
	"net/http/httptest"
	"os"
	"testing"
	"testing/fstest"

	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"communewatch/collector/stock"
	"communewatch/collector/web/frame"
	"communewatch/inventory"
)

func sitesOf(t testing.TB, n int) []inventory.Site {
	t.Helper()
	data, err := os.ReadFile("../../../deploy/lab/sites.csv")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := inventory.ReadSites("sites.csv", data)
	if err != nil {
		t.Fatal(err)
	}
	return sites[:min(n, len(sites))]
}

// handler serves the pages over a reader.
func handler(t testing.TB, reader stock.Reader) http.Handler {
	t.Helper()
	more, err := Words()
	if err != nil {
		t.Fatal(err)
	}
	house, err := frame.New(frame.Options{Words: []fs.FS{os.DirFS("../i18n"), more}, Bundle: fstest.MapFS{}, Title: "Phú Thọ",
		Now: func() time.Time { return time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := New(house, reader, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	pages.Register(mux)
	return mux
}

func get(t testing.TB, h http.Handler, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPagesOpen(t *testing.T) {
	p := stocktest.Open(t, sitesOf(t, 20))
	h := handler(t, p)
	for _, lang := range []string{"vi", "en"} {
		for _, path := range []string{"/inventory", "/inventory/summary", "/inventory/unsupported", "/inventory/replace", "/inventory/verify", "/inventory/purchases", "/inventory/catalogue", "/inventory/devices/d4"} {
			w := get(t, h, path+"?lang="+lang)
			if w.Code != 200 {
				t.Errorf("%s %s: %d %.300s", lang, path, w.Code, w.Body)
			}
		}
	}
}
